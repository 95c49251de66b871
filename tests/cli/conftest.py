"""A saved model, rows in files, and the command line in this process."""

import numpy as np
import pytest

from elephas_torch.cli.main import main
from elephas_torch.keras.layers import BatchNormalization, Dense
from elephas_torch.keras.models import Sequential

CONFIG = """
[data]
file = "rows.csv"
label = "kind"

[[model.layers]]
class = "Dense"
units = 8
activation = "relu"
kernel_regularizer = {class = "L2", l2 = 0.001}

[[model.layers]]
class = "Dense"
units = 3
activation = "softmax"

[compile]
optimizer = {class = "Adam", learning_rate = 0.05}
loss = "sparse_categorical_crossentropy"
metrics = ["accuracy"]

[spark_model]
mode = "synchronous"
frequency = "batch"
num_workers = 2

[fit]
epochs = 4
verbose = 0

[spark]
master = "local[2]"
conf.spark.ui.enabled = false

[output]
file = "trained.keras"
"""


@pytest.fixture
def command(capfd):
    """Runs a command; returns the exit code, what it prints, and its errors."""

    def run(*arguments):
        try:
            code = main([str(one) for one in arguments])
        except SystemExit as error:
            code = error.code
        return code, *capfd.readouterr()

    return run


@pytest.fixture
def model_file(tmp_path):
    model = Sequential([Dense(8), BatchNormalization(), Dense(3, activation="softmax")])
    model.build((None, 4))
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.save(tmp_path / "model.keras")
    return tmp_path / "model.keras"


@pytest.fixture(scope="session")
def rows():
    made = np.random.default_rng(0)
    y = made.integers(3, size=240)
    return (made.normal(size=(240, 4)) + 4 * np.eye(4)[y]).astype(np.float32), y


@pytest.fixture
def config(tmp_path, rows):
    """A configuration that is right, and its rows as .csv, .npz and .libsvm beside it."""
    x, y = rows
    lines = [",".join([*map(str, one), str(kind)]) for one, kind in zip(x, y, strict=True)]
    (tmp_path / "rows.csv").write_text("\n".join(["a,b,c,d,kind", *lines]) + "\n")
    np.savez(tmp_path / "rows.npz", x=x, y=y)
    spaced = [
        f"{kind} " + " ".join(f"{n}:{v}" for n, v in enumerate(one, 1))
        for one, kind in zip(x, y, strict=True)
    ]
    (tmp_path / "rows.libsvm").write_text("\n".join(spaced) + "\n")
    (tmp_path / "config.toml").write_text(CONFIG)
    return tmp_path / "config.toml"
