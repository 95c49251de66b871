"""What params take: each function returns a value as it is kept, or says what is wrong with it.

Functions of a module, and no closures: stages are pickled with their params.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from elephas_torch import config, memory, recovery
from elephas_torch.errors import unknown
from elephas_torch.frames import INVALID
from elephas_torch.keras import optimizers as keras_optimizers
from elephas_torch.keras.arguments import (
    check_class_weight,
    check_flag,
    check_share,
    check_whole,
)
from elephas_torch.keras.callbacks import Callback
from elephas_torch.keras.models import Model
from elephas_torch.optimizers import Optimizer
from elephas_torch.optimizers.base import not_negative, positive


def as_it_is(value: Any) -> Any:
    # Names may be of custom objects, which may be set later: `fit` looks them up.
    return value


def whole(name: str, value: Any, least: int = 1) -> int:
    check_whole(name, value, least)
    return int(value)


def flag(name: str, value: Any) -> bool:
    check_flag(name, value)
    return bool(value)


def how_often(value: Any) -> int | str:
    recovery.every(value)
    return value if isinstance(value, str) else int(value)


def seconds(name: str, value: Any) -> float:
    return float(positive("SparkModel", name, value))


def rate(value: Any) -> float:
    return float(not_negative("SparkModel", "learningRate", value))


def share(value: Any) -> float:
    check_share("validationSplit", value)
    return float(value)


def text(name: str, value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"`{name}` must be a string. Received: {name}={value!r}")
    return value


def memory_size(value: Any) -> Any:
    memory.parsed(value)
    return value


def column_names(value: Any) -> list[str]:
    """Returns a list of columns' names; raises TypeError where it is none."""
    listed = isinstance(value, list | tuple) and value
    if not listed or not all(isinstance(one, str) for one in value):
        raise TypeError(
            "`featuresCols` must be a list of columns' names, such as ['age', 'height']. "
            f"Received: featuresCols={value!r}"
        )
    return list(value)


def invalid(value: Any) -> str:
    if value not in INVALID:
        raise unknown("handleInvalid", value, INVALID)
    return str(value)


def verbose(value: Any) -> Any:
    if value not in (0, 1, 2, "auto"):
        raise ValueError(f"`verbose` must be 0, 1, 2 or 'auto'. Received: verbose={value!r}")
    return value if value == "auto" else int(value)


def model_params(value: Any) -> dict[str, Any]:
    if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
        raise TypeError(f"`modelParams` must be a dict by names. Received: modelParams={value!r}")
    return dict(value)


def model(value: Any) -> Model:
    if not isinstance(value, Model):
        raise TypeError(
            "`model` must be a model of elephas_torch.keras, such as a Sequential; a torch module "
            "is wrapped with Model.from_torch(module, input_shape=…). "
            f"Received: model={value!r} (of type {type(value).__name__})"
        )
    return value


def builder(value: Any) -> Any:
    if isinstance(value, str):  # a registered function's name, which a saved grid can hold
        return value
    if not callable(value) or isinstance(value, Model):
        raise TypeError(
            "`modelBuilder` must be a function that returns a model; a model itself goes with "
            f"`model`. Received: modelBuilder={value!r}"
        )
    return value


def initial(value: Any) -> Any:
    if not isinstance(value, Model) and not isinstance(getattr(value, "model", None), Model):
        raise TypeError(
            "`initialModel` must be a fitted model, or a model of elephas_torch.keras. "
            f"Received: initialModel={value!r}"
        )
    return value


def model_json(value: Any) -> str:
    """A model's config as JSON text."""
    text = json.dumps(value) if isinstance(value, Mapping) else value
    try:
        found = json.loads(text)
    except (TypeError, ValueError):
        found = None
    if not isinstance(found, dict) or "class_name" not in found:
        raise ValueError(
            "`kerasModelConfig` must be what model.to_json() gives. "
            f"Received: kerasModelConfig={str(value)[:80]!r}"
        )
    return str(text)


def server_optimizer(value: Any) -> Optimizer | None:
    return config.checked_optimizer(whole_config(value))


def compiled_optimizer(value: Any) -> Any:
    value = whole_config(value)
    keras_optimizers.get(value)  # raises where there is no such
    return value


def whole_config(value: Any) -> Any:
    """A description of an optimizer; of elephas's time `optimizer.get_config()`, with its name."""
    if not isinstance(value, Mapping) or "class_name" in value or "name" not in value:
        return value
    return {"class_name": value["name"], "config": {k: v for k, v in value.items() if k != "name"}}


def class_weight(value: Any) -> dict[int, float]:
    if isinstance(value, Mapping):  # JSON has only strings as keys
        value = {number(key): weight for key, weight in value.items()}
    check_class_weight(value)
    return {int(number): float(weight) for number, weight in value.items()}


def number(key: Any) -> Any:
    return int(key) if isinstance(key, str) and key.isdigit() else key


def callbacks(value: Any) -> list[Callback]:
    several = list(value) if isinstance(value, list | tuple) else [value]
    for one in several:
        if not isinstance(one, Callback):
            raise TypeError(
                "`callbacks` must be callbacks of elephas_torch.keras.callbacks. "
                f"Received: callbacks={value!r}"
            )
    return several
