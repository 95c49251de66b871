"""Keras 3 on the backend of KERAS_BACKEND, run by `peers.Peer`: seconds of a piece of work."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from benchmarks import networks, serving


def start() -> tuple[dict[str, Any], Callable[..., dict[str, Any]]]:
    """Keras's version; and what trains, evaluates or predicts, with models warmed up before."""
    import keras

    _one_thread(keras.backend.backend())
    models: dict[tuple[str, int], Any] = {}

    def answer(network: str, work: str, rows: int, batch_size: int) -> dict[str, Any]:
        net = networks.NETWORKS[network]
        x, y = networks.rows(net.shape, rows)
        key = network, batch_size
        if key not in models:
            models[key] = networks.by_keras(keras, net)
            for one in ("fit", "evaluate", "predict"):
                _do(models[key], one, x[: 4 * batch_size], y[: 4 * batch_size], batch_size)
        began = time.perf_counter()
        _do(models[key], work, x, y, batch_size)
        return {"seconds": time.perf_counter() - began}

    return {"keras": keras.__version__, "backend": keras.backend.backend()}, answer


def _do(model: Any, work: str, x: Any, y: Any, size: int) -> None:
    given = (x,) if work == "predict" else (x, y)
    getattr(model, work)(*given, batch_size=size, verbose=0)


def _one_thread(backend: str) -> None:
    if backend == "torch":
        import torch

        torch.set_num_threads(1)
    elif backend == "tensorflow":
        import tensorflow

        tensorflow.config.threading.set_intra_op_parallelism_threads(1)
        tensorflow.config.threading.set_inter_op_parallelism_threads(1)


if __name__ == "__main__":
    serving.serve(start)
