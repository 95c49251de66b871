"""What a fit begins from again where its server, or the driver, has fallen.

The server makes a snapshot each time that all workers have done an epoch (or is asked for one);
the driver fetches it, holds it, and has it written. A server that falls is started again from the
one that is held, and workers join again: what they did since then is done again.
"""

from __future__ import annotations

import logging
import re
import time
from dataclasses import dataclass, replace
from typing import Any

import safetensors.torch
import torch

from elephas_torch import signature
from elephas_torch.checkpoints import Checkpoint, Checkpoints
from elephas_torch.config import Config
from elephas_torch.errors import ElephasError, ServerError
from elephas_torch.flat import Vectors
from elephas_torch.keras.arguments import check_flag
from elephas_torch.keras.models import Model
from elephas_torch.optimizers import Optimizer
from elephas_torch.parameter import snapshots
from elephas_torch.parameter.shards import ShardedClient, ShardedServer
from elephas_torch.parameter.snapshots import Snapshot
from elephas_torch.plan import Plan

logger = logging.getLogger(__name__)

#: Looks for the same epoch's snapshot at all shards.
TRIES, WAIT = 20, 0.05
#: Settings that must be the same in a fit that goes on from the checkpoint of another; its plan
#: has others.
_SAME = ("mode", "num_shards", "staleness", "quorum", "staleness_bound", "compression")
_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "min": 60.0}


@dataclass(frozen=True)
class Every:
    """When a checkpoint is made.

    Attributes:
        epochs: after so many epochs; 0: by time.
        seconds: after so many seconds; 0: by epochs.
    """

    epochs: int
    seconds: float = 0.0


def every(given: Any) -> Every:
    """Takes `checkpoint_every`: a number of epochs, or a time as Spark spells it ("30s", "10m").

    Raises:
        TypeError, ValueError: it is neither.
    """
    if isinstance(given, str):
        found = re.fullmatch(r"\s*([0-9]+)\s*(s|m|min|h|d)\s*", given.lower())
        if found is not None and int(found[1]):
            return Every(0, int(found[1]) * _UNITS[found[2]])
    elif isinstance(given, int) and not isinstance(given, bool) and given >= 1:
        return Every(given)
    kind = ValueError if isinstance(given, str | int) else TypeError
    raise kind(
        "`checkpoint_every` must be a number of epochs, 1 or more, or a time such as '600s' or "
        f"'10m'. Received: checkpoint_every={given!r}"
    )


@dataclass
class Held:
    """Snapshots of all servers at one moment.

    Attributes:
        packed: the snapshots.
        notes: of that of the first server, which knows reports and events.
    """

    packed: list[bytes]
    notes: dict[str, Any]

    @classmethod
    def of(cls, packed: list[bytes]) -> Held:
        return cls(packed, snapshots.notes(packed[0]))

    @property
    def events(self) -> int:
        """The number of the last event before."""
        return int(self.notes["events"])

    @property
    def reported(self) -> dict[int, int]:
        """The last epoch that each worker with rows has reported on."""
        workers = self.notes["workers"].items()
        return {number: one["reported"] for number, one in workers if one["samples"]}

    def vectors(self) -> Vectors:
        """The weights, of all servers together."""
        parts = [Snapshot.read(one).vectors for one in self.packed]
        return parts[0]._replace(parameters=torch.cat([one.parameters for one in parts]))

    def kept(self) -> bytes:
        """What workers have left with the server, by their numbers, as safetensors."""
        found = Snapshot.read(self.packed[0]).kept
        return safetensors.torch.save(
            {str(worker): snapshots.as_tensor(data) for worker, (_, data) in found.items()}
        )

    @property
    def settled(self) -> set[int]:
        """The workers that nobody waits for: they have no rows, or were left out."""
        workers = self.notes["workers"].items()
        return {n for n, one in workers if not one["samples"] or one["state"] in snapshots.LEFT_OUT}

    @property
    def empty(self) -> int:
        """How many workers have no rows."""
        return sum(not one["samples"] for one in self.notes["workers"].values())

    @property
    def at(self) -> int:
        """The first epoch that isn't reported on by all."""
        return min(self.reported.values(), default=-1) + 1


class Recovery:
    """The snapshots of a run, and the restarts of its server.

    Args:
        checkpoints: where they are written.
        every: how often.
        midway: whether a moment in the middle of an epoch will do.
        restarts: how often the server may fall.
        signed: what must be the same in a fit that goes on from there.
        found: the checkpoint that this fit goes on from.

    Attributes:
        fallen: how often the server has ended.
        held: what it begins from, should it end now.

    Raises:
        ValueError: it is of another fit.
    """

    def __init__(
        self,
        checkpoints: Checkpoints,
        every: Every,
        midway: bool,
        restarts: int,
        signed: dict[str, Any],
        found: Checkpoint | None,
    ) -> None:
        self.checkpoints, self.every, self.restarts = checkpoints, every, restarts
        self._fresh = midway and bool(every.seconds)
        self.signed, self.found = signed, found
        if found is not None:
            signature.check_same(signed, found.fit["signature"], checkpoints.path)
        self.held: Held | None = None if found is None else Held.of(found.servers)
        self._arriving: Held | None = None
        self._due = False
        self.fallen = 0
        self._last = time.monotonic()

    @property
    def packed(self) -> list[bytes] | None:
        """What the servers are to begin from; None: from the model's weights."""
        return None if self.held is None else self.held.packed

    @property
    def milestones(self) -> int:
        """After so many epochs the server is to make a snapshot; 0: not by itself."""
        return 0 if self._fresh else self.every.epochs or 1

    @property
    def earliest(self) -> int:
        """The first epoch that could have to be done again."""
        return 0 if self.held is None else self.held.at

    def begin(self, client: ShardedClient) -> None:
        """Takes a first snapshot, before anything is trained."""
        if self.held is None:
            self.held = Held.of(client.checkpoints(fresh=True))
        self._last = time.monotonic()

    def note(self, event: dict[str, Any]) -> None:
        """Takes an event of the server's."""
        self._due = self._due or event["kind"] == "milestone"

    def look(self, client: ShardedClient, seen: int, known: Any) -> None:
        """Fetches a snapshot where there is a new one, and has it written once the driver knows
        all that was told until then.

        Args:
            seen: the number of the last event that the driver has handled.
            known: gives what the driver knows, JSON-able.
        """
        self.checkpoints.look()
        if self._arriving is None and self._is_due():
            self._arriving = self._fetched(client)
        if self._arriving is not None and seen >= self._arriving.events:
            self.held, self._arriving = self._arriving, None
            self.write(known())

    def end(self, client: ShardedClient, known: dict[str, Any]) -> None:
        """Takes the last snapshot, and has it written."""
        self.held = Held.of(client.checkpoints(fresh=True))
        self.write(known)

    def write(self, known: dict[str, Any]) -> None:
        """Has what is held written, and what the driver knows."""
        assert self.held is not None
        self.checkpoints.write(self.held.packed, {"signature": self.signed, **known})

    def _is_due(self) -> bool:
        if self.every.seconds and time.monotonic() - self._last < self.every.seconds:
            return False
        if not self._due and not self._fresh:
            return False
        self._due, self._last = False, time.monotonic()
        return True

    def _fetched(self, client: ShardedClient) -> Held | None:
        if self._fresh:
            return Held.of(client.checkpoints(fresh=True))
        found = [b""] * len(client.clients)
        for _ in range(TRIES):
            found = [
                one or shard.checkpoint() for one, shard in zip(found, client.clients, strict=True)
            ]
            epochs = [_epoch(one) for one in found]
            found = [
                one if epoch == max(epochs) else b""
                for one, epoch in zip(found, epochs, strict=True)
            ]
            if all(found):
                return Held.of(found)
            time.sleep(WAIT)
        logger.debug("The shards have no snapshot of one moment; the next one is waited for.")
        return None

    def restart(self, server: ShardedServer, why: ElephasError) -> Held:
        """Starts the server again that has ended, or doesn't answer.

        Args:
            why: how that was noticed.

        Raises:
            ServerError: it has fallen too often.
        """
        fall = _fall(server, why)
        self.fallen += 1
        if self.fallen > self.restarts or self.held is None:
            raise ServerError(
                f"The parameter server has fallen (so often: {self.fallen}), and isn't started "
                f"again (server_restarts={self.restarts}). fit(checkpoint_dir=…, resume=True) "
                f"goes on from the last checkpoint in {self.checkpoints.path!r}, if there is one. "
                f"{fall}"
            )
        logger.warning(
            "The parameter server has fallen; it begins again from the snapshot at epoch %d "
            "(%d of %d times). %s", self.held.at + 1, self.fallen, self.restarts, fall,
        )  # fmt: skip
        self._arriving, self._due = None, False
        server.restart(self.held.packed)
        return self.held


def _fall(server: ShardedServer, why: ElephasError) -> ElephasError:
    """What is known of how a server has fallen."""
    try:
        server.check(grace=2.0)
    except ServerError as error:
        return error
    return why


def _epoch(packed: bytes) -> int:
    """The epoch that a snapshot was made at the end of; -1: at that of none, or there is none."""
    found = snapshots.notes(packed)["epoch"] if packed else None
    return -1 if found is None else int(found)


def check_resume(resume: Any, checkpoint_dir: Any, every: Every) -> None:
    """Raises ValueError where there is nothing to resume from, or no place for checkpoints."""
    if checkpoint_dir is None and every != Every(1):
        raise ValueError(
            "`checkpoint_every` is how often to write to `checkpoint_dir`: give that, too. "
            "Received: checkpoint_dir=None"
        )
    check_flag("resume", resume)
    if resume and checkpoint_dir is None:
        raise ValueError(
            "resume=True goes on from the checkpoints in `checkpoint_dir`: give that, too. "
            "Received: checkpoint_dir=None"
        )


def prepared(
    checkpoints: Checkpoints,
    every: Every,
    resume: bool,
    config: Config,
    plan: Plan,
    model: Model,
    optimizer: Optimizer,
    workers: int,
) -> tuple[Plan, Recovery]:
    """A fit's plan with checkpoints, and its recovery.

    Args:
        checkpoints: of a folder of its own, or where it is resumed.
        config: the `SparkModel`'s; a seed that it hasn't is that of the fit before.
        optimizer: the server's.
        workers: how many there are.

    Raises:
        ValueError: there are checkpoints of another fit.
        ModelFileError: there are some, and none is whole.
    """
    if not resume:
        checkpoints.check_unused()
    checkpoints.prepare()
    found = checkpoints.read() if resume else None
    if found is not None and config.seed is None:
        plan = replace(plan, seed=int(found.fit["signature"]["seed"]))
    plan = replace(plan, keeps=True)
    same = {name: getattr(config, name) for name in _SAME}
    signed = signature.of(model, optimizer, plan, **same, num_workers=workers)
    midway = _can_be_midway(config, plan, model.optimizer)
    return plan, Recovery(checkpoints, every, midway, config.server_restarts, signed, found)


def _can_be_midway(config: Config, plan: Plan, optimizer: Optimizer) -> bool:
    """Whether a snapshot in the middle of an epoch has all that there is: in synchronous mode
    workers must have nothing of their own, so that what comes after is the same to the bit."""
    if config.num_shards > 1 or config.exchange != "server":
        return False
    return config.mode != "synchronous" or (plan.gradients and not optimizer.scales_loss)
