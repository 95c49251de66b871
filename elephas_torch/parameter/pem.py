"""Certificates and keys as text (PEM), and files of them."""

from __future__ import annotations

import contextlib
import os
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

_PEM = re.compile(r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)


def certificates(text: str) -> list[str]:
    """Returns the certificates in a text, each by itself."""
    return [f"{one}\n" for one in _PEM.findall(text)]


def read(name: str, path: Any) -> str:
    """Reads a file that an argument of this name gave; raises OSError that says so."""
    try:
        return Path(path).read_bytes().decode("latin-1")
    except OSError as error:
        raise type(error)(
            f"`{name}` can't be read: {error.strerror}. Received: {name}={str(path)!r}"
        ) from None


@contextlib.contextmanager
def as_file(content: str) -> Iterator[str]:
    """A file for OpenSSL, which reads nothing else: in memory where the system has that, else in
    a folder of this user's alone, which is gone at once."""
    data = content.encode("latin-1")
    if hasattr(os, "memfd_create") and os.path.isdir("/proc/self/fd"):
        with open(os.memfd_create("elephas_torch", os.MFD_CLOEXEC), "wb", buffering=0) as file:
            file.write(data)
            yield f"/proc/self/fd/{file.fileno()}"
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "pem"
        path.touch(0o600)
        path.write_bytes(data)
        yield str(path)
