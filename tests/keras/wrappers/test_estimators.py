"""Models as scikit-learn's estimators, beside Keras's own."""

import sys

import keras
import numpy as np
import pytest
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from elephas_torch.keras import layers, models, wrappers

X = np.random.default_rng(0).normal(size=(24, 4)).astype("float32")
LABELS = np.array(["no", "yes", "maybe"])[np.arange(24) % 3]
NUMBERS = X @ np.array([1.0, -1.0, 2.0, 0.5], "float32")


def network(room=layers, model=models, outputs=3, activation="softmax"):
    stack = [room.Dense(5, activation="tanh"), room.Dense(outputs, activation=activation)]
    return model.Sequential([room.Input((4,)), *stack])


def classifier(X, y, units=5):
    model = models.Sequential([layers.Dense(units), layers.Dense(y.shape[1], "softmax")])
    model.compile("sgd", "categorical_crossentropy")
    return model


def regressor(X, y):
    model = models.Sequential([layers.Dense(y.shape[1])])
    model.compile("sgd", "mse")
    return model


PAIRS = [
    ("SKLearnClassifier", LABELS, 3, "softmax", "categorical_crossentropy"),
    ("SKLearnClassifier", np.arange(24) % 2, 2, "softmax", "categorical_crossentropy"),
    ("SKLearnRegressor", NUMBERS, 1, "linear", "mse"),
    ("SKLearnTransformer", NUMBERS, 1, "linear", "mse"),
]


@pytest.mark.parametrize(("name", "y", "outputs", "activation", "loss"), PAIRS)
def test_estimators_are_keras_s(name, y, outputs, activation, loss):
    ours = network(outputs=outputs, activation=activation)
    theirs = network(keras.layers, keras, outputs, activation)
    theirs.set_weights(ours.get_weights())

    def handing(model):
        model.compile("sgd", loss)
        return lambda X, y: model

    options = {"fit_kwargs": {"epochs": 2, "shuffle": False, "verbose": 0}}
    mine = getattr(wrappers, name)(handing(ours), **options).fit(X, y, batch_size=8)
    oracle = getattr(keras.wrappers, name)(handing(theirs), **options).fit(X, y, batch_size=8)
    np.testing.assert_allclose(
        mine.history_.history["loss"], oracle.history_.history["loss"], rtol=1e-5
    )
    if name == "SKLearnClassifier":
        assert np.array_equal(mine.classes_, oracle.classes_)
        assert np.array_equal(mine.predict(X), oracle.predict(X))
        found, expected = mine.decision_function(X), oracle.decision_function(X)
    elif name == "SKLearnRegressor":
        found, expected = mine.predict(X), oracle.predict(X)
    else:
        found, expected = mine.transform(X), oracle.transform(X)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
    if hasattr(oracle, "score"):
        assert mine.score(X, y) == pytest.approx(oracle.score(X, y), rel=1e-5)


def test_several_targets_a_row():
    """Keras's refuses them, though it documents them."""
    targets = np.stack([NUMBERS, -NUMBERS], 1)
    made = wrappers.SKLearnRegressor(regressor, fit_kwargs={"verbose": 0}).fit(X, targets)
    assert made.predict(X).shape == (24, 2)
    assert np.isfinite(made.score(X, targets))


def test_scikit_learn_s_own_tools_take_them():
    search = GridSearchCV(
        wrappers.SKLearnClassifier(classifier, fit_kwargs={"verbose": 0}),
        {"model_kwargs": [{"units": 3}, {"units": 4}]},
        cv=2,
    ).fit(X, LABELS)
    assert search.best_params_["model_kwargs"]["units"] in (3, 4)
    pipe = make_pipeline(
        StandardScaler(),
        wrappers.SKLearnTransformer(regressor, fit_kwargs={"verbose": 0}),
        wrappers.SKLearnRegressor(regressor, fit_kwargs={"verbose": 0, "epochs": 3}),
    )
    assert np.isfinite(cross_val_score(pipe, X, NUMBERS, cv=2)).all()


def test_a_model_is_copied_and_a_function_is_not_needed():
    model = network()
    model.compile("sgd", "categorical_crossentropy")
    before = model.get_weights()
    made = wrappers.SKLearnClassifier(model, fit_kwargs={"verbose": 0}).fit(X, LABELS)
    assert made.model_ is not model
    for weight, old in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(weight, old)
    again = clone(made)
    assert not hasattr(again, "model_")
    assert again.fit_kwargs == {"verbose": 0}


def test_a_warm_start_goes_on():
    made = wrappers.SKLearnRegressor(regressor, warm_start=True, fit_kwargs={"verbose": 0})
    first = made.fit(X, NUMBERS).model_
    assert made.fit(X, NUMBERS).model_ is first
    cold = wrappers.SKLearnRegressor(regressor, fit_kwargs={"verbose": 0})
    first = cold.fit(X, NUMBERS).model_
    assert cold.fit(X, NUMBERS).model_ is not first


@pytest.mark.parametrize(
    ("y", "says"),
    [
        (np.zeros(24), "only one class"),
        (NUMBERS, "Only binary and multiclass target types"),
        (np.eye(24)[:, :2], "Only binary and multiclass target types"),
    ],
)
def test_targets_that_are_no_classes(y, says):
    with pytest.raises(ValueError, match=says):
        wrappers.SKLearnClassifier(classifier).fit(X, y)


def test_models_that_are_not_compiled():
    with pytest.raises(RuntimeError, match=r"call its compile"):
        wrappers.SKLearnClassifier(network()).fit(X, LABELS)
    with pytest.raises(RuntimeError, match="must be a compiled one"):
        wrappers.SKLearnClassifier(lambda X, y: "no model").fit(X, LABELS)


def test_features_of_another_width():
    made = wrappers.SKLearnRegressor(regressor, fit_kwargs={"verbose": 0}).fit(X, NUMBERS)
    with pytest.raises(ValueError, match="expecting 4 features"):
        made.predict(X[:, :3])
    with pytest.raises(AttributeError, match="Did you mean 'SKLearnRegressor'"):
        wrappers.SklearnRegressor  # noqa: B018


def test_without_scikit_learn_the_error_says_what_to_install(monkeypatch):
    monkeypatch.delitem(sys.modules, "elephas_torch.keras.wrappers.estimators", raising=False)
    monkeypatch.setitem(sys.modules, "sklearn.base", None)
    with pytest.raises(ImportError, match="pip install scikit-learn"):
        wrappers.SKLearnClassifier  # noqa: B018
