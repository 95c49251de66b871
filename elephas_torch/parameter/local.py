"""A worker's side of the parameter server where both are on one machine.

HTTP stays what it says (joining, beats, reports) and how a push is announced; the vectors
themselves don't travel, they lie in memory that both have.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import torch
from torch import Tensor

from elephas_torch.errors import ServerError
from elephas_torch.flat import Vectors
from elephas_torch.parameter import board, shared, slots, wire
from elephas_torch.parameter.board import Board
from elephas_torch.parameter.shared import Region
from elephas_torch.parameter.wire import Push, Reply, Sizes


class Link(Protocol):
    """How a worker's updates go to the server, and fresh vectors come back.

    Attributes:
        name: "http", or "memory" that is shared with the server.
        update: where an update is best computed, as nothing is copied then; or None.
        parameters: the server's own vector, to compute with and to be changed by `exchange`
            alone; or None.
    """

    @property
    def name(self) -> str: ...
    @property
    def update(self) -> Vectors | None: ...
    @property
    def parameters(self) -> Tensor | None: ...

    def pull(self, into: Vectors, version: int = -1) -> int:
        """See `Client.pull`."""
        ...

    def exchange(self, push: Push, update: Vectors, into: Vectors) -> Reply:
        """See `Client.exchange`."""
        ...

    def borrow(self, push: Push, update: Vectors, into: Vectors) -> tuple[Reply, Tensor]:
        """The same, but the fresh parameters may lie in memory of the link's, to be read until
        the next call, in place of being copied to `into`."""
        ...


#: Sends the head of a push; returns the reply, and where the vectors are, or that they were sent.
Announce = Callable[[Push, Sizes, Vectors], "tuple[Reply, tuple[int, bytes] | None]"]


class SlotLink:
    """Updates lie in a slot of the worker's; answers in the server's snapshots.

    A round trip carries a hundred bytes each way. Copies of a vector: none where the update was
    computed in the slot, else one; one from the snapshot into the worker's weights; and the
    server's own pass that makes the new vector.

    Args:
        announce: sends the head of a push.
        pull: gets vectors over HTTP.
        pid: the server's process.
        region: the slot.
        sizes: the vectors' lengths.
    """

    name = "memory"
    parameters = None

    def __init__(
        self,
        announce: Announce,
        pull: Callable[[Vectors, int], int],
        pid: int,
        region: Region,
        sizes: Sizes,
    ) -> None:
        self._announce, self._pull, self._pid = announce, pull, pid
        self._region, self._sizes = region, sizes
        self.update = wire.within(region.tensor, sizes).vectors
        self._snapshots: dict[tuple[int, bytes], tuple[Region, Vectors]] = {}
        self._own = torch.empty(sizes[0])  # takes no memory until it is written to

    def pull(self, into: Vectors, version: int = -1) -> int:
        return self._pull(into, version)

    def exchange(self, push: Push, update: Vectors, into: Vectors) -> Reply:
        reply, found = self._push(push, update, into)
        into.copy_(found)
        self._region.numbers[slots.READ] = push.seq + 1
        return reply

    def borrow(self, push: Push, update: Vectors, into: Vectors) -> tuple[Reply, Tensor]:
        # What was borrowed before is done with once the server has this one.
        self._region.numbers[slots.READ] = push.seq
        # `into` may be what was borrowed: nothing may be written there.
        reply, found = self._push(push, update, into._replace(parameters=self._own))
        into.state.copy_(found.state)
        into.counters.copy_(found.counters)
        return reply, found.parameters

    def _push(self, push: Push, update: Vectors, into: Vectors) -> tuple[Reply, Vectors]:
        wire.check_vectors(update, self._sizes, "update")
        wire.check_vectors(into, self._sizes, "into")
        for mine, given in zip(self.update, update, strict=True):
            if given.data_ptr() != mine.data_ptr():
                mine.copy_(given)
        reply, place = self._announce(push, self._sizes, into)
        return reply, into if place is None else self._snapshot(*place)

    def _snapshot(self, descriptor: int, nonce: bytes) -> Vectors:
        known = self._snapshots.get((descriptor, nonce))
        if known is None:
            size = wire.vector_bytes(self._sizes)
            region = Region.open(self._pid, descriptor, size, nonce)
            if region is None:
                raise ServerError("The parameter server's memory is gone: its process has ended.")
            known = region, wire.within(region.tensor, self._sizes).vectors
            self._snapshots[descriptor, nonce] = known
        return known[1]


class BoardLink:
    """The worker steps the server's vector by itself: hogwild.

    Args:
        board: where it lies.
        scaled: divide an update by the versions that it missed, plus one.
    """

    name = "memory"
    update = None

    def __init__(self, board: Board, scaled: bool) -> None:
        self._board, self._scaled = board, scaled
        self.parameters = board.parameters
        self._sizes = (len(board.parameters), 0, 0)

    def pull(self, into: Vectors, version: int = -1) -> int:
        now = self._board.version
        self._read(into)
        return now

    def exchange(self, push: Push, update: Vectors, into: Vectors) -> Reply:
        wire.check_vectors(update, self._sizes, "update")
        wire.check_vectors(into, self._sizes, "into")
        reply = self._board.push(push, update.parameters, self._scaled)
        self._read(into)
        return reply

    def borrow(self, push: Push, update: Vectors, into: Vectors) -> tuple[Reply, Tensor]:
        reply = self._board.push(push, update.parameters, self._scaled)
        return reply, self.parameters

    def _read(self, into: Vectors) -> None:
        if into.parameters.data_ptr() != self.parameters.data_ptr():
            into.parameters.copy_(self.parameters)


def opened(
    place: dict[str, Any],
    sizes: Sizes,
    announce: Announce,
    pull: Callable[[Vectors, int], int],
) -> SlotLink | BoardLink | None:
    """The link that the server has offered; None where its memory can't be opened from here.

    Args:
        place: the server's answer; see `slots.Slots.open`.
    """
    if not place:
        return None
    pid, descriptor, nonce = place["pid"], place["descriptor"], bytes.fromhex(place["nonce"])
    size = wire.vector_bytes(sizes)
    if "cells" not in place:
        region = Region.open(pid, descriptor, size, nonce)
        return None if region is None else SlotLink(announce, pull, pid, region, sizes)
    head = board.head_bytes(place["cells"])
    region = Region.open(pid, descriptor, size, nonce, head)
    return None if region is None else BoardLink(Board(region, place["cells"]), place["scaled"])


def here() -> str:
    """What a worker tells the server of where it is."""
    return shared.machine()
