"""`ProgbarLogger` in loops of one's own."""

import pytest

from elephas_torch.keras.callbacks import CallbackList


def hooks(**params):
    return CallbackList(add_progbar=True, **params)


def test_steps_that_nobody_knows_are_counted(capsys):
    loop = hooks(epochs=1, verbose=2)
    loop.on_train_begin()
    loop.on_epoch_begin(0)
    for batch in range(7):
        loop.on_train_batch_end(batch, {"loss": 1.0})
    loop.on_epoch_end(0, {"loss": 1.0})
    assert capsys.readouterr().out.startswith("Epoch 1/1 - 7/7 - ")


@pytest.mark.parametrize("phase", ["test", "predict"])
def test_evaluation_and_prediction_are_shown(capsys, phase):
    loop = hooks(steps=2, verbose=2)
    getattr(loop, f"on_{phase}_begin")()
    for batch in range(2):
        getattr(loop, f"on_{phase}_batch_end")(batch, {"loss": 1.0})
    getattr(loop, f"on_{phase}_end")({"loss": 1.0})
    out = capsys.readouterr().out
    assert "2/2" in out and len(out.splitlines()) == 1
    assert ("loss: 1.0000" in out) == (phase == "test")


def test_validation_within_training_is_silent(capsys):
    loop = hooks(epochs=1, steps=1, verbose=2)
    loop.on_train_begin()
    loop.on_test_begin()
    loop.on_test_batch_end(0, {"loss": 1.0})
    loop.on_test_end({"loss": 1.0})
    assert capsys.readouterr().out == ""


def test_silence(capsys):
    loop = hooks(steps=1, verbose=0)
    loop.on_test_begin()
    loop.on_test_batch_end(0, {"loss": 1.0})
    loop.on_test_end({"loss": 1.0})
    assert capsys.readouterr().out == ""
