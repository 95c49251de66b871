"""`TensorBoard` writes what TensorBoard reads."""

import subprocess
import sys

import numpy as np
import pytest

from elephas_torch.keras import layers, models
from elephas_torch.keras.callbacks import TensorBoard

OPTIONS = {"epochs": 2, "batch_size": 5, "verbose": 0}


@pytest.fixture
def read(tmp_path):
    """`read("train")` gives what was written there, by kind and name."""
    accumulators = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")

    def events(part, folder=tmp_path):
        sizes = {"scalars": 0, "images": 0, "histograms": 0, "tensors": 0}
        return accumulators.EventAccumulator(str(folder / part), sizes).Reload()

    return events


def scalars(events):
    return {
        name: [(one.step, one.value) for one in events.Scalars(name)]
        for name in events.Tags()["scalars"]
    }


def assert_values(events, expected):
    steps, values = zip(*events, strict=True)
    assert steps == tuple(range(len(steps)))
    np.testing.assert_allclose(values, expected, rtol=1e-6)


def test_epochs_are_written_in_two_folders(compiled, data, tmp_path, read):
    model = compiled()
    callbacks = [TensorBoard(tmp_path)]
    history = model.fit(*data, validation_split=0.2, callbacks=callbacks, **OPTIONS).history
    training, validation = scalars(read("train")), scalars(read("validation"))
    assert set(training) == {"epoch_loss", "epoch_mae", "epoch_learning_rate"}
    assert_values(training["epoch_loss"], history["loss"])
    assert_values(training["epoch_mae"], history["mae"])
    assert_values(training["epoch_learning_rate"], [0.01, 0.01])
    assert_values(validation["epoch_loss"], history["val_loss"])
    evaluated = validation["evaluation_mae_vs_iterations"]
    assert [step for step, _ in evaluated] == [4, 8]
    np.testing.assert_allclose([v for _, v in evaluated], history["val_mae"], rtol=1e-6)


def test_without_validation_there_is_one_folder(compiled, data, tmp_path):
    compiled().fit(*data, callbacks=[TensorBoard(str(tmp_path / "logs"))], **OPTIONS)
    assert [path.name for path in (tmp_path / "logs").iterdir()] == ["train"]


def test_evaluate_writes(compiled, data, tmp_path, read):
    loss, _ = compiled().evaluate(*data, verbose=0, callbacks=[TensorBoard(tmp_path)])
    (event,) = scalars(read("validation"))["evaluation_loss_vs_iterations"]
    assert event == (0, pytest.approx(loss))


@pytest.mark.parametrize(
    ("update_freq", "steps"), [("batch", list(range(1, 11))), (4, [4, 8]), (11, [])]
)
def test_batches_are_written_each_so_many(compiled, data, tmp_path, read, update_freq, steps):
    board = TensorBoard(tmp_path, update_freq=update_freq, write_steps_per_second=True)
    history = compiled().fit(*data, callbacks=[board], **OPTIONS).history
    written = scalars(read("train"))
    for name in ("batch_loss", "batch_mae", "batch_steps_per_second"):
        assert [step for step, _ in written.get(name, [])] == steps
    if update_freq == "batch":
        assert written["batch_loss"][9][1] == pytest.approx(history["loss"][1])
    assert_values(written["epoch_loss"], history["loss"])
    assert all(value > 0 for _, value in written["epoch_steps_per_second"])


def test_weights_and_embeddings(tmp_path, read):
    model = models.Sequential(
        [layers.Embedding(6, 4, input_length=3, name="words"), layers.Flatten(), layers.Dense(2)]
    )
    model.compile("sgd", "mse")
    (tmp_path / "words.tsv").write_text("\n".join("abcdef"))
    board = TensorBoard(
        tmp_path,
        histogram_freq=2,
        write_images=True,
        embeddings_freq=1,
        embeddings_metadata={"words": tmp_path / "words.tsv"},
    )
    x = np.arange(15).reshape(5, 3) % 6
    model.fit(x, np.ones((5, 2)), callbacks=[board], epochs=3, verbose=0)
    events = read("train")
    tags = [f"{layer.name}/" for layer in model.layers if layer.weights]
    for kind in ("histograms", "images"):
        names = events.Tags()[kind]
        assert len(names) == 3
        assert all(any(name.startswith(tag) for tag in tags) for name in names)
    histogram = next(name for name in events.Tags()["histograms"] if name.startswith("words"))
    assert [one.step for one in events.Histograms(histogram)] == [0, 2]
    projector = (tmp_path / "train" / "projector_config.pbtxt").read_text()
    assert projector.count("words") >= 3
    (table,) = (tmp_path / "train").glob("00002/*/tensors.tsv")
    assert len(table.read_text().splitlines()) == 6


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"update_freq": 0}, "update_freq=0"),
        ({"update_freq": "batches"}, "update_freq='batches'"),
        ({"histogram_freq": -1}, "histogram_freq=-1"),
        ({"embeddings_freq": 0.5}, "embeddings_freq=0.5"),
        ({"profile_batch": (2, 3)}, r"torch.profiler.*profile_batch=\(2, 3\)"),
    ],
)
def test_wrong_settings_are_named(settings, message):
    with pytest.raises(ValueError, match=message):
        TensorBoard(**settings)


def test_arguments_of_keras_2_are_taken_and_others_named():
    pytest.importorskip("tensorboard")
    assert TensorBoard("logs", batch_size=32, write_grads=True).log_dir == "logs"
    with pytest.raises(TypeError, match=r"'logdir'. Did you mean 'log_dir'"):
        TensorBoard(logdir="logs")


def test_the_extra_is_named_where_it_is_missing():
    code = (
        "import sys; sys.modules['tensorboard'] = None\n"
        "from elephas_torch.keras.callbacks import TensorBoard\n"
        "TensorBoard()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "ImportError: TensorBoard needs the package `tensorboard`" in done.stderr
    assert 'pip install "elephas-torch[tensorboard]"' in done.stderr
