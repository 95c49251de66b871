"""What a server's answers say in JSON: data, or why not."""

from __future__ import annotations

import json
from typing import Any

from elephas_torch.errors import (
    ElephasError,
    Fenced,
    Refused,
    Restarted,
    ServerError,
    Unreachable,
    WaitTimeout,
)

#: What a server says to a request that didn't come through in time, and where connections that
#: the network has lost are still open on its side: both pass.
_NETWORK = (408, 503)


def parsed(data: bytes, url: str) -> dict[str, Any]:
    """The body of an answer; what isn't a dict is a "reason".

    Args:
        url: the server's, for the message.

    Raises:
        ServerError: it isn't JSON.
    """
    try:
        found = json.loads(data) if data else {}
    except ValueError:
        raise ServerError(f"{url} answered with something unreadable: {data[:200]!r}") from None
    return found if isinstance(found, dict) else {"reason": found}


def as_error(status: int, data: bytes, url: str) -> ElephasError:
    """The error that an answer with a status of 400 or more stands for; see `parsed`."""
    found = parsed(data, url)
    reason = str(found.get("reason", found))
    if found.get("error") == "fenced":
        return Fenced(reason, status)
    if found.get("error") == "restarted":
        return Restarted(reason, status)
    if found.get("error") == "timeout":
        return WaitTimeout(reason)
    if status in _NETWORK:
        return Unreachable(reason, reached=True)
    return Refused(reason, status) if status < 500 else ServerError(reason)
