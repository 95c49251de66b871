"""Trainings on a cluster of their own, to which things happen."""

import json
import os
import re
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytestmark = pytest.mark.cluster
SCRIPT = Path(__file__).parent / "training.py"
#: Seconds that a program may take to begin its training: a busy machine starts a JVM in a minute.
BEGIN_SECONDS = 240
ROWS, EPOCHS = 64, 3  # 8 batches an epoch and worker


@dataclass(frozen=True)
class Case:
    """A training, what happens to it, and what is to come of it.

    Attributes:
        fault: done while a worker waits in the middle of a batch: `fault(cluster, pid, folder)`.
        before: done before all.
        at: the worker that waits, and its step.
        model: "net" or "count".
        expect: "same" weights as undisturbed; "counted": each row once an epoch; "fewer": the same,
            where rounds may have had one worker; "in all": so many rows;
            "learns"; or the error, a regular expression.
        conf: Spark's settings.
        machines: Spark's workers. slots: that the training finds.
        told: by Spark in its log, where what happens is its own doing.
        resumed: the driver has fallen; it is run again with `resume=True`.
    """

    name: str
    mode: str = "synchronous"
    frequency: str | int = "batch"
    fault: Callable[..., None] | None = None
    before: Callable[..., None] | None = None
    at: tuple[int, int] | None = (1, 12)
    model: str = "net"
    expect: str = "same"
    options: dict[str, Any] = field(default_factory=dict)
    fit: dict[str, Any] = field(default_factory=dict)
    conf: dict[str, Any] = field(default_factory=dict)
    machines: int = 2
    network: bool = False
    resumed: bool = False
    checkpoints: bool = False
    fits: int = 1
    shuffle: bool = False
    pace: float = 0.03
    epochs: int = EPOCHS
    seconds: float = 240
    slots: int = 2
    told: str = ""


# What happens


def kill_python(cluster, pid, folder):
    os.kill(pid, signal.SIGKILL)


def kill_executor(cluster, pid, folder):
    os.kill(cluster.executor_of(pid), signal.SIGKILL)


def replace_worker(cluster, pid, folder):
    cluster.kill(cluster.worker_of(pid))
    cluster.start(2)


def kill_all(cluster, pid, folder):
    for number in range(2):
        cluster.kill(number)


def kill_server(cluster, pid, folder):
    os.kill(cluster.server(), signal.SIGKILL)


def stop_python(cluster, pid, folder):
    os.kill(pid, signal.SIGSTOP)
    time.sleep(6)  # the lease is 2 s
    os.kill(pid, signal.SIGCONT)


def kill_driver(cluster, pid, folder):
    _await_checkpoint(folder)
    os.kill(json.loads((folder / "driver").read_text()), signal.SIGKILL)


def kill_jvm(cluster, pid, folder):
    _await_checkpoint(folder)
    driver = json.loads((folder / "driver").read_text())
    os.kill(int(Path(f"/proc/{driver}/stat").read_text().split()[3]), signal.SIGKILL)


def _await_checkpoint(folder):
    end = time.monotonic() + 30
    while not [*folder.glob("checkpoints/*/manifest.json")]:
        assert time.monotonic() < end, "no checkpoint of the first epoch"
        time.sleep(0.05)


def cut_off(seconds):
    def cut(cluster, pid, folder):
        cluster.network.cut = {cluster.worker_of(pid)}
        (folder / "go").touch()  # it goes on, and meets the hole
        time.sleep(seconds)
        cluster.network.cut = set()

    return cut


def slow_and_lossy(cluster):
    cluster.network.delay, cluster.network.loss = 0.025, 0.01  # 50 ms there and back


def firewalled(cluster):
    cluster.network.blocked = {45_671}


def wait_for_the_other(cluster, pid, folder):
    """Nothing happens, but that this worker takes long."""
    time.sleep(10)


# What it happens to

BY_HTTP = {"shared_memory": False}
COUNTED = {"model": "count", "expect": "counted", "options": {"staleness": None}}
COUNTED_BY_HTTP = {**COUNTED, "options": {"staleness": None, **BY_HTTP}}
SPECULATION = {
    "spark.speculation": "true",
    "spark.speculation.interval": "100ms",
    "spark.speculation.quantile": 0.5,
    "spark.speculation.multiplier": 1.01,
    "spark.speculation.minTaskRuntime": "100ms",
}
SPECULATION_OF_ALL = {
    **SPECULATION,
    "spark.speculation.task.duration.threshold": "3s",
    "spark.executor.cores": 2,
    "spark.cores.max": 4,
}
SPECULATED = r"(?s)as speculatable.*Starting task \d\.1 in stage"
DYNAMIC = {
    "spark.dynamicAllocation.enabled": "true",
    "spark.dynamicAllocation.shuffleTracking.enabled": "true",
    "spark.dynamicAllocation.minExecutors": 0,
    "spark.dynamicAllocation.initialExecutors": 0,
    "spark.dynamicAllocation.maxExecutors": 2,
    "spark.dynamicAllocation.executorIdleTimeout": "2s",
}
EXCLUDING = {
    "spark.excludeOnFailure.enabled": "true",
    "spark.excludeOnFailure.application.enabled": "true",
    "spark.excludeOnFailure.stage.maxFailedTasksPerExecutor": 1,
    "spark.cores.max": 3,
}
NOBODY = {
    "spark.executor.memory": "900g",
    "spark.scheduler.maxRegisteredResourcesWaitingTime": "2s",
}
SHORT = {"join_timeout": 15, "lease": 2}
NET = {"network": True, "options": BY_HTTP}

QUICK = Case("executor", fault=kill_executor, checkpoints=True)
CASES = [
    Case("python", fault=kill_python),
    Case("python", frequency="epoch", fault=kill_python, checkpoints=True),
    Case("python", "asynchronous", "batch", kill_python, **COUNTED),
    Case("python", "asynchronous", 3, kill_python, **COUNTED_BY_HTTP),
    Case("python", "hogwild", "batch", kill_python, expect="learns"),
    Case("executor", frequency=3, fault=kill_executor, model="count", expect="counted"),
    Case("executor", "asynchronous", "epoch", kill_executor, **COUNTED),
    Case("executor-allreduce", fault=kill_executor, options={"exchange": "allreduce"}),
    Case("worker-daemon", fault=replace_worker),
    Case("worker-daemon", "asynchronous", "batch", replace_worker, **COUNTED),
    Case("stopped", "asynchronous", "batch", stop_python, model="count", expect="counted",
         options={"staleness": None, "lease": 2}),
    Case("stopped", fault=stop_python, model="count", expect="fewer", options={"lease": 2}),
    Case("server", fault=kill_server, checkpoints=True),
    Case("server", "asynchronous", 3, kill_server, checkpoints=True, **COUNTED),
    Case("server-unkept", fault=kill_server, expect=r"parameter server ended with exit code -9"),
    Case("driver", fault=kill_driver, checkpoints=True, resumed=True),
    Case("driver", "asynchronous", "epoch", kill_driver, checkpoints=True, resumed=True,
         **COUNTED),
    Case("driver-jvm", frequency="epoch", fault=kill_jvm, checkpoints=True, resumed=True),
    Case("two-fits", fits=2, at=None, conf={"spark.cores.max": 4}),
    Case("two-fits-in-turn", fits=2, at=None),
    Case("speculation", "asynchronous", "batch", wait_for_the_other, told=SPECULATED,
         conf=SPECULATION, **COUNTED),
    Case("speculation", fault=wait_for_the_other, told=SPECULATED, conf=SPECULATION_OF_ALL),
    Case("stage-retry", "asynchronous", "batch", kill_executor, shuffle=True, told="FetchFailed",
         model="count", expect="in all", options={"staleness": None}),
    Case("stage-retry", fault=kill_executor, shuffle=True, told="FetchFailed", model="count",
         expect="in all"),
    Case("fewer-slots", "asynchronous", "batch", at=None, conf={"spark.cores.max": 1}, slots=1,
         **COUNTED),
    Case("fewer-slots", at=None, conf={"spark.cores.max": 1}, slots=1,
         expect=r"cluster has 1 slots"),
    Case("dynamic-allocation", conf=DYNAMIC, at=None, slots=0),
    Case("dynamic-allocation", fault=kill_executor, conf=DYNAMIC, slots=0),
    Case("no-executor", "asynchronous", "batch", at=None, conf=NOBODY, slots=0, options=SHORT,
         expect=r"No task has run for 20 s, and none of 2 workers has come"),
    Case("no-executor", "synchronous", "batch", at=None, conf=NOBODY, slots=0, options=SHORT,
         expect=r"2 were asked for, and the cluster has no slots"),
    Case("all-lost", "asynchronous", "batch", kill_all, options=SHORT,
         expect=r"No task has run for 20 s, and all workers were lost"),
    Case("all-lost", fault=kill_all, options=SHORT,
         expect=r"No task has run for 20 s, and all workers were lost"),
    Case("excluded", fault=kill_python, told="xcluding executor", conf=EXCLUDING, machines=3),
    Case("cut-off", fault=cut_off(4), **NET),
    Case("cut-off", "asynchronous", "batch", cut_off(4), network=True, **COUNTED_BY_HTTP),
    Case("cut-off-longer", "asynchronous", "batch", cut_off(8), network=True, model="count",
         expect="counted", options={"staleness": None, "lease": 2, **BY_HTTP}),
    Case("cut-off-longer", fault=cut_off(8), network=True, model="count", expect="fewer",
         options={"lease": 2, **BY_HTTP}),
    Case("slow-network", at=None, before=slow_and_lossy, **NET),
    Case("slow-network", "asynchronous", "batch", at=None, before=slow_and_lossy, network=True,
         **COUNTED_BY_HTTP),
    Case("firewall", at=None, before=firewalled, network=True,
         options={"port": 45_671, **BY_HTTP},
         expect=r"Can't reach the parameter server at http://10\.200\.0\.1:45671 from host \w+"),
]  # fmt: skip


#: What docs/reliability.md calls them, and what comes of them.
WORDS = {
    "python": "a Python worker killed in a batch",
    "executor": "an executor killed",
    "executor-allreduce": "an executor killed, by all-reduce: all begin anew",
    "worker-daemon": "a Spark worker killed, another started",
    "stopped": "a Python worker stopped (SIGSTOP) for three leases",
    "server": "the server killed",
    "server-unkept": "the server killed, no `checkpoint_dir`",
    "driver": "the driver's Python killed, `resume=True`",
    "driver-jvm": "the driver's JVM killed, which is an error that says so; then `resume=True`",
    "two-fits": "two fits at once, with slots for both",
    "two-fits-in-turn": "two fits at once, with slots for one",
    "speculation": "speculation that starts copies",
    "stage-retry": "an executor lost with its shuffle files: stage retry",
    "fewer-slots": "one slot for two workers",
    "dynamic-allocation": "dynamic allocation from no executor on",
    "no-executor": "no executor ever",
    "all-lost": "all executors lost, and none again",
    "excluded": "`spark.excludeOnFailure`, an executor excluded",
    "cut-off": "a worker cut off for 4 s",
    "cut-off-longer": "a worker cut off for four leases",
    "slow-network": "50 ms latency, 1 % of packets lost",
    "firewall": "a firewall before the server's port",
}
CAME = {
    "same": "same weights",
    "counted": "each row counted once an epoch",
    "fewer": "left out, and comes back; each row counted once an epoch",
    "in all": "as many rows counted as there are",
    "learns": "loss within 20 % of the undisturbed run's",
}


def named(case):
    return f"{case.name}-{case.mode}-{case.frequency}"


@pytest.mark.parametrize("case", [QUICK], ids=named)
def test_a_lost_executor_changes_nothing(cluster, case, tmp_path, tried):
    _check(cluster, case, tmp_path, tried)


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES, ids=named)
def test_what_happens_to_a_training(cluster, case, tmp_path, tried):
    _check(cluster, case, tmp_path, tried)


def _check(cluster, case, folder, tried):
    came = CAME.get(case.expect, "an error that says so")
    tried(WORDS[case.name], f"{case.mode} {case.frequency}", came)
    cluster.need(case.machines)
    if case.before:
        case.before(cluster)
    told = _run(cluster, case, folder)
    if case.resumed:
        cluster.assert_nothing_left(killed="elephas-checkpoint-*")
        if case.fault is kill_jvm:  # the Python half had time to say so
            assert "Spark's JVM has ended" in (folder / "result.json").read_text()
            (folder / "result.json").unlink()
        told = _end(cluster, _begin(cluster, case, folder), folder, case.seconds)
    assert told is not None, cluster.said()[-6000:]
    if case.expect not in OUTCOMES:
        assert re.search(case.expect, told["error"])
    else:
        assert "error" not in told, told["error"]
        assert "elephas_torch.zip" in told["package"]
        for found in told["found"]:
            assert found["epochs"] == [*range(case.epochs)]
            OUTCOMES[case.expect](case, found, told.get("expected"))
    assert re.search(case.told, cluster.said())
    if case.conf or case is QUICK:
        cluster.quit()
    cluster.assert_nothing_left()


def _begin(cluster, case, folder):
    fit = dict(case.fit)
    if case.checkpoints:
        fit |= {"checkpoint_dir": str(folder / "checkpoints"), "resume": True}
    told = {
        "folder": str(folder), "at": case.at, "model": case.model, "pace": case.pace,
        "rows": ROWS, "epochs": case.epochs, "mode": case.mode, "frequency": case.frequency,
        "options": case.options, "fit": fit, "fits": case.fits, "shuffle": case.shuffle,
        "again": case.expect in ("same", "learns"), "slots": case.slots,
    }  # fmt: skip
    return cluster.ask(SCRIPT, told, case.conf)


def _run(cluster, case, folder):
    began = time.monotonic()
    process = _begin(cluster, case, folder)
    if case.fault is not None:
        while not (folder / "here").exists():
            assert process.poll() is None, cluster.said()[-6000:]
            assert time.monotonic() - began < BEGIN_SECONDS, cluster.said()[-6000:]
            time.sleep(0.02)
        case.fault(cluster, json.loads((folder / "here").read_text()), folder)
        (folder / "go").touch()
    return _end(cluster, process, folder, case.seconds)


def _end(cluster, process, folder, seconds):
    """What the program tells; None: it has ended without a word."""
    end = time.monotonic() + seconds
    while not (folder / "result.json").exists():
        if process.poll() is not None:
            return None
        assert time.monotonic() < end, f"took longer than {seconds} s\n{cluster.said()[-6000:]}"
        time.sleep(0.05)
    return json.loads((folder / "result.json").read_text())


def _same(case, found, expected):
    assert found["weights"] == expected["weights"]
    # A worker that goes on in the middle of an epoch tells the loss of what it has done of it.
    assert case.fault or found["loss"] == expected["loss"]


def _counted(case, found, expected):
    once = 2 if case.mode == "synchronous" else 1  # the mean of two, or the sum
    np.testing.assert_array_equal(found["weights"], case.epochs / once)


def _fewer(case, found, expected):
    weights = np.array(found["weights"])
    assert (weights >= case.epochs / 2).all() and (weights <= case.epochs).all(), weights
    np.testing.assert_array_equal(weights * 2, np.round(weights * 2))


def _in_all(case, found, expected):
    """A shuffle that is read again brings the rows in another order: others have gone before."""
    once = 2 if case.mode == "synchronous" else 1
    assert sum(found["weights"]) == ROWS * case.epochs / once


def _learns(case, found, expected):
    assert found["loss"][-1] < 1.2 * expected["loss"][-1]
    assert found["loss"][-1] < found["loss"][0]


OUTCOMES = {
    "same": _same,
    "counted": _counted,
    "fewer": _fewer,
    "in all": _in_all,
    "learns": _learns,
}
