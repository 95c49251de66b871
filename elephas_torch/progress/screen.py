"""Where views are shown: a terminal's line, a notebook's output, or nowhere."""

from __future__ import annotations

import threading
from typing import Protocol

from elephas_torch.keras.progress import in_notebook
from elephas_torch.progress.notebook import Notebook
from elephas_torch.progress.terminal import Terminal
from elephas_torch.progress.view import Tasks, View


class Screen(Protocol):
    """What shows one view after the other in the same place."""

    def show(self, view: View | Tasks) -> None: ...

    def hide(self) -> None:
        """Takes it away until something is shown again."""
        ...

    def close(self) -> None:
        """Takes it away for good."""
        ...


class Nowhere:
    """Shows nothing."""

    def show(self, view: View | Tasks) -> None: ...
    def hide(self) -> None: ...
    def close(self) -> None: ...


#: Who has the terminal's last line: one at a time, as fits may run in several threads.
_terminal = threading.Lock()


def opened() -> Screen:
    """The screen of this process; nowhere, while somebody else has its terminal."""
    if in_notebook():
        return Notebook()
    return Terminal(_terminal.release) if _terminal.acquire(blocking=False) else Nowhere()
