"""How much of its memory a worker's data may take."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

#: Bytes of a partition that are held whatever else is in memory; without a budget of one's own
#: also the size of the shuffle buffer. Little beside what Python and torch take by themselves.
SMALL = 64 << 20

#: A budget below this can't hold enough rows to shuffle: it is meant in another unit.
LEAST = 1 << 20

_UNITS = {"": 0, "b": 0, "k": 1, "m": 2, "g": 3, "t": 4, "p": 5}


class Budget:
    """What a worker's rows may take of its memory.

    Without a number a partition is held as long as a quarter of the machine's memory, of the
    container's and of what `spark.executor.pyspark.memory` grants is free: who has the room
    trains at full speed, and who doesn't isn't killed, with nothing to set. A number is for
    executors whose limit can't be seen from inside (YARN counts Python in
    `spark.executor.memoryOverhead`), and for a batch order that doesn't depend on what else is in
    memory.

    Args:
        limit: bytes; None looks at what is free.

    Attributes:
        buffer: bytes of the shuffle buffer for a partition that doesn't fit. Half of the limit:
            there are also the batch, and what the allocator hasn't returned.
    """

    def __init__(self, limit: int | None = None) -> None:
        self.limit = limit
        self.buffer = SMALL if limit is None else limit // 2
        self._looked = 0

    def is_over(self, held: int) -> bool:
        """Whether so many bytes of rows are too many."""
        if self.limit is not None:
            return held > self.limit
        if held - self._looked < SMALL:
            return False
        self._looked = held
        return is_short()

    def has_room(self, more: int) -> bool:
        """Whether rows of so many bytes, of which none are there yet, are not too many."""
        if self.limit is not None:
            return more <= self.limit
        return more < SMALL or not is_short(more=more)


def parsed(size: Any) -> int | None:
    """A number of bytes as Spark spells it: `"512m"`, `"2g"`, or an int; None stays None.

    Follows https://spark.apache.org/docs/latest/configuration.html#spark-properties: whole
    numbers with b, k, m, g, t or p (or kb, mb, …), in powers of 1,024; without any, bytes.

    Raises:
        TypeError: it is neither a str nor an int.
        ValueError: it is spelt otherwise, or below 1 MiB.
    """
    if size is None:
        return None
    if isinstance(size, bool) or not isinstance(size, str | int):
        raise TypeError(
            "`memory` must be a size such as '512m' or '2g', or a number of bytes. "
            f"Received: {size!r} of type {type(size).__name__}"
        )
    found = re.fullmatch(r"\s*(\d+)\s*(?:([kmgtp])b?|(b?))\s*", str(size).lower(), re.ASCII)
    if found is None:
        raise ValueError(
            "`memory` must be a whole number with b, k, m, g, t or p, as '512m' or '2g'. "
            f"Received: {size!r}"
        )
    count = int(found[1]) << 10 * _UNITS[found[2] or ""]
    if count < LEAST:
        raise ValueError(
            f"`memory` must be at least 1m for a worker; {size!r} is {count:,} bytes. A number "
            "without a unit is in bytes: '512m' is 512 MiB."
        )
    return count


def is_short(root: Path = Path("/"), more: int = 0) -> bool:
    """Whether less than a quarter of some memory that binds this process is free.

    False where it can't be found out (it is read from Linux's /proc and /sys).

    Args:
        more: bytes to be taken first.
    """
    return any(free - more < total // 4 for free, total in limits(root))


def limits(root: Path = Path("/")) -> Iterator[tuple[int, int]]:
    """(free, total) bytes of each memory that binds this process."""
    yield from _machine(root)
    yield from _containers(root)
    yield from _address_space()


def _machine(root: Path) -> Iterator[tuple[int, int]]:
    with contextlib.suppress(OSError, KeyError, ValueError):
        lines = (root / "proc/meminfo").read_text().splitlines()
        kib = {name: int(rest.split()[0]) for name, _, rest in (s.partition(":") for s in lines)}
        yield kib["MemAvailable"] << 10, kib["MemTotal"] << 10


def _containers(root: Path) -> Iterator[tuple[int, int]]:
    """Control groups, version 2 and 1, from the process's own up to the outermost in sight."""
    for base, path in _groups(root):
        limit, usage, cache = (
            ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
            if base.name == "memory"
            else ("memory.max", "memory.current", "inactive_file")
        )
        for folder in (base / path, *(base / path).parents):
            with contextlib.suppress(OSError, KeyError, ValueError):
                total = int((folder / limit).read_text())  # "max" is no number
                stat = dict(map(str.split, (folder / "memory.stat").read_text().splitlines()))
                yield total - int((folder / usage).read_text()) + int(stat[cache]), total
            if folder == base:
                break


def _groups(root: Path) -> Iterator[tuple[Path, str]]:
    with contextlib.suppress(OSError, ValueError):
        for line in (root / "proc/self/cgroup").read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            if not controllers:
                yield root / "sys/fs/cgroup", path.lstrip("/")
            elif "memory" in controllers.split(","):
                yield root / "sys/fs/cgroup/memory", path.lstrip("/")


def _address_space() -> Iterator[tuple[int, int]]:
    """What `spark.executor.pyspark.memory` leaves to one Python worker."""
    with contextlib.suppress(ImportError, OSError, ValueError):
        import resource

        total, _ = resource.getrlimit(resource.RLIMIT_AS)
        if total != resource.RLIM_INFINITY:
            pages = int(Path("/proc/self/statm").read_text().split()[0])
            yield total - pages * os.sysconf("SC_PAGE_SIZE"), total
