"""The rows of embeddings in a flat vector: of a batch's gradient, all but a few are zero.

A gradient of `torch.embedding` is zero but for the rows of the batch's indices. Sent as row numbers
and rows it is the same gradient, bit by bit, in fewer bytes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from elephas_torch.errors import Refused

#: Of one embedding in the flat vector: the place of its first element, its rows, their width.
Span = tuple[int, int, int]


class Rows:
    """A flat vector seen as dense parts and embeddings between them.

    Args:
        spans: the embeddings, in order.
        n: the vector's length.
    """

    def __init__(self, spans: Sequence[Span], n: int) -> None:
        self.spans, self.n = spans, n
        self._dense, at = [], 0
        for offset, rows, width in spans:
            self._dense.append((at, offset))
            at = offset + rows * width
        self._dense.append((at, n))
        self.dense = sum(end - start for start, end in self._dense)

    def elements(self, counts: Sequence[int]) -> int:
        """How many elements are sent with so many rows of each embedding."""
        widths = (width for _, _, width in self.spans)
        return self.dense + sum(a * b for a, b in zip(counts, widths, strict=True))

    def touched(self, vector: Tensor) -> list[Tensor]:
        """Returns for each embedding the numbers, int64 and rising, of rows that aren't all zero.

        By their bits, so that a row of negative zeros is sent too.
        """
        bits = vector.view(torch.int32)
        found = []
        for offset, rows, width in self.spans:
            table = bits[offset : offset + rows * width].view(rows, width)
            found.append(((table.amax(1) != 0) | (table.amin(1) != 0)).nonzero().view(-1))
        return found

    def pick(self, vector: Tensor, rows: Sequence[Tensor]) -> list[Tensor]:
        """Returns what is sent, in the vector's order: the dense parts as views, and rows."""
        return [
            part if numbers is None else part[numbers].view(-1)
            for part, numbers in self._parts(vector, rows)
        ]

    def put(self, picked: Tensor, rows: Sequence[Tensor], out: Tensor) -> None:
        """Writes back what `pick` took, joined; other rows of `out` stay."""
        at = 0
        for part, numbers in self._parts(out, rows):
            if numbers is None:
                part.copy_(picked[at : at + len(part)])
                at += len(part)
            else:
                width = part.shape[1]
                end = at + len(numbers) * width
                part.index_copy_(0, numbers, picked[at:end].view(-1, width))
                at = end

    def clear(self, out: Tensor) -> None:
        """Sets all embeddings' elements to zero."""
        for offset, rows, width in self.spans:
            out[offset : offset + rows * width].zero_()

    def check(self, rows: Sequence[Tensor]) -> None:
        """Raises Refused unless row numbers are in range, each above the one before."""
        for numbers, (_, most, _) in zip(rows, self.spans, strict=True):
            if len(numbers) and not (
                numbers[0] >= 0 and numbers[-1] < most and bool((numbers[1:] > numbers[:-1]).all())
            ):
                raise Refused(f"Rows must be 0 to {most - 1}, each above the one before.")

    def _parts(
        self, vector: Tensor, rows: Sequence[Tensor]
    ) -> Iterator[tuple[Tensor, Tensor | None]]:
        """Yields dense parts, and embeddings as tables with the numbers of rows."""
        for (start, end), span, numbers in zip(self._dense, self.spans, rows, strict=False):
            if start < end:
                yield vector[start:end], None
            offset, count, width = span
            yield vector[offset : offset + count * width].view(count, width), numbers
        start, end = self._dense[-1]
        if start < end:
            yield vector[start:end], None


def cut(spans: Sequence[Span], start: int, stop: int) -> list[Span]:
    """Returns the whole rows of embeddings in a piece of the vector, as places in that."""
    found = []
    for offset, rows, width in spans:
        first = max(0, -((offset - start) // width))
        last = min(rows, (stop - offset) // width)
        if first < last:
            found.append((offset + first * width - start, last - first, width))
    return found


def checked(spans: Sequence[Sequence[int]], n: int) -> list[Span]:
    """Returns the embeddings' places, as tuples; raises ValueError where they don't fit."""
    found, at = [], 0
    for span in spans:
        good = len(span) == 3 and all(isinstance(one, int) and one >= 0 for one in span)
        if not good or span[0] < at or span[1] * span[2] < 1 or span[1] >= 2**31:
            raise ValueError(
                "`embeddings` must be triples (first element, rows, width), one behind the other. "
                f"Received: embeddings={spans!r}"
            )
        at = span[0] + span[1] * span[2]
        found.append((span[0], span[1], span[2]))
    if at > n:
        raise ValueError(
            f"`embeddings` go beyond the {n} parameters. Received: embeddings={spans!r}"
        )
    return found
