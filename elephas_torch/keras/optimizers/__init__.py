"""Optimizers with Keras 3's defaults.

Follows https://keras.io/api/optimizers. They are the rules of `elephas_torch.optimizers`, which
keeps elephas's defaults instead; either kind goes into `compile`.

    >>> from elephas_torch.keras import optimizers
    >>> optimizers.get("adam")
    Adam(learning_rate=0.001, beta_1=0.9, beta_2=0.999, epsilon=1e-07, amsgrad=False)
"""

from __future__ import annotations

import importlib
from typing import Any

from elephas_torch import optimizers as ground
from elephas_torch.errors import absent, unknown
from elephas_torch.keras.optimizers import schedules
from elephas_torch.keras.optimizers.classes import (
    CLASSES,
    SGD,
    Adadelta,
    Adafactor,
    Adagrad,
    Adam,
    Adamax,
    AdamW,
    Ftrl,
    Lamb,
    Lion,
    LossScaleOptimizer,
    Muon,
    Nadam,
    RMSprop,
    ScheduleFreeAdamW,
)
from elephas_torch.keras.serialization import custom_object_scope, find_custom
from elephas_torch.optimizers import Optimizer
from elephas_torch.optimizers.lookup import restored

__all__ = [
    "KERAS_SLOTS",
    "SGD",
    "Adadelta",
    "Adafactor",
    "Adagrad",
    "Adam",
    "AdamW",
    "Adamax",
    "Ftrl",
    "Lamb",
    "Lion",
    "LossScaleOptimizer",
    "Muon",
    "Nadam",
    "Optimizer",
    "RMSprop",
    "ScheduleFreeAdamW",
    "deserialize",
    "get",
    "schedules",
    "serialize",
]

#: The slots of each optimizer in the order of Keras's variables, after the number of steps and
#: the learning rate: those in one tuple alternate from weight to weight.
KERAS_SLOTS: dict[str, tuple[tuple[str, ...], ...]] = {
    cls.__name__: cls.slot_order for cls in CLASSES.values()
}

# What Keras has and a flat vector can't have.
_ABSENT = {
    name.lower(): f"{name} isn't here: one rule steps all weights. Use Muon(exclude_layers=[...]) "
    "for Adam and Muon in one model, or exclude_from_weight_decay() to treat weights apart."
    for name in ("MultiOptimizer", "OptimizerMap")
}


def get(identifier: Any) -> Optimizer:
    """Returns an optimizer.

    Args:
        identifier: an optimizer of this module or of `elephas_torch.optimizers` (returned as it
            is); a class of optimizers; a name in any case ("adam", with Keras's defaults), or
            a custom object's; or what `serialize` gave.

    Raises:
        ValueError: no optimizer has that name; the message has the nearest one.
        TypeError: `identifier` is none of these.
    """
    data = identifier if isinstance(identifier, dict) else {"class_name": identifier}
    cls = _custom(identifier)
    if cls is None and data.get("module") != Optimizer.module:
        cls = _own(data.get("class_name"))
    if cls is None:
        return ground.get(identifier, None if "module" in data else CLASSES)
    return restored(cls.from_config(dict(data.get("config") or {})), data)


def _own(name: Any) -> type[Optimizer] | None:
    if not isinstance(name, str):
        return None
    if name.lower() in _ABSENT:
        raise ValueError(_ABSENT[name.lower()])
    if name.lower() not in CLASSES:
        raise unknown("optimizer", name, CLASSES)
    return CLASSES[name.lower()]


def _custom(identifier: Any) -> type[Optimizer] | None:
    """Returns a class that is given itself, or as a custom object's name or config."""
    found = identifier
    if isinstance(identifier, dict):
        name = identifier.get("registered_name") or identifier.get("class_name")
        found = find_custom(str(name))
    elif isinstance(identifier, str):
        found = find_custom(identifier)
    return found if isinstance(found, type) and issubclass(found, Optimizer) else None


def __getattr__(name: str) -> Any:
    if name == "legacy":
        return importlib.import_module(f"{__name__}.legacy")
    known = _ABSENT.get(name.lower(), f"module {__name__!r} has no attribute {name!r}")
    raise absent(known)


def deserialize(config: Any, custom_objects: dict[str, Any] | None = None) -> Optimizer:
    """Returns the optimizer that `serialize` described; see `get`.

    Args:
        config: what `serialize` gave, or Keras's.
        custom_objects: names in it -> classes or functions of your own.
    """
    with custom_object_scope(custom_objects or {}):
        return get(config)


serialize = ground.serialize
