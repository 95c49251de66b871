"""Callbacks that change the learning rate come to Keras's rates."""

import keras
import numpy as np
import pytest
import torch

from elephas_torch.keras.callbacks import LearningRateScheduler, ReduceLROnPlateau

PLATEAUS = [
    {},
    {"patience": 2},
    {"patience": 1, "cooldown": 2},
    {"patience": 0, "factor": 0.5},
    {"patience": 1, "factor": 0.3, "min_lr": 0.02},
    {"patience": 1, "min_delta": 0.1, "factor": 0.5},
    {"patience": 1, "mode": "max", "factor": 0.5},
]


class Rates:
    """A callback's model, with the rates after each epoch."""

    def __init__(self):
        self.optimizer = keras.optimizers.SGD(0.1)
        self.stop_training = False
        self.metrics = []


@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")
@pytest.mark.parametrize("settings", PLATEAUS, ids=str)
def test_plateaus_lower_the_rate_when_keras_s_do(play, series, settings):
    rates = []
    for cls in (ReduceLROnPlateau, keras.callbacks.ReduceLROnPlateau):
        seen, callback = [], cls(**settings)
        end = callback.on_epoch_end

        def record(epoch, logs, end=end, seen=seen, callback=callback):
            end(epoch, logs)
            seen.append((logs["learning_rate"], float(callback.model.optimizer.learning_rate)))

        callback.on_epoch_end = record
        for _ in range(2):  # they may be used again
            play(callback, series, "val_loss", Rates())
        rates.append(seen)
    np.testing.assert_allclose(rates[0], rates[1], rtol=1e-6)


def train(compiled, data, library, callback):
    model = compiled(library, rate=0.1)
    options = {"epochs": 12, "batch_size": 5, "verbose": 0, "shuffle": False}
    history = model.fit(*data, validation_split=0.2, callbacks=[callback], **options).history
    return history, float(model.optimizer.learning_rate)


def both(compiled, data, mine, theirs):
    history, rate = train(compiled, data, None, mine)
    other, expected = train(compiled, data, keras, theirs)
    assert list(history) == list(other)
    assert rate == pytest.approx(expected)
    for name, values in other.items():
        np.testing.assert_allclose(history[name], values, rtol=2e-5, atol=1e-6)
    return history


def test_a_plateau_in_a_real_training(compiled, data):
    settings = {"factor": 0.2, "patience": 1, "min_delta": 0.05, "cooldown": 1}
    callbacks = ReduceLROnPlateau(**settings), keras.callbacks.ReduceLROnPlateau(**settings)
    history = both(compiled, data, *callbacks)
    assert len(set(history["learning_rate"])) > 2


@pytest.mark.parametrize(
    "schedule",
    [lambda epoch, rate: rate * 0.9, lambda epoch: 0.1 / (epoch + 1)],
    ids=["of epoch and rate", "of the epoch, as in Keras 1"],
)
def test_a_scheduler_in_a_real_training(compiled, data, schedule):
    theirs = keras.callbacks.LearningRateScheduler(schedule)
    history = both(compiled, data, LearningRateScheduler(schedule), theirs)
    assert history["learning_rate"] == sorted(history["learning_rate"], reverse=True)


def test_what_they_say(compiled, data, capsys):
    scheduler = LearningRateScheduler(lambda epoch, rate: 0.25, verbose=1)
    plateau = ReduceLROnPlateau("loss", factor=0.5, patience=1, min_delta=1e9, verbose=1)
    compiled().fit(*data, epochs=2, verbose=0, callbacks=[scheduler, plateau])
    out = capsys.readouterr().out
    assert "Epoch 1: LearningRateScheduler sets the learning rate to 0.25." in out
    assert "Epoch 2: ReduceLROnPlateau lowers the learning rate to 0.125." in out


@pytest.mark.parametrize("value", [np.float32(0.5), np.array(0.5), torch.tensor(0.5), 0.5])
def test_a_schedule_may_return_any_number(compiled, data, value):
    model = compiled()
    model.fit(*data, verbose=0, callbacks=[LearningRateScheduler(lambda *_: value)])
    assert model.optimizer.learning_rate == 0.5


@pytest.mark.parametrize("value", [None, "0.1", True, [0.1]])
def test_what_is_no_rate_is_named(compiled, data, value):
    with pytest.raises(ValueError, match=r"`schedule` must return a number.*Received"):
        compiled().fit(*data, verbose=0, callbacks=[LearningRateScheduler(lambda *_: value)])


def test_an_error_in_a_schedule_is_its_own(compiled, data):
    with pytest.raises(TypeError, match="unsupported operand"):
        compiled().fit(
            *data, verbose=0, callbacks=[LearningRateScheduler(lambda epoch, rate: rate + "1")]
        )


def test_a_missing_value_is_told(play):
    with pytest.warns(UserWarning, match="ReduceLROnPlateau watches 'val_loss', which isn't there"):
        play(ReduceLROnPlateau(), [None], "val_loss", Rates())


def test_the_old_name_of_min_delta():
    with pytest.warns(DeprecationWarning, match="epsilon"):
        assert ReduceLROnPlateau(epsilon=0.5).min_delta == 0.5


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"factor": 1.0}, "factor=1.0"),
        ({"factor": -0.1}, "factor=-0.1"),
        ({"patience": -1}, "patience=-1"),
        ({"cooldown": 0.5}, "cooldown=0.5"),
        ({"mode": "mni"}, "Unknown ReduceLROnPlateau mode: 'mni'"),
    ],
)
def test_wrong_settings_are_named(settings, message):
    with pytest.raises(ValueError, match=message):
        ReduceLROnPlateau(**settings)


def test_wrong_arguments_are_named():
    with pytest.raises(TypeError, match=r"'patient'. Did you mean 'patience'"):
        ReduceLROnPlateau(patient=3)
    with pytest.raises(TypeError, match="`schedule` must be a function"):
        LearningRateScheduler(0.1)
