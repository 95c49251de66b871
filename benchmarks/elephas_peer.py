"""elephas 7 on Keras and TensorFlow, run by `peers.Peer`: seconds of whole fits.

It has a Spark session of its own, and needs elephas and what that needs, but not torch.
"""

from __future__ import annotations

import functools
import itertools
import os
import socket
import time
from collections.abc import Callable
from typing import Any

from benchmarks import networks, serving

#: All ways of training that elephas has: name -> arguments.
MODES: dict[str, dict[str, str]] = {
    "elephas synchronous": {"mode": "synchronous"},
    **{
        f"elephas {mode} {frequency} {server}": {
            "mode": mode, "frequency": frequency, "server": server,
        }
        for frequency, mode, server in itertools.product(
            ("epoch", "batch"), ("asynchronous", "hogwild"), ("http", "socket")
        )
    },
}  # fmt: skip


def start() -> tuple[dict[str, Any], Callable[..., dict[str, Any]]]:
    """The versions; and what fits twice, once for one epoch and once for all of them."""
    # Threads of its workers as of ours: one each.
    one = ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS")
    os.environ.update(dict.fromkeys(one, "1"))
    os.environ |= {"TF_CPP_MIN_LOG_LEVEL": "3", "SPARK_LOCAL_IP": "127.0.0.1"}
    os.environ |= {"CUDA_VISIBLE_DEVICES": ""}
    import elephas.spark_model  # noqa: F401  (what is missing is to be known before Spark starts)
    import pyspark
    import tensorflow

    context = _context()
    versions = {
        "elephas": _version("elephas"),
        "pyspark": pyspark.__version__,
        "tensorflow": tensorflow.__version__,
    }
    return versions, functools.partial(answer, context)


def answer(
    context: Any, network: str, rows: int, epochs: int, batch_size: int, mode: str,
    frequency: str = "epoch", server: str = "http",
) -> dict[str, Any]:  # fmt: skip
    """Seconds of a fit of one epoch and of one of all, and the accuracy of the second."""
    net = networks.NETWORKS[network]
    rdd = _rdd(context, net.shape, rows)
    how = (mode, frequency, server)
    first, _ = _fit(rdd, net, 1, batch_size, *how)
    whole, model = _fit(rdd, net, epochs, batch_size, *how)
    predict = functools.partial(model.master_network.predict, verbose=0)
    return {"first": first, "whole": whole, "accuracy": networks.accuracy(net, predict)}


def _fit(
    rdd: Any, network: networks.Network, epochs: int, size: int, mode: str, frequency: str,
    server: str,
) -> tuple[float, Any]:  # fmt: skip
    import keras
    from elephas.spark_model import AsynchronousSparkModel, SparkModel

    model = networks.by_keras(keras, network)
    if mode == "synchronous":
        spark_model = SparkModel(model)
    else:
        spark_model = AsynchronousSparkModel(
            model, mode=mode, frequency=frequency, parameter_server_mode=server, port=_free_port()
        )
    began = time.perf_counter()
    spark_model.fit(rdd, epochs=epochs, batch_size=size, verbose=0, validation_split=0.0)
    return time.perf_counter() - began, spark_model


@functools.lru_cache(maxsize=1)
def _rdd(context: Any, shape: tuple[int, ...], rows: int) -> Any:
    from elephas.utils.rdd_utils import to_simple_rdd

    # Two partitions, as there are slots; without `num_workers`, which would deal rows out anew.
    return to_simple_rdd(context, *networks.rows(shape, rows))


def _context() -> Any:
    from pyspark import SparkConf, SparkContext

    settings = {
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.driver.memory": "8g",
    }
    conf = SparkConf().setMaster("local[2]").setAppName("benchmarks: elephas")
    context = SparkContext(conf=conf.setAll(list(settings.items())))
    context.setLogLevel("ERROR")
    return context


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def _version(package: str) -> str:
    from importlib.metadata import version

    return version(package)


if __name__ == "__main__":
    serving.serve(start)
