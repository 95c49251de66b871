"""Rows in order of time, of which there are never too many."""

from __future__ import annotations

from typing import Any

#: How many of the rows that somebody has, and since when they count; see `Series.since`.
Mark = tuple[int, int]


class Series:
    """Rows in order; each time that they get too many, every second one goes.

    Args:
        most: how many are kept at once.
        rows: to begin with.

    Attributes:
        rows: those that are left.
        every: of so many rows that come, one is to be added.
    """

    def __init__(self, most: int, rows: list[Any] | None = None) -> None:
        self.most, self.every = most, 1
        self.rows: list[Any] = []
        self._thinned = 0
        for row in rows or []:
            self.add(row)

    def add(self, row: Any) -> None:
        """Appends a row."""
        self.rows.append(row)
        if len(self.rows) > self.most:
            # The first and the last one stay.
            del self.rows[-2::-2]
            self.every *= 2
            self._thinned += 1

    def since(self, mark: Mark | None) -> tuple[Mark, dict[str, Any]]:
        """Returns what has come since, and the next mark.

        Args:
            mark: that was returned the last time; None: all is to be returned.

        Returns:
            "from": how many of the rows that were returned before are to stay; "rows": what comes
            behind those.
        """
        known = mark[1] if mark is not None and mark[0] == self._thinned else 0
        return (self._thinned, len(self.rows)), {"from": known, "rows": self.rows[known:]}
