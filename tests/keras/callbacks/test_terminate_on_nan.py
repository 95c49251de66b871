"""`TerminateOnNaN` ends the training where Keras's does."""

import keras
import numpy as np
import pytest

from elephas_torch.keras.callbacks import Callback, LambdaCallback, TerminateOnNaN


def record(base, seen):
    class Batches(base):
        def on_train_batch_end(self, batch, logs=None):
            seen.append(batch)

    return Batches()


def test_it_ends_after_the_batch(compiled, data, capsys):
    x, y = data[0].copy(), data[1]
    x[12] = np.nan
    seen = [], []
    options = {"epochs": 3, "batch_size": 5, "verbose": 0, "shuffle": False}
    mine = compiled().fit(x, y, callbacks=[TerminateOnNaN(), record(Callback, seen[0])], **options)
    theirs = compiled(keras).fit(
        x,
        y,
        callbacks=[keras.callbacks.TerminateOnNaN(), record(keras.callbacks.Callback, seen[1])],
        **options,
    )
    assert seen[0] == seen[1] == [0, 1, 2]
    assert mine.epoch == theirs.epoch == [0]
    assert np.isnan(mine.history["loss"][0])
    assert "Batch 2: the loss is nan" in capsys.readouterr().out


def test_it_raises_where_asked(compiled, data):
    ended = []
    callbacks = [TerminateOnNaN(raise_error=True), LambdaCallback(on_train_end=ended.append)]
    with pytest.raises(RuntimeError, match="the loss is nan at batch 0"):
        compiled().fit(data[0] * np.nan, data[1], verbose=0, callbacks=callbacks)
    assert ended == []


@pytest.mark.parametrize("loss", [float("inf"), float("-inf"), float("nan")])
def test_it_looks_at_the_ends_of_epochs_too(play, loss):
    model, last = play(TerminateOnNaN(), [1.0, loss, 1.0], "loss")
    assert model.stop_training and last == 1
    assert play(TerminateOnNaN(), [1.0, None], "loss")[1] == 1
