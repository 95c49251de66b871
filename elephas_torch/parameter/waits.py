"""The errors of waits that ended in vain. Each names what was waited for, and what to check."""

from __future__ import annotations

from collections.abc import Iterable

from elephas_torch.errors import WaitTimeout
from elephas_torch.parameter import rounds
from elephas_torch.parameter.ledger import Ledger, Pending


def too_few_joined(ledger: Ledger, timeout: float) -> WaitTimeout:
    """The first round can't start: not all workers came."""
    came = sorted({*ledger.workers} - {*ledger.away()})
    return WaitTimeout(
        f"Only {len(came)} of {ledger.expected} workers joined within {timeout:g} s (came: "
        f"{_listed(came)}). Synchronous training needs all of them at the same time: check that "
        "the cluster has that many free slots, and that every executor can reach this server; "
        "or lower the number of workers, or raise `join_timeout`."
    )


def round_too_long(ledger: Ledger, pending: Pending, timeout: float) -> WaitTimeout:
    """A round, or an epoch, did not close."""
    active = ledger.active()
    if pending.counted:
        what = f"epoch {pending.push.epoch} to close"
        who = rounds.behind(active, pending.push.epoch)
    else:
        what, who = "the round to close", rounds.missing(active)
    return WaitTimeout(
        f"Waited {timeout:g} s for {what}; missing: worker {_listed(who)}. See their logs, or "
        "raise `round_timeout` if their batches take that long."
    )


def not_released(epoch: int, timeout: float) -> WaitTimeout:
    """The driver did not release an epoch."""
    return WaitTimeout(
        f"Waited {timeout:g} s for the driver to release epoch {epoch}. It may be busy in a "
        "callback, or gone; raise `round_timeout` if its callbacks take that long."
    )


def _listed(numbers: Iterable[int]) -> str:
    return ", ".join(str(one) for one in numbers) or "none"
