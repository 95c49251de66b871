"""Checkpoints on a disk that is full."""

import logging
import os
import subprocess
import time

import numpy as np
import pytest
import torch

from elephas_torch.checkpoints import Checkpoints
from elephas_torch.keras.callbacks import Callback
from elephas_torch.keras.layers import Dense
from elephas_torch.keras.models import Sequential
from elephas_torch.spark_model import SparkModel
from elephas_torch.utils.rdd_utils import to_simple_rdd

#: What stays free: less than a checkpoint takes, so that it breaks off in the middle.
FREE = 12_288


@pytest.fixture
def disk(tmp_path):
    """A disk of 256 KB."""
    place = tmp_path / "disk"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(place)]
    if os.geteuid() or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("needs the right to mount a tmpfs of 256 KB")
    yield place
    subprocess.run(["umount", str(place)], check=True)


class Filling(Callback):
    """Fills a disk at the end of an epoch, once a checkpoint is there."""

    def __init__(self, disk, at):
        super().__init__()
        self.disk, self.at = disk, at

    def on_epoch_end(self, epoch, logs=None):
        if epoch == self.at:
            end = time.monotonic() + 20
            while not [*self.disk.glob("kept/?/manifest.json")] and time.monotonic() < end:
                time.sleep(0.02)
            found = os.statvfs(self.disk)
            (self.disk / "filler").write_bytes(bytes(found.f_bavail * found.f_bsize - FREE))


def fit(rdd, epochs, folder=None, callbacks=(), **more):
    torch.manual_seed(0)
    model = Sequential([Dense(256, activation="relu", input_shape=(4,)), Dense(3)])
    model.compile(optimizer="adam", loss="mse")
    spark_model = SparkModel(model, mode="synchronous", num_workers=2, batch_size=16, seed=1)
    history = spark_model.fit(
        rdd, epochs=epochs, verbose=0, callbacks=[*callbacks], checkpoint_dir=folder, **more
    )
    return history.epoch, np.concatenate([one.ravel() for one in model.get_weights()])


@pytest.mark.spark
def test_training_goes_on_and_the_checkpoint_before_stays(spark_context, disk, caplog, tried):
    tried("the checkpoints' disk full", "synchronous", "warnings; the checkpoint before is whole, "
          "and what goes on from it comes to the same weights")  # fmt: skip
    random = np.random.default_rng(0)
    x = random.standard_normal((64, 4)).astype("float32")
    rdd = to_simple_rdd(spark_context, x, x @ random.standard_normal((4, 3)), 2)
    folder = str(disk / "kept")
    with caplog.at_level(logging.WARNING):
        epochs, _ = fit(rdd, 5, folder, [Filling(disk, 2)])
    assert epochs == [0, 1, 2, 3, 4]
    assert "could not be written" in caplog.text and "No space left on device" in caplog.text
    names = {one.name for one in (disk / "kept").iterdir()}
    assert names and names <= {"a", "b"}, "what was begun is gone"
    caplog.clear()
    found = Checkpoints(spark_context, folder).read()
    assert found.fit["epochs"] in ([0], [0, 1]) and not caplog.text

    # The disk is still full: what can be read is read.
    expected = fit(rdd, 6)
    assert np.array_equal(fit(rdd, 6, folder, resume=True)[1], expected[1])
    (disk / "filler").unlink()
    again = fit(rdd, 6, folder, resume=True)
    assert again[0] == expected[0] and np.array_equal(again[1], expected[1])
    assert Checkpoints(spark_context, folder).read().fit["next"] == 6
