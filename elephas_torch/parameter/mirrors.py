"""Answers in fewer bytes: what the server remembers of what each worker has.

Weights rounded to bf16 stand for themselves. The other codecs send the difference between the
server's weights and a *mirror*: a copy of what the worker has, to which both sides add each
difference that is sent, as sent. What a difference dropped is so in the next one.

A compressed push says which version its worker has. That tells enough, whatever got lost on the
way: at the mirror's version it gets the next difference; at the version before, its last answer
never came, and it gets the same again; at any other it gets all the weights, and a new mirror.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor

from elephas_torch.parameter import wire
from elephas_torch.parameter.codec import Codec
from elephas_torch.parameter.packing import Layout, keeps_mirror
from elephas_torch.parameter.weights import Pool
from elephas_torch.parameter.wire import Answer, Push, Reply, Settings, Sizes


class Outgoing(NamedTuple):
    """An answer as it is sent: behind the header, piece by piece.

    Attributes:
        form: how the parameters are written; 0: as float32, in a plain answer's order.
    """

    reply: Reply
    form: int
    pieces: list[bytes | memoryview]

    @property
    def length(self) -> int:
        return wire.REPLY_BYTES + sum(len(one) for one in self.pieces)

    def head(self, sizes: Sizes) -> bytes:
        return wire.pack_reply(self.reply, sizes, self.form)


def plain(answer: Answer) -> Outgoing:
    """An answer as it is."""
    return Outgoing(answer.reply, 0, [answer.body])


class Answers(Protocol):
    """How workers are answered. Called from any thread."""

    def first(self, worker: int, attempt: int, answer: Answer) -> Outgoing:
        """The answer to a worker's pull: from here on it has those weights."""

    def to(self, push: Push, has: int, answer: Answer) -> Outgoing:
        """The answer to a compressed push.

        Args:
            has: the version that the worker has; -1: none that the server knows of.
        """

    def forget(self, worker: int) -> None:
        """The worker has left."""


def answers(settings: Settings, layout: Layout) -> Answers | None:
    """How a server with these settings answers; None where all answers are plain."""
    if layout.codec is None:
        return None
    if not keeps_mirror(layout.codec):
        return Rounded(layout.codec, settings.sizes)
    if settings.mode == "synchronous":
        return Shared(layout.codec, settings.sizes)
    return Single(layout.codec, settings.sizes)


class _Writer:
    """Writes answers; memory is used again when nothing sends it any more."""

    def __init__(self, codec: Codec, sizes: Sizes) -> None:
        self.codec, self.sizes = codec, sizes
        self._length = codec.length(sizes[0])
        self._payloads = Pool((0, -(-self._length // 4), 0))
        self._bodies = Pool(sizes)
        self._spare: list[Tensor] = []

    def encoded(self, vector: Tensor) -> tuple[Tensor, memoryview]:
        """A payload, to be read now, and the same to be sent and kept."""
        body, memory = self._payloads.take()
        payload = body.vectors.state.view(torch.uint8)[: self._length]
        self.codec.encode(vector, payload)
        return payload, memory[: self._length]

    def packed(self, answer: Answer, payload: memoryview) -> Outgoing:
        start, end = self._inner()
        # Copied: what is kept of an answer mustn't hold all of its memory.
        rest = [bytes(answer.body[:start]), bytes(answer.body[end:])]
        return Outgoing(answer.reply, wire.BY_CODEC, [*(one for one in rest if one), payload])

    def with_weights(self, answer: Answer, weights: Tensor, reply: Reply) -> Outgoing:
        """A plain answer with other weights."""
        body, memory = self._bodies.take()
        body.buffer[:] = answer.body
        body.vectors.parameters.copy_(weights)
        return Outgoing(reply, 0, [memory])

    @contextmanager
    def room(self) -> Iterator[Tensor]:
        """A vector to compute in."""
        vector = self._spare.pop() if self._spare else torch.empty(self.sizes[0])
        yield vector
        self._spare.append(vector)

    def weights(self, answer: Answer) -> np.ndarray:
        start, _ = self._inner()
        return np.frombuffer(answer.body, np.float32, self.sizes[0], start)

    def _inner(self) -> tuple[int, int]:
        start = 8 * self.sizes[2]
        return start, start + 4 * self.sizes[0]


class Rounded:
    """The weights themselves, rounded; written once for all answers of a version."""

    def __init__(self, codec: Codec, sizes: Sizes) -> None:
        self._writer = _Writer(codec, sizes)
        self._kept = (-1, memoryview(b""))

    def first(self, worker: int, attempt: int, answer: Answer) -> Outgoing:
        return self._rounded(answer)

    def to(self, push: Push, has: int, answer: Answer) -> Outgoing:
        return self._rounded(answer)

    def forget(self, worker: int) -> None:
        """Nothing is remembered."""

    def _rounded(self, answer: Answer) -> Outgoing:
        version, payload = self._kept
        if version != answer.reply.version:
            with self._writer.room() as weights:
                weights.numpy()[:] = self._writer.weights(answer)
                _, payload = self._writer.encoded(weights)
            self._kept = (answer.reply.version, payload)
        return self._writer.packed(answer, payload)


@dataclass
class Mirror:
    """What a worker has, or all have.

    Attributes:
        version: what it is called by the server's versions.
        before: the version that the last difference was from; -1: there is none.
        answer: the last difference, with the moving statistics of its time.
    """

    weights: Tensor
    attempt: int
    version: int
    before: int = -1
    answer: Outgoing | None = None
    lock: threading.Lock = field(default_factory=threading.Lock)

    def restart(self, writer: _Writer, attempt: int, answer: Answer) -> Outgoing:
        """Takes the server's weights whole."""
        self.weights.numpy()[:] = writer.weights(answer)
        self.attempt, self.version, self.before = attempt, answer.reply.version, -1
        self.answer = None
        return plain(answer)

    def advance(self, writer: _Writer, answer: Answer) -> Outgoing:
        """Goes on to the server's weights, as near as the codec comes."""
        with writer.room() as difference:
            np.subtract(writer.weights(answer), self.weights.numpy(), out=difference.numpy())
            payload, memory = writer.encoded(difference)
        writer.codec.add(payload, self.weights)
        self.before, self.version = self.version, answer.reply.version
        self.answer = writer.packed(answer, memory)
        return self.answer


class Single:
    """A mirror for each worker: in asynchronous and hogwild mode each has weights of its own."""

    def __init__(self, codec: Codec, sizes: Sizes) -> None:
        self._writer = _Writer(codec, sizes)
        self._mirrors: dict[int, Mirror] = {}
        self._lock = threading.Lock()

    def first(self, worker: int, attempt: int, answer: Answer) -> Outgoing:
        mirror = self._mirror(worker)
        with mirror.lock:
            if attempt < mirror.attempt:
                return plain(answer)
            return mirror.restart(self._writer, attempt, answer)

    def to(self, push: Push, has: int, answer: Answer) -> Outgoing:
        mirror, writer = self._mirror(push.worker), self._writer
        with mirror.lock:
            if push.attempt < mirror.attempt:
                # Nobody reads this any more; the mirror is the newer attempt's.
                return plain(answer)
            if push.attempt > mirror.attempt:
                return mirror.restart(writer, push.attempt, answer)
            if has == mirror.before and mirror.answer is not None:
                return mirror.answer._replace(reply=_now(mirror, answer))
            if has != mirror.version:
                return mirror.restart(writer, push.attempt, answer)
            if answer.reply.version == has:
                # All stands still. Told twice, it must be the same.
                return writer.with_weights(answer, mirror.weights, answer.reply)
            return mirror.advance(writer, answer)

    def forget(self, worker: int) -> None:
        with self._lock:
            self._mirrors.pop(worker, None)

    def _mirror(self, worker: int) -> Mirror:
        with self._lock:
            if worker not in self._mirrors:
                weights = torch.empty(self._writer.sizes[0])
                self._mirrors[worker] = Mirror(weights, -1, -1)
            return self._mirrors[worker]


class Shared:
    """One mirror for all workers, in synchronous mode: all go on with the same weights, bit by
    bit, and a difference is computed once a round.

    Whoever missed a round (it sat out the rest of an epoch, or is a new attempt) gets the mirror's
    weights whole, not the server's own.
    """

    def __init__(self, codec: Codec, sizes: Sizes) -> None:
        self._writer = _Writer(codec, sizes)
        self._mirror: Mirror | None = None
        self._lock = threading.Lock()

    def first(self, worker: int, attempt: int, answer: Answer) -> Outgoing:
        with self._lock:
            mirror = self._at(answer)
            return self._writer.with_weights(answer, mirror.weights, _now(mirror, answer))

    def to(self, push: Push, has: int, answer: Answer) -> Outgoing:
        with self._lock:
            mirror = self._at(answer)
            reply = _now(mirror, answer)
            if mirror.answer is None or has != mirror.before:
                return self._writer.with_weights(answer, mirror.weights, reply)
            return mirror.answer._replace(reply=reply)

    def forget(self, worker: int) -> None:
        """It is everybody's."""

    def _at(self, answer: Answer) -> Mirror:
        """The mirror, at that version or a later one."""
        if self._mirror is None:
            self._mirror = Mirror(torch.empty(self._writer.sizes[0]), 0, 0)
            self._mirror.restart(self._writer, 0, answer)
        elif answer.reply.version > self._mirror.version:
            self._mirror.advance(self._writer, answer)
        return self._mirror


def _now(mirror: Mirror, answer: Answer) -> Reply:
    """The mirror's version, with what the driver says now."""
    return answer.reply._replace(version=mirror.version)
