"""Files from the network: fetched whole or not at all, and checked."""

from __future__ import annotations

import hashlib
import logging
import math
import os
import uuid
from contextlib import suppress
from pathlib import Path

from elephas_torch.errors import DataError, unknown

#: An environment variable: after so many seconds without a byte a download is given up.
TIMEOUT = "ELEPHAS_TORCH_DOWNLOAD_TIMEOUT"
_PIECE = 1 << 16
#: Checksums' lengths in hexadecimal digits.
_LENGTHS = {64: "sha256", 32: "md5"}

logger = logging.getLogger(__name__)


def keras_home() -> Path:
    """Returns Keras's folder: $KERAS_HOME, or ~/.keras."""
    home = os.environ.get("KERAS_HOME")
    return Path(home).expanduser() if home else Path.home() / ".keras"


def algorithm_of(checksum: str, algorithm: str = "auto") -> str:
    """Returns "sha256" or "md5": the algorithm named, or for "auto" by the checksum's length.

    Raises:
        ValueError: another algorithm, or no checksum of one of the two.
    """
    if algorithm not in ("auto", *_LENGTHS.values()):
        raise unknown("hash_algorithm", algorithm, ["auto", *_LENGTHS.values()])
    found = _LENGTHS.get(len(checksum))
    if found is None or algorithm not in ("auto", found):
        raise ValueError(
            "A checksum must be 64 hexadecimal digits (sha256) or 32 (md5). Received: "
            f"{checksum!r}, hash_algorithm={algorithm!r}"
        )
    return found


def checksum_of(path: Path, algorithm: str = "sha256") -> str:
    """Returns a file's checksum in hexadecimal."""
    digest = hashlib.new(algorithm)
    with path.open("rb") as file:
        while piece := file.read(_PIECE):
            digest.update(piece)
    return digest.hexdigest()


def fits(path: Path, checksum: str | None) -> bool:
    """Whether there is a file that has that checksum, if one is given."""
    if not path.is_file():
        return False
    return checksum is None or checksum_of(path, algorithm_of(checksum)) == checksum.lower()


def download(url: str, path: Path, checksum: str | None = None, advice: str = "") -> None:
    """Fetches a file into a place; whatever is there stays until the new one has been checked.

    Args:
        url: http, https, ftp or file.
        path: where it goes; its folder is made.
        checksum: sha256 or md5 in hexadecimal; None doesn't check.
        advice: what to do when it fails; ends the error's message.

    Raises:
        DataError: it can't be downloaded, or what came isn't the file; nothing is left behind.
    """
    from http.client import HTTPException

    part = path.with_name(f"{path.name}.{uuid.uuid4().hex}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _fetch(url, part)
        if not fits(part, checksum):
            found = checksum_of(part, algorithm_of(str(checksum)))
            raise DataError(
                f"What came from {url} has another checksum than expected: {found} instead of "
                f"{checksum}. {advice}".rstrip()
            )
        os.replace(part, path)
    except DataError:
        raise
    except (OSError, HTTPException, ValueError) as error:
        late = f" Raise ${TIMEOUT}, which is {_timeout():g} s." if "timed out" in str(error) else ""
        message = f"{url} can't be downloaded to {path}: {error}.{late} {advice}"
        raise DataError(message.rstrip()) from error
    finally:
        with suppress(OSError):
            part.unlink()


def _timeout() -> float:
    given = os.environ.get(TIMEOUT, "30")
    with suppress(ValueError):
        if 0 < float(given) < math.inf:
            return float(given)
    raise ValueError(f"{TIMEOUT} must be a number of seconds above 0. Received: {given!r}")


def _fetch(url: str, part: Path) -> None:
    from urllib.request import urlopen

    logger.info("downloading %s", url)
    with urlopen(url, timeout=_timeout()) as answer, part.open("xb") as file:
        while piece := answer.read(_PIECE):
            file.write(piece)
        expected = answer.headers.get("Content-Length")
        if expected is not None and file.tell() != int(expected):
            raise OSError(f"it ended after {file.tell()} of {expected} bytes")
