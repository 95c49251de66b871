"""Keras 3 on one backend, in a process of its own: it reads requests and writes seconds.

Run by `peers.KerasPeer`. A line of input is JSON: {"network", "work", "rows", "batch_size"}; a
line of output is the seconds that the work took, after the model was built and warmed up.
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any


def main() -> None:
    import keras

    from benchmarks import networks

    _one_thread(keras.backend.backend())
    models: dict[tuple[str, int], Any] = {}
    data: dict[tuple[str, int], Any] = {}
    answer({"ready": keras.__version__})
    for line in sys.stdin:
        asked = json.loads(line)
        network = networks.NETWORKS[asked["network"]]
        count, size = asked["rows"], asked["batch_size"]
        x, y = data.setdefault((asked["network"], count), networks.rows(network, count))
        key = asked["network"], size
        if key not in models:
            models[key] = networks.by_keras(keras, network)
            for work in ("fit", "evaluate", "predict"):
                _do(models[key], work, x[: 4 * size], y[: 4 * size], size)
        began = time.perf_counter()
        _do(models[key], asked["work"], x, y, size)
        answer({"seconds": time.perf_counter() - began})


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


def answer(found: dict[str, Any]) -> None:
    """Writes a line; what Keras prints goes elsewhere."""
    print(json.dumps(found), flush=True)


if __name__ == "__main__":
    main()
