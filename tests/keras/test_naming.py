import os

os.environ["KERAS_BACKEND"] = "torch"

import keras
import pytest

from elephas_torch.keras import layers, naming


@pytest.mark.parametrize("name", sorted(n for n in layers.__all__ if n[0].isupper()))
def test_snake_case_is_keras_s(name):
    assert naming.snake_case(name) == keras.src.utils.naming.to_snake_case(name)


def test_names_are_counted():
    naming.clear()
    assert [naming.auto_name("a"), naming.auto_name("a"), naming.auto_name("b")] == [
        "a",
        "a_1",
        "b",
    ]
    naming.clear()
    assert naming.auto_name("a") == "a"
