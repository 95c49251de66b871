"""Every loss against Keras 3's: values and gradients, reductions, weights and masks.

`CASES` and `largest_error` are also what the table of errors in the docs is made from.
"""

import itertools

import keras
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from elephas_torch.keras import losses

REDUCTIONS = ["sum_over_batch_size", "mean", "sum", "mean_with_sample_weight", "none", None]

#: Class, arguments, and what its targets and predictions are.
CASES = [
    ("MeanSquaredError", {}, "numbers"),
    ("MeanAbsoluteError", {}, "numbers"),
    ("MeanAbsolutePercentageError", {}, "numbers"),
    ("MeanSquaredLogarithmicError", {}, "positive"),
    ("Huber", {}, "numbers"),
    ("Huber", {"delta": 0.3}, "numbers"),
    ("LogCosh", {}, "numbers"),
    ("CosineSimilarity", {}, "numbers"),
    ("CosineSimilarity", {"axis": 1}, "numbers"),
    ("Hinge", {}, "binary"),
    ("Hinge", {}, "signs"),
    ("SquaredHinge", {}, "signs"),
    ("CategoricalHinge", {}, "one-hot"),
    ("KLDivergence", {}, "distributions"),
    ("Poisson", {}, "positive"),
    ("BinaryCrossentropy", {}, "binary"),
    ("BinaryCrossentropy", {"from_logits": True}, "binary logits"),
    ("BinaryCrossentropy", {"label_smoothing": 0.2, "axis": 1}, "binary"),
    ("BinaryFocalCrossentropy", {}, "binary"),
    ("BinaryFocalCrossentropy", {"from_logits": True, "gamma": 3.0}, "binary logits"),
    ("BinaryFocalCrossentropy", {"apply_class_balancing": True, "alpha": 0.4}, "binary"),
    ("CategoricalCrossentropy", {}, "one-hot"),
    ("CategoricalCrossentropy", {"from_logits": True, "label_smoothing": 0.1}, "logits"),
    ("CategoricalFocalCrossentropy", {}, "one-hot"),
    ("CategoricalFocalCrossentropy", {"from_logits": True, "alpha": 0.5}, "logits"),
    ("CategoricalFocalCrossentropy", {"gamma": 1.0, "label_smoothing": 0.1}, "one-hot"),
    ("SparseCategoricalCrossentropy", {}, "classes"),
    ("SparseCategoricalCrossentropy", {"from_logits": True}, "class logits"),
    ("SparseCategoricalCrossentropy", {"ignore_class": 1}, "classes"),
    ("SparseCategoricalCrossentropy", {"ignore_class": 0, "from_logits": True}, "class logits"),
    ("CategoricalGeneralizedCrossEntropy", {}, "classes"),
    ("CategoricalGeneralizedCrossEntropy", {"q": 0.8}, "classes"),
    ("Dice", {}, "binary"),
    ("Dice", {"axis": -1}, "binary"),
    ("Tversky", {}, "binary"),
    ("Tversky", {"alpha": 0.3, "beta": 0.9, "axis": (-1,)}, "binary"),
    ("Circle", {}, "embeddings"),
    ("Circle", {"gamma": 8.0, "margin": 0.2, "remove_diagonal": False}, "embeddings"),
    ("CTC", {}, "sequences"),
]
NAMES = sorted({name for name, *_ in CASES})
#: They take data of one rank.
FLAT = ("embeddings", "sequences")


def data(kind, shape, seed=0):
    """Targets and predictions as tensors; `shape` is the predictions'."""
    rng = np.random.default_rng(seed)
    floats = rng.normal(size=shape).astype("float32")
    classes = rng.integers(0, shape[-1], shape[:-1])
    probabilities = rng.dirichlet(np.ones(shape[-1]), shape[:-1]).astype("float32")
    bits = rng.integers(0, 2, shape).astype("float32")
    if kind == "embeddings":
        floats /= np.linalg.norm(floats, axis=-1, keepdims=True)
        return torch.tensor(classes % 2), torch.tensor(floats)
    if kind == "sequences":
        labels = rng.integers(1, shape[-1] + 2, (shape[0], 3)) * np.array([[1, 1, 0]])
        return torch.tensor(labels), torch.tensor(rng.normal(size=(shape[0], 7, 6))).float()
    found = {
        "numbers": (rng.normal(size=shape).astype("float32"), floats),
        "positive": (np.abs(rng.normal(size=shape)) + 0.1, np.abs(floats) + 0.1),
        "signs": (bits * 2 - 1, floats),
        "binary": (bits, rng.uniform(0.01, 0.99, shape)),
        "binary logits": (bits, floats),
        "one-hot": (np.eye(shape[-1])[classes], probabilities),
        "distributions": (rng.dirichlet(np.ones(shape[-1]), shape[:-1]), probabilities),
        "logits": (np.eye(shape[-1])[classes], floats),
        "classes": (classes, probabilities),
        "class logits": (classes, floats),
    }[kind]
    targets, predictions = map(torch.tensor, found)
    return targets.float() if targets.is_floating_point() else targets, predictions.float()


def value_and_gradient(loss, y_true, y_pred, weight, mask):
    leaf = y_pred.clone().requires_grad_()
    y_pred = leaf * 1.0
    if mask is not None:
        y_pred._keras_mask = mask
    value = torch.as_tensor(loss(y_true, y_pred, sample_weight=weight))
    factors = torch.linspace(0.5, 1.5, value.numel()).reshape(value.shape)
    (gradient,) = torch.autograd.grad((value * factors).sum(), leaf)
    return value.detach(), gradient


def relative_error(ours, theirs):
    assert ours.shape == theirs.shape
    if not theirs.numel():
        return 0.0
    # Below 0.1 it is the absolute error: 1e-5 of it is 1e-6.
    return (ours - theirs).abs().max().item() / max(theirs.abs().max().item(), 0.1)


def compare(name, options, reduction, y_true, y_pred, weight=None, mask=None):
    """The larger of the relative errors of the value and of the gradient."""
    found = [
        value_and_gradient(
            getattr(library, name)(**options, reduction=reduction), y_true, y_pred, weight, mask
        )
        for library in (losses, keras.losses)
    ]
    return max(itertools.starmap(relative_error, zip(*found, strict=True)))


def weights_and_masks(shape):
    rng = np.random.default_rng(5)
    weight = torch.tensor(rng.uniform(0, 2, shape).astype("float32"))
    mask = torch.tensor(rng.integers(0, 2, shape).astype(bool))
    mask.view(-1)[0] = True
    return [(None, None), (weight, None), (None, mask), (weight, mask)]


def largest_error(name, options, kind):
    """The largest relative error of a case, over shapes, reductions, weights and masks."""
    found = 0.0
    for shape in [(6, 4)] if kind in FLAT else [(6, 4), (5, 3, 4)]:
        y_true, y_pred = data(kind, shape)
        rows = shape[:1] + shape[2:] if options.get("axis") == 1 else shape[:-1]
        for (weight, mask), reduction in itertools.product(weights_and_masks(rows), REDUCTIONS):
            found = max(found, compare(name, options, reduction, y_true, y_pred, weight, mask))
    return found


@pytest.mark.parametrize(("name", "options", "kind"), CASES)
def test_values_and_gradients_are_keras_s(name, options, kind):
    assert largest_error(name, options, kind) <= 1e-5


def test_every_loss_of_keras_s_is_here_and_has_a_case():
    theirs = {name for name in dir(keras.losses) if not name.startswith("_")}
    assert theirs <= set(losses.__all__)
    assert {n for n in theirs if n[0].isupper()} - {"Loss"} == set(NAMES)


BROADCAST = [(), (1,), (4,), (4, 1), (1, 3), (4, 3), (4, 3, 1), (1, 1)]


@pytest.mark.parametrize("shape", BROADCAST, ids=str)
@pytest.mark.parametrize("name", ["MeanSquaredError", "SparseCategoricalCrossentropy"])
def test_weights_of_any_rank_that_fits_count_as_they_do_when_written_out(name, shape):
    y_true, y_pred = data("classes" if "Sparse" in name else "numbers", (4, 3, 2))
    weight = torch.arange(1.0, 1.0 + int(np.prod(shape))).reshape(shape)
    whole = weight.reshape(*shape, *(1,) * (3 - len(shape)))[..., 0].expand(4, 3)
    loss = getattr(losses, name)()
    expected = torch.as_tensor(getattr(keras.losses, name)()(y_true, y_pred, whole))
    torch.testing.assert_close(loss(y_true, y_pred, weight), expected)
    torch.testing.assert_close(loss(y_true, y_pred, weight.numpy()), expected)


@pytest.mark.parametrize("shape", [(3,), (4, 2), (4, 3, 2)], ids=str)
def test_weights_that_do_not_fit_are_refused(shape):
    y_true, y_pred = data("numbers", (4, 3, 2))
    with pytest.raises(ValueError, match=rf"Received: sample_weight of shape \({shape[0]},"):
        losses.MeanSquaredError()(y_true, y_pred, torch.ones(shape))


def test_a_batch_that_is_masked_as_a_whole_gives_zero():
    y_true, y_pred = data("numbers", (4, 3))
    y_pred._keras_mask = torch.zeros(4, dtype=torch.bool)
    assert losses.MeanSquaredError()(y_true, y_pred) == 0
    assert float(keras.losses.MeanSquaredError()(y_true, y_pred)) == 0


POINTWISE = [(n, o, k) for n, o, k in CASES if k not in FLAT and "axis" not in o]


@settings(max_examples=15, deadline=None)
@given(
    case=st.sampled_from(POINTWISE),
    shape=st.lists(st.integers(1, 5), min_size=1, max_size=2),
    classes=st.integers(2, 5),
    weighted=st.booleans(),
    masked=st.booleans(),
    reduction=st.sampled_from(REDUCTIONS),
    seed=st.integers(0, 1000),
)
def test_any_shape_weights_and_mask(case, shape, classes, weighted, masked, reduction, seed):
    name, options, kind = case
    y_true, y_pred = data(kind, (*shape, classes), seed)
    rng = np.random.default_rng(seed)
    scalar = name in ("Dice", "Tversky")
    rows = () if scalar else shape
    weight = torch.tensor(rng.uniform(0, 2, rows)).float() if weighted else None
    mask = torch.tensor(rng.integers(0, 2, rows), dtype=torch.bool) if masked else None
    assert compare(name, options, reduction, y_true, y_pred, weight, mask) <= 1e-5


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.int32, torch.bool])
def test_a_loss_is_computed_in_float32_whatever_the_predictions_are(dtype):
    y_true, y_pred = torch.tensor([[1, 0]]), torch.tensor([[1, 1]], dtype=dtype)
    assert losses.MeanSquaredError()(y_true, y_pred).dtype is torch.float32
    assert losses.MeanSquaredError()(y_true, y_pred) == 0.5
    assert losses.MeanSquaredError()(y_true, y_pred.double()).dtype is torch.float64
    chosen = losses.MeanSquaredError(dtype="float16")
    assert chosen(y_true, y_pred).dtype is torch.float16
    assert losses.get(losses.serialize(chosen)).dtype == "float16"


def test_a_class_of_one_s_own_gets_float_targets_and_its_mask_counts():
    class Mine(losses.Loss):
        def call(self, y_true, y_pred):
            assert y_true.dtype is torch.float32
            values = (y_true - y_pred).abs().mean(-1)
            values._keras_mask = torch.tensor([True, False])
            return values

    loss = Mine(name="mine", reduction="sum_over_batch_size")
    assert loss(torch.tensor([[1], [1]]), torch.tensor([[3.0], [9.0]])) == 2.0


def test_ctc_s_shapes_are_checked():
    with pytest.raises(ValueError, match=r"Received: y_true of shape \(2,\)"):
        losses.ctc(torch.ones(2), torch.ones(2, 3, 4))


def test_settings_out_of_range_are_refused():
    with pytest.raises(ValueError, match="Received: q=1"):
        losses.CategoricalGeneralizedCrossEntropy(q=1)
    with pytest.raises(ValueError, match="Received: dtype='int32'"):
        losses.MeanSquaredError(dtype="int32")


def test_keras_2_s_names_of_reductions_work():
    assert losses.MeanSquaredError(reduction=losses.Reduction.AUTO).reduction == (
        losses.Reduction.SUM_OVER_BATCH_SIZE
    )
    assert all(losses.Loss(reduction=one).reduction for one in losses.Reduction.all())
