"""Callbacks: called as Keras calls them, and deciding as Keras's decide."""

import os

os.environ["KERAS_BACKEND"] = "torch"

import cloudpickle
import keras
import numpy as np
import pytest

from elephas_torch.keras import layers, models
from elephas_torch.keras.callbacks import (
    Callback,
    CallbackList,
    EarlyStopping,
    History,
    LambdaCallback,
    ModelCheckpoint,
    wants_batches,
)

X = np.random.default_rng(0).normal(size=(25, 4)).astype("float32")
Y = X[:, :2]


def compiled(library=None):
    if library is keras:
        model = keras.Sequential([keras.layers.Input((4,)), keras.layers.Dense(2)])
    else:
        model = models.Sequential([layers.Dense(2, input_dim=4)])
    model.compile(optimizer="sgd", loss="mse", metrics=["mae"])
    return model


HOOKS = [
    f"on_{what}_{end}" for what in ("train", "epoch", "train_batch") for end in ("begin", "end")
]


def recorder(base, calls):
    def hook(name):
        def call(self, *args, **kwargs):
            *number, logs = (*args, *kwargs.values()) or (None,)
            if isinstance(logs, int):
                number, logs = [logs], None
            calls.append((name, *number, sorted(logs or {})))

        return call

    return type("Recorder", (base,), {name: hook(name) for name in HOOKS})()


def test_hooks_are_called_in_keras_s_order_with_keras_s_logs():
    mine, other = [], []
    options = {"epochs": 2, "batch_size": 10, "verbose": 0, "validation_split": 0.2}
    compiled().fit(X, Y, callbacks=[recorder(Callback, mine)], **options)
    compiled(keras).fit(X, Y, callbacks=[recorder(keras.callbacks.Callback, other)], **options)
    assert mine == other
    assert len(mine) == 2 + 2 * (2 + 2 * 2)


def test_every_hook_gets_a_dict():
    seen = []

    class Careful(Callback):
        def on_train_begin(self, logs=None):
            seen.append(logs)

        on_train_end = on_train_begin

        def on_epoch_begin(self, epoch, logs=None):
            seen.append(logs)

        on_epoch_end = on_train_batch_begin = on_train_batch_end = on_epoch_begin

    compiled().fit(X, Y, callbacks=Careful(), verbose=0)
    assert all(isinstance(logs, dict) for logs in seen)


def test_callbacks_know_model_and_params():
    model = compiled()

    class Plain(Callback):
        def __init__(self):  # without super().__init__(), as many do
            self.mine = 1

        def on_train_begin(self, logs=None):
            assert self.model is model
            assert self.params == {"epochs": 3, "steps": 3, "verbose": 0}
            assert self.model.history.history == {}

    model.fit(X, Y, epochs=3, batch_size=10, verbose=0, callbacks=[Plain()])


def test_old_batch_hooks_are_called():
    seen = []

    class Old(Callback):
        def on_batch_begin(self, batch, logs=None):
            seen.append(("begin", batch))

        def on_batch_end(self, batch, logs=None):
            seen.append(("end", batch, logs["loss"] > 0))

    compiled().fit(X, Y, batch_size=13, verbose=0, callbacks=[Old()])
    assert seen == [("begin", 0), ("end", 0, True), ("begin", 1), ("end", 1, True)]


def test_history_holds_what_later_callbacks_add():
    added = LambdaCallback(on_epoch_end=lambda epoch, logs: logs.update(rate=0.1 * epoch))
    history = compiled().fit(X, Y, epochs=2, verbose=0, callbacks=[added])
    assert set(history.history) == {"loss", "mae", "rate"}
    assert history.history["rate"] == [0.0, 0.1]


def test_history_is_the_callback_that_was_passed():
    own = History()
    model = compiled()
    assert model.fit(X, Y, verbose=0, callbacks=[own]) is own
    assert model.history is own
    assert model.fit(X, Y, verbose=0) is not own
    assert own.epoch == [0]


def test_lambda_callback_takes_every_hook():
    calls = []
    hooks = {name: (lambda *args, name=name: calls.append(name)) for name in HOOKS}
    compiled().fit(X, Y, batch_size=25, verbose=0, callbacks=[LambdaCallback(**hooks)])
    assert sorted(calls) == sorted(HOOKS)
    with pytest.raises(TypeError, match="on_epoch_ends"):
        LambdaCallback(on_epoch_ends=print)


def test_batch_hooks_cost_nothing_where_nobody_wants_them():
    quiet = [EarlyStopping(), History(), LambdaCallback(on_epoch_end=print), Callback()]
    assert not CallbackList(quiet, None, {}).wants_batches
    loud = LambdaCallback(on_batch_end=print)
    assert CallbackList([*quiet, loud], None, {}).wants_batches
    assert wants_batches([*quiet, loud]) == ["LambdaCallback"]


@pytest.mark.parametrize("wrong", [EarlyStopping, "early", [EarlyStopping], [print], 3])
def test_what_is_no_callback_is_named(wrong):
    with pytest.raises(TypeError, match=r"`callbacks` takes objects of .*Received"):
        compiled().fit(X, Y, verbose=0, callbacks=wrong)


def test_keras_s_own_callbacks_are_refused():
    with pytest.raises(TypeError, match="not Keras's own"):
        compiled().fit(X, Y, verbose=0, callbacks=[keras.callbacks.EarlyStopping()])


class Fake:
    """A model that only remembers which weights it was given."""

    def __init__(self):
        self.weights, self.stop_training, self.saved = 0, False, []
        self.metrics = []

    def get_weights(self):
        return [self.weights]

    def set_weights(self, weights):
        (self.weights,) = weights

    def save(self, path, overwrite=True):
        self.saved.append(str(path))

    save_weights = save


def play(callback, values, monitor):
    """Runs a callback over recorded values; returns the model and the last epoch."""
    model = Fake()
    callback.set_model(model)
    callback.on_train_begin({})
    epoch = -1
    for epoch, value in enumerate(values):
        model.weights = epoch
        logs = {} if value is None else {monitor: value}
        callback.on_epoch_begin(epoch, {})
        callback.on_epoch_end(epoch, logs)
        if model.stop_training:
            break
    callback.on_train_end({})
    return model, epoch


SERIES = {
    "falls": [5.0, 4.0, 3.0, 2.0, 1.0],
    "rises": [1.0, 2.0, 3.0, 4.0, 5.0],
    "turns": [5.0, 3.0, 2.0, 2.05, 2.5, 1.9, 3.0, 4.0, 4.0, 5.0],
    "peaks": [0.1, 0.5, 0.7, 0.69, 0.71, 0.6, 0.5, 0.5, 0.4],
    "flat": [1.0] * 6,
    "steps": [1.0, 0.95, 0.9, 0.7, 0.69, 0.68, 0.67, 0.3],
    "nan": [1.0, float("nan"), 0.9, float("nan"), float("nan"), 0.8],
    "noise": list(np.random.default_rng(3).random(20)),
    "single": [1.0],
    "none": [],
}
STOPPERS = [
    {},
    {"patience": 2},
    {"patience": 2, "restore_best_weights": True},
    {"patience": 1, "min_delta": 0.1},
    {"patience": 1, "min_delta": -0.1, "restore_best_weights": True},
    {"patience": 2, "baseline": 0.65},
    {"patience": 3, "baseline": 0.9, "restore_best_weights": True},
    {"start_from_epoch": 3, "patience": 1, "restore_best_weights": True},
    {"mode": "max"},
    {"mode": "min", "patience": 3},
    {"mode": "max", "patience": 2, "restore_best_weights": True, "baseline": 0.6},
]


@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")
@pytest.mark.parametrize("series", SERIES)
@pytest.mark.parametrize("settings", STOPPERS, ids=str)
def test_early_stopping_decides_as_keras_s_does(series, settings):
    mine, other = EarlyStopping(**settings), keras.callbacks.EarlyStopping(**settings)
    for _ in range(2):  # they may be used again
        model, last = play(mine, SERIES[series], "val_loss")
        theirs, expected = play(other, SERIES[series], "val_loss")
        assert last == expected
        assert model.weights == theirs.weights
        assert mine.stopped_epoch == other.stopped_epoch
        assert mine.best == pytest.approx(other.best, nan_ok=True)
        assert mine.best_epoch == other.best_epoch


CHECKPOINTS = [
    {},
    {"save_best_only": True},
    {"save_best_only": True, "mode": "max"},
    {"save_best_only": True, "mode": "min", "initial_value_threshold": 0.8},
]


@pytest.mark.parametrize("series", SERIES)
@pytest.mark.parametrize("settings", CHECKPOINTS, ids=str)
def test_model_checkpoint_saves_when_keras_s_does(series, settings, tmp_path):
    path = str(tmp_path / "{epoch:02d}-{val_loss:.2f}.keras")
    model, _ = play(ModelCheckpoint(path, **settings), SERIES[series], "val_loss")
    theirs, _ = play(keras.callbacks.ModelCheckpoint(path, **settings), SERIES[series], "val_loss")
    assert model.saved == theirs.saved


def test_a_missing_value_is_told_and_the_model_saved_all_the_same(tmp_path):
    path = str(tmp_path / "m.keras")
    callback = ModelCheckpoint(path, save_best_only=True)
    with pytest.warns(UserWarning, match="ModelCheckpoint watches 'val_loss', which isn't there"):
        model, _ = play(callback, [None], "val_loss")
    other = keras.callbacks.ModelCheckpoint(path, save_best_only=True)
    with pytest.warns(UserWarning):
        theirs, _ = play(other, [None], "val_loss")
    assert model.saved == theirs.saved == [path]
    with pytest.warns(UserWarning, match="EarlyStopping watches"):
        play(EarlyStopping(), [None], "val_loss")


@pytest.mark.parametrize(
    ("monitor", "mode"),
    [
        ("loss", "min"), ("val_loss", "min"), ("accuracy", "max"), ("val_accuracy", "max"),
        ("acc", "max"), ("val_top_k_categorical_accuracy", "max"), ("mse", "min"),
        ("val_mae", "min"), ("mean_absolute_error", "min"), ("val_categorical_crossentropy", "min"),
        ("cosine_similarity", "max"), ("hinge", "min"), ("kl_divergence", "min"),
        ("root_mean_squared_error", "min"), ("poisson", "min"),
    ],
)  # fmt: skip
def test_the_direction_is_told_by_the_name(monitor, mode):
    assert EarlyStopping(monitor).mode == mode
    assert ModelCheckpoint("m.keras", monitor, save_best_only=True).mode == mode


def test_a_direction_that_no_name_tells_must_be_given():
    with pytest.raises(ValueError, match="'val_mine' should rise or fall: pass mode='max'"):
        EarlyStopping("val_mine")
    with pytest.raises(ValueError, match="ModelCheckpoint can't tell"):
        ModelCheckpoint("m.keras", "mine", save_best_only=True)
    assert EarlyStopping("val_mine", mode="max").mode == "max"
    ModelCheckpoint("m.keras", "mine")  # saves always: no need to know


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: EarlyStopping(mode="maximum"), "EarlyStopping mode: 'maximum'.*'max'"),
        (lambda: EarlyStopping(patience=-1), "patience=-1"),
        (lambda: EarlyStopping(patience=2.5), "patience=2.5"),
        (lambda: EarlyStopping(start_from_epoch=-1), "start_from_epoch=-1"),
        (lambda: ModelCheckpoint("m.keras", mode="mn"), "Unknown ModelCheckpoint mode: 'mn'"),
        (lambda: ModelCheckpoint("m.keras", save_freq=10), "save_freq=10"),
        (lambda: ModelCheckpoint("m.h5"), "HDF5 files aren't written.*m.h5"),
        (lambda: ModelCheckpoint("m.weights.h5", save_weights_only=True), "HDF5"),
    ],
)
def test_wrong_settings_are_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_stopping_and_saving_for_real(tmp_path, capsys):
    model = compiled()
    path = tmp_path / "new" / "best-{epoch}.keras"
    saver = ModelCheckpoint(path, monitor="loss", save_best_only=True, verbose=1)
    stopper = EarlyStopping("loss", min_delta=100, verbose=1, restore_best_weights=True)
    model.fit(X, Y, epochs=5, verbose=0, shuffle=False, callbacks=[saver, stopper])
    assert stopper.stopped_epoch == 1
    assert [p.name for p in sorted(path.parent.iterdir())] == ["best-1.keras", "best-2.keras"]
    first = models.load_model(path.parent / "best-1.keras")
    assert all(
        np.array_equal(a, b) for a, b in zip(first.get_weights(), model.get_weights(), strict=True)
    )
    out = capsys.readouterr().out
    assert "Epoch 1: saved to" in out
    assert "Epoch 2: early stopping" in out
    assert "weights of the best epoch: 1" in out


def test_saving_weights_only(tmp_path):
    model = compiled()
    path = tmp_path / "m.weights.safetensors"
    model.fit(X, Y, verbose=0, callbacks=[ModelCheckpoint(path, save_weights_only=True)])
    fresh = compiled()
    fresh.load_weights(path)
    assert np.array_equal(fresh.get_weights()[0], model.get_weights()[0])


def test_a_field_that_isn_t_there_is_named(tmp_path):
    saver = ModelCheckpoint(tmp_path / "{val_acuracy}.keras")
    with pytest.raises(KeyError, match=r"'val_acuracy'. There is: epoch, loss, mae"):
        compiled().fit(X, Y, verbose=0, callbacks=[saver])


def test_callbacks_can_be_sent():
    for callback in (EarlyStopping(), ModelCheckpoint("m.keras"), History()):
        assert type(cloudpickle.loads(cloudpickle.dumps(callback))) is type(callback)
