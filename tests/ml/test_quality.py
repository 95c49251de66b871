"""How well pipelines learn, beside Spark's own models and scikit-learn's networks."""

import numpy as np
import pytest
from pyspark.ml import Pipeline
from pyspark.ml.classification import LogisticRegression
from pyspark.ml.evaluation import MulticlassClassificationEvaluator, RegressionEvaluator
from pyspark.ml.feature import StandardScaler, VectorAssembler
from pyspark.ml.regression import LinearRegression
from sklearn.datasets import load_breast_cancer, load_diabetes
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier, MLPRegressor

from elephas_torch.keras import Sequential, layers
from elephas_torch.keras.optimizers import Adam
from elephas_torch.keras.utils import set_random_seed
from elephas_torch.ml import ElephasClassifier, ElephasRegressor

pytestmark = pytest.mark.spark

#: Of the 171 test rows 3 may be wrong that the best of the others has right.
ROWS_WORSE = 3
#: How much larger the root of the mean squared error may be than the best of the others.
SHARE_WORSE = 1.03


def split(spark, bunch):
    """The rows to train with and to test with: as arrays, and as two DataFrames."""
    x, x_test, y, y_test = train_test_split(
        bunch.data, bunch.target.astype(float), test_size=0.3, random_state=1
    )
    names = [f"x{number}" for number in range(x.shape[1])]

    def frame(x, y):
        rows = [(*map(float, row), float(one)) for row, one in zip(x, y, strict=True)]
        return spark.createDataFrame(rows, [*names, "label"]).repartition(2).cache()

    return (x, x_test, y, y_test), names, frame(x, y), frame(x_test, y_test)


def pipeline(names, last):
    return Pipeline(
        stages=[
            VectorAssembler(inputCols=names, outputCol="raw"),
            StandardScaler(inputCol="raw", outputCol="features", withMean=True),
            last,
        ]
    )


def scaled(x, x_test):
    return (x - x.mean(0)) / x.std(0), (x_test - x.mean(0)) / x.std(0)


def test_breast_cancer_as_well_as_the_others(spark):
    (x, x_test, y, y_test), names, train, test = split(spark, load_breast_cancer())
    set_random_seed(1)
    model = Sequential(
        [
            layers.Input((len(names),)),
            layers.Dense(16, activation="relu"),
            layers.Dense(2, activation="softmax"),
        ]
    )
    model.compile(Adam(0.01), "sparse_categorical_crossentropy")
    ours = ElephasClassifier(
        model=model, epochs=15, batchSize=16, mode="synchronous", frequency="batch", numWorkers=2,
        seed=1,
    )  # fmt: skip
    right = {}
    for name, stage in {"ours": ours, "spark": LogisticRegression(regParam=0.01)}.items():
        found = pipeline(names, stage).fit(train).transform(test)
        evaluator = MulticlassClassificationEvaluator(metricName="accuracy")
        right[name] = round(evaluator.evaluate(found) * len(y_test))
    z, z_test = scaled(x, x_test)
    mlp = MLPClassifier(
        hidden_layer_sizes=(16,), learning_rate_init=0.01, max_iter=300, random_state=1
    ).fit(z, y)
    right["sklearn"] = int((mlp.predict(z_test) == y_test).sum())
    assert right["ours"] >= max(right.values()) - ROWS_WORSE, right
    assert right["ours"] > 0.94 * len(y_test)


def test_diabetes_as_well_as_the_others(spark):
    (x, x_test, y, y_test), names, train, test = split(spark, load_diabetes())
    set_random_seed(1)
    # The bias starts at the labels' mean, as the others' does.
    last = layers.Dense(1, bias_initializer=lambda shape, dtype=None: np.full(shape, y.mean()))
    model = Sequential([layers.Input((len(names),)), layers.Dense(8, activation="relu"), last])
    model.compile(Adam(0.02), "mse")
    ours = ElephasRegressor(
        model=model, epochs=15, batchSize=16, mode="synchronous", frequency="batch", numWorkers=2,
        seed=1,
    )  # fmt: skip
    errors = {}
    for name, stage in {"ours": ours, "spark": LinearRegression(regParam=0.1)}.items():
        found = pipeline(names, stage).fit(train).transform(test)
        errors[name] = RegressionEvaluator(metricName="rmse").evaluate(found)
    z, z_test = scaled(x, x_test)
    mlp = MLPRegressor(
        hidden_layer_sizes=(8,), learning_rate_init=0.02, max_iter=1000, random_state=1
    ).fit(z, y)
    errors["sklearn"] = float(np.sqrt(((mlp.predict(z_test) - y_test) ** 2).mean()))
    assert errors["ours"] < min(errors.values()) * SHARE_WORSE, errors
    assert errors["ours"] < 0.8 * y_test.std()
