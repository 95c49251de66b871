"""A worker's updates, and the fresh weights that answer them."""

from __future__ import annotations

import logging
from typing import Any, cast

import safetensors.torch
import torch
from torch import Tensor

from elephas_torch import device
from elephas_torch.errors import Diverged, ElephasError, Refused
from elephas_torch.flat import Vectors
from elephas_torch.heartbeat import Standing
from elephas_torch.keras import batches, random
from elephas_torch.keras.batches import Samples
from elephas_torch.keras.step import Step
from elephas_torch.optimizers import Optimizer
from elephas_torch.parameter.client import Client
from elephas_torch.parameter.local import Link
from elephas_torch.parameter.shards import ShardedClient
from elephas_torch.parameter.wire import Joined, Push, Reply
from elephas_torch.plan import Plan
from elephas_torch.staging import Staged
from elephas_torch.stepping import OwnFlatStep
from elephas_torch.store import Rows

logger = logging.getLogger(__name__)

#: Elements from which on copying a vector takes longer than laying a model over it.
_LARGE = 1_000_000


class Exchange:
    """A worker's updates: computed by mode and frequency, pushed, answered by fresh weights.

    Args:
        plan: when to exchange, and what.
        step: what computes on one batch; its flat vectors get the server's weights.
        client: the server's; a `Staged` one for vectors on a device.
        worker: its number and attempt.
        joined: what the server answered to its joining.
        standing: where it is, for others to read.

    Attributes:
        rate: the learning rate that the driver set, if it did.
    """

    def __init__(
        self,
        plan: Plan,
        step: Step | OwnFlatStep,
        client: Client | ShardedClient | Staged,
        worker: tuple[int, int],
        joined: Joined,
        standing: Standing,
    ) -> None:
        self.plan, self.client, self.standing = plan, client, standing
        self.number, self.attempt = worker
        self.step, self.flat = step, step.flat
        self.where = client.device if isinstance(client, Staged) else device.CPU
        self._seed_device = self.where.seeded()
        self.link = self._linked()
        self.seq, self.version = joined.seq, self._first()
        self.done = joined.batch
        self.rate: float | None = joined.learning_rate
        # Running means of weights, pushed at the end, have no next push for what is left out.
        inner = getattr(step.optimizer, "inner_optimizer", step.optimizer)
        self._means = not plan.gradients and inner.use_ema
        self._place()

    def _place(self) -> None:
        """Decides where updates are computed, and from what: `update` and `base`."""
        flat, room = self.flat, self.link.update
        if self.plan.gradients:
            self._compute_there()
            self.base, self.update = flat.parameters, flat.gradients
        else:
            self.base = flat.parameters.clone()
            self.update = torch.empty_like(self.base) if room is None else room.parameters

    def _linked(self) -> Link:
        """The server's memory where it is this machine's, else HTTP."""
        if not self.plan.shared_memory:
            return self.client
        found = self.client.share(self.number, self.attempt, self.flat.vectors.sizes)
        why = "" if found else ": the server's memory is another machine's, or can't be opened"
        logger.info("Worker %d: updates by %s%s", self.number, (found or self.client).name, why)
        return found or self.client

    def _compute_there(self) -> None:
        """Gradients are computed where the server reads them; in hogwild mode with the weights
        that all workers change, which nobody has to copy then."""
        room = self.link.update
        if room is not None:
            self.flat.move(gradients=room.parameters)
        self.flat.move(parameters=self.link.parameters)

    def _first(self) -> int:
        """Gets the weights to begin with; returns their version."""
        return self.link.pull(self.flat.vectors)

    def conclude(self) -> None:
        """To be called when all epochs are done."""

    def epoch(self, rows: Rows, epoch: int) -> bool:
        """Runs one epoch; returns whether to stop."""
        plan, standing = self.plan, self.standing
        key = (plan.seed, self.number, epoch)
        seed = batches.mix(*key)
        total = plan.total(len(rows))
        every = plan.every or total
        start, self.done = min(self.done * every, total - 1), 0
        standing.enter(epoch, start)
        seen = 0
        self._reseed(seed, start)
        found = rows.epoch(plan.batch_size, plan.shuffle, key, start)
        for number, batch in enumerate(found, start):
            (self._gradients if plan.gradients else self.step.train)(batch)
            seen += len(batch)
            standing.batch = number + 1
            standing.rows += len(batch)
            if standing.asked:
                standing.note(self.step.logs)
            last = number + 1 == total
            if last or (number + 1) % every == 0:
                if self._push(epoch, seen, last).stop:
                    return True
                seen = 0
                self._reseed(seed, number + 1)
        return False

    def _reseed(self, seed: int, batch: int) -> None:
        """Lets what is random from a batch on depend on nothing before it: who goes on from there
        in another process goes on in the same way. torch.manual_seed takes a hundred times as
        long."""
        number = (seed + batch) % 2**63
        torch.default_generator.manual_seed(number)
        random.at(number)
        if self._seed_device is not None:
            self._seed_device(number)

    def _gradients(self, batch: Samples) -> None:
        """Computes gradients for the server, which steps with them as they are: not scaled."""
        step, optimizer = self.step, cast(Any, self.step.optimizer)
        if not optimizer.scales_loss:
            step.gradients(batch)
            return
        before = step.sums()
        step.gradients(batch, scaled=True)
        # A batch whose scaled gradients overflow is computed again: the others of its round wait.
        while not optimizer.unscale(self.flat.gradients) and optimizer.dynamic_scale >= 1:
            step.load_sums([before])
            step.gradients(batch, scaled=True)

    def _push(self, epoch: int, samples: int, last: bool) -> Reply:
        flat = self.flat
        self._finish(epoch, last)
        if last:
            self.keep(epoch + 1)
        if not self.plan.gradients:
            torch.sub(self.base, flat.parameters, out=self.update)
        push = Push(self.number, self.attempt, self.seq, self.version, samples, epoch, last)
        update = Vectors(self.update, flat.state, flat.counters)
        try:
            reply = self._exchanged(push, update, self._whole(epoch, last))
        except Refused as error:
            raise self._told(error, update) from None
        if not self.plan.gradients:
            self.base.copy_(flat.parameters)
        self.seq, self.version = self.seq + 1, reply.version
        self.rate = reply.learning_rate
        return reply

    def _finish(self, epoch: int, last: bool) -> None:
        """At the end of training: puts the optimizer's running mean into the weights."""
        if not self.plan.gradients and last and epoch + 1 == self.plan.epochs:
            self.step.model._finish_training()

    def _told(self, error: Refused, update: Vectors) -> ElephasError:
        """What a refusal means: an update that isn't finite is training that diverged."""
        finite = torch.isfinite(update.parameters).all() and torch.isfinite(update.state).all()
        return error if finite else Diverged(str(error))

    def kept(self) -> bytes:
        """What nobody else has of what the next epoch begins with."""
        return safetensors.torch.save(state("worker", self.step.optimizer))

    def keep(self, epoch: int) -> None:
        """Leaves what the worker alone has with the server, to begin that epoch with. Before the
        last push of the one before: who is lost behind it goes on in the next epoch."""
        if self.plan.keeps and not self.client.keep(self.number, self.attempt, epoch, self.kept()):
            logger.warning(
                "Worker %d: the server has no room for this worker's optimizer: after a fall it "
                "begins anew.", self.number,
            )  # fmt: skip

    def recall(self, data: bytes) -> None:
        """Takes what `kept` gave."""
        self.step.optimizer.load_state_dict(part("worker", safetensors.torch.load(data)))

    def close(self) -> None:
        """Lets go of what it holds."""

    def _whole(self, epoch: int, last: bool) -> bool:
        """Whether the push is to go uncompressed, in any case."""
        return last and epoch + 1 == self.plan.epochs and self._means and self.link is self.client

    def _exchanged(self, push: Push, update: Vectors, whole: bool) -> Reply:
        flat = self.flat
        if whole:
            return self.client.exchange(push, update, flat.vectors, whole=True)
        if not self.plan.gradients or flat.parameters.numel() < _LARGE:
            return self.link.exchange(push, update, flat.vectors)
        # Nobody but the server changes the weights: they may lie where it has made them.
        reply, found = self.link.borrow(push, update, flat.vectors)
        if found.data_ptr() != flat.parameters.data_ptr():
            flat.move(parameters=found)
        return reply


def state(owner: str, optimizer: Optimizer) -> dict[str, Tensor]:
    """What an optimizer keeps, as tensors alone."""
    found = optimizer.state_dict().items()
    return {f"{owner}/{name}": _tensor(value) for name, value in found}


def part(owner: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """What `state` made of an optimizer, out of several's."""
    start = f"{owner}/"
    return {n.removeprefix(start): one for n, one in tensors.items() if n.startswith(start)}


def _tensor(value: Any) -> Tensor:
    if isinstance(value, float):
        return torch.tensor(value, dtype=torch.float64)
    return torch.as_tensor(value).contiguous()
