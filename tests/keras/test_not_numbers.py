"""Arrays of strings, objects and times: the message says how to make numbers of them."""

import numpy as np
import pytest
import torch

from elephas_torch.keras import Sequential, layers
from elephas_torch.keras.not_numbers import advice
from elephas_torch.keras.utils import pad_sequences


def objects(*values):
    made = np.empty(len(values), object)
    made[:] = values
    return made


@pytest.mark.parametrize(
    ("array", "says"),
    [
        (np.array(["cat", "dog"]), "np.unique"),
        (np.array([b"cat"]), "np.unique"),
        (objects("cat", 3), "np.unique"),
        (objects(1, None), "fill them in"),
        (objects([1, 2, 3], [1]), "pad_sequences"),
        (objects(np.ones(2), np.ones(3)), "pad_sequences"),
        (objects(1, 2.5), r".astype('float32')"),
        (np.array(["2020-01-01"], "datetime64[D]"), "np.timedelta64"),
        (np.array([3], "timedelta64[s]"), "np.timedelta64"),
    ],
)
def test_what_to_do(array, says):
    assert says in advice(array)
    for layer in (layers.Dense(2, name="d"), Sequential([layers.Dense(2)], name="d")):
        with pytest.raises(TypeError, match=r"^Layer 'd' .* takes numbers\. .*array of dtype"):
            layer(array)


@pytest.mark.parametrize("dtype", ["float32", "float64", "int8", "uint8", "bool", "float16"])
def test_numbers_need_nothing(dtype):
    array = np.ones((2, 3), dtype)
    assert advice(array) == ""
    assert layers.Dense(2)(array).dtype is torch.float32


def test_the_advice_helps():
    _, codes = np.unique(np.array(["dog", "cat", "dog"]), return_inverse=True)
    times = np.array(["2020-01-01", "2020-01-02"], "datetime64[D]")
    rows = pad_sequences(objects([1, 2, 3], [1]))
    seconds = (times - times.min()) / np.timedelta64(1, "s")
    for array in (codes, seconds, rows, objects(1, 2).astype("float32")):
        assert advice(array) == ""
