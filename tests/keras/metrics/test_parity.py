"""Every metric against Keras 3's: over batches, with weights, and merged from workers' states.

`CASES` and `largest_error` are also what the table of errors in the docs is made from.
"""

import itertools

import keras
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from elephas_torch.keras import metrics

ROWS = 13
#: The cuts of a worker that has none.
NO_ROWS = (0,)

#: Class, arguments, and what its targets and predictions are.
CASES = [
    ("Mean", {}, "one tensor"),
    ("Sum", {}, "one tensor"),
    ("Accuracy", {}, "numbers"),
    ("BinaryAccuracy", {}, "binary"),
    ("BinaryAccuracy", {"threshold": 0.2}, "binary"),
    ("CategoricalAccuracy", {}, "one-hot"),
    ("SparseCategoricalAccuracy", {}, "classes"),
    ("TopKCategoricalAccuracy", {"k": 2}, "one-hot"),
    ("SparseTopKCategoricalAccuracy", {"k": 2}, "classes"),
    ("SparseTopKCategoricalAccuracy", {"k": 2, "from_sorted_ids": True}, "sorted ids"),
    ("MeanSquaredError", {}, "reals"),
    ("RootMeanSquaredError", {}, "reals"),
    ("MeanAbsoluteError", {}, "reals"),
    ("MeanAbsolutePercentageError", {}, "positive"),
    ("MeanSquaredLogarithmicError", {}, "positive"),
    ("LogCoshError", {}, "reals"),
    ("CosineSimilarity", {}, "reals"),
    ("R2Score", {}, "reals"),
    ("R2Score", {"class_aggregation": None}, "reals"),
    ("R2Score", {"class_aggregation": "variance_weighted_average", "num_regressors": 2}, "reals"),
    ("PearsonCorrelation", {}, "reals"),
    ("ConcordanceCorrelation", {}, "reals"),
    ("Hinge", {}, "signs"),
    ("SquaredHinge", {}, "signs"),
    ("CategoricalHinge", {}, "one-hot"),
    ("KLDivergence", {}, "distributions"),
    ("Poisson", {}, "positive"),
    ("BinaryCrossentropy", {"label_smoothing": 0.1}, "binary"),
    ("BinaryCrossentropy", {"from_logits": True}, "signs logits"),
    ("CategoricalCrossentropy", {}, "one-hot"),
    ("CategoricalCrossentropy", {"from_logits": True, "label_smoothing": 0.2}, "one-hot"),
    ("SparseCategoricalCrossentropy", {}, "classes"),
    ("SparseCategoricalCrossentropy", {"from_logits": True, "ignore_class": 1}, "classes"),
    ("TruePositives", {}, "binary"),
    ("FalsePositives", {"thresholds": 0.3}, "binary"),
    ("TrueNegatives", {"thresholds": [0.9, 0.2, 0.5]}, "binary"),
    ("FalseNegatives", {"thresholds": [0.0, 0.5, 1.0]}, "tenths"),
    ("Precision", {}, "binary"),
    ("Precision", {"thresholds": [0.7, 0.1]}, "tenths"),
    ("Precision", {"top_k": 2}, "binary"),
    ("Precision", {"top_k": 2, "class_id": 1, "thresholds": 0.4}, "binary"),
    ("Recall", {}, "binary"),
    ("Recall", {"thresholds": [0.0, 0.25, 0.5, 0.75, 1.0]}, "tenths"),
    ("Recall", {"class_id": 2}, "binary"),
    ("Recall", {"top_k": 1}, "binary"),
    ("SensitivityAtSpecificity", {"specificity": 0.5}, "binary"),
    ("SensitivityAtSpecificity", {"specificity": 0.6, "num_thresholds": 1}, "tenths"),
    ("SpecificityAtSensitivity", {"sensitivity": 0.6, "num_thresholds": 11}, "tenths"),
    ("PrecisionAtRecall", {"recall": 0.4, "class_id": 1}, "binary"),
    ("RecallAtPrecision", {"precision": 0.5, "num_thresholds": 50}, "binary"),
    ("AUC", {}, "binary"),
    ("AUC", {"curve": "PR"}, "binary"),
    ("AUC", {"curve": "PRGAIN", "num_thresholds": 20}, "binary"),
    ("AUC", {"summation_method": "majoring", "num_thresholds": 11}, "tenths"),
    ("AUC", {"curve": "PR", "summation_method": "minoring"}, "binary"),
    ("AUC", {"curve": "PR", "summation_method": "majoring", "num_thresholds": 7}, "binary"),
    ("AUC", {"thresholds": [0.8, 0.3, 0.35]}, "binary"),
    ("AUC", {"thresholds": [0.5], "curve": "PR"}, "tenths"),
    ("AUC", {"label_weights": [0.5, 2.0, 1.0, 0.1]}, "binary"),
    ("AUC", {"multi_label": True}, "binary"),
    ("AUC", {"multi_label": True, "num_labels": 4, "label_weights": [1, 2, 3, 4]}, "binary"),
    ("AUC", {"multi_label": True, "curve": "PR", "thresholds": [0.2, 0.7]}, "binary"),
    ("AUC", {"from_logits": True}, "signs logits"),
    ("F1Score", {}, "one-hot"),
    ("F1Score", {"average": "macro", "threshold": 0.3}, "binary"),
    ("F1Score", {"average": "micro"}, "one-hot"),
    ("F1Score", {"average": "weighted"}, "one-hot"),
    ("FBetaScore", {"beta": 2.0, "average": None}, "one-hot"),
    ("FBetaScore", {"beta": 0.5, "average": "weighted", "threshold": 0.4}, "binary"),
    ("IoU", {"num_classes": 4, "target_class_ids": [0, 2]}, "class pairs"),
    ("IoU", {"num_classes": 3, "target_class_ids": [1], "sparse_y_pred": False}, "classes"),
    ("BinaryIoU", {}, "one binary"),
    ("BinaryIoU", {"target_class_ids": [1], "threshold": 0.3}, "one binary"),
    ("MeanIoU", {"num_classes": 4}, "class pairs"),
    ("MeanIoU", {"num_classes": 5, "ignore_class": 0}, "class pairs"),
    ("OneHotIoU", {"num_classes": 4, "target_class_ids": [0, 3]}, "one-hot"),
    ("OneHotMeanIoU", {"num_classes": 4}, "one-hot"),
    ("OneHotMeanIoU", {"num_classes": 4, "sparse_y_pred": True}, "one-hot pairs"),
]
NAMES = sorted({name for name, *_ in CASES})


def data(kind, rows=ROWS, seed=0, columns=4):
    """Batches' targets and predictions, or the values alone."""
    rng = np.random.default_rng(seed)
    shape = (rows, columns)
    reals, bits = rng.normal(size=shape), rng.integers(0, 2, shape).astype(float)
    classes, guesses = rng.integers(0, columns, rows), rng.integers(0, columns, rows)
    one_hot, probabilities = np.eye(columns)[classes], rng.dirichlet(np.ones(columns), rows)
    found = {
        "one tensor": (reals,),
        "numbers": (rng.integers(0, 3, shape), rng.integers(0, 3, shape).astype(float)),
        "binary": (bits, rng.random(shape)),
        "tenths": (bits, rng.integers(0, 11, shape) / 10),
        "one binary": (bits[:, 0], rng.random(rows)),
        "one-hot": (one_hot, probabilities),
        "one-hot pairs": (one_hot, guesses),
        "classes": (classes, probabilities),
        "class pairs": (classes, guesses),
        "sorted ids": (classes, np.argsort(reals).astype(float)),
        "reals": (reals, reals + rng.normal(size=shape)),
        "positive": (np.abs(reals) + 0.1, rng.uniform(0.1, 2, shape)),
        "signs": (bits * 2 - 1, reals),
        "signs logits": (bits, reals),
        "distributions": (rng.dirichlet(np.ones(columns), rows), probabilities),
    }[kind]
    return [torch.tensor(x).float() if x.dtype == float else torch.tensor(x) for x in found]


def weights(name, rows=ROWS, seed=0):
    rng = np.random.default_rng(seed)
    # Keras rounds weights of the IoU metrics to whole numbers.
    found = rng.integers(0, 4, rows) if "IoU" in name else rng.uniform(0.1, 2, rows)
    return torch.tensor(found.astype("int32" if "IoU" in name else "float32"))


def made(library, name, options):
    return getattr(library, name)(**options)


def updated(metric, batch, weight, cuts):
    """The metric after the rows between the cuts, a batch each."""
    for start, stop in itertools.pairwise(cuts):
        some = None if weight is None else weight[start:stop]
        metric.update_state(*(x[start:stop] for x in batch), sample_weight=some)
    return metric


def array(result):
    return np.asarray(torch.as_tensor(result).detach().cpu(), dtype="float64")


def relative_error(ours, theirs):
    ours, theirs = array(ours), array(theirs)
    assert ours.shape == theirs.shape
    np.testing.assert_array_equal(np.isnan(ours), np.isnan(theirs))
    # Below 0.1 it is the absolute error: 1e-5 of it is 1e-6.
    return float(np.nanmax(np.abs(ours - theirs)) / max(np.nanmax(np.abs(theirs)), 0.1))


def compare(name, options, batch, weight, cuts):
    """The largest relative error against Keras over all rows, of one pass and of merged states."""
    theirs = updated(made(keras.metrics, name, options), batch, weight, (0, len(batch[0])))
    whole = updated(made(metrics, name, options), batch, weight, cuts)
    states = [
        updated(made(metrics, name, options), batch, weight, part).state
        for part in [*itertools.pairwise(cuts), NO_ROWS]
    ]
    merged = made(metrics, name, options)
    merged.merge(states)
    np.testing.assert_allclose(array(merged.result()), array(whole.result()), rtol=1e-6)
    return max(relative_error(m.result(), theirs.result()) for m in (whole, merged))


def largest_error(name, options, kind):
    """The largest relative error of a case, with and without weights."""
    batch, cuts = data(kind), (0, 3, 4, ROWS)
    return max(compare(name, options, batch, w, cuts) for w in (None, weights(name)))


@pytest.mark.parametrize(("name", "options", "kind"), CASES)
def test_results_are_keras_s_over_batches_and_over_workers(name, options, kind):
    assert largest_error(name, options, kind) <= 1e-5


def test_every_metric_of_keras_s_is_here_and_has_a_case():
    theirs = {name for name in dir(keras.metrics) if not name.startswith("_")}
    assert theirs <= set(metrics.__all__)
    assert {n for n in theirs if n[0].isupper()} - {"Metric", "MeanMetricWrapper"} == set(NAMES)


@settings(max_examples=30, deadline=None)
@given(
    case=st.sampled_from(CASES),
    sizes=st.lists(st.integers(1, 6), min_size=1, max_size=4),
    weighted=st.booleans(),
    seed=st.integers(0, 1000),
)
def test_any_rows_in_any_batches(case, sizes, weighted, seed):
    name, options, kind = case
    rows = sum(sizes) + 4  # R2Score is only adjusted where there are more rows than regressors
    cuts = [0, *np.cumsum([*sizes, 4]).tolist()]
    weight = weights(name, rows, seed) if weighted else None
    assert compare(name, options, data(kind, rows, seed), weight, cuts) <= 1e-5


#: Metrics that count each value of a row by itself.
VALUEWISE = [
    (name, options, kind)
    for name, options, kind in CASES
    if kind in ("binary", "tenths") and not name.endswith(("Score", "Crossentropy"))
]


@pytest.mark.parametrize(("name", "options", "kind"), VALUEWISE)
def test_a_weight_for_each_value_counts_as_in_keras(name, options, kind):
    batch, weight = data(kind), torch.rand(ROWS, 4)
    ours = updated(made(metrics, name, options), batch, weight, (0, 5, ROWS))
    if "class_id" in options:  # Keras wants those of the class alone
        weight = weight[:, [options["class_id"]]]
    theirs = updated(made(keras.metrics, name, options), batch, weight, (0, ROWS))
    assert relative_error(ours.result(), theirs.result()) <= 1e-5


MEANS = [
    (name, options, kind)
    for name, options, kind in CASES
    if issubclass(getattr(metrics, name), metrics.MeanMetricWrapper) and kind != "sorted ids"
]


def with_steps(kind):
    """Targets and predictions of rows with three steps each."""
    return [x.reshape(4, 3, *x.shape[1:]) for x in data(kind, 12)]


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("weighted", [None, (4,), (4, 1), (4, 3), (1, 3), ()], ids=str)
@pytest.mark.parametrize(("name", "options", "kind"), MEANS)
def test_means_over_steps_weigh_and_mask_them_as_keras_does(name, options, kind, weighted, masked):
    y_true, y_pred = with_steps(kind)
    weight = None if weighted is None else torch.rand(weighted)
    ours, theirs = made(metrics, name, options), made(keras.metrics, name, options)
    if masked:
        y_pred._keras_mask = torch.rand(4, 3) > 0.4
    ours.update_state(y_true, y_pred, sample_weight=weight)
    # Keras takes these in the mask's shape alone.
    if weight is not None and (masked or "ignore_class" in options):
        weight = weight.reshape(*weighted, *(1,) * (2 - len(weighted))).expand(4, 3).clone()
    theirs.update_state(y_true, y_pred, sample_weight=weight)
    assert relative_error(ours.result(), theirs.result()) <= 1e-5


def test_weights_that_do_not_fit_are_refused():
    batch = data("binary")
    for name in ("MeanSquaredError", "Precision", "R2Score", "F1Score"):
        metric = getattr(metrics, name)()
        with pytest.raises(ValueError, match=r"Received: sample_weight of shape \(5,\)"):
            metric.update_state(*batch, sample_weight=torch.ones(5))
