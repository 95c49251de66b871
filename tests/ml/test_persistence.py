"""Stages to folders and back, on a real local Spark; loaded in a fresh process too."""

import json
import os
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from pyspark.ml import Pipeline, PipelineModel
from pyspark.ml.evaluation import MulticlassClassificationEvaluator
from pyspark.ml.feature import Binarizer
from pyspark.ml.tuning import CrossValidatorModel, ParamGridBuilder, TrainValidationSplit

from elephas_torch import files
from elephas_torch.errors import ModelFileError
from elephas_torch.keras import losses, optimizers
from elephas_torch.keras.callbacks import Callback
from elephas_torch.keras.layers import BatchNormalization, Dense, Input, Lambda, Layer
from elephas_torch.keras.models import Sequential, load_model
from elephas_torch.keras.saving import custom_object_scope, register_keras_serializable
from elephas_torch.ml import (
    ElephasClassificationModel,
    ElephasEstimator,
    ElephasRegressor,
    ElephasTransformer,
)
from elephas_torch.ml_model import load_ml_estimator, load_ml_transformer

pytestmark = pytest.mark.spark

#: What a program that loads has to have, too.
SCALE = """
from elephas_torch.keras.layers import Layer
from elephas_torch.keras.saving import register_keras_serializable

@register_keras_serializable(package="tests")
class Stretch(Layer):
    def __init__(self, by=2.0, **kwargs):
        super().__init__(**kwargs)
        self.by = by
    def call(self, x):
        return x * self.by
    def get_config(self):
        return {**super().get_config(), "by": self.by}
"""
exec(SCALE)
X = np.random.default_rng(0).normal(size=(5, 4)).astype(np.float32)


@register_keras_serializable(package="tests")
def small_model(epochs=1):
    return network()


def network(*more):
    model = Sequential(
        [Input((4,)), Dense(3, activation="relu"), BatchNormalization(), *more, Dense(2, "softmax")]
    )
    model.compile("adam", "categorical_crossentropy", metrics=["accuracy"])
    model.layers[1].moving_mean.copy_(torch.tensor([1.0, 2.0, 3.0]))
    return model


def fitted(model=None, **params):
    return ElephasClassificationModel(
        model=model or network(),
        history={"loss": [1.0, float("nan")]},
        label_metadata={"vals": ["a", "b"], "type": "nominal"},
        **params,
    )


@pytest.fixture
def path(tmp_path):
    """A path with what paths may have, which isn't there yet."""
    return str(tmp_path / "my models" / "a[1]")


@pytest.fixture
def saved(spark, path):
    """The folder of a fitted stage."""
    fitted().save(path)
    return path


def changed(path, **own):
    """Changes what metadata says."""
    place = Path(path, "metadata", "part-00000")
    metadata = json.loads(place.read_text())
    for key, value in own.items():
        target = metadata["elephasTorch"] if key in metadata["elephasTorch"] else metadata
        target[key] = value
    place.write_text(json.dumps(metadata))


def overwritten(path, name, content):
    """Puts other bytes of the size that metadata knows into a file."""
    place = Path(path, name)
    place.write_bytes(content)
    sizes = json.loads(Path(path, "metadata", "part-00000").read_text())["elephasTorch"]["files"]
    changed(path, files={**sizes, name: len(content)})


def beside(path):
    """What lies where the folder lies."""
    return sorted(one.name for one in Path(path).parent.iterdir())


def test_fitted_stage(spark, path):
    stage = fitted(predictionCol="p", featuresCols=["a", "b"], inferenceBatchSize=7)
    stage.save(path)
    assert beside(path) == ["a[1]"]
    for found in (ElephasClassificationModel.load(path), ElephasTransformer.load(path)):
        assert type(found) is ElephasClassificationModel
        assert (found.uid, found.task, found.labels) == (stage.uid, stage.task, ["a", "b"])
        assert found.getPredictionCol() == "p"
        assert found.features() == ["a", "b"]
        assert found.getInferenceBatchSize() == 7
        assert found.history["loss"][0] == 1.0
        assert found.model.optimizer.name == "adam"
        np.testing.assert_array_equal(found.model.predict(X), stage.model.predict(X))
        assert found.explainParams() == stage.explainParams()


def test_estimator(spark, path):
    weights = {0: 1.0, 1: 2.0}
    stage = ElephasEstimator(
        model=network(),
        epochs=3,
        frequency=5,
        classWeight=weights,
        loss=losses.CategoricalCrossentropy(label_smoothing=0.1),
        metrics=["accuracy"],
        optimizerConfig=optimizers.SGD(0.3, momentum=0.5),
        initialModel=fitted(),
        callbacks=[Callback()],
        customObjects={"tests>Stretch": Stretch},  # noqa: F821
        seed=4,
    )
    with pytest.warns(UserWarning, match="saved without callbacks"):
        stage.save(path)
    found = load_ml_estimator(path)
    assert type(found) is ElephasEstimator
    assert (found.uid, found.getEpochs(), found.getFrequency()) == (stage.uid, 3, 5)
    assert (found.getClassWeight(), found.getSeed(), found.getCallbacks()) == (weights, 4, None)
    assert found.getLoss().label_smoothing == 0.1
    assert (found.getOptimizerConfig().momentum, found.getMetrics()) == (0.5, ["accuracy"])
    for name in ("model", "initialModel"):
        one, other = found.getOrDefault(name), stage.getOrDefault(name)
        other = getattr(other, "model", other)
        np.testing.assert_array_equal(one.predict(X), other.predict(X))


def test_estimators_of_builders_and_configs(spark, path):
    ElephasEstimator(modelBuilder=small_model, modelParams={"a": 1}).save(path)
    found = ElephasEstimator.load(path)
    assert found.getModelBuilder() is small_model
    assert found.getModelParams() == {"a": 1}
    stage = ElephasRegressor(kerasModelConfig=network().to_json(), loss="mse")
    stage.write().overwrite().save(path)
    assert load_ml_estimator(path).getKerasModelConfig() == stage.getKerasModelConfig()
    assert load_ml_estimator(path).getLoss() == "mse"
    nobody_knows = ElephasEstimator(modelBuilder=lambda: network())
    with pytest.raises(ValueError, match=r"modelBuilder isn't known by a name.*Decorate"):
        nobody_knows.write().overwrite().save(path)
    assert type(ElephasEstimator.load(path).getOrDefault("loss")) is str


def test_a_grid_over_names_of_builders_is_saved(spark, tmp_path):
    by_name = ElephasEstimator(modelBuilder="tests>small_model", loss="mse")
    assert by_name.get_model().layers[0].units == 3
    with pytest.raises(ValueError, match=r"register_keras_serializable.*modelBuilder='nobody'"):
        by_name.copy({by_name.modelBuilder: "nobody"}).get_model()
    grid = ParamGridBuilder().addGrid(by_name.modelBuilder, ["tests>small_model"]).build()
    TrainValidationSplit(
        estimator=by_name, estimatorParamMaps=grid, evaluator=MulticlassClassificationEvaluator()
    ).save(str(tmp_path / "search"))
    found = TrainValidationSplit.load(str(tmp_path / "search"))
    (one,) = found.getEstimatorParamMaps()
    assert found.getEstimator().copy(one).get_model().layers[0].units == 3


@pytest.mark.parametrize(
    ("below", "message"),
    [
        ("file/stage", "ParentNotDirectory|not a directory"),
        ("/proc/none/stage", "Mkdirs failed"),
        ("nowhere://bucket/stage", "No FileSystem for scheme"),
    ],
)
def test_places_that_cannot_be_written(spark, tmp_path, below, message):
    (tmp_path / "file").write_text("no folder")
    where = below if below.startswith(("/", "nowhere")) else str(tmp_path / below)
    with pytest.raises(OSError, match=message) as caught:
        fitted().save(where)
    assert where in str(caught.value) and "\n" not in str(caught.value)
    if below.startswith("nowhere"):
        with pytest.raises(OSError, match=message):
            load_ml_transformer(where)


def test_files_are_spark_s_keras_s_and_safetensors(spark, saved):
    # Spark takes its own paths for patterns.
    pattern = saved.replace("[", "?").replace("]", "?")
    metadata = json.loads(spark.read.text(f"{pattern}/metadata").first()[0])
    assert metadata["class"] == "elephas_torch.ml.ElephasClassificationModel"
    assert metadata["sparkVersion"] == spark.version
    assert {"timestamp", "uid", "paramMap", "defaultParamMap"} <= set(metadata)
    config = json.loads(Path(saved, "model.json").read_text())
    assert config["module"] == "keras"
    assert config["compile_config"]["loss"] == "categorical_crossentropy"
    model = network()
    model.load_weights(Path(saved, "weights.safetensors"))
    found = ElephasTransformer.load(saved)
    np.testing.assert_array_equal(model.predict(X), found.model.predict(X))


def test_saving_over_what_is_there(spark, saved):
    before = Path(saved, "weights.safetensors").read_bytes()
    with pytest.raises(FileExistsError, match=r"there already.*write\(\)\.overwrite\(\)\.save"):
        fitted().save(saved)
    assert Path(saved, "weights.safetensors").read_bytes() == before
    Path(saved, "data").mkdir()
    other = fitted()
    other.write().session(spark).option("a", 1).overwrite().save(saved)
    assert not Path(saved, "data").exists()
    assert ElephasTransformer.read().session(spark).load(saved).uid == other.uid
    assert beside(saved) == ["a[1]"]


class Undescribed(Layer):
    """A layer whose config can't be written."""

    def call(self, x):
        return x

    def get_config(self):
        return {"value": object()}


@pytest.mark.parametrize("failing", [False, True])
def test_nothing_is_half_written(spark, saved, monkeypatch, failing):
    before = ElephasTransformer.load(saved).uid
    if failing:
        monkeypatch.setattr(files.HadoopFolder, "_move", moves_but_once())
    with pytest.raises((TypeError, OSError), match=r"be described|JSON|Can't move"):
        fitted(None if failing else network(Undescribed())).write().overwrite().save(saved)
    assert ElephasTransformer.load(saved).uid == before
    assert beside(saved) == ["a[1]"]


def moves_but_once():
    """A move that fails the second time, as when a disk fills up."""
    count, move = [0], files.HadoopFolder._move

    def moving(self, source, target):
        count[0] += 1
        if count[0] == 2:
            raise OSError("Can't move")
        move(self, source, target)

    return moving


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda path: changed(path, format=2), "format 2, and this version.*update elephas_torch"),
        (lambda path: changed(path, format="1"), "no format number"),
        (lambda path: changed(path, uid=None), "must have 'uid'"),
        (lambda path: changed(path, models=["../x"]), "models that no stage has"),
        (lambda path: changed(path, files={"../x": 3}), "a file that can't be"),
        (lambda path: changed(path, files={"/etc/passwd": 3}), "a file that can't be"),
        (lambda path: changed(path, files={"other": 3}), "isn't whole: there is no other"),
        (lambda path: changed(path, paramMap={"nobody": 3}), "doesn't know: 'nobody'"),
        (lambda path: changed(path, paramMap={"inferenceBatchSize": -1}), "can't be loaded"),
        (lambda path: changed(path, state={"nothing": 1}), "can't be loaded"),
        (lambda path: changed(path, state={"task": {"kind": "a", "b": 1}}), "can't be loaded"),
        (lambda path: changed(path, **{"class": "os.system"}), "holds a system, and no Elephas"),
        (lambda path: overwritten(path, "model.json", b"{"), "model.json is no JSON"),
        (lambda path: overwritten(path, "model.json", b"[]"), "describes no model"),
        (lambda path: overwritten(path, "model.json", b'{"class_name": 3}'), "can't be loaded"),
        (lambda path: overwritten(path, "weights.safetensors", b"123"), "no weights in safetens"),
        (
            lambda path: overwritten(path, "weights.safetensors", struct.pack("<Q", 2**60)),
            "no weights in safetensors",
        ),
        (
            lambda path: overwritten(path, "weights.safetensors", struct.pack("<Q", 2) + b"{}"),
            "doesn't fit the model",
        ),
    ],
)
def test_what_is_no_whole_stage(spark, saved, change, message):
    change(saved)
    with pytest.raises(ModelFileError, match=message):
        ElephasTransformer.load(saved)


def test_what_is_cut_off_or_not_ours(spark, saved, tmp_path):
    place = Path(saved, "weights.safetensors")
    place.write_bytes(place.read_bytes()[:-5])
    with pytest.raises(ModelFileError, match=r"isn't whole: weights.safetensors has"):
        ElephasTransformer.load(saved)
    place = Path(saved, "metadata", "part-00000")
    place.write_bytes(place.read_bytes()[:50])
    with pytest.raises(ModelFileError, match="no JSON, or is cut off"):
        ElephasTransformer.load(saved)
    with pytest.raises(FileNotFoundError, match="There is no folder"):
        load_ml_transformer(str(tmp_path / "nowhere"))
    with pytest.raises(ModelFileError, match="no saved stage"):
        load_ml_transformer(str(tmp_path))
    with pytest.raises(TypeError, match=r"`path` must be a string. Received: path=3"):
        ElephasTransformer.load(3)
    other = str(tmp_path / "binarizer")
    Binarizer(threshold=1.0).save(other)
    with pytest.raises(ModelFileError, match=r"holds a org.apache.spark.ml.feature.Binarizer"):
        ElephasTransformer.load(other)
    estimator = str(tmp_path / "estimator")
    ElephasEstimator(model=network()).save(estimator)
    with pytest.raises(ModelFileError, match="holds a ElephasEstimator, and no ElephasTransf"):
        load_ml_transformer(estimator)


class Twice(Layer):
    """A layer that isn't registered."""

    def call(self, x):
        return 2 * x


def test_layers_of_one_s_own(spark, path):
    stage = fitted(network(Twice()))
    stage.save(path)
    with pytest.raises(ModelFileError, match=r"Twice.*custom_object_scope"):
        ElephasTransformer.load(path)
    with custom_object_scope({"Twice": Twice}):
        found = ElephasTransformer.load(path)
    np.testing.assert_array_equal(found.model.predict(X), stage.model.predict(X))
    found = ElephasTransformer.read().customObjects({"Twice": Twice}).load(path)
    assert found.getCustomObjects() == {"Twice": Twice}
    with pytest.raises(TypeError, match="`custom_objects` must be a dict"):
        ElephasTransformer.read().customObjects(["Twice"])


def test_code_is_refused(spark, path, tmp_path):
    stage = fitted(network(Lambda(lambda x: x)))
    stage.save(path)
    stage.model.save(tmp_path / "model.keras")
    with pytest.raises(ValueError) as theirs:
        load_model(tmp_path / "model.keras")
    with pytest.raises(ModelFileError) as ours:
        ElephasTransformer.load(path)
    assert str(theirs.value) in str(ours.value)


def test_pipelines_in_a_fresh_process(spark, tmp_path):
    stage, first = fitted(network(Stretch(3.0))), Binarizer(inputCol="a", outputCol="b")  # noqa: F821
    PipelineModel(stages=[first, stage]).save(str(tmp_path / "fitted"))
    best = CrossValidatorModel(PipelineModel(stages=[stage]), [0.5, 0.75], stdMetrics=[0.1, 0.1])
    estimator = ElephasEstimator(model=network(), epochs=4)
    grid = ParamGridBuilder().addGrid(estimator.epochs, [1, 2]).build()
    best._set(estimator=estimator, estimatorParamMaps=grid)
    best._set(evaluator=MulticlassClassificationEvaluator())
    best.save(str(tmp_path / "best"))
    Pipeline(stages=[first, estimator]).save(str(tmp_path / "unfitted"))
    np.save(tmp_path / "x.npy", X)
    program = SCALE + FRESH.replace("FOLDER", str(tmp_path))
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, env={**os.environ}
    )
    assert done.returncode == 0, done.stderr
    np.testing.assert_allclose(
        np.load(tmp_path / "out.npy"), stage.model.predict(X), rtol=1e-6, atol=1e-7
    )


FRESH = """
import numpy as np
from pyspark import SparkConf, SparkContext
from pyspark.ml import Pipeline, PipelineModel
from pyspark.ml.tuning import CrossValidatorModel
from pyspark.sql import SparkSession

conf = SparkConf().setMaster("local[1]").set("spark.ui.enabled", "false")
conf.set("spark.driver.host", "127.0.0.1").set("spark.driver.bindAddress", "127.0.0.1")
conf.set("spark.driver.extraJavaOptions", "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC")
spark = SparkSession(SparkContext(conf=conf))
stage = PipelineModel.load("FOLDER/fitted").stages[1]
np.save("FOLDER/out.npy", stage.model.predict(np.load("FOLDER/x.npy")))
best = CrossValidatorModel.load("FOLDER/best")
assert best.bestModel.stages[0].uid == stage.uid
assert [list(one.values()) for one in best.getEstimatorParamMaps()] == [[1], [2]]
assert best.getEstimator().getEpochs() == 4
unfitted = Pipeline.load("FOLDER/unfitted").getStages()
assert [type(one).__name__ for one in unfitted] == ["Binarizer", "ElephasEstimator"]
assert unfitted[1].uid == best.getEstimator().uid
spark.stop()
"""


def test_on_another_file_system_of_hadoop_s(spark, tmp_path):
    """Hadoop's view of mounted file systems: like hdfs and s3a it isn't the local one."""
    conf = spark.sparkContext._jsc.hadoopConfiguration()
    conf.set("fs.viewfs.mounttable.tests.link./models", f"file://{tmp_path}")
    stage, path = fitted(), "viewfs://tests/models/a"
    stage.save(path)
    with pytest.raises(FileExistsError, match="overwrite"):
        stage.save(path)
    stage.write().overwrite().save(path)
    assert os.listdir(tmp_path) == ["a"]
    found = ElephasClassificationModel.load(path)
    assert found.uid == stage.uid
    assert all(np.array_equal(a, b) for a, b in zip(found.weights, stage.weights, strict=True))
    PipelineModel(stages=[stage]).save("viewfs://tests/models/pipeline")
    assert PipelineModel.load("viewfs://tests/models/pipeline").stages[0].uid == stage.uid
    with pytest.raises(FileNotFoundError, match="viewfs://tests/models/none"):
        ElephasClassificationModel.load("viewfs://tests/models/none")
