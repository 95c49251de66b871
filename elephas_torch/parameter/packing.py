"""How updates and weights travel in fewer bytes: a worker's side and the server's.

Nothing here knows HTTP: it makes the pieces of messages, and reads them. The bytes are written
down in docs/parameter.md.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from elephas_torch.errors import Refused
from elephas_torch.flat import Vectors
from elephas_torch.parameter import codec, rows, rules, wire
from elephas_torch.parameter.codec import Codec
from elephas_torch.parameter.rows import Rows
from elephas_torch.parameter.wire import BY_CODEC, BY_ROWS, Push, Settings, Sizes

#: The version that a worker has, behind the header of a compressed push.
_HAS = struct.Struct("<q")
Piece = memoryview | bytes
#: Parameters as they are sent: a vector as it is, or pieces behind the other two vectors.
Sent = Tensor | list[Piece]


class Layout:
    """What pushes look like, on both sides.

    Attributes:
        codec: of the parameters; None: float32.
        rows: the embeddings whose rows are sent where that is shorter; None: none.
        head: bytes of a push before its vectors.
        rest: bytes of a push but for its parameters: head, counters, state.
        plain: bytes of a plain push.
    """

    def __init__(self, sizes: Sizes, spec: codec.Spec, spans: Sequence[rows.Span]) -> None:
        self.sizes, n = sizes, sizes[0]
        self.codec = codec.of(spec, n)
        by_places = isinstance(self.codec, codec.TopK)
        self.rows = Rows(spans, n) if spans and not by_places else None
        self.plain = wire.PUSH_BYTES + wire.vector_bytes(sizes)
        self.head = wire.PUSH_BYTES + (0 if self.codec is None else _HAS.size)
        self.rest = self.plain - 4 * n - wire.PUSH_BYTES + self.head
        #: Bytes of a push with all parameters: what rows must be shorter than.
        self.whole = self.rest + self.length(n)

    def length(self, elements: int) -> int:
        """Bytes that so many elements of the parameters take."""
        return 4 * elements if self.codec is None else self.codec.length(elements)

    def with_rows(self, counts: Sequence[int]) -> int:
        """Bytes of a push with so many rows of each embedding."""
        assert self.rows is not None
        return self.rest + 4 * (len(counts) + sum(counts)) + self.length(self.rows.elements(counts))

    def is_head(self, length: int) -> bool:
        """Whether a push so long has no vectors: they lie in memory that both sides have."""
        return length == wire.PUSH_BYTES < self.plain

    def allows(self, length: int) -> bool:
        """Whether a push may be so long; never more than a plain one."""
        if length in (self.plain, self.whole) or self.is_head(length):
            return True
        least = None if self.rows is None else self.with_rows([0] * len(self.rows.spans))
        return least is not None and least <= length < self.whole

    def check_length(self, length: int) -> None:
        """Raises Refused where no push is so long."""
        if not self.allows(length):
            raise Refused(
                f"A push to this server has {self._lengths()} bytes, for vectors of lengths "
                f"{self.sizes} (parameters, state, counters). Received: {length}",
                413 if length > self.plain else 400,
            )

    def _lengths(self) -> str:
        known = f"{self.plain}" if self.whole == self.plain else f"{self.plain} or {self.whole}"
        return known if self.rows is None else f"{known} (with rows of embeddings fewer)"

    def unpack(self, buffer: memoryview, into: Vectors) -> tuple[Push, int | None]:
        """Reads a push. `into` gets its vectors, unless they lie in the buffer already: a plain
        push, whose buffer is that of `into`.

        Returns:
            Its header; and of a compressed push the version of the weights that the worker has,
            -1 where none are known.

        Raises:
            Refused: it isn't one that this server takes.
        """
        push, form = wire.unpack_push(buffer, self.sizes), wire.form(buffer)
        if form & BY_CODEC and self.codec is None:
            raise Refused("The push is compressed; this server was started without compression.")
        if not form:
            self._check(len(buffer), self.plain)
            return push, None
        if self.codec is not None and not form & BY_CODEC:
            raise Refused("The rows of this push aren't compressed; this server's pushes are.")
        data = torch.frombuffer(buffer, dtype=torch.uint8)
        if form & BY_ROWS:
            self._unpack_rows(data, into)
        else:
            self._check(len(data), self.whole)
            self._decode(data[self.rest :], into.parameters)
        self._unpack_rest(data, into)
        return push, _HAS.unpack_from(buffer, wire.PUSH_BYTES)[0] if form & BY_CODEC else None

    def _unpack_rows(self, data: Tensor, into: Vectors) -> None:
        if self.rows is None:
            raise Refused("The push has rows of embeddings; this server knows of none.")
        at = self.rest + 4 * len(self.rows.spans)
        if len(data) < at:
            raise Refused(f"A push of rows has at least {at} bytes. Received: {len(data)}")
        counts = data[self.rest : at].view(torch.int32).tolist()
        if min(counts) < 0:
            raise Refused(f"Numbers of rows must be 0 or more. Received: {counts}")
        self._check(len(data), self.with_rows(counts))
        end = at + 4 * sum(counts)
        numbers = list(data[at:end].view(torch.int32).long().split(counts))
        self.rows.check(numbers)
        picked = torch.empty(self.rows.elements(counts))
        self._decode(data[end:], picked)
        self.rows.clear(into.parameters)
        self.rows.put(picked, numbers, into.parameters)

    def _decode(self, payload: Tensor, out: Tensor) -> None:
        if self.codec is None:
            out.copy_(payload.view(torch.float32))
        else:
            self.codec.check(payload, len(out))
            self.codec.decode(payload, out)

    def _unpack_rest(self, data: Tensor, into: Vectors) -> None:
        middle = self.head + 8 * self.sizes[2]
        into.counters.copy_(data[self.head : middle].view(torch.int64))
        into.state.copy_(data[middle : self.rest].view(torch.float32))

    @staticmethod
    def _check(length: int, expected: int) -> None:
        if length != expected:
            raise Refused(f"A push of this form has {expected} bytes. Received: {length}")


class Packer:
    """A worker's side, for one attempt: what it hasn't sent yet, and what it has of the server's.

    Args:
        sizes: lengths of the vectors.
        spec, spans: as `Settings` has them.

    Attributes:
        sizes: the same.
        codec: of the run; None: only rows of embeddings are sent otherwise than plainly.
        asked: whether what comes next is the worker's own answer, by the codec.
    """

    def __init__(self, sizes: Sizes, spec: codec.Spec, spans: Sequence[rows.Span]) -> None:
        self.sizes, self.layout = sizes, Layout(sizes, spec, spans)
        self.codec = self.layout.codec
        n = sizes[0]
        self._left = torch.zeros(n if self.codec is not None else 0)
        self._mirror = torch.zeros(n if keeps_mirror(self.codec) else 0)
        length = 0 if self.codec is None else self.codec.length(n)
        self._payload, self._answer = (torch.empty(length, dtype=torch.uint8) for _ in range(2))
        self._seq = self._has = -1
        self._sent: tuple[int, Sent] = (0, [])
        self.asked = False

    def pieces(self, push: Push, update: Vectors, whole: bool = False) -> list[Piece]:
        """Returns a push, to be sent piece by piece. What the codec drops of the update's
        parameters is kept, and added to the next; a push of the same seq is the same again.

        Args:
            whole: uncompressed; what was kept is forgotten.

        Raises:
            Refused: non-finite numbers.
            ValueError: vectors of other lengths.
        """
        wire.check_vectors(update, self.sizes, "update")
        if self.codec is None:
            form, parameters = self._plain(update.parameters)
        else:
            if push.seq != self._seq:
                rules.check_finite(update)
                packed = self._whole if whole else self._packed
                self._seq, self._sent = push.seq, packed(self.codec, update.parameters)
            form, parameters = self._sent
        self.asked = bool(form & BY_CODEC)
        head = wire.pack_push(push, self.sizes, form) + _HAS.pack(self._has) * self.asked
        if isinstance(parameters, Tensor):
            return [head, *wire.buffers(update._replace(parameters=parameters))]
        rest = update._replace(parameters=update.parameters[:0])
        return [head, *wire.buffers(rest), *parameters]

    def _plain(self, update: Tensor) -> tuple[int, Sent]:
        numbers = self._touched(update)
        if numbers is None or self.layout.rows is None:
            return 0, update
        parts = self.layout.rows.pick(update, numbers)
        return BY_ROWS, [_numbered(numbers), *map(_memory, parts)]

    def _packed(self, used: Codec, update: Tensor) -> tuple[int, Sent]:
        numbers, found = self._touched(update), self.layout.rows
        if numbers is None or found is None:
            return BY_CODEC, [self._fed_back(used, self._left.add_(update))]
        # Of rows that aren't sent, what was kept waits until they are.
        picked = torch.cat(found.pick(update, numbers))
        picked.add_(torch.cat(found.pick(self._left, numbers)))
        payload = self._fed_back(used, picked)
        found.put(picked, numbers, self._left)
        return BY_CODEC | BY_ROWS, [_numbered(numbers), payload]

    def _whole(self, used: Codec, update: Tensor) -> tuple[int, Sent]:
        self._left.zero_()
        return 0, update

    def _fed_back(self, used: Codec, vector: Tensor) -> memoryview:
        """Encodes a vector, and leaves in it what the codec dropped."""
        payload = self._payload[: used.length(len(vector))]
        used.encode(vector, payload)
        used.add(payload, vector, -1)
        return _memory(payload)

    def _touched(self, update: Tensor) -> list[Tensor] | None:
        """The embeddings' rows to send; None where the whole vector is shorter."""
        if self.layout.rows is None:
            return None
        numbers = self.layout.rows.touched(update)
        length = self.layout.with_rows([len(one) for one in numbers])
        return numbers if length < self.layout.whole else None

    def payload(self) -> memoryview:
        """Where the parameters of a compressed answer are to be received."""
        return _memory(self._answer)

    def unpack(self, into: Tensor, version: int) -> None:
        """Writes the weights that the received payload stands for, and notes their version.

        Raises:
            Refused: it can't be a payload.
        """
        assert self.codec is not None
        self.codec.check(self._answer, len(into))
        self._has = version
        if len(self._mirror):
            self.codec.add(self._answer, self._mirror)
            into.copy_(self._mirror)
        else:
            self.codec.decode(self._answer, into)

    def took(self, weights: Tensor, version: int) -> None:
        """Notes the weights of an answer that wasn't compressed. If it was for anybody, the server
        doesn't know of it."""
        self._has = version if self.asked else -1
        if len(self._mirror):
            self._mirror.copy_(weights)


def keeps_mirror(used: Codec | None) -> bool:
    """Whether answers are differences from what the worker has, not the weights themselves."""
    return used is not None and not isinstance(used, codec.Bf16)


def layout(settings: Settings) -> Layout:
    """What pushes to a server with these settings look like."""
    return Layout(settings.sizes, settings.compression, settings.embeddings)


def told(settings: Settings) -> dict[str, Any]:
    """What a worker must know, as JSON-able data; empty where all is plain."""
    if settings.compression is None and not settings.embeddings:
        return {}
    return {
        "sizes": settings.sizes,
        "compression": settings.compression,
        "embeddings": settings.embeddings,
    }


def packer(found: dict[str, Any] | None) -> Packer | None:
    """A worker's side, from what `told` gave, through JSON or not; None where all is plain."""
    if not found:
        return None
    first, second, third = found["sizes"]
    spans = rows.checked(found["embeddings"], first)
    made = Packer((first, second, third), codec.checked(found["compression"]), spans)
    return made if made.codec is not None or made.layout.rows is not None else None


def pieces(
    used: Packer | None, push: Push, update: Vectors, whole: bool
) -> list[memoryview | bytes]:
    """A push as it is sent, packed or plain."""
    if used is not None:
        return used.pieces(push, update, whole)
    return [wire.pack_push(push, update.sizes), *wire.buffers(update)]


def _numbered(numbers: Sequence[Tensor]) -> memoryview:
    counts = torch.tensor([len(one) for one in numbers], dtype=torch.int32)
    return _memory(torch.cat([counts, *(one.int() for one in numbers)]))


def _memory(tensor: Tensor) -> memoryview:
    return memoryview(tensor.detach().numpy()).cast("B")  # type: ignore[arg-type]
