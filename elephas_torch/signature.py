"""What must be the same in a fit that goes on from the checkpoint of another."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from elephas_torch import preflight
from elephas_torch.keras.models import Model
from elephas_torch.optimizers import Optimizer
from elephas_torch.plan import Plan


def of(model: Model, optimizer: Optimizer, plan: Plan, **more: Any) -> dict[str, Any]:
    """What must be the same in a fit that goes on from a checkpoint of another, JSON-able."""
    weights = class_weights(plan.class_weight)
    found = {
        "frequency": "batch" if plan.gradients else plan.every or "epoch",
        "exchange": plan.exchange,
        "initial_epoch": plan.initial_epoch,
        "batch_size": plan.batch_size,
        "validation_split": plan.validation_split,
        "shuffle": plan.shuffle,
        "class_weight": weights,
        "seed": plan.seed,
        "overlap": plan.overlap,
        **_named("server's optimizer", optimizer),
        **_named("model's optimizer", model.optimizer),
        "weights": [list(weight.shape) for weight in preflight.trained(model)],
        "layers": _layers(model),
        "loss": _plain(model.compiled.loss if model.compiled is not None else None),
        "metrics": [type(one).__name__ for one in model.metrics],
        **more,
    }
    return dict(json.loads(json.dumps(found, default=repr)))


def class_weights(given: Mapping[Any, Any] | None) -> dict[str, float] | None:
    """The classes' weights as JSON has them."""
    return None if given is None else {str(int(key)): float(given[key]) for key in given}


def _named(owner: str, optimizer: Optimizer) -> dict[str, Any]:
    """An optimizer's settings; without its learning rate, which goes on from where it was."""
    config = {"kind": type(optimizer).__name__, **_plain(optimizer.get_config())}
    return {f"{owner}: {name}": value for name, value in config.items()}


def _layers(model: Model) -> list[Any]:
    """What the layers are, as far as they say so: of a torch module the class alone."""
    found = []
    for layer in model.layers:
        try:
            # The config of a model within has its layers' names in other places, too.
            config = _layers(layer) if isinstance(layer, Model) else _plain(layer.get_config())
        except (NotImplementedError, TypeError, ValueError):
            config = {}  # a layer of somebody's own, or a torch module: it has none, and need not
        found.append([type(layer).__name__, config])
    return found


def _plain(tree: Any) -> Any:
    """Without names, of which each new model has others, learning rates, which callbacks change,
    and objects without a config."""
    if isinstance(tree, dict):
        own = {key: one for key, one in tree.items() if key != "name"}
        if isinstance(own.get("learning_rate"), float):
            del own["learning_rate"]
        return {str(key): _plain(one) for key, one in own.items()}
    if isinstance(tree, list | tuple):
        return [_plain(one) for one in tree]
    if isinstance(tree, str | int | float | bool | None):
        return tree
    return getattr(tree, "__name__", type(tree).__name__)


def check_same(signature: dict[str, Any], saved: dict[str, Any], path: str) -> None:
    """Raises ValueError where a fit can't go on from a checkpoint, and names what differs."""
    names = dict.fromkeys([*signature, *saved])
    odd = [name for name in names if signature.get(name) != saved.get(name)]
    if odd:
        said = "; ".join(_said(name, saved.get(name), signature.get(name)) for name in odd)
        raise ValueError(
            f"The checkpoint in {path!r} is of another fit: {said}. Give the same arguments to "
            "go on from it, or another checkpoint_dir."
        )


def _said(name: str, before: Any, now: Any) -> str:
    """What differs, as near as it can be named: in lists and dicts the first thing that does."""
    if isinstance(before, dict) and isinstance(now, dict):
        for key in dict.fromkeys([*before, *now]):
            if before.get(key) != now.get(key):
                return _said(f"{name}: {key}", before.get(key), now.get(key))
    if isinstance(before, list) and isinstance(now, list) and len(before) == len(now):
        for number, (one, other) in enumerate(zip(before, now, strict=True)):
            if one != other:
                # Of lists within lists the outermost number says enough.
                return _said(name if "[" in name else f"{name}[{number}]", one, other)
    return f"`{name}` was {_short(before)} and is {_short(now)}"


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
