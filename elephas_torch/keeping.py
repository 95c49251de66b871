"""A persisted RDD's tensors in files of the executor, from one fit to the next.

The files lie in the folders of Spark's block manager, which go with the executor. They are read
and written as streams of bytes, not mapped: pages of a mapped file count as the process's memory.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import logging
import math
import os
import tempfile
import time
from dataclasses import dataclass
from typing import Any, BinaryIO, cast

import torch
from torch import Tensor

from elephas_torch import data, disk, pile
from elephas_torch.forms import Block, Form, Part
from elephas_torch.keras import trees
from elephas_torch.keras.models import Model
from elephas_torch.memory import Budget

logger = logging.getLogger(__name__)

_PREFIX = "elephas-kept-"
#: Rises with each change of what is in a file.
_VERSION = 1
#: Ways in which an RDD's rows are kept: joined to so many partitions, and of some form. What was
#: used longest ago goes first.
_WAYS = 4
#: Bytes that are written at once; then others' writing is looked at.
_PIECE = 64 << 20
#: Bytes that stay free, but no more than a twentieth of the disk: Spark needs some, too.
_SPARE = 8 << 30
#: Seconds without writing after which a file that isn't whole has lost its writer.
_LOST = 600.0


@dataclass(frozen=True)
class Keep:
    """What tasks know of persisted RDDs.

    Attributes:
        persisted: ids of all RDDs that are persisted now.
        rdd: the id of the one that rows come from; None: it isn't persisted, nothing is kept.
        name: another one each time that the RDD was persisted.
        source: the id of the RDD that tasks run on: the same one, or one of joined partitions.
    """

    persisted: frozenset[int]
    rdd: int | None = None
    name: str = ""
    source: int = 0

    @property
    def prefix(self) -> str:
        """What the names of all this RDD's files begin with."""
        return f"{_PREFIX}{self.rdd}-{self.name}-"


def of(keep: Keep | None, partition: int, model: Model, reader: data.Reader) -> Kept | None:
    """A partition's file for models that take rows as this one does; None where none is kept."""
    if keep is None or keep.rdd is None or Form.of(model) is None:
        return None
    return Kept(f"{keep.prefix}{keep.source}-{partition}-", _digest(model, reader))


def _digest(model: Model, reader: data.Reader) -> str:
    """Of all that makes tensors of rows: files of other forms have other names."""
    form, goals = Form.of(model), model._resolved()
    assert form is not None and goals.outputs is not None
    wanted = [goals.needs_target(number) for number in range(len(goals.outputs))]
    parts = (_described(form.x), _described(form.y), wanted)
    text = repr((_VERSION, type(reader).__name__, parts))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _described(part: Part) -> tuple[Any, ...]:
    structure = part.structure
    tree = trees.map_leaves(lambda _: None, structure.form)
    # A column alone is found without its name, which each new model has another of.
    names = None if structure.single else (structure.names, structure._also)
    return part.what, tree, structure.paths, names, [str(one) for one in part.dtypes], part.finite


def tidy(keep: Keep | None) -> None:
    """Removes this executor's files of RDDs that are persisted no more, or were in between."""
    if keep is None:
        return
    for place in disk.folders():
        with contextlib.suppress(OSError):
            for name in os.listdir(place):
                path = os.path.join(place, name)
                if name.startswith(_PREFIX) and not (_is_current(name, keep) and _has_end(path)):
                    _remove(path)


def _has_end(path: str) -> bool:
    """Whether a file is whole, or somebody may be writing it: who was killed has left it."""
    try:
        return "." not in os.path.basename(path) or time.time() - os.path.getmtime(path) < _LOST
    except OSError:  # it is gone, or whole, by now
        return True


def _is_current(name: str, keep: Keep) -> bool:
    number = name.removeprefix(_PREFIX).partition("-")[0]
    if number == str(keep.rdd):
        return name.startswith(keep.prefix)
    return number.isdecimal() and int(number) in keep.persisted


def _remove(path: str) -> None:
    with contextlib.suppress(OSError):
        os.unlink(path)


class Kept:
    """The file of one partition.

    Args:
        rows: what the names of all files of the same rows begin with.
        form: of the rows in this one.

    Attributes:
        name: the file's, in whichever of the executor's folders it is.
    """

    def __init__(self, rows: str, form: str) -> None:
        self.name = rows + form

    def read(self, budget: Budget) -> Block | None:
        """All rows; None where there is no file, or they don't fit in memory.

        A file that can't be read, or isn't whole, is removed.
        """
        for place in disk.folders():
            path = os.path.join(place, self.name)
            try:
                with open(path, "rb") as file:
                    found = _read(file, budget)
                os.utime(path)
                return found
            except FileNotFoundError:
                continue
            except Exception as error:  # there is hardly one that damaged bytes don't raise
                logger.debug("Tensors can't be read from %s: %s", path, error)
                _remove(path)
        return None

    def write(self, block: Block, taken: int) -> None:
        """Writes all rows, where that can be done; where not, there is no file.

        Args:
            taken: what they took of the memory while they were read.
        """
        columns = [*block.features, *block.labels, block.weight]
        if not all(one is None or isinstance(one, Tensor) for one in columns):
            return  # sparse rows
        size = sum(map(disk.nbytes, columns))
        try:
            self._make_room()
            place = max(disk.folders(), key=disk.free, default=None)
            if place is None or disk.free(place) < size + max(size, _spare(place)):
                return
            self._write(place, columns, {"inputs": len(block.features), "taken": taken})
        except OSError as error:
            logger.debug("Tensors aren't kept for the next fit: %s", error)

    def _make_room(self) -> None:
        """Removes what was kept of this RDD in other ways, but for the last few."""
        ways: dict[tuple[str, str], list[str]] = {}
        for place in disk.folders():
            for name in os.listdir(place):
                if name.startswith(_rdd(self.name)) and "." not in name:
                    ways.setdefault(_way(name), []).append(os.path.join(place, name))
        ways.pop(_way(self.name), None)
        for way in sorted(ways, key=lambda one: max(map(_used, ways[one])))[: 1 - _WAYS]:
            for path in ways[way]:
                _remove(path)

    def _write(self, place: str, columns: list[Tensor | None], about: dict[str, int]) -> None:
        handle, path = tempfile.mkstemp(dir=place, prefix=self.name + ".")
        try:
            with open(handle, "wb") as file:
                form = [None if one is None else _form(one) for one in columns]
                file.write(json.dumps({**about, "columns": form}).encode() + b"\n")
                for one in columns:
                    if one is not None:
                        _write_out(disk.as_bytes(one.contiguous()), file, place)
            os.replace(path, os.path.join(place, self.name))
        except BaseException:
            _remove(path)
            raise


def _rdd(name: str) -> str:
    """What the names of all files of an RDD begin with, from that of one."""
    return "-".join(name.split("-", 4)[:4]) + "-"


def _way(name: str) -> tuple[str, str]:
    """The RDD that tasks ran on, and the rows' form, from a file's name."""
    *_, source, _, form = name.split("-", 6)
    return source, form


def _used(path: str) -> float:
    try:
        return os.path.getmtime(path)
    except OSError:  # another task was quicker
        return 0.0


def _write_out(view: memoryview, file: BinaryIO, place: str) -> None:
    for start in range(0, len(view), _PIECE):
        if disk.free(place) < _spare(place):  # other tasks write at the same time
            raise OSError(errno.ENOSPC, "nearly full", place)
        file.write(view[start : start + _PIECE])


def _spare(place: str) -> int:
    return min(_SPARE, disk.size(place) // 20)


def _form(column: Tensor) -> list[Any]:
    return [str(column.dtype).removeprefix("torch."), list(column.shape)]


def _read(file: BinaryIO, budget: Budget) -> Block | None:
    about = json.loads(file.readline())
    forms = [one and (getattr(torch, one[0]), one[1]) for one in about["columns"]]
    inputs, taken = about["inputs"], about["taken"]
    size = sum(dtype.itemsize * math.prod(shape) for dtype, shape in filter(None, forms))
    if file.tell() + size != os.fstat(file.fileno()).st_size:
        raise ValueError("it is too short or too long")
    if not budget.has_room(taken):
        return None
    columns = [one and _column(file, *one) for one in forms]
    return Block(columns[:inputs], columns[inputs:-1], columns[-1])


def _column(file: BinaryIO, dtype: torch.dtype, shape: list[int]) -> Tensor:
    found = pile.empty(shape, dtype)
    view = disk.as_bytes(found)
    while len(view):
        done = cast(Any, file).readinto(view)
        if not done:
            raise ValueError("it was cut off")
        view = view[done:]
    return found
