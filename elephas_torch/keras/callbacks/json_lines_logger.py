"""`JSONLinesLogger`: a record of each training, as lines of JSON."""

from __future__ import annotations

import datetime
import importlib.metadata
import json
import math
import os
import platform
import time
import uuid
from typing import Any

from elephas_torch._version import __version__
from elephas_torch.keras.callbacks.base import Callback, Logs

#: Packages whose versions say how a training can be repeated.
_PACKAGES = ("torch", "numpy", "pyspark", "pyarrow")


class JSONLinesLogger(Callback):
    """Appends a record of each training to a file: one JSON object a line, written at once.

    Not in Keras. Lines of one training have the same "run", and an "event":

    - "begin": "versions", "host", "pid"; "model": its name, its numbers of layers and weights; how
      it is compiled ("compile"); what `fit` got ("fit"); and of a `SparkModel` its `get_config()`,
      with the number of workers, the batch size and the seed of this fit ("spark").
    - "epoch": "epoch" (from 0), "seconds", "logs".
    - "end": "status", "seconds"; the status is "finished", "stopped" (by a callback), or "failed"
      with the "error". A process that is killed leaves no such line.

    All have "time", UTC in ISO 8601. NaN and infinite numbers are null. Several trainings, also of
    several processes of one machine, may write to the same file.

    Args:
        filename: the file; it is made where there is none, and never emptied.

    Raises:
        OSError: it can't be written to; of the hooks.

    Example:
        >>> from elephas_torch.keras.callbacks import JSONLinesLogger
        >>> logger = JSONLinesLogger("/tmp/runs.jsonl")
    """

    def __init__(self, filename: str | os.PathLike[str]) -> None:
        super().__init__()
        self.filename = os.fspath(filename)
        self.run: str | None = None
        self._began = self._epoch_began = 0.0
        self._epochs = 0

    def on_train_begin(self, logs: Logs | None = None) -> None:
        run, self.run, self._epochs = uuid.uuid4().hex, None, 0
        self._began = time.perf_counter()
        params = dict(self.params)
        spark = params.pop("spark", None)
        self._write(
            "begin",
            run=run,
            host=platform.node(),
            pid=os.getpid(),
            versions=_versions(),
            model=_described(self.model),
            compile=_compiled(self.model),
            fit=params,
            spark=spark,
        )
        self.run = run  # there is a beginning: an end belongs to it

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        self._epoch_began = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        self._epochs = epoch + 1
        seconds = round(time.perf_counter() - self._epoch_began, 3)
        self._write("epoch", epoch=epoch, seconds=seconds, logs=dict(logs or {}))

    def on_train_end(self, logs: Logs | None = None) -> None:
        stopped = self.model.stop_training and self._epochs < self.params.get("epochs", 0)
        self._end("stopped" if stopped else "finished")

    def on_exception(self, exception: BaseException) -> None:
        self._end("failed", error=f"{type(exception).__name__}: {exception}")

    def _end(self, status: str, **more: Any) -> None:
        if self.run is not None:
            seconds = round(time.perf_counter() - self._began, 3)
            self._write("end", status=status, seconds=seconds, **more)
            self.run = None

    def _write(self, event: str, **more: Any) -> None:
        now = datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="milliseconds")
        record = {"run": self.run, "event": event, "time": now, **more}
        # One write to a file that is opened for appending: lines of several processes don't mix.
        with open(self.filename, "ab", buffering=0) as file:
            file.write(json.dumps(_plain(record), allow_nan=False).encode() + b"\n")


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version(), "elephas_torch": __version__}
    for name in _PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def _described(model: Any) -> dict[str, Any]:
    count = sum(weight.numel() for weight in model.trainable_weights)
    return {
        "name": model.name,
        "layers": len(model.layers),
        "weights": model.count_params(),
        "trainable_weights": count,
    }


def _compiled(model: Any) -> Any:
    try:
        return model.get_compile_config()
    except Exception as error:  # of losses and metrics of one's own that have no config
        return {"error": f"{type(error).__name__}: {error}"}


def _plain(value: Any) -> Any:
    """The same as JSON takes it: other objects as what they print, NaN as null."""
    if isinstance(value, dict):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, bool | int | str):
        return value
    tolist = getattr(value, "tolist", None)  # arrays and tensors, and their scalars
    return str(value) if tolist is None else _plain(tolist())
