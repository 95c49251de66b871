"""Each broken set-up is named right, from facts alone."""

import pytest

from elephas_torch.cli.doctor.checks import CHECKS, diagnose


def found(facts):
    """What isn't well: (check, level, all of its text)."""
    return [
        (one.check, one.level, f"{one.found} -> {one.advice}")
        for one in diagnose(facts)
        if one.level != "ok"
    ]


def test_a_healthy_cluster_has_nothing_wrong(facts):
    assert found(facts) == []
    names = [one.check for one in diagnose(facts)]
    assert len(names) == len(CHECKS)
    assert names[0] == "session" and names[-1] == "training"


def set_at(facts, path, value):
    *places, last = path
    for place in places:
        facts = facts[place]
    facts[last] = value


EXECUTOR = ("executors", 1)
MANGLED = [
    (("spark", "slots"), 0, "slots", "fail", "no executor has come -> Look at the cluster's web"),
    (("spark", "workers"), 6, "slots", "fail", "4 slots for 6 workers -> Train with num_workers=4"),
    (("spark", "slots"), 1, "slots", "warn", "1 slot: one worker at a time"),
    (("spark", "executors"), 3, "executors", "warn", "2 of 3 executors answered"),
    ((*EXECUTOR, "python"), "3.12.1", "python", "warn", "3.11.7 on the driver, 3.11.7, 3.12.1 on"),
    (
        (*EXECUTOR, "missing"), {"torch": "ModuleNotFoundError: No module named 'torch'"},
        "packages", "fail", "node1 can't import torch: ModuleNotFoundError",
    ),
    (
        (*EXECUTOR, "missing"), {"elephas_torch": "ModuleNotFoundError: …"},
        "packages", "fail", "send it with --py-files, or let PYSPARK_PYTHON",
    ),
    (
        (*EXECUTOR, "package"), {"place": "/tmp/old.zip", "code": 2},
        "packages", "warn", "0.1.0 on node1 too, but with other code (/tmp/old.zip)",
    ),
    (
        ("server", "error"), "ServerError: '10.9.9.9' isn't an address of this machine",
        "server", "fail", "spark.driver.host is '10.0.0.1'",
    ),
    ((*EXECUTOR, "cores"), 1, "threads", "warn", "2 tasks of 1 cpu at once on node1, which has"),
    (
        (*EXECUTOR, "memory"), {"total": 1 << 30, "free": 1 << 20},
        "memory", "warn", "1.05 MB of 1.07 GB free at least (node1)",
    ),
    ((*EXECUTOR, "gpus"), ["H100"], "gpus", "warn", "H100, but PyTorch on executors is built"),
    (("arrow", "error"), "ImportError: no pyarrow", "arrow", "fail", "ImportError: no pyarrow"),
    (
        (*EXECUTOR, "folder", "error"), "Read-only file system",
        "folder", "fail", "/tmp on node1 can't be written: Read-only",
    ),
    ((*EXECUTOR, "folder", "free"), 1 << 20, "folder", "warn", "/tmp on node1: 1.05 MB free"),
    (("training", "error"), "WaitTimeout: Waited", "training", "fail", "WaitTimeout: Waited"),
    (("training", "loss"), [1.0, 1.1], "training", "fail", "the loss didn't fall: 1.0 to 1.1"),
    (("training", "loss"), [1.0, None], "training", "fail", "the loss didn't fall: 1.0 to None"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("path", "value", "check", "level", "text"),
    MANGLED,
    ids=[f"{m[2]}-{m[4][:20]}" for m in MANGLED],
)
def test_what_is_wrong_is_named(facts, path, value, check, level, text):
    set_at(facts, path, value)
    ((name, how, said),) = found(facts)
    assert (name, how) == (check, level)
    assert text in said


@pytest.mark.parametrize(
    ("package", "version", "level"),
    [
        ("elephas_torch", "0.0.9", "fail"),
        ("torch", "2.12.0", "warn"),
        ("pyspark", "4.2.1", "fail"),
        ("pyspark", "4.3.1", "warn"),
        ("numpy", "2.3.0", "warn"),
        ("numpy", "1.26.4", "fail"),
    ],
)
def test_other_versions(facts, package, version, level):
    one = facts["executors"][2]
    one["versions"] = {**one["versions"], package: version}
    own = facts["driver"]["versions"][package]
    ((check, how, said),) = found(facts)
    assert (check, how) == ("packages", level)
    assert f"{package} is {own} on the driver, {version} on node0" in said
    assert f"Install {package} {own}" in said


@pytest.mark.parametrize(
    ("trouble", "settings", "text"),
    [
        ("silence", {}, "no answer (…) -> A firewall or a route drops what they send: set "
                        "spark.elephas.port"),
        ("silence", {"spark.elephas.port": "4000"}, "let port 4000 of the driver through"),
        ("refused", {"spark.elephas.host": "127.0.0.1"}, "the connection is refused (…) -> Spark."),
        ("name", {"spark.elephas.host": "driver"}, "the name isn't known there"),
        ("stranger", {}, "another program answers"),
        ("exchange", {}, "proxies, VPNs and the MTU"),
    ],
)  # fmt: skip
def test_an_executor_that_does_not_reach_the_server(facts, trouble, settings, text):
    facts["spark"]["settings"].update(settings)
    facts["executors"][3]["server"] = {
        "latency": None, "rate": None, "trouble": trouble, "error": "…",
    }  # fmt: skip
    ((check, level, said),) = found(facts)
    assert (check, level) == ("network", "fail")
    assert "executors on node1 can't" in said and "http://10.0.0.1:4000" in said
    assert text.replace("Spark.", "") in said


@pytest.mark.parametrize(("latency", "rate"), [(0.05, 500e6), (0.0005, 5e6), (0.05, None)])
def test_a_slow_network_is_told_of_but_not_on_one_machine(facts, latency, rate):
    facts["executors"][0]["server"] |= {"latency": latency, "rate": rate}
    ((check, level, said),) = found(facts)
    assert (check, level) == ("network", "warn")
    assert "frequency='epoch'" in said
    facts["spark"]["local"] = True
    assert found(facts) == []


@pytest.mark.parametrize(
    ("trouble", "text"),
    [
        ("Python in worker has different version: 3.12 than that in driver: 3.11, PySpark cannot",
         "Executors run Python 3.12, the driver 3.11.7"),
        ('java.io.IOException: Cannot run program "/nope/python": error=2',
         "Executors find no such Python: let PYSPARK_PYTHON"),
        ("Waited 120 s for the executors' answers, in vain.", "taken by another application"),
        ("Traceback …\nValueError: odd", "tasks fail: ValueError: odd -> Spark's web page"),
    ],
)  # fmt: skip
def test_tasks_that_fail(facts, trouble, text):
    facts["executors"], facts["trouble"] = [], trouble
    del facts["arrow"], facts["training"]
    ((check, level, said),) = found(facts)
    assert (check, level) == ("executors", "fail")
    assert text in said


def test_no_session():
    ((check, level, said),) = found({"session_error": "All masters are unresponsive"})
    assert (check, level) == ("session", "fail")
    assert "All masters are unresponsive" in said


def test_gpus_are_told_with_their_addresses(facts):
    for one in facts["executors"]:
        number = one["partition"] % 2
        one["gpus"], one["task"]["gpus"] = ["H100"], ["0"]
        one["gpu_addresses"] = [{"index": "0", "uuid": f"GPU-{number}", "name": "H100"}]
        one["task"]["cuda"], one["task"]["torch_gpus"] = "13.0", 1
    (well,) = [one.found for one in diagnose(facts) if one.check == "gpus"]
    assert well.startswith(
        "H100 (node0:0 is GPU-0, node1:0 is GPU-1; torch sees 1 on node0, 1 on node1), given by "
    )


def test_gpus_that_are_given_and_those_that_are_not(facts):
    for one in facts["executors"]:
        one["gpus"], one["task"]["cuda"] = ["H100", "H100"], "13.0"
    facts["executors"][3]["task"]["visible"] = "1"
    ((check, level, said),) = found(facts)
    assert (check, level) == ("gpus", "warn")
    assert "spark.task.resource.gpu.amount" in said
    for place in ("node0:cuda:0 of 2 to task 0", "node1:cuda:1 of 2 to task 1",
                  "node0:cuda:0 of 2 to task 2", "node1:cuda:0 of 1 to task 3"):  # fmt: skip
        assert place in said
    for number, one in enumerate(facts["executors"]):
        one["task"]["gpus"] = [str(number // 2)]
    assert found(facts) == []
    (well,) = [one.found for one in diagnose(facts) if one.check == "gpus"]
    assert well == (
        "H100, given by Spark: node0:0 to task 0, node0:1 to task 2, node1:0 to task 1, "
        "node1:1 to task 3"
    )
