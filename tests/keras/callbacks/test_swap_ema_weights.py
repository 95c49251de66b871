"""`SwapEMAWeights` comes to Keras's numbers."""

import keras
import numpy as np
import pytest

from elephas_torch.keras import layers, models
from elephas_torch.keras import optimizers as my_optimizers
from elephas_torch.keras.callbacks import EarlyStopping, LambdaCallback, SwapEMAWeights

OPTIONS = {"epochs": 3, "batch_size": 5, "verbose": 0, "shuffle": False, "validation_split": 0.2}


def network(library=None, **settings):
    if library is keras:
        model = keras.Sequential([keras.layers.Input((4,)), keras.layers.Dense(2)])
        optimizer = keras.optimizers.SGD(0.05, use_ema=True, ema_momentum=0.8)
    else:
        model = models.Sequential([layers.Dense(2, input_dim=4)])
        optimizer = my_optimizers.SGD(0.05, use_ema=True, ema_momentum=0.8)
    kernel = np.random.default_rng(1).normal(size=(4, 2)).astype("float32")
    model.set_weights([kernel, np.zeros(2, "float32")])
    model.compile(optimizer, "mse")
    return model


def both(data, swap_on_epoch):
    found = []
    for library, cls, keeper in (
        (None, SwapEMAWeights, LambdaCallback),
        (keras, keras.callbacks.SwapEMAWeights, keras.callbacks.LambdaCallback),
    ):
        seen, model = [], network(library)
        keep = keeper(on_epoch_end=lambda *_, seen=seen, m=model: seen.append(m.get_weights()[0]))
        history = model.fit(*data, callbacks=[cls(swap_on_epoch), keep], **OPTIONS).history
        found.append((history, seen, model.get_weights()[0]))
    return found


@pytest.mark.parametrize("swap_on_epoch", [False, True])
def test_validation_sees_the_mean(data, swap_on_epoch):
    (history, seen, last), (other, expected, end) = both(data, swap_on_epoch)
    np.testing.assert_allclose(history["val_loss"], other["val_loss"], rtol=1e-5)
    np.testing.assert_allclose(history["loss"], other["loss"], rtol=1e-5)
    np.testing.assert_allclose(seen, expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(last, end, rtol=1e-5, atol=1e-6)
    plain = network().fit(*data, **OPTIONS).history
    assert plain["loss"] == history["loss"]
    assert plain["val_loss"] != history["val_loss"]


def test_the_mean_stays_where_training_is_stopped(data):
    callbacks = [SwapEMAWeights(swap_on_epoch=True), EarlyStopping("loss", min_delta=1e9)]
    model, other = network(), network()
    model.fit(*data, callbacks=callbacks, **{**OPTIONS, "epochs": 9})
    other.fit(*data, **{**OPTIONS, "epochs": 2})
    np.testing.assert_array_equal(model.get_weights()[0], other.get_weights()[0])


def test_weights_come_back_after_tests_and_predictions(data):
    model, seen = network(), []
    swap = SwapEMAWeights()

    def look(epoch, logs):
        before = model.get_weights()[0]
        seen.append(
            (
                model.evaluate(*data, verbose=0),
                model.evaluate(*data, verbose=0, callbacks=[swap]),
                float(np.ptp(model.predict(data[0], verbose=0, callbacks=[swap]))),
                float(np.ptp(model.predict(data[0], verbose=0))),
            )
        )
        np.testing.assert_array_equal(before, model.get_weights()[0])

    model.fit(*data, callbacks=[LambdaCallback(on_epoch_end=look)], **OPTIONS)
    for plain, mean, spread, own in seen:
        assert plain != mean
        assert spread != own


def test_before_the_first_step_nothing_is_swapped(data):
    model = network()
    assert model.evaluate(*data, verbose=0) == model.evaluate(
        *data, verbose=0, callbacks=[SwapEMAWeights()]
    )


def test_an_optimizer_without_a_mean_is_named(compiled, data):
    with pytest.raises(ValueError, match=r"SGD\(use_ema=True\)"):
        compiled().fit(*data, verbose=0, callbacks=[SwapEMAWeights()])
