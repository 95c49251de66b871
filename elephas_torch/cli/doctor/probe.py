"""What the doctor looks at where a task runs, as plain data.

Executors get this module's functions by value, and nothing here is needed but Python itself: so
they answer too where this package or PyTorch is missing. Everything that waits has an end.
"""

from __future__ import annotations

import importlib
import json
import os
import platform
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import zlib
from typing import Any

#: What a worker imports; "elephas_torch" is compared by its code as well.
PACKAGES = ("elephas_torch", "torch", "pyspark", "numpy", "pyarrow", "pandas", "safetensors")
#: Small requests, of which the median counts; and pushes-and-pulls.
REQUESTS, EXCHANGES = 20, 3


def look(asked: dict[str, Any], partition: int) -> dict[str, Any]:
    """What a task finds around it.

    Args:
        asked: "address" (host, port), "token", "certificate" and "sizes" of the server;
            "version" of this package on the driver; "connect_seconds" that it may take; "hold":
            seconds that the task takes at least, so that others can't take its turn.
    """
    started = time.monotonic()
    found = {
        "partition": partition,
        "host": socket.gethostname(),
        "process": os.getppid(),
        **software(),
        **machine(),
        "task": task(),
        "folder": temporary(),
    }
    same = found["versions"].get("elephas_torch") == asked["version"]
    found["server"] = server(asked, partition, same and not found["missing"])
    time.sleep(max(0.0, asked["hold"] - (time.monotonic() - started)))
    return found


def software() -> dict[str, Any]:
    """Python and packages: "versions" of those that can be imported, "missing" with the reason of
    the others."""
    versions, missing = {}, {}
    for name in PACKAGES:
        try:
            module = importlib.import_module(name)
            versions[name] = str(getattr(module, "__version__", "unknown"))
        except BaseException as error:  # a broken package may raise anything
            missing[name] = f"{type(error).__name__}: {error}"
    return {
        "python": platform.python_version(),
        "executable": sys.executable,
        "versions": versions,
        "missing": missing,
        "package": package(),
    }


def package() -> dict[str, Any] | None:
    """Where this package lies, and a number that changes with its code; None: it isn't there."""
    try:
        from importlib.resources import files

        root = files("elephas_torch")
        return {"place": str(root), "code": _code(root)}
    except Exception:
        return None


def _code(folder: Any) -> int:
    total = 0
    for one in folder.iterdir():
        if one.is_dir() and one.name != "__pycache__":
            total += _code(one)
        elif one.name.endswith(".py"):
            total += zlib.crc32(one.name.encode() + one.read_bytes())
    return total


def machine() -> dict[str, Any]:
    """Cores, memory in bytes, and GPUs of this machine: names, and addresses with them."""
    try:
        cores = len(os.sched_getaffinity(0))
    except AttributeError:
        cores = os.cpu_count() or 1
    cards = _cards()
    names = [one["name"] for one in cards]
    return {"cores": cores, "memory": _memory(), "gpus": names, "gpu_addresses": cards}


def _memory() -> dict[str, int] | None:
    try:
        with open("/proc/meminfo") as file:
            lines = dict(line.split(":", 1) for line in file)
        found = {
            "total": int(lines["MemTotal"].split()[0]) << 10,
            "free": int(lines["MemAvailable"].split()[0]) << 10,
        }
    except (OSError, KeyError, ValueError):
        return None
    for path in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        try:
            with open(path) as file:
                found["total"] = min(found["total"], int(file.read()))
        except (OSError, ValueError):
            continue
    found["free"] = min(found["free"], found["total"])
    return found


def _cards() -> list[dict[str, str]]:
    """NVIDIA's GPUs ("index", "uuid", "name"), without CUDA, which a forked process must leave
    alone."""
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return []
    asked = [tool, "--query-gpu=index,uuid,name", "--format=csv,noheader"]
    try:
        said = subprocess.run(asked, capture_output=True, text=True, timeout=10, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return []
    lines = (line.split(",", 2) for line in said.splitlines())
    return [
        dict(zip(("index", "uuid", "name"), map(str.strip, parts), strict=True))
        for parts in lines
        if len(parts) == 3
    ]


def task() -> dict[str, Any]:
    """What Spark gives to a task, and what its environment says of GPUs and threads."""
    cpus, gpus = 1, []
    try:
        from pyspark import TaskContext

        context = TaskContext.get()
        if context is not None:
            cpus = int(context.cpus())
            gpus = [str(one) for given in context.resources().values() for one in given.addresses]
    except Exception:  # of some other Spark
        pass
    torch = sys.modules.get("torch")
    return {
        "cpus": cpus,
        "gpus": gpus,
        "visible": os.environ.get("CUDA_VISIBLE_DEVICES"),
        "omp_num_threads": os.environ.get("OMP_NUM_THREADS"),
        "torch_threads": None if torch is None else torch.get_num_threads(),
        "cuda": None if torch is None else torch.version.cuda,
        "torch_gpus": _seen(torch),
    }


def _seen(torch: Any) -> int | None:
    """How many GPUs torch sees; None where it can see none. NVIDIA's library of management says it,
    without CUDA."""
    if torch is None or torch.version.cuda is None or shutil.which("nvidia-smi") is None:
        return None
    try:
        return int(torch.cuda.device_count())
    except Exception:  # of a driver that doesn't fit
        return None


def temporary() -> dict[str, Any]:
    """The folder that rows beyond memory go to: whether it can be written, and its free bytes."""
    place = tempfile.gettempdir()
    for name in ("SPARK_LOCAL_DIRS", "LOCAL_DIRS"):
        places = [one for one in os.environ.get(name, "").split(",") if os.path.isdir(one)]
        if places:
            place = max(places, key=lambda one: shutil.disk_usage(one).free)
            break
    try:
        with tempfile.TemporaryFile(dir=place, prefix="elephas-") as file:
            file.write(bytes(1 << 20))
        return {"place": place, "free": shutil.disk_usage(place).free, "error": None}
    except OSError as error:
        return {"place": place, "free": None, "error": str(error)}


def server(asked: dict[str, Any], partition: int, able: bool) -> dict[str, Any] | None:
    """Whether the parameter server can be reached from here: "latency" in seconds, the median of
    small requests; "rate" in bytes a second of a push and a pull, None where this side isn't
    `able` to, for want of packages; "trouble": None where all is well, or a kind; "error": its
    text."""
    if asked["address"] is None:
        return None
    found: dict[str, Any] = {"latency": None, "rate": None, "trouble": None, "error": None}
    try:
        found["latency"] = _latency(asked)
    except Exception as error:
        return {**found, "trouble": _kind(error), "error": f"{type(error).__name__}: {error}"}
    try:
        found["rate"] = _rate(asked, partition) if able else None
    except Exception as error:
        found |= {"trouble": "exchange", "error": f"{type(error).__name__}: {error}"}
    return found


def _latency(asked: dict[str, Any]) -> float:
    import http.client

    host, port = asked["address"]
    seconds = asked["connect_seconds"]
    if asked["certificate"] is None:
        made = http.client.HTTPConnection(host, port, timeout=seconds)
    else:
        made = http.client.HTTPSConnection(
            host, port, timeout=seconds, context=_trusting(asked["certificate"])
        )
    # Without the token more than some requests a second are made to wait; nobody else is to get it.
    bearer, times = {"Authorization": f"Bearer {asked['token']}"}, []
    try:
        for number in range(REQUESTS):
            started = time.perf_counter()
            made.request("GET", "/health", headers=bearer if number else {})
            answer = made.getresponse()
            said = answer.read(65536)
            if number == 0 and b'"elephas_torch.parameter"' not in said:
                raise ValueError(f"somebody else answers there, with status {answer.status}")
            times.append(time.perf_counter() - started)
    finally:
        made.close()
    return statistics.median(times)


def _trusting(certificate: str) -> Any:
    import ssl

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    context.load_verify_locations(cadata=certificate)
    return context


def _kind(error: Exception) -> str:
    kinds = (
        (TimeoutError, "silence"),
        (ConnectionRefusedError, "refused"),
        (socket.gaierror, "name"),
        (json.JSONDecodeError, "stranger"),
        (ValueError, "stranger"),
    )
    return next((name for kind, name in kinds if isinstance(error, kind)), "network")


def _rate(asked: dict[str, Any], partition: int) -> float:
    import torch

    from elephas_torch.flat import Vectors
    from elephas_torch.parameter import Client, Push

    scheme = "http" if asked["certificate"] is None else "https"
    host, port = asked["address"]
    url = f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}"
    update, into = (
        Vectors(torch.zeros(asked["sizes"][0]), torch.zeros(0), torch.zeros(0, dtype=torch.int64))
        for _ in range(2)
    )
    times = []
    client = Client(
        url, asked["token"], timeout=6 * asked["connect_seconds"],
        ssl_certificate=asked["certificate"],
    )  # fmt: skip
    with client:
        attempt = time.time_ns()  # Spark may run a task twice
        seq = client.join(partition, attempt, samples=1).seq
        for number in range(seq, seq + EXCHANGES):
            started = time.perf_counter()
            client.exchange(Push(partition, attempt, number, 0, 1, 0, False), update, into)
            times.append(time.perf_counter() - started)
        client.leave(partition, attempt)
    return 2 * 4 * asked["sizes"][0] / statistics.median(times)
