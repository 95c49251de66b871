"""Fits whose server, or driver, falls: they go on, and come to the same."""

import json
import logging
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import textwrap
import threading
from pathlib import Path

import numpy as np
import pytest
import torch
from pyspark import InheritableThread

from elephas_torch import checkpoints, optimizers, options, recovery, signature
from elephas_torch.checkpoints import Checkpoints
from elephas_torch.errors import ModelFileError, ServerError
from elephas_torch.flat import Vectors
from elephas_torch.keras.callbacks import Callback, LearningRateScheduler
from elephas_torch.keras.layers import BatchNormalization, Dense, Dropout, Input
from elephas_torch.keras.models import Model, Sequential
from elephas_torch.keras.optimizers import SGD, LossScaleOptimizer
from elephas_torch.parameter import Settings
from elephas_torch.parameter.state import State
from elephas_torch.plan import Plan
from elephas_torch.recovery import Every, every
from elephas_torch.spark_model import SparkModel
from elephas_torch.utils.rdd_utils import to_simple_rdd

EPOCHS = 4


class Fall(Callback):
    """Kills all servers of this process at the end of an epoch; or does something else."""

    def __init__(self, at, what=None):
        super().__init__()
        self.at, self.what = at, what or kill_servers
        self.epochs = []

    def on_epoch_end(self, epoch, logs=None):
        self.epochs.append(epoch)
        if epoch == self.at:
            self.at = None
            self.what()


def servers():
    found = subprocess.run(
        ["pgrep", "-P", str(os.getpid()), "-f", "elephas_torch.parameter"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    return [int(pid) for pid in found.stdout.split()]


def kill_servers():
    for pid in servers():
        os.kill(pid, signal.SIGKILL)


def kill_the_last():
    """Of the shards the last one, which has no reports."""
    os.kill(max(servers()), signal.SIGKILL)


def network():
    torch.manual_seed(0)
    model = Sequential(
        [
            Dense(8, input_dim=4, activation="relu"),
            Dropout(0.3),
            Dropout(0.1, seed=5),
            BatchNormalization(),
            Dense(3),
        ]
    )
    model.compile(loss="mse", optimizer="adam", metrics=["mae"])
    return model


def arrays(rows=200):
    random = np.random.default_rng(0)
    x = random.standard_normal((rows, 4)).astype(np.float32)
    return x, (x @ random.standard_normal((4, 3))).astype(np.float32)


@pytest.fixture(scope="module")
def rdd(spark_context):
    return to_simple_rdd(spark_context, *arrays(), num_slices=2)


def fit(rdd, folder=None, fall=None, epochs=EPOCHS, how=("synchronous", "batch"), **more):
    """The history, the weights, and the callback that let things fall."""
    names = ("exchange", "server_restarts", "num_shards", "shared_memory", "reconnect_timeout")
    given = {name: more.pop(name) for name in names if name in more}
    model = network()
    spark_model = SparkModel(
        model, mode=how[0], frequency=how[1], num_workers=2, batch_size=16, seed=1, **given
    )
    fall = fall or Fall(None)
    callbacks = [fall, LearningRateScheduler(lambda epoch, rate: rate * 0.9)]
    history = spark_model.fit(
        rdd, epochs=epochs, verbose=0, callbacks=callbacks, checkpoint_dir=folder, **more
    )
    weights = np.concatenate([one.ravel() for one in model.get_weights()])
    return history, weights, fall


def same(found, expected):
    return found[0].history == expected[0].history and np.array_equal(found[1], expected[1])


@pytest.mark.spark
@pytest.mark.parametrize(
    ("how", "options"),
    [
        (("synchronous", "batch"), {}),
        (("synchronous", "epoch"), {"exchange": "allreduce"}),
        pytest.param(("synchronous", 3), {}, marks=pytest.mark.slow),
        pytest.param(("synchronous", "epoch"), {}, marks=pytest.mark.slow),
        pytest.param(("synchronous", "batch"), {"exchange": "allreduce"}, marks=pytest.mark.slow),
        pytest.param(("synchronous", "batch"), {"shared_memory": False}, marks=pytest.mark.slow),
        pytest.param(("synchronous", "epoch"), {"num_shards": 2}, marks=pytest.mark.slow),
    ],
)
def test_a_fit_whose_server_is_killed_comes_to_the_same(rdd, tmp_path, caplog, how, options, tried):
    with_ = "".join(f", {name}={value!r}" for name, value in options.items())
    tried(f"the server killed at an epoch's end{with_}", " ".join(map(str, how)), "same weights")
    expected = fit(rdd, how=how, **options)
    with caplog.at_level(logging.WARNING):
        found = fit(rdd, tmp_path, Fall(1), how=how, **options)
    assert same(found, expected)
    assert found[2].epochs == [0, 1, 2, 3], "callbacks hear of each epoch once"
    assert "begins again from the snapshot at epoch" in caplog.text


@pytest.mark.spark
@pytest.mark.parametrize(
    "how",
    [
        ("asynchronous", "epoch"),
        pytest.param(("asynchronous", "batch"), marks=pytest.mark.slow),
        pytest.param(("hogwild", "batch"), marks=pytest.mark.slow),
    ],
)
def test_where_nobody_waits_it_learns_as_well(rdd, tmp_path, how, tried):
    tried("the server killed at an epoch's end", " ".join(how), "loss within 30 %")
    expected, found = fit(rdd, how=how), fit(rdd, tmp_path, Fall(1), how=how)
    losses = [one[0].history["loss"][-1] for one in (expected, found)]
    assert found[2].epochs == [0, 1, 2, 3]
    assert losses[1] < 1.3 * losses[0] and losses[1] < found[0].history["loss"][0]


@pytest.mark.spark
@pytest.mark.parametrize(
    ("how", "options"),
    [
        (("synchronous", "epoch"), {"checkpoint_every": 2}),
        pytest.param(("synchronous", "batch"), {}, marks=pytest.mark.slow),
        pytest.param(("synchronous", 3), {"validation_split": 0.2}, marks=pytest.mark.slow),
        pytest.param(("synchronous", "batch"), {"exchange": "allreduce"}, marks=pytest.mark.slow),
        pytest.param(("synchronous", "batch"), {"num_shards": 2}, marks=pytest.mark.slow),
    ],
)
def test_a_fit_that_was_broken_off_goes_on_and_comes_to_the_same(rdd, tmp_path, how, options):
    def interrupted():
        raise KeyboardInterrupt

    without = {name: value for name, value in options.items() if name != "checkpoint_every"}
    expected = fit(rdd, how=how, epochs=6, **without)
    with pytest.raises(KeyboardInterrupt):
        fit(rdd, tmp_path, Fall(3, interrupted), epochs=6, how=how, **options)
    found = fit(rdd, tmp_path, how=how, epochs=6, resume=True, **options)
    assert same(found, expected)
    assert found[0].epoch == [0, 1, 2, 3, 4, 5] and 0 < len(found[2].epochs) <= 4
    told = found[0].story["epochs"]
    assert [row["epoch"] for row in told] == found[0].epoch
    assert [row["logs"]["loss"] for row in told] == found[0].history["loss"]
    assert told[0]["time"] is None and told[-1]["time"] > 0

    # What is over is over; and may be gone on with.
    again = fit(rdd, tmp_path, how=how, epochs=6, resume=True, **options)
    assert same(again, found) and again[2].epochs == []
    more = fit(rdd, tmp_path, how=how, epochs=7, resume=True, **options)
    assert more[0].epoch == [*range(7)] and more[2].epochs == [6]

    with pytest.raises(ValueError, match="`batch_size` was 16 and is 8"):
        fit(rdd, tmp_path, how=how, resume=True, **{**options, "batch_size": 8})


@pytest.mark.spark
@pytest.mark.slow
def test_the_fall_of_one_shard_is_noticed(rdd, tmp_path):
    how = {"how": ("synchronous", "batch"), "num_shards": 2}
    assert same(fit(rdd, tmp_path, Fall(1, kill_the_last), **how), fit(rdd, **how))


@pytest.mark.spark
def test_training_that_begins_later_goes_on_as_well(rdd, tmp_path):
    found = fit(rdd, tmp_path, Fall(2), initial_epoch=2, checkpoint_every=3, epochs=4)
    assert same(found, fit(rdd, initial_epoch=2, epochs=4)) and found[0].epoch == [2, 3]

    with pytest.raises(ValueError, match="has the checkpoints of another fit"):
        fit(rdd, tmp_path)
    with pytest.raises(ValueError, match="`initial_epoch` was 2 and is 0"):
        fit(rdd, tmp_path, resume=True)


@pytest.mark.spark
def test_a_server_that_falls_too_often_ends_the_fit(rdd, tmp_path):
    with pytest.raises(ServerError, match=r"so often: 1\).*server_restarts=0.*resume=True"):
        fit(rdd, tmp_path, Fall(1), server_restarts=0)


@pytest.mark.spark
@pytest.mark.parametrize(
    ("kept", "shards"), [(True, 1), (False, 1), pytest.param(True, 2, marks=pytest.mark.slow)]
)
def test_a_server_that_hangs_counts_as_fallen(
    rdd, tmp_path, monkeypatch, caplog, kept, shards, tried
):
    """Of shards the last one alone."""
    which = "the server" if shards == 1 else "one of two shards"
    came = "same weights" if kept else "an error that says that it is silent"
    tried(f"{which} stopped (SIGSTOP) for ever, {'with' if kept else 'without'} `checkpoint_dir`",
          "synchronous batch", came)  # fmt: skip
    monkeypatch.setattr(options, "SHORTEST", 2.0)

    def found():
        fall = Fall(1, lambda: os.kill(max(servers()), signal.SIGSTOP))
        folder = tmp_path if kept else None
        return fit(rdd, folder, fall, reconnect_timeout=2.0, num_shards=shards)

    if kept:
        with caplog.at_level(logging.WARNING):
            assert same(found(), fit(rdd, num_shards=shards))
        assert "Waited 2 s" in caplog.text and "begins again from" in caplog.text
    else:
        with pytest.raises(ServerError, match=r"runs, but is silent.*Waited 2 s.*checkpoint_dir"):
            found()


def test_shards_give_snapshots_of_one_epoch():
    """A shard may be late by an epoch, and at the beginning it has one of no epoch's end."""
    vectors = Vectors(torch.zeros(2), torch.zeros(0), torch.zeros(0, dtype=torch.int64))
    settings = Settings(
        mode="synchronous", sizes=vectors.sizes, optimizer=optimizers.serialize(SGD(0.1))
    )
    packed = {at: State(settings, vectors).snapshot(at).packed() for at in (None, 0, 1)}

    class Shard:
        def __init__(self, *epochs):
            self.left = list(epochs)

        def checkpoint(self):
            return packed[self.left.pop(0)]

    class Client:
        clients = (Shard(0, 1), Shard(None, 1))

    plan = recovery.Recovery(None, Every(1), False, 0, {}, None)
    assert plan._fetched(Client()).packed == [packed[1], packed[1]]


@pytest.mark.spark
@pytest.mark.slow
def test_other_jobs_of_the_user_s_group_are_not_taken_for_ours(
    spark_context, job_group, rdd, tmp_path
):
    expected, ended = fit(rdd), threading.Event()

    def others():
        while not ended.wait(0.05):
            spark_context.parallelize([1, 2], 2).count()

    job_group("mine", "a cell")
    thread = InheritableThread(target=others)
    thread.start()
    try:
        assert same(fit(rdd, tmp_path, Fall(1)), expected)
    finally:
        ended.set()
        thread.join()


@pytest.mark.spark
def test_without_a_folder_the_error_says_what_would_have_helped(rdd):
    with pytest.raises(ServerError, match=r"exit code -9.*checkpoint_dir"):
        fit(rdd, fall=Fall(1))


@pytest.mark.spark
def test_a_folder_that_can_not_be_written_to_any_more_does_not_end_the_fit(rdd, tmp_path, caplog):
    folder = tmp_path / "kept"

    def replace():
        shutil.rmtree(folder)
        folder.write_text("in the way")

    with caplog.at_level(logging.WARNING):
        found = fit(rdd, folder, Fall(1, replace))
    assert found[0].epoch == [0, 1, 2, 3]
    assert "could not be written" in caplog.text and "the training goes on" in caplog.text
    with pytest.raises(OSError, match=r"`checkpoint_dir` can't be made or isn't a folder.*below"):
        fit(rdd, folder / "below")


@pytest.mark.spark
def test_a_driver_that_was_taken_for_dead_leaves_the_next_ones_checkpoints(
    spark_context, tmp_path, caplog
):
    def opened():
        made = Checkpoints(spark_context, tmp_path / "kept")
        return made, made.read()

    def written(checkpoints, name):
        checkpoints.write([name], FIT)
        checkpoints.finish()

    def last():
        return opened()[1].servers

    old, _ = opened()
    for name in (b"1", b"2", b"3"):
        written(old, name)
    new, found = opened()
    assert found.servers == [b"3"]
    written(new, b"4")
    assert last() == [b"4"] and not caplog.messages
    written(old, b"old")  # it would go where the fourth is
    assert "could not be written" in caplog.text and "another fit writes" in caplog.text
    assert last() == [b"4"]
    written(new, b"5")
    written(old, b"old")
    written(new, b"6")
    assert last() == [b"6"]
    for one in (old, new):
        one.close()


@pytest.mark.spark
def test_what_failed_after_it_was_in_place_does_not_end_the_checkpoints(
    spark_context, tmp_path, monkeypatch, caplog
):
    made = Checkpoints(spark_context, tmp_path / "kept")
    plain = made._places[0].put

    def put(contents):
        plain(contents)
        raise OSError("too late")

    with monkeypatch.context() as patch:
        patch.setattr(made._places[0], "put", put)
        made.write([b"1"], FIT)
        made.finish()
    assert "too late" in caplog.text
    made.write([b"2"], FIT)
    made.close()
    assert Checkpoints(spark_context, tmp_path / "kept").read().servers == [b"2"]


@pytest.mark.spark
def test_the_disk_has_a_checkpoint_before_it_takes_the_place_of_another(
    spark_context, tmp_path, monkeypatch
):
    plain, synced = os.fsync, []

    def fsync(handle):
        path = os.readlink(f"/proc/self/fd/{handle}")
        synced.append((path.removeprefix(f"{tmp_path}/"), (tmp_path / "kept/a").exists()))
        plain(handle)

    monkeypatch.setattr(os, "fsync", fsync)
    made = Checkpoints(spark_context, tmp_path / "kept")
    made.write([b"server"], FIT)
    made.close()
    names = {"server-0.safetensors", "fit.json", "manifest.json"}
    assert {(f"kept/.a.new/{name}", False) for name in names} < {*synced}
    assert synced[-2:] == [("kept/.a.new", False), ("kept", True)]


#: What a checkpoint has of the driver's.
FIT = {"signature": {}, "next": 0, "epochs": [], "history": {}, "rates": {},
       "learning_rate": None, "reports": {}, "stopped": False}  # fmt: skip


@pytest.mark.spark
def test_a_checkpoint_that_is_no_fit_s_is_damaged(spark_context, tmp_path):
    for number, (name, value) in enumerate(
        [(name, ...) for name in FIT]
        + [
            ("next", "1"),
            ("history", {"loss": "low"}),
            ("reports", {"x": {}}),
            ("reports", {"0": 1}),
        ]
    ):
        fit = {**FIT, name: value}
        if value is ...:
            del fit[name]
        made = Checkpoints(spark_context, tmp_path / str(number))
        made.write([b"server"], fit)
        made.close()
        why = f"has no '{name}'" if value is ... else "is damaged at "
        with pytest.raises(ModelFileError, match=f"No checkpoint in .*: fit.json {why}"):
            made.read()


@pytest.mark.spark
def test_the_last_whole_checkpoint_is_taken(spark_context, tmp_path, caplog):
    first = Checkpoints(spark_context, tmp_path / "kept")
    assert first.read() is None
    for number in range(3):
        first.write([b"server %d" % number, b"other"], {**FIT, "next": number})
        first.finish()
    first.close()
    names = sorted(str(one.relative_to(tmp_path)) for one in tmp_path.rglob("*.json"))
    assert len(names) == 4 and not [*tmp_path.glob("kept/.[a-z]*")]

    def read():
        return Checkpoints(spark_context, tmp_path / "kept").read()

    found = read()
    assert (found.servers, found.fit["next"], found.serial) == ([b"server 2", b"other"], 2, 3)
    (tmp_path / "kept/a/server-0.safetensors").write_bytes(b"server X")
    with caplog.at_level(logging.WARNING):
        assert read().fit["next"] == 1
    assert "damaged" in caplog.text and "server-0.safetensors" in caplog.text
    again = Checkpoints(spark_context, tmp_path / "kept")
    again.read()
    (tmp_path / "kept/.a.new").mkdir()
    (tmp_path / "kept/.a.old").mkdir()
    (tmp_path / "kept/.a.new/fit.json").write_text("of a driver that was killed")
    again.write([b"server 3"], {**FIT, "next": 3})
    again.close()
    assert read().fit["next"] == 3, "the damaged one was written over"
    assert not [*tmp_path.glob("kept/.[a-z]*")]
    again = Checkpoints(spark_context, tmp_path / "kept")
    with pytest.raises(ValueError, match="of another fit"):
        again.check_unused()
    for path in ("", 5, b"x", "nowhere://x"):
        with pytest.raises((ValueError, TypeError, OSError)):
            Checkpoints(spark_context, path)
    manifest = tmp_path / "kept/a/manifest.json"
    for bad in ("[]", '{"format": 1}', '{"format": 1, "serial": 9, "files": {"../x": {}}}',
                '{"format": 1, "serial": "9", "files": {"fit.json": {}}}'):  # fmt: skip
        manifest.write_text(bad)
        assert read().fit["next"] == 1
    assert not (tmp_path / "x").exists()
    for name in "ab":
        (tmp_path / f"kept/{name}/manifest.json").write_text("{")
    with pytest.raises(ModelFileError, match="No checkpoint in"):
        read()


@pytest.mark.parametrize(
    ("given", "expected"),
    [(1, Every(1)), (7, Every(7)), ("90s", Every(0, 90)), (" 10 m", Every(0, 600)),
     ("2h", Every(0, 7200)), ("1d", Every(0, 86400)), ("5min", Every(0, 300))],
)  # fmt: skip
def test_how_often(given, expected):
    assert every(given) == expected


@pytest.mark.parametrize("given", [0, -1, "10", "0s", "often", "", 1.5, True, None])
def test_how_often_must_be_epochs_or_a_time(given):
    with pytest.raises((ValueError, TypeError), match=r"`checkpoint_every` must be.*Received"):
        every(given)


def test_names_and_rates_may_differ_in_what_is_resumed():
    plan = Plan(1, True, 2, 0, 8, 0.0, True, {np.int64(1): 2}, 0)

    def signed(units=3, rate=0.1, momentum=0.5):
        inner = Sequential([Dense(units, input_dim=4)])
        entered = Input((4,))
        model = Model(entered, Model(entered, inner(entered))(entered))
        model.compile(LossScaleOptimizer(SGD(rate, momentum=momentum)), "mse")
        return signature.of(model, model.optimizer, plan, mode="synchronous")

    first = signed()
    assert first == signed() == signed(rate=0.2) == json.loads(json.dumps(first))
    signature.check_same(first, signed(), "here")
    with pytest.raises(ValueError, match=r"`layers` was .* and is"):
        signature.check_same(first, {**signed(units=3), "layers": []}, "here")
    with pytest.raises(ValueError, match=r"`layers\[1\]: units` was 4 and is 3\. Give"):
        signature.check_same(
            {"layers": signed()["layers"]}, {"layers": signed(units=4)["layers"]}, "here"
        )
    assert signed(units=5)["layers"] != first["layers"]
    assert signed(momentum=0.9) != first


@pytest.mark.spark
def test_resuming_needs_a_folder(rdd):
    for more in ({"resume": True}, {"checkpoint_every": 2}):
        with pytest.raises(ValueError, match="`checkpoint_dir`"):
            fit(rdd, **more)
    for folder in ("", 3):
        with pytest.raises((ValueError, TypeError), match="`checkpoint_dir` must name a folder"):
            fit(rdd, folder)


SCRIPT = """
    import os, sys
    import numpy as np
    from test_recovery import Fall, arrays, fit
    from pyspark import SparkContext
    from elephas_torch.utils.rdd_utils import to_simple_rdd

    folder, out, at, mode, frequency, every = sys.argv[1:]
    sc = SparkContext("local[2]", "driver")
    rdd = to_simple_rdd(sc, *arrays(4000), num_slices=2)
    fall = Fall(int(at), lambda: os.kill(os.getpid(), 9))
    found = fit(rdd, folder, fall, 6, (mode, frequency), resume=True, checkpoint_every=every)
    np.savez(out, weights=found[1], loss=found[0].history["loss"], called=fall.epochs)
"""


@pytest.mark.slow
@pytest.mark.parametrize("every", ["1s", "1h"])
@pytest.mark.parametrize("frequency", ["batch", "epoch"])
def test_a_driver_that_was_killed(tmp_path, frequency, every, tried):
    """A process of its own, killed, and run again."""
    tried(f"the driver killed, `resume=True`, checkpoint_every={every!r}",
          f"synchronous {frequency}", "same weights")  # fmt: skip
    script = tmp_path / "script.py"
    script.write_text(textwrap.dedent(SCRIPT))
    tests, root = Path(__file__).parent, Path(__file__).parents[1]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, (root, tests)))}

    def run(name, at):
        arguments = [tmp_path / name, tmp_path / f"{name}.npz", at, "synchronous", frequency, every]
        return subprocess.run(
            [sys.executable, script, *map(str, arguments)],
            env=environment, capture_output=True, text=True, timeout=200, check=False,
        )  # fmt: skip

    assert run("whole", -1).returncode == 0
    assert run("broken", 3).returncode == -signal.SIGKILL
    manifests = [*tmp_path.glob("broken/*/manifest.json")]
    assert bool(manifests) == (every == "1s")
    assert all(json.loads(one.read_text())["format"] == 1 for one in manifests)
    ended = run("broken", -1)
    assert ended.returncode == 0, ended.stderr[-2000:]
    whole, broken = (np.load(tmp_path / f"{name}.npz") for name in ("whole", "broken"))
    assert np.array_equal(whole["weights"], broken["weights"])
    # On a slow machine a checkpoint is within an epoch, whose loss leaves out what was before.
    midway = (frequency, every) == ("batch", "1s")
    assert (whole["loss"] != broken["loss"]).sum() <= midway


def test_what_a_killed_driver_was_writing_is_taken_away(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    left = tmp_path / "elephas-checkpoint-left"
    with checkpoints._beside() as mine:
        (mine / "file").write_text("in use")
        left.mkdir()
        (left / "file").write_text("of nobody")
        with checkpoints._beside():
            assert (mine / "file").exists() and not left.exists()
    assert not [*tmp_path.iterdir()]
