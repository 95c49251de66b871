"""Models of several inputs and outputs beside Keras 3's own: losses, weights, metrics, names."""

import os

os.environ["KERAS_BACKEND"] = "torch"

import keras
import numpy as np
import pytest
import torch

from elephas_torch import keras as ours
from elephas_torch.errors import DataError

ROWS = 22
RANDOM = np.random.default_rng(0)
A = RANDOM.normal(size=(ROWS, 4)).astype("float32")
B = RANDOM.normal(size=(ROWS, 3)).astype("float32")
CLASSES = RANDOM.integers(0, 3, ROWS)
ONE_HOT = np.eye(3, dtype="float32")[CLASSES]
VALUES = RANDOM.normal(size=(ROWS, 2)).astype("float32")
SIGNS = (VALUES[:, :1] > 0).astype("float32")


def joined(library, tensors):
    class Joined(library.layers.Layer):
        def call(self, inputs):
            return torch.cat(list(inputs), -1)

        def compute_output_shape(self, input_shape):
            return (None, sum(shape[-1] for shape in input_shape))

    return Joined()(tensors)


def functional(library, dict_inputs=False, dict_outputs=False):
    layers = library.layers
    a, b = layers.Input((4,), name="in_b"), layers.Input((3,), name="in_a")
    hidden = layers.Dense(5, activation="tanh")(joined(library, [a, b]))
    zebra = layers.Dense(2, name="zebra")(hidden)
    apple = layers.Dense(3, activation="softmax", name="apple")(hidden)
    mango = layers.Dense(1, activation="sigmoid", name="mango")(b)
    outputs = [zebra, apple, mango]
    if dict_outputs:
        outputs = {"z": zebra, "k": apple, "m": mango}
    return library.Model({"in_b": a, "in_a": b} if dict_inputs else [a, b], outputs)


def subclassed(library, as_dict=False):
    class Two(library.Model):
        def __init__(self):
            super().__init__()
            self.one = library.layers.Dense(2, name="one")
            self.two = library.layers.Dense(3, activation="softmax", name="two")

        def call(self, inputs):
            found = self.one(inputs), self.two(inputs)
            return {"z": found[0], "k": found[1]} if as_dict else list(found)

    model = Two()
    model(np.zeros((1, 4), dtype="float32"))
    return model


def pair(make, **options):
    mine, theirs = make(ours, **options), make(keras, **options)
    theirs.set_weights([np.asarray(w) for w in mine.get_weights()])
    return mine, theirs


def both(models, **settings):
    mine, theirs = models
    rate = settings.pop("rate", 0.1)
    mine.compile(ours.optimizers.SGD(rate), **settings)
    theirs.compile(keras.optimizers.SGD(rate), jit_compile=False, **settings)
    return mine, theirs


def numbers(values):
    several = values if isinstance(values, list) else [values]
    return [float(one) for one in several]


def close(mine, theirs):
    for one, other in zip(mine.get_weights(), theirs.get_weights(), strict=True):
        np.testing.assert_allclose(np.asarray(one), np.asarray(other), rtol=1e-5, atol=1e-6)


def agree(models, x, y, evaluated=True, **options):
    mine, theirs = models
    options = {"epochs": 3, "batch_size": 8, "verbose": 0, "shuffle": False, **options}
    one, other = mine.fit(x, y, **options), theirs.fit(x, y, **options)
    assert list(one.history) == list(other.history)
    for name, values in other.history.items():
        assert one.history[name] == pytest.approx(values, rel=1e-5, abs=1e-6), name
    close(mine, theirs)
    if not evaluated:
        return one.history
    named = mine.evaluate(x, y, verbose=0, return_dict=True)
    assert list(named) == list(theirs.evaluate(x, y, verbose=0, return_dict=True))
    listed = mine.evaluate(x, y, verbose=0)
    assert numbers(listed) == pytest.approx(numbers(theirs.evaluate(x, y, verbose=0)), rel=1e-5)
    assert len(mine.metrics_names) == len(numbers(listed))
    return one.history


Y = [VALUES, ONE_HOT, SIGNS]
BY_NAME = {"zebra": VALUES, "apple": ONE_HOT, "mango": SIGNS}
BY_KEY = {"z": VALUES, "k": ONE_HOT, "m": SIGNS}
LOSSES = ["mse", "categorical_crossentropy", "binary_crossentropy"]

LISTED = {
    "one loss for all": {"loss": "mse"},
    "a list": {"loss": LOSSES},
    "a dict": {"loss": dict(zip(BY_NAME, LOSSES, strict=True))},
    "weights in a list": {"loss": LOSSES, "loss_weights": [0.5, 2.0, 1.0]},
    "weights in a dict": {
        "loss": dict(zip(BY_NAME, LOSSES, strict=True)),
        "loss_weights": {"apple": 2.0, "zebra": 0.5, "mango": 3.0},
    },
    "metrics each": {"loss": LOSSES, "metrics": ["mae", "accuracy", "accuracy"]},
    "lists of metrics": {"loss": LOSSES, "metrics": [["mae", "mse"], ["accuracy"], []]},
    "a dict of metrics": {"loss": LOSSES, "metrics": {"apple": ["accuracy", "mae"]}},
    "weighted metrics": {
        "loss": LOSSES,
        "metrics": [["mae"], [], []],
        "weighted_metrics": [["mae"], ["accuracy"], []],
    },
}


@pytest.mark.parametrize("name", LISTED)
def test_lists_of_outputs(name):
    agree(both(pair(functional), **LISTED[name]), [A, B], Y, validation_split=0.2)


DICTS = {
    "one loss for all": {"loss": "mse"},
    "a dict": {"loss": dict(zip(BY_KEY, LOSSES, strict=True)), "metrics": {"k": "accuracy"}},
    "a list in the order of the keys": {"loss": [LOSSES[1], LOSSES[2], LOSSES[0]]},
    "some": {"loss": {"z": "mse", "m": "mae"}, "loss_weights": {"z": 2.0, "m": 0.5}},
    "weights": {
        "loss": dict(zip(BY_KEY, LOSSES, strict=True)),
        "loss_weights": {"z": 0.5, "k": 2.0, "m": 1.5},
        "weighted_metrics": {"z": ["mae"], "k": "accuracy"},
    },
}


@pytest.mark.parametrize("name", DICTS)
def test_dicts_of_outputs(name):
    models = pair(functional, dict_inputs=True, dict_outputs=True)
    x = {"in_a": B, "in_b": A}
    agree(both(models, **DICTS[name]), x, BY_KEY, validation_split=0.2)
    mine, theirs = (model.predict(x, verbose=0) for model in models)
    assert set(mine) == set(theirs)
    for key in theirs:
        np.testing.assert_allclose(mine[key], theirs[key], rtol=1e-5, atol=1e-6)


WEIGHTS = {
    "one for all": np.linspace(0.2, 2, ROWS),
    "a list": [np.linspace(0.2, 2, ROWS), np.ones(ROWS), np.linspace(1, 0, ROWS)],
}


@pytest.mark.parametrize("name", WEIGHTS)
def test_weights_of_rows(name):
    models = both(
        pair(functional), loss=LOSSES, metrics=[["mae"], ["accuracy"], []],
        weighted_metrics=[["mae"], ["accuracy"], []],
    )  # fmt: skip
    x, weight = [A, B], WEIGHTS[name]
    agree(models, x, Y, sample_weight=weight, evaluated=False)
    agree(models, x, Y, sample_weight=weight, validation_data=(x, Y, weight), evaluated=False)
    mine, theirs = models
    values = mine.evaluate(x, Y, sample_weight=weight, verbose=0)
    assert values == pytest.approx(
        numbers(theirs.evaluate(x, Y, sample_weight=weight, verbose=0)), rel=1e-5
    )


def test_weights_of_rows_by_name():
    listed, named = (functional(ours) for _ in range(2))
    named.set_weights(listed.get_weights())
    weight = np.linspace(0.2, 2, ROWS)
    for model in (listed, named):
        model.compile(ours.optimizers.SGD(0.1), LOSSES)
    options = {"shuffle": False, "verbose": 0}
    listed.fit([A, B], Y, sample_weight=[None, weight, None], **options)
    named.fit({"in_b": A, "in_a": B}, BY_NAME, sample_weight={"apple": weight}, **options)
    close(listed, named)


@pytest.mark.parametrize("as_dict", [False, True])
def test_subclasses_give_lists_and_dicts(as_dict):
    y = {"z": VALUES, "k": ONE_HOT} if as_dict else [VALUES, ONE_HOT]
    loss = {"z": "mse", "k": LOSSES[1]} if as_dict else ["mse", LOSSES[1]]
    metrics = {"k": ["accuracy"]} if as_dict else [["mae"], ["accuracy", "mae"]]
    models = both(pair(subclassed, as_dict=as_dict), loss=loss, metrics=metrics)
    agree(models, A, y, evaluated=as_dict, validation_split=0.2)
    mine, theirs = (model.predict(A, verbose=0) for model in models)
    for key in ("z", "k") if as_dict else (0, 1):
        np.testing.assert_allclose(mine[key], theirs[key], rtol=1e-5, atol=1e-6)


def test_losses_without_names_get_numbers():
    model = subclassed(ours)
    model.compile("sgd", "mse", metrics=[["mae"], ["mae"]])
    history = model.fit(A, [VALUES, ONE_HOT], verbose=0).history
    assert list(history) == ["loss", "mae", "mae_1", "mse_loss", "mse_loss_1"]


def test_outputs_without_a_loss():
    partly, whole = both(pair(functional), loss=["mse", None, LOSSES[2]])
    history = agree((partly, whole), [A, B], Y, evaluated=False)
    assert set(history) == {"loss", "zebra_loss", "mango_loss"}
    given, left_out = (functional(ours) for _ in range(2))
    left_out.set_weights(given.get_weights())
    for model, y in ((given, Y), (left_out, [VALUES, SIGNS])):
        model.compile(ours.optimizers.SGD(0.1), ["mse", None, LOSSES[2]], metrics=["mae", [], []])
        model.fit([A, B], y, shuffle=False, verbose=0)
    close(given, left_out)
    named = functional(ours)
    named.compile("sgd", {"zebra": "mse"})
    assert list(named.fit([A, B], {"zebra": VALUES}, verbose=0).history) == ["loss"]
    assert list(named.fit([A, B], VALUES, verbose=0).history) == ["loss"]


def test_a_last_softmax_and_sigmoid_are_fused_for_each_output():
    model = functional(ours, dict_outputs=True)
    model.compile("sgd", {"z": "mse", "k": LOSSES[1], "m": LOSSES[2]})
    step = model._ready()
    fused = dict(zip(step.goals.outputs.names, step.losses, strict=True))
    assert fused["k"].from_logits and fused["m"].from_logits
    batch = model.samples([A, B], BY_KEY)
    outputs = dict(zip(BY_KEY, model([A, B]).values(), strict=True))
    expected = sum(
        float(ours.losses.get(loss)(BY_KEY[key], outputs[key]).detach())
        for key, loss in (("z", "mse"), ("k", LOSSES[1]), ("m", LOSSES[2]))
    )
    assert float(step.evaluate(batch)) == pytest.approx(expected, rel=1e-5)


def test_sums_of_workers_add_up_exactly():
    from elephas_torch.keras.step import Step

    model = functional(ours)
    model.compile("sgd", LOSSES, metrics=[["mae"], ["accuracy"], []])
    samples = model.samples([A, B], Y)
    step = Step(model)
    step.evaluate(samples)
    whole = step.logs()
    parts = []
    for first, last in ((0, 15), (15, ROWS)):
        step.reset()
        step.evaluate(samples.rows(first, last))
        parts.append(step.sums())
    step.load_sums(parts)
    assert step.logs() == pytest.approx(whole, rel=1e-6)
    import json

    assert json.loads(json.dumps(parts)) == parts


def test_every_form_of_inputs():
    model = functional(ours)
    model.compile("sgd", LOSSES)
    expected = model.evaluate([A, B], Y, verbose=0)
    for x in ((A, B), {"in_b": A, "in_a": B}, [A.tolist(), B.tolist()]):
        assert model.evaluate(x, tuple(Y), verbose=0) == pytest.approx(expected, rel=1e-6)
    single = ours.Sequential([ours.layers.Dense(2, input_dim=4)])
    single.compile("sgd", "mse")
    expected = single.evaluate(A, VALUES, verbose=0)
    name = single.input_names[0]
    for x, y in (([A], [VALUES]), ({name: A}, VALUES), ((A,), (VALUES,))):
        assert single.evaluate(x, y, verbose=0) == pytest.approx(expected, rel=1e-6)


def test_models_without_shapes_learn_them_from_any_form():
    class Summed(ours.Model):
        def __init__(self):
            super().__init__()
            self.first, self.second = ours.layers.Dense(2), ours.layers.Dense(2)

        def call(self, inputs):
            a, b = inputs.values() if isinstance(inputs, dict) else inputs
            return self.first(a) + self.second(b)

    for x in ([A, B], (A, B), {"a": A, "b": B}):
        model = Summed()
        model.compile("sgd", "mse")
        model.fit(x, VALUES, verbose=0)
        assert model.predict(x, verbose=0).shape == (ROWS, 2)
        assert [weight.shape for weight in model.get_weights()] == [(4, 2), (2,), (3, 2), (2,)]
    for x in (A, [A], A.tolist()):
        single = ours.Sequential([ours.layers.Dense(2)])
        single.compile("sgd", "mse")
        single.fit(x, VALUES, verbose=0)
        assert single.input_shape == (None, 4)


@pytest.mark.parametrize(
    ("x", "y", "options", "message"),
    [
        (A, Y, {}, r"`x` needs an entry for each of the model's 2 inputs \('in_b', 'in_a'\)"),
        ([A], Y, {}, "`x` needs an entry .* Received: 1 entries"),
        ({"in_a": B, "in_c": A}, Y, {}, "Unknown input in `x`: 'in_c'. Did you mean 'in_"),
        ({"in_a": B}, Y, {}, "`x` has nothing for the model's input 'in_b'"),
        ([A, A], Y, {}, r"features of shape \(3,\) a row; `x\[1\]` has rows of shape \(4,\)"),
        ([A, B[:5]], Y, {}, r"`x\[0\]` has 22 rows, `x\[1\]` has 5"),
        ([A, B], Y[:2], {}, "`y` needs an entry for each .*3 outputs.*Received: 2 entries"),
        ([A, B], VALUES, {}, "`y` needs an entry for each .* Received: ndarray"),
        ([A, B], [VALUES, CLASSES, SIGNS], {}, "Output 'apple': .*sparse_categorical"),
        ([A, B], [VALUES, ONE_HOT[:4], SIGNS], {}, r"`x\[0\]` has 22 rows, `y\[1\]` has 4"),
        ([A, B], {"zebra": VALUES, "apple": ONE_HOT}, {}, "Output 'mango' has the loss"),
        ([A, B], {"zebre": VALUES}, {}, "Unknown output in `y`: 'zebre'. Did you mean 'zebra'"),
        ([A, B], None, {}, "`y` is missing"),
        ([A, B], Y, {"sample_weight": np.ones((ROWS, 2))}, "for all of the model's 3 outputs"),
        ([A, B], Y, {"sample_weight": [np.ones(ROWS)]}, "`sample_weight` needs an entry"),
        ([A, B], Y, {"sample_weight": {"a": np.ones(ROWS)}}, "Unknown output in `sample_weight`"),
        ([A, B], Y, {"class_weight": {0: 2.0}}, "`class_weight` is for models of one output"),
    ],
    ids=lambda one: str(one)[:20],
)
def test_data_that_does_not_fit(x, y, options, message):
    model = functional(ours)
    model.compile("sgd", LOSSES)
    before = model.get_weights()
    with pytest.raises(ValueError, match=message):
        model.fit(x, y, verbose=0, **options)
    for one, other in zip(before, model.get_weights(), strict=True):
        assert np.array_equal(one, other)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"loss": ["mse"]},
            r"`loss` needs an entry for each of .* 3 outputs .*Received: 1 entries",
        ),
        ({"loss": ["mse", "mse"]}, r"`loss` needs an entry .*\('zebra', 'apple', 'mango'\)"),
        ({"loss": {"zebra": "mse", "appel": "mse"}}, "output in `loss`: 'appel'. Did you mean"),
        ({"loss": "mse", "loss_weights": [1.0, 2.0]}, "`loss_weights` needs an entry"),
        ({"loss": "mse", "loss_weights": {"apfel": 1.0}}, "output in `loss_weights`: 'apfel'"),
        ({"loss": "mse", "metrics": ["mae"]}, "`metrics` needs an entry"),
        ({"loss": "mse", "metrics": {"appl": "mae"}}, "output in `metrics`: 'appl'"),
        ({"loss": "mse", "weighted_metrics": ["mae"]}, "`weighted_metrics` needs an entry"),
    ],
)
def test_settings_that_do_not_fit(settings, message):
    model = functional(ours)
    with pytest.raises(ValueError, match=message) as caught:
        model.compile("sgd", **settings)
    assert not isinstance(caught.value, DataError)
    assert not model.compiled


def test_targets_are_held_against_outputs_of_a_fixed_batch():
    x = ours.Input(batch_shape=(4, 2))
    model = ours.Model(x, [ours.layers.Dense(1)(x), ours.layers.Dense(3, activation="softmax")(x)])
    model.compile("sgd", ["mse", "sparse_categorical_crossentropy"], metrics=[["mae"], ["acc"]])
    model.fit(np.ones((8, 2)), [np.ones((8, 1)), np.ones(8)], batch_size=4, verbose=0)
    with pytest.raises(ValueError, match=r"takes targets of shape \(samples, 1\)"):
        model.fit(np.ones((8, 2)), [np.ones((8, 4)), np.ones(8)], batch_size=4, verbose=0)


def test_a_dict_of_losses_may_leave_outputs_of_a_list_out():
    model = functional(ours)
    model.compile("sgd", {"apple": "categorical_crossentropy"})
    alone = functional(ours)
    alone.set_weights(model.get_weights())
    alone.compile("sgd", [None, "categorical_crossentropy", None])
    targets = [VALUES, ONE_HOT, SIGNS]
    found = model.evaluate([A, B], targets, verbose=0)
    assert found == alone.evaluate([A, B], targets, verbose=0)
    assert model.predict([A, B], verbose=0)[1].shape == (ROWS, 3)
