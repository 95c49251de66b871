"""`History`: what `fit` returns."""

from __future__ import annotations

import io
import time
from pathlib import Path
from typing import Any

from elephas_torch import page
from elephas_torch.keras.callbacks.base import Callback, Logs
from elephas_torch.keras.summary import summary


class History(Callback):
    """What `fit` returns; it is `model.history` as well.

    Follows https://keras.io/api/models/model_training_apis/#fit-method

    Attributes:
        history: name -> a value for each epoch: "loss", metrics, and the same with "val_".
        epoch: the numbers of the epochs, from 0.
        story: what `to_html` shows, JSON-able; of a fit on Spark all that its page showed: workers,
            rates over time, the log. None until a fit is over.
    """

    def __init__(self) -> None:
        super().__init__()
        self.history: dict[str, list[float]] = {}
        self.epoch: list[int] = []
        self.story: dict[str, Any] | None = None
        self._began = time.time()
        self._told: dict[int, dict[str, Any]] = {}

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self.epoch = []
        self.story, self._began, self._told = None, time.time(), {}
        if self.model is not None:
            self.model.history = self

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        self.epoch.append(epoch)
        for name, value in (logs or {}).items():
            self.history.setdefault(name, []).append(value)
        told = {"time": round(time.time(), 2), "logs": dict(logs or {})}
        optimizer = getattr(self.model, "optimizer", None)
        if optimizer is not None:
            told["rate"] = float(optimizer.learning_rate)
        self._told[epoch] = told

    def to_html(self, path: Any = None) -> str:
        """The fit as one HTML file, which needs no server and no network: its curves, with their
        values as tables, its configuration and the model's summary; of a fit on Spark workers,
        rates and the log, too.

        Args:
            path: of a file to write it to. Default None: none.

        Returns:
            The text.

        Example:
            >>> from elephas_torch.keras.callbacks import History
            >>> history = History()
            >>> history.on_epoch_end(0, {"loss": 0.5})
            >>> "<html" in history.to_html()
            True
        """
        text = page.document(self.story or self._own_story())
        if path is not None:
            Path(path).write_text(text, encoding="utf-8")
        return text

    def plot(self, path: Any = None) -> Any:
        """Draws the curves with matplotlib: a picture for each metric, validation dashed.

        Args:
            path: of a file to write it to; its ending says what (.png, .svg, .pdf). Default None:
                none.

        Returns:
            A `matplotlib.figure.Figure`, which notebooks show.

        Raises:
            ImportError: matplotlib isn't installed.
            ValueError: no epoch has ended yet.
        """
        names = [name for name in self.history if not name.startswith("val_")]
        if not names:
            raise ValueError("There is nothing to plot: no epoch has ended yet.")
        figure = _figure(5.2 * len(names), 3.6)
        for axes, name in zip(figure.subplots(1, len(names), squeeze=False)[0], names, strict=True):
            for key, style, label in ((name, "-", "training"), (f"val_{name}", "--", "validation")):
                values = self.history.get(key, [])
                # A value that came later than the first epoch belongs to the last ones.
                numbers = [epoch + 1 for epoch in self.epoch[len(self.epoch) - len(values) :]]
                if values:
                    axes.plot(numbers, values, style, color="#0b5cbd", label=label)
            axes.set(title=name, xlabel="epoch")
            axes.ticklabel_format(axis="y", useOffset=False)  # "0.0010", not "1.0" and "+1e-3"
            axes.xaxis.get_major_locator().set_params(integer=True)
            axes.grid(alpha=0.3)
            if f"val_{name}" in self.history:
                axes.legend()
        if path is not None:
            figure.savefig(path)
        return figure

    def _own_story(self) -> dict[str, Any]:
        """Of a fit in this process: what there is to tell."""
        rows = []
        for number, epoch in enumerate(self.epoch):
            behind = len(self.epoch) - number
            logs = {n: found[-behind] for n, found in self.history.items() if len(found) >= behind}
            rows.append({"time": None, "rate": None, "logs": logs} | self._told.get(epoch, {}))
            rows[-1] = {"epoch": epoch, **rows[-1]}
        last = rows[-1]["time"] if rows else None
        epochs = self.params.get("epochs") or (self.epoch[-1] + 1 if self.epoch else 0)
        about = {"title": "A fit", "began": round(self._began, 2), "epochs": epochs}
        model = self.model
        if model is not None:
            text = "\n".join(summary(model, line_length=68)) if model.built else ""
            about |= {"title": model.name, "summary": text}
            about["config"] = {"epochs": epochs, "optimizer": type(model.optimizer).__name__}
        return {
            "about": about,
            "state": "finished" if rows and rows[-1]["epoch"] + 1 == epochs else "stopped",
            "epochs": page.Series(1000, rows).rows,
            "ended": last,
            "time": last,
        }


def _figure(width: float, height: float) -> Any:
    """A figure that notebooks show, also where matplotlib isn't set up for them."""
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError(
            "History.plot needs matplotlib: pip install 'elephas-torch[plot]'. "
            "History.to_html needs nothing."
        ) from error

    class Shown(Figure):
        def _repr_png_(self) -> bytes:
            buffer = io.BytesIO()
            self.savefig(buffer, format="png")
            return buffer.getvalue()

    return Shown(figsize=(width, height), layout="constrained")
