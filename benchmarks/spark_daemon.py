"""PySpark's daemon of Python workers, whose workers note their times: see `spark_worker`.

Spark runs it where `spark.python.daemon.module` names it.
"""

from __future__ import annotations

from typing import Any

from pyspark import daemon

_worker = daemon.worker


def worker(sock: Any, authenticated: bool) -> int:
    """What the daemon runs after its fork, for each task."""
    from benchmarks import spark_worker

    spark_worker.install()
    return _worker(sock, authenticated)


if __name__ == "__main__":
    daemon.worker = worker
    daemon.manager()
