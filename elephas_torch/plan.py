"""How workers train: what all of a fit are told, as plain data."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from elephas_torch.parameter.wire import Settings

#: With whom workers exchange their updates.
EXCHANGES = ("server", "allreduce")


@dataclass(frozen=True)
class Plan:
    """How a worker goes through its rows, and when it exchanges.

    Attributes:
        every: batches between two exchanges; None: one an epoch.
        gradients: push gradients (`frequency='batch'`) in place of pseudo-gradients.
        memory: bytes that a worker's rows may take; None: see `memory.Budget`.
        shared_memory: exchange with a server of the same machine by memory that both have.
        overlap: exchange while the next update is computed; staleness is one more.
        exchange: 'server', or 'allreduce': workers exchange among themselves.
        keeps: workers leave what is theirs alone with the server at each end of an epoch.
        patience: seconds for which a worker tries to reach a server that is gone.
        device: what workers compute on; see `device.checked`.
        backends: torch's settings for GPUs, as the driver has them; see `device.backends`.
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
    exchange: str = "server"
    keeps: bool = False
    patience: float = 120.0
    device: str = "auto"
    backends: dict[str, Any] = field(default_factory=dict)

    def total(self, rows: int) -> int:
        """Batches of an epoch of so many rows."""
        return -(-rows // self.batch_size)


@dataclass(frozen=True)
class Gang:
    """What workers are told that exchange among themselves, and step by themselves.

    Attributes:
        settings: the server's: its optimizer is theirs.
        number: rises each time that all begin anew, because one of them was lost.
        rates: epoch -> the learning rate from then on, as callbacks set it before that.
        known: the last epoch whose rate was settled then.
        kept: what each worker begins anew with, in the `value` of something shared, as
            safetensors; None: with nothing.
    """

    settings: Settings
    number: int = 0
    rates: dict[int, float] = field(default_factory=dict)
    known: int = -1
    kept: Any = None

    def rate(self, epoch: int, heard: float | None) -> float | None:
        """The learning rate of an epoch; None: nobody has set one.

        Args:
            heard: what the server said last, which is too new for an epoch that is done again.
        """
        if epoch > self.known:
            return heard
        set_before = [number for number in self.rates if number <= epoch]
        return self.rates[max(set_before)] if set_before else None
