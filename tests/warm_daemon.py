"""PySpark's daemon with PyTorch imported once, for all the worker processes that it forks."""

import contextlib

from pyspark import daemon

with contextlib.suppress(ImportError):  # as with an executor's Python that has no packages
    import elephas_torch.task  # noqa: F401

if __name__ == "__main__":
    daemon.manager()
