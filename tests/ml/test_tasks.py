"""What an estimator is to learn; nothing here needs Spark to run."""

import pytest
from pyspark.ml.linalg import VectorUDT
from pyspark.sql.types import (
    ArrayType,
    BooleanType,
    DoubleType,
    FloatType,
    StringType,
    StructField,
    StructType,
)

from elephas_torch.keras import Model, Sequential, layers, losses
from elephas_torch.ml.tasks import Label, Task, task_of, task_of_outputs
from elephas_torch.utils.model_utils import ModelType

ONE, MANY = Label(single=True), Label(single=False)
LISTED = Label(single=False, listed=True)


def model_of(units, activation, loss, shape=(4,)):
    model = Sequential([layers.Input(shape), layers.Dense(units, activation=activation)])
    if loss is not None:
        model.compile("sgd", loss)
    return model


def own(y_true, y_pred):
    return (y_true - y_pred).abs().mean(-1)


@pytest.mark.parametrize(
    ("units", "activation", "loss", "label", "task"),
    [
        (3, "softmax", "categorical_crossentropy", ONE, Task("classification", 3)),
        (3, "softmax", "categorical_crossentropy", MANY, Task("classification", 3)),
        (3, "softmax", "sparse_categorical_crossentropy", ONE, Task("classification", 3)),
        (1, "sigmoid", "binary_crossentropy", ONE, Task("classification", 2)),
        (1, "tanh", "hinge", ONE, Task("classification", 2)),
        (3, "sigmoid", "binary_crossentropy", MANY, Task("multilabel", 3)),
        (3, "sigmoid", "binary_crossentropy", ONE, Task("classification", 3, one_hot=True)),
        (3, "softmax", "binary_crossentropy", MANY, Task("classification", 3)),
        (1, None, "mse", ONE, Task("regression")),
        (3, None, "mae", MANY, Task("regression")),
        (4, None, "mse", Label(single=False, is_feature=True), Task("array")),
        (3, "softmax", own, ONE, Task("classification", 3, one_hot=True)),
        (3, None, own, MANY, Task("regression")),
    ],
)
def test_the_loss_and_the_label_say_it(units, activation, loss, label, task):
    assert task_of(model_of(units, activation, loss), label) == task


def test_outputs_of_more_dimensions_are_arrays():
    model = model_of(3, "softmax", "categorical_crossentropy", (5, 4))
    assert task_of(model, MANY) == Task("array")


def test_categorical_labels_classify_with_any_loss():
    found = task_of(model_of(3, "softmax", "mse"), ONE, categorical=True)
    assert found == Task("classification", 3, one_hot=True)
    assert task_of(model_of(1, None, "mse"), ONE, categorical=True) == Task("regression")


def test_arrays_of_class_numbers_are_several_labels():
    model = model_of(3, "sigmoid", "binary_crossentropy")
    assert task_of(model, LISTED, categorical=True) == Task("multilabel", 3, one_hot=True)
    assert task_of(model, LISTED) == Task("multilabel", 3)
    assert task_of(model, MANY, categorical=True) == Task("classification", 3)
    assert task_of(model_of(3, "softmax", "mse"), LISTED, categorical=True).one_hot is False


def test_named_forms_want_a_loss_of_theirs():
    kind = ModelType.CLASSIFICATION
    with pytest.raises(
        ValueError, match=r"'mean_squared_error' measures numbers.*ElephasRegressor"
    ):
        task_of(model_of(3, None, "mse"), MANY, kind)
    with pytest.raises(ValueError, match=r"measures classes, not numbers: use ElephasClassifier"):
        task_of(model_of(3, None, "categorical_crossentropy"), MANY, ModelType.REGRESSION)
    assert task_of(model_of(3, None, "mse"), ONE, kind, categorical=True).classes == 3


def test_classes_must_fit_the_outputs():
    model = model_of(3, "softmax", losses.CategoricalCrossentropy())
    with pytest.raises(ValueError, match=r"tells 3 classes apart, and nbClasses is 10"):
        task_of(model, ONE, nb_classes=10)
    with pytest.raises(ValueError, match=r"has 4 classes \(a, b, c, d\), and the model tells 3"):
        task_of(model, Label(single=True, values=("a", "b", "c", "d")))
    with pytest.warns(UserWarning, match=r"has 2 classes \(a, b\).*some predictions have no name"):
        assert task_of(model, Label(single=True, values=("a", "b"))).classes == 3


def test_several_outputs_are_for_spark_model():
    start = layers.Input((4,))
    model = Model(start, [layers.Dense(1)(start), layers.Dense(2)(start)])
    model.compile("sgd", "mse")
    with pytest.raises(ValueError, match=r"has several outputs.*SparkModel"):
        task_of(model, ONE)


@pytest.mark.parametrize(
    ("units", "activation", "loss", "model_type", "task"),
    [
        (3, "softmax", None, None, Task("classification", 3)),
        (1, "sigmoid", None, None, Task("classification", 2)),
        (2, None, None, None, Task("regression")),
        (2, None, None, ModelType.CLASSIFICATION, Task("classification", 2)),
        (2, "sigmoid", None, ModelType.MULTILABEL, Task("multilabel", 2)),
        (2, None, "mse", None, Task("regression")),
        (2, "sigmoid", None, ModelType.REGRESSION, Task("regression")),
    ],
)
def test_a_model_alone_says_what_it_gives(units, activation, loss, model_type, task):
    assert task_of_outputs(model_of(units, activation, loss), model_type) == task


SCHEMA = StructType(
    [
        StructField("index", DoubleType(), metadata={"ml_attr": {"vals": ["a", "b"], "name": "i"}}),
        StructField("yes", BooleanType()),
        StructField("vector", VectorUDT()),
        StructField("array", ArrayType(FloatType())),
        StructField("text", StringType()),
    ]
)


def test_label_columns():
    found = Label.of(SCHEMA, "index", "vector")
    assert (found.single, found.values, found.is_feature) == (True, ("a", "b"), False)
    assert found.metadata == {"vals": ["a", "b"], "name": "i"}
    assert Label.of(SCHEMA, "yes", "vector").single
    assert Label.of(SCHEMA, "vector", ["vector"]).is_feature
    assert not Label.of(SCHEMA, "array", "vector").single


def test_label_columns_that_are_none():
    with pytest.raises(ValueError, match=r"'text' \(labelCol\) is of strings.*StringIndexer"):
        Label.of(SCHEMA, "text", "vector")
    with pytest.raises(ValueError, match=r"no column 'indx' .labelCol.* mean 'index'.*It has: ind"):
        Label.of(SCHEMA, "indx", "vector")
