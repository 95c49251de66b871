"""`BackupAndRestore`: an interrupted fit comes to what it would have come to."""

import numpy as np
import pytest
import torch

from elephas_torch.errors import ModelFileError
from elephas_torch.keras import layers, models
from elephas_torch.keras import optimizers as my_optimizers
from elephas_torch.keras.callbacks import BackupAndRestore, Callback, LambdaCallback


class Interrupted(Exception):
    pass


class Interrupt(Callback):
    """Raises before the batch of this number, counted over all epochs."""

    def __init__(self, at):
        super().__init__()
        self.left = at

    def on_train_batch_begin(self, batch, logs=None):
        if self.left == 0:
            raise Interrupted
        self.left -= 1


def network(rate=0.01, units=3):
    torch.manual_seed(7)
    model = models.Sequential(
        [
            layers.Dense(units, activation="tanh", input_dim=4),
            layers.Dropout(0.3),
            layers.BatchNormalization(),
            layers.Dense(2),
        ]
    )
    model.compile(my_optimizers.Adam(rate), "mse", metrics=["mae"])
    return model


def fit(model, data, *callbacks, epochs=3):
    return model.fit(*data, epochs=epochs, batch_size=5, verbose=0, callbacks=list(callbacks))


@pytest.mark.parametrize(
    ("save_freq", "at", "resumed"),
    [
        ("epoch", 7, (1, 0)),  # 5 batches an epoch
        ("epoch", 10, (2, 0)),
        ("epoch", 3, None),
        (2, 7, (1, 1)),
        (3, 5, (0, 3)),
        (5, 11, (2, 0)),
        (7, 13, (1, 2)),
        (7, 14, (2, 4)),
        (1, 1, (0, 1)),
        (20, 14, None),
    ],
)
def test_the_end_is_the_same(data, tmp_path, save_freq, at, resumed):
    whole = network()
    expected = fit(whole, data).history
    folder = tmp_path / "backup"
    with pytest.raises(Interrupted):
        fit(network(), data, BackupAndRestore(folder, save_freq), Interrupt(at))
    model, backup, numbers = network(rate=0.5), BackupAndRestore(folder, save_freq), []
    if resumed is None:
        model.optimizer.learning_rate = 0.01
    record = LambdaCallback(on_train_batch_begin=lambda batch, logs: numbers.append(batch))
    history = fit(model, data, backup, record)
    epoch, batch = resumed or (0, 0)
    assert backup.resumed == resumed
    assert history.epoch == list(range(epoch, 3))
    assert len(numbers) == 15 - 5 * epoch - batch
    if batch < 5:
        assert numbers[0] == batch
    if resumed:
        assert model.optimizer.iterations == whole.optimizer.iterations == 15
        for one, other in zip(model.get_weights(), whole.get_weights(), strict=True):
            np.testing.assert_array_equal(one, other)
        for name, values in expected.items():
            assert history.history[name] == values[epoch:]
    assert not folder.exists()


def test_only_its_own_files_are_removed(data, tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    fit(network(), data, BackupAndRestore(tmp_path, double_checkpoint=True), epochs=3)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_files_may_be_kept(data, tmp_path):
    backup = BackupAndRestore(tmp_path, delete_checkpoint=False)
    fit(network(), data, backup, epochs=2)
    model = network()
    assert fit(model, data, backup, epochs=2).history == {}
    assert fit(model, data, backup, epochs=3).epoch == [2]


def test_the_state_before_is_taken_where_the_last_is_damaged(data, tmp_path):
    backup = BackupAndRestore(tmp_path, double_checkpoint=True, delete_checkpoint=False)
    fit(network(), data, backup, epochs=2)
    latest = tmp_path / "latest.safetensors"
    latest.write_bytes(latest.read_bytes()[:100])
    assert fit(network(), data, backup, epochs=2).epoch == [1]


@pytest.mark.parametrize("content", [b"", b"nonsense", b"\x02\0\0\0\0\0\0\0{}"])
def test_a_damaged_state_is_named(data, tmp_path, content):
    (tmp_path / "latest.safetensors").write_bytes(content)
    with pytest.raises(ModelFileError, match=r"latest.safetensors' is damaged .*Remove it"):
        fit(network(), data, BackupAndRestore(tmp_path))


def test_another_model_s_state_is_named(data, tmp_path):
    backup = BackupAndRestore(tmp_path, delete_checkpoint=False)
    fit(network(), data, backup, epochs=1)
    with pytest.raises(ModelFileError, match=r"another model's: it has 8 tensors.* Remove it"):
        fit(network(units=5), data, backup)
    other = network()
    other.compile(my_optimizers.SGD(0.1, momentum=0.9), "mse")
    with pytest.raises(ModelFileError, match="it has Adam, the model has SGD"):
        fit(other, data, backup)


def test_the_last_batch_s_state_goes_on_with_the_next_epoch(data, tmp_path):
    def fail(logs):
        raise Interrupted

    whole = network()
    options = {"epochs": 2, "batch_size": 5, "verbose": 0, "validation_data": data}
    whole.fit(*data, **options)
    callbacks = [BackupAndRestore(tmp_path, save_freq=5), LambdaCallback(on_test_begin=fail)]
    with pytest.raises(Interrupted):
        network().fit(*data, callbacks=callbacks, **options)
    model = network()
    assert model.fit(*data, callbacks=callbacks[:1], **options).epoch == [1]
    np.testing.assert_array_equal(model.get_weights()[0], whole.get_weights()[0])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("",), "`backup_dir` is empty"),
        (("b", "batch"), "save_freq='batch'"),
        (("b", 0), "save_freq=0"),
        (("b", "epoch", 2), "`double_checkpoint` must be True or False"),
    ],
)
def test_wrong_settings_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        BackupAndRestore(*arguments)
