"""Fits in which one worker is slow, and what the others do meanwhile."""

import time

import numpy as np
import pytest
import torch

from elephas_torch import SparkModel
from elephas_torch.keras import Sequential
from elephas_torch.keras.callbacks import LambdaCallback
from elephas_torch.keras.layers import Dense, Layer
from elephas_torch.ml import ElephasEstimator
from elephas_torch.utils.rdd_utils import to_simple_rdd

WORKERS, BATCHES, SIZE, EPOCHS = 3, 4, 8, 2
SLOW, SECONDS = 2, 0.15


class Dawdling(Layer):
    """Takes its time over the rows of one worker."""

    def call(self, inputs):
        if self.training and inputs[0, 0] == SLOW:
            time.sleep(SECONDS)
        return inputs


def network():
    torch.manual_seed(1)
    model = Sequential([Dawdling(input_shape=(4,)), Dense(1)])
    model.compile("sgd", "mse")
    return model


@pytest.fixture
def rdd(spark_context):
    """Rows that say whose they are."""
    x = np.random.default_rng(0).standard_normal((WORKERS * BATCHES * SIZE, 4)).astype("float32")
    x[:, 0] = np.repeat(np.arange(WORKERS), BATCHES * SIZE)
    return to_simple_rdd(spark_context, x, x.sum(axis=1, keepdims=True), WORKERS)


def fitted(rdd, **how):
    """The history, what callbacks saw, and each worker's seconds of its epochs."""
    model = SparkModel(network(), num_workers=WORKERS, batch_size=SIZE, seed=1, **how)
    told = []
    tell = LambdaCallback(on_epoch_end=lambda epoch, logs: told.append((epoch, logs["loss"])))
    history = model.fit(rdd, epochs=EPOCHS, verbose=0, callbacks=[tell])
    assert [loss for _, loss in told] == history.history["loss"] and len(told) == EPOCHS
    assert np.isfinite(history.history["loss"]).all()
    return [sum(one["seconds"]) for one in model.training_histories]


@pytest.mark.spark
def test_a_quorum_goes_on_without_the_slowest(rdd):
    seconds = fitted(rdd, mode="synchronous", frequency="batch", quorum=0.6)
    assert seconds[SLOW] >= EPOCHS * BATCHES * SECONDS
    assert max(seconds[:SLOW]) < 0.8 * seconds[SLOW]


@pytest.mark.spark
def test_nobody_runs_away_from_the_slowest(rdd):
    how = {"mode": "hogwild", "frequency": "batch"}
    free = fitted(rdd, **how)
    assert max(free[:SLOW]) < 0.8 * free[SLOW]
    for _ in range(5):  # who is done before the slowest has joined didn't have to wait for it
        bound = fitted(rdd, **how, staleness_bound=1)
        # All but the last two exchanges wait for the slowest.
        if min(bound[:SLOW]) >= (EPOCHS * BATCHES - 2) * SECONDS:
            return
    raise AssertionError(f"nobody waited: {bound}")


@pytest.mark.spark
def test_workers_without_a_slot_are_not_waited_for(rdd):
    model = SparkModel(network(), num_workers=5, batch_size=SIZE, frequency="batch",
                       staleness_bound=0)  # fmt: skip
    history = model.fit(rdd, epochs=EPOCHS, verbose=0)  # of five, four at a time
    assert len(history.history["loss"]) == EPOCHS


def test_a_quorum_is_refused_where_it_cannot_be():
    for how, message in [
        ({"mode": "asynchronous"}, "`quorum` is for mode='synchronous'"),
        ({"mode": "synchronous", "exchange": "allreduce"}, "is for exchange='server'"),
        ({"mode": "synchronous", "num_shards": 2}, "are for num_shards=1"),
    ]:
        with pytest.raises(ValueError, match=message):
            SparkModel(network(), quorum=0.5, **how)
    with pytest.raises(ValueError, match="`quorum` must be a number above 0"):
        ElephasEstimator(quorum=2)
    model = SparkModel(network(), mode="synchronous", quorum=0.5)
    assert model.get_config()["quorum"] == 0.5


def test_a_bound_is_refused_where_it_cannot_be():
    for how, message in [
        ({"mode": "synchronous"}, "is for modes 'asynchronous' and 'hogwild'"),
        ({"num_shards": 2}, "for num_shards=1"),
    ]:
        with pytest.raises(ValueError, match=message):
            SparkModel(network(), staleness_bound=2, **how)
    with pytest.raises(ValueError, match="`staleness_bound` must be a whole number"):
        ElephasEstimator(stalenessBound=-1)
    assert SparkModel(network(), staleness_bound=3).get_config()["staleness_bound"] == 3
