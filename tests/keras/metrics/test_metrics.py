"""Metrics against Keras 3's, their sums over workers, and their names in logs."""

import inspect
import json

import keras
import numpy as np
import pytest
import torch

from elephas_torch.keras import losses, metrics, naming
from elephas_torch.keras.metrics import lookup
from elephas_torch.keras.naming import snake_case
from elephas_torch.keras.serialization import custom_object_scope

ROWS, OUTPUTS = 12, 6

#: What the constructors of some metrics need.
NEEDED = {
    "SensitivityAtSpecificity": {"specificity": 0.5},
    "SpecificityAtSensitivity": {"sensitivity": 0.5},
    "PrecisionAtRecall": {"recall": 0.5},
    "RecallAtPrecision": {"precision": 0.5},
    "IoU": {"num_classes": 3, "target_class_ids": [0, 2]},
    "MeanIoU": {"num_classes": 3},
    "OneHotIoU": {"num_classes": 3, "target_class_ids": [1]},
    "OneHotMeanIoU": {"num_classes": 3},
}
CLASSES = [cls.__name__ for cls in lookup._CLASSES if cls is not metrics.MeanMetricWrapper]


def data(name, *shape):
    rng = np.random.default_rng(0)
    y_pred = rng.dirichlet(np.ones(shape[-1]), shape[:-1]).astype("float32")
    if "Sparse" in name:
        return torch.tensor(rng.integers(0, shape[-1], shape[:-1])), torch.tensor(y_pred)
    one_hot = np.eye(shape[-1], dtype="float32")[rng.integers(0, shape[-1], shape[:-1])]
    return torch.tensor(one_hot), torch.tensor(y_pred)


def same_as_keras(ours, theirs, *batches):
    for y_true, y_pred, weight in batches:
        ours.update_state(y_true, y_pred, weight)
        theirs.update_state(y_true, y_pred, weight)
    assert ours.result() == pytest.approx(float(theirs.result()), rel=1e-5, abs=1e-7)


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


def test_a_state_of_another_length_is_refused():
    with pytest.raises(ValueError, match=r"keeps 2 sums. Received: a state of shape \(3,\)"):
        metrics.CategoricalAccuracy().load(torch.zeros(3))
    with pytest.raises(ValueError, match=r"keeps 0 sums. Received: a state of shape \(7,\)"):
        metrics.F1Score().load(torch.zeros(7))


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
def test_constructors_take_keras_s_arguments_with_its_defaults(name):
    ours = inspect.signature(getattr(metrics, name)).parameters
    theirs = inspect.signature(getattr(keras.metrics, name)).parameters
    assert list(ours) == list(theirs)
    for argument in set(ours) - {"name"}:
        assert ours[argument].default == theirs[argument].default, argument


@pytest.mark.parametrize("name", CLASSES)
def test_configs_are_keras_s_and_travel_both_ways(name):
    settings = {"name": "mine", **NEEDED.get(name, {})}
    ours, theirs = getattr(metrics, name)(**settings), getattr(keras.metrics, name)(**settings)
    config = ours.get_config()
    assert {key: config[key] for key in theirs.get_config()} == theirs.get_config()
    assert json.loads(json.dumps(config)) == config
    described = metrics.serialize(ours)
    assert keras.metrics.deserialize(described).get_config() == theirs.get_config()
    assert metrics.deserialize(keras.metrics.serialize(theirs)).get_config() == config
    assert metrics.get(described).get_config() == config


OPTIONS = [
    ("Precision", {"thresholds": [0.2, 0.9], "top_k": 3, "class_id": 1, "dtype": "float64"}),
    ("TruePositives", {"thresholds": 0.3}),
    ("AUC", {"thresholds": [0.2, 0.6], "curve": "PR", "summation_method": "minoring"}),
    ("AUC", {"multi_label": True, "num_labels": 2, "from_logits": True, "num_thresholds": 9}),
    ("SensitivityAtSpecificity", {"specificity": 0.3, "num_thresholds": 9, "class_id": 1}),
    ("FBetaScore", {"average": "macro", "beta": 2.0, "threshold": 0.4}),
    ("F1Score", {"average": "weighted"}),
    ("R2Score", {"class_aggregation": None, "num_regressors": 2}),
    ("BinaryIoU", {"target_class_ids": [1], "threshold": 0.3, "dtype": "float32"}),
    ("OneHotMeanIoU", {"num_classes": 4, "ignore_class": 1, "sparse_y_pred": True, "axis": 1}),
    ("SparseTopKCategoricalAccuracy", {"k": 3, "from_sorted_ids": True}),
    ("PearsonCorrelation", {"axis": 1}),
    ("SparseCategoricalCrossentropy", {"ignore_class": 2, "from_logits": True}),
]


@pytest.mark.parametrize(("name", "settings"), OPTIONS)
def test_settings_travel_both_ways(name, settings):
    ours, theirs = getattr(metrics, name)(**settings), getattr(keras.metrics, name)(**settings)
    ours.name = theirs.name = "mine"
    config = {key: value for key, value in theirs.get_config().items() if value is not None}
    assert {key: ours.get_config()[key] for key in config} == config
    assert keras.metrics.deserialize(metrics.serialize(ours)).get_config() == theirs.get_config()
    assert metrics.get(keras.metrics.serialize(theirs)).get_config() == ours.get_config()


def test_weights_of_labels_are_json():
    config = metrics.AUC(multi_label=True, label_weights=np.array([1.0, 2.0])).get_config()
    assert config["label_weights"] == [1.0, 2.0]
    assert metrics.AUC.from_config(config).get_config() == config


@pytest.mark.parametrize("name", CLASSES)
def test_default_names_are_keras_s_and_are_found_by_it(name):
    settings = NEEDED.get(name, {})
    naming.clear()
    keras.src.utils.naming.reset_uids()
    ours, theirs = getattr(metrics, name)(**settings), getattr(keras.metrics, name)(**settings)
    assert ours.name == theirs.name
    assert getattr(metrics, name)(**settings).name == getattr(keras.metrics, name)(**settings).name
    assert ours._direction == getattr(theirs, "_direction", None)
    if not settings and name != "Accuracy":  # "accuracy" goes by the loss
        assert type(metrics.get(snake_case(name))) is type(metrics.get(name)) is type(ours)


def test_every_name_of_keras_s_is_known():
    from keras.src.metrics import ALL_OBJECTS_DICT

    assert set(ALL_OBJECTS_DICT) - {"Metric", "metric"} <= set(lookup._BY_NAME)


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


WRONG = [
    ("Precision", {"thresholds": 1.5}, "thresholds=1.5"),
    ("Recall", {"thresholds": [0.5, -1]}, r"thresholds=\[0.5, -1\]"),
    ("Recall", {"top_k": 0}, "top_k=0"),
    ("Precision", {"class_id": -1}, "class_id=-1"),
    ("TruePositives", {"thresholds": []}, r"thresholds=\[\]"),
    ("SensitivityAtSpecificity", {"specificity": 2}, "SensitivityAtSpecificity.*specificity=2"),
    ("PrecisionAtRecall", {"recall": 0.5, "num_thresholds": 0}, "num_thresholds=0"),
    ("AUC", {"num_thresholds": 1}, "num_thresholds=1"),
    ("AUC", {"curve": "ROCK"}, "Unknown AUC curve: 'ROCK'. Did you mean 'ROC'"),
    ("AUC", {"summation_method": "left"}, "Unknown AUC summation_method"),
    ("AUC", {"num_labels": 2}, "num_labels=2, multi_label=False"),
    ("AUC", {"thresholds": [2.0]}, r"thresholds=\[2.0\]"),
    ("F1Score", {"average": "mean"}, "Unknown F1Score average: 'mean'"),
    ("FBetaScore", {"beta": 0}, "FBetaScore: .*beta=0"),
    ("F1Score", {"threshold": 0.0}, "F1Score: .*threshold=0.0"),
    ("IoU", {"num_classes": 2, "target_class_ids": [2]}, r"IoU: .*target_class_ids=\[2\]"),
    ("MeanIoU", {"num_classes": 0}, "num_classes=0"),
    ("R2Score", {"class_aggregation": "sum"}, "Unknown class_aggregation: 'sum'"),
    ("R2Score", {"num_regressors": -1}, "num_regressors=-1"),
    ("TopKCategoricalAccuracy", {"k": 0}, "k=0"),
    ("BinaryCrossentropy", {"label_smoothing": 2}, "label_smoothing=2"),
    ("MeanSquaredError", {"dtype": "text"}, "MeanSquaredError: .*dtype='text'"),
]


@pytest.mark.parametrize(("name", "settings", "says"), WRONG)
def test_settings_out_of_range_are_refused(name, settings, says):
    with pytest.raises(ValueError, match=says):
        getattr(metrics, name)(**settings)


@pytest.mark.parametrize(
    ("metric", "shapes", "says"),
    [
        (metrics.Precision(), [(3, 2), (3, 4)], r"y_true of shape \(3, 2\) and y_pred of shape"),
        (metrics.Recall(class_id=4), [(3, 4), (3, 4)], "class_id=4"),
        (metrics.AUC(multi_label=True), [(3,), (3,)], "multi_label"),
        (metrics.F1Score(), [(3,), (3,)], r"F1Score .*\(rows, classes\)"),
        (metrics.R2Score(), [(3,), (3,)], r"R2Score .*\(rows, outputs\)"),
    ],
)
def test_data_of_another_shape_is_refused(metric, shapes, says):
    with pytest.raises(ValueError, match=says):
        metric.update_state(*map(torch.zeros, shapes))


@pytest.mark.parametrize("cls", [metrics.Hinge, metrics.SquaredHinge])
def test_hinges_take_targets_of_a_row_each_for_outputs_of_one_unit(cls):
    signs, outputs = np.array([1.0, -1.0, 1.0]), np.array([[0.5], [0.2], [-0.1]])
    one, other = cls(), cls()
    assert float(one(signs, outputs)) == float(other(signs[:, None], outputs))


ONE_OF_EACH = {
    cls: {
        "OneHotIoU": {"num_classes": 5, "target_class_ids": [0]},
        "IoU": {"num_classes": 5, "target_class_ids": [0]},
        "MeanIoU": {"num_classes": 5},
        "OneHotMeanIoU": {"num_classes": 5},
        "PrecisionAtRecall": {"recall": 0.5},
        "RecallAtPrecision": {"precision": 0.5},
        "SensitivityAtSpecificity": {"specificity": 0.5},
        "SpecificityAtSensitivity": {"sensitivity": 0.5},
    }.get(cls, {})
    for cls in metrics.__all__
    if inspect.isclass(getattr(metrics, cls))
    and cls not in ("Metric", "MeanMetricWrapper", "Mean", "Sum")
}


@pytest.mark.parametrize("name", ONE_OF_EACH)
def test_what_holds_no_numbers_and_shapes_that_do_not_fit_are_told_of(name):
    metric = getattr(metrics, name)(**ONE_OF_EACH[name])
    fine = np.ones((4, 5), "float32")
    for bad in (None, "x", object()):
        with pytest.raises(TypeError, match=r"`y_pred` must be numbers.*Received: y_pred="):
            metric.update_state(fine, bad)
        with pytest.raises(TypeError, match=r"`y_true` must be numbers.*Received: y_true="):
            metric.update_state(bad, fine)
    with pytest.raises(ValueError, match=r"y_true of shape \(2, 3\) and y_pred of shape \(4, 5\)"):
        metric.update_state(np.ones((2, 3), "float32"), fine)


@pytest.mark.parametrize("cls", [metrics.Mean, metrics.Sum])
def test_values_that_are_no_numbers(cls):
    for bad in (None, "x"):
        with pytest.raises(TypeError, match=f"{cls.__name__}: `values` must be numbers"):
            cls().update_state(bad)
    with pytest.raises(TypeError, match="`sample_weight` must be numbers"):
        cls().update_state([1.0], sample_weight="x")
