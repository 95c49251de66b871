"""Values of Keras 1 and 2 in today's form."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

_FORMATS = {"tf": "channels_last", "th": "channels_first", "default": None}
_FORGETTING = {"one": True, "ones": True, "zero": False, "zeros": False}
_IMPLEMENTATIONS = {"cpu": 0, "mem": 1, "gpu": 2}


def data_format(value: Any) -> Any:
    """ "tf" and "th" as today's `data_format`."""
    return _FORMATS.get(value, value) if isinstance(value, str) else value


def padding(value: Any) -> Any:
    """Keras 1's `border_mode`."""
    if value == "full":
        raise ValueError(
            "border_mode='full' is no more: put ZeroPadding2D(kernel_size - 1) before the layer, "
            "and give it padding='valid'."
        )
    return value


def unit_forget_bias(value: Any) -> Any:
    """Whether the name of a `forget_bias_init` stands for ones."""
    if isinstance(value, bool):
        return value
    if value not in _FORGETTING:
        raise ValueError(
            "`unit_forget_bias`, once `forget_bias_init`, can start the forget gate's bias at 1 "
            f"or 0: give 'one' or 'zero'. Received: forget_bias_init={value!r}"
        )
    return _FORGETTING[value]


def implementation(value: Any) -> Any:
    """Keras 1's `consume_less` as Keras 2's number."""
    return _IMPLEMENTATIONS.get(value, value) if isinstance(value, str) else value


def no_dropout(value: Any) -> None:
    """Refuses an Embedding's `dropout`, which dropped whole words, unless it is 0."""
    if value:
        raise ValueError(
            "Embedding(dropout=…) is no more: put SpatialDropout1D after the layer, or drop "
            f"words from the data. Received: dropout={value!r}"
        )


def mode_of_normalization(value: Any) -> None:
    """Refuses a BatchNormalization that didn't normalize over the batch."""
    if value == 1:
        raise ValueError(
            "BatchNormalization(mode=1), over each sample, is LayerNormalization today. "
            "Received: mode=1"
        )


def sides(value: Any) -> Any:
    """The amounts of a ZeroPadding2D, four or a dict by name, as two pairs."""
    if isinstance(value, Mapping):
        names = ("top_pad", "bottom_pad", "left_pad", "right_pad")
        value = tuple(value.get(name, 0) for name in names)
    top, bottom, left, right = value
    return (top, bottom), (left, right)


def is_four_sides(value: Any) -> bool:
    """Whether these are Keras 1's amounts of a ZeroPadding2D."""
    return isinstance(value, Mapping) or (isinstance(value, tuple | list) and len(value) == 4)


def both_ends(value: Mapping[str, int]) -> tuple[int, int]:
    """The amounts of a ZeroPadding1D, a dict by name, as a pair."""
    return value.get("left_pad", 0), value.get("right_pad", 0)


def is_mapping(value: Any) -> bool:
    """Whether amounts are given by name."""
    return isinstance(value, Mapping)


def initializer(value: Any) -> Any:
    """An initializer; a function of Keras 1, f(shape, name=None), as one."""
    if not inspect.isfunction(value):
        return value
    parameters = inspect.signature(value).parameters
    if "dtype" in parameters or any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
        return value
    return Initialization(value)


class Initialization:
    """A function of Keras 1, f(shape) or f(shape, name=None), called as initializers are today.

    Args:
        function: the function.
    """

    def __init__(self, function: Any) -> None:
        self.function = function
        self.__name__ = getattr(function, "__name__", type(function).__name__)

    def __call__(self, shape: Any, dtype: Any = None) -> Any:
        return self.function(shape)


def steps_and_features(found: Mapping[str, Any]) -> tuple[Any, Any] | None:
    """`input_length` and `input_dim` as an `input_shape`."""
    if found.get("input_dim") is None:
        return None
    return found.get("input_length"), found["input_dim"]


def window(found: Mapping[str, Any]) -> tuple[Any, ...]:
    """A window's lengths, given one by one."""
    return tuple(found.values())
