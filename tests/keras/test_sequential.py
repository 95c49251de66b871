import os

os.environ["KERAS_BACKEND"] = "torch"

import copy
import json

import keras
import numpy as np
import pytest
import torch
from torch import nn

from elephas_torch.keras import Input, Sequential, layers, models
from elephas_torch.keras.layers import Dense, Dropout, Embedding, Flatten, Layer


def test_layers_are_added_with_a_declared_shape():
    model = Sequential()
    model.add(Dense(5, input_dim=4))
    assert model.built
    model.add(Dense(3, activation="relu"))
    assert model.input_shape == (None, 4)
    assert model.output_shape == (None, 3)
    assert [w.shape for w in model.get_weights()] == [(4, 5), (5,), (5, 3), (3,)]


@pytest.mark.parametrize(
    "first",
    [
        [Input((4, 2))],
        [Input(shape=(4, 2))],
        [Input(batch_shape=(None, 4, 2))],
        [layers.Input((4, 2))],
        [layers.InputLayer(input_shape=(4, 2))],
    ],
)
def test_every_way_to_give_the_shape(first):
    model = Sequential([*first, Flatten(), Dense(3)])
    assert model.input_shape == (None, 4, 2)
    assert len(model.layers) == 2
    assert Sequential([Flatten(input_shape=(4, 2))]).output_shape == (None, 8)
    assert Sequential([Flatten(batch_input_shape=(None, 4, 2))]).output_shape == (None, 8)


def test_building_waits_for_a_shape():
    model = Sequential([Dense(3), Dense(2)])
    assert not model.built
    for attribute in ("input_shape", "output_shape"):
        with pytest.raises(ValueError, match="doesn't know its input shape"):
            getattr(model, attribute)
    with pytest.raises(ValueError, match="no input shape"):
        model.build()
    model.build((None, 7))
    assert model.input_shape == (None, 7)
    called = Sequential([Dense(3)])
    assert called(torch.ones(2, 5)).shape == (2, 3)
    assert called.input_shape == (None, 5)
    with pytest.raises(ValueError, match="has no layers"):
        Sequential().build((None, 3))


def test_layers_are_found_by_name_and_number():
    model = Sequential([Dense(3, name="first", input_dim=2), Dense(1, name="last")])
    assert model.get_layer("last") is model.layers[1]
    assert model.get_layer(index=0) is model.get_layer(index=-2)
    with pytest.raises(ValueError, match=r"Unknown layer: 'lst'. Did you mean 'last'"):
        model.get_layer("lst")
    with pytest.raises(ValueError, match=r"2 layers. Received: index=2"):
        model.get_layer(index=2)
    with pytest.raises(ValueError, match="a name or a number"):
        model.get_layer()
    with pytest.raises(ValueError, match="a name or a number"):
        model.get_layer("first", 0)


def test_pop_takes_the_last_layer_off():
    model = Sequential([Dense(3, input_dim=2), Dense(1)])
    model.compile("sgd", "mse")
    model.fit(np.ones((4, 2)), np.ones(4), verbose=0)
    popped = model.pop()
    assert popped.units == 1
    assert model.output_shape == (None, 3)
    assert len(model.get_weights()) == 2
    model.fit(np.ones((4, 2)), np.ones((4, 3)), verbose=0)
    model.add(Dense(5))
    assert model.output_shape == (None, 5)
    model.pop()
    model.pop()
    assert not model.built
    with pytest.raises(ValueError, match="no layers"):
        model.pop()
    model.add(Dense(2, input_dim=9))
    assert model.input_shape == (None, 9)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (Dense, "a layer .an object, no class"),
        ("dense", "Received: 'dense'"),
        (None, "Received: None"),
    ],
)
def test_what_is_no_layer_is_refused(wrong, message):
    with pytest.raises(TypeError, match=message):
        Sequential([wrong])
    with pytest.raises(TypeError, match=message):
        Sequential().add(wrong)


def test_torch_modules_are_layers():
    linear = nn.Linear(3, 2)
    model = Sequential([Input((3,)), linear, Dense(1)])
    x = torch.ones(2, 3)
    assert model.output_shape == (None, 1)
    torch.testing.assert_close(model(x), model.layers[1](linear(x)))


@pytest.mark.parametrize("wrong", [Dense(3), Dense, 5, nn.Linear(2, 3)])
def test_layers_come_as_a_list(wrong):
    with pytest.raises(TypeError, match=r"takes a list of layers. Received: layers="):
        Sequential(wrong)


def test_unknown_arguments_are_named_with_the_nearest():
    with pytest.raises(TypeError, match=r"Sequential got .* 'nam'. Did you mean 'name'"):
        Sequential([], nam="mine")
    with pytest.raises(TypeError, match=r"Dense got .* 'imput_dim'. Did you mean 'input_dim'"):
        Dense(3, imput_dim=4)


def test_a_layer_that_does_not_fit_is_not_added():
    model = Sequential([Dense(3, input_dim=2)])
    with pytest.raises(ValueError, match="expects inputs of shape"):
        model.add(layers.Conv2D(3, 3))
    assert len(model.layers) == 1
    model.add(Dense(4))
    assert model.output_shape == (None, 4)
    fresh = Sequential()
    with pytest.raises(ValueError):
        fresh.add(layers.Conv2D(3, 3, input_shape=(5,)))
    fresh.add(Dense(1, input_dim=3))


def test_names_are_unique_within_a_model():
    layer = Dense(2, name="one")
    model = Sequential([layer])
    for other in (layer, Dense(2, name="one")):
        with pytest.raises(ValueError, match="Two layers have the name 'one'"):
            model.add(other)
    model.add(Dense(2, name="a.b"))
    with pytest.raises(ValueError, match="the name 'a_b'"):
        model.add(Dense(2, name="a_b"))


@pytest.mark.parametrize("name", ["loss", "layers", "optimizer", "history", "module", "training"])
def test_layers_may_have_names_of_attributes(name):
    model = Sequential([Dense(2, name=name, input_dim=3)])
    model.compile("sgd", "mse")
    model.fit(np.ones((4, 3)), np.ones((4, 2)), verbose=0)
    assert model.get_layer(name).units == 2
    assert f"{name}_.kernel" in model.state_dict()
    assert isinstance(model.stop_training, bool) and not model.training
    assert model.skeleton().get_layer(name).units == 2


def test_inputs_come_first_and_once():
    with pytest.raises(ValueError, match="input comes first"):
        Sequential([Dense(3), Input((2,))])
    with pytest.raises(ValueError, match="only once"):
        Sequential([Input((2,)), Input((2,))])


def test_a_layer_without_its_constructor_is_told():
    class Forgetful(Layer):
        def __init__(self):
            nn.Module.__init__(self)

    with pytest.raises(TypeError, match=r"Forgetful.__init__ must call super\(\).__init__"):
        Sequential([Forgetful()])


def test_the_inputs_dtype_comes_from_the_first_layer_or_the_input():
    assert Sequential([Dense(3)]).input_dtype == torch.float32
    assert Sequential([Embedding(9, 2)]).input_dtype == torch.int64
    assert Sequential([Sequential([Embedding(9, 2)])]).input_dtype == torch.int64
    assert Sequential([Input((3,)), Embedding(9, 2)]).input_dtype == torch.int64
    assert Sequential([Input((3,), dtype="int32"), Embedding(9, 2)]).input_dtype == torch.int32


def test_trainable_goes_down_to_the_layers():
    model = Sequential([Dense(3, input_dim=2), Sequential([Dense(2)])], trainable=False)
    assert model.trainable_weights == []
    assert len(model.non_trainable_weights) == 4
    model.trainable = True
    assert len(model.trainable_weights) == 4
    model.add(Dense(1))
    assert len(model.trainable_weights) == 6


def test_names_count_as_keras_s():
    from elephas_torch.keras import naming

    naming.clear()
    keras.utils.clear_session()
    ours = Sequential([Dense(2), Dense(2), layers.MaxPooling2D(), layers.GRU(3), layers.LSTM(3)])
    theirs = keras.Sequential(
        [
            keras.layers.Dense(2), keras.layers.Dense(2), keras.layers.MaxPooling2D(),
            keras.layers.GRU(3), keras.layers.LSTM(3),
        ]
    )  # fmt: skip
    assert [one.name for one in ours.layers] == [one.name for one in theirs.layers]
    assert ours.name == theirs.name == "sequential"
    assert Sequential().name == "sequential_1"


def test_wrong_weights_are_told():
    model = Sequential([Dense(3, input_dim=2)])
    kept = model.get_weights()
    with pytest.raises(ValueError, match="has 2 weights; `weights` has 1"):
        model.set_weights(kept[:1])
    with pytest.raises(ValueError, match=r"weight 1 has shape \(3,\).*\(2,\)"):
        model.set_weights([kept[0] * 0, np.zeros(2)])
    assert np.array_equal(model.get_weights()[0], kept[0])
    with pytest.raises(ValueError, match="isn't built yet"):
        Sequential([Dense(3)]).set_weights(kept)


def everything():
    return Sequential(
        [
            Input((8, 8, 2)),
            layers.Conv2D(3, 3, activation="relu", padding="same"),
            layers.BatchNormalization(momentum=0.9),
            layers.MaxPooling2D(2),
            Dropout(0.3, seed=1),
            Flatten(),
            Sequential([Dense(6, "tanh"), Dense(4)], name="inner"),
            layers.Reshape((2, 2)),
            layers.LSTM(3, return_sequences=True),
            layers.GRU(2),
            layers.Activation("softmax"),
        ],
        name="all",
    )


@pytest.mark.parametrize("way", ["json", "config", "deepcopy"])
def test_round_trips_of_the_architecture(way):
    model = everything()
    if way == "json":
        again = models.model_from_json(model.to_json())
    elif way == "config":
        again = Sequential.from_config(model.get_config())
    else:
        again = copy.deepcopy(model)
    assert json.dumps(again.get_config()) == json.dumps(model.get_config())
    assert [w.shape for w in again.get_weights()] == [w.shape for w in model.get_weights()]
    x = np.random.default_rng(0).normal(size=(3, 8, 8, 2))
    assert again.predict(x).shape == (3, 2)
    again.set_weights(model.get_weights())
    assert np.array_equal(again.predict(x), model.predict(x))


def test_the_json_is_keras_s():
    model = Sequential(
        [
            Input((8, 8, 2)),
            layers.Conv2D(3, 3, activation="relu"),
            layers.BatchNormalization(),
            layers.MaxPooling2D(2),
            Flatten(),
            Dense(4, "softmax"),
        ]
    )
    theirs = keras.models.model_from_json(model.to_json())
    theirs.set_weights(model.get_weights())
    x = np.random.default_rng(0).normal(size=(3, 8, 8, 2)).astype("float32")
    assert np.allclose(theirs.predict(x, verbose=0), model.predict(x), atol=1e-6)
    back = models.model_from_json(theirs.to_json())
    back.set_weights(theirs.get_weights())
    assert np.array_equal(back.predict(x), model.predict(x))


def test_json_takes_the_arguments_of_dumps():
    assert "\n  " in everything().to_json(indent=2)


def test_deferred_models_stay_deferred():
    again = models.model_from_json(Sequential([Dense(3), Dense(2)]).to_json())
    assert not again.built
    assert again.predict(np.ones((2, 5))).shape == (2, 2)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({}, "no list of 'layers'"),
        ({"layers": 3}, "no list of 'layers'"),
        ({"layers": [{"class_name": "Dens", "config": {}}]}, "'Dens'. Did you mean 'Dense'"),
        ({"layers": [{"class_name": "Dense", "config": 3}]}, "is no dict: 3"),
        ({"layers": [{"config": {}}]}, "no 'class_name'"),
        ({"layers": ["Dense"]}, "no 'class_name'.*Received: 'Dense'"),
    ],
)
def test_configs_that_describe_nothing(config, message):
    with pytest.raises(ValueError, match=message):
        Sequential.from_config(config)


def test_repr_shows_the_layers():
    text = repr(Sequential([Dense(3, name="first", input_dim=2)], name="mine"))
    assert text.splitlines()[1].strip() == "name=mine, built=True"
    assert "(first): Dense(name=first, built=True)" in text


def test_sequences_of_every_length_are_taken_where_no_layer_needs_the_length():
    model = Sequential([Embedding(10, 4), layers.LSTM(3), Dense(1)])
    model.compile("sgd", "mse")
    model.fit(np.ones((4, 6)), np.ones(4), verbose=0)
    assert model.predict(np.ones((2, 9)), verbose=0).shape == (2, 1)
    fixed = Sequential([Embedding(10, 4), Flatten(), Dense(1)])
    assert fixed.predict(np.ones((2, 5)), verbose=0).shape == (2, 1)
    assert fixed.input_shape == (None, 5)


@pytest.mark.parametrize("later", [False, True])
def test_features_are_taken_out_of_a_stack_without_an_input(later):
    first = Dense(4, input_dim=5, name="hidden")
    model = Sequential() if later else Sequential([first, Dense(1)])
    if later:
        model.add(first)
        model.add(Dense(1))
    x = torch.ones(2, 5)
    extractor = models.Model(model.inputs, model.get_layer("hidden").output)
    torch.testing.assert_close(extractor(x), first(x))
    assert first.input_shape == (None, 5) and first.output_shape == (None, 4)
    with pytest.raises(AttributeError, match="has no output_shape: it isn't in a model"):
        Dense(3).output_shape  # noqa: B018
