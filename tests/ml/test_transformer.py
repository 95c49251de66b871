"""Fitted stages on real Spark."""

import pickle

import numpy as np
import pytest
from pyspark.ml.linalg import Vectors, VectorUDT
from pyspark.sql import functions as F
from pyspark.sql.types import ArrayType, DoubleType, FloatType

from elephas_torch.keras import Sequential, layers
from elephas_torch.ml import (
    ElephasClassificationModel,
    ElephasRegressionModel,
    ElephasTransformer,
)
from elephas_torch.utils.model_utils import ModelType


def softmax(units=3):
    return Sequential([layers.Input((4,)), layers.Dense(units, activation="softmax")])


def test_it_keeps_columns_rows_and_partitions_and_is_lazy(rows, classified):
    found = classified.transform(rows)
    made = {"prediction": DoubleType(), "probability": VectorUDT(), "rawPrediction": VectorUDT()}
    assert found.columns == [*rows.columns, *made]
    assert {name: found.schema[name].dataType for name in made} == made
    assert found.schema == classified.transformSchema(rows.schema)
    assert found.rdd.getNumPartitions() == rows.rdd.getNumPartitions()
    both = found.select("id", "features", "prediction", "probability").collect()
    assert [one.id for one in both] == [one.id for one in rows.select("id").collect()]
    x = np.stack([one.features.toArray() for one in both]).astype("float32")
    expected = classified.model.predict(x, verbose=0)
    assert np.allclose([one.probability for one in both], expected, atol=1e-5)
    assert [one.prediction for one in both] == expected.argmax(1).tolist()


def test_one_row_gives_what_transform_gives(rows, classified):
    row = classified.transform(rows).head()
    assert classified.predict(row.features) == row.prediction
    assert np.allclose(classified.predictProbability(row.features), row.probability, atol=1e-5)
    raw = classified.predictRaw(row.features).toArray()
    assert raw.argmax() == row.rawPrediction.toArray().argmax() == row.prediction


def test_params_change_the_columns(rows, classified):
    other = classified.copy(
        {
            classified.outputCol: "said",
            classified.probabilityCol: "",
            classified.rawPredictionCol: "",
        }
    )
    assert other.transform(rows).columns == [*rows.columns, "said"]
    plain = classified.copy().set_predict_classes(False).transform(rows)
    assert plain.schema["prediction"].dataType == ArrayType(FloatType())
    assert sum(plain.head().prediction) == pytest.approx(1.0, abs=1e-5)
    always = classified.copy().setThresholds([1e-9, 1.0, 1.0]).transform(rows)
    assert {one.prediction for one in always.select("prediction").head(20)} == {0.0}


def test_rows_without_features(spark, rows, classified):
    holes = rows.withColumn("features", F.when(F.col("label") != 1, F.col("features")))
    left = holes.where("features is not null").count()
    skipped = classified.copy().setHandleInvalid("skip").transform(holes)
    assert skipped.where("prediction is not null").count() == skipped.count() == left
    kept = classified.copy().setHandleInvalid("keep").transform(holes)
    assert kept.count() == rows.count()


def test_a_function_for_sql(spark, rows, classified):
    spark.udf.register("score", classified.udf())
    rows.createOrReplaceTempView("rows_to_score")
    found = spark.sql("SELECT id, score(features) AS said FROM rows_to_score")
    expected = classified.transform(rows).select("id", "prediction")
    assert sorted(map(tuple, found.collect())) == sorted(map(tuple, expected.collect()))
    with pytest.raises(ValueError, match=r"`only` must be one of \['prediction'"):
        classified.udf("predictions")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda frame: frame.drop("features"), "no column 'features'.*It has: id, name"),
        (lambda frame: frame.withColumn("features", F.lit("x")), "'features' .*is string"),
        (
            lambda frame: frame.withColumn("Prediction", F.lit(1)),
            "has a column 'Prediction' already.*predictionCol",
        ),
        (
            lambda frame: frame.withColumn("probability", F.lit(1)),
            "'probability' already.*set probabilityCol",
        ),
    ],
)
def test_what_doesnt_fit_is_told_at_once(rows, classified, change, message):
    with pytest.raises(ValueError, match=message):
        classified.transform(change(rows))


def test_elephas_form():
    model = softmax()
    made = ElephasTransformer(
        keras_model_config=model.to_json(), weights=model.get_weights(), outputCol="said",
        labelCol="y", featuresCol="x", custom_objects=None, model_type=ModelType.CLASSIFICATION,
        history={"loss": [1.0]},
    )  # fmt: skip
    assert all(np.array_equal(*two) for two in zip(made.weights, model.get_weights(), strict=True))
    assert (made.getPredictionCol(), made.getFeaturesCol()) == ("said", "x")
    assert made.model_type is ModelType.CLASSIFICATION
    assert made.history == {"loss": [1.0]}
    assert made.get_model() is not made.model
    assert ElephasTransformer(model=model, model_type="regression").task.kind == "regression"


def test_what_it_is_made_of_must_be_known():
    with pytest.raises(TypeError, match=r"needs `model`"):
        ElephasTransformer()
    with pytest.raises(TypeError, match=r"'modle'. Did you mean 'model'"):
        ElephasTransformer(modle=3)
    with pytest.raises(RuntimeError, match=r"has no training summary"):
        _ = ElephasTransformer(model=softmax()).summary


def test_it_says_what_it_is():
    made = ElephasClassificationModel(model=softmax())
    assert "kind=classification, numClasses=3, numFeatures=4" in repr(made)
    assert made.predict(Vectors.dense([0, 0, 0, 0])) in (0.0, 1.0, 2.0)
    line = Sequential([layers.Input((4,)), layers.Dense(2)])
    both = ElephasRegressionModel(model=line).predict(Vectors.dense([1, 0, 0, 0]))
    assert both.size == 2


def test_named_forms_are_what_spark_looks_for():
    from pyspark.ml.classification import ClassificationModel, ProbabilisticClassificationModel
    from pyspark.ml.regression import RegressionModel

    made = ElephasClassificationModel(model=softmax())
    assert isinstance(made, ClassificationModel | ProbabilisticClassificationModel)
    line = ElephasRegressionModel(model=Sequential([layers.Input((4,)), layers.Dense(1)]))
    assert isinstance(line, RegressionModel)
    assert isinstance(line, ElephasTransformer)


def test_state_makes_it_again(classified):
    state = classified.state()
    again = type(classified)(model=classified.model, **state)
    assert again.state() == state
    assert again.task == classified.task
    assert pickle.loads(pickle.dumps(again)).history == classified.history


def test_columns_of_numbers_that_are_never_null(spark):
    # What is cached comes in columns, which Spark 4.2 and 4.3 can't give to Python with vectors.
    numbers = ["coalesce(cast(id as double), 0d) a", "coalesce(cast(id % 3 as double), 0d) `b c`"]
    cached = spark.range(20).selectExpr(*numbers).persist()
    assert cached.count() == 20
    model = Sequential([layers.Dense(3, activation="softmax", input_shape=(2,))])
    stage = ElephasTransformer(
        model=model, featuresCols=["a", "b c"], predictionCol="my.class", handleInvalid="skip"
    )
    found = stage.transform(cached)
    assert found.columns[-3:] == ["my.class", "probability", "rawPrediction"]
    assert found.count() == 20
    cached.unpersist()


def test_columns_of_one_name_are_refused(rows, make):
    stage = ElephasTransformer(model=make(3, "softmax", "categorical_crossentropy"))
    with pytest.raises(ValueError, match=r"different names.*predictionCol='probability'"):
        stage.setPredictionCol("probability").transform(rows)


def test_it_keeps_the_weights_that_it_was_made_with(make):
    model = make(3, "softmax", "categorical_crossentropy")
    stage = ElephasClassificationModel(model=model)
    before = stage.predictProbability(np.ones(4))
    model.set_weights([one * 0 for one in model.get_weights()])
    assert stage.predictProbability(np.ones(4)) == before
    with pytest.raises(ValueError, match="Unknown model type: 'bogus'"):
        ElephasTransformer(model=model, model_type="bogus")
