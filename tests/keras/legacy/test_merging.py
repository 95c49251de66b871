"""Keras 1's Merge and merge."""

import numpy as np
import pytest

from elephas_torch.keras import layers, models
from elephas_torch.keras.layers import Merge, merge

X = [np.random.default_rng(n).normal(size=(4, 3)).astype("float32") for n in range(2)]
COSINE = (X[0] * X[1]).sum(1) / np.linalg.norm(X[0], axis=1) / np.linalg.norm(X[1], axis=1)
MODES = [
    ("sum", {}, X[0] + X[1], r"Add\(\)"),
    ("mul", {}, X[0] * X[1], r"Multiply\(\)"),
    ("ave", {}, (X[0] + X[1]) / 2, r"Average\(\)"),
    ("max", {}, np.maximum(*X), r"Maximum\(\)"),
    ("concat", {}, np.concatenate(X, -1), r"Concatenate\(axis=-1\)"),
    ("concat", {"concat_axis": 1}, np.concatenate(X, 1), r"Concatenate\(axis=1\)"),
    ("dot", {"dot_axes": 1}, (X[0] * X[1]).sum(1, keepdims=True), r"Dot\(axes=1\)"),
    ("dot", {"dot_axes": ([1], [1])}, (X[0] * X[1]).sum(1, keepdims=True), r"axes=\(1, 1\)"),
    ("cos", {"dot_axes": 1}, COSINE[:, None], r"Dot\(axes=1, normalize=True\)"),
]


@pytest.mark.parametrize(("mode", "kwargs", "expected", "today"), MODES)
def test_tensors(mode, kwargs, expected, today):
    starts = [layers.Input((3,)), layers.Input((3,))]
    with pytest.warns(DeprecationWarning, match=today) as caught:
        end = merge(starts, mode=mode, **kwargs)
    assert (len(caught), caught[0].filename) == (1, __file__)
    found = models.Model(starts, end).predict(X, verbose=0)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
    with pytest.warns(DeprecationWarning, match=today):
        layer = Merge(mode=mode, **kwargs)
    np.testing.assert_allclose(layer([*map(layers.Activation("linear"), X)]), found, rtol=1e-6)


@pytest.mark.parametrize(("mode", "kwargs", "expected", "today"), MODES)
def test_models(mode, kwargs, expected, today):
    parts = [models.Sequential([layers.Activation("linear", input_shape=(3,))]) for _ in X]
    with pytest.warns(DeprecationWarning, match=today):
        joined = Merge(parts, mode=mode, **kwargs)
    found = models.Sequential([joined]).predict(X, verbose=0)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def test_keras_2_s_module_of_this_name_may_be_called_as_keras_1_s_function():
    import elephas_torch.keras.layers.merge as module

    assert layers.merge is module
    with pytest.warns(DeprecationWarning, match="use Add") as caught:
        end = layers.merge([layers.Input((3,)), layers.Input((3,))], mode="sum")
    assert (end.shape, len(caught)) == ((None, 3), 1)


def test_functions():
    starts = [layers.Input((3,)), layers.Input((3,))]
    with pytest.warns(DeprecationWarning, match="Lambda"):
        end = merge(starts, mode=lambda x: x[0] - x[1], output_shape=(3,))
    assert end.shape == (None, 3)
    np.testing.assert_allclose(models.Model(starts, end).predict(X, verbose=0), X[0] - X[1])


def test_layers_names_and_merged_models_within():
    with pytest.warns(DeprecationWarning):
        inner = Merge(
            [layers.Dense(2, input_dim=3), layers.Embedding(5, 2, input_shape=(1,))],
            mode=lambda x: x[0] + x[1][:, 0], output_shape=(2,), name="inner",
        )  # fmt: skip
        first = models.Sequential([inner, layers.Dense(3)])
        outer = Merge([first, layers.Activation("linear", input_shape=(3,))], mode="sum")
    model = models.Sequential([outer])
    assert [one.shape for one in model.inputs] == [(None, 3), (None, 1), (None, 3)]
    assert inner.get_layer("inner").name == "inner"
    words = np.array([[0], [1], [2], [4]])
    found = model.predict([X[0], words, X[1]], verbose=0)
    kernel, bias, table, last, end = model.get_weights()
    expected = (X[0] @ kernel + bias + table[words[:, 0]]) @ last + end + X[1]
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def test_a_mode_that_there_is_not():
    with pytest.raises(ValueError, match="Unknown mode of Merge: 'summ'"):
        Merge(mode="summ")
