"""Optimizers by name, and as data that travels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from elephas_torch.errors import unknown
from elephas_torch.optimizers import schedules
from elephas_torch.optimizers.adams import Adam, Adamax, AdamW, Nadam, ScheduleFreeAdamW
from elephas_torch.optimizers.adaptive import Adadelta, Adagrad, Ftrl, RMSprop
from elephas_torch.optimizers.base import Optimizer
from elephas_torch.optimizers.by_weight import Adafactor, Lamb, Muon
from elephas_torch.optimizers.descent import SGD, DiLoCo, Lion
from elephas_torch.optimizers.layout import Layout
from elephas_torch.optimizers.scaling import LossScaleOptimizer

CLASSES: dict[str, type[Optimizer]] = {
    cls.__name__.lower(): cls
    for cls in (
        SGD, RMSprop, Adagrad, Adadelta, Adam, AdamW, Adamax, Nadam, Lion, Ftrl, Adafactor, Lamb,
        Muon, ScheduleFreeAdamW, LossScaleOptimizer, DiLoCo,
    )
}  # fmt: skip


def serialize(optimizer: Optimizer) -> dict[str, Any]:
    """Returns the optimizer as JSON-able data; `get` takes it back."""
    cls = type(optimizer)
    module = optimizer.module if cls.__name__.lower() in CLASSES else cls.__module__
    data = {
        "module": module,
        "class_name": cls.__name__,
        "config": optimizer.get_config(),
        "registered_name": None,
    }
    layout = optimizer.layout
    if layout is not None and (optimizer.by_weight or not layout.all_decay):
        data["weights"] = layout.to_data()
    return data


def get(
    identifier: str | dict[str, Any] | Optimizer,
    classes: Mapping[str, type[Optimizer]] | None = None,
    importing: bool = False,
) -> Optimizer:
    """Returns an optimizer.

    Args:
        identifier: an optimizer (returned as it is), the name of one ("adagrad", any case; with
            this module's defaults), or what `serialize` gave.
        classes: names in lower case -> classes, in place of this module's.
        importing: a class of somebody else's is imported from the module where `serialize` found
            it. Only for what comes from this program, never for what comes from a file.

    Raises:
        ValueError: no optimizer has that name; the message has the nearest one.
        TypeError: `identifier` is none of these.
    """
    classes = classes or CLASSES
    if isinstance(identifier, Optimizer):
        return identifier
    if isinstance(identifier, str):
        return _class({"class_name": identifier}, classes, False)()
    if isinstance(identifier, dict) and "class_name" in identifier:
        config = _with_objects(dict(identifier.get("config") or {}), classes, importing)
        return restored(_class(identifier, classes, importing).from_config(config), identifier)
    raise TypeError(
        "`optimizer` must be an optimizer of elephas_torch.optimizers or "
        f"elephas_torch.keras.optimizers, or the name of one. Received: {identifier!r} "
        f"(of type {type(identifier).__name__})"
    )


def restored(optimizer: Optimizer, data: Mapping[str, Any]) -> Optimizer:
    """Returns the optimizer with the layout that `serialize` put beside its config."""
    if data.get("weights"):
        optimizer.layout = Layout.from_data(data["weights"])
    return optimizer


def _class(
    data: Mapping[str, Any], classes: Mapping[str, type[Optimizer]], importing: bool
) -> type[Optimizer]:
    name = str(data["class_name"])
    cls = classes.get(name.lower())
    if cls is None and importing:
        cls = schedules.imported(data.get("module"), name, Optimizer)
    if cls is None:
        raise unknown("optimizer", name, classes)
    return cls


def _with_objects(
    config: dict[str, Any], classes: Mapping[str, type[Optimizer]], importing: bool
) -> dict[str, Any]:
    """Returns a config with its schedule, or its inner optimizer, made."""
    rate, inner = config.get("learning_rate"), config.get("inner_optimizer")
    if isinstance(rate, dict):
        config["learning_rate"] = schedules.deserialize(rate, importing)
    if isinstance(inner, dict):
        config["inner_optimizer"] = get(inner, classes, importing)
    return config
