"""Memory that pushes are received into, on the server."""

from __future__ import annotations

from elephas_torch.parameter import wire
from elephas_torch.parameter.packing import Layout
from elephas_torch.parameter.wire import Body


class Buffers:
    """Buffers for pushes, used again once they are given back.

    A plain push has its vectors in the buffer itself. One in another form has a shorter buffer
    beside vectors to be unpacked into; one whose vectors lie in shared memory has none.
    """

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._free: list[Body] = []
        self._heads: list[Body] = []
        self._short: list[memoryview] = []

    def clear(self) -> None:
        """Lets go of all that nobody uses."""
        self._free, self._heads, self._short = [], [], []

    @property
    def spare(self) -> int:
        """How many with vectors there are that nobody uses."""
        return len(self._free)

    def take(self, length: int) -> Body:
        """Returns a buffer of a length that the layout allows."""
        if self._layout.is_head(length):
            heads = self._heads
            return heads.pop() if heads else wire.allocate((0, 0, 0), wire.PUSH_BYTES)
        sizes = self._layout.sizes
        body = self._free.pop() if self._free else wire.allocate(sizes, wire.PUSH_BYTES)
        if length == self._layout.plain:
            return body
        short = self._short.pop() if self._short else memoryview(bytearray(self._layout.whole))
        return Body(short[:length], body.vectors, (body, short))

    def free(self, body: Body) -> None:
        """Takes back a buffer that nothing uses any more."""
        if self._layout.is_head(len(body.buffer)):
            self._heads.append(body)
            return
        if isinstance(body.arrays, tuple):
            body, short = body.arrays
            self._short.append(short)
        self._free.append(body)
