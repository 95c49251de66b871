"""`get_file`: a file from the network, kept in Keras's folder."""

from __future__ import annotations

import os
import posixpath
import warnings
from collections.abc import Iterable
from pathlib import Path

from elephas_torch.keras.utils import archives, downloads


def get_file(
    fname: str | os.PathLike[str] | None = None,
    origin: str | None = None,
    untar: bool = False,
    md5_hash: str | None = None,
    file_hash: str | None = None,
    cache_subdir: str = "datasets",
    hash_algorithm: str = "auto",
    extract: bool = False,
    archive_format: str | Iterable[str] | None = "auto",
    cache_dir: str | os.PathLike[str] | None = None,
    force_download: bool = False,
) -> str:
    """Downloads a file, unless it is there already; unpacks it if asked to.

    Follows https://keras.io/api/utils/python_utils/#getfile-function

    Args:
        fname: the file's name; by default the one that `origin` ends with. With `extract`, the
            name of the folder, or with a dot in it of the archive, whose folder is then
            "<name up to the dot>_extracted".
        origin: where it comes from: http, https, ftp or file.
        untar: an older spelling of `extract=True, archive_format="tar"`.
        md5_hash: an older spelling of `file_hash`.
        file_hash: sha256 or md5 in hexadecimal. A file that is there with another checksum is
            downloaded again.
        cache_subdir: folder in `cache_dir`, or a full path. Default "datasets".
        hash_algorithm: "sha256", "md5" or "auto", which goes by the checksum's length.
        extract: unpack it. Links in an archive become copies of what they point to.
        archive_format: "tar", "zip", several of them, "auto" (both) or None.
        cache_dir: default $KERAS_HOME, or ~/.keras.
        force_download: download it though it is there.

    Returns:
        The path of the file, or with `extract` of the folder.

    Raises:
        ValueError: `origin` is missing, `fname` is a path, or the checksum is none.
        DataError: the file can't be downloaded or has another checksum; a member of the archive
            lies outside the folder. (A `ValueError` too.)
    """
    if not origin:
        raise ValueError("get_file needs the address of the file. Received: origin=None")
    checksum = file_hash or md5_hash
    if checksum:
        downloads.algorithm_of(checksum, hash_algorithm if file_hash else "md5")
    name = _name(fname, origin)
    data = Path(cache_dir).expanduser() if cache_dir else downloads.keras_home()
    data = data / cache_subdir
    file, folder = _places(data, name, bool(fname)) if extract or untar else (data / name, None)
    fresh = force_download or not downloads.fits(file, checksum)
    if fresh:
        downloads.download(origin, file, checksum)
    if folder is None:
        return str(file)
    kind = "tar" if untar else archive_format
    if (fresh or not folder.exists()) and not archives.extract(file, folder, kind):
        warnings.warn(f"get_file: {file} is no archive of format {kind!r}.", stacklevel=2)
    return str(folder)


def _name(fname: str | os.PathLike[str] | None, origin: str) -> str:
    if fname:
        name = os.fspath(fname)
        if not _plain(name):
            raise ValueError(
                "`fname` must be a name without folders: these go into `cache_dir` and "
                f"`cache_subdir`. Received: fname={name!r}"
            )
        return name
    from urllib.parse import urlsplit

    name = posixpath.basename(urlsplit(origin).path)
    if not _plain(name):
        raise ValueError(f"{origin!r} doesn't end with a file's name: give one as `fname`.")
    return name


def _plain(name: str) -> bool:
    return Path(name).name == name and name not in ("", "..")


def _places(data: Path, name: str, given: bool) -> tuple[Path, Path]:
    if given and "." in name:
        return data / name, data / f"{name.partition('.')[0]}_extracted"
    return data / f"{name}_archive", data / name
