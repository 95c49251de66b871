"""Tensors of persisted RDDs, kept from one fit to the next."""

import contextlib
import io
import os
import time
from collections import namedtuple

import numpy as np
import pytest
import torch
from pyspark.serializers import BatchedSerializer, CPickleSerializer

from elephas_torch import data, disk, keeping, sources, store
from elephas_torch.forms import Block
from elephas_torch.keeping import Keep, Kept
from elephas_torch.keras import Input, Model, Sequential
from elephas_torch.keras.layers import Dense, Embedding, Flatten
from elephas_torch.keras.sparse import Sparse
from elephas_torch.memory import Budget
from elephas_torch.skipping import RowsCut, Skippable
from elephas_torch.spark_model import SparkModel

ROWS = 40


@pytest.fixture
def place(tmp_path, monkeypatch):
    """An executor's folder."""
    monkeypatch.setenv("SPARK_LOCAL_DIRS", str(tmp_path))
    return tmp_path


def regression(width=4, loss="mse"):
    model = Sequential([Input((width,)), Dense(1)])
    model.compile("sgd", loss)
    return model


def pairs(rows=ROWS):
    return [(np.full(4, n / rows, np.float32), n / rows) for n in range(rows)]


def load(rows, memory=None, model=None, partition=0, keep=None):
    model = model or regression()
    keep = keep or Keep(frozenset([7]), 7, "now", 7)
    kept = keeping.of(keep, partition, model, data.Pairs())
    return store.load(model, data.Pairs(), rows, memory, kept)


def equal(one, other):
    for a, b in zip(one, other, strict=True):
        assert (a is None and b is None) or (a.dtype == b.dtype and torch.equal(a, b))


def test_rows_come_from_the_file(place):
    first = load(pairs()).samples
    (name,) = os.listdir(place)
    assert (place / name).stat().st_mode & 0o777 == 0o600
    again = load([]).samples
    equal([first.x, first.y, first.weight], [again.x, again.y, again.weight])


@pytest.mark.parametrize(
    "tensors",
    [
        [torch.arange(6, dtype=dtype).reshape(2, 3)]
        for dtype in (torch.float32, torch.int64, torch.uint8, torch.bfloat16)
    ]
    + [[torch.zeros(2, 0), torch.tensor([True, False])], [torch.randn(2, 3, 4).transpose(1, 2)]],
)
def test_a_file_has_all_that_a_block_has(place, tensors):
    for labels, weight in (([torch.ones(2)], None), ([None, torch.ones(2, 1)], torch.rand(2))):
        kept = Kept("elephas-kept-7-now-7-0-", "x")
        kept.write(Block(tensors, labels, weight), 100)
        found = kept.read(Budget())
        assert found.validation is None
        equal(found.features + found.labels + [found.weight], [*tensors, *labels, weight])


HARMS = {
    "cut": lambda whole: whole[:-1],
    "longer": lambda whole: whole + b"0",
    "empty": lambda whole: b"",
    "dtype": lambda whole: whole.replace(b"float32", b"float33"),
    "text": lambda whole: b"[]\n" + whole,
    "negative": lambda whole: whole.replace(b"[40, 4]", b"[-40, 4]"),
    "huge": lambda whole: whole.replace(b"[40, 4]", b"[%d, 4]" % 2**70),
    "larger than memory": lambda whole: whole.replace(b"[40, 4]", b"[%d, 4]" % 2**50),
    "other form": lambda whole: whole.replace(b"[40, 4]", b"[40, 4, []]"),
    "no columns": lambda whole: b'{"inputs": 0, "taken": 0, "columns": []}\n',
    "nested": lambda whole: b"[" * 100_000 + whole,
}


@pytest.mark.parametrize("harm", HARMS)
def test_a_file_that_is_not_whole_is_as_good_as_none(place, harm):
    load(pairs())
    (name,) = os.listdir(place)
    whole = (place / name).read_bytes()
    (place / name).write_bytes(HARMS[harm](whole))
    assert load([]) is None and os.listdir(place) == []
    load(pairs())
    assert (place / name).read_bytes() == whole


def test_part_of_a_partition_is_not_kept(place):
    """Where Spark breaks off between two batches, what came before looks like all of them."""
    stream, serializer = io.BytesIO(), BatchedSerializer(CPickleSerializer(), 10)
    serializer.dump_stream(pairs(), stream)
    for end, count in ((b"", 0), (b"\xff\xff\xff\xff", 1)):
        rows = io.BytesIO(stream.getvalue() + end)
        with contextlib.nullcontext() if end else pytest.raises(RowsCut):
            assert len(load(Skippable(serializer).load_stream(rows))) == ROWS
        assert len(os.listdir(place)) == count


def test_the_memory_budget_holds_for_files_too(place):
    wide = [(np.zeros(1 << 12, np.float32), 0.5)] * 100
    assert isinstance(load(wide, model=regression(1 << 12)), store.Held)
    streamed = load(wide, 1 << 20, regression(1 << 12))
    assert isinstance(streamed, store.Streamed)
    streamed.close()
    (name,) = os.listdir(place)
    os.unlink(place / name)
    load(wide, 1 << 20, regression(1 << 12)).close()
    assert os.listdir(place) == []


def test_without_room_on_the_disk_nothing_is_kept(place, monkeypatch):
    usage = namedtuple("usage", "free total")
    for free, total in ((2 * ROWS * 20 - 1, 0), (10**6, 20 * 10**6)):
        found = usage(free, total)
        monkeypatch.setattr(disk.shutil, "disk_usage", lambda _, found=found: found)
        assert len(load(pairs())) == ROWS
        assert os.listdir(place) == []
    monkeypatch.undo()
    monkeypatch.setenv("SPARK_LOCAL_DIRS", str(place / "nowhere"))
    assert len(load(pairs())) == ROWS


def test_a_disk_that_fills_up_while_it_is_written_to(place):
    resource = pytest.importorskip("resource")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (200, limits[1]))
    try:
        rows = load(pairs())
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert len(rows) == ROWS and os.listdir(place) == []


def test_tasks_that_write_at_the_same_time_leave_the_disk_some_room(place, monkeypatch):
    free = iter(range(10**6, 0, -(10**5)))  # others write as much with each piece
    monkeypatch.setattr(disk, "free", lambda _: next(free))
    monkeypatch.setattr(disk, "size", lambda _: 10**7)
    monkeypatch.setattr(keeping, "_PIECE", 100)
    assert len(load(pairs())) == ROWS
    assert os.listdir(place) == [] and next(free) == 3 * 10**5


def test_what_a_killed_task_left_is_removed(place):
    load(pairs())
    (name,) = os.listdir(place)
    for ending, age in (("lost", 3600), ("now", 0)):
        (place / f"{name}.{ending}").touch()
        os.utime(place / f"{name}.{ending}", (time.time() - age,) * 2)
    os.utime(place / name, (1, 1))
    keeping.tidy(Keep(frozenset([7]), 7, "now", 7))
    assert set(os.listdir(place)) == {name, f"{name}.now"}


def test_sparse_rows_are_not_kept(place):
    sparse = Sparse.from_dense(torch.eye(3))
    Kept("elephas-kept-7-now-7-0-", "x").write(Block([sparse], [torch.ones(3)]), 100)
    assert os.listdir(place) == []


def test_each_form_has_a_file_of_its_own(place):
    def embedded():
        model = Sequential([Input((4,)), Embedding(9, 2), Flatten(), Dense(1)])
        model.compile("sgd", "mse")
        return model

    def several(loss):
        x = {name: Input((4,), name=name) for name in "ab"}
        model = Model(x, [Dense(1)(x["a"]), Dense(1)(x["b"])])
        model.compile("sgd", loss)
        return model

    classes = regression(loss="sparse_categorical_crossentropy")
    models = [regression(), embedded(), classes, several("mse"), several(["mse", None])]
    names = [keeping.of(Keep(frozenset(), 7), 0, one, data.Pairs()).name for one in models]
    assert len(set(names)) == len(models)
    deeper = Sequential([Input((4,)), Dense(3, "relu"), Dense(2)])
    deeper.compile("adam", "mae")
    for same in (deeper, regression(loss="mae")):
        assert keeping.of(Keep(frozenset(), 7), 0, same, data.Pairs()).name == names[0]
    assert keeping.of(Keep(frozenset(), None), 0, models[0], data.Pairs()) is None


def test_few_ways_in_which_rows_are_kept(place):
    """Other numbers of partitions, or other forms: those used longest ago go, of all partitions."""
    block = Block([torch.ones(2, 1)], [torch.ones(2)])
    other = place / "elephas-kept-77-now-7-1-x"
    other.touch()
    (place / "elephas-kept-7-now-7-1-9.part").touch()
    ways = [(source, form) for source in (7, 8) for form in range(4)]
    for number, (source, form) in enumerate(ways):
        for partition in (1, 11):
            kept = Kept(f"elephas-kept-7-now-{source}-{partition}-", str(form))
            kept.write(block, 16)
            os.utime(place / kept.name, (number, number))
        if number > 1:
            assert Kept("elephas-kept-7-now-7-1-", "1").read(Budget()) is not None
    other.unlink()
    (place / "elephas-kept-7-now-7-1-9.part").unlink()
    left = [(7, 1), *ways[-3:]]
    names = {f"elephas-kept-7-now-{s}-{one}-{form}" for s, form in left for one in (1, 11)}
    assert set(os.listdir(place)) == names


def test_a_model_that_steps_by_itself_keeps_nothing(place):
    class Own(Sequential):
        def train_step(self, data):
            return {"loss": 0.0}

    model = Own([Input((4,)), Dense(1)])
    model.compile("sgd", "mse")
    load(pairs(), model=model)
    assert os.listdir(place) == []


def test_files_of_what_is_persisted_no_more_are_removed(place):
    for rdd, name in ((7, "now"), (7, "before"), (8, "any"), (9, "gone"), (77, "now")):
        (place / f"elephas-kept-{rdd}-{name}-7-0-x").touch()
    (place / "elephas-kept-9-gone-7-0-x.tmp").touch()
    (place / "rdd_9_0").touch()
    keeping.tidy(None)
    assert len(os.listdir(place)) == 7
    keeping.tidy(Keep(frozenset([7, 8]), 7, "now"))
    left = {"elephas-kept-7-now-7-0-x", "elephas-kept-8-any-7-0-x", "rdd_9_0"}
    assert set(os.listdir(place)) == left
    keeping.tidy(Keep(frozenset()))
    assert os.listdir(place) == ["rdd_9_0"]


class Loading:
    """A task that loads its partition as a fit's does, and tells how."""

    def __init__(self, source):
        self.keep = source.keep

    def __call__(self, partition, rows):
        unpickled = []
        inner = getattr(rows, "_loads", None)
        if inner is not None:
            rows._loads = lambda data: unpickled.append(1) or inner(data)
        found = load(rows, partition=partition, keep=self.keep).samples
        yield {"x": found.x.tolist(), "unpickled": len(unpickled), "process": os.getpid()}


@pytest.mark.spark
@pytest.mark.parametrize(
    ("partitions", "together"),
    [(2, False), (4, False), (3, False), (4, True)],
    ids=["as they are", "joined", "dealt out anew", "joined for a barrier stage"],
)
def test_the_second_time_rows_are_not_unpickled(spark_context, partitions, together):
    rdd = spark_context.parallelize(pairs(), partitions).map(lambda row: row).persist()

    def loaded():
        source = sources.of_rdd(rdd, 2, together)
        return source.keep, source.results(Loading(source), together)

    (keep, first), (same, again) = loaded(), loaded()
    assert keep == same and keep.rdd == rdd.id()
    assert all(one["unpickled"] for one in first)
    assert not any(one["unpickled"] for one in again)
    assert [one["x"] for one in first] == [one["x"] for one in again]
    assert sorted(row for one in first for row in one["x"]) == [row[0].tolist() for row in pairs()]
    assert repr(rdd.is_cached) == "True" and rdd.is_cached == True  # noqa: E712
    rdd.unpersist()
    assert sources.of_rdd(rdd, 2, together).keep.rdd is None
    rdd.persist()
    keep = sources.of_rdd(rdd, 2, together).keep
    assert keep.name != same.name and (keep.source == same.source) is (partitions == 2)
    rdd._jrdd.unpersist()  # of which the Python object isn't told
    assert sources.of_rdd(rdd, 2, together).keep.rdd is None
    rdd.unpersist()


@pytest.mark.spark
def test_rdds_that_cannot_be_kept_are_read_as_ever(spark_context):
    zipped = spark_context.parallelize(range(4), 2).map(float)
    zipped = zipped.zip(zipped.map(lambda n: n)).persist()
    source = sources.of_rdd(zipped, 2)
    assert source.keep.rdd is None and zipped.id() in source.keep.persisted
    (one, other) = source.results(lambda _, rows: iter([{"rows": list(rows)}]))
    assert one["rows"] + other["rows"] == [(float(n), float(n)) for n in range(4)]
    zipped.unpersist()


@pytest.mark.spark
@pytest.mark.parametrize(
    "setting", ["spark.io.encryption.enabled=true", "spark.elephas.keep=false"]
)
def test_nothing_is_kept_where_it_may_not_lie(spark_context, setting):
    """Files of tensors aren't encrypted, as Spark's own may be."""
    rdd = spark_context.parallelize(pairs(), 4).map(lambda row: row).persist()
    name, value = setting.split("=")
    spark_context._conf.set(name, value)
    try:
        source = sources.of_rdd(rdd, 2)
        assert source.keep.rdd is None and rdd.id() in source.keep.persisted
        spark_context._conf.set("spark.elephas.keep", "perhaps")
        with pytest.raises(ValueError, match=r"spark\.elephas\.keep must be true or false"):
            sources.of_rdd(rdd, 2)
    finally:
        for one in (name, "spark.elephas.keep"):
            spark_context._jsc.sc().conf().remove(one)
    assert sources.of_rdd(rdd, 2).keep.rdd == rdd.id()
    rdd.unpersist()


@pytest.mark.spark
def test_few_joined_rdds_are_held(spark_context):
    """Each dealt out anew has all rows in Spark's shuffle files."""
    rdd = spark_context.parallelize(pairs(), 8).persist()
    numbers = [source.keep.source for source in (sources.of_rdd(rdd, n) for n in (1, 2, 3, 4, 5))]
    assert len(rdd.is_cached.joined) == 4
    assert sources.of_rdd(rdd, 5).keep.source == numbers[-1]
    assert sources.of_rdd(rdd, 2).keep.source == numbers[1]
    assert sources.of_rdd(rdd, 1).keep.source not in numbers
    assert list(rdd.is_cached.joined) == [(4, False), (5, False), (2, False), (1, False)]
    rdd.unpersist()


def kept_files(sc, rdd):
    places = sc.parallelize([0], 1).map(lambda _: os.environ["SPARK_LOCAL_DIRS"]).first()
    return sorted(
        os.path.join(place, name)
        for place in places.split(",")
        for name in os.listdir(place)
        if name.startswith(f"elephas-kept-{rdd.id()}-")
    )


@pytest.mark.spark
def test_a_second_fit_is_the_first_one_over_again(spark_context, tmp_path):
    """Bit by bit, from files, or from rows where a file is lost, cut off or of other times."""
    factor = tmp_path / "factor"
    factor.write_text("1")

    def row(number):
        scale = float(factor.read_text())
        return np.full(4, scale * number / ROWS, np.float32), number / ROWS

    rdd = spark_context.parallelize(range(ROWS), 4).map(row).persist()

    def weights(**how):
        torch.manual_seed(0)
        model = SparkModel(regression(), mode="synchronous", seed=1, num_workers=2, **how)
        model.fit(rdd, epochs=1, batch_size=4, validation_split=0.1, verbose=0)
        return [one.tolist() for one in model.master_network.get_weights()]

    first = weights()
    one, other = kept_files(spark_context, rdd)
    assert weights(frequency="batch", exchange="allreduce") != first  # other partitions: files
    assert len(kept_files(spark_context, rdd)) == 4
    wrong = Kept(os.path.basename(one), "")
    os.environ["SPARK_LOCAL_DIRS"] = os.path.dirname(one)
    try:
        block = wrong.read(Budget())
        block.features[0].zero_()
        wrong.write(block, 0)
    finally:
        del os.environ["SPARK_LOCAL_DIRS"]
    os.unlink(other)
    assert weights() != first
    os.truncate(one, 100)
    factor.write_text("2")
    assert weights() == first
    assert weights() == first  # from files, but for what was tampered with
    rdd.unpersist()
    rdd.persist()
    assert weights() != first
    fresh = kept_files(spark_context, rdd)
    assert len(fresh) == 2 and not {one, other} & {*fresh}
    rdd.unpersist()


def test_batches_of_a_file_are_those_of_the_rows(place):
    """Also in order, where sums may depend on where a tensor begins."""
    rows = pairs(2000)
    first, again = load(rows), load([])
    for shuffle in (True, False):
        found = ([b.x for b in one.epoch(32, shuffle, (1, 2, 3))] for one in (first, again))
        for a, b in zip(*found, strict=True):
            assert torch.equal(a, b)
    assert again.samples.x.data_ptr() % 4096 == first.samples.x.data_ptr() % 4096
