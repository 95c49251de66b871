"""Callbacks of a fit on Spark: on the driver at the ends of epochs, felt by the workers."""

import csv
import math

import numpy as np
import pytest
import torch

from elephas_torch.errors import Diverged
from elephas_torch.keras.callbacks import (
    BackupAndRestore,
    Callback,
    CSVLogger,
    LambdaCallback,
    LearningRateScheduler,
    ModelCheckpoint,
    ReduceLROnPlateau,
    SwapEMAWeights,
    TensorBoard,
    TerminateOnNaN,
)
from elephas_torch.keras.layers import Dense
from elephas_torch.keras.models import Sequential, load_model
from elephas_torch.keras.optimizers import SGD
from elephas_torch.optimizers.schedules import PiecewiseConstantDecay
from elephas_torch.spark_model import SparkModel
from elephas_torch.utils.rdd_utils import to_simple_rdd

pytestmark = pytest.mark.spark


def network(rate=0.1):
    torch.manual_seed(0)
    model = Sequential([Dense(3, input_dim=4)])
    model.compile(loss="mse", optimizer=SGD(rate), metrics=["mae"])
    return model


def data(scale=1.0):
    random = np.random.default_rng(0)
    x = random.standard_normal((32, 4)).astype(np.float32)
    return x * scale, (x @ random.standard_normal((4, 3))).astype(np.float32)


@pytest.fixture(scope="module")
def rdd(spark_context):
    return to_simple_rdd(spark_context, *data())


def fit(model, rdd, callbacks, epochs=3, frequency="epoch", **options):
    spark_model = SparkModel(
        model, mode="synchronous", frequency=frequency, num_workers=2, batch_size=4, seed=1
    )
    return spark_model.fit(rdd, epochs=epochs, verbose=0, callbacks=callbacks, **options)


class Weights(Callback):
    """Keeps the weights of each epoch's end."""

    def __init__(self):
        super().__init__()
        self.kept = []

    def on_epoch_end(self, epoch, logs=None):
        self.kept.append(np.concatenate([one.ravel() for one in self.model.get_weights()]))

    def moves(self):
        """How far each epoch but the first moved them."""
        return [float(abs(b - a).max()) for a, b in zip(self.kept, self.kept[1:], strict=False)]


@pytest.mark.parametrize("frequency", ["epoch", "batch"])
def test_a_plateau_lowers_the_rate_of_the_workers(rdd, frequency):
    weights, model = Weights(), network()
    plateau = ReduceLROnPlateau("loss", factor=0.0, patience=1, min_delta=1e9)
    history = fit(model, rdd, [plateau, weights], epochs=4, frequency=frequency)
    assert history.history["learning_rate"] == [0.1, 0.1, 0.0, 0.0]
    first, second, third = weights.moves()
    assert first > 0 and second == third == 0.0
    assert model.optimizer.learning_rate == 0.0


@pytest.mark.parametrize("frequency", ["epoch", "batch"])
def test_a_scheduler_sets_the_rate_before_each_epoch(rdd, frequency):
    weights, model = Weights(), network()
    start = np.concatenate([one.ravel() for one in model.get_weights()])
    scheduler = LearningRateScheduler(lambda epoch, rate: [0.0, 0.1, 0.0][epoch])
    history = fit(model, rdd, [scheduler, weights], frequency=frequency)
    assert history.history["learning_rate"] == [0.0, 0.1, 0.0]
    np.testing.assert_array_equal(weights.kept[0], start)
    assert weights.moves()[0] > 0 and weights.moves()[1] == 0.0


@pytest.mark.parametrize("frequency", ["epoch", "batch"])
def test_a_compiled_schedule_counts_steps(rdd, frequency):
    weights, model = Weights(), network()
    # 4 batches an epoch and worker: the first epoch moves, the others don't.
    model.compile(loss="mse", optimizer=SGD(PiecewiseConstantDecay([3], [0.1, 0.0])))
    start = np.concatenate([one.ravel() for one in model.get_weights()])
    fit(model, rdd, [weights], frequency=frequency)
    assert abs(weights.kept[0] - start).max() > 0.01
    assert weights.moves() == [0.0, 0.0]


def test_writers_write_at_the_ends_of_epochs(rdd, tmp_path):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    model, seen = network(), []
    callbacks = [
        CSVLogger(tmp_path / "log.csv"),
        ModelCheckpoint(tmp_path / "{epoch}-{val_loss:.3f}.keras"),
        ModelCheckpoint(
            tmp_path / "best.weights.safetensors", save_weights_only=True, save_best_only=True
        ),
        TensorBoard(tmp_path / "board", histogram_freq=1),
        LambdaCallback(on_train_end=seen.append),
    ]
    history = fit(model, rdd, callbacks, epochs=2, validation_split=0.25).history
    rows = list(csv.DictReader((tmp_path / "log.csv").read_text().splitlines()))
    assert [float(row["val_mae"]) for row in rows] == history["val_mae"]
    last = tmp_path / f"2-{history['val_loss'][1]:.3f}.keras"
    np.testing.assert_array_equal(load_model(last).get_weights()[0], model.get_weights()[0])
    assert (tmp_path / "best.weights.safetensors").exists()
    for part, name in (("train", "loss"), ("validation", "val_loss")):
        events = EventAccumulator(str(tmp_path / "board" / part)).Reload()
        values = [one.value for one in events.Scalars("epoch_loss")]
        np.testing.assert_allclose(values, history[name], rtol=1e-6)
    assert seen == [{name: values[-1] for name, values in history.items()}]


@pytest.mark.parametrize("frequency", ["epoch", "batch"])
def test_a_loss_that_is_no_number_ends_the_training(rdd, frequency, capsys):
    model = network(rate=1e30)
    history = fit(model, rdd, [TerminateOnNaN()], epochs=50, frequency=frequency).history
    assert not math.isfinite(history["loss"][-1])
    assert len(history["loss"]) < 50
    assert "the loss is nan" in capsys.readouterr().out
    if frequency == "epoch":  # the server takes no update that isn't finite
        assert np.isfinite(model.get_weights()[0]).all()


def test_a_loss_that_is_no_number_is_an_error_without_the_callback(rdd):
    with pytest.raises(Diverged, match=r"Worker . failed: .*learning rate"):
        fit(network(rate=1e30), rdd, None, epochs=50)


def test_an_interrupted_fit_goes_on(rdd, tmp_path):
    class Interrupted(Exception):
        pass

    def interrupt(epoch, logs):
        if epoch == 1:
            raise Interrupted

    backup, epochs = tmp_path / "backup", []
    with pytest.raises(Interrupted):
        fit(network(), rdd, [BackupAndRestore(backup), LambdaCallback(on_epoch_begin=interrupt)])
    whole, resumed = network(), network(rate=0.5)
    fit(whole, rdd, None)
    record = LambdaCallback(on_epoch_begin=lambda epoch, logs: epochs.append(epoch))
    history = fit(resumed, rdd, [BackupAndRestore(backup), record])
    assert epochs == history.epoch == [1, 2]
    assert resumed.optimizer.learning_rate == 0.1
    np.testing.assert_array_equal(resumed.get_weights()[0], whole.get_weights()[0])
    assert not backup.exists()


def test_a_fit_that_was_over_is_not_begun_again(rdd, tmp_path):
    backup = BackupAndRestore(tmp_path, delete_checkpoint=False)
    assert fit(network(), rdd, [backup], epochs=1).epoch == [0]
    model = network()
    assert fit(model, rdd, [backup], epochs=1).history == {}
    assert backup.resumed == (1, 0)


@pytest.mark.parametrize("cls", [ModelCheckpoint, BackupAndRestore])
def test_saving_each_so_many_batches_is_refused(rdd, tmp_path, cls):
    with pytest.raises(ValueError, match=f"{cls.__name__} would never save.*save_freq=10"):
        fit(network(), rdd, [cls(tmp_path / "m.keras", save_freq=10)])


def test_running_means_of_the_workers_can_t_be_swapped_in(rdd):
    with pytest.raises(ValueError, match="SwapEMAWeights would find no mean"):
        fit(network(), rdd, [SwapEMAWeights()])
