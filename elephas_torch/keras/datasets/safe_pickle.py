"""Reads what a few old data sets keep as pickles, by a reader that can make nothing but data.

Python's own unpickler calls what a pickle names. This one knows the opcodes that plain values and
NumPy arrays are written with; a few names stand for an array, its dtype and bytes, which are made
here, of parts that were checked; another name, or another opcode, is refused.

The opcodes are described in Python's `pickletools`, and in PEP 307, 3154 and 574.
"""

from __future__ import annotations

import ast
import io
import math
import re
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from elephas_torch.errors import DataError

_DTYPE = re.compile(r"[|<>=]?([biuf][1248]?|[?]|O8?)")
#: BININT1, BININT2 and BININT, which lists of numbers consist of: many are read at once.
_INTEGER = re.compile(rb"K.|M..|J....", re.DOTALL)
_INTEGERS = re.compile(rb"(?:K.|M..|J....){1,4096}", re.DOTALL)
_QUOTED = re.compile(r"""(['"])(?:\\.|(?!\1)[^\\])*\1""")
#: What values may be, and what they may be in.
_SCALARS = {bool, bytes, float, int, str, type(None)}
_WHOLE = _SCALARS | {dict, list, np.ndarray, tuple}
#: Bytes that a part of an .npz file may have; those that arrays may take, for each byte of a
#: pickle; places in the memo; the largest number that is a key, as larger ones may share a hash.
PART, TIMES, PLACES, KEY = 1 << 30, 16, 1 << 32, 1 << 60


class _Name(NamedTuple):
    """What a pickle names: nothing but the name."""

    module: str
    name: str


class _Dtype:
    def __init__(self, name: Any) -> None:
        if not _DTYPE.fullmatch(_text(name)):
            raise ValueError(f"dtype {_text(name)[:20]!r}")
        self.dtype = np.dtype(_text(name))

    def build(self, state: tuple[Any, ...], reader: _Reader) -> _Dtype:
        order: Any = _text(state[1])
        if order not in ("|", "<", ">", "="):
            raise ValueError(f"byte order {order[:20]!r}")
        self.dtype = self.dtype.newbyteorder(order)
        return self


class _Array:
    """An array whose parts come later."""

    found: np.ndarray | None = None

    def build(self, state: tuple[Any, ...], reader: _Reader) -> np.ndarray:
        _, shape, dtype, fortran, data = state
        if not isinstance(dtype, _Dtype) or not isinstance(shape, tuple):
            raise TypeError("an array's state")
        if len(shape) > 32 or not all(type(n) is int and 0 <= n < 1 << 48 for n in shape):
            raise ValueError("an array's size")
        kind, length = dtype.dtype, math.prod(shape)
        if kind.hasobject:
            fits = type(data) is list and len(data) == length
        else:
            fits = type(data) is bytes and len(data) == length * kind.itemsize
        if not fits:
            raise ValueError("an array's size")
        reader.spend(length * kind.itemsize)
        order: Any = "F" if fortran else "C"
        if kind.hasobject:
            self.found = np.fromiter(data, object, length).reshape(shape, order=order)
        else:
            found = np.ndarray(shape, kind, data, order=order)
            self.found = found.astype(kind.newbyteorder("="), order)
        return self.found


class _Integers(dict[bytes, int]):
    """Opcodes with their numbers, each worked out once: data sets repeat them."""

    def __missing__(self, code: bytes) -> int:
        number = int.from_bytes(code[1:], "little", signed=code[:1] == b"J")
        return self.setdefault(code, number)


class _Reader:
    """Reads one pickle.

    Args:
        data: the pickle.
        encoding: of Python 2's strings; "bytes" keeps them as they are.
    """

    def __init__(self, data: bytes, encoding: str) -> None:
        self.data, self.encoding = data, encoding
        self.left = TIMES * len(data) + 1000
        self.at = 0
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.memo: dict[int, Any] = {}
        self.numbers = _Integers()

    def read(self) -> Any:
        while True:
            code = self.take(1)
            if code == b".":
                return whole(self.pop())
            if code not in _OPCODES:
                raise ValueError(f"opcode {code!r}")
            _OPCODES[code](self)

    def spend(self, size: int) -> None:
        """Bytes that are made of others, which may be used many times."""
        self.left -= size
        if self.left < 0:
            raise ValueError("it would take too much memory")

    def take(self, size: int) -> bytes:
        found = self.data[self.at : self.at + size]
        if len(found) < size:
            raise EOFError("it ends too early")
        self.at += size
        return found

    def take_counted(self, form: str) -> bytes:
        """Bytes, before which their number is written."""
        return self.take(self.number(form))

    def number(self, form: str) -> Any:
        return struct.unpack(form, self.take(struct.calcsize(form)))[0]

    def line(self) -> str:
        end = self.data.index(b"\n", self.at)
        found = self.take(end - self.at)
        self.at += 1
        return found.decode("latin1")

    def push(self, value: Any) -> None:
        self.stack.append(value)

    def pop(self) -> Any:
        if len(self.stack) <= (self.marks[-1] if self.marks else 0):
            raise ValueError("it takes what isn't there")
        return self.stack.pop()

    def top(self, kind: type) -> Any:
        if not self.stack or type(self.stack[-1]) is not kind:
            raise TypeError(f"no {kind.__name__} to put into")
        return self.stack[-1]

    def marked(self) -> list[Any]:
        start = self.marks.pop()
        found = self.stack[start:]
        del self.stack[start:]
        return found

    def integers(self) -> None:
        run = _INTEGERS.match(self.data, self.at - 1)
        if run is None:
            raise EOFError("it ends too early")
        codes = _INTEGER.findall(self.data, run.start(), run.end())
        self.stack.extend(map(self.numbers.__getitem__, codes))
        self.at = run.end()

    def integer_line(self) -> None:
        line = self.line()
        # what Python 2 wrote for False and True
        self.push({"00": False, "01": True}[line] if line in ("00", "01") else int(line))

    def python_2(self, text: bytes) -> None:
        self.push(text if self.encoding == "bytes" else text.decode(self.encoding))

    def string_line(self) -> None:
        line = self.line()
        if not _QUOTED.fullmatch(line):
            raise ValueError("a string without quotes")
        self.python_2(ast.literal_eval("b" + line))

    def put(self, key: int) -> None:
        if not 0 <= key < PLACES:
            raise ValueError("no such place")
        self.memo[key] = self.stack[-1]

    def get(self, key: int) -> None:
        value = self.memo[key]
        built = type(value) is _Array and value.found is not None
        self.push(value.found if built else value)

    def pairs(self, into: dict[Any, Any], items: list[Any]) -> None:
        for key in items[::2]:
            number = type(key) is int and -KEY < key < KEY
            if not number and type(key) not in (str, bytes):
                raise TypeError(f"a key of type {type(key).__name__}")
        into.update(zip(items[::2], items[1::2], strict=True))

    def set_item(self) -> None:
        value, key = self.pop(), self.pop()
        self.pairs(self.top(dict), [key, value])

    def set_items(self) -> None:
        items = self.marked()
        self.pairs(self.top(dict), items)

    def make_dict(self) -> None:
        found: dict[Any, Any] = {}
        self.pairs(found, self.marked())
        self.push(found)

    def append(self) -> None:
        value = self.pop()
        self.top(list).append(value)

    def append_all(self) -> None:
        values = self.marked()
        self.top(list).extend(values)

    def make_tuple(self, size: int) -> None:
        self.push(tuple(self.pop() for _ in range(size))[::-1])

    def name(self, module: Any, name: Any) -> None:
        if type(module) is not str or type(name) is not str:
            raise TypeError("a name that is none")
        if (module, name) not in _NAMES:
            raise ValueError(f"it names {module[:50]}.{name[:50]}")
        self.push(_Name(module, name))

    def stack_name(self) -> None:
        name, module = self.pop(), self.pop()
        self.name(module, name)

    def reduce(self) -> None:
        arguments, named = self.pop(), self.pop()
        make = _NAMES[named] if type(named) is _Name else None
        if make is None or type(arguments) is not tuple:
            raise TypeError("it calls what can't be called")
        made = make(*arguments)
        if type(made) is bytes:
            self.spend(len(made))
        self.push(made)

    def build(self) -> None:
        state, target = self.pop(), self.pop()
        if not isinstance(target, _Array | _Dtype) or type(state) is not tuple:
            raise TypeError("a state of nothing that has one")
        self.push(target.build(state, self))


def _encode(text: str, encoding: str) -> bytes:
    if type(text) is not str or encoding != "latin1":
        raise TypeError("bytes in another form")
    return text.encode("latin1")


#: The names that are known, and what is made where they are called.
_NAMES: dict[tuple[str, str], Callable[..., Any] | None] = {
    # how Python 3 writes bytes for Python 2
    ("_codecs", "encode"): _encode,
    ("__builtin__", "bytes"): lambda: b"",
    ("numpy", "ndarray"): None,
    ("numpy", "dtype"): lambda name, align=False, copy=True: _Dtype(name),
    ("numpy.core.multiarray", "_reconstruct"): lambda subtype, shape, kind: _Array(),
    ("numpy._core.multiarray", "_reconstruct"): lambda subtype, shape, kind: _Array(),
}


def _long(data: bytes) -> int:
    return int.from_bytes(data, "little", signed=True)


_OPCODES: dict[bytes, Callable[[_Reader], Any]] = {
    b"\x80": lambda r: r.take(1),  # the protocol
    b"\x95": lambda r: r.take(8),  # a frame's length
    b"(": lambda r: r.marks.append(len(r.stack)),
    b"N": lambda r: r.push(None),
    b"\x88": lambda r: r.push(True),
    b"\x89": lambda r: r.push(False),
    b"K": _Reader.integers,
    b"M": _Reader.integers,
    b"J": _Reader.integers,
    b"I": _Reader.integer_line,
    b"L": lambda r: r.push(int(r.line().rstrip("L"))),
    b"\x8a": lambda r: r.push(_long(r.take_counted("<B"))),
    b"F": lambda r: r.push(float(r.line())),
    b"G": lambda r: r.push(r.number(">d")),
    b"S": _Reader.string_line,
    b"U": lambda r: r.python_2(r.take_counted("<B")),
    b"T": lambda r: r.python_2(r.take_counted("<I")),
    b"V": lambda r: r.push(r.line().encode("latin1").decode("raw-unicode-escape")),
    b"X": lambda r: r.push(r.take_counted("<I").decode()),
    b"\x8c": lambda r: r.push(r.take_counted("<B").decode()),
    b"\x8d": lambda r: r.push(r.take_counted("<Q").decode()),
    b"C": lambda r: r.push(r.take_counted("<B")),
    b"B": lambda r: r.push(r.take_counted("<I")),
    b"\x8e": lambda r: r.push(r.take_counted("<Q")),
    b")": lambda r: r.push(()),
    b"\x85": lambda r: r.make_tuple(1),
    b"\x86": lambda r: r.make_tuple(2),
    b"\x87": lambda r: r.make_tuple(3),
    b"t": lambda r: r.push(tuple(r.marked())),
    b"]": lambda r: r.push([]),
    b"l": lambda r: r.push(r.marked()),
    b"a": _Reader.append,
    b"e": _Reader.append_all,
    b"}": lambda r: r.push({}),
    b"d": _Reader.make_dict,
    b"s": _Reader.set_item,
    b"u": _Reader.set_items,
    b"p": lambda r: r.put(int(r.line())),
    b"q": lambda r: r.put(r.number("<B")),
    b"r": lambda r: r.put(r.number("<I")),
    b"\x94": lambda r: r.put(len(r.memo)),
    b"g": lambda r: r.get(int(r.line())),
    b"h": lambda r: r.get(r.number("<B")),
    b"j": lambda r: r.get(r.number("<I")),
    b"c": lambda r: r.name(r.line(), r.line()),
    b"\x93": _Reader.stack_name,
    b"R": _Reader.reduce,
    b"b": _Reader.build,
}


def loads(data: bytes, where: object, encoding: str = "ASCII") -> Any:
    """Returns what a pickle of plain values and NumPy arrays holds.

    Args:
        data: the pickle.
        where: the file it is from, for messages.
        encoding: of Python 2's strings; "bytes" keeps them as they are.

    Raises:
        DataError: it is damaged, or holds something that isn't a plain value or an array.
    """
    try:
        return _Reader(data, encoding).read()
    except Exception as error:
        raise DataError(
            f"{where} isn't read: it is damaged, or holds more than numbers ({_short(error)})."
        ) from None


def whole(value: Any) -> Any:
    """Returns it; raises TypeError where anything in it isn't data."""
    left, seen = [value], set()
    while left:
        one = left.pop()
        if id(one) in seen:
            continue
        seen.add(id(one))
        inner: Any = (one,)
        if type(one) in (list, tuple):
            inner = one
        elif type(one) is dict:
            inner = list(one.values())  # keys were looked at
        elif type(one) is np.ndarray:
            inner = one.ravel().tolist() if one.dtype.hasobject else ()
        types = set(map(type, inner))
        if not types <= _WHOLE:
            raise TypeError("a part of an array alone")
        if not types <= _SCALARS:
            left += [item for item in inner if type(item) not in _SCALARS]
    return value


def _short(error: Exception) -> str:
    found = str(error)
    return found if len(found) < 200 else f"{found[:200]} …"


def load_npz(path: Path) -> dict[str, np.ndarray]:
    """Returns the arrays of an .npz file, of which some may be arrays of lists.

    Raises:
        DataError: it is damaged, or holds something else than arrays.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            return {
                name.removesuffix(".npy"): _array(_part(archive, name), path)
                for name in archive.namelist()
                if name.endswith(".npy")
            }
    except DataError:
        raise
    except Exception as error:
        raise DataError(f"{path} is no .npz file, or is damaged: {_short(error)}.") from None


def _part(archive: zipfile.ZipFile, name: str) -> bytes:
    with archive.open(name) as file:
        found = file.read(PART + 1)
    if len(found) > PART:
        raise ValueError(f"{name} has more than {PART >> 20} MiB")
    return found


def _array(data: bytes, path: Path) -> np.ndarray:
    file = io.BytesIO(data)
    version = np.lib.format.read_magic(file)
    headers = {(1, 0): np.lib.format.read_array_header_1_0}
    _, _, dtype = headers.get(version, np.lib.format.read_array_header_2_0)(file)
    if not dtype.hasobject:
        file.seek(0)
        return np.lib.format.read_array(file, allow_pickle=False)
    found = loads(data[file.tell() :], path)
    if not isinstance(found, np.ndarray):
        raise DataError(f"{path} isn't read: it holds a {type(found).__name__}, not an array.")
    return found


def _text(name: Any) -> str:
    if type(name) not in (bytes, str):
        raise TypeError("a text that is none")
    return name.decode("ascii") if type(name) is bytes else name
