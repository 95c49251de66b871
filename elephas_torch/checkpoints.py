"""Checkpoints of a fit: files from which it goes on when its server, or the driver, has fallen.

A checkpoint is a folder with a packed `Snapshot` of each server, `fit.json` with what the driver
knows, and `manifest.json` with the length and the SHA-256 of both. Two such folders are written in
turn, each first beside its place: so there is always a whole one. Before one is written, the
manifests must be those that this fit has read or written: else another fit uses the folder, as
where a driver that was taken for dead lives on beside the one that has resumed its fit.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import logging
import os
import shutil
import tempfile
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import Future, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from elephas_torch import files
from elephas_torch.errors import ElephasError, ModelFileError, WaitTimeout
from elephas_torch.parameter.courier import Courier

logger = logging.getLogger(__name__)

FORMAT = 1
PLACES = ("a", "b")
_PREFIX = "elephas-checkpoint-"
MANIFEST, FIT = "manifest.json", "fit.json"
#: What `fit.json` has at least.
_KNOWN: dict[str, type | tuple[type, ...]] = {
    "signature": dict,
    "next": int,
    "epochs": list,
    "history": dict,
    "rates": dict,
    "learning_rate": (int, float, type(None)),
    "reports": dict,
    "stopped": bool,
}


@dataclass(frozen=True)
class Checkpoint:
    """What a fit goes on from.

    Attributes:
        servers: a packed `Snapshot` of each.
        fit: what the driver knows, JSON-able.
        serial: larger for each one of a folder.
    """

    servers: list[bytes]
    fit: dict[str, Any]
    serial: int = 0


class Checkpoints:
    """The checkpoints of a fit, in a folder for it alone.

    Args:
        session: a Spark session or context; its Hadoop knows the path.
        path: local, or of any file system that Spark knows; made if it isn't there.
        longest: seconds that the end of a fit waits for one to be written. Default 600.

    Raises:
        TypeError, ValueError: `path` is no path.
    """

    def __init__(self, session: Any, path: Any, longest: float = 600.0) -> None:
        if not isinstance(path, str | os.PathLike) or not os.fspath(path):
            raise (ValueError if path == "" else TypeError)(
                f"`checkpoint_dir` must name a folder. Received: checkpoint_dir={path!r}"
            )
        self.path, self._longest = str(path), longest
        with files.java_told(self.path):
            self._whole = files.folder(session, path)
            self._places = [files.folder(session, f"{path}/{name}", sole=True) for name in PLACES]
        self._serial, self._turn, self._written = 0, 0, False
        self._run = uuid.uuid4().hex
        self._manifests: list[bytes | None] = [None] * len(PLACES)
        self._courier: Courier | None = None
        self._writing: Future[None] | None = None
        self._next: tuple[list[bytes], bytes] | None = None

    def check_unused(self) -> None:
        """Raises ValueError where there are checkpoints already."""
        with files.java_told(self.path):
            used = any(place.exists() for place in self._places)
        if used:
            raise ValueError(
                "`checkpoint_dir` has the checkpoints of another fit. Give resume=True to go on "
                "from the last one, or take another folder, or remove this one. "
                f"Received: checkpoint_dir={self.path!r}"
            )

    def prepare(self) -> None:
        """Makes the folder; raises OSError where it can't be."""
        try:
            with files.java_told(self.path):
                self._whole.make()
        except OSError as error:
            raise OSError(
                f"`checkpoint_dir` can't be made or isn't a folder ({error}): give another one. "
                f"Received: checkpoint_dir={self.path!r}"
            ) from None

    def read(self) -> Checkpoint | None:
        """The last one that is whole; None where there is none at all.

        Raises:
            ModelFileError: there are some, and all are damaged.
            OSError: the file system can't be read.
        """
        found, damaged = [], []
        for turn, place in enumerate(self._places):
            with files.java_told(self.path):
                if not place.exists():
                    continue
                self._manifests[turn] = _manifest(place)
                try:
                    found.append((turn, _read(place)))
                except ModelFileError as error:
                    damaged.append(f"{self.path}/{PLACES[turn]}: {error}")
        for why in damaged:
            logger.warning("A checkpoint is damaged, and isn't used. %s", why)
        if found:
            turn, last = max(found, key=lambda one: one[1].serial)
            self._serial, self._turn, self._written = last.serial, 1 - turn, True
            return last
        if damaged:
            raise ModelFileError(
                f"No checkpoint in {self.path!r} is whole: {'; '.join(damaged)}. Remove the "
                "folder, or take another one, to train from the beginning."
            )
        return None

    def write(self, servers: list[bytes], fit: dict[str, Any]) -> None:
        """Writes one in the background, when the one before is there; of those that have to wait,
        the last one. What goes wrong is logged: the training goes on, and the last one stays."""
        try:
            # At once: the history goes on.
            self._next = servers, json.dumps(fit, default=_plain).encode()
        except (TypeError, ValueError) as error:
            self._tell(error)
        self.look()

    def look(self) -> None:
        """Begins to write what waits, if nothing is being written."""
        if self._writing is not None and not self._writing.done():
            return
        self._conclude()
        if self._next is not None:
            (servers, fit), self._next = self._next, None
            self._courier = self._courier or Courier()
            self._serial += 1
            self._writing = self._courier.send(self._write, servers, fit, self._serial)

    def finish(self) -> None:
        """Waits until all is written, for `longest` seconds at most."""
        end = time.monotonic() + self._longest
        while self._writing is not None:
            if not wait([self._writing], max(end - time.monotonic(), 0.0)).done:
                self._tell(WaitTimeout(f"it took longer than {self._longest:g} s"))
                self._writing = self._next = None
                return
            self.look()

    def _conclude(self) -> None:
        writing, self._writing = self._writing, None
        error = None if writing is None else writing.exception()
        if error is not None:
            self._tell(error)

    def _tell(self, error: BaseException) -> None:
        logger.warning(
            "A checkpoint could not be written to %r (%s: %s); the training goes on, and %s.",
            self.path, type(error).__name__, error,
            "the one before stays" if self._written else "there is none yet",
        )  # fmt: skip

    def close(self) -> None:
        """Waits, and ends the thread."""
        self.finish()
        if self._courier is not None:
            self._courier.close()
        self._courier = None

    def _write(self, servers: list[bytes], fit: bytes, serial: int) -> None:
        contents = _contents(servers, fit, serial, self._run)
        with _beside() as beside:
            local = {name: beside / name for name in contents}
            for name, data in contents.items():
                local[name].write_bytes(data)
            with files.java_told(self.path):
                self._check_alone()
                self._places[self._turn].put(local)
        self._manifests[self._turn] = contents[MANIFEST]
        self._turn, self._written = 1 - self._turn, True
        logger.info("Checkpoint %d is written to %s.", serial, self.path)

    def _check_alone(self) -> None:
        for place, known in zip(self._places, self._manifests, strict=True):
            found = _manifest(place)
            if found is not None and found != known and self._run.encode() not in found:
                raise ElephasError(
                    "another fit writes its checkpoints there. Of two drivers that go on with one "
                    "fit, end one; two fits need folders of their own"
                )


@contextlib.contextmanager
def _beside() -> Iterator[Path]:
    """A temporary folder. Takes away those of drivers that were killed: nobody locks them."""
    for name in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError), _locked(name):
            if any(name.iterdir()):  # else somebody is about to lock it
                shutil.rmtree(name)
    with tempfile.TemporaryDirectory(prefix=_PREFIX) as made, _locked(Path(made)):
        yield Path(made)


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(handle)


def _contents(servers: list[bytes], fit: bytes, serial: int, run: str) -> dict[str, bytes]:
    """A checkpoint's files; the manifest is the last one."""
    contents = {_server(n): data for n, data in enumerate(servers)}
    contents[FIT] = fit
    manifest = {
        "format": FORMAT,
        "serial": serial,
        "run": run,
        "files": {name: _mark(data) for name, data in contents.items()},
    }
    return {**contents, MANIFEST: json.dumps(manifest, indent=1).encode()}


def _plain(value: Any) -> Any:
    """Numbers of NumPy's and torch's as Python has them, in a history of somebody's own metrics;
    what else callbacks have put there as text."""
    return value.tolist() if hasattr(value, "tolist") else repr(value)


def _server(number: int) -> str:
    return f"server-{number}.safetensors"


def _mark(data: bytes) -> dict[str, Any]:
    return {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}


def _read(place: files.Folder) -> Checkpoint:
    with _beside() as beside:
        manifest = _json(_content(place, MANIFEST, beside), MANIFEST)
        marks, serial = _listed(manifest)
        contents = {name: _content(place, name, beside) for name in marks}
    for name, data in contents.items():
        if _mark(data) != marks[name]:
            raise ModelFileError(f"{name} isn't what was written: {len(data)} bytes")
    servers = [contents[_server(n)] for n in range(len(contents) - 1)]
    return Checkpoint(servers, _fit(contents[FIT]), serial)


def _fit(data: bytes) -> dict[str, Any]:
    """What the driver knew; raises ModelFileError where it can't be that."""
    fit = _json(data, FIT)
    for name, kind in _KNOWN.items():
        if name not in fit:
            raise ModelFileError(f"{FIT} has no {name!r}")
        if not isinstance(fit[name], kind):
            raise ModelFileError(f"{FIT} is damaged at {name!r}")
    if not all(isinstance(one, list) for one in fit["history"].values()):
        raise ModelFileError(f"{FIT} is damaged at 'history'")
    reports = fit["reports"].values()
    numbered = all(isinstance(one, dict) for one in reports) and all(
        number.isdecimal() for found in (fit["rates"], fit["reports"], *reports) for number in found
    )
    if not numbered:
        raise ModelFileError(f"{FIT} is damaged at 'rates' or 'reports'")
    return fit


def _listed(manifest: dict[str, Any]) -> tuple[dict[str, Any], int]:
    """The files of a checkpoint, and its serial; raises ModelFileError."""
    if manifest.get("format") != FORMAT:
        raise ModelFileError(
            f"it is of format {manifest.get('format')!r}, and this version reads {FORMAT}"
        )
    marks, serial = manifest.get("files"), manifest.get("serial")
    if not isinstance(marks, dict) or not isinstance(serial, int):
        raise ModelFileError(f"{MANIFEST} is damaged")
    # Names are looked at, as they become paths.
    if set(marks) != {FIT, *(_server(number) for number in range(len(marks) - 1))}:
        raise ModelFileError(f"{MANIFEST} names other files than a checkpoint has")
    return marks, serial


def _manifest(place: files.Folder) -> bytes | None:
    """A place's manifest as it is; None where there is none."""
    with _beside() as beside:
        there = beside / MANIFEST
        return there.read_bytes() if place.get(MANIFEST, there) else None


def _content(place: files.Folder, name: str, beside: Path) -> bytes:
    if not place.get(name, beside / name):
        raise ModelFileError(f"{name} is missing")
    return (beside / name).read_bytes()


def _json(data: bytes, name: str) -> dict[str, Any]:
    try:
        found = json.loads(data)
    except ValueError as error:
        raise ModelFileError(f"{name} is damaged ({error})") from None
    if not isinstance(found, dict):
        raise ModelFileError(f"{name} is damaged")
    return found
