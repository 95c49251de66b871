"""Vectors that were looked at: those of an exchange are mostly those of the one before."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from elephas_torch.flat import Vectors
from elephas_torch.parameter import wire


class Checked:
    """The vectors of the last exchange, and what follows from them.

    Attributes:
        sizes: their lengths.
        pieces: the update's memory, as it is sent.
        targets: the memory that is received into.
    """

    def __init__(self) -> None:
        self._places: tuple[tuple[int, int], ...] = ()
        self._tensors: tuple[Tensor, ...] = ()
        self.sizes: wire.Sizes = (0, 0, 0)
        self.pieces: list[memoryview | bytes] = []
        self.targets: list[memoryview] = []

    def check(self, update: Vectors, into: Vectors) -> None:
        """Looks at the vectors of an exchange, unless they are those of the last one.

        Raises:
            TypeError, ValueError: as `wire.check_vectors`.
        """
        if self._are(update, into):
            return
        wire.check_vectors(update, None, "update")
        wire.check_vectors(into, update.sizes, "into")
        self._tensors = (*update, *into)
        self._places, self.sizes = _places(self._tensors), update.sizes
        self.pieces, self.targets = [*wire.buffers(update)], wire.buffers(into)

    def _are(self, update: Vectors, into: Vectors) -> bool:
        """Whether these are the same tensors, in the same memory."""
        given = (*update, *into)
        if len(self._tensors) != len(given):
            return False
        same = all(a is b for a, b in zip(given, self._tensors, strict=True))
        return same and _places(given) == self._places


def _places(tensors: Sequence[Tensor]) -> tuple[tuple[int, int], ...]:
    return tuple((one.data_ptr(), one.numel()) for one in tensors)
