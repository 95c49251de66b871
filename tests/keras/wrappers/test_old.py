"""Keras 1's and 2's KerasClassifier and KerasRegressor."""

import numpy as np
import pytest
from sklearn.model_selection import GridSearchCV

from elephas_torch.keras import layers, models
from elephas_torch.keras.callbacks import History

X = np.random.default_rng(0).normal(size=(24, 4)).astype("float32")
Y = np.arange(24) % 3


def wrapper(name):
    from elephas_torch.keras.wrappers import scikit_learn

    with pytest.warns(DeprecationWarning, match=f"{name} is keras.wrappers.SKLearn") as caught:
        found = getattr(scikit_learn, name)
    assert caught[0].filename == __file__
    return found


def build_mlp(units=4, outputs=3, loss="categorical_crossentropy", metrics=("accuracy",)):
    end = "softmax" if outputs > 1 else "sigmoid"
    model = models.Sequential([layers.Dense(units, "relu"), layers.Dense(outputs, end)])
    model.compile("sgd", loss, metrics=list(metrics))
    return model


def build_line():
    model = models.Sequential([layers.Dense(1)])
    model.compile("sgd", "mse", metrics=["mae"])
    return model


@pytest.mark.parametrize(
    ("labels", "arguments"),
    [
        (Y, {}),
        (np.array(["a", "b", "c"])[Y], {}),
        (np.array(["a", "b", "c"])[Y], {"loss": "sparse_categorical_crossentropy"}),
        (np.array([3, 7])[Y % 2], {"outputs": 1, "loss": "binary_crossentropy"}),
        (np.eye(3)[Y], {}),
    ],
)
def test_classifiers(labels, arguments):
    made = wrapper("KerasClassifier")(build_mlp, epochs=2, batch_size=8, verbose=0, **arguments)
    history = made.fit(X, labels)
    assert len(history.history["loss"]) == 2
    found, shares = made.predict(X), made.predict_proba(X)
    assert shares.shape == (24, made.n_classes_)
    np.testing.assert_allclose(shares.sum(1), 1.0, rtol=1e-5)
    assert np.array_equal(found.reshape(-1), made.classes_[shares.argmax(1)])
    truth = labels.argmax(1) if labels.ndim == 2 else labels
    assert made.score(X, labels) == pytest.approx(np.mean(found.reshape(-1) == truth))


def test_regressors():
    target = X.sum(1)
    made = wrapper("KerasRegressor")(build_fn=build_line, epochs=3, verbose=0)
    assert isinstance(made.fit(X, target), History)  # as Keras 1 and 2; scikit-learn's: itself
    found = made.predict(X)
    assert found.shape == (24,)
    assert made.score(X, target) == pytest.approx(-np.mean((found - target) ** 2), rel=1e-5)


def test_grid_search_as_in_keras_s_example():
    search = GridSearchCV(
        wrapper("KerasClassifier")(build_mlp, batch_size=8, verbose=0),
        param_grid={"units": [2, 3], "epochs": [1, 2]},
        scoring="neg_log_loss",
        cv=2,
    )
    search.fit(X, Y)
    assert set(search.best_params_) == {"units", "epochs"}
    assert search.best_estimator_.model.layers[0].units == search.best_params_["units"]


def test_keras_1_s_epochs_and_a_subclass_that_builds_by_being_called():
    class Mine(wrapper("KerasRegressor")):
        def __call__(self):
            return build_line()

    made = Mine(nb_epoch=3, verbose=0)
    assert len(made.fit(X, X.sum(1)).epoch) == 3
    assert made.set_params(verbose=2).get_params() == {
        "nb_epoch": 3, "verbose": 2, "build_fn": None
    }  # fmt: skip


def test_what_is_refused():
    made = wrapper("KerasClassifier")
    with pytest.raises(TypeError, match=r"'unitz'\. Did you mean 'units'"):
        made(build_mlp, unitz=3)
    with pytest.raises(ValueError, match="`build_fn` must be a function"):
        made()
    blind = made(build_mlp, metrics=(), verbose=0)
    blind.fit(X, Y)
    with pytest.raises(ValueError, match=r"metrics=\['accuracy'\]"):
        blind.score(X, Y)
