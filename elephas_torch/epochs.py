"""Which workers there are, and when all have reported on an epoch."""

from __future__ import annotations

from typing import Any


class Epochs:
    """What is known of workers, and what they reported, from the server's events.

    Args:
        expected: how many workers are to join.
    """

    def __init__(self, expected: int) -> None:
        self._expected = expected
        self._joined: set[int] = set()
        self._active: set[int] = set()
        self._reports: dict[int, dict[int, dict[str, Any]]] = {}

    def note(self, event: dict[str, Any]) -> None:
        """Takes an event of the server's."""
        kind, number = event["kind"], event.get("worker")
        if number is None:
            return
        if kind == "join":
            self._joined.add(number)
            if event["samples"]:
                self._active.add(number)
        elif kind == "report":
            self._reports.setdefault(event["epoch"], {})[number] = event["summary"]
        elif kind in ("leave", "expired", "failure"):
            self._active.discard(number)
        elif kind == "returned":
            self._active.add(number)

    def rewind(self, reported: dict[int, int], settled: set[int]) -> None:
        """Goes back to where each of these workers had reported on that epoch; all join anew.

        Args:
            settled: but these.
        """
        self._joined = set(settled)
        self._active.clear()
        for epoch, reports in self._reports.items():
            for number in [one for one in reports if reported.get(one, -1) < epoch]:
                del reports[number]

    def since(self, epoch: int, reported: dict[int, int]) -> dict[int, dict[int, Any]]:
        """The reports on this epoch and later ones, of workers that had reported on them."""
        return {
            number: {one: told for one, told in found.items() if reported.get(one, -1) >= number}
            for number, found in self._reports.items()
            if number >= epoch
        }

    def take(self, reports: dict[int, dict[int, Any]]) -> None:
        """Takes what `since` gave."""
        self._reports = {epoch: dict(found) for epoch, found in reports.items()}

    def forget(self, epoch: int) -> None:
        """Forgets the reports on earlier epochs."""
        for number in [one for one in self._reports if one < epoch]:
            del self._reports[number]

    @property
    def came(self) -> int:
        """How many workers have come."""
        return len(self._joined)

    @property
    def active(self) -> int:
        """How many workers train."""
        return len(self._active)

    @property
    def all_there(self) -> bool:
        """Whether all workers have come."""
        return len(self._joined) == self._expected

    @property
    def over(self) -> bool:
        """Whether all workers have come and gone."""
        return len(self._joined) == self._expected and not self._active

    def others(self, number: int) -> bool:
        """Whether a worker besides this one is there."""
        return bool(self._active - {number})

    def complete(self, epoch: int) -> bool:
        """Whether all workers that are there have reported on an epoch."""
        reported = self._reports.get(epoch, {})
        return (
            bool(reported)
            and len(self._joined) == self._expected
            and all(number in reported for number in self._active)
        )

    def reports(self, epoch: int) -> list[dict[str, Any]]:
        """The reports on an epoch, in the workers' order."""
        return [report for _, report in sorted(self._reports.get(epoch, {}).items())]
