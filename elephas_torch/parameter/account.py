"""What a server says of itself: its status."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from elephas_torch.parameter import rounds, wire

if TYPE_CHECKING:
    from elephas_torch.parameter.state import State


def described(state: State, uptime: float) -> dict[str, Any]:
    """Returns what is going on, as JSON-able data; with the state's lock held."""
    now = state.clock()
    pushes, staleness = counted(state)
    workers = state.ledger.workers
    return {
        "name": wire.NAME,
        "protocol": wire.PROTOCOL,
        "mode": state.settings.mode,
        "version": state.weights.version,
        "epoch": state.updates.closed_epoch + 1,
        "started": state.ledger.complete,
        "stop": state.orders.stop,
        "learning_rate": state.orders.learning_rate,
        "optimizer": {"learning_rate": state.weights.optimizer.learning_rate},
        "expected": state.ledger.expected,
        "workers": {str(key): one.described(now) for key, one in workers.items()},
        "loading": {str(key): one.described(now) for key, one in state.ledger.loads.items()},
        "missing": _missing(state),
        "staleness": {str(key): staleness[key] for key in sorted(staleness)},
        "counts": {**state.counts, **({"pushes": pushes} if pushes else {})},
        "bytes": dict(state.bytes),
        "failures": list(state.failures),
        "uptime": round(uptime, 3),
    }


def _missing(state: State) -> list[int]:
    """The workers that others wait for."""
    active, settings = state.ledger.active(), state.settings
    if settings.mode == "synchronous":
        return rounds.missing(active)
    return sorted({slow for one in active for slow in rounds.held_up_by(one, active, settings)})


def counted(state: State) -> tuple[int, Counter[int]]:
    """Updates, and how stale they were: the server's, and those of workers that step."""
    board, pushes = state.weights.board, state.counts["pushes"]
    # Updates come meanwhile, where the caller hasn't the lock. A dict of ints is copied in one go;
    # a Counter's own operators would go through it in Python.
    staleness = Counter(dict(state.updates.staleness))
    if board is None:
        return pushes, staleness
    return pushes + board.pushes(), staleness + Counter(board.staleness())


def losses(summary: dict[str, Any]) -> dict[str, dict[str, float]]:
    """What a report on an epoch says of the loss: "train" and "val" -> its sum, over how many rows.

    What else a summary has is its worker's and its driver's business.
    """
    found = {}
    for part in ("train", "val"):
        told = summary.get(part)
        if isinstance(told, dict) and all(_is_number(told.get(one)) for one in ("loss", "rows")):
            found[part] = {"loss": told["loss"], "rows": told["rows"]}
    return found


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
