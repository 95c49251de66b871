"""What params take and refuse; nothing here needs Spark to run."""

import pickle

import pytest

from elephas_torch.keras import Sequential, callbacks, layers
from elephas_torch.ml import ElephasClassifier, ElephasEstimator, ElephasRegressor
from elephas_torch.ml.params import CODE
from elephas_torch.optimizers import SGD


def small():
    model = Sequential([layers.Input((4,)), layers.Dense(3, activation="softmax")])
    model.compile("sgd", "categorical_crossentropy")
    return model


def test_the_seeds_form():
    model = small()
    estimator = ElephasEstimator(
        None, model, nb_epoch=3, batch_size=8, optimizer=SGD(0.5), frequency="batch",
        mode="asynchronous", num_workers=2, verbose=0, validation_split=0.1, categorical=True,
        nb_classes=3,
    )  # fmt: skip
    assert estimator.getModel() is model
    assert estimator.getOptimizer().learning_rate == 0.5
    assert estimator.getValidationSplit() == 0.1
    assert estimator.getNbClasses() == 3
    assert estimator.getCategoricalLabels() is True


def test_the_model_alone_and_what_is_no_context():
    model = small()
    assert ElephasEstimator(model).getModel() is model
    with pytest.raises(TypeError, match=r"`sc` must be a SparkContext"):
        ElephasEstimator("local[2]", model)


def test_defaults_are_sparks_and_none_is_not_given():
    estimator = ElephasClassifier(optimizer=None, seed=None)
    assert not estimator.isSet("optimizer")
    known = {
        "featuresCol": "features", "labelCol": "label", "predictionCol": "prediction",
        "probabilityCol": "probability", "rawPredictionCol": "rawPrediction",
        "handleInvalid": "error", "weightCol": None, "seed": None, "epochs": 10, "batchSize": 32,
        "validationSplit": 0.0,
    }  # fmt: skip
    assert {name: estimator.getOrDefault(name) for name in known} == known


def test_staleness_none_is_a_value():
    assert ElephasEstimator().getStaleness() == "scale"
    assert ElephasEstimator(staleness=None).getStaleness() is None


def test_each_param_has_a_text_and_explains_itself():
    estimator = ElephasEstimator(epochs=3)
    text = estimator.explainParams()
    for param in estimator.params:
        assert len(param.doc) > 10
        assert f"{param.name}: " in text
    assert "(default: 10, current: 3)" in estimator.explainParam("nb_epoch")


@pytest.mark.parametrize(
    ("name", "value", "error", "message"),
    [
        ("epochs", 0, ValueError, "`epochs` must be a whole number, 1 or more"),
        ("batchSize", 1.5, ValueError, "`batchSize` must be a whole number"),
        ("validationSplit", 1.0, ValueError, "from 0 to below 1"),
        ("mode", "asynchron", ValueError, "Did you mean 'asynchronous'"),
        ("frequency", "batches", ValueError, "Did you mean 'batch'"),
        ("numWorkers", 0, ValueError, "1 or more"),
        ("handleInvalid", "skipp", ValueError, "Did you mean 'skip'"),
        ("seed", 1.5, TypeError, "seed"),
        ("verbose", 3, ValueError, "`verbose` must be"),
        ("learningRate", -1.0, ValueError, "learningRate"),
        ("optimizer", "sdg", ValueError, "Did you mean 'sgd'"),
        ("optimizerConfig", "adm", ValueError, "Did you mean"),
        ("classWeight", {0: -1.0}, ValueError, "0 or more"),
        ("callbacks", ["EarlyStopping"], TypeError, "`callbacks` must be callbacks"),
        ("model", "model.keras", TypeError, "`model` must be a model"),
        ("modelBuilder", 3, TypeError, "`modelBuilder` must be a function"),
        ("kerasModelConfig", "backend: tensorflow", ValueError, "model.to_json"),
        ("initialModel", 3, TypeError, "a fitted model"),
        ("featuresCols", [1], TypeError, "a list of columns' names"),
        ("staleness", "some", ValueError, "'scale'"),
        ("modelParams", [3], TypeError, "a dict by names"),
        ("nbClasses", 0, ValueError, "1 or more"),
        ("memory", "lots", ValueError, "as '512m' or '2g'"),
        ("joinTimeout", 0, ValueError, "joinTimeout"),
        ("sharedMemory", "no", ValueError, "`sharedMemory` must be True or False"),
        ("overlap", 2, ValueError, "`overlap` must be True or False"),
        ("numShards", 0, ValueError, "`numShards` must be a whole number, 1 or more"),
        ("serverRestarts", -1, ValueError, "`serverRestarts` must be a whole number, 0 or more"),
        ("checkpointEvery", "often", ValueError, "`checkpoint_every` must be a number of epochs"),
        ("checkpointDir", 3, TypeError, "`checkpointDir` must be a string"),
        ("customObjects", ["x"], TypeError, "custom_objects"),
    ],
)
def test_bad_values_are_told_at_once(name, value, error, message):
    with pytest.raises(error, match=message):
        ElephasEstimator(**{name: value})


def test_several_features_columns():
    estimator = ElephasEstimator(featuresCol=["a", "b"])
    assert estimator.features() == ["a", "b"] == estimator.getFeaturesCols()
    assert estimator.setFeaturesCol("c").features() == "c"
    estimator.setFeaturesCols(["a", "b"])
    assert estimator.copy().features() == ["a", "b"]
    assert estimator.copy({estimator.featuresCol: "c"}).features() == "c"


def test_a_copy_has_its_own_values_and_the_same_uid():
    estimator = ElephasEstimator(small(), epochs=2)
    other = estimator.copy({estimator.nb_epoch: 5})
    assert (estimator.getEpochs(), other.getEpochs()) == (2, 5)
    assert other.uid == estimator.uid
    assert other.getModel() is estimator.getModel()


def test_class_weights_of_json_have_numbers_again():
    assert ElephasEstimator(class_weight={"0": 1, "1": 2.0}).getClassWeight() == {0: 1.0, 1: 2.0}


def test_one_callback_is_a_list():
    one = callbacks.EarlyStopping()
    assert ElephasEstimator(callbacks=one).getCallbacks() == [one]


def test_what_no_file_can_keep_is_named():
    names = {param.name for param in ElephasEstimator().params}
    assert {*CODE} <= names


def test_named_forms_are_what_spark_looks_for():
    from pyspark.ml.classification import Classifier, ProbabilisticClassifier
    from pyspark.ml.param.shared import HasSeed, HasWeightCol
    from pyspark.ml.regression import Regressor

    assert isinstance(ElephasClassifier(), Classifier | ProbabilisticClassifier)
    assert isinstance(ElephasRegressor(), Regressor)
    assert isinstance(ElephasRegressor(), ElephasEstimator)
    assert not isinstance(ElephasEstimator(), Classifier | Regressor)
    assert isinstance(ElephasClassifier(), HasWeightCol)
    assert isinstance(ElephasRegressor(), HasSeed)


def test_estimators_can_be_pickled():
    estimator = pickle.loads(pickle.dumps(ElephasEstimator(small(), epochs=4, seed=-3)))
    assert (estimator.getEpochs(), estimator.getSeed()) == (4, -3)
    with pytest.raises(ValueError, match=r"`epochs`"):
        estimator.setEpochs(0)


def test_optimizers_may_be_given_as_their_old_configs():
    estimator = ElephasEstimator()
    config = estimator.set_optimizer_config({"name": "sgd", "learning_rate": 0.5})
    assert config.get_optimizer_config() == {
        "class_name": "sgd", "config": {"learning_rate": 0.5}
    }  # fmt: skip
    estimator.set_elephas_optimizer_config(SGD(0.5).get_config())
    assert estimator.getOptimizer().learning_rate == 0.5
