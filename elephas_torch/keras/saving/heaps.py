"""Where the texts of HDF5 attributes lie, looked at before the library, in C, trusts what it finds.

HDF5 keeps such a text in a "global heap"; the attribute's message has its length and its place.
https://support.hdfgroup.org/documentation/hdf5/latest/_f_m_t3.html
"""

from __future__ import annotations

import math
from collections.abc import Iterator

#: What a heap of texts begins with: its mark, and version 1.
_TEXTS = b"GCOL\x01"
#: What a heap of messages begins with, that have no room beside their group.
_MESSAGES = b"FRHP\x00"
#: The class of values of variable length.
_VARIABLE = 9


def refuse_endless(content: bytes, width: int) -> None:
    """Looks through the heaps of texts as the library does.

    It (2.0 and before) goes on from an object by the size that this declares, be it 0: round and
    round, where no signal ends it.

    Args:
        content: the file.
        width: the bytes of a size in it.

    Raises:
        ValueError: one is damaged, or heaps lie in each other.
    """
    head, steps = _aligned(8 + width), len(content) // 8
    at = content.find(_TEXTS)
    while at >= 0:
        end = at + _number(content, at + 8, width)
        place = at + head if end <= len(content) else end  # that the library refuses
        while place + head <= end:
            size = _number(content, place + 8, width)
            free = content[place : place + 2] == b"\x00\x00"
            needed, steps = size if free else head + _aligned(size), steps - 1
            if not 0 < needed <= end - place or not steps:
                raise ValueError(f"the heap at byte {at} is damaged")
            place += needed
        at = content.find(_TEXTS, at + 1)


def refuse_too_long(content: bytes, name: str, width: int) -> None:
    """Looks for attributes' messages of that name, and at how long they say that their texts are.

    The library takes and clears as much memory as that before it sees that there is no such text.
    Whatever looks like such a message is taken for one: none can be missed, as long as heaps of
    messages aren't compressed.

    Args:
        content: the file.
        width: the bytes of a place in the file.

    Raises:
        ValueError: one is longer than the file; or there is no such message to be seen.
    """
    mark, found, looked_at = name.encode() + b"\x00", False, 0
    at = content.find(mark)
    while at >= 0:
        for place, number in _texts(content, at, len(mark)):
            found, looked_at = True, looked_at + number
            end = place + number * (8 + width)
            if end > len(content) or looked_at > len(content):
                raise ValueError(f"the attribute {name!r} says that it has {number} texts")
            lengths = (_number(content, place + one * (8 + width), 4) for one in range(number))
            if (longest := max(lengths, default=0)) > len(content):
                raise ValueError(
                    f"the attribute {name!r} says that it has {longest} bytes, and the file has "
                    f"{len(content)}"
                )
        at = content.find(mark, at + 1)
    if not found or _hides_messages(content):
        raise ValueError(f"the attribute {name!r} isn't where such a one lies")


def _texts(content: bytes, at: int, least: int) -> Iterator[tuple[int, int]]:
    """Where the lengths and places of texts are, and of how many, if an attribute's message has its
    name there.

    Of version 1: [version, 0, three sizes of 2 bytes], name, kind, shape, data, each of the three
    filled up to 8 bytes. Of version 2: [version, flags, sizes], not filled up. Of version 3: with
    the encoding of the name behind the sizes.
    """
    for start, versions in ((at - 8, (1, 2)), (at - 9, (3,))):
        if start < 0 or content[start] not in versions:
            continue
        sizes = [_number(content, start + 2 * one, 2) for one in (1, 2, 3)]
        if content[start] == 1:
            sizes = [_aligned(size) for size in sizes]
        elif content[start + 1]:
            raise ValueError(f"an attribute at byte {at} has its kind or shape elsewhere")
        kind, shape = at + sizes[0], at + sizes[0] + sizes[1]
        if sizes[0] >= least and content[kind : kind + 1] and content[kind] % 16 == _VARIABLE:
            yield shape + sizes[2], _points(content, shape)


def _points(content: bytes, at: int) -> int:
    """How many values a shape has."""
    version, rank = content[at : at + 1], _number(content, at + 1, 1)
    first = at + (8 if version == b"\x01" else 4)
    return math.prod(_number(content, first + 8 * one, 8) for one in range(rank))


def _hides_messages(content: bytes) -> bool:
    """Whether a heap of messages is filtered: compressed, say."""
    at = content.find(_MESSAGES)
    while at >= 0:
        if _number(content, at + 7, 2):
            return True
        at = content.find(_MESSAGES, at + 1)
    return False


def _number(content: bytes, at: int, width: int) -> int:
    return int.from_bytes(content[at : at + width], "little")


def _aligned(size: int) -> int:
    return -(-size // 8) * 8
