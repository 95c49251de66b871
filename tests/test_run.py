"""One fit from the driver's side: callbacks, failures, and what is left behind."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import textwrap
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from elephas_torch import classic, jobs, optimizers, run
from elephas_torch.errors import DataError, ServerError, WorkerError
from elephas_torch.keras.callbacks import EarlyStopping, LambdaCallback, ModelCheckpoint
from elephas_torch.keras.layers import Dense, Layer
from elephas_torch.keras.models import Sequential, load_model
from elephas_torch.keras.optimizers import SGD
from elephas_torch.parameter import events
from elephas_torch.parameter.child import kept
from elephas_torch.spark_model import SparkModel
from elephas_torch.utils.rdd_utils import to_simple_rdd

pytestmark = pytest.mark.spark

ROOT = Path(__file__).parent.parent
MODES = ("synchronous", "asynchronous", "hogwild")


def network(loss="categorical_crossentropy", rate=0.1):
    torch.manual_seed(0)
    model = Sequential([Dense(8, activation="tanh", input_dim=5), Dense(3, activation="softmax")])
    model.compile(loss=loss, optimizer=SGD(rate), metrics=["accuracy"])
    return model


def data(rows=64):
    random = np.random.default_rng(0)
    x = random.standard_normal((rows, 5)).astype(np.float32)
    return x, np.eye(3, dtype=np.float32)[(x @ random.standard_normal((5, 3))).argmax(1)]


@pytest.fixture
def rdd(spark_context):
    return to_simple_rdd(spark_context, *data())


def servers():
    """Process ids of the parameter servers that this process started."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            command = path.read_bytes().split(b"\0")
            parent = int((path.parent / "stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
        if b"elephas_torch.parameter" in command and parent == os.getpid():
            found.append(int(path.parent.name))
    return found


def ports(pid):
    """How many sockets of a process listen."""
    lines = Path("/proc/net/tcp").read_text().splitlines()[1:]
    listening = {f"socket:[{fields[9]}]" for fields in map(str.split, lines) if fields[3] == "0A"}
    links = []
    for path in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # closed in between
            links.append(os.readlink(path))
    return len(listening.intersection(links))


def only_one_is_kept():
    """Whether no server is left but one that waits for the next fit, soon."""
    end = time.monotonic() + 5
    while time.monotonic() < end:
        left = servers()
        if not left or (len(left) == 1 and not ports(left[0])):
            return True
        time.sleep(0.05)
    return False


def temporary():
    return {name for name in os.listdir(tempfile.gettempdir()) if "elephas" in name}


@pytest.fixture(scope="module", autouse=True)
def none_of_others():
    """No server that fits of other files have left to wait: theirs may be several."""
    kept.clear()


@pytest.fixture
def nothing_left(spark_context):
    """The server and its files are gone after the test, and another fit works."""
    before = temporary()
    yield
    assert only_one_is_kept()
    assert temporary() <= before
    history = SparkModel(network()).fit(to_simple_rdd(spark_context, *data()), verbose=0)
    assert np.isfinite(history.history["loss"]).all()


# Callbacks


@pytest.mark.parametrize("mode", MODES)
def test_callbacks_run_on_the_driver_at_the_ends_of_epochs(rdd, mode):
    calls, model = [], network()
    callback = LambdaCallback(
        on_train_begin=lambda logs: calls.append("train begin"),
        on_train_end=lambda logs: calls.append("train end"),
        on_epoch_begin=lambda epoch, logs: calls.append(f"begin {epoch}"),
        on_epoch_end=lambda epoch, logs: calls.append(f"end {epoch} {sorted(logs)}"),
    )
    SparkModel(model, mode=mode, num_workers=2).fit(
        rdd, epochs=4, initial_epoch=2, callbacks=[callback], verbose=0
    )
    names = ["accuracy", "loss"]
    assert calls == [
        "train begin", "begin 2", f"end 2 {names}", "begin 3", f"end 3 {names}", "train end",
    ]  # fmt: skip


def test_early_stopping_is_exact_in_synchronous_mode(rdd):
    model = network(rate=0.0)
    stopping = EarlyStopping(monitor="loss", patience=2)
    spark_model = SparkModel(model, mode="synchronous", num_workers=2)
    history = spark_model.fit(rdd, epochs=50, callbacks=stopping, verbose=0)
    assert stopping.stopped_epoch == 2
    assert [len(one["loss"]) for one in spark_model.training_histories] == [3, 3]
    assert history.epoch == [0, 1, 2]


@pytest.mark.parametrize("mode", ["asynchronous", "hogwild"])
def test_early_stopping_reaches_workers_that_do_not_wait(rdd, mode):
    stopping = EarlyStopping(monitor="loss", patience=2)
    spark_model = SparkModel(network(rate=0.0), mode=mode, num_workers=2)
    history = spark_model.fit(rdd, epochs=20_000, callbacks=stopping, verbose=0)
    assert history.epoch[-1] == stopping.stopped_epoch < 1000
    assert all(len(one["loss"]) < 20_000 for one in spark_model.training_histories)


@pytest.mark.slow
def test_more_reports_than_are_given_out_at_once_are_all_heard(rdd):
    """The job is over while the driver is still busy with the first epoch."""

    def wait(epoch, logs):
        tracker, end = rdd.context.statusTracker(), time.monotonic() + 120
        while epoch == 0 and list(tracker.getActiveJobsIds()):
            assert time.monotonic() < end, "the workers don't end"
            time.sleep(0.2)

    epochs = 1 + 3 * events.KEPT // 4  # of two workers
    history = SparkModel(network(), num_workers=2, shared_memory=False).fit(
        rdd, epochs=epochs, callbacks=[LambdaCallback(on_epoch_end=wait)], verbose=0
    )
    assert history.epoch == list(range(epochs))


def test_callbacks_see_the_weights_of_the_epoch(rdd, tmp_path):
    model, seen = network(), []
    x, y = data()
    spark_model = SparkModel(model, mode="synchronous", frequency="batch", num_workers=2)
    path = tmp_path / "model-{epoch}.keras"
    record = LambdaCallback(on_epoch_end=lambda *_: seen.append(model.evaluate(x, y, verbose=0)))
    spark_model.fit(rdd, epochs=3, callbacks=[ModelCheckpoint(path), record], verbose=0)
    saved = [load_model(tmp_path / f"model-{n}.keras").evaluate(x, y, verbose=0) for n in (1, 2, 3)]
    np.testing.assert_allclose(saved, seen)
    np.testing.assert_allclose(seen[-1], model.evaluate(x, y, verbose=0))
    assert seen[0][0] > seen[1][0] > seen[2][0]


@pytest.mark.parametrize("frequency", ["epoch", "batch", 1])
def test_a_learning_rate_set_by_a_callback_reaches_the_workers(rdd, frequency):
    model, weights = network(), []

    def freeze(epoch, logs):
        model.optimizer.learning_rate = 0.0
        weights.append(model.get_weights())

    spark_model = SparkModel(model, mode="synchronous", frequency=frequency, num_workers=2)
    spark_model.fit(rdd, epochs=3, callbacks=[LambdaCallback(on_epoch_end=freeze)], verbose=0)
    for first, last in zip(weights[0], model.get_weights(), strict=True):
        np.testing.assert_array_equal(first, last)


def test_an_error_in_a_callback_ends_the_fit(rdd, nothing_left):
    def fail(epoch, logs):
        raise RuntimeError("mine")

    with pytest.raises(RuntimeError, match="mine"):
        SparkModel(network(), mode="synchronous").fit(
            rdd, epochs=5, callbacks=[LambdaCallback(on_epoch_end=fail)], verbose=0
        )


def test_hooks_at_batches_are_warned_of(rdd):
    callback = LambdaCallback(on_batch_end=lambda *_: None)
    with pytest.warns(UserWarning, match="hooks at batches"):
        SparkModel(network()).fit(rdd, callbacks=[callback], verbose=0)


# Failures that only the data or a worker can tell


class Broken(Layer):
    """Fails in training, on the third batch."""

    calls = 0

    def call(self, inputs):
        if torch.is_grad_enabled():
            Broken.calls += 1
            if Broken.calls > 2:
                raise KeyError("a bug of mine")
        return inputs


@pytest.mark.parametrize("mode", MODES)
def test_a_worker_that_raises(spark_context, nothing_left, mode, capfd):
    model = Sequential([Dense(8, input_dim=5), Broken(), Dense(3, activation="softmax")])
    model.compile(loss="categorical_crossentropy", optimizer="sgd")
    rdd = to_simple_rdd(spark_context, *data())
    began = time.monotonic()
    with pytest.raises(WorkerError, match="KeyError: 'a bug of mine'") as caught:
        SparkModel(model, mode=mode, frequency="batch", num_workers=2).fit(
            rdd, epochs=3, batch_size=4, verbose=0
        )
    assert time.monotonic() - began < 30
    text = str(caught.value)
    assert text.count("Traceback (most recent call last)") == 1
    assert "test_run.py" in text
    assert len(text.splitlines()) < 12
    assert "java" not in text
    assert "at org.apache" not in "".join(capfd.readouterr())


NAN = data()[0]
NAN[50, 2] = np.nan


@pytest.mark.parametrize(
    ("x", "y", "loss", "message"),
    [
        (data()[0][:, :4], data()[1], None, r"takes features of shape \(5,\).*shape \(4,\)"),
        (NAN, data()[1], None, r"Partition 1: row 18 has NaN or an infinite value in its features"),
        (data()[0], np.r_[np.zeros(63), 12], "sparse_categorical_crossentropy", "12 .*3 outputs"),
        (data()[0], data()[1], "sparse_categorical_crossentropy", "look one-hot"),
        (data()[0], data()[1].argmax(1), None, "sparse_categorical_crossentropy"),
        (data()[0], data()[1] * np.nan, None, "NaN or an infinite value in its label"),
        (data()[0], np.full(64, 0.5), "sparse_categorical_crossentropy", "no whole number"),
    ],
)
def test_data_that_does_not_fit(spark_context, nothing_left, x, y, loss, message):
    model = network(loss or "categorical_crossentropy")
    spark_model = SparkModel(model, num_workers=2)
    before = model.get_weights()
    with pytest.raises(DataError, match=message) as caught:
        spark_model.fit(to_simple_rdd(spark_context, x, y), verbose=0)
    assert str(caught.value).startswith("Partition ")
    assert len(str(caught.value).splitlines()) == 1
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([np.zeros(5)] * 8, "is no .*pair, but of type ndarray"),
        ([(np.zeros(5), 1, 2, 3)] * 8, "is no .*pair, but of type tuple"),
        ([(np.zeros(5), np.eye(3)[0]), (np.zeros(4), np.eye(3)[0])], r"shape \(4,\), the rows"),
        ([("text", np.eye(3)[0])], "must be numbers"),
    ],
)
def test_rows_that_do_not_fit(spark_context, nothing_left, rows, message):
    with pytest.raises(DataError, match=message):
        SparkModel(network()).fit(spark_context.parallelize(rows, 1), verbose=0)


def test_an_rdd_without_rows(spark_context, nothing_left):
    for empty in (spark_context.parallelize([], 2), spark_context.emptyRDD()):
        with pytest.raises(ValueError, match=r"RDD is empty|no rows"):
            SparkModel(network()).fit(empty, verbose=0)


def test_an_rdd_that_fails_itself(spark_context, nothing_left):
    failing = spark_context.parallelize(range(8), 2).map(lambda n: n / 0)
    with pytest.raises(WorkerError, match="ZeroDivisionError") as caught:
        SparkModel(network()).fit(failing, verbose=0)
    assert "n / 0" in str(caught.value)


def test_updates_that_explode(spark_context, nothing_left):
    x, y = data()
    model = Sequential([Dense(1, input_dim=5)])
    model.compile(loss="mse", optimizer=optimizers.SGD(1e30))
    with pytest.raises(WorkerError, match=r"(?s)learning rate"):
        SparkModel(model, frequency="batch").fit(
            to_simple_rdd(spark_context, x * 1e10, y[:, :1]), epochs=20, verbose=0
        )


def test_a_taken_port(rdd, nothing_left):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(ServerError, match=f"port {port} .* is taken"):
            SparkModel(network(), port=port).fit(rdd, verbose=0)


def test_a_free_explicit_port_can_be_used_again_and_again(rdd, nothing_left):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    for _ in range(2):
        SparkModel(network(), port=port).fit(rdd, verbose=0)


def test_a_server_that_dies_ends_the_fit(rdd, nothing_left):
    def kill(epoch, logs):
        for pid in servers():
            os.kill(pid, signal.SIGKILL)

    with pytest.raises((ServerError, WorkerError)):
        SparkModel(network(), mode="synchronous", num_workers=2).fit(
            rdd, epochs=50, callbacks=[LambdaCallback(on_epoch_end=kill)], verbose=0
        )


@pytest.mark.parametrize("how", ["group", "all"])
def test_a_job_that_is_cancelled_ends_the_fit(
    spark_context, job_group, rdd, nothing_left, how, tried
):
    """By the user's own job group, as notebooks do; or as Spark's page does."""
    ways = {"group": "by the user's job group", "all": "on Spark's page"}
    tried(f"the Spark job cancelled {ways[how]}", "synchronous epoch", "`WorkerError` says so")

    def cancel(epoch, logs):
        if how == "group":
            spark_context.cancelJobGroup("mine")
        else:
            spark_context.cancelAllJobs()

    job_group("mine", "a cell")
    with pytest.raises(WorkerError, match=r"The Spark job failed.*cancelled"):
        SparkModel(network(), mode="synchronous", num_workers=2).fit(
            rdd, epochs=100_000, callbacks=[LambdaCallback(on_epoch_end=cancel)], verbose=0
        )
    assert spark_context.getLocalProperty("spark.jobGroup.id") == "mine"
    assert spark_context.getLocalProperty("spark.job.description") == "a cell"


@pytest.mark.parametrize("group", [None, "mine"])
@pytest.mark.parametrize("exchange", ["server", "allreduce"])
def test_spark_s_page_tells_the_epoch(
    spark_context, job_group, rdd, nothing_left, monkeypatch, group, exchange
):
    monkeypatch.setattr(jobs, "PAUSE", 0.0)
    store = spark_context._jsc.sc().statusStore()
    seen = []

    def described(status="RUNNING"):
        found = store.jobsList(None)
        ours = [found.apply(i) for i in range(found.size())]
        ours = [one for one in ours if one.description().isDefined()]  # not of other tests
        return {one.description().get() for one in ours if one.status().toString() == status}

    def look(epoch, logs):
        seen.append(described())

    if group is not None:
        job_group(group, "a cell")
    model = network()
    model.name = "seen"
    SparkModel(model, mode="synchronous", num_workers=2, exchange=exchange).fit(
        rdd, epochs=4, callbacks=[LambdaCallback(on_epoch_end=look)], verbose=0
    )
    about = "elephas_torch: training seen, synchronous"
    assert seen[1:] == [{f"{about}, epoch {number}/4"} for number in (2, 3, 4)]
    assert f"{about}, 4 epochs" in described("SUCCEEDED")  # what it was submitted with


def test_spark_s_page_tells_no_epoch_behind_the_last(rdd, monkeypatch):
    told = []

    class Told(jobs.TrainingJob):
        def describe(self, phase):
            told.append(phase)
            super().describe(phase)

    monkeypatch.setattr(run, "TrainingJob", Told)
    model = network()

    def stop(epoch, logs):
        model.stop_training = epoch == 1

    SparkModel(model, mode="synchronous", num_workers=2).fit(
        rdd, epochs=9, callbacks=[LambdaCallback(on_epoch_end=stop)], verbose=0
    )
    assert told and set(told) <= {"epoch 1/9", "epoch 2/9"}


def test_a_spark_that_keeps_its_page_otherwise_is_no_matter(
    spark_context, rdd, monkeypatch, caplog
):
    monkeypatch.setattr(jobs, "PAUSE", 0.0)
    monkeypatch.setattr(classic.Classic, "_jobs", lambda self, group: [10**6])
    caplog.set_level("DEBUG", "elephas_torch.jobs")
    SparkModel(network(), mode="synchronous", num_workers=2).fit(rdd, epochs=3, verbose=0)
    assert caplog.text.count("Spark's page isn't told") == 1


# Scripts


def run_script(text, tmp_path, *command, **options):
    script = tmp_path / "script.py"
    script.write_text(textwrap.dedent(text))
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "ignore"}
    return subprocess.Popen(
        [*(command or (sys.executable,)), str(script)],
        cwd=tmp_path, env=environment, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options,
    )  # fmt: skip


SCRIPT = """
import numpy as np
from pyspark import SparkContext
from elephas_torch.keras.layers import Dense, Layer
from elephas_torch.keras.models import Sequential
from elephas_torch.spark_model import SparkModel
from elephas_torch.utils.rdd_utils import to_simple_rdd

class Scale(Layer):  # a class of the script: workers must find it
    def build(self, input_shape):
        self.factor = self.add_weight(shape=(input_shape[-1],), initializer="ones", name="factor")
    def call(self, inputs):
        return inputs * self.factor

def my_loss(y_true, y_pred):
    return ((y_true - y_pred) ** 2).mean(-1)

x = np.random.default_rng(0).random((64, 5), dtype="float32")
sc = SparkContext("local[2]", "script")
model = Sequential([Scale(input_shape=(5,)), Dense(3)])
model.compile(loss=my_loss, optimizer="sgd")
rdd = to_simple_rdd(sc, x, x[:, :3])
spark_model = SparkModel(sc, model, mode="synchronous", frequency="batch")
history = spark_model.fit(rdd, epochs={epochs}, verbose={verbose})
print("losses:", len(history.history["loss"]))
"""


@pytest.mark.slow
@pytest.mark.parametrize("how", ["python", "spark-submit"])
def test_a_script_without_a_main_guard(tmp_path, how):
    import pyspark

    submit = Path(pyspark.__file__).parent / "bin" / "spark-submit"
    command = [] if how == "python" else [str(submit), "--driver-memory", "1G"]
    process = run_script(SCRIPT.format(epochs=3, verbose=2), tmp_path, *command)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    assert "losses: 3" in out
    assert out.count("Epoch ") == 3


def test_verbose_0_prints_nothing(tmp_path):
    process = run_script(SCRIPT.format(epochs=2, verbose=0), tmp_path)
    out, _ = process.communicate(timeout=120)
    assert out == "losses: 2\n"


@pytest.mark.parametrize(
    "how",
    [
        signal.SIGINT,
        pytest.param(signal.SIGTERM, marks=pytest.mark.slow),
        pytest.param(signal.SIGKILL, marks=pytest.mark.slow),  # as a notebook's kernel ends
    ],
)
def test_a_driver_that_is_ended_leaves_nothing(tmp_path, how, tried):
    tried(f"the driver ended by {how.name}", "synchronous batch",
          "server and JVM are gone within 30 s")  # fmt: skip
    process = run_script(SCRIPT.format(epochs=1_000_000, verbose=2), tmp_path)
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("Epoch 3/"):
            break
    children = subprocess.run(
        ["pgrep", "-P", str(process.pid)], capture_output=True, text=True, check=True
    ).stdout.split()
    commands = [Path(f"/proc/{pid}/cmdline").read_bytes() for pid in children]
    assert sum(b"elephas_torch.parameter" in one for one in commands) == 1
    assert any(b"java" in one for one in commands)
    began = time.monotonic()
    process.send_signal(how)
    process.stdout.read()
    assert process.wait(timeout=60) != 0
    assert time.monotonic() - began < 30
    while any(Path(f"/proc/{pid}").exists() for pid in children):
        assert time.monotonic() - began < 30
        time.sleep(0.1)


KILLED = """
import os, signal, sys
import numpy as np
import torch
from pyspark import SparkConf, SparkContext, TaskContext
from elephas_torch.keras.layers import Dense, Layer
from elephas_torch.keras.models import Sequential
from elephas_torch.keras.optimizers import SGD
from elephas_torch.spark_model import SparkModel
from elephas_torch.utils.rdd_utils import to_simple_rdd

class Mortal(Layer):
    calls = 0
    def __init__(self, dies_at=None, **kwargs):
        super().__init__(**kwargs)
        self.dies_at = dies_at
    def call(self, inputs):
        Mortal.calls += torch.is_grad_enabled()
        task = TaskContext.get()
        if task and task.partitionId() == 1 and task.attemptNumber() == 0:
            if Mortal.calls == self.dies_at:
                with open("died", "a") as file:
                    file.write("x")
                os.kill(os.getpid(), signal.SIGKILL)
        return inputs

sc = SparkContext(conf=SparkConf().setMaster("local[2,4]").setAppName("killed"))
sc.setLogLevel("OFF")
random = np.random.default_rng(0)
x = random.standard_normal((320, 5)).astype("float32")
y = np.eye(3)[(x @ random.standard_normal((5, 3))).argmax(1)]
rdd = to_simple_rdd(sc, x, y)
weights = []
for mode, frequency, dies_at in (
    ("synchronous", "batch", None),
    ("synchronous", "batch", 14),
    ("synchronous", "epoch", 14),
    ("asynchronous", 4, 25),
):
    torch.manual_seed(0)
    Mortal.calls = 0
    model = Sequential([Dense(8, input_dim=5), Mortal(dies_at), Dense(3, activation="softmax")])
    model.compile(loss="categorical_crossentropy", optimizer=SGD(0.1, momentum=0.5))
    spark_model = SparkModel(model, mode=mode, frequency=frequency, seed=1, num_workers=2)
    history = spark_model.fit(rdd, epochs=4, batch_size=16, verbose=0)
    print(mode, frequency, "epochs", len(history.history["loss"]), flush=True)
    weights.append(np.concatenate([w.ravel() for w in model.get_weights()]))
print("same", np.array_equal(*weights[:2]))
"""


@pytest.mark.cluster
def test_a_lost_worker_goes_on_where_it_stopped(tmp_path):
    process = run_script(KILLED, tmp_path)
    out, err = process.communicate(timeout=180)
    assert process.returncode == 0, out + err
    assert out.count("epochs 4") == 4
    assert (tmp_path / "died").read_text() == "xxx"
    assert "same True" in out
