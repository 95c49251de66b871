"""What of a model's output becomes which column."""

import numpy as np
import pytest
import torch

from elephas_torch.heads import Head, head, numbers, output_shapes
from elephas_torch.keras import losses
from elephas_torch.keras.layers import Activation, Concatenate, Dense, Input, Reshape
from elephas_torch.keras.models import Model, Sequential

X = torch.from_numpy(np.random.default_rng(1).normal(size=(6, 4)).astype(np.float32))
ALL = {"probability": "probability", "raw": "raw"}


def stack(units, activation, loss, layers=()):
    model = Sequential([Dense(units, activation=activation, input_shape=(4,)), *layers])
    model.compile(loss=loss, optimizer="sgd")
    return model


def given(model, one):
    with torch.no_grad():
        return model.preactivation(X) if one.fused else model(X)


@pytest.mark.parametrize(
    ("activation", "loss", "link", "fused"),
    [
        ("softmax", "categorical_crossentropy", "softmax", True),
        ("softmax", "sparse_categorical_crossentropy", "softmax", True),
        ("sigmoid", "binary_crossentropy", "sigmoid", True),
        (None, losses.CategoricalCrossentropy(from_logits=True), "softmax", False),
        (None, losses.SparseCategoricalCrossentropy(from_logits=True), "softmax", False),
        (None, losses.BinaryCrossentropy(from_logits=True), "sigmoid", False),
        (None, "categorical_hinge", "softmax", False),
        (None, "mse", None, False),
        ("softplus", "poisson", None, False),
    ],
)
def test_classes_of_several_units(activation, loss, link, fused):
    model = stack(3, activation, loss)
    one = head(model, "classification", **ALL)
    assert (one.link, one.fused, one.classes) == (link, fused, 3)
    assert one.fields == {"prediction": "double", "probability": "vector", "raw": "vector"}
    found = one.values(given(model, one))
    outputs = torch.from_numpy(model.predict(X, verbose=0))
    if link is not None and not fused:
        outputs = torch.softmax(outputs, 1) if link == "softmax" else torch.sigmoid(outputs)
    np.testing.assert_allclose(found["probability"], outputs, rtol=1e-6)
    assert found["prediction"].tolist() == outputs.argmax(1).tolist()
    assert found["prediction"].dtype == found["probability"].dtype == np.float64
    assert np.isfinite(found["raw"]).all()


@pytest.mark.parametrize(
    ("activation", "loss", "link"),
    [
        ("sigmoid", "binary_crossentropy", "sigmoid"),
        (None, losses.BinaryCrossentropy(from_logits=True), "sigmoid"),
        (None, "hinge", "sigmoid"),
        ("hard_sigmoid", "mse", None),
    ],
)
def test_two_classes_of_one_unit(activation, loss, link):
    model = stack(1, activation, loss)
    one = head(model, "classification", **ALL)
    found = one.values(given(model, one))
    p = model.predict(X, verbose=0).astype(np.float64)
    p = 1 / (1 + np.exp(-p)) if activation is None else p
    np.testing.assert_allclose(found["probability"], np.hstack([1 - p, p]), atol=1e-6)
    np.testing.assert_allclose(found["raw"][:, 0], -found["raw"][:, 1])
    assert found["prediction"].tolist() == (p[:, 0] > 0.5).tolist()
    assert one.link == link and one.classes == 2
    odds = np.log(p / (1 - p))
    np.testing.assert_allclose(found["raw"][:, 1], odds[:, 0], rtol=1e-3, atol=1e-5)


def test_logits_stay_exact_where_probabilities_round():
    model = stack(1, "sigmoid", "binary_crossentropy")
    model.set_weights([np.full((4, 1), 100.0), np.zeros(1)])
    one = head(model, "classification", **ALL)
    found = one.values(given(model, one))
    np.testing.assert_allclose(found["raw"][:, 1], 100 * X.sum(1), rtol=1e-5)


def test_scores_of_sure_probabilities_are_finite():
    model = stack(2, None, "mse", [Activation("softmax"), Reshape((2,))])
    one = head(model, "classification", **ALL)
    assert one.link is None
    found = one.values(torch.tensor([[0.0, 1.0], [0.25, 0.75]]))
    assert np.isfinite(found["raw"]).all()
    np.testing.assert_allclose(found["raw"][1], [-np.log(3), np.log(3)])


def test_thresholds_scale_probabilities():
    model = stack(3, "softmax", "categorical_crossentropy")
    p = torch.tensor([[0.5, 0.3, 0.2], [0.1, 0.1, 0.8]]).log()
    for limits, classes in [((0.9, 0.3, 0.9), [1, 2]), ((1, 1, 0), [2, 2]), ((1, 1, 1), [0, 2])]:
        one = head(model, "classification", thresholds=limits)
        assert one.values(p)["prediction"].tolist() == classes
    one = head(stack(1, "sigmoid", "mse"), "classification", thresholds=(0.2, 0.8))
    p = torch.tensor([[0.7], [0.9]])
    assert one.values(torch.logit(p))["prediction"].tolist() == [0, 1]


@pytest.mark.parametrize("limits", [(0.5,), (0, 0, 1), (-1, 1, 1)])
def test_thresholds_that_do_not_fit(limits):
    with pytest.raises(ValueError, match="Received: thresholds="):
        head(stack(3, "softmax", "mse"), "classification", thresholds=limits)


def test_several_labels_a_row():
    model = stack(3, "sigmoid", "binary_crossentropy")
    one = head(model, "multilabel", **ALL)
    assert one.fields == {"prediction": "labels", "probability": "vector", "raw": "vector"}
    found, p = one.values(given(model, one)), model.predict(X, verbose=0)
    np.testing.assert_allclose(found["probability"], p, rtol=1e-6)
    np.testing.assert_array_equal(found["prediction"], p > 0.5)
    np.testing.assert_allclose(found["raw"], np.log(p / (1 - p)), rtol=1e-3, atol=1e-5)
    marks = np.array([[0, 1, 1], [np.nan] * 3, [0, 0, 0], [1, 0, np.nan]])
    labels, counts = numbers(marks)
    np.testing.assert_array_equal(labels, [1, 2, np.nan, np.nan])
    assert counts.tolist() == [2, 1, 0, 1]
    limits = head(model, "multilabel", thresholds=(0, 1, 0.5))
    assert limits.values(given(model, limits))["prediction"][:, :2].tolist() == [[1, 0]] * 6


@pytest.mark.parametrize(
    ("kind", "units", "layers", "field", "shape"),
    [
        ("regression", 1, [], "double", (6,)),
        ("regression", 2, [], "vector", (6, 2)),
        ("regression", 6, [Reshape((2, 3))], 2, (6, 2, 3)),
        ("array", 1, [], 1, (6, 1)),
        ("array", 5, [], 1, (6, 5)),
        ("array", 12, [Reshape((2, 3, 2))], 3, (6, 2, 3, 2)),
    ],
)
def test_numbers(kind, units, layers, field, shape):
    model = stack(units, "softmax" if units > 1 else None, "mse", layers)
    one = head(model, kind)
    assert one.fields == {"prediction": field} and not one.fused
    found = one.values(given(model, one))["prediction"]
    np.testing.assert_array_equal(found, model.predict(X, verbose=0).reshape(shape))
    assert found.dtype == (np.float32 if isinstance(field, int) else np.float64)


@pytest.mark.parametrize("kind", ["classification", "multilabel"])
def test_nan_stays_nan(kind):
    one = head(stack(2, "softmax", "mse"), kind, **ALL)
    for value in one.values(torch.tensor([[np.nan, 0.0], [1.0, 0.0]])).values():
        assert np.isnan(value[0]).any() and np.isfinite(value[1]).all()


def test_each_output_has_a_head_of_its_own():
    a, b = Input((4,), name="a"), Input((3,), name="b")
    both = Concatenate()([a, b])
    model = Model(
        [a, b],
        {"sort": Dense(3, activation="softmax")(both), "age": Dense(1)(both)},
    )
    model.compile(loss={"sort": "categorical_crossentropy", "age": "mse"}, optimizer="sgd")
    assert output_shapes(model) == [(None, 1), (None, 3)]  # in the order of the keys
    assert head(model, "regression", 0).fields == {"prediction": "double"}
    sort = head(model, "classification", 1)
    assert sort.fused and sort.classes == 3
    with pytest.raises(ValueError, match=r"2 outputs\. Received: output=2"):
        head(model, "array", 2)


def test_what_makes_no_classes():
    with pytest.raises(ValueError, match="take it as an 'array'"):
        head(stack(4, None, "mse", [Reshape((2, 2))]), "classification")
    with pytest.raises(ValueError, match="Did you mean 'regression'"):
        head(stack(4, None, "mse"), "regresion")


@pytest.mark.parametrize("link", ["softmax", None])
def test_the_raw_score_of_two_classes_ranks_as_their_probability(link):
    given = torch.tensor([[4.0, 5.0], [-3.0, 1.0], [0.0, -1.0]])
    if link is None:
        given = given.softmax(1)
    found = Head("classification", (2,), probability="p", raw="r", link=link).values(given)
    np.testing.assert_allclose(found["r"][:, 1], [1.0, 4.0, -1.0], atol=1e-5)
    np.testing.assert_allclose(found["r"].sum(1), 0, atol=1e-12)
    assert found["p"][:, 1].argsort().tolist() == found["r"][:, 1].argsort().tolist()
