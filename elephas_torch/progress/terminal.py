"""A line at the bottom of a terminal that is painted over again and again.

The line is cut to the terminal's width, less one column, each time it is painted, so that it never
wraps; after the window was made narrower, rests of the one before may stay above it.
"""

from __future__ import annotations

import logging
import os
import shutil
import sys
import threading
from collections.abc import Callable
from typing import Any, TextIO

from elephas_torch.progress.paint import FINE, text
from elephas_torch.progress.view import Tasks, View

#: Clears the rest of the line, of whatever was there: Spark's own bar is as wide as the terminal.
REST = "\033[K"


class Terminal:
    """Shows a view on a line of `sys.stdout`.

    What Python prints meanwhile, on `sys.stdout` or `sys.stderr`, comes above it: both are
    replaced until `close`.

    Args:
        closed: called once, when it is closed.
    """

    def __init__(self, closed: Callable[[], None] = lambda: None) -> None:
        self._closed: Callable[[], None] | None = closed
        self._lock = threading.RLock()
        self._out, self._error = sys.stdout, sys.stderr
        self._fine = _can_show(self._out, "".join(FINE))
        self._shown = False
        self._view: View | Tasks | None = None
        self._open_line = False
        self._above = _Above(self, self._out), _Above(self, self._error)
        sys.stdout, sys.stderr = self._above
        self._redirect((self._out, self._error), self._above)

    def show(self, view: View | Tasks) -> None:
        """Paints it; not while somebody is in the middle of a line of his own."""
        with self._lock:
            self._view = view
            if self._open_line:
                return
            self._put(text(view, _width(self._out), self._fine))
            self._shown = True

    def above(self, stream: TextIO, written: str) -> None:
        """Writes what somebody prints in place of the line, which comes again below it."""
        if not written:
            return
        with self._lock:
            self._clear()
            stream.write(written)
            stream.flush()
            self._open_line = not written.endswith("\n")
            if self._view is not None:
                self.show(self._view)

    def hide(self) -> None:
        """Takes the line away until something is shown again."""
        with self._lock:
            self._view = None
            self._clear()

    def close(self) -> None:
        """Takes the line away, and gives the streams back."""
        self.hide()
        if sys.stdout is self._above[0]:
            sys.stdout = self._out
        if sys.stderr is self._above[1]:
            sys.stderr = self._error
        self._redirect(self._above, (self._out, self._error))
        closed, self._closed = self._closed, None
        if closed is not None:
            closed()

    def _redirect(self, before: tuple[Any, Any], after: tuple[Any, Any]) -> None:
        """Lets log handlers that were set up before write above the line, too."""
        for name in (None, "elephas_torch"):
            for handler in logging.getLogger(name).handlers:
                if isinstance(handler, logging.StreamHandler) and handler.stream in before:
                    handler.setStream(after[before.index(handler.stream)])

    def _clear(self) -> None:
        if self._shown:
            self._put("")
            self._shown = False

    def _put(self, found: str) -> None:
        self._out.write(f"\r{found}{REST}")
        self._out.flush()


class _Above:
    """A stream whose text comes above the line."""

    def __init__(self, terminal: Terminal, stream: TextIO) -> None:
        self._terminal, self._stream = terminal, stream

    def write(self, written: str) -> int:
        self._terminal.above(self._stream, written)
        return len(written)

    def writelines(self, lines: Any) -> None:
        self.write("".join(lines))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def _width(stream: TextIO) -> int:
    """The terminal's columns now, less one."""
    try:
        found = os.get_terminal_size(stream.fileno()).columns
    except (OSError, ValueError, AttributeError):
        found = 0
    return (found or shutil.get_terminal_size().columns) - 1


def _can_show(stream: TextIO, signs: str) -> bool:
    try:
        signs.encode(stream.encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True
