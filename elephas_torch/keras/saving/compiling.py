"""How a model is compiled, to JSON-able data and back: Keras's compile config."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from elephas_torch.keras import losses, metrics, optimizers
from elephas_torch.keras.compiled_model import CompiledModel
from elephas_torch.keras.registration import find_custom

#: Metrics whose meaning depends on the loss and on shapes.
_BY_SHAPE = ("accuracy", "acc", "crossentropy", "ce")
#: Arguments of optimizers that change nothing any more.
_GONE = ("schedule_decay", "is_legacy_optimizer", "jit_compile")


def apply(model: Any, described: dict[str, Any]) -> None:
    """Compiles a model as it is described.

    Raises:
        ValueError: a name in it is unknown; the message says how to make it known.
    """
    if type(model).compile_from_config is not CompiledModel.compile_from_config:
        model.compile_from_config(described)
        return
    # Keras on other backends writes True here for every model, and never a mode.
    kept = dict(described)
    if not isinstance(kept.get("jit_compile"), str):
        kept.pop("jit_compile", None)
    try:
        kept["optimizer"] = optimizers.get(kept["optimizer"])
        kept["loss"] = _made(kept.get("loss"), losses.get)
        for name in ("metrics", "weighted_metrics"):
            kept[name] = _made(kept.get(name), _metric)
        model.compile_from_config(kept)
    except ValueError as error:
        raise ValueError(
            f"{error} If it is one of yours, pass it in custom_objects={{name: object}}, or load "
            "the model with compile=False."
        ) from None


def _metric(one: Any) -> Any:
    # Names stay names: what "accuracy" means is decided by loss and shapes.
    return metrics.get(one) if isinstance(one, dict) else one


def _made(tree: Any, get: Callable[[Any], Any]) -> Any:
    if isinstance(tree, list | tuple):
        return [_made(one, get) for one in tree]
    if isinstance(tree, dict) and "class_name" not in tree:
        return {key: _made(one, get) for key, one in tree.items()}
    return None if tree is None else get(tree)


def training_config(described: dict[str, Any]) -> dict[str, Any]:
    """A compile config as `.h5` files have it.

    Losses and metrics are described in full: Keras 3 can't read all of their names there.
    """
    optimizer = described["optimizer"]
    inner = {"class_name": optimizer["class_name"], "config": optimizer["config"]}
    if not str(optimizer.get("module")).startswith("keras."):
        inner["module"] = optimizer["module"]
    return {
        **{name: one for name, one in described.items() if name != "optimizer"},
        "loss": _in_full(described["loss"], losses),
        "metrics": _in_full(described["metrics"], metrics),
        "weighted_metrics": _in_full(described["weighted_metrics"], metrics),
        "optimizer_config": inner,
    }


def _in_full(tree: Any, family: Any) -> Any:
    if isinstance(tree, list | tuple):
        return [_in_full(one, family) for one in tree]
    if isinstance(tree, dict) and "class_name" not in tree:
        return {key: _in_full(one, family) for key, one in tree.items()}
    if not isinstance(tree, str) or tree in _BY_SHAPE or find_custom(tree) is not None:
        return tree
    try:
        found = family.get(tree)
    except ValueError:  # the name of a function of the user's
        return tree
    found.identifier = None
    return family.serialize(found)


def of_training_config(training: dict[str, Any]) -> dict[str, Any]:
    """The `training_config` of an `.h5` file, of Keras 1 to 3, in the form of `.keras` files."""
    rest = {key: value for key, value in training.items() if key != "optimizer_config"}
    optimizer = training["optimizer_config"]
    name = optimizer["class_name"]
    return {
        **rest,
        "loss": _map_configs(rest.get("loss")),
        "metrics": _map_configs(rest.get("metrics")),
        "optimizer": {
            "module": optimizer.get("module", "keras.optimizers"),
            "class_name": name.rpartition(">")[2],
            "config": _optimizer_settings(optimizer.get("config") or {}),
            "registered_name": name if ">" in name else None,
        },
    }


def _optimizer_settings(settings: dict[str, Any]) -> dict[str, Any]:
    kept = {name: value for name, value in settings.items() if name not in _GONE}
    if "lr" in kept:
        kept["learning_rate"] = kept.pop("lr")
    for name in ("decay", "epsilon"):
        if not kept.get(name):
            kept.pop(name, None)
    return kept


def _map_configs(tree: Any) -> Any:
    """Losses and metrics as Keras 2 described them, in today's form."""
    if isinstance(tree, list | tuple):
        return [_map_configs(one) for one in tree]
    if not isinstance(tree, dict):
        return tree
    if "class_name" not in tree:
        return {key: _map_configs(one) for key, one in tree.items()}
    settings = dict(tree.get("config") or {})
    if settings.get("reduction") == "auto":
        settings["reduction"] = "sum_over_batch_size"
    return {**tree, "config": settings}
