import keras
import numpy as np
import pytest
import torch

from elephas_torch import keras as ours
from elephas_torch.keras import layers, models, serialization


def doubled(x):
    return 2 * x


def powered(x, exponent=2):
    return x**exponent


def halves(x):
    return [x[:, : x.shape[1] // 2], x[:, x.shape[1] // 2 :]]


CASES = [
    (doubled, {}, (3, 4)),
    (powered, {"arguments": {"exponent": 3}}, (2, 3, 4)),
    (doubled, {"output_shape": (3, 4)}, (2, 3, 4)),
    (lambda x: x.sum(-1), {}, (2, 3, 4)),
    (lambda x: x[:, ::2], {"output_shape": lambda shape: (shape[0], 2)}, (3, 4)),
]


@pytest.mark.parametrize(("function", "kwargs", "shape"), CASES)
def test_is_keras_s(function, kwargs, shape, close_to):
    mine, other = (of.Lambda(function, **kwargs) for of in (layers, keras.layers))
    x = torch.randn(shape)
    close_to(mine(x), other(x))
    told = mine.compute_output_shape((None, *shape[1:]))
    assert told == tuple(other.compute_output_shape((None, *shape[1:])))
    assert (None, *mine(x).shape[1:]) == tuple(told)


def test_it_takes_and_gives_trees():
    layer = layers.Lambda(halves)
    first, second = layer(torch.arange(4.0).reshape(1, 4))
    assert (first.tolist(), second.tolist()) == ([[0.0, 1.0]], [[2.0, 3.0]])
    assert layer.compute_output_shape((None, 4)) == [(None, 2), (None, 2)]
    both = layers.Lambda(lambda xs: xs[0] + xs[1])
    assert both([torch.ones(2, 3), torch.ones(2, 3)]).tolist() == [[2.0] * 3] * 2
    named = layers.Lambda(lambda x: {"a": x, "b": x[:, :1]}, output_shape={"a": (3,), "b": (1,)})
    assert named.compute_output_shape((None, 3)) == {"a": (None, 3), "b": (None, 1)}
    assert layers.Lambda(halves, output_shape=[(2,), (2,)]).compute_output_shape((None, 4)) == [
        (None, 2),
        (None, 2),
    ]


def test_in_a_functional_model_lengths_that_differ_stay_unknown():
    inputs = layers.Input((None, 3))
    outputs = layers.Lambda(lambda x: x[:, :-1])(inputs)
    assert outputs.shape == (None, None, 3)
    model = models.Model(inputs, outputs)
    assert model(torch.ones(2, 5, 3)).shape == (2, 4, 3)


def test_a_function_may_take_the_mode_and_the_mask():
    def told(x, mask=None, training=None):
        return x + (10 if training else 0) + mask[..., None].float()

    layer = layers.Lambda(told, mask=lambda x, mask: ~mask)
    x = layers.Masking()(torch.tensor([[[1.0], [0.0]]]))
    assert layer(x, training=True).flatten().tolist() == [12.0, 10.0]
    outputs = layer(x)
    assert outputs.flatten().tolist() == [2.0, 0.0]
    assert outputs._keras_mask.tolist() == [[False, True]]


def test_without_a_mask_of_its_own_a_mask_ends_here_as_in_keras():
    with pytest.warns(UserWarning, match=r"\(Lambda\) knows nothing of masks"):
        outputs = layers.Lambda(doubled)(layers.Masking()(torch.ones(1, 2, 3)))
    assert not hasattr(outputs, "_keras_mask")


def test_a_registered_function_travels_by_name(same_config):
    config = layers.Lambda(powered, arguments={"exponent": 3}, name="p").get_config()
    assert config["function"]["config"] == "powered"
    for custom in (serialization.custom_object_scope, keras.saving.custom_object_scope):
        with custom({"powered": powered}):
            of = layers if custom is serialization.custom_object_scope else keras.layers
            back = of.Lambda.from_config(dict(config))
        assert back(torch.tensor([2.0])).tolist() == [8.0]
        assert back.name == "p"
    with pytest.raises(ValueError, match=r"Unknown function: 'powered'.*custom_objects"):
        layers.Lambda.from_config(config)
    back = layers.Lambda.from_config(config, custom_objects={"powered": powered})
    assert back.function is powered


def test_an_activation_travels_by_name():
    theirs = keras.layers.Lambda(keras.activations.relu, name="r").get_config()
    back = layers.Lambda.from_config(theirs)
    assert back(torch.tensor([-1.0, 1.0])).tolist() == [0.0, 1.0]


@pytest.mark.parametrize("of", [layers, keras.layers])
def test_code_is_refused_unless_it_is_trusted(of):
    offset = 3
    layer = of.Lambda(lambda x, by=2: x * by + offset, output_shape=lambda shape: shape)
    config = layer.get_config()
    assert config["function"]["class_name"] == "__lambda__"
    with pytest.raises(ValueError, match="safe_mode=False"):
        layers.Lambda.from_config(dict(config))
    back = layers.Lambda.from_config(dict(config), safe_mode=False)
    assert back(torch.ones(1, 2)).tolist() == [[5.0, 5.0]]
    assert back.compute_output_shape((None, 2)) == (None, 2)


def test_a_model_with_a_lambda_is_saved_and_only_opened_when_trusted(tmp_path):
    model = ours.Sequential([layers.Input((3,)), layers.Lambda(lambda x: x + 1), layers.Dense(2)])
    model.save(tmp_path / "m.keras")
    with pytest.raises(ValueError, match="safe_mode=False"):
        models.load_model(tmp_path / "m.keras")
    x = np.ones((2, 3), "float32")
    expected = model.predict(x, verbose=0)
    for of in (models, keras.models):
        back = of.load_model(tmp_path / "m.keras", safe_mode=False)
        np.testing.assert_allclose(back.predict(x, verbose=0), expected, rtol=1e-6)


def test_keras_2_s_configs_are_read():
    config = keras.layers.Lambda(lambda x: x * 3).get_config()["function"]["config"]
    old = {
        "name": "l",
        "function": [config["code"], None, None],
        "function_type": "lambda",
        "module": "__main__",
        "output_shape": None,
        "output_shape_type": "raw",
        "output_shape_module": None,
        "arguments": {},
    }
    with pytest.raises(ValueError, match="safe_mode=False"):
        layers.Lambda.from_config(old)
    assert layers.Lambda.from_config(old, safe_mode=False)(torch.ones(1)).tolist() == [3.0]
    named = {**old, "function": "doubled", "function_type": "function"}
    back = layers.Lambda.from_config(named, custom_objects={"doubled": doubled})
    assert back(torch.ones(1)).tolist() == [2.0]


@pytest.mark.parametrize(
    ("args", "message"),
    [(("relu",), "Lambda: `function` must be a function"), ((abs, None, None, [1]), "`arguments`")],
)
def test_bad_arguments_are_named(args, message):
    with pytest.raises(TypeError, match=message):
        layers.Lambda(*args)
