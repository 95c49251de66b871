"""SparkModel's arguments: each bad one is refused before a Spark job starts."""

import numpy as np
import pytest
import torch

from elephas_torch.errors import DataError, ModelFileError
from elephas_torch.keras.layers import Dense
from elephas_torch.keras.models import Sequential
from elephas_torch.spark_model import SparkMLlibModel, SparkModel, load_spark_model
from elephas_torch.utils.rdd_utils import to_labeled_point, to_simple_rdd

pytestmark = pytest.mark.spark


def network(compiled=True):
    model = Sequential([Dense(3, activation="softmax", input_dim=5)])
    if compiled:
        model.compile(loss="categorical_crossentropy", optimizer="sgd")
    return model


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"mode": "async"}, ValueError, "Unknown mode: 'async'. Did you mean 'asynchronous'"),
        ({"mode": None}, ValueError, "Unknown mode: None"),
        ({"frequency": "epochs"}, ValueError, "Unknown frequency: 'epochs'. Did you mean 'epoch'"),
        ({"frequency": 0}, ValueError, "frequency=0"),
        ({"frequency": True}, ValueError, "Unknown frequency: True"),
        ({"frequency": 2.5}, ValueError, "Unknown frequency: 2.5"),
        ({"optimizer": "adagrat"}, ValueError, "Unknown optimizer: 'adagrat'. .*'adagrad'"),
        ({"optimizer": 3}, TypeError, "`optimizer` must be an optimizer"),
        ({"num_workers": 0}, ValueError, "num_workers=0"),
        ({"num_workers": "two"}, ValueError, "num_workers='two'"),
        ({"batch_size": 0}, ValueError, "batch_size=0"),
        ({"port": 70000}, ValueError, "port=70000"),
        ({"port": "4000"}, ValueError, "port='4000'"),
        ({"staleness": "none"}, ValueError, "staleness='none'"),
        ({"exchange": "all"}, ValueError, "exchange"),
        ({"lease": 0}, ValueError, "lease=0"),
        ({"compression": "int4"}, ValueError, "Unknown compression: 'int4'"),
        ({"compression": ("topk", 0.7)}, ValueError, "above 0 and below 0.5"),
        ({"seed": "x"}, ValueError, "seed='x'"),
        ({"custom_objects": ["Scale"]}, TypeError, "`custom_objects` must be a dict"),
        ({"num_worker": 2}, TypeError, "'num_worker'. Did you mean 'num_workers'"),
    ],
)
def test_constructor(arguments, error, message):
    with pytest.raises(error, match=message):
        SparkModel(network(), **arguments)


@pytest.mark.parametrize(
    ("model", "error", "message"),
    [
        (network(compiled=False), ValueError, "isn't compiled"),
        (None, TypeError, "`model` must be a model"),
        ("mlp", TypeError, "`model` must be a model"),
        (torch.nn.Linear(2, 2), TypeError, "from_torch"),
    ],
)
def test_models(model, error, message):
    with pytest.raises(error, match=message):
        SparkModel(model)


def test_too_many_or_doubled_arguments(spark_context):
    with pytest.raises(TypeError, match="at most 6"):
        SparkModel(spark_context, network(), None, "hogwild", "epoch", 2, 3)
    with pytest.raises(TypeError, match="twice"):
        SparkModel(network(), model=network())
    with pytest.raises(TypeError, match="`sc` must be a SparkContext"):
        SparkModel(sc=3, model=network())


def test_a_session_in_place_of_the_context(spark, spark_context):
    for given in (SparkModel(spark, network()), SparkModel(sc=spark, model=network())):
        assert given.sc is spark_context
    x = np.ones((3, 2))
    assert to_simple_rdd(spark, x, x[:, 0]).count() == 3
    assert to_labeled_point(spark, x, x[:, 0]).count() == 3
    with pytest.raises(TypeError, match=r"SparkContext or a SparkSession. Received: sc=None"):
        to_simple_rdd(None, x, x[:, 0])


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"epochs": 0}, ValueError, "epochs=0"),
        ({"epochs": 1.5}, ValueError, "epochs=1.5"),
        ({"nb_epoch": 0}, ValueError, "epochs=0"),
        ({"batch_size": 0}, ValueError, "batch_size=0"),
        ({"batch_size": -3}, ValueError, "batch_size=-3"),
        ({"validation_split": 1.0}, ValueError, "validation_split=1.0"),
        ({"initial_epoch": -1}, ValueError, "initial_epoch=-1"),
        ({"num_workers": 0}, ValueError, "num_workers=0"),
        ({"num_workers": 9}, ValueError, "9 were asked for, and the cluster has 4 slots"),
        ({"class_weight": [1, 2]}, ValueError, "`class_weight` must be a dict"),
        ({"callbacks": [print]}, TypeError, "`callbacks` takes"),
        ({"verbose": 3}, ValueError, "Unknown verbose: 3"),
        ({"epoch": 3}, TypeError, "'epoch'. Did you mean 'epochs'"),
        ({"steps_per_epoch": 3}, TypeError, "'steps_per_epoch'. Workers go through all rows"),
        ({"validation_data": ()}, TypeError, "'validation_data'. Give validation_split, "),
    ],
)
@pytest.mark.parametrize("method", ["fit", "train"])
def test_fit(spark_context, job_group, arguments, error, message, method):
    rdd = to_simple_rdd(spark_context, np.zeros((8, 5)), np.eye(3)[np.zeros(8, int)])
    spark_model = SparkModel(network(), mode="synchronous")
    tracker = spark_context.statusTracker()
    job_group("arguments", "no job may start")
    with pytest.raises(error, match=message):
        getattr(spark_model, method)(rdd, **arguments)
    assert list(tracker.getJobIdsForGroup("arguments")) == []
    assert not [g for g in [tracker.getActiveJobsIds()] if list(g)]


@pytest.mark.parametrize("rdd", [None, [1, 2], np.zeros((3, 5))])
@pytest.mark.parametrize("kind", [SparkModel, SparkMLlibModel])
def test_what_is_no_rdd(kind, rdd):
    with pytest.raises(TypeError, match="RDD"):
        kind(network()).fit(rdd)


def test_keras_own_call():
    x, y = np.zeros((4, 5)), np.zeros((4, 3))
    for call in (
        lambda fit: fit(x, y, epochs=1),
        lambda fit: fit(x, y, batch_size=2, epochs=1),
        lambda fit: fit(x=x, y=y),
    ):
        with pytest.raises(TypeError, match=r"which to_simple_rdd.*Received: ndarray"):
            call(SparkModel(network()).fit)


def test_files_that_are_none(spark_context, tmp_path):
    spark_model = SparkModel(network())
    path, plain, junk = tmp_path / "spark.keras", tmp_path / "plain.keras", tmp_path / "junk"
    spark_model.save(path)
    network().save(plain)
    junk.write_bytes(b"not a model")
    whole = path.read_bytes()
    for cut in (0, 10, len(whole) // 2, len(whole) - 1):
        (tmp_path / "cut").write_bytes(whole[:cut])
        with pytest.raises(ModelFileError, match="cut"):
            load_spark_model(tmp_path / "cut")
    with pytest.raises(ModelFileError, match="no SparkModel"):
        load_spark_model(plain)
    with pytest.raises(ModelFileError, match="isn't a saved model"):
        load_spark_model(junk)
    with pytest.raises(FileNotFoundError):
        load_spark_model(tmp_path / "nothing")


def test_train_names_its_own_arguments(spark_context):
    rdd = to_simple_rdd(spark_context, np.zeros((8, 5)), np.eye(3)[np.zeros(8, int)])
    with pytest.raises(TypeError, match=r"train got .*'nb_epoc'\. Did you mean 'nb_epoch'"):
        SparkModel(network()).train(rdd, nb_epoc=2)


def test_it_says_what_it_is():
    text = repr(SparkModel(network(), mode="hogwild", frequency=8, num_workers=3))
    assert "mode='hogwild', frequency=8, num_workers=3" in text


def test_a_spark_model_in_a_spark_function_says_so(spark_context):
    spark_model = SparkModel(network())
    with pytest.raises(Exception, match="can't be used inside a Spark function"):
        spark_context.parallelize([1]).map(lambda x: spark_model.mode).collect()


def test_predict_and_evaluate(spark_context):
    spark_model = SparkModel(network())
    with pytest.raises(DataError, match=r"shape \(5,\)"):
        spark_model.predict(np.zeros((2, 4)))
    with pytest.raises(DataError, match=r"Partition 0.*shape \(5,\)"):
        spark_model.predict(spark_context.parallelize([np.zeros(4)], 1))
    with pytest.raises(DataError, match="no rows"):
        spark_model.evaluate(spark_context.parallelize([], 1))
    with pytest.raises(TypeError, match=r"'batchsize'\. Did you mean 'batch_size'"):
        spark_model.predict(np.zeros((2, 5)), batchsize=3)
    with pytest.raises(TypeError, match=r"'steps'\. Workers go through all rows"):
        spark_model.evaluate(np.zeros((2, 5)), np.eye(3)[[0, 1]], steps=3)
    with pytest.raises(DataError, match="3 rows"):
        spark_model.evaluate(np.zeros((3, 5)), np.eye(3)[[0, 1]])
    assert spark_model.predict(spark_context.parallelize([], 2)).shape == (0, 3)
