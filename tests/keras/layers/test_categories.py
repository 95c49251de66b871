import keras
import numpy as np
import pytest
import torch

from elephas_torch.keras import layers

NUMBERS = {
    (4,): [3, 2, 0, 1],
    (3, 1): [[1], [3], [0]],
    (3, 2): [[0, 1], [0, 0], [3, 2]],
}
CASES = [
    ("CategoryEncoding", {"num_tokens": 4, "output_mode": mode}, shape)
    for mode in ("multi_hot", "one_hot", "count")
    for shape in NUMBERS
]


@pytest.mark.parametrize(("name", "kwargs", "shape"), CASES)
def test_category_encoding_is_keras_s(name, kwargs, shape, close_to, same_config):
    mine, other = (getattr(of, name)(**kwargs) for of in (layers, keras.layers))
    numbers = np.array(NUMBERS[shape])
    close_to(mine(numbers), other(numbers))
    close_to(mine(NUMBERS[shape]), other(numbers))
    told = mine.compute_output_shape((None, *shape[1:]))
    if len(shape) == 1 or shape[-1] > 1 or kwargs["output_mode"] == "one_hot":
        assert told == tuple(other.compute_output_shape((None, *shape[1:])))
    assert mine(numbers).shape[1:] == told[1:]
    same_config(mine, other)


def test_counts_may_be_weighted(close_to):
    mine, other = (of.CategoryEncoding(4, "count") for of in (layers, keras.layers))
    numbers, weights = np.array(NUMBERS[3, 2]), np.array([[0.5, 1], [2, 0.25], [1, 1]], "float32")
    close_to(mine(numbers, count_weights=weights), other(numbers, count_weights=weights))
    assert layers.CategoryEncoding(4, "binary").output_mode == "multi_hot"


BINS = [
    {"bin_boundaries": [-0.5, 0.0, 1.0]},
    {"bin_boundaries": [0.0], "output_mode": "one_hot"},
    {"bin_boundaries": [-0.5, 0.0, 1.0], "output_mode": "multi_hot"},
    {"bin_boundaries": [-0.5, 0.0, 1.0], "output_mode": "count"},
]


@pytest.mark.parametrize("shape", [(5,), (5, 1), (3, 4)])
@pytest.mark.parametrize("kwargs", BINS)
def test_discretization_is_keras_s(kwargs, shape, close_to, same_config):
    mine, other = (of.Discretization(**kwargs) for of in (layers, keras.layers))
    x = np.random.default_rng(0).normal(size=shape).astype("float32")
    x.flat[:2] = [0.0, -0.5]  # on a boundary
    result, expected = mine(x), other(x)
    close_to(result, expected)
    assert result.dtype == expected.dtype
    told = mine.compute_output_shape((None, *shape[1:]))
    assert told == tuple(other.compute_output_shape((None, *shape[1:])))
    same_config(mine, other)


@pytest.mark.parametrize("kind", ["array", "batches"])
@pytest.mark.parametrize("epsilon", [0.01, 0.1])
@pytest.mark.parametrize("count", [7, 400])
def test_it_adapts_as_keras_s_does(count, epsilon, kind, close_to, same_config):
    data = np.random.default_rng(0).normal(size=(count, 1)).astype("float32")
    mine, other = (of.Discretization(num_bins=4, epsilon=epsilon) for of in (layers, keras.layers))
    parts = [data] if kind == "array" else np.array_split(data, 3)
    mine.adapt(data if kind == "array" else parts)
    for part in parts:  # what its adapt() does, but that needs TensorFlow
        other.update_state(part)
    other.finalize_state()
    close_to(mine.bin_boundaries, other.bin_boundaries)
    assert np.array_equal(mine(data), other(data))
    back = layers.Discretization.from_config(other.get_config())
    assert np.array_equal(back(data), other(data))
    assert type(other).from_config(mine.get_config()).get_config() == mine.get_config()


def test_only_so_many_steps_are_looked_at():
    batches = [torch.arange(10.0), torch.arange(1000.0)]
    layer, few = layers.Discretization(num_bins=2), layers.Discretization(num_bins=2)
    layer.adapt(batches[:1])
    few.adapt(batches, steps=1)
    assert few.bin_boundaries == layer.bin_boundaries


def test_in_a_functional_model_bins_are_integers_for_an_embedding():
    inputs = layers.Input((2,))
    bins = layers.Discretization([0.0, 1.0])(inputs)
    assert bins.dtype == "int32"
    model = layers.Embedding(3, 4)(bins)
    assert model.shape == (None, 2, 4)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: layers.CategoryEncoding(), "CategoryEncoding: `num_tokens`"),
        (lambda: layers.CategoryEncoding(0), "num_tokens=0"),
        (lambda: layers.CategoryEncoding(3, "two_hot"), "Unknown output_mode: 'two_hot'"),
        (lambda: layers.CategoryEncoding(3, sparse=True), "sparse=True"),
        (lambda: layers.CategoryEncoding(3)([[1, 3]]), "takes numbers below num_tokens=3.*to 3"),
        (lambda: layers.CategoryEncoding(3)([[1]], count_weights=[[1]]), "'count' alone"),
        (lambda: layers.Discretization(), "either `bin_boundaries` or `num_bins`"),
        (lambda: layers.Discretization([1.0], 2), "either `bin_boundaries` or `num_bins`"),
        (lambda: layers.Discretization([1.0, 0.0]), "in rising order"),
        (lambda: layers.Discretization(["a"]), "must be numbers"),
        (lambda: layers.Discretization(num_bins=0), "num_bins=0"),
        (lambda: layers.Discretization(num_bins=2, epsilon=0), "epsilon=0"),
        (lambda: layers.Discretization([1.0], output_mode="x"), "Unknown output_mode: 'x'"),
        (lambda: layers.Discretization(num_bins=2)([1.0]), r"call adapt\(data\) first"),
        (lambda: layers.Discretization([1.0]).adapt([1.0]), r"that it was given\."),
    ],
)
def test_bad_arguments_are_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()
