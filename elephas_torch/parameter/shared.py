"""Memory that processes of one machine share, without a name.

A region is a `memfd`: it lies in no folder, so nothing is left of it once the last process that
has it is gone, whatever ended that. Others open it through `/proc`, which Linux grants to processes
of the same user.

Not `multiprocessing.shared_memory`: its resource tracker unlinks segments behind the backs of
forked Spark workers.
"""

from __future__ import annotations

import mmap
import os
import secrets
import stat

import numpy as np
import torch
from torch import Tensor

#: Bytes before the vectors of a region: numbers of 8 bytes each, of which the first are a nonce.
HEAD_BYTES = 4096
_NONCE = 16


class Region:
    """Bytes that several processes map.

    Attributes:
        descriptor: by which others find it in this process.
        nonce: random bytes at its start, by which they know it.
        numbers: int64, what lies before the vectors, shape (HEAD_BYTES / 8,) or more.
        tensor: uint8, what lies behind.
    """

    def __init__(self, descriptor: int, size: int, head: int = HEAD_BYTES) -> None:
        self.descriptor = descriptor
        self._owned = False
        memory = mmap.mmap(descriptor, size)
        whole = torch.frombuffer(memory, dtype=torch.uint8)
        self.tensor: Tensor = whole[head:]
        self.numbers = np.frombuffer(memory, np.int64, head // 8)
        self.nonce = bytes(memory[:_NONCE])

    @classmethod
    def create(cls, size: int, head: int = HEAD_BYTES) -> Region:
        """Makes a region.

        Args:
            size: bytes behind its head.

        Raises:
            OSError: there is no memory for it, or no such thing on this system.
        """
        if not hasattr(os, "memfd_create"):
            raise OSError("This system shares no memory by memfd.")
        descriptor = os.memfd_create("elephas_torch", os.MFD_CLOEXEC)
        try:
            os.ftruncate(descriptor, head + size)
            os.pwrite(descriptor, secrets.token_bytes(_NONCE), 0)
            made = cls(descriptor, head + size, head)
        except BaseException:
            os.close(descriptor)
            raise
        made._owned = True
        return made

    @classmethod
    def open(
        cls, pid: int, descriptor: int, size: int, nonce: bytes, head: int = HEAD_BYTES
    ) -> Region | None:
        """Maps a region that another process has made; None where there is no such."""
        # Without O_NONBLOCK a pipe of that number, on another machine, would be waited for.
        flags = os.O_RDWR | os.O_CLOEXEC | os.O_NONBLOCK
        try:
            opened = os.open(f"/proc/{pid}/fd/{descriptor}", flags)
        except OSError:
            return None
        try:
            found = os.fstat(opened)
            if not stat.S_ISREG(found.st_mode) or found.st_size != head + size:
                return None
            region = cls(opened, head + size, head)
            return region if secrets.compare_digest(region.nonce, nonce) else None
        except OSError:
            return None
        finally:
            os.close(opened)

    def close(self) -> None:
        """Closes the descriptor: nobody else can open it then. Those who have it keep it."""
        if self._owned:
            self._owned = False
            os.close(self.descriptor)

    def __del__(self) -> None:
        self.close()


def machine() -> str:
    """What processes that see each other in `/proc` have in common; "" where nobody can tell."""
    try:
        with open("/proc/sys/kernel/random/boot_id") as file:
            return f"{file.read().strip()} {os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return ""
