"""Files of data sets: downloaded once, checked, and kept in Keras's cache folder."""

from __future__ import annotations

import hashlib
import logging
import os
import urllib.request
import uuid
from contextlib import suppress
from http.client import HTTPException
from pathlib import Path

from elephas_torch.errors import DataError

TIMEOUT_S = 30.0
_PIECE = 1 << 16

logger = logging.getLogger(__name__)


def cache_folder() -> Path:
    """Returns where Keras keeps data sets: `datasets` in $KERAS_HOME, or in ~/.keras."""
    home = os.environ.get("KERAS_HOME")
    return (Path(home) if home else Path.home() / ".keras") / "datasets"


def sha256_of(path: Path) -> str:
    """Returns a file's SHA-256 in hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(_PIECE):
            digest.update(piece)
    return digest.hexdigest()


def cached(path: Path, url: str, sha256: str, advice: str) -> Path:
    """Returns the path of a file with that checksum, downloaded if it isn't there.

    A file that is there with another checksum is replaced if it lies in the cache folder.

    Args:
        path: where it is kept; its folder is made.
        url: http or https.
        sha256: hexadecimal.
        advice: what to do when the download fails; ends the error's message.

    Raises:
        DataError: it can't be downloaded, or what came isn't the file; nothing is left behind.
    """
    if path.is_file():
        if sha256_of(path) == sha256:
            return path
        if cache_folder() not in path.parents:
            raise DataError(f"{path} isn't the file of {url}: its checksum differs. {advice}")
        logger.warning("%s is damaged (its checksum differs): downloading it again", path)
    part = path.with_name(f"{path.name}.{uuid.uuid4().hex}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        found = _download(url, part)
        if found != sha256:
            raise DataError(
                f"What came from {url} has another checksum than expected: {found} instead of "
                f"{sha256}. {advice}"
            )
        os.replace(part, path)
    except (OSError, HTTPException) as error:
        raise DataError(f"{url} can't be downloaded to {path}: {error}. {advice}") from error
    finally:
        with suppress(OSError):
            part.unlink()
    return path


def _download(url: str, part: Path) -> str:
    """Writes what the URL gives to a new file; returns its SHA-256."""
    logger.info("downloading %s", url)
    digest = hashlib.sha256()
    with urllib.request.urlopen(url, timeout=TIMEOUT_S) as answer, part.open("xb") as file:
        while piece := answer.read(_PIECE):
            digest.update(piece)
            file.write(piece)
        expected = answer.headers.get("Content-Length")
        if expected is not None and file.tell() != int(expected):
            raise OSError(f"it ended after {file.tell()} of {expected} bytes")
    return digest.hexdigest()
