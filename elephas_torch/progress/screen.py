"""Where views are shown: a terminal's line, a notebook's output, or nowhere."""

from __future__ import annotations

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


def opened() -> Screen:
    """The screen of this process."""
    return Notebook() if in_notebook() else Terminal()
