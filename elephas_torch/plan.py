"""How workers train: what all of a fit are told, as plain data."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Plan:
    """How a worker goes through its rows, and when it exchanges.

    Attributes:
        every: batches between two exchanges; None: one an epoch.
        gradients: push gradients (`frequency='batch'`) in place of pseudo-gradients.
        memory: bytes that a worker's rows may take; None: see `memory.Budget`.
        shared_memory: exchange with a server of the same machine by memory that both have.
        overlap: exchange while the next update is computed; staleness is one more.
    """

    every: int | None
    gradients: bool
    epochs: int
    initial_epoch: int
    batch_size: int
    validation_split: float
    shuffle: bool
    class_weight: dict[int, float] | None
    seed: int
    memory: int | None = None
    shared_memory: bool = True
    overlap: bool = False

    def total(self, rows: int) -> int:
        """Batches of an epoch of so many rows."""
        return -(-rows // self.batch_size)
