"""Fewer bytes for a flat float32 vector: the forms in which it travels, as pure functions.

A codec writes a vector into bytes whose number follows from the vector's length alone, and adds
what such bytes say to another vector. Adding is exact in order and rounding, so that both ends of
a connection, whatever their processors, come to the same bits.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from elephas_torch.errors import Refused, unknown

#: A codec's name, for `topk` with its share; None: float32 as it is.
Spec = str | tuple[str, float] | None

NAMES = ("bf16", "int8", "topk")
SHARE = 0.01
BLOCK = 1024
#: Bytes that a compressed push has more than a plain one, but for the vector.
EXTRA = 8
#: Elements that are worked on at once: what is computed between stays in the processor's cache.
_CHUNK = 256 * BLOCK
#: Below this an exact search costs less than a sample.
_SMALL = 65_536
_SAMPLE = 16_384
_TINY = torch.finfo(torch.float32).tiny


class Codec(Protocol):
    """How a vector travels. `payload` is a uint8 tensor at a multiple of 4 bytes."""

    def length(self, n: int) -> int:
        """Returns how many bytes n elements take."""

    def encode(self, vector: Tensor, payload: Tensor) -> None:
        """Writes a vector of finite numbers into a payload of exactly its length."""

    def check(self, payload: Tensor, n: int) -> None:
        """Raises Refused where a payload of the right length can't be one of n elements."""

    def decode(self, payload: Tensor, out: Tensor) -> None:
        """Writes what a checked payload says over `out`."""

    def add(self, payload: Tensor, out: Tensor, sign: int = 1) -> None:
        """Adds what a checked payload says, times 1 or -1, to `out`."""


@dataclass(frozen=True)
class Bf16:
    """The upper half of each float32, rounded to nearest, ties to even: 2 bytes an element."""

    def length(self, n: int) -> int:
        return 2 * n

    def encode(self, vector: Tensor, payload: Tensor) -> None:
        payload.view(torch.bfloat16).copy_(vector)

    def check(self, payload: Tensor, n: int) -> None:
        """All bytes are numbers; those that aren't finite are refused with the update."""

    def decode(self, payload: Tensor, out: Tensor) -> None:
        out.copy_(payload.view(torch.bfloat16))

    def add(self, payload: Tensor, out: Tensor, sign: int = 1) -> None:
        rounded = payload.view(torch.bfloat16)
        for start in range(0, len(out), _CHUNK):
            part = slice(start, start + _CHUNK)
            more = _room(out[part]).copy_(rounded[part])
            out[part].add_(more, alpha=sign)  # without the copy it takes 20 times as long


@dataclass(frozen=True)
class Int8:
    """Blocks of elements as multiples, -127 to 127, of a float32 scale: 1.004 bytes an element.

    The scales come first. A block's scale is its largest magnitude / 127; 0 where that is too
    small for a normal float32.
    """

    block: int = BLOCK

    def length(self, n: int) -> int:
        return n + 4 * -(-n // self.block)

    def encode(self, vector: Tensor, payload: Tensor) -> None:
        for x, scale, q in self._blocks(vector, payload):
            found = torch.maximum(x.amax(1, keepdim=True), -x.amin(1, keepdim=True)).div_(127)
            found.masked_fill_(found < _TINY, 0)
            scale.copy_(found)
            q.copy_(torch.div(x, found.masked_fill_(found == 0, math.inf), out=_room(x)).round_())

    def check(self, payload: Tensor, n: int) -> None:
        scales = payload[: 4 * -(-n // self.block)].view(torch.float32)
        if not bool(((scales >= 0) & torch.isfinite(scales)).all()):
            raise Refused("Scales of int8 blocks must be finite, and 0 or more.")

    def decode(self, payload: Tensor, out: Tensor) -> None:
        for x, scale, q in self._blocks(out, payload):
            torch.mul(q, scale, out=x)

    def add(self, payload: Tensor, out: Tensor, sign: int = 1) -> None:
        for x, scale, q in self._blocks(out, payload):
            # Two steps: fused they round once, and not every processor fuses.
            x.add_(torch.mul(q, scale, out=_room(x)), alpha=sign)

    def _blocks(self, vector: Tensor, payload: Tensor) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """Yields (elements, scales, multiples) of several whole blocks at once, and of the rest."""
        n, block = len(vector), self.block
        scales = payload[: 4 * -(-n // block)].view(torch.float32)
        q, whole = payload[scales.nbytes :].view(torch.int8), n - n % block
        step = max(_CHUNK // block, 1) * block
        for start in range(0, whole, step):
            part = slice(start, min(start + step, whole))
            rows = slice(part.start // block, part.stop // block)
            yield vector[part].view(-1, block), scales[rows, None], q[part].view(-1, block)
        if whole < n:
            yield vector[None, whole:], scales[-1:, None], q[None, whole:]


@dataclass(frozen=True)
class TopK:
    """The largest magnitudes, exactly ceil(share n) of them: int32 places, then float32 values."""

    share: float = SHARE

    def count(self, n: int) -> int:
        """How many of n elements are sent."""
        return min(n, math.ceil(self.share * n))

    def length(self, n: int) -> int:
        return 8 * self.count(n)

    def encode(self, vector: Tensor, payload: Tensor) -> None:
        places, values = self._parts(payload)
        found = largest(vector, len(places))
        places.copy_(found)
        torch.index_select(vector, 0, found, out=values)

    def check(self, payload: Tensor, n: int) -> None:
        places, values = self._parts(payload)
        if len(places) and not (
            places[0] >= 0 and places[-1] < n and bool((places[1:] > places[:-1]).all())
        ):
            raise Refused(f"Places must be 0 to {n - 1}, each above the one before.")
        if not bool(torch.isfinite(values).all()):
            raise Refused("The update is non-finite: a value of it is NaN or infinite.")

    def decode(self, payload: Tensor, out: Tensor) -> None:
        self.add(payload, out.zero_())

    def add(self, payload: Tensor, out: Tensor, sign: int = 1) -> None:
        places, values = self._parts(payload)
        out.index_add_(0, places, values, alpha=sign)

    @staticmethod
    def _parts(payload: Tensor) -> tuple[Tensor, Tensor]:
        half = len(payload) // 2
        return payload[:half].view(torch.int32), payload[half:].view(torch.float32)


_rooms = threading.local()


def _room(like: Tensor) -> Tensor:
    """This thread's room to compute in, of the same shape; fresh memory would cost more."""
    if like.numel() > _CHUNK:
        return torch.empty_like(like)
    if not hasattr(_rooms, "vector"):
        _rooms.vector = torch.empty(_CHUNK)
    room: Tensor = _rooms.vector
    return room[: like.numel()].view(like.shape)


def largest(vector: Tensor, k: int) -> Tensor:
    """Returns the places, int64 and rising, of the k largest magnitudes.

    A sample gives a threshold that a bit more than k elements most likely exceed; the exact search
    goes on among those alone. That is ten times faster, and finds the same.
    """
    n = len(vector)
    if n <= _SMALL:
        return torch.topk(vector.abs(), k, sorted=False).indices.sort().values
    found = _above(vector, _threshold(vector, k))
    if len(found) < k:
        found = torch.arange(n)
    if len(found) > k:
        magnitudes = vector[found].abs_()
        found = found[torch.topk(magnitudes, k, sorted=False).indices].sort().values
    return found


def _threshold(vector: Tensor, k: int) -> float:
    """A magnitude that somewhat more than k elements reach, going by evenly spread ones."""
    sample = vector[:: len(vector) // _SAMPLE].abs()
    expected = k * len(sample) / len(vector)
    rank = min(len(sample), math.ceil(1.2 * expected + 4 * math.sqrt(expected) + 1))
    return float(torch.topk(sample, rank).values[-1])


def _above(vector: Tensor, threshold: float) -> Tensor:
    # NumPy finds places three times faster than torch, and the same ones.
    array, smallest = vector.numpy(), np.float32(max(threshold, 1e-45))
    parts = []
    for start in range(0, len(array), _CHUNK):
        magnitudes = np.abs(array[start : start + _CHUNK])
        parts.append(np.flatnonzero(magnitudes >= smallest) + start)
    return torch.from_numpy(np.concatenate(parts))


def checked(value: Any) -> Spec:
    """Returns a codec's description in its plain form; `topk` always with its share.

    Raises:
        ValueError: it isn't None, "bf16", "int8", "topk" or ("topk", share), or the share isn't
            above 0 and below 0.5 (where the vector itself is as short).
    """
    if value is None or value in ("bf16", "int8"):
        return value
    if value == "topk":
        return "topk", SHARE
    if not isinstance(value, tuple | list) or len(value) != 2 or value[0] != "topk":
        raise unknown("compression", value, [*NAMES, "('topk', share)", "None"])
    share = value[1]
    if isinstance(share, bool) or not isinstance(share, int | float) or not 0 < share < 0.5:
        raise ValueError(
            "The share of 'topk' must be a number above 0 and below 0.5, such as 0.01. "
            f"Received: compression={value!r}"
        )
    return "topk", float(share)


def of(spec: Spec, n: int) -> Codec | None:
    """Returns the codec for vectors of n elements; None where none is asked for, or none is
    makes a push shorter (of a handful of elements)."""
    if spec is None:
        return None
    kinds: dict[Any, Codec] = {"bf16": Bf16(), "int8": Int8()}
    made = TopK(spec[1]) if isinstance(spec, tuple) else kinds[spec]
    return made if made.length(n) + EXTRA < 4 * n else None
