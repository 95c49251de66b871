"""Files of data sets: downloaded once, checked, and kept in Keras's cache folder."""

from __future__ import annotations

import logging
from pathlib import Path

from elephas_torch.errors import DataError
from elephas_torch.keras.utils import downloads

#: Where Keras keeps most of its data sets.
KERAS = "https://storage.googleapis.com/tensorflow/tf-keras-datasets/"

logger = logging.getLogger(__name__)


def cache_folder() -> Path:
    """Returns where Keras keeps data sets: `datasets` in $KERAS_HOME, or in ~/.keras."""
    return downloads.keras_home() / "datasets"


def cached(path: Path, url: str, checksum: str, advice: str | None = None) -> Path:
    """Returns the path of a file with that checksum, downloaded if it isn't there.

    A file that is there with another checksum is replaced if it lies in the cache folder.

    Args:
        path: where it is kept; its folder is made.
        url: http or https.
        checksum: sha256 or md5, hexadecimal.
        advice: what to do when the download fails; ends the error's message. By default, where
            to put the file by hand.

    Raises:
        DataError: it can't be downloaded, or what came isn't the file; nothing is left behind.
    """
    advice = advice or offline(path, url, checksum)
    if downloads.fits(path, checksum):
        return path
    if path.is_file():
        if cache_folder() not in path.parents:
            raise DataError(f"{path} isn't the file of {url}: its checksum differs. {advice}")
        logger.warning("%s is damaged (its checksum differs): downloading it again", path)
    downloads.download(url, path, checksum, advice)
    return path


def offline(path: Path, url: str, checksum: str) -> str:
    """Returns what to do without a network: where to put the file, and its checksum."""
    return (
        f"Offline, download {url} on another machine and put it to {path}; its "
        f"{downloads.algorithm_of(checksum)} is {checksum}."
    )
