"""sparktorch, run by `peers.Peer`: seconds of whole fits.

Its steps take a random batch each, so an epoch is as many steps as there are batches. It has a
Spark session of its own, and needs sparktorch, torch and PySpark.
"""

from __future__ import annotations

import functools
import socket
import time
from collections.abc import Callable
from typing import Any

from benchmarks import networks, serving

WORKERS = 2


def start() -> tuple[dict[str, Any], Callable[..., dict[str, Any]]]:
    """The versions; and what fits twice, once for one epoch and once for all of them."""
    from importlib.metadata import version

    import sparktorch  # noqa: F401  (what is missing is to be known before Spark starts)
    from pyspark.sql import SparkSession

    builder = SparkSession.builder.master(f"local[{WORKERS}]").appName("benchmarks: sparktorch")
    settings: dict[str, Any] = {"spark.ui.enabled": "false", "spark.driver.memory": "8g"}
    spark = builder.config(map=settings).getOrCreate()
    spark.sparkContext.setLogLevel("ERROR")
    versions = {name: version(name) for name in ("sparktorch", "torch", "pyspark")}
    return versions, functools.partial(answer, spark)


def answer(
    spark: Any, network: str, rows: int, epochs: int, batch_size: int, mode: str
) -> dict[str, Any]:
    """Seconds of a fit of one epoch and of one of all, and the accuracy of the second."""
    net = networks.NETWORKS[network]
    if len(net.shape) > 1:
        raise ValueError("sparktorch takes rows of one dimension only")
    frame = _frame(spark, net.shape, rows)
    steps = rows // WORKERS // batch_size
    first, _ = _fit(frame, network, steps, batch_size, mode)
    whole, module = _fit(frame, network, steps * epochs, batch_size, mode)
    return {"first": first, "whole": whole, "accuracy": networks.accuracy(net, _predict(module))}


def _fit(frame: Any, network: str, steps: int, size: int, mode: str) -> tuple[float, Any]:
    import torch
    from sparktorch.torch_distributed import SparkTorch
    from sparktorch.util import serialize_torch_obj

    from benchmarks.byhand import module

    described = serialize_torch_obj(
        model=module(network), criterion=torch.nn.CrossEntropyLoss(),
        optimizer=torch.optim.SGD, lr=networks.NETWORKS[network].rate,
    )  # fmt: skip
    stage = SparkTorch(
        inputCol="features", labelCol="label", torchObj=described, iters=steps, miniBatch=size,
        mode=mode, partitions=WORKERS, port=_free_port(), verbose=0,
    )  # fmt: skip
    began = time.perf_counter()
    fitted = stage.fit(frame)
    return time.perf_counter() - began, fitted.getPytorchModel()


@functools.lru_cache(maxsize=1)
def _frame(spark: Any, shape: tuple[int, ...], rows: int) -> Any:
    from pyspark.ml.linalg import Vectors

    features, labels = networks.rows(shape, rows)
    pairs = [(Vectors.dense(x), float(y)) for x, y in zip(features, labels, strict=True)]
    frame = spark.createDataFrame(pairs, ["features", "label"]).repartition(WORKERS).persist()
    frame.count()
    return frame


def _predict(module: Any) -> Any:
    import torch

    module.eval()
    return lambda features: module(torch.from_numpy(features)).detach().numpy()


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


if __name__ == "__main__":
    serving.serve(start)
