import keras
import numpy as np
import pytest
import torch

from elephas_torch.keras import layers

CASES = [
    ("Masking", {}, (3, 4)),
    ("Masking", {}, (2, 3, 4)),
    ("Masking", {"mask_value": 0.5}, (2, 3, 2, 4)),
]


@pytest.mark.parametrize(("name", "kwargs", "shape"), CASES)
def test_is_keras_s(same, name, kwargs, shape):
    same(name, shape=shape, **kwargs)


@pytest.mark.parametrize("value", [0.0, -1, 2.5])
def test_masked_steps_are_keras_s(value):
    x = np.random.default_rng(0).normal(size=(3, 4, 2)).astype("float32")
    x[0, 1], x[1, 2:], x[2, 0, 0] = value, value, value
    ours, theirs = (of.Masking(value)(torch.tensor(x)) for of in (layers, keras.layers))
    assert torch.equal(ours, theirs)
    assert torch.equal(ours._keras_mask, theirs._keras_mask)
    assert ours._keras_mask.tolist()[0] == [True, False, True, True]
    assert ours[0, 1].tolist() == [0.0, 0.0]
    assert ours._keras_mask[2].all()


def test_an_earlier_mask_is_replaced_as_in_keras():
    first = layers.Masking(1.0)(torch.tensor([[[1.0], [2.0], [0.0]]]))
    assert layers.Masking()(first)._keras_mask.tolist() == [[False, True, False]]


def test_a_tensor_of_one_number_will_do():
    theirs = keras.layers.Masking(torch.tensor(2.0))
    assert layers.Masking(torch.tensor(2.0)).mask_value == 2.0
    config = keras.saving.serialize_keras_object(theirs)["config"]
    assert layers.Masking.from_config(config).mask_value == 2.0


@pytest.mark.parametrize("value", ["0", None, torch.ones(2)])
def test_what_is_no_number_is_an_error(value):
    with pytest.raises(ValueError, match="Masking: `mask_value` must be a number"):
        layers.Masking(value)
