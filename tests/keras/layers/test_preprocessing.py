import keras
import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

from elephas_torch import keras as ours
from elephas_torch.keras import layers, models

CASES = [
    ("Normalization", {"mean": 3.0, "variance": 2.0}, (3, 4)),
    ("Normalization", {"mean": [1.0, 2.0, 0.0, 4.0], "variance": [1.0, 2.0, 0.0, 0.5]}, (2, 3, 4)),
    ("Normalization", {"mean": 1.0, "variance": 4.0, "invert": True}, (3, 4)),
    ("Normalization", {"axis": None, "mean": 1.0, "variance": 4.0}, (3, 4)),
    ("Normalization", {"axis": (1, 2), "mean": [1.0, 2.0], "variance": [1.0, 4.0]}, (2, 3, 2)),
    ("Normalization", {"axis": 1}, (2, 3, 4)),
    ("Normalization", {"axis": (2, 1), "invert": True}, (2, 3, 4)),
    ("Rescaling", {"scale": 1 / 255}, (3, 4)),
    ("Rescaling", {"scale": 0.5, "offset": -1.0}, (2, 3, 4)),
    ("Rescaling", {"scale": [1.0, 2.0, 3.0], "offset": [0.5, 0.0, -1.0]}, (2, 2, 2, 3)),
]


@pytest.mark.parametrize(("name", "kwargs", "shape"), CASES)
def test_is_keras_s(same, name, kwargs, shape):
    same(name, shape=shape, **kwargs)


def rows(shape):
    return (np.random.default_rng(0).normal(size=shape) * 4 + 2).astype("float32")


SHAPES = [(-1, (20, 3)), (None, (20, 3)), (1, (20, 3, 4)), ((1, 2), (20, 3, 4)), (-1, (9, 3, 3, 2))]


@pytest.mark.parametrize("invert", [False, True])
@pytest.mark.parametrize(("axis", "shape"), SHAPES)
def test_it_adapts_as_keras_s_does(axis, shape, invert, close_to, same_config):
    data = rows(shape)
    mine, other = (of.Normalization(axis=axis, invert=invert) for of in (layers, keras.layers))
    mine.adapt(data)
    other.adapt(data)
    for a, b in zip(mine.get_weights(), other.get_weights(), strict=True):
        close_to(a, b)
    close_to(mine(data), other(data))
    for name in ("mean", "variance"):
        close_to(getattr(mine, name), getattr(other, name))
    same_config(mine, other)


def batches(kind):
    data = torch.tensor(rows((23, 3)))
    dataset = TensorDataset(data, torch.ones(23))
    return {
        "tensor": data,
        "float64": data.double().numpy(),
        "batches": list(data.split(5)),
        "pairs": [(one.numpy(), None) for one in data.split(7)],
        "generator": (one for one in data.split(4)),
        "dataset": dataset,
        "loader": DataLoader(dataset, batch_size=6),
    }[kind]


@pytest.mark.parametrize(
    "kind", ["tensor", "float64", "batches", "pairs", "generator", "dataset", "loader"]
)
def test_it_adapts_to_data_of_every_kind(kind):
    layer = layers.Normalization()
    layer.adapt(batches(kind))
    np.testing.assert_allclose(layer.adapt_mean, rows((23, 3)).mean(0), rtol=1e-5)
    np.testing.assert_allclose(layer.adapt_variance, rows((23, 3)).var(0), rtol=1e-5)


@pytest.mark.filterwarnings("error")
def test_it_adapts_to_arrays_that_cant_be_written_to():
    given = rows((23, 3)).astype("float64")
    given.flags.writeable = False
    layer = layers.Normalization()
    layer.adapt(given)
    np.testing.assert_allclose(layer.adapt_mean, given.mean(0), rtol=1e-5)


def test_adapting_again_begins_anew():
    layer = layers.Normalization()
    layer.adapt(rows((20, 3)) + 5)
    layer.adapt(rows((20, 3)))
    np.testing.assert_allclose(layer.adapt_mean, rows((20, 3)).mean(0), rtol=1e-5)


def test_integers_and_lists_are_taken_and_masks_go_on():
    layer = layers.Normalization(mean=1.0, variance=4.0)
    assert layer([[3, 5]]).tolist() == [[1.0, 2.0]]
    assert layer(torch.tensor([[3, 5]])).tolist() == [[1.0, 2.0]]
    assert layers.Rescaling(0.5)(np.array([[2, 4]], "uint8")).tolist() == [[1.0, 2.0]]
    masked = layers.Masking()(torch.ones(2, 3, 4))
    assert layer.from_config(layer.get_config())(masked)._keras_mask.all()


def test_in_a_model_its_state_is_saved_and_travels_to_keras(tmp_path):
    layer = layers.Normalization()
    layer.adapt(rows((20, 3)))
    model = ours.Sequential([layers.Input((3,)), layer, layers.Dense(2)])
    model.compile("sgd", "mse")
    model.fit(rows((8, 3)), rows((8, 2)), verbose=0)
    assert [w.shape for w in model.trainable_weights] == [(3, 2), (2,)]
    expected = model.predict(rows((4, 3)), verbose=0)
    model.save(tmp_path / "m.keras")
    for of in (models, keras.models):
        back = of.load_model(tmp_path / "m.keras")
        np.testing.assert_allclose(back.predict(rows((4, 3)), verbose=0), expected, rtol=1e-5)
    back.save(tmp_path / "k.keras")
    again = models.load_model(tmp_path / "k.keras")
    np.testing.assert_allclose(again.predict(rows((4, 3)), verbose=0), expected, rtol=1e-5)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: layers.Normalization(axis="x"), "Normalization: `axis`"),
        (lambda: layers.Normalization(mean=1.0), "both be given or none.*variance=None"),
        (lambda: layers.Normalization(mean=[1.0], variance=1.0), "of one shape"),
        (lambda: layers.Normalization(mean=[[1.0]], variance=[[1.0]]), "at most as many axes"),
        (lambda: layers.Normalization(mean="a", variance="b"), "must be numbers"),
        (lambda: layers.Normalization(axis=2).build((None, 3)), "no axis 2 beside the batch"),
        (lambda: layers.Normalization().build((None, None)), "must know the length of axis 1"),
        (lambda: layers.Normalization().adapt([]), "received no batches"),
        (lambda: layers.Normalization(mean=1.0, variance=1.0).adapt(rows((3, 2))), "was given"),
        (lambda: layers.Normalization().adapt([rows((3, 2)), rows((3, 4))]), r"\(None, 4\)"),
        (lambda: layers.Rescaling("big"), "Rescaling: `scale` must be a number.*scale='big'"),
        (lambda: layers.Rescaling(1, None), "offset=None"),
    ],
)
def test_bad_arguments_are_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize("data", [3, "rows", {"a": 1}, None])
def test_data_of_another_kind_is_named(data):
    with pytest.raises(TypeError, match=f"`adapt` takes an array.*{type(data).__name__}"):
        layers.Normalization().adapt(data)
