"""What workers leave with the server, to have it back when they, or the server, begin anew."""

from __future__ import annotations

#: What all workers together may leave.
MOST = 4 << 30
#: The epoch and the data of who has left nothing.
NOTHING = (-1, b"")


class Kept:
    """By worker: what it left last, and, until its epoch is reached, what it left before.

    Not for several threads at once: the state that holds it locks.

    Attributes:
        left: worker -> (the epoch that it is for, the data), the older first.
    """

    def __init__(self) -> None:
        self.left: dict[int, list[tuple[int, bytes]]] = {}

    def keep(self, worker: int, now: int, epoch: int, data: bytes) -> bool:
        """Keeps what a worker leaves.

        Args:
            now: the epoch that the worker would go on in: what is for that is kept, too.
            epoch: that it would begin with this.

        Returns:
            Whether there was room. If not, nothing is kept for it.
        """
        before, fresh = self.of(worker, now), [(epoch, data)]
        others = [one for key, found in self.left.items() if key != worker for one in found]
        for mine in ([before, *fresh] if 0 <= before[0] < epoch else fresh, fresh):
            if sum(len(one) for _, one in [*others, *mine]) <= MOST:
                self.left[worker] = mine
                return True
        self.left.pop(worker, None)
        return False

    def of(self, worker: int, now: int) -> tuple[int, bytes]:
        """What a worker gets that goes on in epoch `now`: what it left for that, or before it."""
        found = self.left.get(worker, [NOTHING])
        # By all-reduce there are no pushes, so nobody's epoch is known.
        return next((one for one in reversed(found) if one[0] <= now), found[-1])

    def tidy(self, worker: int, now: int) -> None:
        """Forgets what a worker has no use for, now that it is in this epoch."""
        if worker in self.left:
            self.left[worker] = [self.of(worker, now)]
