"""What comes to the loss and to the weights beside the compiled loss: penalties, losses that
layers add, weights of steps, constraints, running means, scaled losses, compiled code."""

import os

os.environ["KERAS_BACKEND"] = "torch"

import warnings

import keras
import numpy as np
import pytest
import torch

from elephas_torch import keras as ours
from elephas_torch.keras.step import Step

ROWS = 22
RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(ROWS, 4)).astype("float32")
Y = RANDOM.normal(size=(ROWS, 1)).astype("float32")
SEQUENCES = RANDOM.normal(size=(ROWS, 6, 4)).astype("float32")
STEPS = np.eye(3, dtype="float32")[RANDOM.integers(0, 3, (ROWS, 6))]


def pair(make):
    mine, theirs = make(ours), make(keras)
    theirs.set_weights([np.asarray(w) for w in mine.get_weights()])
    return mine, theirs


def both(make, loss="mse", rate=0.1, optimizer="SGD", options=None, **settings):
    mine, theirs = pair(make)
    more = {"learning_rate": rate, **(options or {})}
    mine.compile(getattr(ours.optimizers, optimizer)(**more), loss, **settings)
    theirs.compile(
        getattr(keras.optimizers, optimizer)(**more), loss, jit_compile=False, **settings
    )
    return mine, theirs


def agree(models, x, y=None, **options):
    mine, theirs = models
    options = {"epochs": 3, "batch_size": 8, "verbose": 0, "shuffle": False, **options}
    one, other = mine.fit(x, y, **options), theirs.fit(x, y, **options)
    assert list(one.history) == list(other.history)
    for name, values in other.history.items():
        assert one.history[name] == pytest.approx(values, rel=1e-5), name
    for a, b in zip(mine.get_weights(), theirs.get_weights(), strict=True):
        np.testing.assert_allclose(np.asarray(a), np.asarray(b), rtol=1e-5, atol=1e-6)


def dense(library, units=5, last="linear", outputs=1, **first):
    layers = library.layers
    return library.Sequential(
        [
            layers.Input((4,)),
            layers.Dense(units, activation="tanh", **first),
            layers.Dense(outputs, activation=last),
        ]
    )


PENALTIES = {
    "kernel": {"kernel_regularizer": "l2"},
    "both": {"kernel_regularizer": "l1", "bias_regularizer": "l2"},
    "activity": {"activity_regularizer": "l2"},
}


@pytest.mark.parametrize("name", PENALTIES)
def test_regularizers_enter_the_loss(name):
    models = both(lambda library: dense(library, **PENALTIES[name]), metrics=["mae"])
    agree(models, X, Y, validation_split=0.2)
    mine, theirs = models
    expected = [float(one) for one in theirs.evaluate(X, Y, verbose=0)]
    assert mine.evaluate(X, Y, verbose=0) == pytest.approx(expected, rel=1e-5)


def test_frozen_weights_are_not_regularized():
    def make(library):
        model = dense(library, kernel_regularizer="l2")
        model.layers[0].trainable = False
        return model

    agree(both(make), X, Y)


def adding(library):
    class Adds(library.layers.Layer):
        def call(self, inputs):
            self.add_loss(0.1 * (inputs**2).sum())
            return inputs

    layers = library.layers
    return library.Sequential([layers.Input((4,)), layers.Dense(5), Adds(), layers.Dense(1)])


def test_losses_that_layers_add():
    agree(both(adding), X, Y, validation_split=0.2)


def test_losses_that_layers_add_are_all_there_is():
    agree(both(adding, loss=None), X, epochs=2)
    plain = dense(ours)
    plain.compile("sgd")
    for method in (plain.fit, plain.evaluate, plain.train_on_batch):
        with pytest.raises(ValueError, match=r"nothing to train for: give compile\(\) a loss"):
            method(X)


def over_steps(library):
    layers = library.layers
    return library.Sequential([layers.Input((6, 4)), layers.Dense(3, activation="softmax")])


TEMPORAL = {
    "steps": RANDOM.random((ROWS, 6)),
    "rows": RANDOM.random((ROWS, 1)),
}


@pytest.mark.parametrize("name", TEMPORAL)
def test_weights_of_steps(name):
    models = both(over_steps, "categorical_crossentropy", weighted_metrics=["accuracy"])
    weight = TEMPORAL[name]
    agree(models, SEQUENCES, STEPS, sample_weight=weight, validation_split=0.2)
    found = models[0].evaluate(SEQUENCES, STEPS, sample_weight=weight, verbose=0)
    expected = models[1].evaluate(SEQUENCES, STEPS, sample_weight=weight, verbose=0)
    assert found == pytest.approx([float(one) for one in expected], rel=1e-5)


def test_weights_of_rows_count_for_all_their_steps():
    # Keras multiplies them with the steps, and fails unless there are as many.
    weight = TEMPORAL["steps"][:, 0]
    model = over_steps(ours)
    model.compile("sgd", "categorical_crossentropy", weighted_metrics=["accuracy"])
    found = model.evaluate(SEQUENCES, STEPS, sample_weight=weight, verbose=0)
    repeated = np.repeat(weight[:, None], 6, 1)
    expected = model.evaluate(SEQUENCES, STEPS, sample_weight=repeated, verbose=0)
    assert found == pytest.approx(expected, rel=1e-6)


def test_weights_of_steps_are_checked():
    model = over_steps(ours)
    model.compile("sgd", "categorical_crossentropy")
    with pytest.raises(ValueError, match=r"has shape \(22, 5\).*\(22,\), or one a step, .*22, 6"):
        model.fit(SEQUENCES, STEPS, sample_weight=np.ones((ROWS, 5)), verbose=0)


def masked(library):
    layers = library.layers
    return library.Sequential(
        [layers.Input((6, 4)), layers.Masking(), layers.Dense(3, activation="softmax")]
    )


def test_steps_that_a_mask_leaves_out():
    x = SEQUENCES.copy()
    x[:, 4:] = 0
    x[3, 1:] = 0
    models = both(masked, "categorical_crossentropy", metrics=["accuracy"])
    step = models[0]._ready()
    assert step.loss.from_logits
    agree(models, x, STEPS, validation_split=0.2)
    agree(models, x, STEPS, sample_weight=TEMPORAL["steps"])


CONSTRAINTS = ["non_neg", "unit_norm", "max_norm"]


@pytest.mark.parametrize("name", CONSTRAINTS)
def test_constraints_hold_after_each_update(name):
    make = lambda library: dense(library, kernel_constraint=name)  # noqa: E731
    models = both(make, rate=0.5)
    agree(models, X, Y)
    mine, theirs = models
    for model in models:
        model.train_on_batch(X, Y)
    np.testing.assert_allclose(
        mine.get_weights()[0], np.asarray(theirs.get_weights()[0]), rtol=1e-5, atol=1e-6
    )


def test_constraints_for_updates_made_elsewhere():
    model = dense(ours, kernel_constraint="non_neg")
    model.compile("sgd", "mse")
    step = Step(model)
    step.flat.parameters.fill_(-1.0)
    step.constrain()
    assert (model.get_weights()[0] == 0).all() and (model.get_weights()[1] == -1).all()


def test_running_means_of_weights_come_in_at_the_end():
    models = both(dense, options={"use_ema": True, "ema_momentum": 0.8})
    agree(models, X, Y)


def test_accumulated_gradients():
    agree(both(dense, options={"gradient_accumulation_steps": 2}), X, Y, epochs=4)


def test_optimizers_of_single_weights_know_them():
    make = lambda library: dense(library, 6, outputs=4)  # noqa: E731
    y = RANDOM.normal(size=(ROWS, 4)).astype("float32")
    agree(both(make, optimizer="Lamb", rate=0.01), X, y)


def test_losses_of_float16_are_scaled():
    ours.config.set_dtype_policy("mixed_float16")
    try:
        model = dense(ours)
    finally:
        ours.config.set_dtype_policy("float32")
    model.dtype_policy = ours.config.dtype_policy().__class__("mixed_float16")
    model.compile("sgd", "mse")
    assert type(model.optimizer).__name__ == "LossScaleOptimizer"
    model.compile(model.optimizer, "mse")
    assert type(model.optimizer.inner_optimizer).__name__ == "SGD"
    model.compile("sgd", "mse", auto_scale_loss=False)
    assert type(model.optimizer).__name__ == "SGD"


def test_scaling_the_loss_changes_nothing_but_underflow():
    plain, scaled = dense(ours), dense(ours)
    scaled.set_weights(plain.get_weights())
    plain.compile(ours.optimizers.SGD(0.1), "mse")
    scaled.compile(ours.optimizers.LossScaleOptimizer(ours.optimizers.SGD(0.1)), "mse")
    options = {"epochs": 3, "shuffle": False, "verbose": 0}
    expected = plain.fit(X, Y, **options).history["loss"]
    assert scaled.fit(X, Y, **options).history["loss"] == pytest.approx(expected, rel=1e-5)
    for a, b in zip(scaled.get_weights(), plain.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


def test_mixed_bfloat16_trains():
    ours.config.set_dtype_policy("mixed_bfloat16")
    try:
        model = dense(ours, 8, "softmax", 3)
    finally:
        ours.config.set_dtype_policy("float32")
    labels = (X[:, 0] > 0).astype(int) + (X[:, 1] > 0)
    model.compile(
        ours.optimizers.Adam(0.05), "sparse_categorical_crossentropy", metrics=["accuracy"]
    )
    history = model.fit(X, labels, epochs=20, verbose=0).history
    assert history["loss"][-1] < 0.5 * history["loss"][0]
    assert model.predict(X, verbose=0).dtype == np.float32
    assert all(weight.dtype == np.float32 for weight in model.get_weights())


def test_compiled_code_computes_the_same(monkeypatch):
    compiled = []
    compiler = torch.compile

    def eager(function, **more):
        compiled.append(function)
        return compiler(function, backend="eager", dynamic=more["dynamic"])

    monkeypatch.setattr(torch, "compile", eager)
    plain, fast = dense(ours, last="sigmoid"), dense(ours, last="sigmoid")
    fast.set_weights(plain.get_weights())
    plain.compile(ours.optimizers.SGD(0.1), "binary_crossentropy")
    fast.compile(ours.optimizers.SGD(0.1), "binary_crossentropy", jit_compile=True)
    y = (Y > 0).astype("float32")
    options = {"epochs": 2, "shuffle": False, "verbose": 0, "batch_size": 11}
    expected = plain.fit(X, y, **options).history["loss"]
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message="jit_compile")
        assert fast.fit(X, y, **options).history["loss"] == pytest.approx(expected, rel=1e-5)
    assert len(compiled) == 1 and fast.jit_compile and not plain.jit_compile


def test_without_a_compiler_it_goes_on_and_says_so(monkeypatch):
    def broken(function, **more):
        def compiled(*args):
            raise torch._dynamo.exc.TorchDynamoException("no compiler here")

        return compiled

    monkeypatch.setattr(torch, "compile", broken)
    model = dense(ours)
    model.compile("sgd", "mse", jit_compile=True)
    with pytest.warns(UserWarning, match="jit_compile=True has no effect: .*no compiler here"):
        model.fit(X, Y, verbose=0)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        model.fit(X, Y, verbose=0)
    with pytest.raises(ValueError, match="shape"):
        model.fit(X[:, :2], Y, verbose=0)


def test_what_compile_is_given_beside():
    model = dense(ours)
    with pytest.warns(UserWarning, match="run_eagerly=True turns jit_compile=True off"):
        model.compile("sgd", "mse", run_eagerly=True, jit_compile=True, steps_per_execution=4)
    assert not model.jit_compile
    with pytest.warns(DeprecationWarning, match=r"is Keras 2's order: use metrics=…"):
        model.compile("sgd", "mse", ["mae"])
    assert model.metrics_names == ["loss", "mae"]
    model.optimizer = "adam"
    assert type(model.optimizer).__name__ == "Adam"
    with pytest.raises(TypeError, match=r"add_metric is of Keras 2.*self.mine = metrics.Mean"):
        model.add_metric(1.0)


def test_how_a_model_is_compiled_comes_back_from_its_config():
    model = ours.Sequential([ours.layers.Dense(1, input_dim=4)])
    assert model.get_compile_config() == {}
    model.compile(
        ours.optimizers.Adam(0.02),
        ours.losses.Huber(delta=0.5),
        loss_weights=[2.0],
        metrics=["mae", ours.metrics.MeanSquaredError(name="squares")],
        weighted_metrics=["mse"],
    )
    config = model.get_compile_config()
    import json

    again = ours.Sequential([ours.layers.Dense(1, input_dim=4)])
    again.set_weights(model.get_weights())
    again.compile_from_config(json.loads(json.dumps(config)))
    assert again.get_compile_config() == config
    assert again.metrics_names == model.metrics_names == ["loss", "mae", "squares", "mse"]
    assert again.evaluate(X, Y, verbose=0) == model.evaluate(X, Y, verbose=0)
