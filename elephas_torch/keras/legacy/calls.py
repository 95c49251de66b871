"""Old arguments of methods, and old methods."""

from __future__ import annotations

from typing import Any, NoReturn

from elephas_torch.keras.legacy.notice import warn

#: Method -> old argument -> what to write.
ARGUMENTS: dict[str, dict[str, str]] = {
    "fit": {"nb_epoch": "epochs", "show_accuracy": "compile(metrics=['accuracy'])"},
    "evaluate": {"show_accuracy": "compile(metrics=['accuracy'])"},
    "ReduceLROnPlateau": {"epsilon": "min_delta"},
}
#: Optimizer's old argument -> what to write.
OF_OPTIMIZERS = {"lr": "learning_rate", "schedule_decay": ""}
#: Old method of a model -> what to write.
METHODS = {
    "predict_classes": "predict(x).argmax(-1), or predict(x) > 0.5 for a single output",
    "predict_proba": "predict(x)",
    "fit_generator": "fit(x), with batches for x",
    "evaluate_generator": "evaluate(x), with batches for x",
    "predict_generator": "predict(x), with batches for x",
}
#: What was there -> what to write. Code in YAML could run when it was read, so Keras 2 dropped it.
GONE = {"to_yaml": "to_json()", "model_from_yaml": "model_from_json(…)"}
#: What Keras 1's and 2's `compile` takes and nothing depends on any more.
IGNORED_BY_COMPILE = ("class_mode", "theano_mode", "sample_weight_mode")


def renamed(kwargs: dict[str, Any], owner: str, old: str, new: str, value: Any) -> Any:
    """Takes `old` out of the arguments; returns its value, or `value` where it isn't there."""
    if old not in kwargs:
        return value
    warn(f"{owner}({old}=…) is the old name of `{new}`.")
    return kwargs.pop(old)


def fit(kwargs: dict[str, Any], epochs: Any) -> tuple[Any, bool]:
    """Takes old arguments out of those of `fit`; returns the epochs, and whether accuracy is to
    be shown."""
    notes = []
    if "nb_epoch" in kwargs:
        notes.append("fit(nb_epoch=…) is the old name of `epochs`")
        epochs = kwargs.pop("nb_epoch")
    if "show_accuracy" in kwargs:
        notes.append("fit(show_accuracy=…) is old: use compile(metrics=['accuracy'])")
    if notes:
        warn("; ".join(notes) + ".")
    return epochs, bool(kwargs.pop("show_accuracy", False))


def optimizer(owner: str, kwargs: dict[str, Any]) -> dict[str, Any]:
    """Returns an optimizer's arguments in today's spelling."""
    if OF_OPTIMIZERS.keys().isdisjoint(kwargs) and kwargs.get("epsilon", 0) is not None:
        return kwargs
    found = dict(kwargs)
    if found.get("epsilon", 0) is None:  # Keras 2's word for its default
        del found["epsilon"]
    notes = []
    if "lr" in found and "learning_rate" not in found:
        rate = found["learning_rate"] = found.pop("lr")
        notes.append(f"`lr` is the old name of `learning_rate`: use learning_rate={rate!r}")
    if found.pop("schedule_decay", None) is not None:
        notes.append("`schedule_decay` has no effect: leave it out")
    if notes:
        warn(f"{owner}: {'; '.join(notes)}.")
    return found


def show_accuracy(kwargs: dict[str, Any], owner: str) -> bool:
    """Takes Keras 1's `show_accuracy` out of the arguments; returns whether it is on."""
    if "show_accuracy" not in kwargs:
        return False
    warn(f"{owner}(show_accuracy=…) is old: use compile(metrics=['accuracy']).")
    return bool(kwargs.pop("show_accuracy"))


def ignore(kwargs: dict[str, Any]) -> None:
    """Takes `IGNORED_BY_COMPILE` out of `compile`'s arguments; warns of those that are set."""
    found = {name: kwargs.pop(name) for name in IGNORED_BY_COMPILE if name in kwargs}
    names = [f"{name}=…" for name, value in found.items() if value is not None]
    if names:
        warn(f"compile({', '.join(names)}) is old and has no effect: leave it out.")


def method(name: str) -> None:
    """Warns of an old method."""
    warn(f"{name} is old: use {METHODS[name]}.")


def gone(name: str) -> NoReturn:
    """Raises the RuntimeError of something that isn't there any more."""
    raise RuntimeError(f"There is no {name} here: use {GONE[name]}.")
