"""`Layout`: which single weights lie in a flat vector, one after the other."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate, pairwise
from typing import Any

from torch import Tensor


@dataclass(frozen=True)
class Layout:
    """The single weights in a flat vector.

    Attributes:
        names: for instance "dense/kernel".
        shapes: as long.
        decayed: for each weight, whether weight decay is for it.
    """

    names: list[str]
    shapes: list[tuple[int, ...]]
    decayed: list[bool]

    @classmethod
    def of(
        cls,
        names: Sequence[str],
        shapes: Sequence[Sequence[int]],
        excluded: tuple[set[int], list[str]],
        variables: Sequence[Tensor] | None = None,
    ) -> Layout:
        """Returns the layout, given the ids and the patterns of what weight decay leaves out."""
        ids, patterns = excluded
        out = [any(re.search(p, _last(name)) for p in patterns) for name in names]
        if variables is not None:
            out = [o or id(v) in ids for o, v in zip(out, variables, strict=True)]
        lengths = [tuple(int(length) for length in shape) for shape in shapes]
        return cls(list(names), lengths, [not one for one in out])

    @cached_property
    def sizes(self) -> list[int]:
        return [math.prod(shape) for shape in self.shapes]

    @cached_property
    def spans(self) -> list[tuple[int, int]]:
        """Where each weight starts and ends."""
        return list(pairwise(accumulate(self.sizes, initial=0)))

    @cached_property
    def decayed_spans(self) -> list[tuple[int, int]]:
        """Where the weights that decay lie; neighbours together."""
        found: list[tuple[int, int]] = []
        for (start, end), decayed in zip(self.spans, self.decayed, strict=True):
            if decayed and found and found[-1][1] == start:
                found[-1] = found[-1][0], end
            elif decayed:
                found.append((start, end))
        return found

    @cached_property
    def all_decay(self) -> bool:
        """Whether weight decay is for all weights."""
        return all(self.decayed)

    def to_data(self) -> dict[str, Any]:
        """Returns JSON-able data; `from_data` takes it back."""
        return {"names": self.names, "shapes": self.shapes, "decayed": self.decayed}

    @classmethod
    def from_data(cls, data: dict[str, Any]) -> Layout:
        shapes = [tuple(int(length) for length in shape) for shape in data["shapes"]]
        return cls(list(data["names"]), shapes, [bool(one) for one in data["decayed"]])


def _last(name: str) -> str:
    return re.split(r"[/.]", name)[-1]
