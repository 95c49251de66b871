"""Workers on the server's own machine: where their updates lie, and where they find the answers."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import Any

from elephas_torch.flat import Vectors
from elephas_torch.parameter import shared, wire
from elephas_torch.parameter.shared import Region
from elephas_torch.parameter.weights import Weights
from elephas_torch.parameter.wire import Answer, Push, Settings

#: The place in a slot's head of the number of answers that the worker has read.
READ = 2
#: How many answers a worker may be told of and not have read: more are never under way.
KEPT = 2


@dataclass
class Slot:
    """What a worker of this machine writes its updates to.

    Attributes:
        answers: what it may be reading: (its sequence number, the memory), the last ones.
    """

    attempt: int
    region: Region
    vectors: Vectors
    answers: list[tuple[int, memoryview]] = field(default_factory=list)

    def keep(self, seq: int, memory: memoryview) -> None:
        """Keeps an answer until it was read."""
        read = int(self.region.numbers[READ])
        self.answers = [one for one in self.answers if one[0] >= read][-KEPT:]
        self.answers.append((seq, memory))


class Slots:
    """The slots of a run, by worker.

    Args:
        weights: whose snapshots the answers are.
        settings: the run's.
    """

    def __init__(self, weights: Weights, settings: Settings) -> None:
        self._weights, self._settings, self._sizes = weights, settings, settings.sizes
        self._machine = shared.machine()
        self._slots: dict[int, Slot] = {}

    def open(
        self, worker: int, attempt: int, machine: str, position: tuple[int, int, int, int]
    ) -> dict[str, Any]:
        """Gives memory to a worker that has joined.

        Args:
            machine: what `shared.machine()` says where the worker is.
            position: of the worker: seq, epoch, batch, and the last epoch that is done.

        Returns:
            JSON-able: where the memory is found. Empty where the worker is on another machine (or
            says "", having found that it can't open the memory), or there is no such memory.
        """
        if not machine or machine != self._machine:
            self.close(worker)  # what it was given before, and couldn't open
            return {}
        board = self._weights.board
        if board is not None and worker < board.workers:
            board.enter(worker, attempt, position)
            scaled = self._settings.staleness is not None
            return {**_place(board.region), "cells": board.workers, "scaled": scaled}
        try:
            region = Region.create(wire.vector_bytes(self._sizes))
        except OSError:
            return {}
        self.close(worker)
        body = wire.within(region.tensor, self._sizes)
        self._slots[worker] = Slot(attempt, region, body.vectors)
        self._weights.pool.share()
        return _place(region)

    def vectors(self, push: Push) -> Vectors | None:
        """The update that a push without a body speaks of, if this attempt has a slot."""
        slot = self._slots.get(push.worker)
        return None if slot is None or slot.attempt != push.attempt else slot.vectors

    def place(self, push: Push, answer: Answer) -> bytes | None:
        """Where the vectors of an answer are found; None where they must be sent."""
        region = self._weights.pool.region(answer.body)
        slot = self._slots.get(push.worker)
        if region is None or slot is None or slot.attempt != push.attempt:
            return None
        slot.keep(push.seq, answer.body)
        return wire.pack_place(region.descriptor, region.nonce)

    def close(self, worker: int) -> None:
        """Takes a worker's memory away: whoever still writes there changes nothing."""
        board = self._weights.board
        if board is not None and worker < board.workers:
            board.fence(worker)
        slot = self._slots.pop(worker, None)
        if slot is not None:
            slot.region.close()


def _place(region: Region) -> dict[str, Any]:
    return {"pid": os.getpid(), "descriptor": region.descriptor, "nonce": region.nonce.hex()}
