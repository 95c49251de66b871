"""How a `SparkModel` trains: its settings, checked, in one place."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np

from elephas_torch import device as devices
from elephas_torch import memory as sizes
from elephas_torch import optimizers
from elephas_torch.errors import unknown
from elephas_torch.keras.arguments import check_batch_size, check_flag, check_whole
from elephas_torch.optimizers import Optimizer
from elephas_torch.optimizers.settings import positive
from elephas_torch.parameter import codec, slow
from elephas_torch.parameter.tls import Wanted
from elephas_torch.parameter.wire import MODES
from elephas_torch.plan import EXCHANGES

#: Of files and passwords no copy goes into models.
_NOT_KEPT = ("ssl_certfile", "ssl_keyfile", "ssl_keyfile_password")


def _setting(default: Any, check: Callable[[Any], Any]) -> Any:
    """A field of `Config`.

    Args:
        check: gives the value as it is kept, or raises.
    """
    return field(default=default, metadata={"check": check})


def checked_mode(mode: Any) -> str:
    if mode not in MODES:
        raise unknown("mode", mode, MODES)
    return str(mode)


def checked_exchange(exchange: Any) -> str:
    if exchange not in EXCHANGES:
        raise unknown("exchange", exchange, EXCHANGES)
    return str(exchange)


def checked_frequency(frequency: Any) -> str | int:
    whole = isinstance(frequency, int | np.integer) and not isinstance(frequency, bool)
    if whole and frequency >= 1:
        return int(frequency)
    if whole:
        raise ValueError(
            "`frequency` as a number of batches must be 1 or more. "
            f"Received: frequency={frequency!r}"
        )
    if frequency not in ("epoch", "batch"):
        raise unknown("frequency", frequency, ["epoch", "batch", "an integer H (every H batches)"])
    return str(frequency)


def checked_optimizer(optimizer: Any) -> Optimizer | None:
    return None if optimizer is None else optimizers.get(optimizer)


def checked_workers(workers: Any) -> int | None:
    if workers is None:
        return None
    check_whole("num_workers", workers, 1)
    return int(workers)


def checked_port(port: Any) -> int:
    port = 0 if port is None else port
    if isinstance(port, bool) or not isinstance(port, int) or not 0 <= port <= 65535:
        raise ValueError(f"`port` must be 0 (a free one) to 65535. Received: port={port!r}")
    return port


def checked_seed(seed: Any) -> int | None:
    """Returns the seed; raises ValueError unless it is None or a whole number, 0 or more."""
    if seed is None:
        return None
    check_whole("seed", seed, 0)
    return int(seed)


def checked_staleness(staleness: Any) -> str | None:
    """Returns it; raises ValueError unless it is 'scale' or None."""
    if staleness not in ("scale", None):
        raise ValueError(
            "`staleness` must be 'scale' (divide by the versions missed + 1) or None (take "
            f"updates as they are). Received: staleness={staleness!r}"
        )
    return staleness


def checked_memory(memory: Any) -> str | int | None:
    """Returns it as it is; raises as `memory.parsed`."""
    sizes.parsed(memory)
    return memory


def _seconds(name: str, optional: bool = False) -> Callable[[Any], float | None]:
    def checked(value: Any) -> float | None:
        return None if optional and value is None else positive("SparkModel", name, value)

    return checked


def _flag(name: str) -> Callable[[Any], bool]:
    def checked(value: Any) -> bool:
        check_flag(name, value)
        return bool(value)

    return checked


def _whole(name: str, least: int) -> Callable[[Any], int]:
    def checked(value: Any) -> int:
        check_whole(name, value, least)
        return int(value)

    return checked


@dataclass(frozen=True)
class Config:
    """How a `SparkModel` trains; its arguments of these names tell of each.

    Raises:
        TypeError, ValueError: a setting can't be so, or not together with another.
    """

    mode: str = _setting("asynchronous", checked_mode)
    frequency: str | int = _setting("epoch", checked_frequency)
    exchange: str = _setting("server", checked_exchange)
    optimizer: Optimizer | None = _setting(None, checked_optimizer)  # noqa: RUF009
    num_workers: int | None = _setting(None, checked_workers)
    batch_size: int = _setting(32, check_batch_size)
    port: int = _setting(0, checked_port)
    host: str | None = None
    seed: int | None = _setting(None, checked_seed)
    staleness: str | None = _setting("scale", checked_staleness)
    join_timeout: float = _setting(300.0, _seconds("join_timeout"))
    round_timeout: float = _setting(3600.0, _seconds("round_timeout"))
    lease: float = _setting(60.0, _seconds("lease"))
    memory: str | int | None = _setting(None, checked_memory)
    shared_memory: bool = _setting(True, _flag("shared_memory"))
    overlap: bool = _setting(False, _flag("overlap"))
    num_shards: int = _setting(1, _whole("num_shards", 1))
    compression: codec.Spec = _setting(None, codec.checked)  # noqa: RUF009
    connect_timeout: float = _setting(15.0, _seconds("connect_timeout"))
    reconnect_timeout: float = _setting(120.0, _seconds("reconnect_timeout"))
    slots_timeout: float | None = _setting(None, _seconds("slots_timeout", optional=True))
    server_restarts: int = _setting(3, _whole("server_restarts", 0))
    quorum: float = _setting(1.0, slow.checked_quorum)
    staleness_bound: int | None = _setting(None, slow.checked_bound)
    device: str = _setting("auto", devices.checked)
    gpus_per_task: float | None = _setting(None, devices.checked_share)
    ssl: bool = False
    ssl_certfile: Any = None
    ssl_keyfile: Any = None
    ssl_keyfile_password: str | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        for one in fields(self):
            if "check" in one.metadata:
                checked = one.metadata["check"](getattr(self, one.name))
                object.__setattr__(self, one.name, checked)
        self._check_devices()
        self._check_waiting()
        self._check_exchange()
        self.tls.check()

    @property
    def tls(self) -> Wanted:
        """What of TLS is asked for; where nothing is, Spark's settings may."""
        return Wanted(self.ssl, self.ssl_certfile, self.ssl_keyfile, self.ssl_keyfile_password)

    @property
    def gradients(self) -> bool:
        """Whether workers push gradients, in place of differences of weights."""
        return self.frequency == "batch"

    def to_dict(self) -> dict[str, Any]:
        """The same, JSON-able; of TLS that it is used."""
        found = {name: getattr(self, name) for name in NAMES if name not in _NOT_KEPT}
        kept = None if self.optimizer is None else optimizers.serialize(self.optimizer)
        return {**found, "optimizer": kept, "ssl": self.tls.any}

    def _check_devices(self) -> None:
        if self.gpus_per_task is not None and self.device in ("cpu", "mps"):
            raise ValueError(
                "gpus_per_task asks Spark for GPUs, which go unused with this `device`. "
                f"Received: gpus_per_task={self.gpus_per_task!r}, device={self.device!r}"
            )

    def _check_waiting(self) -> None:
        exchange, quorum, bound = self.exchange, self.quorum, self.staleness_bound
        slow.check(self.mode, quorum, bound)
        if quorum < 1 and exchange != "server":
            raise ValueError(
                "quorum below 1 is for exchange='server': by all-reduce all workers make each "
                f"update. Received: quorum={quorum!r}, exchange={exchange!r}"
            )
        if self.num_shards > 1 and (quorum < 1 or bound is not None):
            raise ValueError(
                "quorum below 1, and staleness_bound, are for num_shards=1: several servers would "
                f"wait for different workers. Received: quorum={quorum!r}, "
                f"staleness_bound={bound!r}, num_shards={self.num_shards!r}"
            )

    def _check_exchange(self) -> None:
        if self.exchange != "allreduce":
            return
        if self.compression is not None:
            raise ValueError(
                "compression is for exchange='server': all-reduce sends float32. "
                f"Received: exchange='allreduce', compression={self.compression!r}"
            )
        if self.num_shards > 1:
            raise ValueError(
                "num_shards is for exchange='server': by all-reduce no server makes the updates. "
                f"Received: exchange='allreduce', num_shards={self.num_shards!r}"
            )
        if self.overlap:
            raise ValueError(
                "overlap=True is for exchange='server': by all-reduce each step waits for all "
                "updates. Received: exchange='allreduce', overlap=True"
            )
        if self.mode != "synchronous":
            raise ValueError(
                "exchange='allreduce' is for mode='synchronous': all workers make each update "
                "together. Set mode='synchronous', or exchange='server'. "
                f"Received: exchange='allreduce', mode={self.mode!r}"
            )


#: The names of all settings.
NAMES = tuple(one.name for one in fields(Config))
