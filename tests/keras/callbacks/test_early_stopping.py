"""`EarlyStopping` decides as Keras's does."""

import keras
import numpy as np
import pytest

from elephas_torch.keras import metrics
from elephas_torch.keras.callbacks import EarlyStopping, ModelCheckpoint

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
@pytest.mark.parametrize("settings", STOPPERS, ids=str)
def test_early_stopping_decides_as_keras_s_does(play, series, settings):
    mine, other = EarlyStopping(**settings), keras.callbacks.EarlyStopping(**settings)
    for _ in range(2):  # they may be used again
        model, last = play(mine, series, "val_loss")
        theirs, expected = play(other, series, "val_loss")
        assert last == expected
        assert model.weights == theirs.weights
        assert mine.stopped_epoch == other.stopped_epoch
        assert mine.best == pytest.approx(other.best, nan_ok=True)
        assert mine.best_epoch == other.best_epoch


def test_a_real_training_ends_where_keras_s_does(compiled, data):
    ends = []
    for library, cls in ((None, EarlyStopping), (keras, keras.callbacks.EarlyStopping)):
        model = compiled(library, rate=0.5)
        stopping = cls("val_mae", patience=2, restore_best_weights=True, start_from_epoch=1)
        options = {"epochs": 50, "batch_size": 5, "verbose": 0, "shuffle": False}
        model.fit(*data, callbacks=[stopping], validation_split=0.2, **options)
        ends.append((stopping.stopped_epoch, stopping.best_epoch, model))
    assert ends[0][:2] == ends[1][:2]
    assert ends[0][0] > 0
    for mine, theirs in zip(ends[0][2].get_weights(), ends[1][2].get_weights(), strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-5, atol=1e-6)


def test_what_it_says(play, capsys):
    play(EarlyStopping(verbose=1, restore_best_weights=True), [1.0, 2.0, 3.0], "val_loss")
    out = capsys.readouterr().out
    assert "Epoch 2: early stopping" in out
    assert "weights of the best epoch: 1" in out


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


class Fake:
    metrics = (metrics.CategoricalAccuracy(name="mine"), metrics.MeanSquaredError(name="accurate"))


@pytest.mark.parametrize(("monitor", "mode"), [("val_mine", "max"), ("accurate", "min")])
def test_the_model_s_metric_tells_the_direction_better(monitor, mode):
    stopping = EarlyStopping(monitor)
    stopping.set_model(Fake())
    stopping.on_train_begin()
    assert stopping.mode == mode


def test_a_direction_that_nothing_tells_must_be_given(play, tmp_path):
    with pytest.raises(ValueError, match=r"'val_mine' should rise or fall\. Pass mode='max'"):
        play(EarlyStopping("val_mine"), [1.0], "val_mine")
    with pytest.raises(ValueError, match="ModelCheckpoint can't tell"):
        play(ModelCheckpoint(tmp_path / "m.keras", "mine", save_best_only=True), [1.0], "mine")
    assert EarlyStopping("val_mine", mode="max").mode == "max"
    model, _ = play(ModelCheckpoint(tmp_path / "m.keras", "mine"), [1.0], "mine")
    assert len(model.saved) == 1  # saves always: no need to know


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"mode": "maximum"}, "EarlyStopping mode: 'maximum'.*'max'"),
        ({"patience": -1}, "patience=-1"),
        ({"patience": 2.5}, "patience=2.5"),
        ({"start_from_epoch": -1}, "start_from_epoch=-1"),
    ],
)
def test_wrong_settings_are_named(settings, message):
    with pytest.raises(ValueError, match=message):
        EarlyStopping(**settings)
