"""Hand-written PyTorch loops in processes of their own: alone, or on shared weights (hogwild)."""

from __future__ import annotations

import contextlib
import functools
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import torch

from benchmarks import networks
from benchmarks.byhand import ByHand, module

WORKERS = 2


class Work(NamedTuple):
    """What all of a group's rows do: so many rows of a network's data, split over the workers."""

    network: str
    rows: int
    epochs: int
    batch_size: int = 32

    @property
    def shape(self) -> tuple[int, ...]:
        """Of a row."""
        return networks.NETWORKS[self.network].shape

    def data(self, worker: int) -> tuple[Any, Any]:
        """One worker's rows."""
        features, labels = networks.rows(self.shape, self.rows)
        return features[worker::WORKERS], labels[worker::WORKERS]

    def rate(self, seconds: list[list[float]]) -> float:
        """Samples per second in steady state: each worker's epochs but the first.

        Args:
            seconds: by worker, of its epochs.
        """
        counted = max(self.epochs - 1, 1)
        return self.rows * counted / max(sum(one[-counted:]) for one in seconds)

    def marginal(self, first: float, whole: float) -> float:
        """Samples per second in steady state of what can only be timed as a whole.

        Args:
            first: seconds of a fit of one epoch.
            whole: seconds of a fit of all of them.
        """
        return self.rows * (self.epochs - 1) / max(whole - first, 1e-3)


@contextlib.contextmanager
def pool() -> Iterator[Any]:
    """Two processes that stay, as a Spark's Python workers do."""
    from torch import multiprocessing

    with multiprocessing.get_context("spawn").Pool(WORKERS) as found:
        yield found


def alone(processes: Any, work: Work, count: int = WORKERS) -> dict[str, float]:
    """Loops at once that know nothing of each other, each on its part of the rows."""
    began = time.perf_counter()
    train = functools.partial(_alone, work)
    found = processes.map(train, range(count), chunksize=1)
    whole = time.perf_counter() - began
    seconds = [one["seconds"] for one in found]
    rate = work.rate(seconds) * count / WORKERS
    return {"rate": rate, "whole": whole, "accuracy": found[0]["accuracy"]}


def hogwild(processes: Any, work: Work) -> dict[str, float]:
    """The same two on one model in shared memory, which each steps in place, without locks."""
    shared = module(work.network).share_memory()
    began = time.perf_counter()
    train = functools.partial(_hogwild, work, shared)
    seconds = processes.map(train, range(WORKERS), chunksize=1)
    whole = time.perf_counter() - began
    by_hand = ByHand(work.network, work.batch_size, shared)
    accuracy = networks.accuracy(by_hand.network, by_hand.predict)
    return {"rate": work.rate(seconds), "whole": whole, "accuracy": accuracy}


def _alone(work: Work, worker: int) -> dict[str, Any]:
    torch.set_num_threads(1)
    by_hand = ByHand(work.network, work.batch_size)
    seconds = by_hand.epochs(*work.data(worker), work.epochs)
    accuracy = networks.accuracy(by_hand.network, by_hand.predict)
    return {"seconds": seconds, "accuracy": accuracy}


def _hogwild(work: Work, shared: torch.nn.Module, worker: int) -> list[float]:
    torch.set_num_threads(1)
    by_hand = ByHand(work.network, work.batch_size, shared)
    return by_hand.epochs(*work.data(worker), work.epochs)


def measures(processes: Any, work: Work) -> dict[str, Callable[[], dict[str, float]]]:
    """All of them, by name."""
    return {
        "two plain loops": functools.partial(alone, processes, work),
        "one plain loop": functools.partial(alone, processes, work, 1),
        "torch hogwild": functools.partial(hogwild, processes, work),
    }
