"""Judges the facts: each check is a function of plain data that gives findings.

A check for which there are no facts finds nothing.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

from elephas_torch.cli.doctor.findings import Finding, duration, gpu, listed, several, size

Facts = dict[str, Any]
#: Packages of which another minor version on executors is no trouble.
_LENIENT = ("numpy", "pandas", "pyarrow", "safetensors")
#: A network below these is told of: seconds of a small request; bytes a second of an exchange.
SLOW_SECONDS, SLOW_RATE = 0.005, 50e6
#: Free bytes below which folders and memory are told of.
FOLDER_BYTES, MEMORY_BYTES = 1 << 30, 1 << 29


def diagnose(facts: Facts) -> list[Finding]:
    """What all checks find, in their order."""
    return [finding for check in CHECKS for finding in check(facts)]


def session(facts: Facts) -> Iterator[Finding]:
    """Whether there is a Spark at all."""
    if error := facts.get("session_error"):
        yield Finding(
            "session", "fail", f"Spark gave no session: {error}",
            "Look whether the master's address is right, whether it runs (its web page names "
            "the address), and whether Java 17 or later is installed.",
        )  # fmt: skip
    elif spark := facts.get("spark"):
        java = f", Java {spark['java']}" if spark["java"] else ""
        yield Finding("session", "ok", f"Spark {spark['version']} at {spark['master']}{java}")


def slots(facts: Facts) -> Iterator[Finding]:
    """Whether as many tasks can run at once as there are to be workers."""
    spark = facts.get("spark")
    if spark is None:
        return
    found, wanted = spark["slots"], spark["workers"]
    if not found:
        yield Finding("slots", "fail", "no slot: no executor has come", _no_slot(spark))
    elif wanted and found < wanted:
        yield Finding(
            "slots", "fail", f"{several(found, 'slot')} for {several(wanted, 'worker')}",
            f"Train with num_workers={found}, or let Spark have more cores: {_more_slots(spark)}.",
        )  # fmt: skip
    elif found == 1 and not wanted:
        yield Finding(
            "slots", "warn", "1 slot: one worker at a time",
            f"For more workers let Spark have more cores: {_more_slots(spark)}.",
        )  # fmt: skip
    else:
        executors = spark["executors"]
        where = f" in {several(executors, 'executor')}" if executors else ""
        asked = f", for {several(wanted, 'worker')}" if wanted else ""
        yield Finding("slots", "ok", f"{several(found, 'slot')}{where}{asked}")


def _no_slot(spark: Facts) -> str:
    settings = spark["settings"]
    asks = {
        name: settings[name]
        for name in ("spark.executor.cores", "spark.executor.memory", "spark.cores.max")
        if name in settings
    }
    said = ", ".join(f"{name}={value}" for name, value in asks.items()) or "Spark's defaults"
    return (
        "Look at the cluster's web page: are there workers, are they taken by another "
        f"application, and has one of them room for what this one asks ({said})?"
    )


def _more_slots(spark: Facts) -> str:
    if re.fullmatch(r"local(\[.*\])?", spark["master"]):
        return "--master 'local[4]' or more"
    return "spark.executor.cores, spark.executor.instances or spark.cores.max; or fewer " + (
        "spark.task.cpus"
    )


def answers(facts: Facts) -> Iterator[Finding]:
    """Whether tasks ran where they should."""
    if trouble := facts.get("trouble"):
        yield Finding("executors", "fail", _first_line(trouble), _mend_trouble(trouble, facts))
        return
    if not facts.get("executors"):
        return
    seen = len({(one["host"], one["process"]) for one in facts["executors"]})
    expected = facts["spark"]["executors"] or seen
    hosts = listed(one["host"] for one in facts["executors"])
    if seen < expected:
        yield Finding(
            "executors", "warn", f"{seen} of {several(expected, 'executor')} answered ({hosts})",
            "Others were busy or are gone; run the doctor again when the cluster is quiet.",
        )  # fmt: skip
    else:
        yield Finding("executors", "ok", f"{several(seen, 'executor')} answered ({hosts})")


def _first_line(text: str) -> str:
    lines = [line for line in text.strip().splitlines() if line.strip()]
    errors = [line for line in lines if re.match(r"\w[\w.]*(Error|Exception)\b", line)]
    return f"tasks fail: {(errors[-1:] or lines[:1] or ['no reason given'])[0].strip()[:300]}"


def _mend_trouble(trouble: str, facts: Facts) -> str:
    own = facts["driver"]
    versions = re.search(r"different version[: ]+\(?'?([\d.]+).*?driver[: ]+\(?'?([\d.]+)", trouble)
    if versions:
        return (
            f"Executors run Python {versions[1]}, the driver {own['python']}: let PYSPARK_PYTHON "
            "(or spark.pyspark.python) name a Python of the driver's version on every machine."
        )
    if "Cannot run program" in trouble or "No such file or directory" in trouble:
        return (
            "Executors find no such Python: let PYSPARK_PYTHON (or spark.pyspark.python) name one "
            f"that is on every machine; the driver's is {own['executable']}."
        )
    if "Waited" in trouble:
        return "Is the cluster taken by another application? See the stage on Spark's web page."
    return "Spark's web page has the whole error, at the failed stage."


def python(facts: Facts) -> Iterator[Finding]:
    """Whether driver and executors run the same Python."""
    if not facts.get("executors"):
        return
    own, others = facts["driver"]["python"], Counter(one["python"] for one in facts["executors"])
    if set(others) == {own}:
        places = listed(one["executable"] for one in facts["executors"])
        yield Finding("python", "ok", f"{own} everywhere ({places})")
        return
    yield Finding(
        "python", "warn", f"{own} on the driver, {listed(others)} on executors",
        "Let PYSPARK_PYTHON (or spark.pyspark.python) name the same Python on every machine.",
    )  # fmt: skip


def packages(facts: Facts) -> Iterator[Finding]:
    """Whether executors can import what workers need, in the driver's versions."""
    if not facts.get("executors"):
        return
    wrong = [*_missing(facts), *_different(facts)]
    yield from wrong
    if not wrong:
        own = facts["driver"]["versions"]
        said = ", ".join(f"{name} {version}" for name, version in own.items())
        yield Finding("packages", "ok", f"the same everywhere: {said}")


def _missing(facts: Facts) -> Iterator[Finding]:
    names = {name for one in facts["executors"] for name in one["missing"]}
    for name in sorted(names):
        where = [one for one in facts["executors"] if name in one["missing"]]
        hosts, pythons = (listed(one[key] for one in where) for key in ("host", "executable"))
        how = (
            "Install elephas_torch there, send it with --py-files"
            if name == "elephas_torch"
            else "Install it there"
        )
        yield Finding(
            "packages", "fail",
            f"executors on {hosts} can't import {name}: {where[0]['missing'][name]}",
            f"They run {pythons}. {how}, or let PYSPARK_PYTHON name a Python that has it.",
        )  # fmt: skip


def _different(facts: Facts) -> Iterator[Finding]:
    for name, own in facts["driver"]["versions"].items():
        found = {one["versions"].get(name, own): one for one in facts["executors"]}
        for version, one in sorted(found.items()):
            if version == own:
                continue
            where = one["package"]["place"] if name == "elephas_torch" and one["package"] else ""
            place = f", from {where}" if where else ""
            yield Finding(
                "packages", _weight(name, own, version),
                f"{name} is {own} on the driver, {version} on {one['host']}{place}",
                f"Install {name} {own} on every machine, into {one['executable']}.",
            )  # fmt: skip
    yield from _other_code(facts)


def _weight(name: str, own: str, other: str) -> str:
    if name == "elephas_torch":
        return "fail"
    length = 1 if name in _LENIENT else 2
    same = own.split(".")[:length] == other.split(".")[:length]
    return "warn" if same or name == "torch" else "fail"


def _other_code(facts: Facts) -> Iterator[Finding]:
    own, version = facts["driver"]["package"], facts["driver"]["versions"].get("elephas_torch")
    for one in facts["executors"]:
        same = one["versions"].get("elephas_torch") == version and one["package"] and own
        if same and one["package"]["code"] != own["code"]:
            yield Finding(
                "packages", "warn",
                f"elephas_torch is {version} on {one['host']} too, but with other code "
                f"({one['package']['place']})",
                f"Bring the driver's there: {own['place']}; a zip for --py-files is made anew "
                "when the package changes.",
            )  # fmt: skip
            return


def server(facts: Facts) -> Iterator[Finding]:
    """Whether a parameter server can be started on the driver."""
    told = facts.get("server")
    if told is None:
        return
    if told["error"] is None:
        yield Finding("server", "ok", f"listens at {told['url']}")
        return
    settings = facts["spark"]["settings"]
    host, port = settings.get("spark.elephas.host"), settings.get("spark.elephas.port")
    if "isn't an address of this machine" in told["error"]:
        which = "spark.elephas.host" if host else "spark.driver.host"
        advice = (
            f"{which} is {told['host']!r}. Set spark.elephas.host to an address of the driver's "
            "machine that executors can reach; without it spark.driver.host is taken."
        )
    elif "is taken" in told["error"] and port:
        advice = f"spark.elephas.port is {port}: name another, or leave it out for a free one."
    else:
        advice = "See docs/spark_model.md for host, port and ssl."
    yield Finding("server", "fail", f"can't be started: {told['error']}", advice)


def network(facts: Facts) -> Iterator[Finding]:
    """Whether each executor reaches the parameter server, and how fast."""
    reached = [one for one in facts.get("executors") or [] if one["server"] is not None]
    broken = [one for one in reached if one["server"]["trouble"]]
    for trouble in sorted({one["server"]["trouble"] for one in broken}):
        where = [one for one in broken if one["server"]["trouble"] == trouble]
        yield Finding(
            "network", "fail",
            f"executors on {listed(one['host'] for one in where)} can't "
            f"{'exchange with' if trouble == 'exchange' else 'reach'} {facts['server']['url']}: "
            f"{_said(where[0]['server'])}",
            _mend_network(trouble, facts),
        )  # fmt: skip
    if reached and not broken:
        yield _speed(facts, reached)


def _said(found: Facts) -> str:
    text = {
        "silence": "no answer",
        "refused": "the connection is refused",
        "name": "the name isn't known there",
        "stranger": "another program answers",
    }.get(found["trouble"])
    return f"{text} ({found['error']})" if text else str(found["error"])


def _mend_network(trouble: str, facts: Facts) -> str:
    settings = facts["spark"]["settings"]
    host, port = settings.get("spark.elephas.host"), settings.get("spark.elephas.port")
    address = (
        f"spark.elephas.host is {host!r}: set it to an address of the driver that executors can "
        f"reach, or leave it out, for spark.driver.host ({settings.get('spark.driver.host')})"
        if host
        else "set spark.elephas.host to an address of the driver that executors can reach"
    )
    if trouble == "silence":
        let = f"let port {port} of the driver" if port else "set spark.elephas.port, and let it"
        return f"A firewall or a route drops what they send: {let} through; or {address}."
    if trouble == "exchange":
        return "Small requests go through and large ones don't: look at proxies, VPNs and the MTU."
    return f"{address[0].upper()}{address[1:]}."


def _speed(facts: Facts, reached: list[Facts]) -> Finding:
    latency = max(one["server"]["latency"] for one in reached)
    rates = [one["server"]["rate"] for one in reached if one["server"]["rate"]]
    rate = min(rates, default=None)
    pace = f", {size(rate)}/s while all push and pull at once" if rate else ""
    found = f"all reach the server; at worst {duration(latency)} a request{pace}"
    slow = latency > SLOW_SECONDS or (rate is not None and rate < SLOW_RATE)
    if slow and not facts["spark"]["local"]:  # on one machine vectors go through memory
        return Finding(
            "network", "warn", found,
            "Exchange rarely (frequency='epoch', or some hundreds of batches), with "
            "compression='bf16' or 'int8', or overlap=True; see docs/performance.md.",
        )  # fmt: skip
    return Finding("network", "ok", found)


def threads(facts: Facts) -> Iterator[Finding]:
    """Whether tasks of a machine share its cores out, and what they are told of threads."""
    if not facts.get("executors"):
        return
    tasks = Counter(one["host"] for one in facts["executors"] if one["partition"] < 100_000)
    cpus = max(one["task"]["cpus"] for one in facts["executors"])
    cores = {
        host: min(one["cores"] for one in facts["executors"] if one["host"] == host)
        for host in tasks
    }
    told = listed(one["task"]["omp_num_threads"] or "not set" for one in facts["executors"])
    torch = listed(one["task"]["torch_threads"] or "?" for one in facts["executors"])
    crowded = [host for host, count in tasks.items() if count * cpus > cores[host]]
    found = (
        f"spark.task.cpus {cpus}; OMP_NUM_THREADS {told}; torch takes {torch} where it isn't "
        f"told, and workers set it to {cpus}; {_cores(cores)}"
    )
    if crowded:
        host = crowded[0]
        yield Finding(
            "threads", "warn",
            f"{several(tasks[host], 'task')} of {several(cpus, 'cpu')} at once on {host}, which "
            f"has {several(cores[host], 'core')}; {found}",
            "Workers share cores: train with fewer (num_workers), or give Spark as many slots as "
            "there are cores.",
        )  # fmt: skip
    else:
        yield Finding("threads", "ok", found)


def _cores(cores: dict[str, int]) -> str:
    return ", ".join(sorted({several(count, "core") for count in cores.values()})) + " a machine"


def memory(facts: Facts) -> Iterator[Finding]:
    """Whether machines of executors have memory free."""
    known = [one for one in facts.get("executors") or [] if one["memory"]]
    if not known:
        return
    least = min(known, key=lambda one: one["memory"]["free"])
    found = (
        f"{size(least['memory']['free'])} of {size(least['memory']['total'])} free"
        f"{' at least' if len({one['host'] for one in known}) > 1 else ''} ({least['host']})"
    )
    if least["memory"]["free"] < MEMORY_BYTES:
        yield Finding(
            "memory", "warn", found,
            "A worker with PyTorch needs 300 MB and its rows' tensors. Rows beyond memory go to "
            "disk; train with fewer workers a machine, or give containers more "
            "(spark.executor.memoryOverhead).",
        )  # fmt: skip
    else:
        yield Finding("memory", "ok", found)


def gpus(facts: Facts) -> Iterator[Finding]:
    """Whether GPUs that are there are given to tasks, and PyTorch can use them."""
    executors = facts.get("executors") or []
    there = [one for one in executors if one["gpus"]]
    given = [one for one in executors if one["task"]["gpus"]]
    if not executors:
        return
    if not there and not given:
        yield Finding("gpus", "ok", "none; workers train on the processor")
        return
    names = _cards(there)
    places = listed(f"{one['host']}:{gpu(one)} to task {one['partition']}" for one in executors)
    if any(one["task"]["cuda"] is None for one in there if "torch" not in one["missing"]):
        yield Finding(
            "gpus", "warn", f"{names}, but PyTorch on executors is built without CUDA",
            "Install PyTorch's CUDA build on every machine that has a GPU.",
        )  # fmt: skip
    elif not given:
        yield Finding(
            "gpus", "warn", f"{names}; Spark gives none, so tasks take them in turn: {places}",
            "Set spark.executor.resource.gpu.amount, spark.task.resource.gpu.amount and a "
            "discovery script, so that each worker gets a GPU of its own.",
        )  # fmt: skip
    else:
        yield Finding("gpus", "ok", f"{names or 'GPUs'}, given by Spark: {places}")


def _cards(executors: list[Facts]) -> str:
    """GPUs by name, each with its host, its address and how many torch sees there."""
    names = listed(name for one in executors for name in one["gpus"])
    cards = [
        f"{one['host']}:{card['index']} is {card['uuid']}"
        for one in executors
        for card in one.get("gpu_addresses") or []
    ]
    counts = {
        f"{one['task']['torch_gpus']} on {one['host']}"
        for one in executors
        if one["task"].get("torch_gpus") is not None
    }
    more = [listed(cards)] if cards else []
    more += [f"torch sees {listed(counts)}"] if counts else []
    return f"{names} ({'; '.join(more)})" if more else names


def arrow(facts: Facts) -> Iterator[Finding]:
    """Whether DataFrames' rows come to workers."""
    told = facts.get("arrow")
    if told is None:
        return
    if told["error"]:
        yield Finding(
            "arrow", "fail", f"Arrow batches don't reach Python: {_first_line(told['error'])}",
            "Install pyarrow and pandas, in the driver's versions, on every machine. Until then "
            "RDDs can be trained on, and DataFrames can't.",
        )  # fmt: skip
        return
    name = "spark.sql.execution.arrow.pyspark.enabled"
    switch = facts["spark"]["settings"].get(name, "not set")
    yield Finding(
        "arrow", "ok",
        f"batches go to Python and back; {name} is {switch}, which training doesn't need (it is "
        "for toPandas and createDataFrame)",
    )  # fmt: skip


def folder(facts: Facts) -> Iterator[Finding]:
    """Whether rows beyond memory have a place."""
    executors = facts.get("executors") or []
    broken = [one for one in executors if one["folder"]["error"]]
    for one in broken[:1]:
        yield Finding(
            "folder", "fail",
            f"{one['folder']['place']} on {one['host']} can't be written: {one['folder']['error']}",
            "Let spark.local.dir (or SPARK_LOCAL_DIRS, TMPDIR) name a folder with room that "
            "Spark's user may write.",
        )  # fmt: skip
    if not executors or broken:
        return
    least = min(executors, key=lambda one: one["folder"]["free"])
    found = f"{least['folder']['place']} on {least['host']}: {size(least['folder']['free'])} free"
    if least["folder"]["free"] < FOLDER_BYTES:
        yield Finding(
            "folder", "warn", found,
            "Rows beyond memory go there: make room, or let spark.local.dir name another folder.",
        )  # fmt: skip
    else:
        yield Finding("folder", "ok", found)


def training(facts: Facts) -> Iterator[Finding]:
    """Whether a small net has learned something."""
    told = facts.get("training")
    if told is None:
        return
    if told["error"]:
        yield Finding(
            "training", "fail", _cut(told["error"]),
            "The checks above say what is wrong; if they are all well, this is worth an issue.",
        )  # fmt: skip
        return
    first, last = told["accuracy"]
    rate = f", {told['rate']:,.0f} samples/s" if told["rate"] else ""
    found = (
        f"{several(told['workers'], 'worker')}, {several(told['epochs'], 'epoch')} in "
        f"{duration(told['seconds'])} (first after {duration(told['start'])}){rate}, accuracy "
        f"{first:.2f} to {last:.2f}"
    )
    losses = told["loss"]
    if told["epochs"] > 1 and (None in losses or losses[1] >= losses[0]):
        yield Finding(
            "training", "fail", f"{found}; the loss didn't fall: {losses[0]} to {losses[1]}",
            "Its rows are easy, so this should not be: it is worth an issue, with --json.",
        )  # fmt: skip
    else:
        yield Finding("training", "ok", found)


def _cut(text: str) -> str:
    return text if len(text) <= 600 else f"{text[:300]} … {text[-300:]}"


CHECKS: tuple[Callable[[Facts], Iterator[Finding]], ...] = (
    session, slots, answers, python, packages, server, network, threads, memory, gpus, arrow,
    folder, training,
)  # fmt: skip
