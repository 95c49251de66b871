"""Warnings that point at the user's own line."""

from __future__ import annotations

import sys
import warnings
from types import FrameType

_PACKAGE = __name__.partition(".")[0]


def warn(message: str, category: type[Warning] = DeprecationWarning) -> None:
    """Warns at the line that called into this package."""
    warnings.warn(message, category, stacklevel=_level())


def _level() -> int:
    frame: FrameType | None = sys._getframe(1)
    level = 0
    while frame is not None:
        # warnings doesn't count the frames of the import machinery either
        level += not _is_import(frame)
        if not _is_import(frame) and not _is_ours(frame):
            break
        frame = frame.f_back
    return level


def _is_ours(frame: FrameType) -> bool:
    name = str(frame.f_globals.get("__name__", ""))
    return name.partition(".")[0] in (_PACKAGE, "importlib")


def _is_import(frame: FrameType) -> bool:
    return "importlib" in frame.f_code.co_filename and "_bootstrap" in frame.f_code.co_filename
