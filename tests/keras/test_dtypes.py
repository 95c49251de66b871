"""Names of dtypes and promotion, against Keras 3's."""

import itertools

import keras
import numpy as np
import pytest
import torch

from elephas_torch.keras import dtypes

NAMES = ["bool", "uint8", "int8", "int16", "int32", "bfloat16", "float16", "float32", "complex64"]


@pytest.mark.parametrize(
    "dtype",
    [*NAMES, "float64", None, float, int, bool, torch.float16, np.float32, np.dtype("int8"), "half",
     "float", "int"],
    ids=str,
)  # fmt: skip
def test_names(dtype):
    expected = (
        {"half": "float16", "float": "float32"}.get(dtype) if isinstance(dtype, str) else None
    )
    assert dtypes.name(dtype) == (expected or keras.backend.standardize_dtype(dtype))


@pytest.mark.parametrize("pair", list(itertools.combinations([*NAMES, int, float], 2)), ids=str)
def test_promotion(pair):
    assert dtypes.result_type(*pair) == keras.backend.result_type(*pair)


def test_long_types_stay_long():
    assert dtypes.result_type("float64", "float32") == "float64"
    assert dtypes.result_type("int64", "int32") == "int64"
    assert dtypes.result_type("int64", float) == "float32"


@pytest.mark.parametrize("dtype", ["flaot32", object(), "string", np.dtype("U3")], ids=type)
def test_what_is_no_dtype(dtype):
    with pytest.raises(ValueError, match="Unknown dtype"):
        dtypes.name(dtype)


def test_kinds():
    assert dtypes.is_float("bfloat16") and not dtypes.is_float("int8")
    assert dtypes.is_integer("uint8") and not dtypes.is_integer("bool")


def test_numbers_join_their_device():
    x = dtypes.tensor([1, 2], device="meta")
    assert x.device.type == "meta" and dtypes.tensor(1.0, device="meta").device.type == "meta"


def test_arrays_that_torch_cannot_share():
    frozen = np.ones(3)
    frozen.flags.writeable = False
    made = dtypes.tensor(frozen)
    made += 1
    assert frozen.tolist() == [1, 1, 1]
