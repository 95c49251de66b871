import os

os.environ["KERAS_BACKEND"] = "torch"

import keras
import pytest

from elephas_torch import keras as ours
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


NAMED = {
    "layer": lambda library, name: library.layers.Dense(2, name=name),
    "input": lambda library, name: library.Input((2,), name=name),
    "input layer": lambda library, name: library.layers.InputLayer((2,), name=name),
    "sequential": lambda library, name: library.Sequential(name=name),
    "functional": lambda library, name: library.Model(*[library.Input((2,))] * 2, name=name),
}


@pytest.mark.parametrize("kind", NAMED)
def test_names_with_a_slash_are_refused_as_keras_does(kind):
    with pytest.raises(ValueError, match="cannot contain character `/`"):
        NAMED[kind](keras, "a/b")
    with pytest.raises(ValueError, match=r"can't have a '/' in it; write 'a_b'.*name='a/b'"):
        NAMED[kind](ours, "a/b")
    assert NAMED[kind](ours, "a_b").name == "a_b"


def test_names_are_strings_and_the_class_is_named():
    with pytest.raises(TypeError, match=r"Dense: `name` must be a string.*name=5"):
        layers.Dense(2, name=5)
