"""What is wrong with rows is told in one clear error, and not in Java's words."""

import pytest
from pyspark.errors import PythonException
from pyspark.ml.linalg import Vectors
from pyspark.sql import functions as F

from elephas_torch.errors import DataError, WorkerError
from elephas_torch.keras import Sequential, layers
from elephas_torch.keras.callbacks import LambdaCallback
from elephas_torch.keras.layers import Input
from elephas_torch.keras.models import Model
from elephas_torch.ml import (
    ElephasClassificationModel,
    ElephasClassifier,
    ElephasRegressor,
)
from elephas_torch.ml.estimator import Trainer

pytestmark = pytest.mark.spark

HOLE = "array(1D, cast(null AS double), 0D, 0D)"
NAN = "array(1D, double('NaN'), 0D, 0D)"


def plain(message):
    """Whether it is for people: short, and no stack trace in it."""
    odd = ("\tat ", "org.apache", "py4j", "Traceback")
    return len(message) < 700 and not any(one in message for one in odd)


@pytest.fixture(scope="module")
def small(spark):
    """20 rows in one partition."""
    return (
        spark.range(20, numPartitions=1)
        .selectExpr(
            "id", "array(double(id), 1D, 0D, double(-id)) AS features",
            "double(id % 3) AS label", "double(id) AS number", "double(id % 2) AS sign",
        )
        .cache()
    )  # fmt: skip


def odd(frame, column, expression, rows="id IN (7, 12)"):
    """The rows with something else in a column of some of them."""
    return frame.withColumn(column, F.expr(f"IF({rows}, {expression}, {column})"))


def classifier(make, units=3, end="softmax", loss="sparse_categorical_crossentropy", **params):
    return ElephasClassifier(
        model=make(units, end, loss), epochs=1, numWorkers=1, batchSize=8, **params
    )


@pytest.mark.parametrize(
    ("column", "expression", "message"),
    [
        ("features", "array(1D, 2D)", r"'features' of length 2, .* 4"),
        ("features", "null", r"of 20 rows .* null: 2 in 'features'; .*row 7.*'skip'.*'keep'"),
        ("features", HOLE, r"of 20 rows .* null: 2 in 'features'; .*row 7.*'skip'.*'keep'"),
        ("features", NAN, r"[Rr]ow 7 .*NaN"),
        ("label", "null", r"of 20 rows .* null: 2 in 'label'; .*row 7.*'skip'"),
        ("label", "double('NaN')", r"[Rr]ow 7 .*NaN"),
        ("label", "3D", r"3.*(0 to 2|0, 1|3 classes|3 outputs)"),
        ("label", "-1D", r"-1"),
        ("label", "0.5D", r"row 7 has a label that is no whole number"),
    ],
)
def test_odd_rows_when_training(small, make, column, expression, message):
    with pytest.raises(DataError, match=message) as caught:
        classifier(make).fit(odd(small, column, expression))
    assert plain(str(caught.value))
    assert str(caught.value).startswith("Partition 0")


def test_odd_rows_when_training_can_be_left_out(small, make):
    frame = odd(odd(odd(small, "features", NAN), "features", "null", "id = 1"), "label", "null",
                "id = 2")  # fmt: skip
    fitted = classifier(make, handleInvalid="skip", verbose=0).fit(frame)
    assert len(fitted.history["loss"]) == 1
    with pytest.raises(DataError, match=r"no rows") as caught:
        classifier(make, handleInvalid="skip").fit(small.withColumn("label", F.lit(None) * 1.0))
    assert plain(str(caught.value))


@pytest.mark.parametrize("built", [True, False])
def test_a_frame_without_rows(small, make, built):
    model = make(3, "softmax", "categorical_crossentropy")
    if not built:
        model = Sequential([layers.Dense(3, activation="softmax")])
        model.compile("sgd", "categorical_crossentropy")
    with pytest.raises(DataError, match=r"no rows") as caught:
        ElephasClassifier(model=model, epochs=1, numWorkers=1).fit(small.where("id > 20"))
    assert plain(str(caught.value))
    stage = ElephasClassificationModel(model=make(3, "softmax", "categorical_crossentropy"))
    assert stage.transform(small.where("id > 20")).collect() == []


def test_labels_that_no_class_number_is(small, make):
    """Where the estimator makes one-hot labels by itself."""
    frame = small.withColumn("label", F.lit(3.0))
    with pytest.raises(
        WorkerError, match=r"'label' must have class numbers, 0 to 2; it has 3"
    ) as e:
        classifier(make, loss="mse", categoricalLabels=True).fit(frame)
    assert plain(str(e.value))
    # What other expressions say reaches the user as well.
    wrong = F.raise_error(F.lit("no such label"))
    frame = small.withColumn("label", F.when(F.col("id") == 9, wrong).otherwise(F.col("label")))
    with pytest.raises(WorkerError, match=r"Spark job failed: .*no such label") as e:
        classifier(make).fit(frame)
    assert plain(str(e.value))


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"thresholds": [0.5, 0.5]}, r"thresholds=.0\.5, 0\.5"),
        ({"predictionCol": "same", "probabilityCol": "same"}, r"same"),
        ({"predictionCol": "", "probabilityCol": "", "rawPredictionCol": ""}, r"make no column"),
    ],
    ids=["thresholds", "names", "none"],
)
def test_what_a_fitted_model_could_not_say_is_not_trained(small, make, params, message):
    seen = []
    stage = classifier(make, callbacks=[LambdaCallback(on_train_begin=seen.append)], **params)
    with pytest.raises(ValueError, match=message) as caught:
        stage.fit(small)
    assert plain(str(caught.value)) and not seen


def test_columns_are_called_as_the_params(small, make):
    def said(stage, frame=small, error=ValueError):
        with pytest.raises(error) as caught:
            stage.fit(frame) if isinstance(stage, Trainer) else stage.transform(frame)
        assert plain(str(caught.value)) and "_col" not in str(caught.value)
        return str(caught.value)

    names = {"featuresCol": "x", "labelCol": "y", "weightCol": "w", "validationIndicatorCol": "v"}
    for param, name in names.items():
        assert f"no column {name!r} ({param})" in said(classifier(make, **{param: name}))
    texts = small.withColumn("name", F.lit("a"))
    assert "'name' (featuresCol) is string" in said(classifier(make, featuresCol="name"), texts)
    assert "'name' (featuresCols) is string" in said(
        classifier(make, featuresCols=["sign", "name"]), texts
    )
    assert "'name' (weightCol) is string" in said(classifier(make, weightCol="name"), texts)
    regressor = ElephasRegressor(model=make(2, None, "mse"), labelCol="number")
    assert "labelCol must be a vector or array of 2" in said(regressor)
    left, right = Input((2,), name="left"), Input((2,), name="right")
    both = Model([left, right], layers.Dense(1)(layers.Concatenate()([left, right])))
    both.compile("sgd", "mse")
    assert "`featuresCols` must name a column for each" in said(ElephasRegressor(model=both))
    fitted = ElephasClassificationModel(model=make(3, "softmax", "categorical_crossentropy"))
    assert "no column 'features' (featuresCol)" in said(fitted, small.select("id"))


def test_labels_that_are_arrays_of_class_numbers(small, make):
    model = make(3, "sigmoid", "binary_crossentropy")
    stage = ElephasClassifier(model=model, labelCol="several", epochs=1, numWorkers=1)
    for numbers in ("array(label)", "IF(id < 9, array(0D, 1D), array(2D))"):
        with pytest.raises(DataError, match=r"'several' has .* set categoricalLabels=True") as e:
            stage.fit(small.withColumn("several", F.expr(numbers)))
        assert plain(str(e.value))


def test_what_is_no_data_frame(small, make):
    fitted = ElephasClassificationModel(model=make(3, "softmax", "categorical_crossentropy"))
    for given in ([1, 2], small.rdd, None):
        with pytest.raises(TypeError, match=r"fit takes a Spark DataFrame.*SparkModel\.fit.*Rec"):
            classifier(make).fit(given)
        with pytest.raises(
            TypeError, match=r"transform takes a Spark DataFrame.*predict.*Received"
        ):
            fitted.transform(given)


def test_models_that_do_not_fit(small, make):
    wide = small.withColumn("features", F.expr("array(1D, 2D, 3D, 4D, 5D)"))
    with pytest.raises(DataError, match=r"'features'.*5.*4") as caught:
        classifier(make).fit(wide)
    assert plain(str(caught.value))
    with pytest.raises(ValueError, match=r"gives 2 values a row.*'number' is one number") as caught:
        ElephasRegressor(model=make(2, None, "mse"), labelCol="number").fit(small)
    assert plain(str(caught.value))
    with pytest.raises(DataError, match=r"'pair'|2") as caught:
        ElephasRegressor(model=make(3, None, "mse"), labelCol="pair", epochs=1, numWorkers=1).fit(
            small.withColumn("pair", F.expr("array(1D, 2D)"))
        )
    assert plain(str(caught.value))
    with pytest.raises(ValueError, match=r"strings|string") as caught:
        classifier(make).fit(small.withColumn("features", F.lit("a")))
    assert plain(str(caught.value))


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("array(1D, 2D)", r"Row \d+ .* 'features' of length 2, .* 4"),
        ("null", r"2 of 20 rows .* null in 'features'.*'skip'.*'keep'"),
        # Spark before 4.1 goes by way of pandas, which takes the one for the other.
        (HOLE, r"2 of 20 rows .* (null|NaN) in 'features'.*'skip'.*'keep'"),
        (NAN, r"2 of 20 rows .* (null|NaN) in 'features'.*'skip'.*'keep'"),
    ],
)
def test_odd_rows_when_scoring(small, make, expression, message):
    stage = ElephasClassificationModel(model=make(3, "softmax", "categorical_crossentropy"))
    with pytest.raises(PythonException, match=message) as caught:
        stage.transform(odd(small, "features", expression)).collect()
    text = str(caught.value)
    assert "\tat " not in text
    last = [one for one in text.splitlines() if one.strip()][-1]
    assert last.startswith("elephas_torch.errors.DataError: ")
    # Python's own trace is Spark's doing: it has no more than the call.
    assert text.count("  File ") <= 4


def test_one_row_that_does_not_fit(make):
    stage = ElephasClassificationModel(model=make(3, "softmax", "categorical_crossentropy"))
    with pytest.raises(ValueError, match=r"has 4 numbers.*Received: 3"):
        stage.predict(Vectors.dense([1, 2, 3]))
