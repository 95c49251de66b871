"""HDF5 files in memory: arrays in groups, attributes of any length; read without trust.

A file may point to other files, and may declare arrays that are far larger than itself. Links
and external or virtual arrays are refused, and an array's size is looked at before it is read.
So are texts' heaps that the library would go round in without end, texts made lists, and texts that
say they are longer than the file.
The HDF5 library itself is in C and isn't hardened: bytes that were changed on purpose can crash
the process. From strangers rather take safetensors.
"""

from __future__ import annotations

import io
import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from elephas_torch.errors import ModelFileError
from elephas_torch.keras.saving import heaps

#: Arrays up to this size are read however they are packed.
SMALL = 64 * 2**20
#: Larger ones may be this many times as large as what is stored of them.
EXPANSION = 1000
#: HDF5 keeps no longer attributes beside a group.
_LONGEST_ATTRIBUTE = 64_000
#: The bytes of files that are open, by the number that the library has for them; and which names of
#: attributes were looked for in them.
_contents: dict[int, tuple[bytes, set[str]]] = {}


def written(write: Callable[[Any], Any]) -> bytes:
    """Returns the bytes of the file that `write(group)` fills."""
    import h5py

    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        write(file)
    return buffer.getvalue()


@contextmanager
def opened(content: bytes, path: Any) -> Iterator[Any]:
    """The root group of a file's bytes.

    Raises:
        ModelFileError: they are no HDF5 file, or are damaged; so what is done within the scope
            may fail, too.
    """
    import h5py

    try:
        with h5py.File(io.BytesIO(content), "r") as file:
            heaps.refuse_endless(content, file.id.get_create_plist().get_sizes()[1])
            number = h5py.h5o.get_info(file.id).fileno
            _contents[number] = content, set()
            try:
                yield file
            finally:
                del _contents[number]
    except ModelFileError:
        raise
    except Exception as error:  # there is hardly one that damaged files don't raise
        raise ModelFileError(
            f"{str(path)!r} is no HDF5 file, or is cut off or damaged ({error})."
        ) from None


def group(parent: Any, path: str) -> Any:
    """The group at a path below another, or None where there is none.

    Raises:
        ModelFileError: the way there leads through a link, or to an array.
    """
    import h5py

    for name in path.split("/") if path else ():
        if name not in parent:
            return None
        _refuse_links(parent, name)
        parent = parent[name]
        if not isinstance(parent, h5py.Group):
            raise ModelFileError(f"{parent.name!r} should be a group, and is an array.")
    return parent


def _refuse_links(parent: Any, name: str) -> None:
    import h5py

    link = parent.get(name, getclass=True, getlink=True)
    if link is not h5py.HardLink:
        raise ModelFileError(f"{parent.name}/{name} is a {link.__name__}: links aren't followed.")


def dataset(parent: Any, path: str) -> Any:
    """The array at a path below a group, not read yet.

    Raises:
        ModelFileError: it isn't there, lies outside the file, is no array of numbers, or
            declares far more than is stored.
    """
    import h5py

    folder, _, name = path.rpartition("/")
    holder = group(parent, folder)
    if holder is None or name not in holder:
        raise ModelFileError(f"There is no array {path!r} in {parent.name!r}.")
    _refuse_links(holder, name)
    found = holder[name]
    if not isinstance(found, h5py.Dataset):
        raise ModelFileError(f"{found.name!r} should be an array, and is a group.")
    if found.external or found.is_virtual:
        raise ModelFileError(f"{found.name!r} lies outside the file: that isn't read.")
    if found.dtype.kind not in "fiubV" or found.dtype.hasobject:
        raise ModelFileError(f"{found.name!r} holds no numbers: {found.dtype}")
    if found.nbytes > max(SMALL, EXPANSION * found.id.get_storage_size()):
        raise ModelFileError(
            f"{found.name!r} declares {found.nbytes} bytes, of which "
            f"{found.id.get_storage_size()} are stored."
        )
    return found


def values(found: Any) -> np.ndarray:
    """Reads an array; bfloat16, which HDF5 doesn't know, becomes float32."""
    array = np.asarray(found[()])
    if array.dtype.kind != "V":
        return array
    named = "dtype" in found.attrs and attribute(found, "dtype") == "bfloat16"
    if not named or array.dtype.itemsize != 2:
        raise ModelFileError(f"{found.name!r} holds no numbers: {array.dtype}")
    return (array.view(np.uint16).astype(np.uint32) << 16).view(np.float32)


class Stored(Mapping[str, np.ndarray]):
    """The arrays of a group by name, read when they are asked for.

    Args:
        holder: the group, or None for no arrays.
    """

    def __init__(self, holder: Any) -> None:
        self._holder = holder

    def __getitem__(self, name: str) -> np.ndarray:
        if self._holder is None or name not in self._holder:
            raise KeyError(name)
        return values(dataset(self._holder, name))

    def __iter__(self) -> Iterator[str]:
        return iter(() if self._holder is None else self._holder)

    def __len__(self) -> int:
        return 0 if self._holder is None else len(self._holder)

    def shape(self, name: str) -> tuple[int, ...]:
        """An array's shape, without reading it."""
        return tuple(dataset(self._holder, name).shape)


def text(value: Any) -> str:
    """An attribute as text: Keras wrote bytes before, text later."""
    return value.decode("utf-8") if isinstance(value, bytes) else str(value)


def attribute(holder: Any, name: str) -> Any:
    """An attribute: text or numbers.

    Raises:
        ValueError: it is made of something else, at which the library may crash; or it says that
            it is larger than the file.
    """
    import h5py

    found = holder.attrs.get_id(name)
    content, safe = _contents[h5py.h5o.get_info(holder.id).fileno]
    if not _is_text(found.dtype) and found.dtype.kind not in "fiub":
        raise ValueError(f"the attribute {name!r} of {holder.name!r} is neither text nor numbers")
    if found.dtype.itemsize * math.prod(found.shape) > len(content):
        raise ValueError(f"the attribute {name!r} of {holder.name!r} is larger than the file")
    if name not in safe and h5py.check_vlen_dtype(found.dtype) is not None:
        heaps.refuse_too_long(content, name, holder.file.id.get_create_plist().get_sizes()[0])
        safe.add(name)
    return holder.attrs[name]


def texts(holder: Any) -> dict[str, str]:
    """All attributes that are one text each, by name."""
    found = {
        name: attribute(holder, name)
        for name in holder.attrs
        if _is_text(holder.attrs.get_id(name).dtype)
    }
    return {name: text(one) for name, one in found.items() if isinstance(one, str | bytes)}


def _is_text(dtype: Any) -> bool:
    import h5py

    return h5py.check_string_dtype(dtype) is not None


def names(holder: Any, prefix: str) -> list[str]:
    """A list of names kept as an attribute, or as several: name0, name1 …"""
    if prefix in holder.attrs:
        return [text(one) for one in attribute(holder, prefix)]
    found: list[str] = []
    for number in itertools.count():
        if f"{prefix}{number}" not in holder.attrs:
            return found
        found += [text(one) for one in attribute(holder, f"{prefix}{number}")]
    return found


def has_names(holder: Any, attribute: str) -> bool:
    """Whether a list of names is kept there, in one attribute or in several."""
    return attribute in holder.attrs or f"{attribute}0" in holder.attrs


def keep_names(holder: Any, attribute: str, several: Sequence[str]) -> None:
    """Writes a list of names as an attribute, or as several where it is too long for one."""
    whole = [one.encode("utf-8") for one in several]
    parts = 1
    while any(_length(part) > _LONGEST_ATTRIBUTE for part in np.array_split(whole, parts)):
        parts += 1
    if parts == 1:
        holder.attrs[attribute] = whole
        return
    for number, part in enumerate(np.array_split(whole, parts)):
        holder.attrs[f"{attribute}{number}"] = part


def _length(part: Any) -> int:
    return int(np.asarray(part).nbytes)
