"""Keras's classes of operations: found by looking at Keras."""

import importlib

import keras
import pytest

from elephas_torch.keras import ops
from elephas_torch.keras.ops import names

SYMBOLIC = sorted(
    name
    for name in [*vars(ops), *ops.image.__all__]
    if hasattr(getattr(ops, name), "tensor_arguments")
    and (hasattr(keras.ops, name) or hasattr(keras.ops.image, name))
)
#: Keras computes these with another operation, or has the same under two names.
OTHERS = {"cast", "saturate_cast", "array", "copy", "jvp", "size", "moments", "unravel_index"}


@pytest.mark.parametrize("name", SYMBOLIC)
def test_the_class_is_there_and_names_the_function(name):
    function = getattr(ops, name).__name__.lstrip("_")
    module, cls = names.keras_class(function)
    found = getattr(importlib.import_module(module), cls, None)
    assert found is not None or function in OTHERS
    assert function == "extract_patches_3d" or names.function_of(cls) == function
