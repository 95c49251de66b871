"""Fits whose updates travel in fewer bytes, on a real Spark session."""

import numpy as np
import pytest
import torch

from elephas_torch import preflight
from elephas_torch.flat import Flat
from elephas_torch.keras import Input, Model, Sequential, layers
from elephas_torch.keras.optimizers import SGD, Adam
from elephas_torch.keras.utils import set_random_seed
from elephas_torch.ml import ElephasEstimator
from elephas_torch.spark_model import SparkModel, load_spark_model
from elephas_torch.utils.rdd_utils import to_simple_rdd


def network(optimizer="sgd"):
    set_random_seed(0)
    model = Sequential(
        [layers.Dense(32, activation="relu", input_dim=8), layers.Dense(3, activation="softmax")]
    )
    model.compile(optimizer, "categorical_crossentropy", metrics=["accuracy"])
    return model


def data(rows=900):
    random = np.random.default_rng(0)
    x = random.standard_normal((rows, 8)).astype(np.float32)
    return x, np.eye(3, dtype=np.float32)[(x @ random.standard_normal((8, 3))).argmax(1)]


def accuracy(rdd, x, y, **how):
    model = network(SGD(0.3))
    spark_model = SparkModel(model, shared_memory=False, seed=1, **how)
    spark_model.fit(rdd, epochs=5, batch_size=10, verbose=0)
    return model.evaluate(x, y, verbose=0)[1]


@pytest.mark.spark
def test_synchronous_fits_learn_as_well_as_without(spark_context):
    x, y = data()
    rdd = to_simple_rdd(spark_context, x[:500], y[:500], 2)
    how = {"mode": "synchronous", "frequency": "batch"}
    plain = accuracy(rdd, x[500:], y[500:], **how)
    int8 = accuracy(rdd, x[500:], y[500:], compression="int8", **how)
    assert plain > 0.9 and int8 > plain - 0.02, (plain, int8)


@pytest.mark.spark
@pytest.mark.parametrize(("spec", "overlap"), [(("topk", 0.1), False), ("int8", True)])
def test_asynchronous_fits_learn(spark_context, spec, overlap):
    x, y = data()
    rdd = to_simple_rdd(spark_context, x[:500], y[:500], 2)
    how = {"mode": "asynchronous", "frequency": 4, "compression": spec, "overlap": overlap}
    # Who comes first is chance; without compression some orders end at 0.89.
    assert accuracy(rdd, x[500:], y[500:], **how) > 0.85


@pytest.mark.spark
def test_running_means_of_weights_arrive_whole(spark_context):
    x, y = data(60)
    alone, model = (network(Adam(0.01, use_ema=True, ema_momentum=0.9)) for _ in range(2))
    how = {"frequency": "epoch", "compression": "topk", "shared_memory": False}
    rdd = to_simple_rdd(spark_context, x, y, 1)
    SparkModel(model, **how).fit(rdd, epochs=1, batch_size=10, shuffle=False, verbose=0)
    alone.fit(x, y, epochs=1, batch_size=10, shuffle=False, verbose=0)
    for one, other in zip(model.get_weights(), alone.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)


def words(optimizer="adam"):
    set_random_seed(0)
    first, second = Input((3,), dtype="int64"), Input((2,))
    left = layers.Flatten()(layers.Embedding(50, 4, name="words")(first))
    both = layers.Concatenate()([left, layers.Dense(4)(second)])
    frozen = layers.Embedding(7, 2, trainable=False)(first)
    both = layers.Concatenate()([both, layers.Flatten()(frozen)])
    model = Model([first, second], layers.Dense(2, activation="softmax")(both))
    model.compile(optimizer, "sparse_categorical_crossentropy")
    return model


@pytest.mark.spark
def test_rows_of_embeddings_give_the_weights_of_one_process(spark_context):
    random, workers, size = np.random.default_rng(1), 2, 5
    x = [random.integers(0, 7, (40, 3)), random.standard_normal((40, 2)).astype(np.float32)]
    y = random.integers(0, 2, 40)
    model, alone = words(Adam(0.01)), words(Adam(0.01))
    parts = [[((x[0][i], x[1][i]), y[i]) for i in range(w, 40, workers)] for w in range(workers)]
    rdd = spark_context.parallelize(range(workers), workers).flatMap(lambda index: parts[index])
    spark_model = SparkModel(
        model, mode="synchronous", frequency="batch", num_workers=workers, shared_memory=False
    )
    spark_model.fit(rdd, epochs=2, batch_size=size, shuffle=False, verbose=0)
    alone.fit(x, y, epochs=2, batch_size=workers * size, shuffle=False, verbose=0)
    for one, other in zip(model.get_weights(), alone.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)


def test_embeddings_are_found_where_they_lie_in_the_flat_vector():
    model = words()
    table = model.get_layer("words").embeddings
    ((offset, rows, width),) = preflight.embeddings(model)
    vector = Flat(model).parameters
    assert (rows, width) == (50, 4)
    assert vector[offset : offset + 200].view(50, 4).equal(table.detach())
    wrapped = Model.from_torch(
        torch.nn.Sequential(torch.nn.Embedding(9, 2), torch.nn.Flatten(), torch.nn.Linear(6, 2)),
        input_shape=(3,),
        input_dtype=torch.int64,
    )
    assert preflight.embeddings(wrapped) == [(0, 9, 2)]
    assert preflight.embeddings(network()) == []


def test_compression_is_checked_and_saved(spark_context, tmp_path):
    spark_model = SparkModel(network(), compression="topk")
    assert spark_model.compression == ("topk", 0.01)
    spark_model.save(tmp_path / "model.keras")
    assert load_spark_model(tmp_path / "model.keras").compression == ("topk", 0.01)
    with pytest.raises(ValueError, match=r"Unknown compression: 'int16'\. Did you mean 'int8'"):
        SparkModel(network(), compression="int16")
    with pytest.raises(ValueError, match=r"share.*compression=\('topk', 2\)"):
        SparkModel(network(), compression=("topk", 2))


def test_estimators_take_compression(spark, tmp_path):
    estimator = ElephasEstimator(model=network(), compression=("topk", 0.2))
    assert estimator.getCompression() == ("topk", 0.2)
    path = str(tmp_path / "estimator")
    estimator.save(path)
    assert ElephasEstimator.load(path).getCompression() == ("topk", 0.2)
    assert ElephasEstimator(model=network()).getCompression() is None
    with pytest.raises(ValueError, match="Unknown compression"):
        estimator.setCompression("zip")
