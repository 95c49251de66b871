"""What a fit on Spark shows: a line that lives through it, a line an epoch, or nothing."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

from elephas_torch.keras.progress import told
from elephas_torch.progress import screen
from elephas_torch.progress.view import Status, View, Window, rows_of, seen

#: Seconds between two looks at the server's status, and between two signs of life of a worker whom
#: somebody looks at, or nobody.
EVERY, WATCHED, ALONE = 0.25, 0.5, 5.0
#: Both come less often from so many workers on: what the server does for them is bounded.
FEW = 50


class FitProgress:
    """Shows a fit on standard output.

    Args:
        epochs: how many in all.
        batch_size: of each worker.
        verbose: 0, 1 (a live line, and one for each epoch) or 2 (a line for each epoch).
    """

    def __init__(self, epochs: int, batch_size: int, verbose: int) -> None:
        self.epochs, self.batch_size, self.verbose = epochs, batch_size, verbose
        self._screen: screen.Screen | None = None
        self._window, self._view, self._told = Window(), View(), False
        self._samples = self._ended = self._workers = 0
        self._started = self._began = self._looked = time.perf_counter()

    def beat(self, workers: int) -> float:
        """Seconds between two signs of life of a worker."""
        return min(WATCHED * max(workers / FEW, 1), ALONE) if self.verbose == 1 else ALONE

    def say(self, text: str) -> None:
        """Tells what is done before training."""
        if self.verbose == 1:
            self._show(View(text))

    def begin(self, epoch: int) -> None:
        """An epoch begins; counted from 0."""
        self._began, self._told = time.perf_counter(), False
        if self._view.total:
            self._show(replace(self._view, epoch=epoch, done=0, validating=False, logs={}))
        self._view = replace(self._view, epoch=epoch)

    def look(self, status: Callable[[], Status]) -> None:
        """Shows what the server says, a few times a second; `status` asks it."""
        now = time.perf_counter()
        epoch = self._view.epoch
        every = EVERY * max(self._workers / FEW, 1)
        if self.verbose != 1 or now - self._looked < every or epoch >= self.epochs:
            return
        if epoch + 1 == self.epochs and self._told:
            self.say("Waiting for the workers to end")
            return
        self._looked, found = now, status()
        self._window.add(now, rows_of(found))
        self._workers = len(found["workers"])
        self._samples = sum(one["samples"] for one in found["workers"].values())
        self._show(seen(found, self._window.rate(), epoch, self.epochs, self.batch_size))

    def _show(self, view: View) -> None:
        self._view = replace(view, epoch=self._view.epoch) if view.text else view
        if self._screen is None:
            self._screen = screen.opened()
        self._screen.show(view)

    def end(self, logs: dict[str, float]) -> None:
        """The epoch is over: a line of it stays."""
        if not self.verbose:
            return
        if self._screen is not None:
            self._screen.hide()
        self._ended, self._told = self._ended + 1, True
        start, seconds = f"Epoch {self._view.epoch + 1}/{self.epochs}", self._since(self._began)
        print(told(start, self._view.total, seconds, logs), flush=True)

    def finish(self) -> None:
        """The fit is over, and all went well."""
        self.close()
        if self.verbose == 1 and self._ended:
            seconds = self._since(self._started)
            said = f"{self._ended} epoch{'s' * (self._ended > 1)} in {seconds:.1f}s"
            if self._view.epoch + 1 < self.epochs:
                said = f"Stopped after epoch {self._view.epoch + 1} of {self.epochs}: {said}"
            rate = self._samples * self._ended / seconds
            print(said + (f" - {rate:,.0f} samples/s, its start included" if rate else ""))

    def _since(self, then: float) -> float:
        return time.perf_counter() - then

    def close(self) -> None:
        """Leaves the terminal in order, whatever happened."""
        if self._screen is not None:
            self._screen.close()
            self._screen = None
