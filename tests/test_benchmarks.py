"""The benchmarks measure what they say: all rows, the same ones, and ratios within a round."""

import json
import os
import sys
import time
from argparse import Namespace

import numpy as np
import pytest
import torch

import benchmarks.__main__ as command
from benchmarks import (
    again,
    barest,
    byhand,
    clients,
    ddp,
    exchange,
    fits,
    frames,
    gpu,
    growth,
    loops,
    machine,
    networks,
    peaks,
    peers,
    plot,
    probe,
    profiled_peer,
    routes,
    scored,
    star,
    table,
    watched,
    workload,
)
from benchmarks.groups import Goal, Group, in_turn
from elephas_torch import keras, sources
from elephas_torch.data import Pairs
from elephas_torch.device import Device
from elephas_torch.utils.rdd_utils import to_simple_rdd
from tests.test_device import played

ROWS = 40


def test_tasks_load_all_rows():
    features, labels = workload.rows(ROWS)
    pairs = list(zip(features, labels, strict=True))
    assert list(routes.by_hand(pairs)) == [ROWS]
    assert list(routes._asarrays(pairs)) == [ROWS]
    assert list(routes.Load(Pairs())(0, pairs)) == [{"rows": ROWS}]


@pytest.mark.spark
def test_persisted_pairs_once_more(spark_context):
    pairs = to_simple_rdd(spark_context, *workload.rows(ROWS), num_slices=2)
    pairs = pairs.map(lambda pair: pair).persist()
    names = []

    def load(rdd):
        source = sources.of_rdd(rdd, 2)
        names.append(source.keep.name)
        found = source.results(again.Load(source))
        assert sum(one["rows"] for one in found) == ROWS
        return max(one["cpu"] for one in found)

    for take in again.of(pairs, load).values():
        assert take()["whole"] > 0
    assert names[0] == "" != names[1] == names[2]
    pairs.unpersist()


def test_routes_of_a_table_take_all_rows(spark, tmp_path):
    tables = frames.Tables(spark, ROWS, tmp_path)
    frame = tables.stored("array")
    assert frame.rdd.getNumPartitions() == frames.PARTITIONS
    assert routes._route(ROWS, frame, "array")()["rate"] > 0
    assert scored.run(scored.by_hand(frame, "array")) == ROWS


def test_predictor_by_hand_gives_probabilities():
    class Weights:
        value = workload.module().state_dict()

    threads = torch.get_num_threads()
    given = scored.predictor(Weights)(workload.rows(ROWS)[0])
    torch.set_num_threads(threads)
    assert given.shape == (ROWS, 10)
    np.testing.assert_allclose(given.sum(1), 1, rtol=1e-5)


@pytest.mark.skipif(sys.platform != "linux", reason="the peak is read from Linux's /proc")
def test_a_peak_is_more_than_the_tensors():
    features, labels = workload.rows(4000)
    pairs = (pair for pair in zip(features, labels, strict=True))
    [found] = peaks.Weigh(Pairs())(0, pairs)
    assert found["rows"] == 4000
    assert found["bytes"] == 4000 * 794 * 4
    assert 0 < found["peak"] < 5 * found["bytes"]


def test_ratios_are_of_one_round_and_of_seconds_the_other_way_round():
    rounds = {
        "ours": [{"rate": 10.0, "whole": 1.0}, {"rate": 30.0, "whole": 2.0}],
        "peer": [{"rate": 20.0, "whole": 3.0}, {"rate": 20.0, "whole": 8.0}],
    }
    goals = [Goal("ours", "peer", least=1.2), Goal("ours", "peer", "whole", least=3.5)]
    goals.append(Goal("ours", "absent", least=1.0))
    group = Group("title", "peer", rounds, goals=goals)
    rate, whole = group.reached()
    assert (rate["median"], rate["min"], rate["max"], rate["met"]) == (1.0, 0.5, 1.5, False)
    assert (whole["median"], whole["met"]) == (3.5, True)
    text = table.shown(group)
    assert "goal MISSED: ours against peer: 1.00 (0.50, 1.50), at least 1.2" in text
    assert "goal met: ours against peer, whole fit: 3.50 (3.00, 4.00), at least 3.5" in text
    assert json.loads(json.dumps(group.as_json()))["medians"]["peer"]["rate"]["median"] == 20


def test_a_peer_that_fails_is_left_out_and_a_slow_one_measured_once():
    taken, now = [], [0.0]

    def quick():
        taken.append("quick")
        return {"rate": 1.0}

    def slow():
        taken.append("slow")
        now[0] += 100
        return {"rate": 0.5}

    def broken():
        raise ValueError("no such port\nand more")

    measures = {"quick": quick, "slow": slow, "broken": peers.excused(broken)}
    group = in_turn("title", "quick", measures, 2, limit=50, clock=lambda: now[0])
    assert taken == ["quick", "slow", "quick", "quick"]
    assert group.rounds == {"quick": [{"rate": 1.0}] * 2, "slow": [{"rate": 0.5}] * 2}
    assert group.left_out == {"broken": "ValueError: no such port"} and group.once == ["slow"]
    assert "broken: left out (ValueError: no such port)" in table.shown(group)


ECHO = """
import os, sys
from benchmarks import serving
def answer(what):
    print("a library's own noise")
    if what == "end":
        sys.stderr.write("ended by itself\\n")
        os._exit(3)
    if what == "hang":
        import time
        time.sleep(60)
    return {"got": what, "known": 1 / (what != "zero")}
serving.serve(lambda: ({"version": "1"}, answer))
"""


def test_a_peer_answers_fails_ends_or_is_ended(tmp_path):
    (tmp_path / "echo_peer.py").write_text(ECHO)
    paths = {"PYTHONPATH": os.pathsep.join([peers.ROOT, str(tmp_path)])}
    peer = peers.Peer("echo_peer", None, paths, patience=10)
    assert peer.about == {"version": "1"}
    assert peer.ask(what="this") == {"got": "this", "known": 1}
    with pytest.raises(peers.Failed, match="ZeroDivisionError"):
        peer.ask(what="zero")
    with pytest.raises(peers.Failed, match="ended by itself"):
        peer.ask(what="end")
    peer.close()
    slow = peers.Peer("echo_peer", None, paths, patience=2)
    with pytest.raises(peers.Failed, match="no answer within 2 s"):
        slow.ask(what="hang")
    assert slow.ask(what="this")["got"] == "this"  # started again
    slow.close()
    slow.close()
    found = peers.Peers()
    assert found.get("title", "no_such") is None
    assert "benchmarks.no_such_peer" in found.left_out["title"]


@pytest.mark.parametrize("name", list(networks.NETWORKS))
def test_both_spellings_of_a_network_have_the_same_weights(name):
    if name == "wide400":
        assert abs(networks.NETWORKS[name].width ** 2 * 4 / 2**20 - 352) < 1
        return
    ours = networks.by_keras(keras, networks.NETWORKS[name]).count_params()
    theirs = sum(one.numel() for one in byhand.module(name).parameters())
    biases = 4 * 64 if name == "LSTM" else 0  # torch's has two of them
    assert ours + biases == theirs
    if name.startswith("wide"):
        assert ours * 4 / 1e6 == pytest.approx(int(name[4:]), rel=0.01)


def test_loops_train_on_their_part_and_hogwild_on_shared_weights():
    threads = torch.get_num_threads()
    work = loops.Work("MLP", 256, 2)
    parts = [work.data(worker)[0] for worker in range(loops.WORKERS)]
    assert sum(map(len, parts)) == 256
    alone = loops._alone(work, 0)
    assert len(alone["seconds"]) == 2 and 0 <= alone["accuracy"] <= 1
    shared = byhand.module("MLP").share_memory()
    before = shared[0].weight.detach().clone()
    loops._hogwild(work, shared, 1)
    torch.set_num_threads(threads)
    assert not torch.equal(before, shared[0].weight)
    assert work.rate([[9.0, 2.0], [9.0, 4.0]]) == 256 / 4
    assert work.marginal(3.0, 5.0) == 256 / 2


def test_the_barest_exchange_trains():
    class Here:
        """Processes that there are none of: this one does their work."""

        def map(self, function, jobs, chunksize):
            return [function(job) for job in jobs]

    threads = torch.get_num_threads()
    found = barest.fit(Here(), loops.Work("MLP", 1280, 8), workers=1)
    torch.set_num_threads(threads)
    assert found["rate"] > 0 and found["accuracy"] > 0.3


def test_a_star_is_estimated_from_what_an_update_costs(monkeypatch):
    monkeypatch.setattr(star, "BYTES", 1.0)
    (group,) = star.suite(Namespace(rounds=1), sizes=(0.04,))
    assert set(group.rounds) == set(star.WAYS)
    wire = {name: taken[0]["megabytes"] for name, taken in group.rounds.items()}
    assert wire["float32"] > wire["bf16"] > wire["int8"] > wire["topk"] > 0
    found = star.estimated(0.001, 2.5e6)
    assert found["cpu_rate"] == pytest.approx(1000) and found["network_rate"] == 500
    assert found["workers_10"] == pytest.approx(5)


def test_ddp_trains_in_a_group_of_one(monkeypatch):
    for name, value in {"MASTER_ADDR": "127.0.0.1", "RANK": "0", "WORLD_SIZE": "1"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("MASTER_PORT", "0")
    threads = torch.get_num_threads()
    found = ddp.train(loops.Work("MLP", 128, 2))
    torch.set_num_threads(threads)
    assert [len(one) for one in found["seconds"]] == [2]
    assert not torch.distributed.is_initialized()


@pytest.mark.spark
def test_fits_that_are_watched_and_fits_that_are_not(spark):
    rdd = to_simple_rdd(spark.sparkContext, *networks.rows((784,), ROWS))
    work, before = loops.Work("MLP", ROWS, 2), sys.stdout
    for verbose, page in ((0, False), (1, False), (1, True)):
        found = watched.fit(rdd, work, verbose, page)
        assert found["rate"] > 0 and found["whole"] > found["cpu"] > 0
    assert sys.stdout is before


@pytest.mark.parametrize("name", gpu.TINY)
def test_both_spellings_of_a_network_for_gpus_have_the_same_weights(name):
    network = gpu.TINY[name]
    module = torch.nn.Sequential(network.module(network), torch.nn.LazyLinear(gpu.CLASSES))
    module(network.rows(1).x)
    more = 4 * network.width if name == "LSTM" else 0  # torch has two biases, which are added
    by_hand = sum(one.numel() for one in module.parameters() if one.requires_grad)
    model = gpu.modelled(network, "float32")
    assert sum(one.numel() for one in model.trainable_weights) == by_hand - more


def test_both_spellings_of_the_resnet_compute_the_same():
    network = gpu.TINY["ResNet"]
    module, model = network.module(network).eval(), gpu.modelled(network, "float32").eval()
    for one in module.modules():
        if isinstance(one, torch.nn.BatchNorm2d):
            one.eps = 1e-3  # Keras's
    mine = [one for one in model.layers if isinstance(one, keras.layers.Conv2D)]
    theirs = [one for one in module.modules() if isinstance(one, torch.nn.Conv2d)]
    for layer, other in zip(mine, theirs, strict=True):
        layer.set_weights([other.weight.detach().permute(2, 3, 1, 0).numpy()])
    x = network.rows(1).x
    below = keras.Model(model.inputs, model.layers[-1].input).eval()
    torch.testing.assert_close(below(x), module(x), rtol=1e-4, atol=1e-5)


def test_a_peak_is_of_all_that_is_made_on_the_way():
    """A loop by hand holds 10 when it is made, 40 after an epoch, and 5 more in between."""
    held = {"now": 100, "most": 0}

    def epoch():
        held["now"] = max(held["now"], 140)
        held["most"] = held["now"] + 5

    def make():
        held["now"] += 10
        return epoch

    cuda = Namespace(
        memory_allocated=lambda where: held["now"], max_memory_allocated=lambda where: held["most"],
        reset_peak_memory_stats=lambda where: None,
        current_stream=lambda where: Namespace(synchronize=lambda: None),
    )  # fmt: skip
    measured = gpu._Measured(make, [0] * 3, Device(torch.device("cpu"), cuda))
    assert [measured()["peak"] for _ in range(3)] == [45, 45, 45]


def test_what_a_gpu_does_is_measured_on_one_that_is_played(monkeypatch):
    monkeypatch.setattr(exchange, "SECONDS", 0)
    where, both = played(), ("float32", "bf16")
    *steps, moved = gpu.suite(Namespace(rounds=1), where, gpu.TINY, both, 2, 0.04)
    titles = [f"fit, {name}, batch 4, {kind}" for name in gpu.TINY for kind in both]
    assert [one.title for one in steps] == titles
    for group in steps:
        assert not group.left_out
        assert {goal["figure"] for goal in group.reached()} == {"rate", "peak"}
        for name in (gpu.BY_HAND, gpu.FACADE):
            assert group.rounds[name][0]["rate"] > 0
            assert group.rounds[name][0]["peak"] == (15 << 30) - (1 << 20)
    assert set(moved.rounds) == {gpu.PINNED, *exchange.PATHS}
    assert moved.rounds[exchange.HTTP][0]["gigabytes"] > 0
    assert "copies on side" in where.cuda.noted


@pytest.mark.skipif(torch.cuda.is_available(), reason="would measure for minutes")
def test_without_a_gpu_nothing_is_measured_there():
    (group,) = gpu.suite(Namespace(rounds=1))
    assert "no CUDA device" in group.left_out[gpu.FACADE]
    assert "no CUDA device" in table.shown(group)


def test_goals_are_of_what_is_measured():
    theirs = {fits.LOOPS, fits.HOGWILD, fits.DDP, *fits.elephas_peer.MODES}
    for goal in [*fits.GOALS, *fits.elephas_goals()]:
        assert goal.name in fits.OURS and goal.against in theirs


def test_exchanges_move_all_bytes(monkeypatch):
    monkeypatch.setattr(exchange, "SECONDS", 0.01)
    groups = list(exchange.suite(Namespace(rounds=1), sizes=(0.04,)))
    assert [group.title for group in groups] == ["pull, 0.04 MB", "push and pull, 0.04 MB"]
    for group in groups:
        assert set(group.rounds) == {exchange.TCP, exchange.MEMCPY, exchange.HTTPS, *exchange.PATHS}
        assert all(taken[0]["rate"] > 0 for taken in group.rounds.values())


def test_the_servers_time_is_taken_with_each_number_of_clients(monkeypatch):
    monkeypatch.setattr(clients, "MODES", ("synchronous",))
    groups = list(clients.suite(Namespace(rounds=1), counts=(1, 3), updates=6))
    assert [group.title.split(", ")[-1] for group in groups] == list(exchange.PATHS)
    for group in groups:
        assert set(group.rounds) == {"1 client", "3 clients"}
        assert all(taken[0]["rate"] > 0 for taken in group.rounds.values())


@pytest.mark.spark
@pytest.mark.skipif(sys.platform != "linux", reason="the peak is read from Linux's /proc")
def test_a_fit_of_parquet_files_says_its_workers_time_and_memory(spark, tmp_path):
    found = growth.fit(frames.Tables(spark, 400, tmp_path), 400, 0)
    assert found["row"] == found["load"] + found["epoch"] > 0
    assert found["memory"] > 0 and found["fit"] * 400 > found["row"] * 200


@pytest.mark.spark
def test_a_fit_is_measured_and_taken_apart(spark_context):
    work = loops.Work("MLP", 128, 2)
    rdd = to_simple_rdd(spark_context, *networks.rows(work.shape, work.rows), num_slices=2)
    marks: dict = {"begin": time.perf_counter()}
    with probe.probed() as workers, profiled_peer.watched(marks):
        found = fits.fit(rdd, work, **fits.OURS["synchronous epoch"])
    marks["end"] = time.perf_counter()
    assert found["rate"] > 0 and found["whole"] > 0 and 0 <= found["accuracy"] <= 1
    assert set(workers[0]["probe"]["seconds"]) == set(probe.PARTS) - {"validation"}
    # This session's workers don't note when they got the task.
    began = workers[0]["probe"]["began"]
    workers[0]["probe"]["process"] = dict.fromkeys(("python", "torch", "imported"), began)
    marks["launched"] = profiled_peer.launched(spark_context, marks["group"], 0)
    found = profiled_peer.stages(marks, workers[0], workers)
    assert list(found)[:-2] == list(profiled_peer.STAGES)
    assert found["whole"] == pytest.approx(marks["end"] - marks["begin"], abs=0.05)
    # Spark's clock goes in milliseconds.
    assert min(found.values()) > -0.002
    from elephas_torch import task

    assert task.train is not probe.train


def test_an_exchange_is_told_from_waiting():
    def worker(seconds):
        return {"probe": {"seconds": {"exchange": seconds}}}

    last = worker([1.0, 1.0, 5.0])
    assert profiled_peer.exchanged(last, [last, worker([3.0, 2.0])]) == (3.0, 4.0)
    assert profiled_peer.exchanged(worker([]), [last]) == (0.0, 0.0)


def tiny(arguments, others):
    group = Group("tiny", "b", {"a": [{"rate": 2.0}], "b": [{"rate": 1.0}]})
    group.goals = [Goal("a", "b", least=1.0)]
    return [group]


def test_the_command_writes_json(monkeypatch, tmp_path, capsys):
    monkeypatch.setitem(command.SUITES, "tiny", tiny)
    monkeypatch.setenv("PYTHONPATH", os.environ.get("PYTHONPATH", ""))
    file = tmp_path / "found.json"
    given = ["tiny", "--rounds", "1", "--json", str(file), "--python", f"elephas={sys.executable}"]
    assert command.main(given) == 0
    found = json.loads(file.read_text())
    assert found["versions"]["torch"] == machine.described()["versions"]["torch"]
    assert found["machine"]["cores"] >= 1 and found["command"][:3] == ["python", "-m", "benchmarks"]
    assert found["suites"]["tiny"][0]["goals"][0]["met"]
    assert "goal met: a against b" in capsys.readouterr().out


def test_a_bad_python_is_refused(capsys):
    with pytest.raises(SystemExit):
        command.parsed(["spark", "--python", "elephas=nowhere"])
    assert "isn't PEER=PATH" in capsys.readouterr().err


def test_without_matplotlib_nothing_is_measured_first(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(plot.Missing, match="pip install matplotlib"):
        plot.draw({}, "figure.png")
    assert command.main(["start", "--plot", "figure.png"]) == 1
    assert "needs matplotlib" in capsys.readouterr().err


def test_a_picture_is_drawn(tmp_path):
    pytest.importorskip("matplotlib", reason="drawing needs the extra `benchmarks`")
    results = {**machine.described(), "suites": {"tiny": [tiny(None, None)[0].as_json()]}}
    plot.draw(results, str(tmp_path / "figure.png"))
    assert (tmp_path / "figure.png").read_bytes().startswith(b"\x89PNG")
