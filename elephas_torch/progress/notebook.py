"""A notebook's output that is changed in place."""

from __future__ import annotations

from typing import Any

from elephas_torch.progress.paint import markup, text
from elephas_torch.progress.view import Tasks, View

#: Columns of the plain text, for what shows no HTML.
COLUMNS = 120


class Notebook:
    """Shows a view in an output of the cell that runs."""

    def __init__(self) -> None:
        self._handle: Any = None

    def show(self, view: View | Tasks) -> None:
        """Puts it into the output, which is made with the first one."""
        from IPython.display import display

        bundle = {"text/html": markup(view), "text/plain": text(view, COLUMNS)}
        if self._handle is None:
            self._handle = display(bundle, raw=True, display_id=True)
        else:
            self._handle.update(bundle, raw=True)

    def hide(self) -> None:
        """Empties the output."""
        if self._handle is not None:
            self._handle.update({"text/html": "", "text/plain": ""}, raw=True)

    def close(self) -> None:
        """Empties it for good."""
        self.hide()
        self._handle = None
