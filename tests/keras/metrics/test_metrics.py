"""Metrics against Keras 3's, their sums over workers, and their names in logs."""

import inspect

import keras
import numpy as np
import pytest
import torch

from elephas_torch.keras import losses, metrics
from elephas_torch.keras.metrics import lookup
from elephas_torch.keras.serialization import custom_object_scope, register_keras_serializable

CLASSES = [c.__name__ for c in lookup._CLASSES if c.__name__ not in ("Mean", "MeanMetricWrapper")]
ROWS, OUTPUTS = 12, 6


def data(name, *shape):
    rng = np.random.default_rng(0)
    y_pred = rng.dirichlet(np.ones(shape[-1]), shape[:-1]).astype("float32")
    if "Sparse" in name:
        return torch.tensor(rng.integers(0, shape[-1], shape[:-1])), torch.tensor(y_pred)
    if name == "Accuracy":
        y_true = torch.tensor(rng.integers(0, 3, shape))
        return y_true, torch.tensor(rng.integers(0, 3, shape)).float()
    one_hot = np.eye(shape[-1], dtype="float32")[rng.integers(0, shape[-1], shape[:-1])]
    return torch.tensor(one_hot), torch.tensor(y_pred)


def weights(*shape):
    return torch.tensor(np.random.default_rng(1).uniform(0, 2, shape).astype("float32"))


def same_as_keras(ours, theirs, *batches):
    for y_true, y_pred, weight in batches:
        ours.update_state(y_true, y_pred, weight)
        theirs.update_state(y_true, y_pred, weight)
    assert ours.result() == pytest.approx(float(theirs.result()), rel=1e-5, abs=1e-7)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("shape", [(ROWS, OUTPUTS), (ROWS, 3, OUTPUTS)], ids=str)
@pytest.mark.parametrize("name", CLASSES)
def test_every_class_is_keras_s_over_uneven_batches(name, shape, weighted):
    y_true, y_pred = data(name, *shape)
    weight = weights(shape[0]) if weighted else None
    cut = [slice(0, 5), slice(5, ROWS)]
    same_as_keras(
        getattr(metrics, name)(),
        getattr(keras.metrics, name)(),
        *((y_true[s], y_pred[s], weight if weight is None else weight[s]) for s in cut),
    )


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("BinaryAccuracy", {"threshold": 0.2}),
        ("TopKCategoricalAccuracy", {"k": 2}),
        ("SparseTopKCategoricalAccuracy", {"k": 3}),
        ("CategoricalCrossentropy", {"label_smoothing": 0.2}),
        ("SparseCategoricalCrossentropy", {"from_logits": True}),
        ("SparseCategoricalCrossentropy", {"ignore_class": 2}),
        ("CosineSimilarity", {"axis": 1}),
    ],
)
def test_settings_are_keras_s(name, settings):
    batch = (*data(name, ROWS, OUTPUTS), None)
    ours, theirs = getattr(metrics, name)(**settings), getattr(keras.metrics, name)(**settings)
    same_as_keras(ours, theirs, batch)


def test_weights_for_each_step_are_keras_s():
    y_true, y_pred = data("", ROWS, 3, OUTPUTS)
    batch = (y_true, y_pred, weights(ROWS, 3))
    same_as_keras(metrics.CategoricalAccuracy(), keras.metrics.CategoricalAccuracy(), batch)


@pytest.mark.parametrize(
    ("true", "pred"), [((ROWS,), (ROWS, 1)), ((ROWS, 1), (ROWS, 1)), ((ROWS, 1), (ROWS,))]
)
@pytest.mark.parametrize("name", ["BinaryAccuracy", "MeanSquaredError", "MeanAbsoluteError"])
def test_a_last_axis_of_one_is_added_or_dropped(name, true, pred):
    rng = np.random.default_rng(5)
    y_true, y_pred = rng.integers(0, 2, true).astype("float32"), rng.random(pred, "float32")
    batch = (torch.tensor(y_true), torch.tensor(y_pred), None)
    same_as_keras(getattr(metrics, name)(), getattr(keras.metrics, name)(), batch)


def test_sparse_targets_may_be_a_column():
    y_true, y_pred = data("Sparse", ROWS, OUTPUTS)
    batch = (y_true[:, None], y_pred, None)
    ours, theirs = metrics.SparseCategoricalAccuracy(), keras.metrics.SparseCategoricalAccuracy()
    same_as_keras(ours, theirs, batch)


def test_equally_probable_classes_are_all_among_the_first_k_as_in_keras():
    batch = (torch.tensor([0, 3, 2]), torch.full((3, 4), 0.25), None)
    ours = metrics.SparseTopKCategoricalAccuracy(k=1)
    same_as_keras(ours, keras.metrics.SparseTopKCategoricalAccuracy(k=1), batch)
    assert ours.result() == 1.0


def test_more_places_than_classes():
    everything = metrics.SparseTopKCategoricalAccuracy(k=9)
    everything.update_state(*data("Sparse", ROWS, OUTPUTS))
    assert everything.result() == 1.0


@pytest.mark.parametrize("name", CLASSES)
def test_states_of_workers_add_up_to_the_metric_over_all_their_rows(name):
    y_true, y_pred = data(name, ROWS, OUTPUTS)
    weight = weights(ROWS)
    whole = getattr(metrics, name)()
    whole.update_state(y_true, y_pred, weight)
    states = []
    for rows in (slice(0, 3), slice(3, 4), slice(4, ROWS)):
        worker = getattr(metrics, name)()
        worker.update_state(y_true[rows], y_pred[rows], weight[rows])
        states.append(worker.state)
    merged = getattr(metrics, name)()
    merged.load(torch.stack(states).sum(0))
    assert merged.result() == pytest.approx(whole.result(), rel=1e-6)
    assert merged.state.dtype == torch.float64


def test_a_state_of_another_length_is_refused():
    with pytest.raises(ValueError, match=r"keeps 2 sums. Received: a state of shape \(3,\)"):
        metrics.CategoricalAccuracy().load(torch.zeros(3))


def test_reset_forgets_and_nothing_seen_is_zero():
    metric = metrics.MeanSquaredError()
    assert metric.result() == 0.0
    metric.update_state(torch.zeros(2, 1), torch.ones(2, 1))
    assert metric.result() == 1.0
    metric.reset_state()
    assert metric.state.tolist() == [0.0, 0.0]


def test_mean_takes_values():
    mean = metrics.Mean()
    mean.update_state([1.0, 3.0, 5.0, 7.0], sample_weight=[1.0, 1.0, 0.0, 0.0])
    assert mean.result() == 2.0
    mean.update_state(8.0)
    assert mean.result() == 4.0


@pytest.mark.parametrize("name", CLASSES)
def test_constructors_and_configs_are_keras_s(name):
    ours, theirs = getattr(metrics, name)(), getattr(keras.metrics, name)()
    parameters = dict(inspect.signature(getattr(keras.metrics, name)).parameters)
    for left_out in ("dtype", "from_sorted_ids"):
        parameters.pop(left_out, None)
    mine = [p for p in inspect.signature(getattr(metrics, name)).parameters if p != "options"]
    assert mine == list(parameters)
    config = theirs.get_config()
    config.pop("dtype")
    assert {key: ours.get_config()[key] for key in config} == config
    assert metrics.get(keras.metrics.serialize(theirs)).get_config() == ours.get_config()
    assert keras.metrics.deserialize(metrics.serialize(ours)).name == theirs.name
    assert metrics.get(metrics.serialize(ours)).get_config() == ours.get_config()


def keras_history_name(metric, output=3, sparse=False):
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(output)])
    loss = "sparse_categorical_crossentropy" if sparse else "mse"
    model.compile(loss=loss, metrics=[metric])
    y = np.zeros(4) if sparse else np.zeros((4, output))
    history = model.fit(np.zeros((4, 2)), y, verbose=0).history
    return next(name for name in history if name != "loss")


@pytest.mark.parametrize(
    "name",
    ["accuracy", "acc", "Accuracy", "mse", "MSE", "mae", "mean_squared_error",
     "MeanSquaredError", "RootMeanSquaredError", "root_mean_squared_error", "kl_divergence",
     "cosine_similarity", "categorical_accuracy"],
)  # fmt: skip
def test_the_name_in_logs_is_keras_s(name):
    assert metrics.get(name, losses.get("mse"), (None, 3)).name == keras_history_name(name)


def test_names_of_objects_classes_and_functions_are_keras_s():
    def MyDistance(y_true, y_pred):
        return abs(y_true - y_pred)

    assert metrics.get(MyDistance).name == keras_history_name(MyDistance)
    assert metrics.get(metrics.LogCoshError).name == keras_history_name(
        keras.metrics.LogCoshError()
    )
    mine = metrics.BinaryAccuracy(name="mine")
    assert metrics.get(mine) is mine


@pytest.mark.parametrize(
    ("loss", "output_shape", "expected"),
    [
        ("categorical_crossentropy", (None, 3), metrics.CategoricalAccuracy),
        ("sparse_categorical_crossentropy", (None, 3), metrics.SparseCategoricalAccuracy),
        ("sparse_categorical_crossentropy", None, metrics.SparseCategoricalAccuracy),
        ("binary_crossentropy", (None, 1), metrics.BinaryAccuracy),
        ("mse", (1,), metrics.BinaryAccuracy),
    ],
)
def test_accuracy_is_chosen_by_loss_and_output(loss, output_shape, expected):
    assert type(metrics.get("accuracy", losses.get(loss), output_shape)) is expected


@pytest.mark.parametrize("output", [1, 3])
@pytest.mark.parametrize("sparse", [False, True])
def test_accuracy_without_a_loss_goes_by_the_shapes_as_keras_does(sparse, output):
    from keras.src.trainers.compile_utils import get_metric

    rng = np.random.default_rng(3)
    y_pred = torch.tensor(rng.random((ROWS, output), "float32"))
    shape = (ROWS,) if sparse else (ROWS, output)
    y_true = torch.tensor(rng.integers(0, 2, shape))
    theirs = get_metric("accuracy", y_true, y_pred)
    same_as_keras(metrics.get("accuracy"), theirs, (y_true, y_pred, None))


def test_crossentropy_is_chosen_by_the_loss():
    chosen = metrics.get("ce", losses.get("sparse_categorical_crossentropy"))
    assert type(chosen) is metrics.SparseCategoricalCrossentropy
    assert chosen.name == "ce"
    with pytest.raises(ValueError, match="no 'crossentropy' for the loss 'mean_squared_error'"):
        metrics.get("crossentropy", losses.get("mse"))


def test_a_function_of_one_s_own_is_averaged_over_samples_and_found_again():
    def distance(y_true, y_pred):
        return (y_true - y_pred).abs()

    metric = metrics.get(distance)
    metric.update_state(torch.zeros(3, 1), torch.tensor([[1.0], [2.0], [6.0]]))
    metric.update_state(torch.zeros(1, 1), torch.tensor([[3.0]]))
    assert metric.result() == 3.0
    assert metrics.serialize(metric) == metrics.serialize(distance) == "distance"
    with custom_object_scope({"distance": distance}):
        assert metrics.get("distance").fn is distance
        renamed = metrics.get(metrics.serialize(metrics.MeanMetricWrapper(distance, name="d")))
        assert (renamed.name, renamed.fn) == ("d", distance)


def test_a_function_may_give_booleans_or_one_number_a_batch():
    matches = metrics.get(lambda y_true, y_pred: y_true == y_pred)
    matches.update_state(torch.tensor([[1, 2], [3, 4]]), torch.tensor([[1, 2], [3, 0]]))
    assert matches.result() == 0.75
    largest = metrics.get(lambda y_true, y_pred: y_pred.max())
    largest.update_state(None, torch.tensor([1.0, 4.0]))
    largest.update_state(None, torch.tensor([2.0]))
    assert largest.result() == 3.0


def test_a_class_of_one_s_own_keeps_sums_of_its_own():
    @register_keras_serializable(package="tests")
    class Positives(metrics.Metric):
        def __init__(self, name=None):
            super().__init__(name, size=1)

        def update_state(self, y_true, y_pred, sample_weight=None):
            self.state[0] += (y_pred > 0).sum()

        def result(self):
            return float(self.state[0])

    metric = metrics.get(metrics.serialize(Positives()))
    metric.update_state(None, torch.tensor([1.0, -1.0, 2.0]))
    assert (type(metric), metric.name, metric.result()) == (Positives, "positives", 2.0)


def test_names_are_kept_for_the_config():
    assert metrics.serialize("accuracy") == "accuracy"
    assert metrics.serialize(metrics.get("acc", losses.get("mse"))) == "acc"


@pytest.mark.parametrize(
    ("identifier", "error", "says"),
    [
        ("acuracy", ValueError, "Did you mean 'accuracy'"),
        (3, TypeError, "Received: 3"),
        ({"class_name": "Nothing"}, ValueError, "Unknown metric: 'Nothing'"),
    ],
)
def test_what_is_no_metric_is_refused(identifier, error, says):
    with pytest.raises(error, match=says):
        metrics.get(identifier)


def test_what_a_metric_must_define():
    empty = type("Empty", (metrics.Metric,), {})()
    with pytest.raises(TypeError, match="Empty must define update_state"):
        empty.update_state(None, None)
    with pytest.raises(TypeError, match="Empty must define result"):
        empty.result()
    with pytest.raises(ValueError, match="Received: threshold=2"):
        metrics.BinaryAccuracy(threshold=2)
