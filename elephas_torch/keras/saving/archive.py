"""`.keras` files: a zip of `metadata.json`, `config.json` and the weights.

The weights are `model.weights.h5`, as Keras 3 has them. Files that this package wrote before
hold `model.weights.safetensors` instead, and are read still. Nothing is unpacked to disk.
"""

from __future__ import annotations

import json
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from typing import Any, NamedTuple

from elephas_torch._version import __version__
from elephas_torch.errors import ModelFileError
from elephas_torch.keras.saving.files import existing

CONFIG = "config.json"
WEIGHTS = "model.weights.h5"
OLD_WEIGHTS = "model.weights.safetensors"
#: What is read may be this many times as large as its file, or as large as `SMALL` at least.
EXPANSION = 100
SMALL = 64 * 2**20
#: The Keras whose form the files have: it is written into them, and decides how they are read.
KERAS_VERSION = "3.8.0"
# What zipfile raises over bytes that are no zip, are cut off, or were changed.
_UNREADABLE = (
    zipfile.BadZipFile, zlib.error, struct.error, EOFError, UnicodeDecodeError, OSError,
    NotImplementedError, RuntimeError, OverflowError,
)  # fmt: skip


class Archive(NamedTuple):
    """What a `.keras` file holds.

    Attributes:
        texts: its JSON files by name.
        weights: the bytes of its file of weights.
        old: whether they are in safetensors' form.
        assets: the files that layers keep beside their weights: name -> content.
    """

    texts: dict[str, str]
    weights: bytes
    old: bool
    assets: dict[str, bytes]


def write(
    file: Any, texts: dict[str, str], weights: bytes, assets: dict[str, bytes] | None = None
) -> None:
    """Writes an archive into an open file."""
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for name, text in {"metadata.json": _metadata(), **texts}.items():
            archive.writestr(name, text)
        archive.writestr(WEIGHTS, weights)
        for name, content in (assets or {}).items():
            archive.writestr(name, content)


def _metadata() -> str:
    return json.dumps(
        {
            "keras_version": KERAS_VERSION,
            "date_saved": datetime.now(timezone.utc).strftime("%Y-%m-%d@%H:%M:%S"),
            "elephas_torch_version": __version__,
        }
    )


def read(filepath: Any) -> Archive:
    """Reads an archive.

    Raises:
        FileNotFoundError: it isn't there.
        ModelFileError: it isn't one, is cut off or changed, or unpacks to far more than it is.
    """
    path = existing(filepath)
    with _readable(path), zipfile.ZipFile(path) as archive:
        names = archive.namelist()
        if CONFIG not in names:
            raise ModelFileError(f"{str(path)!r} is a zip, but not of a model: no {CONFIG}.")
        weights = next((one for one in (WEIGHTS, OLD_WEIGHTS) if one in names), None)
        if weights is None:
            raise ModelFileError(
                f"{str(path)!r} has no {WEIGHTS}. It holds: {', '.join(sorted(names))}"
            )
        wanted = [*(one for one in names if one.endswith(".json") and "/" not in one), weights]
        beside = [one for one in names if one.startswith("assets/") and one[-1] != "/"]
        _refuse_bombs(archive, [*wanted, *beside], path)
        texts = {name: archive.read(name).decode() for name in wanted[:-1]}
        assets = {name: archive.read(name) for name in beside}
        return Archive(texts, archive.read(weights), weights == OLD_WEIGHTS, assets)


@contextmanager
def _readable(path: Any) -> Iterator[None]:
    try:
        yield
    except (PermissionError, ModelFileError):
        raise
    except _UNREADABLE as error:
        raise ModelFileError(
            f"{str(path)!r} isn't a saved model, or is cut off ({error}). "
            "Save it again with model.save(path)."
        ) from None


def _refuse_bombs(archive: zipfile.ZipFile, names: list[str], path: Any) -> None:
    size = sum(archive.getinfo(name).file_size for name in names)
    if size > max(SMALL, EXPANSION * path.stat().st_size):
        raise ModelFileError(
            f"{str(path)!r} would unpack to {size} bytes, of which {path.stat().st_size} are "
            "stored: that isn't read."
        )


def config(texts: dict[str, str], path: Any) -> dict[str, Any]:
    """The config of an archive's model.

    Raises:
        ModelFileError: it is no JSON, or of something else.
    """
    try:
        found = json.loads(texts[CONFIG])
    except (ValueError, RecursionError) as error:
        raise ModelFileError(f"{str(path)!r}: {CONFIG} is no JSON ({error}).") from None
    if not isinstance(found, dict) or "class_name" not in found:
        raise ModelFileError(f"{str(path)!r}: {CONFIG} doesn't describe a model.")
    return found
