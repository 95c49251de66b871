"""Settings that hold for all of the facade. Follows https://keras.io/api/utils/config_utils/

Old scripts reach the same settings as `keras.backend.floatx()` and so on.
"""

from __future__ import annotations

import math
from typing import Any

from elephas_torch.errors import unknown
from elephas_torch.keras import legacy
from elephas_torch.keras.code import enable_unsafe_deserialization
from elephas_torch.keras.policy import dtype_policy, set_dtype_policy

__all__ = [
    "backend",
    "disable_interactive_logging",
    "disable_traceback_filtering",
    "dtype_policy",
    "enable_interactive_logging",
    "enable_traceback_filtering",
    "enable_unsafe_deserialization",
    "epsilon",
    "floatx",
    "image_data_format",
    "is_interactive_logging_enabled",
    "is_traceback_filtering_enabled",
    "set_backend",
    "set_dtype_policy",
    "set_epsilon",
    "set_floatx",
    "set_image_data_format",
]

_FLOATS = ("bfloat16", "float16", "float32", "float64")
_NOT_OF_LAYERS = (
    "set_floatx({0!r}) is for tensors that keras.ops, keras.random and keras.backend make. Layers "
    "keep float32 weights, and cast their inputs to it.{1}"
)
#: What to do for layers that compute in another type.
_IN_PLACE = {
    "float64": " For float64 take model.to_torch().double().",
    "bfloat16": " Shorter floats: set_dtype_policy('mixed_bfloat16').",
    "float16": " Shorter floats: set_dtype_policy('mixed_float16').",
}
_IMAGE_FORMATS = ("channels_last", "channels_first")
_settings: dict[str, Any] = {
    "floatx": "float32",
    "epsilon": 1e-7,
    "image_data_format": "channels_last",
    "interactive_logging": True,
    "traceback_filtering": True,
}


def floatx() -> str:
    """Returns the float type of what `ops` makes out of Python's numbers: "float32" at first."""
    return _settings["floatx"]


def set_floatx(value: str) -> None:
    """Sets the float type of what `ops` makes out of Python's numbers.

    Layers don't follow it, and a warning says so: they compute in float32, or as
    `set_dtype_policy` tells.

    Args:
        value: "bfloat16", "float16", "float32" or "float64".

    Raises:
        ValueError: another type.
    """
    if value not in _FLOATS:
        raise unknown("floatx", value, _FLOATS)
    if value not in ("float32", floatx()):
        legacy.warn(_NOT_OF_LAYERS.format(value, _IN_PLACE.get(value, "")), UserWarning)
    _settings["floatx"] = value


def epsilon() -> float:
    """Returns the small number that keeps logarithms and quotients finite: 1e-7 at first."""
    return _settings["epsilon"]


def set_epsilon(value: float) -> None:
    """Sets the small number that keeps logarithms and quotients finite.

    Raises:
        ValueError: it isn't a number above 0.
    """
    if not isinstance(value, int | float) or not 0 < value < math.inf:
        raise ValueError(f"`epsilon` must be a number above 0. Received: value={value!r}")
    _settings["epsilon"] = float(value)


def image_data_format() -> str:
    """Returns what layers take for `data_format=None`: "channels_last" at first."""
    return _settings["image_data_format"]


def set_image_data_format(data_format: str) -> None:
    """Sets what layers made from now on take for `data_format=None`.

    Args:
        data_format: "channels_last" or "channels_first", in whatever case.

    Raises:
        ValueError: it is neither.
    """
    _settings["image_data_format"] = checked_data_format(data_format)


def checked_data_format(value: Any) -> str:
    """Returns a `data_format` argument in lower case; None is the global setting.

    Raises:
        ValueError: it is neither "channels_last" nor "channels_first".
    """
    if value is None:
        return image_data_format()
    name = value.lower() if isinstance(value, str) else value
    if name not in _IMAGE_FORMATS:
        raise unknown("data_format", value, _IMAGE_FORMATS)
    return name


def backend() -> str:
    """Returns "torch": there is no other here."""
    return "torch"


def set_backend(backend: str) -> None:
    """Takes "torch".

    Raises:
        ValueError: another backend; this package computes with torch alone.
    """
    if backend != "torch":
        raise ValueError(f"The backend is 'torch', always. Received: backend={backend!r}")


def enable_interactive_logging() -> None:
    """Notes it; what `fit` shows is chosen by its `verbose` argument."""
    _settings["interactive_logging"] = True


def disable_interactive_logging() -> None:
    """Notes it; what `fit` shows is chosen by its `verbose` argument."""
    _settings["interactive_logging"] = False


def is_interactive_logging_enabled() -> bool:
    """Returns what was last set."""
    return _settings["interactive_logging"]


def enable_traceback_filtering() -> None:
    """Notes it; tracebacks are always whole here."""
    _settings["traceback_filtering"] = True


def disable_traceback_filtering() -> None:
    """Notes it; tracebacks are always whole here."""
    _settings["traceback_filtering"] = False


def is_traceback_filtering_enabled() -> bool:
    """Returns what was last set."""
    return _settings["traceback_filtering"]
