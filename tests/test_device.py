"""Who gets which device, and what goes there: with an object that plays torch.cuda.

It computes on the CPU and notes what it is asked for. What a real GPU does: tests/test_gpu.py.
"""

import contextlib
import logging
import os
import threading
from collections import Counter
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from elephas_torch import SparkModel, cluster, data, device, optimizers, store, team, worker
from elephas_torch.device import CPU, Choice, Device, OutOfMemory, Sharing
from elephas_torch.errors import WaitTimeout, WorkerError
from elephas_torch.exchange import Exchange
from elephas_torch.flat import Vectors
from elephas_torch.heartbeat import Standing
from elephas_torch.keras import Sequential, layers
from elephas_torch.keras.batches import Samples
from elephas_torch.keras.optimizers import SGD, Adam
from elephas_torch.keras.sparse import Sparse
from elephas_torch.meeting import opened
from elephas_torch.moving import Passing, Resident, moved
from elephas_torch.overlap import Overlapping
from elephas_torch.parameter import ServerProcess, Settings
from elephas_torch.plan import Plan
from elephas_torch.staging import Staged, staged
from elephas_torch.stepping import step_of
from elephas_torch.team import GpuTeam, Parted, Team, backend, wait_until


class Stream:
    def __init__(self, name, noted):
        self.name, self.noted = name, noted

    def wait_stream(self, other):
        self.noted.append(f"{self.name} waits for {other.name}")

    def record_event(self):
        self.noted.append(f"{self.name} notes where it is")
        return self

    def wait_event(self, event):
        self.noted.append(f"{self.name} waits for what {event.name} noted")

    def synchronize(self):
        self.noted.append(f"host waits for {self.name}")


class Played:
    """torch.cuda, played."""

    def __init__(self, count=1, free=1 << 30, uuids=()):
        self.count, self.free, self.uuids = count, free, uuids
        self.noted, self.seeds, self.emptied = [], [], 0
        self.computing = Stream("computing", self.noted)
        self.default_generators = [SimpleNamespace(manual_seed=self.seeds.append)]

    def is_available(self):
        return self.count > 0

    def device_count(self):
        return self.count

    def get_device_properties(self, where):
        index = where if isinstance(where, int) else where.index or 0
        uuid = self.uuids[index] if self.uuids else ""
        return SimpleNamespace(name=f"Played {index}", uuid=uuid)

    def mem_get_info(self, where):
        return self.free, 16 << 30

    def memory_allocated(self, where):
        return 1 << 20

    def max_memory_allocated(self, where):
        return 15 << 30

    def init(self):
        pass

    def set_device(self, where):
        self.noted.append(f"on {where}")

    def reset_peak_memory_stats(self, where):
        pass

    def empty_cache(self):
        self.emptied += 1

    def Stream(self, where):
        return Stream("side", self.noted)

    def current_stream(self, where):
        return self.computing

    @contextlib.contextmanager
    def stream(self, stream):
        self.noted.append(f"copies on {stream.name}")
        yield


def played(**settings):
    """A device that is the CPU in truth, where nothing can be pinned."""
    return Device(torch.device("cpu"), Played(**settings), pins=False)


# Which one


def chosen(wanted="auto", partition=0, addresses=None, visible=None, count=4, **more):
    cuda = Played(count, **more)
    return str(Choice(wanted, partition, addresses, visible, cuda).made().where)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"count": 0}, "cpu"),
        ({"wanted": "cpu", "addresses": ["1"]}, "cpu"),
        ({"partition": 5}, "cuda:1"),
        ({"wanted": "cuda", "partition": 7}, "cuda:3"),
        ({"wanted": "cuda:2", "addresses": ["1"]}, "cuda:2"),
        ({"addresses": ["3"], "partition": 1}, "cuda:3"),
        ({"addresses": ["2", "3"]}, "cuda:2"),
        ({"wanted": "cuda", "addresses": ["2"]}, "cuda:2"),
        ({"addresses": []}, "cuda:0"),
        # What is visible was narrowed: addresses are names in that list.
        ({"addresses": ["3"], "visible": "2,3", "count": 2}, "cuda:1"),
        ({"addresses": [" 0"], "visible": "1,0", "count": 2}, "cuda:1"),
        ({"addresses": ["GPU-ab12"], "visible": "GPU-cd,GPU-ab", "count": 2}, "cuda:1"),
        # Numbered anew in a container.
        ({"addresses": ["1"], "visible": "4,5", "count": 2}, "cuda:1"),
        ({"addresses": ["1"], "visible": "", "count": 2}, "cuda:1"),
        ({"addresses": ["GPU-7"], "count": 2, "uuids": ("6", "7")}, "cuda:1"),
    ],
)
def test_which_device_a_task_takes(given, expected):
    assert chosen(**given) == expected


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"addresses": ["1"], "count": 0}, r"assigned the GPU 1 .* a build without CUDA.*'cpu'"),
        ({"wanted": "cuda", "count": 0}, r"device='cuda', but .* without CUDA.* device='auto'"),
        ({"wanted": "cuda:1", "count": 0}, r"device='cuda:1', but"),
        ({"wanted": "cuda:4", "visible": "0,1"}, r"sees 4 GPUs, of which the last is cuda:3"),
        ({"wanted": "mps"}, "can't compute on a Mac's GPU"),
        ({"addresses": ["7"], "visible": "0,1", "count": 2}, r"GPU 7 .* isn't among the 2"),
        ({"addresses": ["GPU-x"], "uuids": ("a", "b", "c", "d")}, "nvidia-smi's numbers"),
    ],
)
def test_devices_that_are_not_there(given, message):
    if torch.version.cuda is not None and "without CUDA" in message:
        message = message.replace("a build ", "").replace("without CUDA", "finds no GPU")
    with pytest.raises(WorkerError, match=message):
        chosen(**given)


@pytest.mark.parametrize("wanted", ["gpu", "cuda:", "cuda:-1", "cpu:0", 0, None])
def test_arguments_that_name_no_device(wanted):
    with pytest.raises(ValueError, match=r"`device` must be 'auto'"):
        device.checked(wanted)


@pytest.mark.parametrize("share", [0, -1, 1.5, 2, True, "1"])
def test_shares_of_a_gpu_that_there_are_not(share):
    with pytest.raises(ValueError, match=r"`gpus_per_task` must be 1, or a fraction"):
        device.checked_share(share)


def test_the_arguments_of_a_spark_model():
    model = network()
    trained = SparkModel(model, device=torch.device("cuda", 1), gpus_per_task=0.5)
    config = trained.get_config()
    assert (config["device"], config["gpus_per_task"]) == ("cuda:1", 0.5)
    assert SparkModel(model).device == "auto"
    with pytest.raises(ValueError, match="asks Spark for GPUs, which go unused"):
        SparkModel(model, device="cpu", gpus_per_task=1)


def test_in_local_mode_nobody_gives_gpus(spark_context):
    rdd = spark_context.parallelize([(np.zeros(5), np.zeros(3))])
    with pytest.raises(ValueError, match="in local mode there is none"):
        SparkModel(network(), gpus_per_task=1).fit(rdd)


@pytest.mark.parametrize("there", [None, "0.5"])
def test_executors_whose_gpus_spark_does_not_know(there):
    sc = SimpleNamespace(
        master="spark://h:7077", _conf={"spark.executor.resource.gpu.amount": there}
    )
    with pytest.raises(ValueError, match=r"needs executors with GPUs that Spark knows of"):
        cluster.check_gpus(sc, 1.0)
    cluster.check_gpus(sc, None)


def test_what_is_told_of_a_device():
    assert CPU.info == {"device": "cpu"}
    one = Choice("auto", 1, cuda=Played(2, uuids=("a", "b"))).made()
    told = one.info
    assert told.pop("nccl") in (True, False)
    assert told == {"device": "cuda:1", "assigned": False, "name": "Played 1", "gpu": "b"}
    other = Choice("auto", 1, cuda=Played(2)).made().info["gpu"]
    assert other.endswith("/cuda:1") and not other.startswith("/")


def test_workers_that_share_a_gpu_are_told_once(caplog):
    info = {"device": "cuda:0", "name": "Played 0", "gpu": "a", "host": "h"}
    sharing = Sharing()
    with caplog.at_level(logging.INFO):
        sharing.joined(0, {"device": "cpu"})
        sharing.joined(0, info)
        sharing.joined(2, {**info, "gpu": "b"})
        assert "Worker 0 is on cuda:0 of h (Played 0)." in caplog.text
        assert "share" not in caplog.text
        sharing.joined(1, info)
        sharing.joined(3, info)
    (warning,) = [one.message for one in caplog.records if one.levelname == "WARNING"]
    assert warning.startswith("Workers 0, 1 share cuda:0 of h: there are more tasks than GPUs")


def test_shares_that_spark_gives_are_meant(caplog):
    sharing = Sharing()
    for number in (0, 1):
        told = {"device": "cuda:0", "gpu": "a", "host": "h", "assigned": True}
        sharing.joined(number, told)
    assert not caplog.records


def test_a_full_memory_says_what_to_lower():
    error = torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.\nMore.")
    one = played(free=200 << 20)
    with pytest.raises(OutOfMemory) as told, device.told_of_memory(one, 64, 300 << 20):
        raise error
    for part in ("batch_size=64", "a model of 300 MB", "takes 1200 MB", "took 15360 at most",
                 "200 are free", "Try batch_size=32", "Tried to allocate 2.00 GiB."):  # fmt: skip
        assert part in str(told.value)
    assert "More." not in str(told.value)


def test_a_device_is_begun_with_and_emptied(monkeypatch):
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
    one = played()
    one.cuda.init = lambda: one.cuda.noted.append(os.environ["CUBLAS_WORKSPACE_CONFIG"])
    with pytest.raises(KeyError), one.used():
        assert one.cuda.noted == [":4096:8", "on cpu"]
        raise KeyError
    assert one.cuda.emptied == 1


def test_settings_of_torch_are_the_driver_s_for_a_while():
    before = device.backends()
    wanted = {**before, "matmul_precision": "high", "cudnn_benchmark": True, "deterministic": True}
    with pytest.raises(KeyError), device.backends_as(wanted):
        assert device.backends() == wanted
        assert torch.are_deterministic_algorithms_enabled()
        raise KeyError
    assert device.backends() == before


@pytest.mark.skipif(
    not hasattr(torch.backends.cuda.matmul, "fp32_precision"), reason="this torch has older names"
)
def test_newer_names_of_settings():
    """In a scope of ours, as a driver would set them; then the older names work again."""
    before, matmul = device.backends(), torch.backends.cuda.matmul
    first = matmul.fp32_precision
    matmul.fp32_precision = "tf32"
    try:
        told = device.backends()
    finally:
        matmul.fp32_precision = first
    assert device.backends() == before and told["precise"]["cuda.matmul"] == "tf32"
    with device.backends_as(told):
        assert matmul.fp32_precision == "tf32"
    assert device.backends() == before and matmul.fp32_precision == first
    with device.backends_as({"matmul_precision": "high"}):
        assert torch.get_float32_matmul_precision() == "high"
    assert device.backends() == before


# Rows


def samples(rows=20):
    x = torch.arange(rows * 3, dtype=torch.float32).view(rows, 3)
    return Samples([x, x.long()], x[:, 0], torch.ones(rows))


def numbers(batch):
    return [batch.x[0].tolist(), batch.x[1].tolist(), batch.y.tolist(), batch.weight.tolist()]


@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.parametrize("free", [1 << 30, 0])
def test_batches_are_those_of_the_cpu(free, shuffle):
    held, one = store.Held(samples()), played(free=free)
    found = moved(held, one)
    assert isinstance(found, Resident if free else Passing) and len(found) == 20
    for start in (0, 2):
        theirs = held.epoch(6, shuffle, (1, 2), start)
        mine = list(found.epoch(6, shuffle, (1, 2), start))
        assert [numbers(batch) for batch in mine] == [numbers(batch) for batch in theirs]
    noted = Counter(one.cuda.noted)
    # Four batches, and two of those that begin later.
    assert noted["copies on side"] == noted["computing waits for side"] == (0 if free else 6)
    # Nor are more batches sent than are computed on.
    assert noted["side waits for computing"] == (0 if free else 6)


def test_the_next_batch_is_on_its_way_before_one_is_computed_on():
    one, given = played(free=0), []

    class Noted(store.Held):
        def epoch(self, *arguments):
            for number, batch in enumerate(super().epoch(*arguments)):
                given.append(number)
                yield batch

    batches = moved(Noted(samples()), one).epoch(6)
    next(batches)
    assert given == [0, 1]
    next(batches)
    assert given == [0, 1, 2]


def test_rows_take_their_share_of_the_memory_alone():
    held = store.Held(samples())
    nbytes = 20 * (3 * 4 + 3 * 8 + 4 + 4)
    assert isinstance(moved(held, played(free=int(nbytes / 0.6) + 2)), Resident)
    assert isinstance(moved(held, played(free=int(nbytes / 0.6) - 2)), Passing)
    assert moved(held, CPU) is held


def test_sparse_rows_become_dense_on_their_way():
    rows = Sparse.of(__import__("scipy.sparse", fromlist=["csr_matrix"]).csr_matrix(np.eye(8)), "x")
    found = moved(store.Held(Samples(rows, torch.zeros(8))), played())
    assert isinstance(found, Passing)
    assert torch.cat([batch.x for batch in found.epoch(3)]).tolist() == np.eye(8).tolist()


# Exchanges


def network(norm=False):
    torch.manual_seed(1)
    middle = [layers.BatchNormalization()] if norm else []
    model = Sequential([
        layers.Dense(6, activation="tanh", input_dim=5),
        *middle,
        layers.Dropout(0.2),
        layers.Dense(3, activation="softmax"),
    ])  # fmt: skip
    model.compile(SGD(0.1), "categorical_crossentropy")
    return model


def plan(every, gradients, **more):
    return Plan(
        every=every, gradients=gradients, epochs=2, initial_epoch=0, batch_size=4,
        validation_split=0.0, shuffle=True, class_weight=None, seed=0, **more,
    )  # fmt: skip


def pairs():
    random = np.random.default_rng(0)
    x = random.standard_normal((24, 5)).astype(np.float32)
    return list(zip(x, np.eye(3, dtype=np.float32)[random.integers(0, 3, 24)], strict=True))


def rows(model):
    return store.load(model, data.Pairs(), pairs())


@pytest.fixture
def served():
    """served(mode, rule) -> a running server"""
    servers = []

    def start(mode, rule):
        vectors = step_of(network(True)).flat.vectors
        settings = Settings(mode, vectors.sizes, optimizers.serialize(rule), workers=1)
        servers.append(ServerProcess(settings, Vectors(*vectors), keep=True))
        return servers[-1].start()

    yield start
    for server in servers:
        server.stop()


def trained(server, planned, kind, where):
    """A worker's life; its weights in the end, and the server's."""
    model = network(True)
    client, step = staged(server.client(30), where), step_of(model)
    joined = client.join(0, 0, samples=24, info=where.info)
    exchange = kind(planned, step, client, (0, 0), joined, Standing())
    assert client.status()["workers"]["0"]["device"] == "cpu"
    for epoch in range(2):
        model.train()
        assert not exchange.epoch(moved(rows(model), where), epoch)
    last = step.flat.vectors.clone()
    client.leave(0, 0)
    exchange.close()
    client.close()
    return last


@pytest.mark.parametrize(
    ("mode", "kind", "every", "gradients", "shared"),
    [
        ("synchronous", Exchange, 1, True, False),
        ("asynchronous", Exchange, 3, False, True),
        ("hogwild", Exchange, 1, True, True),
        ("asynchronous", Overlapping, 1, True, False),
        ("asynchronous", Overlapping, 2, False, True),
    ],
)
def test_a_worker_on_a_device_trains_as_one_on_the_cpu(
    served, mode, kind, every, gradients, shared
):
    rule = SGD(0.1) if gradients else optimizers.SGD(1.0)
    planned = plan(every, gradients, shared_memory=shared)
    there = played()
    mine = trained(served(mode, rule), planned, kind, there)
    theirs = trained(served(mode, rule), planned, kind, CPU)
    for one, other in zip(mine, theirs, strict=True):
        assert one.equal(other)
    assert len(there.cuda.seeds) == 2 * (6 // every + 1)


@pytest.mark.parametrize("where", [played(), played(free=0)])
def test_a_whole_worker(served, where):
    """All that a task does, but for choosing the device."""

    def done(on):
        server, model = served("synchronous", optimizers.SGD(1.0)), network(True)
        job = worker.Job(
            skeleton=model.skeleton(), weights=SimpleNamespace(value=worker.packed(model)),
            servers=((server.url, server.token, None),), reader=data.Pairs(), timeout=30,
            connect_timeout=15, beat=9,
            plan=replace(plan(2, False), validation_split=0.25),
        )  # fmt: skip
        with contextlib.closing(server.client(30)) as client:
            made = worker.Worker(job, 0, 1, client)
            made.device = on
            found = made._run(iter(pairs()))
            vectors = step_of(network(True)).flat.vectors
            client.pull(vectors)
        found["history"].pop("seconds")
        return found, vectors.parameters

    (mine, weights), (theirs, others) = done(where), done(CPU)
    assert mine == theirs and set(mine["history"]) == {"loss", "val_loss"}
    assert weights.equal(others)
    assert where.cuda.noted and where.cuda.seeds


class Quiet:
    """A link that answers with ones."""

    name, update, parameters = "quiet", None, None

    def __init__(self, noted):
        self.noted = noted

    def borrow(self, push, update, into):
        self.noted.append("exchanged")
        for one in into:
            one.fill_(1)
        return SimpleNamespace(version=1), into.parameters

    def pull(self, into, version):
        return version


def vectors(value):
    return Vectors(torch.full((3,), value), torch.full((2,), value), torch.zeros(0).long())


def test_what_waits_for_what():
    one = played()
    link, into = Staged(Quiet(one.cuda.noted), one), vectors(0.0)
    link.exchange(None, vectors(2.0), into)
    assert one.cuda.noted == [
        "side waits for computing",
        "copies on side",
        "host waits for side",
        "exchanged",
        "copies on side",
        "computing waits for side",
    ]
    assert into.parameters.tolist() == [1.0] * 3
    assert link.pull(into, 4) == 4 and into.parameters.tolist() == [1.0] * 3


def test_an_optimizer_goes_on_where_its_weights_are():
    adam, weights = Adam(0.1), torch.ones(4)
    adam.step(weights, torch.ones(4))
    adam.load_state_dict(adam.state_dict())
    there = torch.ones(4, device="meta")
    adam.build(there)
    assert {slot.device.type for slot in adam.slots.values()} == {"meta"}


# All-reduce


GPU = {"device": "cuda:0", "nccl": True}


@pytest.mark.parametrize(
    ("gpus", "expected"),
    [
        ([{**GPU, "gpu": "a"}, {**GPU, "gpu": "b"}], "nccl"),
        ([{**GPU, "gpu": "a"}, {**GPU, "gpu": "a"}], "gloo"),
        ([{**GPU, "gpu": "a"}, {"device": "cpu"}], "gloo"),
        ([{**GPU, "gpu": "a"}, {**GPU, "gpu": "b", "nccl": False}], "gloo"),
        ([{"device": "mps"}] * 2, "gloo"),
        ([], "gloo"),
    ],
)
def test_by_what_workers_add_up(gpus, expected):
    assert backend(dict(enumerate(gpus))) == expected


def both(function):
    threads = [threading.Thread(target=function, args=(number,)) for number in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
        assert not thread.is_alive()


def test_vectors_of_a_device_are_added_on_the_host():
    from datetime import timedelta

    wait = timedelta(seconds=5)
    store_, port = opened("127.0.0.1", wait)
    made, told = {}, [torch.ones(3), torch.full((3,), 2.0)]
    counts = [torch.tensor([1, 5]), torch.tensor([2, 4])]

    def work(number):
        join = torch.distributed.TCPStore
        mine = store_ if not number else join("127.0.0.1", port, None, False, wait)
        where = CPU if number else played()
        made[number] = Team(mine, number, 2, "127.0.0.1", 5.0, 5.0, where)
        made[number].add(told[number])
        made[number].largest(counts[number])

    both(work)
    assert told[0].tolist() == told[1].tolist() == [3.0] * 3
    assert counts[0].tolist() == counts[1].tolist() == [2, 5]
    for one in made.values():
        one.close()


class Work:
    """A sum of nccl's: over after so many looks; None: never."""

    def __init__(self, looks, error=None):
        self.looks, self.error = looks, error

    def is_completed(self):
        if self.looks:
            self.looks -= 1
        return self.looks == 0

    def wait(self):
        if self.error:
            raise self.error


class Group:
    def __init__(self, work):
        self.work, self.calls = work, []

    def allreduce(self, vectors, options):
        self.calls.append(options.timeout.total_seconds())
        return self.work

    def abort(self):
        self.calls.append("abort")

    def shutdown(self):
        self.calls.append("shutdown")


class PlayedTeam(GpuTeam):
    def _made(self, store, rank, size, address, wait):
        return store


def gpu_team(work, timeout=5.0):
    group = Group(work)
    return PlayedTeam(group, 0, 2, "", 1.0, timeout, played()), group.calls


def test_a_sum_of_gpus_is_looked_at_until_it_is_over():
    team, calls = gpu_team(Work(4))
    team.add(torch.ones(2))
    team.concluded = True
    team.close()
    team.close()
    assert calls == [5.0, "shutdown"]


def test_who_fails_does_not_wait_for_the_others_to_close():
    team, calls = gpu_team(Work(1))
    team.close()
    assert calls == ["abort"]


def test_a_sum_of_gpus_that_takes_too_long_is_aborted():
    team, calls = gpu_team(Work(None), 0.05)
    with pytest.raises(WaitTimeout, match=r"Waited 0\.05 s .*`round_timeout`"):
        team.largest(torch.ones(2))
    assert calls == [0.05, "abort"]


def test_a_member_that_is_gone_ends_a_sum_of_gpus():
    team, calls = gpu_team(Work(1, RuntimeError("remote process exited")))
    with pytest.raises(Parted, match="remote process exited"):
        team.add(torch.ones(2))
    assert calls == [5.0, "abort"]


def test_what_nccl_is_told_is_told_while_a_group_is_made(monkeypatch):
    monkeypatch.setenv("TORCH_NCCL_BLOCKING_WAIT", "0")
    monkeypatch.delenv("TORCH_NCCL_ENABLE_MONITORING", raising=False)
    with team._told(team.NCCL):
        assert {name: os.environ[name] for name in team.NCCL} == team.NCCL
    assert os.environ["TORCH_NCCL_BLOCKING_WAIT"] == "0"
    assert "TORCH_NCCL_ENABLE_MONITORING" not in os.environ


def test_looks_become_rarer():
    looks = []
    wait_until(lambda: looks.append(1) or len(looks) == 3, 1.0, ValueError)
    with pytest.raises(ValueError, match=r"0\.1"):
        wait_until(lambda: looks.append(1), 0.1, ValueError)
