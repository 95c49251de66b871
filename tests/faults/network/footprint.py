"""How much memory a process has, and whether that stays so."""

import os
from pathlib import Path


def resident(pid):
    """Bytes of memory that a process has; 0 where there is none."""
    try:
        pages = Path(f"/proc/{pid}/statm").read_text().split()[1]
    except OSError:
        return 0
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


def check_flat(what, sizes, seconds, slack):
    """Sizes at even times: at most a tenth more, or `slack` bytes, than after a fifth of the time;
    and in five minutes or more at most 2 % more than after three fifths of it, when what has a
    limit (events that are kept, say) has come to that. Returns what is to be told of it."""
    early, middle, late = sizes[len(sizes) // 5], sizes[len(sizes) * 3 // 5], sizes[-1]
    told = f"{what} {early / 2**20:.1f} MB at 20 %, {middle / 2**20:.1f} at 60 %, "
    told += f"{late / 2**20:.1f} at the end"
    assert late < max(1.1 * early, early + slack), told
    if seconds >= 300:
        assert late < 1.02 * middle, told
    return told
