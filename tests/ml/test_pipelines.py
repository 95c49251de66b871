"""Whole pipelines on real Spark: evaluators, several stages, tuning, and a fresh process."""

import os
import subprocess
import sys

import numpy as np
import pytest
from pyspark.ml import Pipeline, PipelineModel
from pyspark.ml.evaluation import (
    BinaryClassificationEvaluator,
    MulticlassClassificationEvaluator,
    MultilabelClassificationEvaluator,
    RegressionEvaluator,
)
from pyspark.ml.feature import IndexToString, StandardScaler, StringIndexer, VectorAssembler
from pyspark.ml.functions import vector_to_array
from pyspark.ml.tuning import TrainValidationSplit
from pyspark.mllib.evaluation import (
    BinaryClassificationMetrics,
    MulticlassMetrics,
    MultilabelMetrics,
    RegressionMetrics,
)
from pyspark.sql import functions as F

from elephas_torch.errors import WorkerError
from elephas_torch.keras import Sequential, layers
from elephas_torch.keras.layers import Layer
from elephas_torch.keras.models import Model
from elephas_torch.ml import (
    ElephasClassificationModel,
    ElephasClassifier,
    ElephasRegressionModel,
    ElephasRegressor,
)

pytestmark = pytest.mark.spark


def line(weights, activation=None, before=()):
    """A model that multiplies its features by a matrix."""
    weights = np.asarray(weights, np.float32)
    model = Sequential(
        [
            layers.Input(weights.shape[:1]),
            *before,
            layers.Dense(weights.shape[1], activation, use_bias=False),
        ]
    )
    model.set_weights([weights])
    return model


@pytest.fixture(scope="module")
def sure():
    """A stage that says what is the largest of three features, and is always right."""
    return ElephasClassificationModel(model=line(np.eye(4)[:, :3] * 9, "softmax"))


def plan(frame):
    return frame._jdf.queryExecution().executedPlan().toString()


def ids(frame):
    return [row.id for row in frame.select("id").collect()]


def pairs(frame, *names):
    return frame.select(*names).rdd.map(tuple)


def test_evaluators_of_classes(rows, sure):
    found = sure.transform(rows)
    perfect = {
        "accuracy": 1, "f1": 1, "weightedPrecision": 1, "hammingLoss": 0,
        "fMeasureByLabel": 1,
    }  # fmt: skip
    for name, value in perfect.items():
        evaluator = MulticlassClassificationEvaluator(metricName=name, weightCol="weight")
        assert evaluator.evaluate(found) == pytest.approx(value)
    assert 0 < MulticlassClassificationEvaluator(metricName="logLoss").evaluate(found) < 0.3
    metrics = MulticlassMetrics(pairs(found, "prediction", "label"))
    assert metrics.accuracy == 1
    assert metrics.confusionMatrix().toArray().sum() == 200
    # By what the classes are called, in the order of the labels that it was fitted on.
    named = ElephasClassificationModel(model=sure.model, label_metadata={"vals": ["a", "b", "c"]})
    said = IndexToString(inputCol="prediction", outputCol="said").transform(named.transform(rows))
    assert said.where("said = name").count() == 200


def test_evaluators_of_two_classes(rows):
    stage = ElephasClassificationModel(model=line([[9], [0], [0], [0]], "sigmoid"))
    found = stage.transform(rows)
    for name in ("areaUnderROC", "areaUnderPR"):
        for column in ("rawPrediction", "probability"):
            evaluator = BinaryClassificationEvaluator(
                rawPredictionCol=column, metricName=name, labelCol="sign", weightCol="weight"
            )
            assert evaluator.evaluate(found) == pytest.approx(1)
    scores = found.withColumn("score", vector_to_array("probability")[1])
    assert BinaryClassificationMetrics(pairs(scores, "score", "sign")).areaUnderROC == 1
    assert MulticlassClassificationEvaluator(labelCol="sign").evaluate(found) == 1


def test_evaluators_of_numbers(rows):
    found = ElephasRegressionModel(model=line(np.ones((4, 1)))).transform(rows)
    for name, value in {"rmse": 0, "mae": 0, "r2": 1, "mse": 0}.items():
        evaluator = RegressionEvaluator(labelCol="sum", metricName=name, weightCol="weight")
        assert evaluator.evaluate(found) == pytest.approx(value, abs=1e-6)
    assert RegressionMetrics(pairs(found, "prediction", "sum")).r2 == pytest.approx(1)


def test_evaluators_of_several_labels(rows):
    labels = F.expr("filter(array(0D, 1D), n -> numbers[int(n)] > 0)")
    several = rows.withColumn("numbers", vector_to_array("features")).withColumn("labels", labels)
    some = F.size("labels") > 0  # Spark's accuracy is NaN where a row has no label
    model = line(np.eye(4)[:, :2] * 99, "sigmoid")
    model.compile("adam", "binary_crossentropy")
    estimator = ElephasClassifier(
        model=model,
        labelCol="labels",
        categoricalLabels=True,
        epochs=1,
        numWorkers=1,
        learningRate=0.0,
    )
    fitted = estimator.fit(several)
    assert fitted.history["loss"][0] < 0.05  # it is trained on the same labels as it says
    assert fitted.task.kind == "multilabel"
    found = fitted.transform(several)
    assert found.schema == fitted.transformSchema(several.schema)
    for name in ("f1Measure", "accuracy", "subsetAccuracy"):
        evaluator = MultilabelClassificationEvaluator(metricName=name, labelCol="labels")
        assert evaluator.evaluate(found.where(some)) == 1
    assert found.where("size(prediction) = 0 and size(labels) = 0").count() > 0
    assert MultilabelMetrics(pairs(found, "prediction", "labels")).subsetAccuracy == 1
    row = found.head()
    assert fitted.predict(row.features) == row.prediction
    assert row.prediction == np.flatnonzero(np.array(row.probability) > 0.5).tolist()
    odd = F.expr("IF(id = 3, array(1D, 1D), IF(id = 150, array(0D, 2D), labels))")
    with pytest.raises(WorkerError, match=r"'labels' must have arrays of class numbers, each once"):
        estimator.fit(several.withColumn("labels", odd))


def counting(folder):
    """A layer that notes in a folder how many rows it has seen."""

    class Counting(Layer):
        def call(self, inputs):
            import tempfile

            with tempfile.NamedTemporaryFile("w", dir=folder, delete=False) as file:
                file.write(str(len(inputs)))
            return inputs

        def compute_output_shape(self, input_shape):
            return input_shape

    return Counting()


def counted(folder):
    seen = sum(int(file.read_text()) for file in folder.iterdir())
    for file in folder.iterdir():
        file.unlink()
    return seen


@pytest.mark.parametrize("invalid", ["error", "skip", "keep"])
def test_each_row_is_computed_once_and_keeps_its_place(rows, tmp_path, invalid):
    weights = np.eye(4)[:, :3]
    model = line(weights, "softmax", [counting(str(tmp_path))])
    stage = ElephasClassificationModel(model=model, handleInvalid=invalid)
    some = F.expr("id % 10 > 0") if invalid != "error" else F.lit(True)
    holes = rows.withColumn("features", F.when(some, F.col("features")))
    counted(tmp_path)
    found = stage.transform(holes)
    assert found.columns == [*rows.columns, "prediction", "probability", "rawPrediction"]
    assert plan(found).count("ArrowEvalPython") == 1
    assert found.rdd.getNumPartitions() == rows.rdd.getNumPartitions()
    got = found.collect()
    whole = rows.where("id % 10 > 0").count() if invalid != "error" else 200
    assert counted(tmp_path) == whole
    order = ids(holes.where("features is not null") if invalid == "skip" else rows)
    assert [row.id for row in got] == order
    assert all((row.prediction is None) == (row.features is None) for row in got)
    assert all(row.prediction in (None, row.label) for row in got)
    # A filter behind it, on what it gives and on what was there.
    passed = found.where("prediction = 1 and id > 20").select("id", "probability").collect()
    assert passed
    # Spark before 4.1 computes what passes a filter on a function's outputs once more.
    again = 0 if hasattr(F, "arrow_udf") else len(passed)
    assert counted(tmp_path) <= whole + again
    assert found.count() == len(got)
    assert counted(tmp_path) <= (whole if invalid == "skip" else 0)


def test_several_stages_on_one_frame(rows, sure):
    """One stage's probabilities are another's features; nothing is computed twice."""
    stages = [
        sure,
        VectorAssembler(inputCols=["probability", "sum"], outputCol="both"),
        ElephasRegressionModel(
            model=line([[0], [0], [0], [2.0]]), featuresCol="both", predictionCol="twice"
        ),
        ElephasRegressionModel(
            model=line([[1.0], [1.0]]), featuresCols=["twice", "prediction"], predictionCol="end"
        ),
    ]
    found = PipelineModel(stages).transform(rows)
    made = ["prediction", "probability", "rawPrediction", "both", "twice", "end"]
    assert found.columns == [*rows.columns, *made]
    assert plan(found).count("ArrowEvalPython") == 3
    assert found.rdd.getNumPartitions() == rows.rdd.getNumPartitions()
    got = found.collect()
    assert [row.id for row in got] == ids(rows)
    for row in got[:20]:
        assert row.twice == pytest.approx(2 * row.sum, rel=1e-5, abs=1e-6)
        assert row.end == pytest.approx(row.twice + row.label, rel=1e-5, abs=1e-6)
    assert found.drop("id").select("name", "end").columns == ["name", "end"]
    assert plan(found.select("id", "prediction")).count("ArrowEvalPython") == 1


def test_a_warm_start_within_a_memory_budget(rows, classified, make):
    estimator = ElephasClassifier(
        model=make(3, "softmax", "categorical_crossentropy"), epochs=1, batchSize=8, memory="1m",
        learningRate=0.0, numWorkers=1,
    )  # fmt: skip
    warm = estimator.setInitialModel(classified).fit(rows)
    for one, other in zip(warm.weights, classified.weights, strict=True):
        np.testing.assert_array_equal(one, other)
    other = ElephasClassifier(model=make(3, "softmax", "categorical_crossentropy", hidden=4))
    with pytest.raises(ValueError, match=r"weights of initialModel .* don't fit"):
        other.setInitialModel(classified).fit(rows)


def test_a_model_of_two_inputs(rows):
    vector, number = layers.Input((4,), name="vector"), layers.Input((1,), name="number")
    joined = layers.Concatenate()([vector, number])
    model = Model([vector, number], layers.Dense(1)(joined))
    model.compile("adam", "mse")
    estimator = ElephasRegressor(
        model=model, featuresCols=["features", "weight"], labelCol="sum", epochs=8, batchSize=8,
        learningRate=0.05, numWorkers=1,
    )  # fmt: skip
    fitted = estimator.fit(rows)
    found = fitted.transform(rows)
    assert found.columns == [*rows.columns, "prediction"]
    assert RegressionEvaluator(labelCol="sum").evaluate(found) < 0.3
    assert fitted.numFeatures == 5
    row = found.head()
    assert fitted.predict([row.features, row.weight]) == pytest.approx(row.prediction, rel=1e-5)
    with pytest.raises(ValueError, match=r"2 inputs .*'vector'.* column for each"):
        fitted.copy({fitted.featuresCol: "features"}).transform(rows)


@pytest.mark.slow
def test_a_tuned_pipeline_says_the_same_in_a_fresh_process(spark, rows, make, tmp_path):
    def builder(units):
        def build():
            return make(3, "softmax", "categorical_crossentropy", hidden=units)

        return build

    classifier = ElephasClassifier(
        featuresCol="scaled", labelCol="index", batchSize=8, numWorkers=1, seed=1
    )
    stages = [
        StringIndexer(inputCol="name", outputCol="index", stringOrderType="alphabetDesc"),
        VectorAssembler(inputCols=["features"], outputCol="all"),
        StandardScaler(inputCol="all", outputCol="scaled", withMean=True),
        classifier,
        IndexToString(inputCol="prediction", outputCol="said"),
    ]
    small, wide = builder(2), builder(16)
    grid = [
        {classifier.modelBuilder: small, classifier.learningRate: 1e-6, classifier.epochs: 1},
        {classifier.modelBuilder: wide, classifier.learningRate: 0.02, classifier.epochs: 6},
    ]
    tuned = TrainValidationSplit(
        estimator=Pipeline(stages=stages), estimatorParamMaps=grid, parallelism=2,
        evaluator=MulticlassClassificationEvaluator(labelCol="index"), seed=1,
    ).fit(rows)  # fmt: skip
    assert tuned.validationMetrics[1] > max(0.7, tuned.validationMetrics[0])
    best = tuned.bestModel
    assert best.stages[3].model.layers[0].units == 16
    assert len(best.stages[3].history["loss"]) == 6
    found = best.transform(rows)
    found.select("id", "name", "features", "said", "prediction", "probability").write.parquet(
        str(tmp_path / "rows")
    )
    best.save(str(tmp_path / "best"))
    unfitted = Pipeline(stages=[*stages[:3], classifier.copy(), stages[4]])
    unfitted.getStages()[3].clear(classifier.modelBuilder)
    unfitted.getStages()[3].setModel(best.stages[3].model).setEpochs(1).setLearningRate(0.0)
    unfitted.write().overwrite().save(str(tmp_path / "unfitted"))
    done = subprocess.run(
        [sys.executable, "-c", FRESH.replace("FOLDER", str(tmp_path))],
        capture_output=True, text=True, env={**os.environ}, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]


FRESH = """
from pyspark import SparkConf, SparkContext
from pyspark.ml import Pipeline, PipelineModel
from pyspark.sql import SparkSession

conf = SparkConf().setMaster("local[1]").set("spark.ui.enabled", "false")
conf.set("spark.driver.host", "127.0.0.1").set("spark.driver.bindAddress", "127.0.0.1")
conf.set("spark.driver.extraJavaOptions", "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC")
spark = SparkSession(SparkContext(conf=conf))
before = spark.read.parquet("FOLDER/rows").cache()
there = {row.id: row for row in before.collect()}
rows = before.select("id", "name", "features")

def same(found):
    got = found.collect()
    assert len(got) == len(there) == 200
    for row in got:
        one = there[row.id]
        assert (row.said, row.prediction) == (one.said, one.prediction), (row, one)
        assert max(abs(row.probability.toArray() - one.probability.toArray())) < 1e-6
    assert found.schema["prediction"].metadata["ml_attr"]["vals"] == ["c", "b", "a"]

same(PipelineModel.load("FOLDER/best").transform(rows))
# Trained on from the same weights at a rate of 0.
same(Pipeline.load("FOLDER/unfitted").fit(rows).transform(rows))
spark.stop()
"""
