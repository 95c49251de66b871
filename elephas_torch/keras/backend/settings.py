"""Keras 1 and 2's settings of the backend."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from elephas_torch.errors import unknown
from elephas_torch.keras import naming
from elephas_torch.keras.config import image_data_format, set_image_data_format

_TH_TF = {"th": "channels_first", "tf": "channels_last"}


def image_dim_ordering() -> str:
    """Keras 1's `image_data_format`: "tf" for channels_last, "th" for channels_first."""
    return "tf" if image_data_format() == "channels_last" else "th"


def set_image_dim_ordering(dim_ordering: str) -> None:
    """Keras 1's `set_image_data_format`, with "tf" or "th".

    Raises:
        ValueError: it is neither.
    """
    if dim_ordering not in _TH_TF:
        raise unknown("dim_ordering", dim_ordering, _TH_TF)
    set_image_data_format(_TH_TF[dim_ordering])


def clear_session(free_memory: bool = True) -> None:
    """Starts anew with names: the next layer is called "dense" again.

    Args:
        free_memory: taken and not looked at: nothing here keeps old models.
    """
    naming.clear()


def get_uid(prefix: str = "") -> int:
    """Returns 1, 2, 3 … for a prefix."""
    naming._used[f"uid:{prefix}"] += 1
    return naming._used[f"uid:{prefix}"]


def reset_uids() -> None:
    """Lets names and `get_uid` begin anew."""
    naming.clear()


@contextlib.contextmanager
def name_scope(name: str) -> Iterator[None]:
    """Does nothing: tensors have no names here."""
    yield
