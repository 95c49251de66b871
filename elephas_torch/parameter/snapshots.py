"""A server's state at one moment, as bytes: what another server begins from when this one falls.

It has the vectors, what the optimizer keeps, the ledger's positions, and what workers have left
with the server of their own (see `State.keep`). Written as safetensors with JSON beside it, so
nothing is unpickled where it is read.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import safetensors
import safetensors.torch
import torch
from torch import Tensor

from elephas_torch.errors import ModelFileError
from elephas_torch.flat import Vectors
from elephas_torch.parameter.ledger import Pending, Worker
from elephas_torch.parameter.wire import Push

FORMAT = 1

#: What is known of a worker that a later one goes on from.
_POSITION = ("attempt", "samples", "seq", "epoch", "batch", "done", "reported", "clock")
#: And of a push of its that was applied, and waits for others.
_WAITING = ("seq", "base_version", "samples", "epoch")
#: Whom the others had gone on without.
LEFT_OUT = ("expired", "failed", "gone")


@dataclass
class Snapshot:
    """A moment of a server.

    Attributes:
        vectors: parameters, state and counters of `version`.
        optimizer: the `state_dict()` of the server's.
        shares: worker -> samples and moving statistics, as it sent them last.
        kept: worker -> the epoch that it is for, and what the worker keeps.
        workers: worker -> its position: attempt, samples, seq, epoch, batch, done, reported,
            clock; the epoch that it "began" with; and "waiting": its push that was applied and
            waits for others.
        epoch: where it was taken: the last epoch that all workers have done and reported on, and
            none has gone beyond; None: in the middle of one.
        learning_rate: that the driver has set, if it did.
        rate: that of the server's optimizer; None where a schedule decides.
        events: the number of the last event.
        counts, staleness: as `status()` shows them.
        story: what is told of the run, as far as the server sees it.
    """

    vectors: Vectors
    version: int
    optimizer: dict[str, Any] = field(default_factory=dict)
    shares: dict[int, tuple[int, Tensor]] = field(default_factory=dict)
    kept: dict[int, tuple[int, bytes]] = field(default_factory=dict)
    workers: dict[int, dict[str, Any]] = field(default_factory=dict)
    epoch: int | None = None
    closed_epoch: int = -1
    learning_rate: float | None = None
    rate: float | None = None
    events: int = 0
    counts: dict[str, int] = field(default_factory=dict)
    staleness: dict[int, int] = field(default_factory=dict)
    story: dict[str, Any] = field(default_factory=dict)

    def packed(self) -> bytes:
        """All of it as one safetensors file."""
        tensors = dict(zip(Vectors._fields, self.vectors, strict=True))
        numbers = {}
        for name, value in self.optimizer.items():
            if isinstance(value, Tensor):
                tensors[f"optimizer/{name}"] = value.contiguous()
            else:
                numbers[name] = value
        for worker, (_, state) in self.shares.items():
            tensors[f"share/{worker}"] = state
        for worker, (_, data) in self.kept.items():
            tensors[f"kept/{worker}"] = as_tensor(data)
        notes = {
            "format": FORMAT,
            "version": self.version,
            "optimizer": numbers,
            "shares": {worker: samples for worker, (samples, _) in self.shares.items()},
            "kept": {worker: epoch for worker, (epoch, _) in self.kept.items()},
            "workers": self.workers,
            "epoch": self.epoch,
            "closed_epoch": self.closed_epoch,
            "learning_rate": self.learning_rate,
            "rate": self.rate,
            "events": self.events,
            "counts": self.counts,
            "staleness": self.staleness,
            "story": self.story,
        }
        return safetensors.torch.save(tensors, {"server": json.dumps(notes)})

    @classmethod
    def read(cls, data: bytes) -> Snapshot:
        """Takes what `packed` gave.

        Raises:
            ModelFileError: it is damaged, or of another format.
        """
        found = notes(data)
        try:
            return _restored(found, safetensors.torch.load(data))
        except (safetensors.SafetensorError, ValueError, KeyError, TypeError) as error:
            raise _damaged(error) from None


def notes(data: bytes) -> dict[str, Any]:
    """All of a packed snapshot that isn't tensors; raises as `Snapshot.read`."""
    try:
        length = int.from_bytes(data[:8], "little")
        found = json.loads(json.loads(data[8 : 8 + length])["__metadata__"]["server"])
        if found.pop("format") == FORMAT:
            for name in ("shares", "kept", "workers", "staleness"):
                found[name] = {int(key): value for key, value in found[name].items()}
            return dict(found)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise _damaged(error) from None
    raise ModelFileError(
        "The checkpoint is of a format that this version doesn't know; it reads format "
        f"{FORMAT}. Go on with the version that wrote it."
    )


def _damaged(error: Exception) -> ModelFileError:
    return ModelFileError(f"The server's part of the checkpoint is damaged: {error}")


def _restored(notes: dict[str, Any], tensors: dict[str, Tensor]) -> Snapshot:
    vectors = Vectors(*(tensors[name] for name in Vectors._fields))
    slots = {
        name.removeprefix("optimizer/"): one
        for name, one in tensors.items()
        if name.startswith("optimizer/")
    }
    notes["optimizer"] = {**notes["optimizer"], **slots}
    notes["shares"] = {
        worker: (samples, tensors[f"share/{worker}"]) for worker, samples in notes["shares"].items()
    }
    notes["kept"] = {
        worker: (epoch, tensors[f"kept/{worker}"].numpy().tobytes())
        for worker, epoch in notes["kept"].items()
    }
    return Snapshot(vectors, **notes)


def as_tensor(data: bytes) -> Tensor:
    """Bytes as safetensors takes them."""
    return torch.from_numpy(np.frombuffer(bytearray(data), np.uint8))


def noted(worker: Worker) -> dict[str, Any]:
    """What a snapshot has of a worker."""
    found: dict[str, Any] = {name: getattr(worker, name) for name in _POSITION}
    found["began"], found["state"] = worker.began, worker.state
    pending = worker.pending
    if pending is not None and pending.counted:
        push = pending.push
        waiting = {name: getattr(push, name) for name in _WAITING}
        found["waiting"] = {**waiting, "last": push.last, "batch": pending.batch}
    return found


def known(number: int, noted: dict[str, Any], now: float) -> Worker:
    """A worker as a snapshot has it, which has to join again."""
    waiting = noted.get("waiting")
    position: dict[str, Any] = {name: int(noted[name]) for name in _POSITION}
    position["attempt"] = 0  # another Spark begins to count anew
    if position["reported"] >= position["epoch"]:  # by all-reduce there are no pushes
        position["epoch"], position["batch"] = position["reported"] + 1, 0
    # Who has no rows has nothing to come back for, and who was left out isn't waited for.
    state = ("gone" if noted["state"] in LEFT_OUT else "away") if noted["samples"] else "empty"
    made = Worker(number, info={}, last_seen=now, state=state, began=noted["began"], **position)
    if waiting is not None:
        numbers = {name: int(waiting[name]) for name in _WAITING}
        push = Push(number, made.attempt, last=bool(waiting["last"]), **numbers)
        made.pending = Pending(push, waiting["batch"], counted=True)
    return made
