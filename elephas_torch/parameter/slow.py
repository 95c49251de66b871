"""What is done about slow workers: how many make a round, how far ahead the others may go."""

from __future__ import annotations

import math
from numbers import Integral, Real
from typing import Any


def checked_quorum(quorum: Any) -> float:
    """Returns the share of workers that closes a round; raises ValueError unless 0 < it <= 1."""
    number = isinstance(quorum, Real) and not isinstance(quorum, bool)
    if not number or not 0 < quorum <= 1:
        raise ValueError(
            "`quorum` must be a number above 0, up to 1: the share of the workers whose updates "
            f"close a round. Received: quorum={quorum!r}"
        )
    return float(quorum)


def checked_bound(bound: Any) -> int | None:
    """Returns the bound; raises ValueError unless it is None or a whole number, 0 or more."""
    if bound is None:
        return None
    if not isinstance(bound, Integral) or isinstance(bound, bool) or bound < 0:
        raise ValueError(
            "`staleness_bound` must be a whole number, 0 or more: how many exchanges a worker may "
            f"be ahead of the slowest; or None. Received: staleness_bound={bound!r}"
        )
    return int(bound)


def check(mode: str, quorum: float, bound: int | None) -> None:
    """Raises ValueError where workers of this mode don't wait so for each other."""
    if bound is not None and mode == "synchronous":
        raise ValueError(
            "`staleness_bound` is for modes 'asynchronous' and 'hogwild'; in synchronous mode "
            f"nobody is ahead. Received: staleness_bound={bound!r}, mode={mode!r}"
        )
    if quorum < 1 and mode != "synchronous":
        raise ValueError(
            "`quorum` is for mode='synchronous', whose rounds wait for all workers; in mode "
            f"{mode!r} nobody waits. Received: quorum={quorum!r}, mode={mode!r}"
        )


def needed(quorum: float, count: int) -> int:
    """How many of `count` workers are enough."""
    return math.ceil(quorum * count - 1e-9)  # 0.7 * 10 is a little above 7
