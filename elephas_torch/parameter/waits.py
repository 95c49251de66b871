"""Waits that end in vain. Each error names what was waited for, and what to check."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import Future
from typing import Any

from elephas_torch.errors import WaitTimeout
from elephas_torch.parameter import rounds
from elephas_torch.parameter.gate import Gate
from elephas_torch.parameter.ledger import Ledger, Worker
from elephas_torch.parameter.wire import Settings


def ended(
    ledger: Ledger, gate: Gate, settings: Settings, now: float
) -> list[tuple[Future[Any], WaitTimeout]]:
    """Takes out who has waited too long; returns what each is to be told."""
    late: list[tuple[Future[Any], WaitTimeout]] = []
    first = ledger.first_join
    unstarted = settings.mode == "synchronous" and not ledger.complete
    # After a fall of the server workers find out when they push: that may take as long as a round.
    limit = settings.round_timeout if ledger.restarted else settings.join_timeout
    if unstarted and first is not None and now - first > limit:
        error = too_few_joined(ledger, limit)
        late += [(f, error) for p in ledger.pending() for f in p.overdue(float("inf"))]
    for worker in ledger.workers.values():
        for future in worker.pending.overdue(now) if worker.pending else []:
            late.append((future, round_too_long(ledger, worker, settings)))
    for one in gate.overdue(now):
        late.append((one.future, not_released(one.epoch, settings.round_timeout)))
    return late


def too_few_joined(ledger: Ledger, timeout: float) -> WaitTimeout:
    """The first round can't start: not all workers came."""
    came = sorted({*ledger.workers} - {*ledger.away()})
    return WaitTimeout(
        f"Only {len(came)} of {ledger.expected} workers joined within {timeout:g} s (came: "
        f"{_listed(came)}). Synchronous training needs all of them at the same time: check that "
        "the cluster has that many free slots, and that every executor can reach this server; "
        "or lower the number of workers, or raise `join_timeout`."
    )


def round_too_long(ledger: Ledger, worker: Worker, settings: Settings) -> WaitTimeout:
    """A round, or an epoch, did not close; or others did not come near enough."""
    pending, timeout = worker.pending, settings.round_timeout
    who = rounds.held_up_by(worker, ledger.active(), settings)
    if pending is None or not pending.counted:
        what = "the round to close; missing"
    elif settings.staleness_bound is not None:
        what = f"slower workers (staleness_bound={settings.staleness_bound}); too far behind"
    else:
        what = f"epoch {pending.push.epoch} to close; missing"
    return WaitTimeout(
        f"Waited {timeout:g} s for {what}: worker {_listed(who)}. See their logs, or raise "
        "`round_timeout` if their batches take that long."
    )


def not_released(epoch: int, timeout: float) -> WaitTimeout:
    """The driver did not release an epoch."""
    return WaitTimeout(
        f"Waited {timeout:g} s for the driver to release epoch {epoch}. It may be busy in a "
        "callback, or gone; raise `round_timeout` if its callbacks take that long."
    )


def _listed(numbers: Iterable[int]) -> str:
    return ", ".join(str(one) for one in numbers) or "none"
