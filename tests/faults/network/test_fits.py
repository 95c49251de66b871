"""Fits through a bad network, whose workers and servers are killed at the worst moments."""

import functools

import pytest
from faulty_fits import Case, fit

KILLS = ("kill_in_push", "kill_before_answer", "kill_at_answer", "kill_in_batch")
SERVER_KILLS = ("server_killed_in_push", "server_killed_before_answer")
WAYS = [
    ("synchronous", "batch"), ("synchronous", 3), ("synchronous", "epoch"),
    ("asynchronous", "batch"), ("asynchronous", "epoch"), ("hogwild", "batch"),
]  # fmt: skip


#: What docs/reliability.md calls what may happen.
WORDS = {
    "kill_in_push": "a worker killed in the middle of its push",
    "kill_before_answer": "a worker killed before its push is answered",
    "kill_at_answer": "a worker killed when its push is answered",
    "kill_in_batch": "a worker killed in the next batch",
    "kill_and_refuse": "a worker killed where the network is down for 2 s",
    "twice": "requests that come twice at once",
    "again": "requests that come again later",
    "delayed": "requests and answers that are delayed",
    "overtaken": "pushes that others overtake",
    "cut_before": "connections cut before a request",
    "cut_inside": "connections cut in a request",
    "cut_after": "connections cut behind a request",
    "cut_answer": "connections cut before an answer",
    "cut_in_answer": "connections cut in an answer",
    "partition of 3 s": "no network for 3 s",
    "server_killed_in_push": "the server killed in the middle of a push",
    "server_killed_before_answer": "the server killed before its answer",
    "cut": "connections cut anywhere",
    "partition": "no network for 3 s, then cut",
}


def worded(case, name):
    """That, and what the fit had beside it."""
    lease = f", with a lease of {case.options['lease']:g} s" if "lease" in case.options else ""
    kept = ", with checkpoints and Adam" if case.folder and name in KILLS else ""
    return WORDS[name] + lease + kept + (", with TLS" if "ssl" in case.options else "")


def check(case, found, expected):
    assert "error" not in found, found["error"]
    assert found["left"] == []
    status = found["status"]
    assert status["counts"]["pushes"] == case.pushes
    assert not status["failures"]
    for one in status["workers"].values():
        assert (one["seq"], one["epoch"], one["batch"]) == (case.pushes // 2, 4, 0)
    if case.mode == "synchronous" and "lease" not in case.options:
        assert found["weights"] == expected["weights"]
    else:
        assert found["loss"] < 1.5 * expected["loss"] + 0.2
        assert found["loss"] < found["history"][0]


@pytest.mark.spark
def test_a_fit_through_a_bad_network_comes_to_the_same(spark_context):
    case = Case(chance=[0, 0.2, "all"])
    found = fit(spark_context, case)
    check(case, found, fit(spark_context, Case(straight=True)))
    assert sum(found["tried"].values()) > 10


@pytest.fixture(scope="module")
def undisturbed(driver):
    """undisturbed(case) -> the same fit, with nothing between"""

    @functools.cache
    def fitted(mode, frequency, optimizer):
        return driver(Case(mode, frequency, optimizer, straight=True))

    return lambda case: fitted(case.mode, case.frequency, case.optimizer)


@pytest.fixture
def compared(driver, undisturbed, tried):
    """compared(case) -> what came of it, once it was compared with the undisturbed one"""

    def run(case):
        found = driver(case)
        print(case, found.get("tried"), found.get("seconds"), found.get("error"))
        for name, times in found.get("tried", {}).items():
            tried(worded(case, name), case.mode, "as above", times)
        check(case, found, undisturbed(case))
        return found

    return run


def middle(case):
    """Numbers of pushes in the middle of the fit: of the first worker, and of the second."""
    each = case.pushes // 2
    return each // 2 - 1, each // 2 + (each > 8)


@pytest.mark.slow
@pytest.mark.parametrize(("mode", "frequency"), WAYS)
@pytest.mark.parametrize("kill", KILLS)
def test_workers_that_are_killed(compared, tmp_path, mode, frequency, kill):
    """With plain SGD nothing is lost but the batches between; with Adam by checkpoints neither."""
    for optimizer, folder in (("sgd", None), ("adam", str(tmp_path / "kept"))):
        if frequency == 3 and optimizer == "adam":
            continue  # begins the epoch with the state that it left
        case = Case(mode, frequency, optimizer, folder=folder)
        case.once = [(worker, seq, kill) for worker, seq in enumerate(middle(case))]
        found = compared(case)
        assert found["tried"] == {kill: 2}


@pytest.mark.slow
@pytest.mark.parametrize(("mode", "frequency"), WAYS)
def test_a_worker_that_is_killed_where_the_network_is_down(compared, mode, frequency):
    """The next attempt's first words reach nobody."""
    case = Case(mode, frequency, "sgd")
    case.once = [(1, middle(case)[1], "kill_and_refuse")]
    assert compared(case)["tried"] == {"kill_and_refuse": 1}


@pytest.mark.slow
@pytest.mark.parametrize(("mode", "frequency"), WAYS)
@pytest.mark.parametrize("faults", ["harmless", "cuts", "all"])
def test_requests_that_are_doubled_delayed_overtaken_and_cut(compared, mode, frequency, faults):
    share = 0.3 if frequency == "epoch" else 0.15
    for seed in range(3):
        case = Case(mode, frequency, "sgd", chance=[seed, share, faults])
        assert compared(case)["tried"]


@pytest.mark.slow
@pytest.mark.parametrize("forgotten", ["", " forgotten"])
@pytest.mark.parametrize("lease", [1.0, 60.0])
@pytest.mark.parametrize(("mode", "frequency"), WAYS)
def test_a_network_that_parts_and_comes_back(compared, mode, frequency, lease, forgotten):
    case = Case(mode, frequency, "sgd")
    case.options = {"lease": lease} if lease == 1.0 else {}
    case.once = [(0, middle(case)[0], f"partition 3{forgotten}")]
    found = compared(case)
    assert found["seconds"] > 3
    assert sum(found["tried"].values()) == 1


@pytest.mark.slow
@pytest.mark.parametrize(("mode", "frequency"), WAYS)
@pytest.mark.parametrize("kill", SERVER_KILLS)
def test_a_server_that_is_killed_in_a_request(compared, tmp_path, mode, frequency, kill):
    case = Case(mode, frequency, folder=str(tmp_path / "kept"))
    case.once = [(0, middle(case)[0], kill)]
    found = compared(case)
    assert found["tried"] == {kill: 1}
    assert "begins again from the snapshot at epoch" in found["said"]


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["synchronous", "asynchronous"])
@pytest.mark.parametrize(("cut_bytes", "part"), [(5000, 0.0), (0, 3.0)])
def test_the_same_with_tls(compared, mode, cut_bytes, part):
    case = Case(mode, optimizer="sgd", cut_bytes=cut_bytes, part=part, options={"ssl": True})
    found = compared(case)
    assert set(found["tried"]) == {"cut" if cut_bytes else "partition"}
