"""`BackupAndRestore`: an interrupted fit goes on where it was."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from elephas_torch.errors import ModelFileError
from elephas_torch.keras.arguments import check_flag
from elephas_torch.keras.callbacks.base import Callback, Logs
from elephas_torch.keras.callbacks.frequency import Every, checked_frequency

_LATEST = "latest.safetensors"
_PREVIOUS = "previous.safetensors"


class BackupAndRestore(Callback):
    """Keeps the state of the training in a file, from which an interrupted fit goes on.

    Follows https://keras.io/api/callbacks/backup_and_restore/

    Run the same script again after an interruption: `fit` takes the weights, the optimizer's
    state, the learning rate and torch's random numbers, and begins at the epoch (and, with
    `save_freq` in batches, at the batch) after the one that was saved. What comes out is what
    the fit would have come to without the interruption, to the bit on the CPU. In
    `SparkModel.fit` the optimizers of workers and server begin anew.

    Args:
        backup_dir: the folder for its files, for this fit alone; it is made if it isn't there.
        save_freq: "epoch" (default), or a number of batches, counted over the ends of epochs.
        double_checkpoint: keeps the state before the last one too, and takes it where the last
            one is damaged. Default False.
        delete_checkpoint: removes its files when the training is over. Default True.

    Attributes:
        resumed: the epoch and the batch, from 0, that the present fit began at; None where it
            began anew.

    Raises:
        ValueError: an empty `backup_dir`, or a frequency that doesn't exist.
        ModelFileError: when training begins: the saved state is damaged, or another model's.
    """

    def __init__(
        self,
        backup_dir: str | os.PathLike[str],
        save_freq: str | int = "epoch",
        double_checkpoint: bool = False,
        delete_checkpoint: bool = True,
    ) -> None:
        super().__init__()
        if not backup_dir:
            raise ValueError(
                f"BackupAndRestore: `backup_dir` is empty. Received: backup_dir={backup_dir!r}"
            )
        check_flag("double_checkpoint", double_checkpoint)
        check_flag("delete_checkpoint", delete_checkpoint)
        self.backup_dir = os.fspath(backup_dir)
        self.save_freq = checked_frequency("BackupAndRestore", save_freq)
        self.double_checkpoint = double_checkpoint
        self.delete_checkpoint = delete_checkpoint
        self.resumed: tuple[int, int] | None = None
        self._every = None if self.save_freq == "epoch" else Every(int(self.save_freq))
        self._epoch = 0
        self._last_saved = False
        self._random: Tensor | None = None
        self._state: _State | None = None

    @property
    def _batchwise(self) -> bool:
        return self._every is not None

    @property
    def _latest(self) -> Path:
        return Path(self.backup_dir, _LATEST)

    @property
    def _previous(self) -> Path:
        return Path(self.backup_dir, _PREVIOUS)

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self._state = self._load()
        self.resumed = None
        if self._state is not None:
            self._state.restore(self.model)
            self._state.round_up(self.params.get("steps"))
            self.resumed = (self._state.epoch, self._state.batch)

    def _load(self) -> _State | None:
        if not self._latest.exists():
            return None
        try:
            return _State.read(self._latest)
        except ModelFileError:
            if not self._previous.exists():
                raise
            return _State.read(self._previous)

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        self._epoch = epoch
        if self._state is not None:
            torch.set_rng_state(self._state.random_epoch)
            if not self._state.batch:
                self._state = None
        self._last_saved = False
        self._random = torch.get_rng_state()

    def on_train_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        super().on_train_batch_begin(batch, logs)
        if self._state is not None:  # the first batch of an epoch that had begun
            self._state.restore_middle(self.model)
            self._state = None

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        super().on_train_batch_end(batch, logs)
        self._last_saved = self._every is not None and self._every.due(batch)
        if self._last_saved:
            self._save(self._epoch, batch + 1)

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        self._state = self._random = None
        if self._every is None or self._last_saved:
            self._save(epoch + 1, 0)

    def _save(self, epoch: int, batch: int) -> None:
        os.makedirs(self.backup_dir, exist_ok=True)
        state = _State.of(self.model, epoch, batch, self._random)
        fresh = Path(self.backup_dir, f".{_LATEST}")
        fresh.write_bytes(state.content())
        if self.double_checkpoint and self._latest.exists():
            os.replace(self._latest, self._previous)
        os.replace(fresh, self._latest)

    def on_train_end(self, logs: Logs | None = None) -> None:
        if not self.delete_checkpoint:
            return
        for path in (self._latest, self._previous):
            path.unlink(missing_ok=True)
        folder = Path(self.backup_dir)
        if folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()


class _State:
    """A moment of a training.

    Attributes:
        tensors: the model's by their number, since names of layers that nobody named change;
            the optimizer's by name; torch's random state.
        notes: epoch, batch, learning rate, and the sums that the epoch's logs are made from.
    """

    def __init__(self, tensors: dict[str, Tensor], notes: dict[str, Any], path: Any = "") -> None:
        self.tensors, self.notes, self.path = tensors, notes, path

    @property
    def epoch(self) -> int:
        return int(self.notes["epoch"])

    @property
    def batch(self) -> int:
        return int(self.notes["batch"])

    @property
    def random_epoch(self) -> Tensor:
        return self.tensors["random/epoch"]

    @classmethod
    def of(cls, model: Any, epoch: int, batch: int, random: Tensor | None) -> _State:
        now = torch.get_rng_state()
        tensors = {"random/now": now, "random/epoch": now if random is None else random.clone()}
        for number, tensor in enumerate(model.state_dict().values()):
            tensors[f"model/{number:05d}"] = tensor.detach().clone().contiguous()
        for name, value in model.optimizer.state_dict().items():
            tensors[f"optimizer/{name}"] = torch.as_tensor(value).clone()
        notes = {
            "epoch": epoch,
            "batch": batch,
            "optimizer": type(model.optimizer).__name__,
            "learning_rate": float(model.optimizer.learning_rate),
            "sums": model._ready().sums() if batch and not model.steps_by_itself else None,
        }
        return cls({name: one.clone() for name, one in tensors.items()}, notes)

    def content(self) -> bytes:
        return safetensors.torch.save(self.tensors, {"training": json.dumps(self.notes)})

    @classmethod
    def read(cls, path: Path) -> _State:
        try:
            with safetensors.safe_open(path, framework="pt") as file:
                notes = json.loads((file.metadata() or {})["training"])
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        except (safetensors.SafetensorError, ValueError, KeyError, RuntimeError) as error:
            raise ModelFileError(
                f"BackupAndRestore: the saved state in {str(path)!r} is damaged ({error}). "
                "Remove it to train from the beginning."
            ) from None
        return cls(tensors, notes, path)

    def _part(self, start: str) -> dict[str, Tensor]:
        tensors = self.tensors.items()
        return {name.removeprefix(start): one for name, one in tensors if name.startswith(start)}

    def round_up(self, steps: int | None) -> None:
        """After the last of `steps` batches, goes on to the next epoch."""
        if steps and self.batch >= steps:
            self.notes |= {"epoch": self.epoch + 1, "batch": 0}
            self.tensors["random/epoch"] = self.tensors["random/now"]

    def restore(self, model: Any) -> None:
        """Takes weights, optimizer and rate into the model."""
        mine, saved = list(model.state_dict().values()), self._part("model/")
        theirs = [saved[name] for name in sorted(saved)]
        if [one.shape for one in mine] != [one.shape for one in theirs]:
            raise self._unfit(f"{len(theirs)} tensors, or of other shapes", f"{len(mine)}")
        optimizer = type(model.optimizer).__name__
        if optimizer != self.notes["optimizer"]:
            raise self._unfit(self.notes["optimizer"], optimizer)
        with torch.no_grad():
            for tensor, stored in zip(mine, theirs, strict=True):
                tensor.copy_(stored)
        model.optimizer.load_state_dict(self._part("optimizer/"))
        if float(model.optimizer.learning_rate) != self.notes["learning_rate"]:
            model.optimizer.learning_rate = self.notes["learning_rate"]

    def _unfit(self, saved: str, own: str) -> ModelFileError:
        return ModelFileError(
            f"BackupAndRestore: the saved state in {str(self.path)!r} is another model's: it has "
            f"{saved}, the model has {own}. Remove it to train from the beginning."
        )

    def restore_middle(self, model: Any) -> None:
        """Takes what belongs to the middle of an epoch: random numbers, and the logs' sums."""
        torch.set_rng_state(self.tensors["random/now"])
        if self.notes["sums"]:
            model._ready().load_sums([self.notes["sums"]])
