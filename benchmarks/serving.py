"""A process of its own that answers requests: what a peer's side of `peers.Peer` is made of.

A line of input is a request, a line of output its answer, both JSON. Only Python's own modules are
needed here, so any Python can run a peer.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from typing import Any


def serve(start: Callable[[], tuple[dict[str, Any], Callable[..., dict[str, Any]]]]) -> None:
    """Answers requests until the input ends.

    Args:
        start: gives what is to be said first (versions), and what answers a request, which is
            called with its entries.
    """
    # What libraries print goes where errors go, and can't be taken for an answer.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    ready, answer = start()
    _say(answers, ready)
    for line in sys.stdin:
        try:
            found = answer(**json.loads(line))
        except Exception as error:
            found = {"error": f"{type(error).__name__}: {error}"}
        _say(answers, found)


def _say(answers: Any, found: dict[str, Any]) -> None:
    answers.write(json.dumps(found) + "\n")
    answers.flush()
