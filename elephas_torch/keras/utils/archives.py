"""Archives unpacked without trusting their names: nothing is written outside the folder."""

from __future__ import annotations

import gzip
import shutil
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import IO, Any

from elephas_torch.errors import DataError, unknown

FORMATS = ("tar", "zip")
#: What reading a damaged archive, or one with a password, raises besides its own module's errors.
_DAMAGE = (EOFError, KeyError, RuntimeError, gzip.BadGzipFile, zlib.error)

#: A member: its name, and what opens it; None for a folder.
Member = tuple[str, Callable[[], IO[bytes] | None] | None]


def extract(archive: Path, folder: Path, archive_format: str | Iterable[str] | None) -> bool:
    """Unpacks an archive; links in it become copies of what they point to.

    Args:
        archive: a tar (plain, gzip, bzip2, xz) or a zip.
        folder: where to; made. If it isn't there yet, it appears only when all is unpacked.
        archive_format: "tar", "zip", several of them, "auto" (both), or None (none).

    Returns:
        Whether it was an archive of one of these formats.

    Raises:
        DataError: a member lies outside the folder, or the archive is damaged.
        ValueError: the format isn't known.
    """
    kind = _kind(archive, _formats(archive_format))
    if kind is None:
        return False
    if folder.exists():
        _unpack(archive, kind, folder)
        return True
    part = folder.with_name(f"{folder.name}.part")
    try:
        _unpack(archive, kind, part)
        part.rename(folder)
    finally:
        with suppress(OSError):
            shutil.rmtree(part)
    return True


def _formats(archive_format: str | Iterable[str] | None) -> list[str]:
    if archive_format == "auto":
        return list(FORMATS)
    several = [archive_format] if isinstance(archive_format, str) else list(archive_format or ())
    for one in several:
        if one not in FORMATS:
            raise unknown("archive_format", one, [*FORMATS, "auto"])
    return several


def _kind(archive: Path, formats: list[str]) -> str | None:
    import tarfile
    import zipfile

    tests: dict[str, Callable[[Path], bool]] = {
        "tar": tarfile.is_tarfile,
        "zip": zipfile.is_zipfile,
    }
    return next((one for one in formats if tests[one](archive)), None)


def _unpack(archive: Path, kind: str, folder: Path) -> None:
    import lzma
    import tarfile
    import zipfile

    try:
        with tarfile.open(archive) if kind == "tar" else zipfile.ZipFile(archive) as opened:
            for name, opens in (_tar if kind == "tar" else _zip)(opened):
                _write(archive, folder, name, opens)
    except (*_DAMAGE, lzma.LZMAError, tarfile.TarError, zipfile.BadZipFile) as error:
        raise DataError(f"{archive} is damaged: {error}.") from error


def _tar(archive: Any) -> Iterator[Member]:
    for info in archive:
        if info.isdir():
            yield info.name, None
        else:
            yield info.name, partial(archive.extractfile, info)


def _zip(archive: Any) -> Iterator[Member]:
    for info in archive.infolist():
        if info.is_dir():
            yield info.filename, None
        else:
            yield info.filename, partial(archive.open, info)


def _write(archive: Path, folder: Path, name: str, opens: Any) -> None:
    root = folder.resolve()
    target = (root / name).resolve()
    if target != root and root not in target.parents:
        raise DataError(f"{archive} has the member {name!r}, which lies outside of {folder}.")
    if opens is None:
        target.mkdir(parents=True, exist_ok=True)
        return
    source = opens()
    if source is None:
        raise DataError(f"{archive} has the member {name!r}, which is neither a file nor a folder.")
    target.parent.mkdir(parents=True, exist_ok=True)
    with source, target.open("wb") as file:
        shutil.copyfileobj(source, file)
