"""DataFrames as rows: which columns are what, and fits on them."""

import numpy as np
import pytest

from elephas_torch import SparkModel
from elephas_torch.errors import DataError
from elephas_torch.keras.layers import Concatenate, Dense, Flatten, Input
from elephas_torch.keras.models import Model, Sequential
from elephas_torch.keras.utils import set_random_seed

ROWS = 240


def network(loss="categorical_crossentropy", units=3, inputs=(4,)):
    set_random_seed(0)
    model = Sequential([Dense(8, activation="relu", input_shape=inputs), Dense(units)])
    model.compile("adam", loss)
    return model


def two_inputs():
    set_random_seed(0)
    a, b = Input((2,), name="a"), Input((2,), name="b")
    model = Model([a, b], Dense(1)(Concatenate()([a, b])))
    model.compile("adam", "mse")
    return model


@pytest.fixture(scope="module")
def table():
    """x, class numbers, weights, marks."""
    random = np.random.default_rng(0)
    x = random.standard_normal((ROWS, 4)).astype(np.float32)
    return x, x[:, :3].argmax(1), random.random(ROWS), np.arange(ROWS) % 4 == 0


@pytest.fixture(scope="module")
def frame(spark, table):
    """The same with features in every form, in two partitions, in order."""
    from pyspark.ml.functions import array_to_vector
    from pyspark.sql import functions as F

    x, classes, weights, marks = table
    rows = [
        (row.tolist(), row.reshape(2, 2).tolist(), int(c), float(w), bool(m),
         np.eye(3)[c].tolist(), row.tobytes())
        for row, c, w, m in zip(x, classes, weights, marks, strict=True)
    ]  # fmt: skip
    schema = ("array array<float>, nested array<array<float>>, class int, weight double, "
              "mark boolean, hot array<double>, bytes binary")  # fmt: skip
    found = spark.createDataFrame(spark.sparkContext.parallelize(rows, 2), schema)
    numbers = [F.col("array")[n].alias(name) for n, name in enumerate("abcd")]
    vector = array_to_vector(F.col("array").cast("array<double>")).alias("vector")
    return found.select("*", vector, *numbers).persist()


def rdd(spark, table, weighted=False):
    x, classes, weights, _ = table
    y = np.eye(3, dtype=np.float32)[classes]
    rows = list(zip(x, y, weights, strict=True)) if weighted else list(zip(x, y, strict=True))
    return spark.sparkContext.parallelize(rows, 2)


def trained(rows, model=None, **arguments):
    model = model or network()
    spark_model = SparkModel(model, mode="synchronous", frequency="batch", num_workers=2, seed=3)
    history = spark_model.fit(rows, epochs=2, verbose=0, **arguments)
    return model.get_weights(), history.history


def same(left, right):
    for a, b in zip(left[0], right[0], strict=True):
        np.testing.assert_array_equal(a, b)
    assert left[1] == right[1]


@pytest.fixture(scope="module")
def by_rdd(spark, table):
    return trained(rdd(spark, table))


@pytest.mark.parametrize(
    ("features", "label"),
    [("vector", "class"), ("array", "hot"), (["a", "b", "c", "d"], "class")],
)
def test_a_fit_on_columns_is_that_on_an_rdd(frame, by_rdd, features, label):
    same(trained(frame, features_col=features, label_col=label), by_rdd)


def test_class_numbers_and_one_hot_labels_are_the_same_to_every_loss(frame, by_rdd):
    weights = [
        trained(frame, network("sparse_categorical_crossentropy"), features_col="vector",
                label_col=label)[0]
        for label in ("class", "hot")
    ]  # fmt: skip
    for one, hot, other in zip(*weights, by_rdd[0], strict=True):
        np.testing.assert_array_equal(one, hot)
        np.testing.assert_allclose(one, other, atol=1e-6)


def test_weights_are_those_of_rows_of_three(spark, frame, table):
    by_column = trained(frame, features_col="vector", label_col="class", weight_col="weight")
    same(by_column, trained(rdd(spark, table, weighted=True)))


def test_marked_rows_validate(frame, table):
    x, classes, _, marks = table
    model = network()
    arguments = {"features_col": "vector", "label_col": "class", "validation_split": 0.5}
    _, history = trained(frame, model, validation_indicator_col="mark", **arguments)
    loss = model.evaluate(x[marks], np.eye(3)[classes[marks]], verbose=0)
    assert history["val_loss"][-1] == pytest.approx(loss, abs=1e-6)


def test_a_model_without_input_shape_is_built_from_the_first_row(frame, table):
    model = Sequential([Flatten(), Dense(3)])
    model.compile("adam", "sparse_categorical_crossentropy")
    trained(frame, model, features_col="nested", label_col="class")
    assert model.input_shape == (None, 2, 2)


def test_evaluates_and_predicts(frame, table):
    x, classes, weights, _ = table
    model = network()
    spark_model = SparkModel(model)
    columns = {"features_col": "vector"}
    found = spark_model.evaluate(frame, label_col="class", weight_col="weight", **columns)
    wanted = model.evaluate(x, np.eye(3)[classes], sample_weight=weights, verbose=0)
    assert found == pytest.approx(wanted, abs=1e-6)
    np.testing.assert_allclose(spark_model.predict(frame, **columns), model.predict(x, verbose=0),
                               atol=1e-6)  # fmt: skip
    with pytest.raises(ValueError, match="ElephasTransformer"):
        spark_model.predict(frame, collect=False, **columns)
    with pytest.raises(ValueError, match="`y` and `sample_weight` go with arrays"):
        spark_model.evaluate(frame, classes)


@pytest.mark.parametrize(
    ("features", "label"),
    [(["ab", "cd"], "weight"), ({"b": "cd", "a": "ab"}, "weight")],
)
def test_several_inputs_take_a_column_each(frame, features, label):
    from pyspark.sql import functions as F

    both = frame.select(F.array("a", "b").alias("ab"), F.array("c", "d").alias("cd"), "weight")
    weights, _ = trained(both, two_inputs(), features_col=features, label_col=label)
    again, _ = trained(both, two_inputs(), features_col=["ab", "cd"], label_col=label)
    for a, b in zip(weights, again, strict=True):
        np.testing.assert_array_equal(a, b)


def test_several_outputs_take_a_label_each(frame):
    set_random_seed(0)
    inputs = Input((4,))
    first, second = Dense(3, name="kind")(inputs), Dense(1, name="size")(inputs)
    model = Model(inputs, [first, second])
    model.compile("adam", ["categorical_crossentropy", "mse"])
    _, history = trained(
        frame, model, features_col="vector", label_col={"size": "weight", "kind": "class"}
    )
    assert {"kind_loss", "size_loss"} <= history.keys()


def test_bytes_are_images(spark):
    random = np.random.default_rng(0)
    images = random.integers(0, 255, (20, 2, 3, 1), dtype=np.uint8)
    rows = [(image.tobytes(), float(n % 2)) for n, image in enumerate(images)]
    model = Sequential([Flatten(input_shape=(2, 3, 1)), Dense(1)])
    model.compile("sgd", "mse")
    found = SparkModel(model).predict(
        spark.createDataFrame(rows, "image binary, label double").coalesce(1), features_col="image"
    )
    np.testing.assert_allclose(found, model.predict(images, verbose=0), rtol=1e-5)


# What is refused before any job


def refused(frame, message, model=None, error=ValueError, **columns):
    columns = {"features_col": "vector", "label_col": "class", **columns}
    with pytest.raises(error, match=message):
        SparkModel(model or network()).fit(frame, verbose=0, **columns)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"features_col": "vectr"}, "no column 'vectr' .*Did you mean 'vector'.* It has: array,"),
        ({"label_col": "klass"}, "no column 'klass' .label_col.*Did you mean 'class'"),
        ({"weight_col": "none"}, "no column 'none' .weight_col."),
        ({"weight_col": "vector"}, "'vector' .weight_col. must be of numbers"),
        ({"validation_indicator_col": "hot"}, "'hot' .* must be of bools"),
        ({"handle_invalid": "drop"}, "must be 'error', 'skip' or 'keep'"),
        ({"features_col": ["a", "vector"]}, "'vector' is vector: .* VectorAssembler"),
        ({"features_col": []}, "`features_col` must name columns"),
        ({"features_col": None}, "`features_col` must name columns"),
    ],
)
def test_columns_that_do_not_fit_are_named(frame, columns, message):
    refused(frame, message, **columns)


def test_other_types_and_shapes_are_refused(spark, frame):
    strings = spark.createDataFrame([("x", 1.0)], "vector string, class double")
    refused(strings, "'vector' .* is string; .*StringIndexer")
    refused(frame, "gives 3 values a row, and the column 'weight' is one number",
            network("mse"), label_col="weight")  # fmt: skip
    refused(frame, "2 inputs .'a', 'b'.: `features_col` must name a column for each", two_inputs())
    refused(frame, "has .vector. of 4 numbers; the model takes 5", network(inputs=(5,)), DataError)


def test_rows_that_do_not_fit_name_the_partition(spark, frame):
    from pyspark.sql import functions as F

    with_null = frame.withColumn("vector", F.when(F.col("class") > 0, F.col("vector")))
    refused(with_null, r"Partition \d: of 120 rows some have null: \d+ in 'vector'.*'skip'",
            error=DataError)  # fmt: skip
    kept = with_null.where("class > 0")
    columns = {"features_col": "vector", "label_col": "class"}
    same(trained(with_null, handle_invalid="skip", **columns), trained(kept, **columns))
    refused(frame.withColumn("class", F.lit(3)), "class|0 to 2", error=DataError)
    refused(frame.limit(0), "no rows", error=DataError)
