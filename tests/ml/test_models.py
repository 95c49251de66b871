"""Copies, builders and compiling; nothing here needs Spark to run."""

import threading

import numpy as np
import pytest

from elephas_torch.keras import Sequential, layers, metrics, optimizers
from elephas_torch.ml import ElephasClassifier, ElephasEstimator, ElephasTransformer, models


def small(units=3, compiled=True):
    model = Sequential([layers.Input((4,)), layers.Dense(units, activation="softmax")])
    if compiled:
        model.compile(optimizers.SGD(0.5), "categorical_crossentropy", metrics=["accuracy"])
    return model


def same(some, others):
    return all(np.array_equal(a, b) for a, b in zip(some, others, strict=True))


def test_a_copy_has_the_weights_and_nothing_else_of_the_model():
    model = small()
    model.fit(np.eye(4), np.eye(4)[:, :3], verbose=0)
    other = models.copied(model)
    assert same(model.get_weights(), other.get_weights())
    assert other.optimizer.iterations == 0 < model.optimizer.iterations
    before = [one.copy() for one in model.get_weights()]
    other.fit(np.eye(4), np.eye(4)[:, :3], verbose=0)
    assert same(model.get_weights(), before)
    assert not same(other.get_weights(), before)


def test_a_copy_of_what_isnt_built_isnt_built():
    model = Sequential([layers.Dense(2)])
    model.compile("sgd", "mse")
    other = models.copied(model)
    assert not other.built
    other.build((None, 3))
    assert not model.built


def test_threads_copy_one_model():
    model, copies = small(), []
    threads = [
        threading.Thread(target=lambda: copies.append(models.copied(model))) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({id(one) for one in copies}) == 8
    assert all(same(model.get_weights(), one.get_weights()) for one in copies)


PARAMS = {"batchSize": 8, "batch_size": 8, "epochs": 3, "loss": None}


@pytest.mark.parametrize(
    ("builder", "more", "units"),
    [
        (lambda: small(2), {}, 2),
        (lambda batch_size: small(batch_size), {}, 8),
        (lambda batchSize, epochs=1: small(batchSize + epochs), {}, 11),
        (lambda params: small(params["epochs"] + params["batch_size"]), {}, 11),
        (lambda units, epochs: small(units + epochs), {"units": 4}, 7),
        (lambda **more: small(more["units"]), {"units": 4}, 4),
        (lambda units=5: small(units), {}, 5),
        (lambda loss="mse": small(2 if loss == "mse" else 9), {}, 2),
    ],
)
def test_builders_get_what_they_ask_for(builder, more, units):
    assert models.from_builder(builder, PARAMS, more).output_shape == (None, units)


def test_a_builder_that_gives_the_same_model_each_time_is_copied():
    model = small()
    assert models.from_builder(lambda: model, {}, {}) is not model


@pytest.mark.parametrize(
    ("builder", "more", "message"),
    [
        (lambda units, depth: None, {"units": 3}, "needs depth, which no param gives"),
        (lambda units: None, {"unit": 3, "units": 4}, "'unit'. Did you mean 'units'"),
        (lambda: "model", {}, "must return a model.*It returned str: 'model'"),
    ],
)
def test_bad_builders_are_told(builder, more, message):
    with pytest.raises(TypeError, match=message):
        models.from_builder(builder, PARAMS, more)


def test_what_is_given_comes_in_place_of_what_was_compiled():
    model = models.compiled(models.copied(small()), metrics=["mse"])
    assert model.loss.name == "categorical_crossentropy"
    assert model.optimizer.learning_rate == 0.5
    assert model.compiled.metrics == ["mse"]
    model = models.compiled(models.copied(small()), loss="mse", optimizer="adam")
    assert (model.loss.name, type(model.optimizer).__name__) == ("mean_squared_error", "Adam")
    assert model.compiled.metrics == ["accuracy"]


def test_objects_given_are_not_shared_by_fits():
    given = metrics.CategoricalAccuracy()
    optimizer = optimizers.Adam(0.1)
    one, other = (
        models.compiled(small(compiled=False), loss="mse", metrics=[given], optimizer=optimizer)
        for _ in range(2)
    )
    assert one.optimizer is not other.optimizer
    assert one.optimizer is not optimizer
    assert one.compiled.metrics[0] is not given


def test_what_isnt_compiled_needs_a_loss():
    with pytest.raises(ValueError, match=r"isn't compiled.*loss=…"):
        models.compiled(small(compiled=False))


def test_custom_losses_are_found_by_name():
    def mine(y_true, y_pred):
        return (y_true - y_pred).abs().mean(-1)

    model = small(compiled=False)
    models.compiled(model, loss="mine", custom_objects={"mine": mine})
    assert model.loss.fn is mine


def test_a_warm_start_takes_weights_and_builds():
    source = small()
    fitted = ElephasTransformer(model=source)
    model = Sequential([layers.Dense(3, activation="softmax")])
    models.start_from(model, fitted)
    assert same(model.get_weights(), source.get_weights())
    with pytest.raises(ValueError, match=r"don't fit the model.*\(4, 3\).*\(4, 2\)"):
        models.start_from(small(2), source)


def test_the_estimator_takes_one_way_to_a_model():
    model = small()
    assert same(ElephasEstimator(model).get_model().get_weights(), model.get_weights())
    built = ElephasEstimator(model, modelBuilder=lambda: small(7)).get_model()
    assert built.output_shape == (None, 7)
    with pytest.raises(ValueError, match=r"ElephasClassifier has no model"):
        ElephasClassifier().get_model()
    warm = ElephasEstimator().setInitialModel(ElephasTransformer(model=model)).get_model()
    assert same(warm.get_weights(), model.get_weights())


def test_a_model_of_json_starts_from_the_same_weights_each_time():
    text = small(compiled=False).to_json()
    estimator = ElephasEstimator().set_keras_model_config(text).set_loss("mse")
    first = estimator.get_model()
    other = estimator.copy({estimator.epochs: 3}).get_model()
    assert same(first.get_weights(), other.get_weights())
    assert first is not other
