"""Asking again where the other side can't be reached."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import TypeVar

from elephas_torch.errors import Unreachable

T = TypeVar("T")
#: Seconds before the second try, and at most between two of them.
FIRST_WAIT, LONGEST_WAIT = 0.05, 2.0
_jitter = random.SystemRandom()  # processes that are forks of one share another's state


def patiently(ask: Callable[[], T], seconds: float) -> T:
    """What `ask` returns, at the first try or, for so many seconds, at a later one.

    Raises:
        Unreachable: the last try's, with how long it was tried; whatever else `ask` raises.
    """
    try:
        return ask()
    except Unreachable as error:
        if not seconds:
            raise
        last = error
    end, wait = time.monotonic() + seconds, FIRST_WAIT
    while (left := end - time.monotonic()) > 0:
        # Not all at the same moments: they lost it at the same one.
        time.sleep(min(wait * _jitter.uniform(0.5, 1.0), left))
        wait = min(2 * wait, LONGEST_WAIT)
        try:
            return ask()
        except Unreachable as error:
            last = error
    raise Unreachable(f"{last} It was tried for {seconds:g} s.", last.reached) from last
