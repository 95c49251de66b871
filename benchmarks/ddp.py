"""DistributedDataParallel under PySpark's TorchDistributor: two processes in a Spark job."""

from __future__ import annotations

import time
from typing import Any

from benchmarks import networks
from benchmarks.loops import WORKERS, Work


def fit(work: Work) -> dict[str, float]:
    """A whole run, and its epochs from the second on.

    The rows are there where they are needed, made by each process: nothing has to come from Spark.
    """
    from pyspark.ml.torch.distributor import TorchDistributor

    distributor = TorchDistributor(num_processes=WORKERS, local_mode=False, use_gpu=False)
    began = time.perf_counter()
    found: Any = distributor.run(train, work)
    whole = time.perf_counter() - began
    steps = work.rows / WORKERS / work.batch_size
    rate = work.rate(found["seconds"])
    step_ms = 1000 * (work.rows / rate) / steps
    return {"rate": rate, "whole": whole, "step_ms": step_ms, "accuracy": found["accuracy"]}


def train(work: Work) -> dict[str, Any]:
    """What each process runs; the first one's answer comes back."""
    import torch
    import torch.distributed as dist
    from torch.nn.parallel import DistributedDataParallel

    from benchmarks.byhand import ByHand, module

    torch.set_num_threads(1)
    torch.manual_seed(0)
    dist.init_process_group("gloo")
    by_hand = ByHand(work.network, work.batch_size, DistributedDataParallel(module(work.network)))
    seconds = by_hand.epochs(*work.data(dist.get_rank()), work.epochs)
    everybodys: list[Any] = [None] * dist.get_world_size()
    dist.all_gather_object(everybodys, seconds)
    by_hand.model = by_hand.model.module  # type: ignore[assignment]
    accuracy = networks.accuracy(by_hand.network, by_hand.predict)
    dist.destroy_process_group()
    return {"seconds": everybodys, "accuracy": accuracy}
