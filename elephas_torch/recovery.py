"""What a fit begins from again where its server, or the driver, has fallen.

The server makes a snapshot each time that all workers have done an epoch (or is asked for one);
the driver fetches it, holds it, and has it written. A server that falls is started again from the
one that is held, and workers join again: what they did since then is done again.
"""

from __future__ import annotations

import json
import logging
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import safetensors.torch
import torch

from elephas_torch import preflight
from elephas_torch.checkpoints import Checkpoint, Checkpoints
from elephas_torch.errors import ServerError
from elephas_torch.flat import Vectors
from elephas_torch.keras.arguments import check_flag
from elephas_torch.keras.models import Model
from elephas_torch.optimizers import Optimizer
from elephas_torch.parameter import snapshots
from elephas_torch.parameter.shards import ShardedServer
from elephas_torch.parameter.snapshots import Snapshot
from elephas_torch.plan import Plan

logger = logging.getLogger(__name__)

#: Looks for the same epoch's snapshot at all shards.
TRIES, WAIT = 20, 0.05
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
        signature: what must be the same in a fit that goes on from there.
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
        signature: dict[str, Any],
        found: Checkpoint | None,
    ) -> None:
        self.checkpoints, self.every, self.restarts = checkpoints, every, restarts
        self._fresh = midway and bool(every.seconds)
        self.signature, self.found = signature, found
        if found is not None:
            check_same(signature, found.fit["signature"], checkpoints.path)
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

    def begin(self, server: ShardedServer) -> None:
        """Takes a first snapshot, before anything is trained."""
        if self.held is None:
            self.held = Held.of(server.checkpoint(fresh=True))
        self._last = time.monotonic()

    def note(self, event: dict[str, Any]) -> None:
        """Takes an event of the server's."""
        self._due = self._due or event["kind"] == "milestone"

    def look(self, server: ShardedServer, seen: int, known: Any) -> None:
        """Fetches a snapshot where there is a new one, and has it written once the driver knows
        all that was told until then.

        Args:
            seen: the number of the last event that the driver has handled.
            known: gives what the driver knows, JSON-able.
        """
        self.checkpoints.look()
        if self._arriving is None and self._is_due():
            self._arriving = self._fetched(server)
        if self._arriving is not None and seen >= self._arriving.events:
            self.held, self._arriving = self._arriving, None
            self.write(known())

    def end(self, server: ShardedServer, known: dict[str, Any]) -> None:
        """Takes the last snapshot, and has it written."""
        self.held = Held.of(server.checkpoint(fresh=True))
        self.write(known)

    def write(self, known: dict[str, Any]) -> None:
        """Has what is held written, and what the driver knows."""
        assert self.held is not None
        self.checkpoints.write(self.held.packed, {"signature": self.signature, **known})

    def _is_due(self) -> bool:
        if self.every.seconds and time.monotonic() - self._last < self.every.seconds:
            return False
        if not self._due and not self._fresh:
            return False
        self._due, self._last = False, time.monotonic()
        return True

    def _fetched(self, server: ShardedServer) -> Held | None:
        if self._fresh:
            return Held.of(server.checkpoint(fresh=True))
        for _ in range(TRIES):
            found = server.checkpoint()
            if all(found) and len({snapshots.notes(one)["epoch"] for one in found}) == 1:
                return Held.of(found)
            time.sleep(WAIT)
        logger.debug("The shards have no snapshot of one moment; the next one is waited for.")
        return None

    def restart(self, server: ShardedServer) -> Held:
        """Starts the server again that has ended.

        Raises:
            ServerError: it has fallen too often, or it runs.
        """
        try:
            server.check(grace=2.0)
        except ServerError as error:
            fall = error
        else:
            raise ServerError("The parameter server runs, but can't be reached.")
        self.fallen += 1
        if self.fallen > self.restarts or self.held is None:
            raise ServerError(
                f"The parameter server has ended {self.fallen} times, and isn't started again "
                f"(server_restarts={self.restarts}). The last checkpoint is in "
                f"{self.checkpoints.path!r}: fit(checkpoint_dir=…, resume=True) goes on from "
                f"there. {fall}"
            ) from None
        logger.warning(
            "The parameter server has ended; it begins again from the snapshot at epoch %d "
            "(%d of %d times). %s", self.held.at + 1, self.fallen, self.restarts, fall,
        )  # fmt: skip
        self._arriving, self._due = None, False
        server.restart(self.held.packed)
        return self.held


def check_resume(resume: Any, checkpoint_dir: Any) -> None:
    """Raises ValueError where there is nothing to resume from."""
    check_flag("resume", resume)
    if resume and checkpoint_dir is None:
        raise ValueError(
            "resume=True goes on from the checkpoints in `checkpoint_dir`: give that, too. "
            "Received: checkpoint_dir=None"
        )


def planned(plan: Plan, found: Checkpoint | None, keep_seed: bool) -> Plan:
    """The plan of a fit with checkpoints.

    Args:
        found: one to go on from; its seed is taken.
        keep_seed: the seed was given, and isn't to be changed.
    """
    if found is not None and not keep_seed:
        plan = replace(plan, seed=int(found.fit["signature"]["seed"]))
    return replace(plan, keeps=True)


def can_be_midway(mode: str, plan: Plan, shards: int, optimizer: Optimizer) -> bool:
    """Whether a snapshot in the middle of an epoch has all that there is: in synchronous mode
    workers must have nothing of their own, so that what comes after is the same to the bit."""
    if shards > 1 or plan.exchange != "server":
        return False
    return mode != "synchronous" or (plan.gradients and not optimizer.scales_loss)


def signature(model: Model, optimizer: Optimizer, plan: Plan, **more: Any) -> dict[str, Any]:
    """What must be the same in a fit that goes on from a checkpoint of another, JSON-able."""
    weights = class_weights(plan.class_weight)
    found = {
        "frequency": "batch" if plan.gradients else plan.every or "epoch",
        "exchange": plan.exchange,
        "initial_epoch": plan.initial_epoch,
        "batch_size": plan.batch_size,
        "validation_split": plan.validation_split,
        "shuffle": plan.shuffle,
        "class_weight": weights,
        "seed": plan.seed,
        "overlap": plan.overlap,
        **_named("server's optimizer", optimizer),
        **_named("model's optimizer", model.optimizer),
        "weights": [list(weight.shape) for weight in preflight.trained(model)],
        "layers": _layers(model),
        "loss": _plain(model.compiled.loss if model.compiled is not None else None),
        "metrics": [type(one).__name__ for one in model.metrics],
        **more,
    }
    return dict(json.loads(json.dumps(found, default=repr)))


def class_weights(given: Mapping[Any, Any] | None) -> dict[str, float] | None:
    """The classes' weights as JSON has them."""
    return None if given is None else {str(int(key)): float(given[key]) for key in given}


def _named(owner: str, optimizer: Optimizer) -> dict[str, Any]:
    """An optimizer's settings; without its learning rate, which goes on from where it was."""
    config = {"kind": type(optimizer).__name__, **_plain(optimizer.get_config())}
    return {f"{owner}: {name}": value for name, value in config.items()}


def _layers(model: Model) -> list[Any]:
    """What the layers are, as far as they say so: of a torch module the class alone."""
    found = []
    for layer in model.layers:
        try:
            # The config of a model within has its layers' names in other places, too.
            config = _layers(layer) if isinstance(layer, Model) else _plain(layer.get_config())
        except (NotImplementedError, TypeError, ValueError):
            config = {}  # a layer of somebody's own, or a torch module: it has none, and need not
        found.append([type(layer).__name__, config])
    return found


def _plain(tree: Any) -> Any:
    """Without names, of which each new model has others, learning rates, which callbacks change,
    and objects without a config."""
    if isinstance(tree, dict):
        own = {key: one for key, one in tree.items() if key != "name"}
        if isinstance(own.get("learning_rate"), float):
            del own["learning_rate"]
        return {str(key): _plain(one) for key, one in own.items()}
    if isinstance(tree, list | tuple):
        return [_plain(one) for one in tree]
    if isinstance(tree, str | int | float | bool | None):
        return tree
    return getattr(tree, "__name__", type(tree).__name__)


def check_same(signature: dict[str, Any], saved: dict[str, Any], path: str) -> None:
    """Raises ValueError where a fit can't go on from a checkpoint, and names what differs."""
    names = dict.fromkeys([*signature, *saved])
    odd = [name for name in names if signature.get(name) != saved.get(name)]
    if odd:
        said = "; ".join(
            f"`{name}` was {_short(saved.get(name))} and is {_short(signature.get(name))}"
            for name in odd
        )
        raise ValueError(
            f"The checkpoint in {path!r} is of another fit: {said}. Give the same arguments to "
            "go on from it, or another checkpoint_dir."
        )


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
