"""`ModelCheckpoint` saves when Keras's does."""

import keras
import numpy as np
import pytest

from elephas_torch.keras import models
from elephas_torch.keras.callbacks import EarlyStopping, LambdaCallback, ModelCheckpoint

CHECKPOINTS = [
    {},
    {"save_best_only": True},
    {"save_best_only": True, "mode": "max"},
    {"save_best_only": True, "mode": "min", "initial_value_threshold": 0.8},
]


@pytest.mark.parametrize("settings", CHECKPOINTS, ids=str)
def test_model_checkpoint_saves_when_keras_s_does(play, series, settings, tmp_path):
    path = str(tmp_path / "{epoch:02d}-{val_loss:.2f}.keras")
    model, _ = play(ModelCheckpoint(path, **settings), series, "val_loss")
    theirs, _ = play(keras.callbacks.ModelCheckpoint(path, **settings), series, "val_loss")
    assert model.saved == theirs.saved


def test_a_missing_value_is_told_and_the_model_saved_all_the_same(play, tmp_path):
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


@pytest.mark.parametrize("settings", [{"save_freq": 3}, {"save_freq": 7}, {"save_freq": 1}])
@pytest.mark.parametrize("best", [False, True])
def test_saving_at_batches_is_keras_s(compiled, data, tmp_path, settings, best):
    names = []
    for library, cls in ((None, ModelCheckpoint), (keras, keras.callbacks.ModelCheckpoint)):
        folder = tmp_path / cls.__module__
        path = folder / "{epoch}-{batch}.keras"
        saver = cls(str(path), "loss", save_best_only=best, mode="min", **settings)
        if library is keras:
            saver._set_monitor_op()  # Keras 3.15 fails without, before the first epoch's end
        options = {"epochs": 2, "batch_size": 5, "verbose": 0, "shuffle": False}
        compiled(library, rate=0.9).fit(*data, callbacks=[saver], **options)
        names.append(sorted(path.name for path in folder.iterdir()))
    assert names[0] == names[1]


def test_each_so_many_epochs_as_keras_2_had_it(play, tmp_path):
    with pytest.warns(DeprecationWarning, match="period"):
        saver = ModelCheckpoint(tmp_path / "{epoch}.keras", period=2)
    model, _ = play(saver, [1.0] * 5, "val_loss")
    assert [path[-7:] for path in model.saved] == ["2.keras", "4.keras"]


def test_stopping_and_saving_for_real(compiled, data, tmp_path, capsys):
    model = compiled()
    path = tmp_path / "new" / "best-{epoch}.keras"
    saver = ModelCheckpoint(path, monitor="loss", save_best_only=True, verbose=1)
    stopper = EarlyStopping("loss", min_delta=100, restore_best_weights=True)
    worse = LambdaCallback(on_epoch_end=lambda epoch, logs: logs.update(loss=5 + epoch))
    model.fit(*data, epochs=5, verbose=0, shuffle=False, callbacks=[worse, saver, stopper])
    assert stopper.stopped_epoch == 1
    assert [p.name for p in sorted(path.parent.iterdir())] == ["best-1.keras"]
    first = models.load_model(path.parent / "best-1.keras")
    for saved, kept in zip(first.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(saved, kept)
    out = capsys.readouterr().out
    assert "Epoch 1: saved to" in out
    assert "Epoch 2: loss did not improve from 5.0" in out


@pytest.mark.parametrize("name", ["m.weights.h5", "m.hdf5", "m.safetensors"])
def test_saving_weights_only(compiled, data, tmp_path, name):
    model, fresh = compiled(), compiled()
    path = tmp_path / name
    model.fit(*data, verbose=0, callbacks=[ModelCheckpoint(path, save_weights_only=True)])
    fresh.load_weights(path)
    np.testing.assert_array_equal(fresh.get_weights()[0], model.get_weights()[0])


def test_a_field_that_isn_t_there_is_named(compiled, data, tmp_path):
    saver = ModelCheckpoint(tmp_path / "{val_acuracy}.keras")
    with pytest.raises(KeyError, match=r"'val_acuracy'. There is: epoch, loss, mae"):
        compiled().fit(*data, verbose=0, callbacks=[saver])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"mode": "mn"}, "Unknown ModelCheckpoint mode: 'mn'"),
        ({"save_freq": 0}, "save_freq=0"),
        ({"save_freq": "batch"}, "save_freq='batch'"),
        ({"save_freq": True}, "save_freq=True"),
        ({"save_weights_only": True}, "must end in '.h5' or '.hdf5' or '.safetensors'.*m.keras"),
        ({"filepath": "m.pt"}, "must end in '.keras' or '.h5'.*m.pt"),
    ],
)
def test_wrong_settings_are_named(settings, message):
    with pytest.raises(ValueError, match=message):
        ModelCheckpoint(**{"filepath": "m.keras", **settings})


def test_unknown_arguments_are_named():
    with pytest.raises(TypeError, match=r"'save_best'. Did you mean 'save_best_only'"):
        ModelCheckpoint("m.keras", save_best=True)
