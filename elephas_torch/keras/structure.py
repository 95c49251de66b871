"""The form of what a model takes or gives: one tensor, or a list, tuple or dict of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from torch import Tensor

from elephas_torch.errors import DataError, unknown
from elephas_torch.keras import trees
from elephas_torch.keras.sparse import is_sparse

#: The keys that lead from a tree to one of its leaves.
Path = tuple[Any, ...]


class Structure:
    """Where the tensors of a tree lie, and what they are called.

    Args:
        form: a tree of lists, tuples and dicts with anything as leaves.
        names: of the leaves, in the tree's order; a dict's keys go before them.

    Attributes:
        paths: one for each leaf; a dict's entries in the order of their keys, as Keras has it.
        names: one for each leaf, None where it has none.
        single: whether it is one leaf alone, in no list.
    """

    def __init__(self, form: Any, names: Sequence[str] | None = None) -> None:
        self.form = form
        self.paths: list[Path] = list(_paths(form))
        self.single = self.paths == [()]
        known: list[str | None] = list(names or ())
        if len(known) != len(self.paths):
            known = [None] * len(self.paths)
        #: For each leaf of the tree, its entries in their own order, the number that it has here.
        self.numbers: list[int] = trees.leaves(self.pack(range(len(self.paths))))
        known = self.from_tree_order(known)
        self.names = [_name(p, n) for p, n in zip(self.paths, known, strict=True)]
        self._also = known

    @classmethod
    def of_shapes(cls, shapes: Any, names: Sequence[str] | None = None) -> Structure:
        """The structure of a tree whose leaves are shapes: `(None, 3)`."""
        return cls(hide_shapes(shapes), names)

    def __len__(self) -> int:
        return len(self.paths)

    def from_tree_order(self, values: Sequence[Any]) -> list[Any]:
        """Values in the order of the tree's own entries, brought into the order of `paths`."""
        found: list[Any] = [None] * len(self)
        for number, value in zip(self.numbers, values, strict=True):
            found[number] = value
        return found

    def label(self, number: int) -> str:
        """How a message calls a leaf: its name in quotes, or its number."""
        name = self.names[number]
        return str(number) if name is None else repr(name)

    def leaves(self, tree: Any) -> list[Any]:
        """The leaves of a tree of this form, in the order of `paths`."""
        return [tree] if self.single else [_at(tree, path) for path in self.paths]

    def pack(self, leaves: Sequence[Any]) -> Any:
        """A tree of this form of leaves in the order of `paths`."""
        return _filled(self.form, (), dict(zip(self.paths, leaves, strict=True)))

    def spread(self, given: Any, argument: str, kind: str = "output") -> list[Any]:
        """An entry for each leaf out of a list, a tuple or a dict; None where it has none.

        Args:
            given: a list with an entry for each leaf; a dict with names of some; a tree of this
                form; where there is one leaf, its entry alone.
            argument, kind: for messages: what was given, and what the leaves are.

        Raises:
            DataError: a list is too short or too long, a name is unknown, or it is neither list
                nor dict where there are several leaves.
        """
        if isinstance(given, dict):
            if isinstance(self.form, dict) and set(given) <= set(self.form):
                return [_at(given, path, partly=True) for path in self.paths]
            return self._by_name(given, argument, kind)
        if isinstance(given, list | tuple):
            if len(given) == len(self):
                return list(given)
            if not self.single and len(given) == len(self.form):
                return [_at(given, path, partly=True) for path in self.paths]
        elif len(self) == 1:
            return [given]
        several = isinstance(given, list | tuple)
        found = f"{len(given)} entries" if several else type(given).__name__
        raise DataError(
            f"`{argument}` needs an entry for each of the model's {len(self)} {kind}s "
            f"({self.labels()}): a list, or a dict of their names. Received: {found}"
        )

    def labels(self) -> str:
        """All leaves, as a message lists them."""
        return ", ".join(self.label(number) for number in range(len(self)))

    def _by_name(self, given: dict[Any, Any], argument: str, kind: str) -> list[Any]:
        found: list[Any] = [None] * len(self)
        for key, value in given.items():
            found[self._number(key, argument, kind)] = value
        return found

    def _number(self, key: Any, argument: str, kind: str) -> int:
        for names in (self.names, self._also):
            if key is not None and key in names:
                return names.index(key)
        known = [str(name) for name in (*self.names, *self._also) if name is not None]
        if known:
            raise DataError(str(unknown(f"{kind} in `{argument}`", key, known)))
        if len(self) == 1:
            return 0
        raise DataError(
            f"`{argument}` is a dict, but the model's {kind}s have no names: give a list of "
            f"{len(self)}. Received: the key {key!r}"
        )


def _paths(tree: Any, path: Path = ()) -> Iterator[Path]:
    if isinstance(tree, dict):
        for key in sorted(tree, key=str):
            yield from _paths(tree[key], (*path, key))
    elif isinstance(tree, list | tuple):
        for number, one in enumerate(tree):
            yield from _paths(one, (*path, number))
    else:
        yield path


def _name(path: Path, given: str | None) -> str | None:
    if path and isinstance(path[-1], int):
        return given if given is None else "/".join(map(str, (*path[:-1], given)))
    return "/".join(map(str, path)) if path else given


def _at(tree: Any, path: Path, partly: bool = False) -> Any:
    for key in path:
        if partly and not isinstance(tree, list | tuple | dict):
            return tree  # one entry for all that is below
        if partly and isinstance(tree, dict) and key not in tree:
            return None
        tree = tree[key]
    return tree


def _filled(form: Any, path: Path, leaves: dict[Path, Any]) -> Any:
    if isinstance(form, dict):
        return {key: _filled(one, (*path, key), leaves) for key, one in form.items()}
    if isinstance(form, list | tuple):
        several = [_filled(one, (*path, number), leaves) for number, one in enumerate(form)]
        return several if isinstance(form, list) else tuple(several)
    return leaves[path]


def is_shape(thing: Any) -> bool:
    """Whether it is one shape, such as `(None, 3)`, and no list of shapes."""
    return isinstance(thing, list | tuple) and all(
        one is None or isinstance(one, int | np.integer) for one in thing
    )


def any_batch(shapes: Any) -> Any:
    """A tree of shapes with None for the batch, which an input may have fixed."""
    if shapes is None:
        return None
    if is_shape(shapes):
        return (None, *shapes[1:]) if shapes else shapes
    if isinstance(shapes, dict):
        return {key: any_batch(one) for key, one in shapes.items()}
    several = [any_batch(one) for one in shapes]
    return tuple(several) if isinstance(shapes, tuple) else several


def hide_shapes(shapes: Any) -> Any:
    """A tree of shapes with None in their places, in plain lists, tuples and dicts."""
    if shapes is None or is_shape(shapes):
        return None
    if isinstance(shapes, dict):
        return {key: hide_shapes(one) for key, one in shapes.items()}
    several = [hide_shapes(one) for one in shapes]
    return tuple(several) if isinstance(shapes, tuple) else several


def has_rows(thing: Any) -> bool:
    """Whether it is an array, a tensor, a frame or sparse rows: no list, no number."""
    if isinstance(thing, np.ndarray | Tensor) or is_sparse(thing):
        return True
    return hasattr(thing, "__array__") and hasattr(thing, "shape") and len(thing.shape) > 0
