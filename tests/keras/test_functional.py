"""Functional models against Keras: the same layers, the same order of weights and values."""

import copy
import json

import keras
import numpy as np
import pytest
import torch

from elephas_torch import keras as ours
from elephas_torch.keras import Input, Model, Sequential, layers, models


def chain(k):
    inputs = k.Input((4,), name="inputs")
    x = k.layers.Dense(3, activation="relu", name="first")(inputs)
    return k.Model(inputs, k.layers.Dense(2, activation="softmax", name="last")(x), name="chain")


def branches(k):
    first, second = k.Input((4,), name="first"), k.Input((4,), name="second")
    shared = k.layers.Dense(3, name="shared")
    left, right = shared(first), shared(second)
    deep = k.layers.Dense(3, name="deep")(k.layers.Dense(5, name="deeper")(right))
    return k.Model([second, first], [left * deep - 1.0, k.layers.Dense(2, name="last")(right)])


def nested(k):
    start = k.Input((3,), name="start")
    inner = k.Model(start, k.layers.Dense(2, name="within")(start), name="inner")
    stack = k.Sequential([k.Input((3,)), k.layers.Dense(2, name="stacked")], name="stack")
    inputs = {"a": k.Input((3,), name="a"), "b": k.Input((3,), name="b")}
    x = inner(inputs["a"]) + stack(inputs["b"])
    y = inner(inputs["b"], training=False)
    return k.Model(inputs, {"sum": k.layers.Dense(4, name="last")(x), "inner": y})


def with_operations(k):
    inputs = k.Input((4, 6), name="inputs")
    x = k.ops.mean(inputs[:, 1:3], axis=1, keepdims=True)
    x = k.ops.concatenate([x, k.ops.max(inputs, axis=1, keepdims=True)], axis=-1)
    x = k.ops.reshape(k.ops.tanh(x) ** 2, (-1, 12))
    return k.Model(inputs, k.layers.Dense(2, name="last")(x / (1.0 + k.ops.abs(x))))


def from_within(k):
    """A model of another's tensors, as features are extracted."""
    whole = branches(k)
    return k.Model(whole.inputs, [layer.output for layer in whole.layers[2:4]])


MAKERS = [chain, branches, nested, with_operations, from_within]


def some(model, rows=3):
    rng = np.random.default_rng(0)
    shapes = model.input_shape
    if isinstance(shapes, dict):
        return {name: rng.normal(size=(rows, *s[1:])).astype("f4") for name, s in shapes.items()}
    if isinstance(shapes, list):
        return [rng.normal(size=(rows, *shape[1:])).astype("f4") for shape in shapes]
    return rng.normal(size=(rows, *shapes[1:])).astype("f4")


def told(shapes):
    """Shapes in order: of a dict, a dict here and a list or dict with Keras."""
    return [shapes[key] for key in sorted(shapes)] if isinstance(shapes, dict) else shapes


def close(ours_, theirs):
    ours_ = ours_ if isinstance(ours_, dict | list) else [ours_]
    theirs = theirs if isinstance(theirs, dict | list) else [theirs]
    keys = ours_.keys() if isinstance(ours_, dict) else range(len(ours_))
    assert len(ours_) == len(theirs)
    for key in keys:
        np.testing.assert_allclose(ours_[key], theirs[key], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("make", MAKERS)
def test_outputs_and_order_are_keras_s(make):
    mine, theirs = make(ours), make(keras)
    named = [layer.name for layer in mine.layers]
    assert [name.rstrip("_0123456789") for name in named] == [
        layer.name.rstrip("_0123456789") for layer in theirs.layers
    ]
    mine.set_weights(theirs.get_weights())
    assert told(mine.input_shape) == told(theirs.input_shape)
    assert told(mine.output_shape) == told(theirs.output_shape)
    x = some(theirs)
    close(mine.predict(x, verbose=0), theirs.predict(x, verbose=0))


@pytest.mark.parametrize("make", MAKERS)
def test_gradients_are_keras_s(make):
    mine, theirs = make(ours), make(keras)
    mine.set_weights(theirs.get_weights())
    x = some(theirs)
    for model in (mine, theirs):
        model.zero_grad()
        outputs = model(x if not isinstance(x, np.ndarray) else torch.tensor(x))
        several = outputs.values() if isinstance(outputs, dict) else outputs
        total = sum((one**2).sum() for one in ([several] if torch.is_tensor(several) else several))
        total.backward()
    for a, b in zip(mine.trainable_weights, theirs.trainable_variables, strict=True):
        np.testing.assert_allclose(a.grad, b.value.grad, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("make", MAKERS)
def test_configs_travel_both_ways(make):
    mine, theirs = make(ours), make(keras)
    mine.set_weights(theirs.get_weights())
    x = some(theirs)
    expected = theirs.predict(x, verbose=0)
    to_keras = keras.models.model_from_json(mine.to_json())
    from_keras = models.model_from_json(theirs.to_json())
    for model in (to_keras, from_keras):
        model.set_weights(theirs.get_weights())
        close(model.predict(x, verbose=0), expected)


@pytest.mark.parametrize("make", MAKERS)
def test_copies_compute_the_same(make):
    mine = make(ours)
    x = some(mine)
    expected = mine.predict(x, verbose=0)
    again = copy.deepcopy(mine)
    close(again.predict(x, verbose=0), expected)
    assert [one.shape for one in again.inputs] == [one.shape for one in mine.inputs]
    assert [one.shape for one in again.outputs] == [one.shape for one in mine.outputs]
    clone = models.clone_model(mine)
    clone.set_weights(mine.get_weights())
    close(clone.predict(x, verbose=0), expected)
    fleshed = mine.skeleton().flesh_out(models.all_tensors(mine))
    close(fleshed.predict(x, verbose=0), expected)


def test_clone_function_replaces_layers():
    def wider(layer):
        if layer.name == "first":
            return layers.Dense(7, name="first")
        return type(layer).from_config(layer.get_config())

    clone = models.clone_model(chain(ours), clone_function=wider)
    assert clone.get_layer("first").units == 7
    assert clone.output_shape == (None, 2)


@pytest.mark.parametrize("make", [chain, branches, nested])
def test_training_is_keras_s(make):
    mine, theirs = make(ours), make(keras)
    mine.set_weights(theirs.get_weights())
    x = some(theirs, 20)
    y = theirs.predict(x, verbose=0)
    shift = {k: v + 0.5 for k, v in y.items()} if isinstance(y, dict) else y
    target = [v + 0.5 for v in y] if isinstance(y, list) else shift
    for model in (mine, theirs):
        model.compile("adam", "mse")
        model.fit(x, target, batch_size=5, epochs=3, shuffle=False, verbose=0)
    for a, b in zip(mine.get_weights(), theirs.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)


def test_inputs_come_as_lists_and_dicts():
    model = branches(ours)
    second, first = some(model)
    expected = model([torch.tensor(second), torch.tensor(first)])
    by_name = model({"first": torch.tensor(first), "second": torch.tensor(second)})
    for a, b in zip(expected, by_name, strict=True):
        torch.testing.assert_close(a, b)


def test_frozen_parts_stay():
    model = nested(ours)
    model.get_layer("inner").trainable = False
    before = [w.copy() for w in model.get_layer("inner").get_weights()]
    model.compile("sgd", {"sum": "mse", "inner": "mse"})
    x = some(model)
    model.fit(x, {"sum": np.ones((3, 4)), "inner": np.ones((3, 2))}, verbose=0)
    assert len(model.trainable_weights) == 4
    for a, b in zip(before, model.get_layer("inner").get_weights(), strict=True):
        assert np.array_equal(a, b)


def test_a_recorded_mode_holds():
    inputs = Input((50,))
    dropout = layers.Dropout(0.5)
    model = Model(inputs, [dropout(inputs, training=True), dropout(inputs, training=False)])
    noisy, clean = model(torch.ones(2, 50))
    assert (noisy == 0).any()
    assert (clean == 1).all()


def test_a_subclass_may_be_functional():
    class Scaled(Model):
        def __init__(self, **kwargs):
            inputs = Input((3,))
            super().__init__(inputs, layers.Dense(2)(inputs), **kwargs)

        def call(self, inputs):
            return super().call(inputs) * 10

    model = Scaled()
    x = torch.ones(1, 3)
    torch.testing.assert_close(model(x), model.layers[1](x) * 10)


def test_subclassed_models_follow_lists_of_layers():
    class Stacked(Model):
        def __init__(self):
            super().__init__()
            self.blocks = []
            for units in (4, 3):
                self.blocks.append(layers.Dense(units))
            self.heads = {"a": layers.Dense(1), "b": layers.Dense(2)}

        def call(self, inputs):
            for block in self.blocks:
                inputs = block(inputs)
            return {name: head(inputs) for name, head in self.heads.items()}

    model = Stacked()
    model.build((None, 5))
    assert model.output_shape == {"a": (None, 1), "b": (None, 2)}
    assert [w.shape for w in model.get_weights()] == [
        (5, 4), (4,), (4, 3), (3,), (3, 1), (1,), (3, 2), (2,),
    ]  # fmt: skip
    again = copy.deepcopy(model)
    again.blocks[0].set_weights([np.zeros((5, 4)), np.zeros(4)])
    assert again.get_weights()[0].sum() == 0
    assert model.get_weights()[0].sum() != 0


def test_wrong_models_are_refused():
    first, second = Input((3,), name="first"), Input((3,), name="second")
    out = layers.Dense(2)(first)
    cases = [
        (lambda: Model(second, out), "needs the tensor of the input 'first'"),
        (lambda: Model(first, torch.ones(2)), "`outputs` must be tensors of Input"),
        (lambda: Model(layers.Dense(2), out), "Call the layer"),
        (lambda: Model([first, first], out), "twice in `inputs`"),
        (lambda: Model([first], []), "`outputs` is empty"),
        (
            lambda: Model(first, layers.Dense(2, name="x")(layers.Dense(3, name="x")(first))),
            "Two layers of the model have the name 'x'",
        ),
    ]
    for make, message in cases:
        with pytest.raises(ValueError, match=message):
            make()
    with pytest.raises(TypeError, match="both, or none"):
        Model(inputs=first)


def test_errors_name_the_layer_and_its_place():
    inputs = Input((3,))
    hidden = layers.Dense(4, name="hidden")(inputs)
    with pytest.raises(ValueError, match=r"'narrow'.*\(None, …, 5\).*\(None, 4\)"):
        narrow = layers.Dense(2, name="narrow")
        narrow.build((None, 5))
        narrow(hidden)

    class Breaks(layers.Layer):
        def call(self, inputs):
            if inputs.shape[0] == 7:
                raise ValueError("seven rows")
            return inputs

    model = Model(inputs, Breaks(name="breaks")(hidden))
    with pytest.raises(ValueError, match=r"seven rows\n  In layer 2 of the model, 'breaks' \(Bre"):
        model(torch.ones(7, 3))
    stack = Sequential([Input((3,)), Breaks(name="broken")])
    with pytest.raises(ValueError, match=r"In layer 0 of the model, 'broken'"):
        stack(torch.ones(7, 3))


def test_errors_within_nested_models_name_each_place():
    start = Input((3,))
    nested = Sequential([layers.Dense(2), layers.Conv1D(3, 3, name="deep")], name="nested")
    with pytest.raises(ValueError, match=r"'deep'.*\n  In layer 1 of the model, 'deep' \(Conv1D\)"):
        Model(start, nested(start))
    inner = Model(start, layers.Dense(2, name="dense")(start), name="inner")
    with pytest.raises(ValueError, match=r"'dense'.*\n  In layer 1 of the model, 'dense'"):
        inner(Input((4,)))


def test_symbolic_tensors_say_what_they_are_not():
    x = Input((3,), name="x")
    for use in (bool, len, iter):
        with pytest.raises(TypeError, match="name=x"):
            use(x)
    with pytest.raises(ValueError, match=r"keras\.ops"):
        np.asarray(x)
    assert x.ndim == 2 and x.shape == (None, 3) and x.dtype == "float32"


def test_missing_and_superfluous_inputs_are_named():
    model = branches(ours)
    with pytest.raises(ValueError, match=r"Missing: 'second'. Received: 'first'"):
        model({"first": torch.ones(2, 4)})
    with pytest.raises(ValueError, match=r"takes 2 inputs \(second, first\). Received: 3"):
        model([torch.ones(2, 4)] * 3)


def test_damaged_configs_are_refused():
    config = json.loads(json.dumps(branches(ours).get_config()))
    config["output_layers"][0][0] = "nowhere"
    with pytest.raises(ValueError, match="a layer that it hasn't: 'nowhere'"):
        models.Functional.from_config(config)
    config = json.loads(json.dumps(chain(ours).get_config()))
    config["layers"][1]["inbound_nodes"][0]["args"][0]["config"]["keras_history"] = ["last", 0, 0]
    with pytest.raises(ValueError, match="whose tensors nobody makes: 'first', 'last'"):
        models.Functional.from_config(config)


def test_long_chains_are_copied_and_sent():
    x = inputs = Input((2,))
    for _ in range(300):
        x = layers.Dense(2)(x)
    model = Model(inputs, x)
    again = copy.deepcopy(model)
    torch.testing.assert_close(again(torch.ones(1, 2)), model(torch.ones(1, 2)))


class Scored(Model):
    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.score = 3


class Sized(Model):
    def __init__(self, units):
        inputs = Input((3,))
        super().__init__(inputs, layers.Dense(units)(inputs))


def test_a_subclass_made_of_inputs_and_outputs_has_their_config(tmp_path):
    inputs = Input((3,))
    model = Scored(inputs, layers.Dense(2)(inputs), name="scored")
    config = model.get_config()
    assert sorted(config) == ["input_layers", "layers", "name", "output_layers", "trainable"]
    again = Scored.from_config(config)
    assert (type(again), again.name, again.score) == (Scored, "scored", 3)
    model.save(tmp_path / "scored.keras")
    loaded = models.load_model(tmp_path / "scored.keras", custom_objects={"Scored": Scored})
    x = torch.ones(1, 3)
    torch.testing.assert_close(loaded(x), model(x))


def test_a_subclass_with_arguments_of_its_own_has_them_as_config():
    model = Sized(4)
    assert model.get_config()["units"] == 4
    assert Sized.from_config(model.get_config()).output_shape == (None, 4)


def test_a_model_is_made_of_a_config_with_custom_objects():
    class Twice(layers.Layer):
        def call(self, inputs):
            return 2 * inputs

    inputs = Input((3,))
    config = Model(inputs, Twice()(inputs)).get_config()
    again = Model.from_config(config, custom_objects={"Twice": Twice})
    assert again(torch.ones(1, 3)).tolist() == [[2, 2, 2]]


def test_a_recorded_mode_is_kept_in_configs():
    inputs = Input((50,))
    model = Model(inputs, layers.Dropout(0.5)(inputs, training=True))
    again = models.model_from_json(model.to_json())
    assert (again(torch.ones(2, 50)) == 0).any()
    norm = layers.BatchNormalization()
    frozen = models.model_from_json(Model(inputs, norm(inputs, training=False)).to_json())
    frozen.compile("sgd", "mse")
    frozen.fit(np.ones((4, 50)) * 7, np.ones((4, 50)), verbose=0)
    assert (frozen.layers[1].moving_mean.numpy() == 0).all()


def test_arithmetic_on_symbolic_tensors_that_cannot_be_is_named():
    with pytest.raises(ValueError, match=r"add can't be computed.*shapes \(None, 4\), \(None, 3\)"):
        Input((4,)) + Input((3,))
    with pytest.raises(ValueError, match=r"get_item can't be computed.*\(None, 4\)"):
        Input((4,))[:, 9]


@pytest.mark.parametrize("function", [torch.relu, lambda x: torch.cat([x, x]), np.exp])
def test_functions_of_torch_and_numpy_say_what_to_use_for_symbolic_tensors(function):
    with pytest.raises((TypeError, ValueError), match=r"has no values.*keras\.ops"):
        function(Input((4,)))


@pytest.mark.parametrize(
    ("names", "found"),
    [
        (["dense_1", "dense"], ["dense_1", "dense"]),
        (["a_b", "a", "a_1"], ["a_b", "a", "a_1"]),
        (["a", "a", "a_1"], ["a", "a_2", "a_1"]),
        (["a", "a", "a"], ["a", "a_1", "a_2"]),
    ],
)
def test_outputs_are_named_as_their_layers(names, found):
    start = Input((4,))
    made = {name: layers.Dense(1, name=name) for name in names}
    model = Model(start, [made[name](start) for name in names])
    assert model.output_names == found
    model.compile("sgd", dict.fromkeys(found, "mse"))
    x = np.zeros((2, 4), "float32")
    history = model.fit(x, [x[:, :1]] * len(names), verbose=0).history
    assert set(history) == {"loss", *(f"{name}_loss" for name in found)}
