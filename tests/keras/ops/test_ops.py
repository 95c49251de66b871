"""The namespace: names, arguments and namespaces are Keras's."""

import inspect

import keras
import pytest

from elephas_torch.keras import ops

LEFT_OUT = {"ctc_decode", "custom_gradient", "rearrange"}
#: activations are those of keras.activations, which take more
MORE = {"relu", "threshold"}


def functions(module):
    return {n for n in dir(module) if callable(getattr(module, n)) and not n.startswith("_")}


def test_every_function_of_keras_is_there():
    assert functions(keras.ops) - set(dir(ops)) == LEFT_OUT
    for name in ("nn", "linalg", "numpy"):
        assert functions(getattr(keras.ops, name)) - set(dir(getattr(ops, name))) <= LEFT_OUT | {
            "jvp"
        }


@pytest.mark.parametrize("name", sorted(functions(keras.ops) - LEFT_OUT))
def test_arguments_and_defaults_are_keras_s(name):
    ours = list(inspect.signature(getattr(ops, name)).parameters.values())
    theirs = list(inspect.signature(getattr(keras.ops, name)).parameters.values())
    theirs = [p for p in theirs if p.kind is not p.VAR_KEYWORD]
    ours = [p for p in ours if p.kind is not p.VAR_KEYWORD][: len(theirs)]
    assert [p.name for p in ours] == [p.name for p in theirs]
    assert [p.default for p in ours if name not in DEFAULTS] == [
        p.default for p in theirs if name not in DEFAULTS
    ]


#: Ours has a default where Keras's default means the same.
DEFAULTS = {"select", "multi_hot"}


@pytest.mark.parametrize("name", sorted(LEFT_OUT))
def test_what_is_left_out_says_what_to_use(name):
    with pytest.raises(AttributeError, match=rf"keras\.ops\.{name} isn't there"):
        getattr(ops, name)


def test_an_unknown_name_has_the_nearest():
    with pytest.raises(AttributeError, match="Did you mean 'matmul'"):
        ops.matmull  # noqa: B018
