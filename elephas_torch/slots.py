"""Fits that run at once on one Spark: each waits until there are slots for all its workers.

Spark gives slots to jobs one by one. Two fits that each hold half of what they need would wait
for each other; so would the models of a `CrossValidator` with `parallelism`.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from elephas_torch.errors import WaitTimeout

logger = logging.getLogger(__name__)

_change = threading.Condition()
_used: Counter[str] = Counter()


@contextmanager
def taken(
    application: str,
    workers: int,
    total: int | None,
    seconds: float | None = None,
    say: Callable[[str], None] = lambda text: None,
) -> Iterator[None]:
    """Waits for slots, and holds them.

    A fit that is larger than the cluster runs when no other does.

    Args:
        application: which Spark.
        workers: how many slots.
        total: how many there are; None: nobody knows, so nobody waits.
        seconds: to wait at most. Default None: those that it waits for end, or fail, in their own
            time.
        say: is told that it waits, for people to see.

    Raises:
        WaitTimeout: they haven't ended by then.
    """
    end = math.inf if seconds is None else time.monotonic() + seconds
    with _change:
        told = False
        while total is not None and 0 < _used[application] > total - workers:
            left = end - time.monotonic()
            if left <= 0:
                raise WaitTimeout(
                    f"Waited {seconds:g} s for {workers} of {total} slots: other fits of this "
                    f"driver have {_used[application]}. Let them end first, give Spark more "
                    f"slots, or wait longer. Received: slots_timeout={seconds:g}"
                )
            if not told:
                logger.warning(
                    "Waiting for %d of %d slots: another fit of this driver has %d.",
                    workers, total, _used[application],
                )  # fmt: skip
                say(f"Waiting for {workers} of {total} slots: another fit has {_used[application]}")
                told = True
            _change.wait(min(left, 60))
        _used[application] += workers
    try:
        yield
    finally:
        with _change:
            _used[application] -= workers
            _change.notify_all()
