"""Rows in memory and rows streamed from disk: the same rows, the same methods."""

import itertools
import os
import signal
import subprocess
import sys
import textwrap

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from elephas_torch import disk, memory, store
from elephas_torch.errors import DataError, WorkerError
from elephas_torch.forms import Block, Form
from elephas_torch.keras import Input, Model, Sequential, batches
from elephas_torch.keras.batches import Samples
from elephas_torch.keras.layers import Dense
from elephas_torch.keras.sparse import Sparse
from elephas_torch.spark_model import SparkModel
from elephas_torch.utils.rdd_utils import to_simple_rdd

SMALL = 1 << 12
_closing = []


@pytest.fixture(autouse=True)
def close():
    """Closes what a test loaded, as a worker does."""
    yield
    while _closing:
        _closing.pop().close()


class Given:
    """Reads rows that are blocks already."""

    def arranged(self, model, rows):
        return Form.of(model), iter(rows)


def classifier(width=3, classes=4):
    model = Sequential([Input((width,)), Dense(classes, activation="softmax")])
    model.compile("sgd", "sparse_categorical_crossentropy")
    return model


def two_headed():
    a, b = Input((3,), name="a"), Input((2, 2), name="b")
    from elephas_torch.keras.layers import Flatten

    model = Model({"a": a, "b": b}, [Dense(1)(a), Dense(2)(Flatten()(b))])
    model.compile("sgd", "mse")
    return model


def blocks(rows, width=3, each=50, weight=False, marked=None):
    """Blocks whose rows can be told apart: row n is n, n + 0.25, …; its label n % 4."""
    numbers = np.arange(rows, dtype=np.float32)
    x = numbers[:, None] + np.arange(width, dtype=np.float32) / 4
    for first in range(0, rows, each):
        part = slice(first, first + each)
        yield Block(
            [x[part]],
            [(numbers % 4).astype(np.int64)[part]],
            numbers[part] + 1 if weight else None,
            None if marked is None else marked(np.arange(rows))[part],
        )


def load(rows, limit=SMALL, **kwargs):
    return load_blocks(classifier(), blocks(rows, **kwargs), limit)


def load_blocks(model, parts, limit):
    found = store.load(model, Given(), parts, limit)
    if found is not None:
        _closing.append(found)
    return found


def numbers(found):
    """The rows' numbers of each batch."""
    return [batch.x[:, 0].to(torch.int64).tolist() for batch in found]


# Loading


def test_a_partition_that_fits_is_held():
    found = load(300, limit=1 << 20)
    assert isinstance(found, store.Held)
    assert len(found) == 300


def test_a_partition_that_doesn_t_fit_is_streamed():
    found = load(1000)
    assert isinstance(found, store.Streamed)
    assert len(found) == 1000
    assert found.files.size == 1000 * (12 + 8)


@pytest.mark.parametrize("limit", [None, SMALL])
def test_no_rows_are_none(limit):
    assert load_blocks(classifier(), [], limit) is None
    empty = Block([np.zeros((0, 3))], [np.zeros(0)])
    assert load_blocks(classifier(), [empty], limit) is None


def test_without_a_limit_rows_are_streamed_when_memory_is_short(monkeypatch):
    monkeypatch.setattr(memory, "SMALL", SMALL)
    assert isinstance(load(1000, limit=None), store.Held)
    monkeypatch.setattr(memory, "is_short", lambda: True)
    assert isinstance(load(1000, limit=None), store.Streamed)
    assert isinstance(load(100, limit=None), store.Held)


def test_empty_blocks_between_others():
    empty = Block([np.zeros((0, 3))], [np.zeros(0)])
    for limit in (1 << 20, SMALL):
        parts = itertools.chain([empty], blocks(500), [empty])
        found = load_blocks(classifier(), parts, limit)
        assert numbers(found.epoch(500)) == [list(range(500))]


@pytest.mark.parametrize("limit", [1 << 20, SMALL])
@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (Block([np.zeros((2, 4))], [np.zeros(2)]), r"row 1000 has features of shape \(4,\)"),
        (Block([np.full((2, 3), np.nan)], [np.zeros(2)]), "row 1000 has NaN"),
        (Block([np.zeros((2, 3))], [np.full(2, 7)]), "7"),
    ],
)
def test_bad_rows_are_told_before_training_and_nothing_stays_open(limit, bad, message, tmp_path):
    before = opened()
    with pytest.raises(DataError, match=message):
        load_blocks(classifier(), itertools.chain(blocks(1000), [bad]), limit)
    assert opened() == before


def opened():
    return len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0


# Epochs


def both(rows, **kwargs):
    return load(rows, limit=1 << 30, **kwargs), load(rows, **kwargs)


@pytest.mark.parametrize("start", [0, 3])
@pytest.mark.parametrize("batch_size", [1, 7, 64, 1000, 5000])
def test_rows_in_order_are_those_in_memory(batch_size, start):
    held, streamed = both(1000, weight=True)
    for one, other in zip(
        held.epoch(batch_size, start=start), streamed.epoch(batch_size, start=start), strict=True
    ):
        same(one, other)


def same(one, other):
    for a, b in zip((one.x, one.y, one.weight), (other.x, other.y, other.weight), strict=True):
        assert (a is None) == (b is None)
        if a is not None:
            assert a.dtype == b.dtype
            torch.testing.assert_close(a, b, rtol=0, atol=0)


def test_held_rows_keep_the_order_that_they_always_had():
    held = load(300, limit=1 << 20)
    order = batches.order(300, True, 7, 1, 2)
    assert numbers(held.epoch(32, True, (7, 1, 2), 2)) == [
        part.tolist() for part in order.split(32)[2:]
    ]


@given(
    rows=st.integers(1, 700),
    batch_size=st.integers(1, 800),
    buffer=st.integers(1, 20000),
    begin=st.floats(0, 1.2),
)
def test_every_row_comes_once_in_full_batches_and_a_resume_goes_on(rows, batch_size, buffer, begin):
    files = store.Files()
    x = torch.arange(rows, dtype=torch.float32)[:, None].expand(-1, 3)
    files.add(Samples(x, torch.arange(rows)))
    streamed = store.Streamed(files, 0, rows, buffer)
    found = numbers(streamed.epoch(batch_size, True, (1, 2, 3)))
    assert sorted(itertools.chain(*found)) == list(range(rows))
    total = -(-rows // batch_size)
    assert list(map(len, found)) == [batch_size] * (total - 1) + [rows - (total - 1) * batch_size]
    start = int(begin * total)
    assert numbers(streamed.epoch(batch_size, True, (1, 2, 3), start)) == found[start:]
    streamed.close()


def test_the_order_depends_on_the_key_alone():
    streamed, again = load(1000), load(1000)
    first = numbers(streamed.epoch(32, True, (0, 1, 2)))
    assert numbers(streamed.epoch(32, True, (0, 1, 2))) == first
    torch.manual_seed(5)
    assert numbers(again.epoch(32, True, (0, 1, 2))) == first
    others = [numbers(again.epoch(32, True, key)) for key in ((1, 1, 2), (0, 2, 2), (0, 1, 3))]
    assert all(other != first for other in others)


def test_rows_from_everywhere_meet_in_a_batch():
    """Sorted rows come out mixed: a buffer draws from blocks all over the partition."""
    streamed = load(20_000, limit=100_000)
    found = torch.tensor(numbers(streamed.epoch(100, True, (0, 0, 0)))).to(torch.float64)
    assert found.shape == (200, 100)
    # of a random order the batches' means lie 577 about 10,000; of a sorted one 5,774
    assert found.mean(1).std() < 2000
    assert found.std(1).min() > 3500
    # neighbours don't stay together
    assert ((found[:, 1:] - found[:, :-1]).abs() == 1).double().mean() < 0.02


def test_batches_keep_their_rows_when_the_buffer_goes_on():
    streamed = load(1000)
    kept = list(streamed.epoch(10, True, (0, 0, 0)))
    assert numbers(kept) == numbers(streamed.epoch(10, True, (0, 0, 0)))


def test_rows_keep_their_columns_in_whatever_order_they_come():
    streamed = load(1000, weight=True)
    for batch in streamed.epoch(37, True, (0, 0, 0)):
        number = batch.x[:, 0].to(torch.int64)
        assert batch.y.tolist() == (number % 4).tolist()
        assert batch.weight.tolist() == (number + 1).tolist()


# Splits and weights


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9999])
def test_the_last_rows_validate(share):
    pair = [one.split(share) for one in both(1000)]
    (training, validation), (streamed, apart) = pair
    assert numbers(streamed.epoch(64)) == numbers(training.epoch(64))
    assert (apart is None) == (validation is None)
    if apart is not None:
        assert numbers(apart.epoch(64)) == numbers(validation.epoch(64))
        rows = itertools.chain(*numbers(apart.epoch(7, True, (1, 1, 1))))
        assert sorted(rows) == list(range(len(streamed), 1000))
    rows = itertools.chain(*numbers(streamed.epoch(7, True, (1, 1, 1))))
    assert sorted(rows) == list(range(len(streamed)))


def test_marked_rows_validate_in_place_of_the_last_ones():
    for one in both(1000, marked=lambda row: row % 3 == 0):
        training, validation = one.split(0.5)
        assert numbers(training.epoch(1000)) == [[n for n in range(1000) if n % 3]]
        assert numbers(validation.epoch(1000)) == [list(range(0, 1000, 3))]


def test_no_row_is_marked():
    for one in both(1000, marked=lambda row: row < 0):
        training, validation = one.split(0.5)
        assert (len(training), validation) == (1000, None)


@pytest.mark.parametrize("limit", [1 << 20, SMALL])
def test_all_rows_are_marked(limit):
    with pytest.raises(DataError, match="all rows are marked for validation"):
        load(1000, limit, marked=lambda row: row >= 0)


@pytest.mark.parametrize("weight", [False, True])
def test_classes_weights(weight):
    held, streamed = (one.weighed({1: 3.0, 2: 0.5}) for one in both(1000, weight=weight))
    for one, other in zip(held.epoch(64), streamed.epoch(64), strict=True):
        same(one, other)
    table = torch.tensor([1.0, 3.0, 0.5, 1.0])
    for batch in streamed.epoch(64, True, (0, 0, 0)):
        rows = batch.x[:, 0] + 1 if weight else 1
        assert batch.weight.tolist() == (table[batch.y] * rows).tolist()


def test_classes_weights_that_don_t_fit_are_told_before_training():
    streamed = load(1000)
    with pytest.raises(ValueError, match="class_weight"):
        streamed.weighed({"a": 1.0})


# Forms of rows


def test_several_inputs_and_outputs():
    rows = 1000
    base = np.arange(rows, dtype=np.float32)
    a, b = np.repeat(base[:, None], 3, 1), base[:, None, None] + np.zeros((2, 2), np.float32)
    y, z = base[:, None], np.stack([base, -base], 1)

    def parts():
        for first in range(0, rows, 100):
            cut = slice(first, first + 100)
            yield Block([a[cut], b[cut]], [y[cut], z[cut]])

    streamed = load_blocks(two_headed(), parts(), SMALL)
    assert isinstance(streamed, store.Streamed)
    seen = []
    for batch in streamed.epoch(64, True, (0, 0, 0)):
        number = batch.x["a"][:, 0]
        assert torch.equal(batch.x["b"], number[:, None, None].expand(-1, 2, 2))
        assert torch.equal(batch.y[0][:, 0], number)
        assert torch.equal(batch.y[1][:, 1], -number)
        seen += number.tolist()
    assert sorted(seen) == base.tolist()


@pytest.mark.parametrize("dtype", [torch.bool, torch.uint8, torch.int64, torch.bfloat16])
def test_columns_of_any_dtype_and_shape(dtype, tmp_path):
    rows = torch.arange(24).reshape(6, 2, 2).to(dtype)
    column = disk.column(str(tmp_path), rows)
    column.write(rows[:4])
    column.write(rows[4:])
    assert torch.equal(column.read([(4, 2), (0, 1), (2, 2)]), rows[[4, 5, 0, 2, 3]])
    column.close()
    nothing = disk.column(str(tmp_path), rows[:, :0])
    nothing.write(rows[:, :0])
    assert nothing.read([(1, 2)]).shape == (2, 0, 2)
    nothing.close()


def sparse_blocks(rows, width=200, marked=None):
    generator = torch.Generator().manual_seed(0)
    for first in range(0, rows, 100):
        x = torch.rand(100, width, generator=generator)
        x[torch.rand(100, width, generator=generator) > 0.05] = 0
        x[:, 0] = torch.arange(first, first + 100)  # row 0 stores nothing here
        flags = None if marked is None else marked(torch.arange(first, first + 100))
        yield Block([Sparse.from_dense(x)], [torch.arange(100) % 4], None, flags)


@pytest.mark.parametrize("marked", [None, lambda row: row % 3 == 0])
def test_sparse_rows_stay_sparse_on_disk_and_are_dense_in_batches(marked):
    model = classifier(200)
    held, streamed = (
        load_blocks(model, sparse_blocks(1000, marked=marked), limit) for limit in (1 << 30, SMALL)
    )
    assert isinstance(streamed, store.Streamed)
    assert streamed.files.size < len(streamed) * 200 * 4 / 4
    pair = [one.split(0.2) for one in (held, streamed)]
    for one, other in zip(*pair, strict=True):
        for a, b in zip(one.epoch(64), other.epoch(64), strict=True):
            same(a, b)
        whole = next(one.epoch(10_000))
        found = list(other.epoch(64, True, (0, 0, 0)))
        x = torch.cat([batch.x for batch in found])
        order = x[:, 0].argsort()
        same(whole, Samples(x[order], torch.cat([batch.y for batch in found])[order]))


def test_a_column_is_sparse_or_dense_as_its_first_rows_are(tmp_path):
    rows = torch.eye(4)
    for first, second in (
        (rows, Sparse.from_dense(rows)),
        (Sparse.from_dense(rows), rows),
    ):
        column = disk.column(str(tmp_path), first)
        column.write(first)
        column.write(second)
        found = column.read([(2, 4)])
        assert isinstance(found, type(first))
        dense = found.dense() if isinstance(found, Sparse) else found
        assert torch.equal(dense, rows[[2, 3, 0, 1]])
        column.close()


# The disk


def test_files_go_to_spark_s_local_directory_with_most_room(tmp_path, monkeypatch):
    gone = tmp_path / "gone"
    monkeypatch.setenv("LOCAL_DIRS", "/")
    monkeypatch.setenv("SPARK_LOCAL_DIRS", f"{gone},{tmp_path}")
    assert disk.folder() == str(tmp_path)
    monkeypatch.setenv("SPARK_LOCAL_DIRS", str(gone))
    monkeypatch.setenv("LOCAL_DIRS", f"{tmp_path}")
    assert disk.folder() == str(tmp_path)
    monkeypatch.delenv("LOCAL_DIRS")
    monkeypatch.delenv("SPARK_LOCAL_DIRS")
    assert os.path.isdir(disk.folder())


def test_a_folder_that_can_t_be_written_to(tmp_path):
    with pytest.raises(WorkerError, match=r"can't be written to .*gone: No such file"):
        disk.column(str(tmp_path / "gone"), torch.zeros(1, 1))


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="only Linux has a full disk at hand")
def test_a_full_disk(tmp_path):
    column = disk.column(str(tmp_path), torch.zeros(1, 1))
    file, column._file._file = column._file._file, open("/dev/full", "r+b", buffering=0)  # noqa: SIM115
    with file, pytest.raises(WorkerError, match=r"it is full\. Set spark\.local\.dir"):
        column.write(torch.zeros(5, 1))
    column.close()


@pytest.mark.spark
def test_a_fit_that_streams_is_the_one_in_memory(spark_context):
    """In order bit by bit; shuffled it learns the same, and leaves nothing on the disk."""
    random = np.random.default_rng(0)
    x = random.standard_normal((5_000, 256)).astype(np.float32)
    labels = (x @ random.standard_normal((256, 4))).argmax(1)
    rdd = to_simple_rdd(spark_context, x, labels).repartition(2).cache()

    def fitted(memory, shuffle):
        torch.manual_seed(0)
        model = SparkModel(classifier(256), mode="synchronous", num_workers=2, memory=memory)
        model.fit(
            rdd, epochs=1, batch_size=250, shuffle=shuffle, verbose=0,
            validation_split=0.1, class_weight={0: 2.0},
        )  # fmt: skip
        losses = [(one["loss"], one["val_loss"]) for one in model.training_histories]
        return model.master_network, losses

    (held, before), (streamed, after) = (fitted(memory, False) for memory in ("64m", "1m"))
    assert before == after
    for one, other in zip(held.get_weights(), streamed.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    shuffled, _ = fitted("1m", True)
    losses = [model.evaluate(x, labels, verbose=0) for model in (held, shuffled)]
    assert losses[0] != losses[1]
    assert losses[0] == pytest.approx(losses[1], rel=0.02)
    rdd.unpersist()


CHILD = """
import resource, sys, time
import numpy as np, torch
torch.set_num_threads(1)
from elephas_torch import store
from elephas_torch.forms import Block, Form
from elephas_torch.keras import Input, Sequential
from elephas_torch.keras.layers import Dense

class Given:
    def arranged(self, model, rows):
        return Form.of(model), rows

def blocks(count, each=1024, width=784):
    for number in range(count // each):
        x = np.full((each, width), number, np.float32)
        yield Block([x], [np.zeros(each, np.int64)])

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10

model = Sequential([Input((784,)), Dense(2, activation="softmax")])
model.compile("sgd", "sparse_categorical_crossentropy")
"""


def child(code, **kwargs):
    return subprocess.Popen(
        [sys.executable, "-c", CHILD + textwrap.dedent(code)], stdout=subprocess.PIPE, **kwargs
    )


def test_the_peak_of_memory_is_bounded_by_the_budget():
    """200 MB of rows with a budget of 32 MB; Linux counts the peak in KiB."""
    process = child("""
        list(store.load(model, Given(), blocks(2048), 1 << 20).epoch(256, True, (0, 0, 0)))
        before = peak()
        rows = store.load(model, Given(), blocks(65536), 32 << 20)
        assert isinstance(rows, store.Streamed) and rows.files.size > 200_000_000
        seen = [sum(map(len, rows.epoch(256, True, (0, 0, n)))) for n in range(2)]
        print(len(rows), *seen, peak() - before)
    """)
    rows, first, second, grown = map(int, process.communicate(timeout=60)[0].split())
    assert (rows, first, second) == (65536, 65536, 65536)
    if sys.platform == "linux":
        assert grown < 1.5 * (32 << 20) + (16 << 20)


def test_nothing_stays_behind_of_a_process_that_is_killed(tmp_path):
    process = child(
        """
        def more():
            yield from blocks(8192)
            print("writing", flush=True)
            time.sleep(60)
        store.load(model, Given(), more(), 1 << 20)
        """,
        env={**os.environ, "SPARK_LOCAL_DIRS": str(tmp_path)},
    )
    try:
        assert process.stdout.readline() == b"writing\n"
        if os.path.isdir(f"/proc/{process.pid}/fd"):
            links = f"/proc/{process.pid}/fd"
            held = [os.readlink(f"{links}/{one}") for one in os.listdir(links)]
            assert sum(one.startswith(str(tmp_path)) for one in held) == 2
        assert os.listdir(tmp_path) == []
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
    assert os.listdir(tmp_path) == []
