"""Metrics of one's own, in Keras's way: variables, their state, and what is done with them."""

import copy
import pickle

import keras
import numpy as np
import pytest
import torch

from elephas_torch.keras import losses, metrics
from elephas_torch.keras.serialization import custom_object_scope, register_keras_serializable


def make_share(library):
    """Keras's way of writing a metric, the same for both libraries."""

    class ShareAbove(library.metrics.Metric):
        def __init__(self, limit=0.5, name="share_above", **kwargs):
            super().__init__(name=name, **kwargs)
            self.limit = limit
            self.above = self.add_variable(shape=(2,), initializer="zeros", name="above")
            self.rows = self.add_weight(name="rows", initializer="zeros")

        def update_state(self, y_true, y_pred, sample_weight=None):
            above = (y_pred > self.limit).float()
            if sample_weight is not None:
                above = above * sample_weight[:, None]
            self.above.assign_add(above.sum(0))
            self.rows.assign(self.rows + float(len(y_pred)))

        def result(self):
            return self.above / self.rows

        def get_config(self):
            return {**super().get_config(), "limit": self.limit}

    return ShareAbove


class Library:
    metrics = metrics


Ours, Theirs = make_share(Library), make_share(keras)


@pytest.fixture
def batches():
    rng = np.random.default_rng(0)
    return [(None, torch.tensor(rng.random((rows, 2))).float()) for rows in (4, 1, 7)]


def test_a_class_written_for_keras_gives_the_same(batches):
    ours, theirs = Ours(), Theirs()
    for batch in batches:
        assert torch.equal(ours(*batch).float(), theirs(*batch))
    weight = torch.tensor([0.0, 1.0, 2.0, 3.0])
    ours.update_state(*batches[0], sample_weight=weight)
    theirs.update_state(*batches[0], sample_weight=weight)
    np.testing.assert_allclose(ours.result().numpy(), theirs.result().numpy(), rtol=1e-6)
    assert [tuple(v.shape) for v in ours.variables] == [(2,), ()]
    assert ours.rows.path == "share_above/rows"


def test_the_variables_are_the_state_and_states_add_up(batches):
    whole, workers = Ours(), [Ours() for _ in batches]
    for worker, batch in zip(workers, batches, strict=True):
        worker.update_state(*batch)
        whole.update_state(*batch)
    merged = Ours()
    merged.load(sum(worker.state for worker in workers))
    assert torch.equal(merged.state, whole.state)
    assert torch.equal(merged.result(), whole.result())
    assert merged.state.dtype is torch.float64
    assert merged.rows.numpy() == 12


def test_reset_sets_variables_to_zero():
    metric = Ours()
    metric.update_state(None, torch.ones(3, 2))
    metric.reset_state()
    assert metric.state.tolist() == [0.0, 0.0, 0.0]
    with pytest.warns(DeprecationWarning, match=r"old name of `reset_state\(\)`"):
        metric.reset_states()


def test_a_class_that_defines_the_old_reset_states_is_reset_by_it():
    class Old(metrics.Metric):
        def __init__(self):
            super().__init__(name="old")
            self.kept = self.add_weight(name="kept", initializer="zeros")

        def reset_states(self):
            self.kept.assign(7.0)

    metric = Old()
    metric.reset_state()
    assert metric.state.tolist() == [7.0]


def test_metrics_within_a_metric_are_part_of_its_state():
    class Both(metrics.Metric):
        def __init__(self, name="both"):
            super().__init__(name=name)
            self.parts = [metrics.MeanSquaredError(), metrics.Recall(name="recall")]
            self.batches = self.add_variable((), "zeros")

        def update_state(self, y_true, y_pred, sample_weight=None):
            self.batches.assign_add(1)
            for part in self.parts:
                part.update_state(y_true, y_pred, sample_weight)

        def result(self):
            return {part.name: part.result() for part in self.parts}

    metric, other = Both(), Both()
    y_true, y_pred = torch.tensor([[1.0, 0.0]]), torch.tensor([[0.5, 0.8]])
    metric.update_state(y_true, y_pred)
    metric.update_state(y_true, 1 - y_pred / 2)
    other.load(metric.state)
    assert other.result() == metric.result()
    assert set(other.result()) == {part.name for part in other.parts}
    assert metric.state.tolist()[0] == 2
    assert metric.state.numel() == 5


def test_a_subclass_of_a_mean_sees_its_total_and_count():
    class Root(metrics.Mean):
        def result(self):
            return torch.sqrt(self.total / self.count)

    root = Root()
    root.update_state([4.0, 14.0])
    assert root.result() == 3.0
    root.update_state([1.0, 1.0], sample_weight=[1.0, 2.0])
    assert [v.item() for v in root.variables] == [21.0, 5.0]
    root.total.assign(20.0)
    assert root.result() == 2.0


def test_calling_counts_in_and_returns_the_result():
    accuracy = metrics.BinaryAccuracy()
    assert accuracy([[1.0]], [[0.9]]) == 1.0
    assert accuracy([[1.0]], [[0.1]]) == 0.5


def test_a_registered_class_is_found_again():
    register_keras_serializable(package="tests")(Ours)
    metric = metrics.get(metrics.serialize(Ours(limit=0.25)))
    assert (type(metric), metric.name, metric.limit) == (Ours, "share_above", 0.25)
    with custom_object_scope({"Mine": Ours}):
        assert type(metrics.get("Mine")) is Ours


@pytest.mark.parametrize(
    "metric", [metrics.AUC(), metrics.MeanSquaredError(), metrics.F1Score(), metrics.R2Score()]
)
@pytest.mark.parametrize("twin", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
def test_copies_have_a_state_of_their_own(metric, twin):
    metric.reset_state()
    other = twin(metric)
    other.update_state(torch.tensor([[1.0, 0.0]]), torch.tensor([[0.9, 0.6]]))
    assert bool(other.state.any())
    assert not bool(metric.state.any())


def test_predictions_with_a_history_leave_none_in_the_state():
    y_pred = torch.tensor([[0.2, 0.7]], requires_grad=True)
    y_true = torch.tensor([[0.0, 1.0]])
    for metric in (metrics.BinaryCrossentropy(), metrics.AUC(), metrics.F1Score(), Ours()):
        metric.update_state(y_true, y_pred * 1.0)
        assert not metric.state.requires_grad


def test_workers_without_rows_do_not_count():
    score = metrics.F1Score(average="macro")
    score.update_state(torch.eye(3), torch.eye(3))
    merged = metrics.F1Score(average="macro")
    merged.merge([metrics.F1Score(average="macro").state, score.state, torch.zeros(0)])
    assert merged.result() == score.result() > 0.99
    merged.merge([])
    assert merged.result() == 0.0
    with pytest.raises(ValueError, match=r"must have one length. Received: lengths \[2, 12\]"):
        merged.merge([score.state, torch.ones(2)])


@pytest.mark.parametrize(
    "metric", [metrics.F1Score(), metrics.R2Score(), metrics.AUC(multi_label=True)]
)
def test_what_has_seen_nothing_is_zero(metric):
    assert metric.result() == 0.0
    metric.reset_state()
    assert not bool(metric.state.any())


def test_a_score_that_cannot_be_adjusted_says_so():
    score = metrics.R2Score(num_regressors=4)
    score.update_state([[1.0], [2.0], [4.0]], [[1.0], [2.0], [3.0]])
    with pytest.warns(UserWarning, match="more than num_regressors \\+ 1 = 5 values"):
        assert score.result() == pytest.approx(1 - 1 / (14 / 3))


def test_variables_need_the_constructor_and_add_up():
    class Forgets(metrics.Metric):
        def __init__(self):
            self.total = self.add_variable((), "zeros")

    with pytest.raises(RuntimeError, match=r"Forgets.__init__ must call super\(\).__init__\(\)"):
        Forgets()
    with pytest.raises(ValueError, match="Received: aggregation='mean'"):
        Ours().add_variable((), "zeros", aggregation="mean")
    assert Ours().add_variable((2,), "ones").tolist() == [1.0, 1.0]


def test_float_weights_count_as_they_are_in_iou():
    halves = torch.tensor([0.5, 0.5, 1.5])
    ours = metrics.MeanIoU(num_classes=2)
    theirs = keras.metrics.MeanIoU(num_classes=2, dtype="float32")
    for metric in (ours, theirs):
        metric.update_state(torch.tensor([0, 1, 1]), torch.tensor([0, 0, 1]), halves)
    assert ours.result() == pytest.approx(float(theirs.result()), rel=1e-6)


def test_nan_is_above_no_threshold():
    metric = metrics.TruePositives(thresholds=[0.0, 0.5, 1.0])
    metric.update_state(torch.ones(3), torch.tensor([float("nan"), 0.7, float("inf")]))
    assert metric.result().tolist() == [2.0, 2.0, 0.0]


def test_a_loss_or_a_function_with_options_travels_as_a_metric():
    wrapped = metrics.MeanMetricWrapper(losses.huber, name="h", delta=2.0)
    config = metrics.serialize(wrapped)
    theirs = keras.metrics.deserialize(config)
    y_true, y_pred = torch.zeros(3, 2), torch.tensor([[1.0, 5.0]] * 3)
    assert wrapped(y_true, y_pred) == pytest.approx(float(theirs(y_true, y_pred)))
    again = metrics.deserialize(keras.metrics.serialize(theirs))
    assert (again.fn, again.options, again.name) == (losses.huber, {"delta": 2.0}, "h")
    of_loss = metrics.get(losses.Huber(delta=2.0))
    assert of_loss(y_true, y_pred) == wrapped.result()
    assert of_loss._direction == "down"
    assert metrics.get(metrics.serialize(of_loss))(y_true, y_pred) == wrapped.result()
