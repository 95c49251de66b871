"""Files of a stage on Spark's own file systems: local, hdfs, s3a, and what else Hadoop knows.

On classic Spark the JVM's Hadoop does it; on Spark Connect, where there is no JVM beside us, what
Spark lets through: uploads, and reading as `binaryFile`.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlparse

from elephas_torch.connect import is_connect

#: Bytes of a file that one row of Spark Connect's answers may hold: below its 128 MiB.
CHUNK = 32 * 2**20


class Folder(Protocol):
    """A folder that a stage is kept in."""

    def exists(self) -> bool:
        """Whether there is something at the path."""
        ...

    def make(self) -> None:
        """Makes an empty folder, unless it is there; raises OSError where it can't."""
        ...

    def put(self, files: Mapping[str, Path]) -> None:
        """Makes the folder, with copies of these local files by name, in place of what is there."""
        ...

    def get(self, name: str, place: Path) -> bool:
        """Copies a file, or a folder's first part, to a local place; False where there is none."""
        ...


def folder(session: Any, path: Any, sole: bool = False) -> Folder:
    """The folder of a path, as a Spark session sees it.

    Args:
        sole: nobody else writes it at the same time: what a writer that was killed has left beside
            it is taken away by the next one. Default False.

    Raises:
        TypeError: `path` is no path.
    """
    if not isinstance(path, str | os.PathLike):
        raise TypeError(f"`path` must be a string. Received: path={path!r}")
    path = os.fspath(path)
    if not path:
        raise ValueError("`path` must name a folder. Received: path=''")
    if not is_connect(session):
        return HadoopFolder(session, path, sole)
    local = _shared(session, path)
    return LocalFolder(local, sole) if local is not None else RemoteFolder(session, path)


@contextlib.contextmanager
def java_told(path: Any) -> Iterator[None]:
    """Raises what Java's file systems raise as an OSError."""
    try:
        yield
    except Exception as error:
        java = getattr(error, "java_exception", None)
        if java is None:
            raise
        said = str(java.toString()).splitlines()[0]
        raise OSError(f"Spark can't read or write {path!r}: {said}") from None


class HadoopFolder:
    """A folder of any file system that the JVM's Hadoop knows."""

    def __init__(self, session: Any, path: str, sole: bool = False) -> None:
        self._jvm, self._sole = session._jvm, sole
        hadoop = self._jvm.org.apache.hadoop.fs
        plain = hadoop.Path(path)
        self._fs = plain.getFileSystem(session._jsc.hadoopConfiguration())
        self._path = self._fs.makeQualified(plain)
        uri = self._path.toUri()  # of a file system itself `getScheme` may raise
        self._local = Path(uri.getPath()) if uri.getScheme() == "file" else None

    def exists(self) -> bool:
        """Whether there is something at the path."""
        return bool(self._fs.exists(self._path))

    def make(self) -> None:
        """Makes an empty folder, unless it is there; raises OSError where it can't."""
        if not self._fs.mkdirs(self._path):
            raise OSError(f"Can't make {self._path.toString()}.")

    def put(self, files: Mapping[str, Path]) -> None:
        """Writes beside the path, then moves what is there away and this there."""
        beside, old = self._beside("new"), self._beside("old")
        if self._sole:
            self._fs.delete(beside, True)
            self._fs.delete(old, True)
        try:
            self._write(files, beside)
            if self._local is not None:
                _settle(Path(beside.toUri().getPath()))
            there = self.exists()
            if there:
                self._move(self._path, old)
            try:
                self._move(beside, self._path)
            except BaseException:
                if there:
                    self._move(old, self._path)
                raise
            if self._local is not None:
                _sync(self._local.parent)
            self._fs.delete(old, True)
        except BaseException:
            self._fs.delete(beside, True)
            raise

    def _write(self, files: Mapping[str, Path], where: Any) -> None:
        path = self._jvm.org.apache.hadoop.fs.Path
        for name, local in files.items():
            self._fs.copyFromLocalFile(False, True, path(f"file:{local}"), path(where, name))

    def _beside(self, what: str) -> Any:
        name = _beside(self._path.getName(), what, self._sole)
        return self._jvm.org.apache.hadoop.fs.Path(self._path.getParent(), name)

    def _move(self, source: Any, target: Any) -> None:
        if not self._fs.rename(source, target):
            raise OSError(f"Can't move {source.toString()} to {target.toString()}.")

    def get(self, name: str, place: Path) -> bool:
        """Copies a file, or a folder's first part, to a local place; False where there is none."""
        hadoop = self._jvm.org.apache.hadoop.fs
        found = hadoop.Path(self._path, name)
        if not self._fs.exists(found):
            return False
        if self._fs.getFileStatus(found).isDirectory():
            several = [one.getPath() for one in self._fs.listStatus(found)]
            parts = {one.getName(): one for one in several if _is_part(one.getName())}
            if not parts:
                return False
            found = parts[min(parts)]
        place.parent.mkdir(parents=True, exist_ok=True)
        self._fs.copyToLocalFile(False, found, hadoop.Path(f"file:{place}"), True)
        return True


def _beside(name: str, what: str, sole: bool) -> str:
    middle = "" if sole else f".{uuid.uuid4().hex[:12]}"
    return f".{name}{middle}.{what}"


def _is_part(name: str) -> bool:
    return name.startswith("part-")


class LocalFolder:
    """A folder that this process itself can reach."""

    def __init__(self, path: Path, sole: bool = False) -> None:
        self._path, self._sole = path, sole

    def exists(self) -> bool:
        """Whether there is something at the path."""
        return self._path.exists()

    def make(self) -> None:
        """Makes an empty folder, unless it is there; raises OSError where it can't."""
        self._path.mkdir(parents=True, exist_ok=True)

    def put(self, files: Mapping[str, Path]) -> None:
        """Writes beside the path, then moves what is there away and this there."""
        beside, old = self._beside("new"), self._beside("old")
        if self._sole:
            _remove(beside)
            _remove(old)
        try:
            for name, local in files.items():
                place = beside / name
                place.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(local, place)
            _settle(beside)
            there = self.exists()
            if there:
                self._path.rename(old)
            try:
                beside.rename(self._path)
            except BaseException:
                if there:
                    old.rename(self._path)
                raise
            _sync(self._path.parent)
            _remove(old)
        except BaseException:
            _remove(beside)
            raise

    def _beside(self, what: str) -> Path:
        return self._path.with_name(_beside(self._path.name, what, self._sole))

    def get(self, name: str, place: Path) -> bool:
        """Copies a file, or a folder's first part, to a local place; False where there is none."""
        found = self._path / name
        if found.is_dir():
            parts = [one for one in sorted(found.iterdir()) if _is_part(one.name)]
            found = parts[0] if parts else found
        if not found.is_file():
            return False
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(found, place)
        return True


def _settle(folder: Path) -> None:
    """Has the disk take a folder with all that is in it: a power cut leaves it whole."""
    for one in [*folder.rglob("*"), folder]:
        _sync(one)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


class RemoteFolder:
    """A folder on the file systems of a Spark Connect server, which moves nothing: what is there
    is removed first, and the metadata, without which nothing loads, comes last."""

    def __init__(self, session: Any, path: str) -> None:
        self._session = session
        self._path = path.rstrip("/") or "/"

    def exists(self) -> bool:
        """Whether there is something at the path."""
        return self._found(self._path)

    def _found(self, path: str) -> bool:
        reader = self._session.read.format("binaryFile").option("recursiveFileLookup", True)
        try:
            reader.load(path).select("path").head()
        except Exception as error:
            if "PATH_NOT_FOUND" in str(error):
                return False
            raise
        return True

    def make(self) -> None:
        """Nothing: Spark Connect makes folders with the files in them."""

    def put(self, files: Mapping[str, Path]) -> None:
        """Uploads the files, the last one last."""
        if urlparse(self._path).scheme:
            raise ValueError(
                "Spark Connect writes files only to the server's default file system: give the "
                f"path without a scheme. Received: path={self._path!r}"
            )
        if not self._path.startswith("/"):
            raise ValueError(
                f"On Spark Connect the path must be absolute. Received: path={self._path!r}"
            )
        self._clear()
        try:
            for name, local in files.items():
                self._session.copyFromLocalToFs(str(local), f"{self._path}/{name}")
        except Exception as error:
            if "local file system" in str(error):
                raise OSError(_REFUSED.format(path=self._path)) from error
            raise

    def _clear(self) -> None:
        if not self.exists():
            return
        try:
            from pyspark.ml.connect.readwrite import RemoteMLWriter
        except ImportError:
            raise ValueError(
                f"Spark Connect before 4.0 can't remove {self._path!r}: remove it yourself, or "
                "take another path."
            ) from None
        RemoteMLWriter.handleOverwrite(self._path, True)

    def get(self, name: str, place: Path) -> bool:
        """Copies a file, or a folder's first part, to a local place; False where there is none."""
        from pyspark.sql import functions as F

        path = f"{self._path}/{name}"
        if not self._found(path):
            return False
        frame = self._session.read.format("binaryFile").load(path)
        first = frame.select("path", "length").orderBy("path").head()
        frame = frame.where(F.col("path") == first["path"])
        place.parent.mkdir(parents=True, exist_ok=True)
        with place.open("wb") as file:
            for start in range(0, int(first["length"]), CHUNK):
                piece = frame.select(F.substring("content", start + 1, CHUNK).alias("piece")).head()
                file.write(piece["piece"])
        return True


_REFUSED = (
    "The Spark Connect server doesn't take files for its own local disk, where {path!r} lies. "
    "Save to a file system such as hdfs or s3a, or start the server with "
    "spark.sql.artifact.copyFromLocalToFs.allowDestLocal=true."
)


def _shared(session: Any, path: str) -> Path | None:
    """The local place of a path, where this process and Spark see the same disk; else None."""
    parsed = urlparse(path)
    if parsed.scheme not in ("", "file") or parsed.netloc not in ("", "localhost"):
        return None
    local = Path(parsed.path if parsed.scheme else path).absolute()
    with _probe(local) as probe:
        if probe is None:
            return None
        prefix = "file:" if parsed.scheme else ""
        try:
            found = session.read.format("binaryFile").load(f"{prefix}{probe}").head()
        except Exception as error:
            if "PATH_NOT_FOUND" in str(error):
                return None
            raise
        return local if bytes(found["content"]) == probe.read_bytes() else None


@contextlib.contextmanager
def _probe(path: Path) -> Iterator[Path | None]:
    """A file of random content in the nearest folder above that is there."""
    above = next(one for one in path.parents if one.is_dir())
    try:
        handle, name = tempfile.mkstemp(dir=above, prefix="elephas-torch-")
    except OSError:
        yield None
        return
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(uuid.uuid4().bytes)
        yield Path(name)
    finally:
        Path(name).unlink(missing_ok=True)
