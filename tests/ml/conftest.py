"""Rows and fitted stages that several tests of the pipelines look at."""

import numpy as np
import pytest

from elephas_torch.keras import Sequential, layers


@pytest.fixture(scope="session")
def rows(spark):
    """200 rows in two partitions: what of three features is the largest, under several forms."""
    from pyspark.ml.linalg import Vectors

    x = np.random.default_rng(0).normal(size=(200, 4)).round(3)
    classes = x[:, :3].argmax(1)
    several = [
        (n, "abc"[k], float(k), Vectors.dense(r), float(r.sum()), Vectors.dense(r[:2] > 0),
         float(r[0] > 0), 1.0 + float(k), n % 5 == 0)
        for n, (r, k) in enumerate(zip(x, classes, strict=True))
    ]  # fmt: skip
    names = ["id", "name", "label", "features", "sum", "signs", "sign", "weight", "held"]
    frame = spark.createDataFrame(several, names).repartition(2, "id").cache()
    frame.count()
    yield frame
    frame.unpersist()


def network(units, activation, loss, *, optimizer="adam", hidden=16, metrics=None):
    """A small compiled model of four features."""
    model = Sequential(
        [
            layers.Input((4,)),
            layers.Dense(hidden, activation="relu"),
            layers.Dense(units, activation=activation),
        ]
    )
    model.compile(optimizer, loss, metrics=metrics)
    return model


@pytest.fixture(scope="session")
def make():
    """Makes small compiled models of four features."""
    return network


@pytest.fixture(scope="session")
def classified(rows):
    """A classifier fitted on the rows."""
    from elephas_torch.ml import ElephasEstimator

    model = network(3, "softmax", "categorical_crossentropy", metrics=["accuracy"])
    estimator = ElephasEstimator(
        model, epochs=12, batchSize=8, learningRate=0.02, mode="synchronous", seed=3
    )
    return estimator.fit(rows)
