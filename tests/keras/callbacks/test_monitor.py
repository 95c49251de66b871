"""What a callback says of a value that isn't there, and where."""

import numpy as np
import pytest

from elephas_torch.keras import Sequential
from elephas_torch.keras.callbacks import EarlyStopping, ModelCheckpoint, ReduceLROnPlateau
from elephas_torch.keras.layers import Dense

X = np.ones((8, 3), "float32")
Y = np.ones((8, 1), "float32")


def watched(callback, metrics=("accuracy",), **options):
    """Fits with the callback; returns its warning."""
    model = Sequential([Dense(1, activation="sigmoid", input_dim=3)])
    model.compile("sgd", "binary_crossentropy", metrics=list(metrics))
    with pytest.warns(UserWarning, match="which isn't there") as caught:
        model.fit(X, Y, verbose=0, callbacks=[callback], **options)
    (one,) = caught
    assert one.filename == __file__
    return str(one.message)


@pytest.mark.parametrize("kind", [EarlyStopping, ReduceLROnPlateau, ModelCheckpoint])
def test_the_near_name_is_told_at_the_line_of_fit(kind, tmp_path):
    place = {"filepath": tmp_path / "m.keras", "save_best_only": True}
    callback = kind(monitor="val_acc", **(place if kind is ModelCheckpoint else {}))
    message = watched(callback, validation_split=0.5)
    assert message.startswith(f"{kind.__name__} watches 'val_acc', which isn't there. Did you mean")
    assert "Did you mean 'val_accuracy'? There is: accuracy, loss, val_accuracy" in message


@pytest.mark.parametrize(
    ("monitor", "metrics", "hint"),
    [
        ("val_acc", ["binary_accuracy"], "mean 'val_binary_accuracy'?"),
        ("val_los", ["accuracy"], "mean 'val_loss'?"),
        ("acc", ["accuracy"], "mean 'accuracy'?"),
        ("acc", ["binary_accuracy", "accuracy"], "mean 'accuracy'?"),
    ],
)
def test_which_name_is_near(monitor, metrics, hint):
    assert hint in watched(EarlyStopping(monitor, mode="max"), metrics, validation_split=0.5)


def test_values_of_validation_need_validation():
    message = watched(EarlyStopping("val_loss"))
    assert "need rows to validate on: fit(validation_split=0.1), say." in message


def test_without_a_near_name_there_is_the_list():
    message = watched(EarlyStopping("zzz", mode="max"))
    assert message == "EarlyStopping watches 'zzz', which isn't there. There is: accuracy, loss."


@pytest.mark.parametrize(
    ("monitor", "hint"),
    [("val_los", " Did you mean 'val_loss'?"), ("los", " Did you mean 'loss'?"), ("zzz", "")],
)
def test_a_direction_that_nothing_tells_may_be_a_wrong_name(monitor, hint):
    model = Sequential([Dense(1, activation="sigmoid", input_dim=3)])
    model.compile("sgd", "binary_crossentropy", metrics=["accuracy"])
    with pytest.raises(ValueError, match="can't tell whether") as error:
        model.fit(X, Y, verbose=0, callbacks=[EarlyStopping(monitor)])
    assert f"should rise or fall.{hint} Pass mode='max' or mode='min'." in str(error.value)


def test_an_old_argument_is_told_at_its_line(tmp_path):
    with pytest.warns(DeprecationWarning, match="period=") as caught:
        ModelCheckpoint(tmp_path / "m.keras", period=2)
    assert caught[0].filename == __file__
