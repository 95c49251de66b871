"""Facts of a healthy cluster, which tests spoil."""

import copy

import pytest

VERSIONS = {
    "elephas_torch": "0.1.0", "torch": "2.13.0+cpu", "pyspark": "4.3.0", "numpy": "2.4.6",
    "pyarrow": "26.0.1", "pandas": "2.3.3", "safetensors": "0.8.0",
}  # fmt: skip
SOFTWARE = {
    "python": "3.11.7",
    "executable": "/opt/python",
    "versions": VERSIONS,
    "missing": {},
    "package": {"place": "/opt/elephas_torch", "code": 1},
}


def executor(partition):
    return {
        "partition": partition,
        "host": f"node{partition % 2}",
        "process": partition % 2,
        **SOFTWARE,
        "cores": 4,
        "memory": {"total": 8 << 30, "free": 4 << 30},
        "gpus": [],
        "gpu_addresses": [],
        "task": {
            "cpus": 1, "gpus": [], "visible": None, "omp_num_threads": "1", "torch_threads": 1,
            "cuda": None, "torch_gpus": None,
        },
        "folder": {"place": "/tmp", "free": 100 << 30, "error": None},
        "server": {"latency": 0.0005, "rate": 500e6, "trouble": None, "error": None},
    }  # fmt: skip


HEALTHY = {
    "driver": {
        "host": "driver", **SOFTWARE, "cores": 4, "memory": None, "gpus": [], "gpu_addresses": [],
    },
    "spark": {
        "master": "spark://driver:7077", "local": False, "version": "4.3.0", "java": "17.0.15",
        "slots": 4, "workers": None, "executors": 2,
        "settings": {"spark.driver.host": "10.0.0.1"},
    },
    "server": {"host": "10.0.0.1", "url": "http://10.0.0.1:4000", "error": None},
    "executors": [executor(partition) for partition in range(4)],
    "trouble": None,
    "arrow": {"rows": 8, "error": None},
    "training": {
        "error": None, "workers": 4, "epochs": 9, "seconds": 12.0, "start": 2.0, "rate": 30000.0,
        "loss": [1.0, 0.1], "accuracy": [0.5, 0.9],
    },
}  # fmt: skip


@pytest.fixture
def facts():
    return copy.deepcopy(HEALTHY)
