"""Rows of an RDD that can be passed over without being unpickled.

A task that doesn't read its rows to the end costs Spark the whole Python process. Who has no need
of them reads their bytes alone.
"""

from __future__ import annotations

import contextlib
import itertools
import struct
from collections.abc import Iterable, Iterator
from operator import itemgetter
from typing import Any

from pyspark.serializers import (
    BatchedSerializer,
    FramedSerializer,
    Serializer,
    SpecialLengths,
)


class RowsCut(Exception):
    """Spark broke off a partition's rows: what they are made of has failed, and Spark says how."""


#: Bytes that are read at once to be thrown away.
_PIECE = 1 << 16


def is_framed(deserializer: Any) -> bool:
    """Whether all that it reads are frames, (length, bytes), each with a row or a list of rows.

    Not so are lines of text, cartesian products and zipped RDDs.
    """
    if isinstance(deserializer, BatchedSerializer):
        plain = _inherits(deserializer, BatchedSerializer, "_load_stream_without_unbatching")
        inner = deserializer.serializer  # in which rows are batched once more, if anybody does so
        return plain and not isinstance(inner, BatchedSerializer) and is_framed(inner)
    if not isinstance(deserializer, FramedSerializer):
        return False
    return _inherits(deserializer, FramedSerializer, "_read_with_length")


def _inherits(deserializer: Any, cls: type, method: str) -> bool:
    found = type(deserializer)
    return all(getattr(found, name) is getattr(cls, name) for name in ("load_stream", method))


class Skippable(Serializer):
    """Reads rows as another deserializer does, but they can be skipped.

    Args:
        inner: the other one; see `is_framed`.
        values: rows come as (key, row).
    """

    def __init__(self, inner: Any, values: bool = False) -> None:
        self.inner, self.values = inner, values

    def load_stream(self, stream: Any) -> SkippableRows:
        """The rows of a stream."""
        return SkippableRows(stream, self.inner, self.values)

    def dump_stream(self, iterator: Iterable[Any], stream: Any) -> None:
        """Writes rows as the other one does."""
        self.inner.dump_stream(iterator, stream)


class SkippableRows:
    """Rows of a stream: an iterable, to go through once.

    Args:
        stream: a binary file; the rows' frames end with Spark's own mark. Going through them
            raises `RowsCut` where it is missing, be it that the rows before are whole.
        inner, values: as `Skippable`'s.
    """

    def __init__(self, stream: Any, inner: Any, values: bool = False) -> None:
        self._stream, self._over = stream, False
        batched = isinstance(inner, BatchedSerializer)
        self._loads = (inner.serializer if batched else inner).loads
        rows: Iterator[Any] = self._frames()
        if batched:
            rows = itertools.chain.from_iterable(rows)
        self._rows = map(itemgetter(1), rows) if values else rows

    def __iter__(self) -> Iterator[Any]:
        return self._rows

    def skip(self) -> None:
        """Reads the frames that are left, if any, and gives no more rows.

        Raises:
            RowsCut: their end was missing.
        """
        self._rows = iter(())
        while (length := self._length()) is not None:
            while length > 0:
                length -= len(self._read(min(length, _PIECE)))

    def _frames(self) -> Iterator[Any]:
        while (length := self._length()) is not None:
            if length == SpecialLengths.NULL:
                yield None
                continue
            yield self._loads(self._read(length))

    def _length(self) -> int | None:
        """The next frame's; None where there is none: the stream isn't read beyond the last."""
        if self._over:
            return None
        length: int = struct.unpack("!i", self._read(4))[0]
        self._over = length == SpecialLengths.END_OF_DATA_SECTION
        return None if self._over else length

    def _read(self, length: int) -> bytes:
        data: bytes = self._stream.read(length)
        if len(data) < length:
            self._over = True
            raise RowsCut(f"{length - len(data)} bytes are missing")
        return data


def skip(rows: Iterable[Any]) -> None:
    """Goes to the end of rows, the quickest way there is."""
    if isinstance(rows, SkippableRows):
        rows.skip()
    for _ in rows:
        pass


def drain(rows: Iterable[Any]) -> None:
    """Reads what is left: a task that doesn't costs Spark the whole Python process."""
    with contextlib.suppress(Exception):  # told the driver already, or not worth telling
        skip(rows)
