"""`CSVLogger`: a line an epoch in a file."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterable
from typing import IO, Any

from elephas_torch.keras.callbacks.base import Callback, Logs


class CSVLogger(Callback):
    """Writes each epoch's values into a CSV file: `epoch`, then their names in order.

    Follows https://keras.io/api/callbacks/csv_logger/

    The columns are those of the first epoch; where it had no validation, columns for it are
    there all the same. A value that isn't there is "NA".

    Args:
        filename: the file.
        separator: between two values. Default ",".
        append: goes on in a file that is there. Default False: it is written anew.

    Raises:
        ValueError: `separator` isn't one character.
    """

    def __init__(
        self, filename: str | os.PathLike[str], separator: str = ",", append: bool = False
    ) -> None:
        super().__init__()
        if not isinstance(separator, str) or len(separator) != 1:
            raise ValueError(
                f"CSVLogger: `separator` must be one character. Received: separator={separator!r}"
            )
        self.filename = os.fspath(filename)
        self.sep = separator
        self.append = append
        self._file: IO[str] | None = None
        self._writer: Any = None
        self._keys: list[str] | None = None

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self._close()
        mode = "a" if self.append else "w"
        self._file = open(self.filename, mode, newline="")  # noqa: SIM115
        self._writer = csv.writer(self._file, delimiter=self.sep)
        self._keys = None

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        if self._file is None:
            return
        logs = logs or {}
        if self._keys is None:
            self._keys = _columns(logs)
            if self._file.tell() == 0:
                self._writer.writerow(["epoch", *self._keys])
        self._writer.writerow([epoch, *(_cell(logs.get(key, "NA")) for key in self._keys)])
        self._file.flush()

    def on_train_end(self, logs: Logs | None = None) -> None:
        self._close()

    def _close(self) -> None:
        if self._file is not None:
            self._file.close()
        self._file = self._writer = None


def _columns(logs: Logs) -> list[str]:
    keys = sorted(logs)
    if not any(key.startswith("val_") for key in keys):
        keys += [f"val_{key}" for key in keys]
    return keys


def _cell(value: Any) -> Any:
    single = isinstance(value, str) or getattr(value, "ndim", None) == 0
    if isinstance(value, Iterable) and not single:
        return f'"[{", ".join(map(str, value))}]"'
    return value
