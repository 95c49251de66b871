"""Params under all their names; nothing here needs Spark to run."""

import inspect

import pytest
from pyspark.ml.param import Param

from elephas_torch.ml import (
    ElephasClassifier,
    ElephasEstimator,
    ElephasRegressor,
    ElephasTransformer,
)
from elephas_torch.ml.naming import OTHER_NAMES, snake


def elephas_setters():
    """As elephas's estimator has them, with a value for each."""
    return {
        "set_batch_size": 7,
        "set_categorical_labels": False,
        "set_custom_objects": {"Mine": dict},
        "set_epochs": 4,
        "set_frequency": "batch",
        "set_inference_batch_size": 12,
        "set_keras_model_config": '{"class_name": "Sequential", "config": {}}',
        "set_loss": "mse",
        "set_metrics": ["mae"],
        "set_mode": "hogwild",
        "set_nb_classes": 3,
        "set_num_workers": 2,
        "set_optimizer_config": {"class_name": "SGD", "config": {"learning_rate": 0.5}},
        "set_predict_classes": False,
        "set_validation_split": 0.2,
        "set_verbosity": 2,
        "setFeaturesCol": "x",
        "setLabelCol": "y",
        "setOutputCol": "z",
    }


@pytest.mark.parametrize("setter", elephas_setters())
def test_elephas_setters_set_and_their_getters_give(setter):
    estimator, value = ElephasEstimator(), elephas_setters()[setter]
    assert getattr(estimator, setter)(value) is estimator
    assert getattr(estimator, setter.replace("set", "get", 1))() == value


@pytest.mark.parametrize("cls", [ElephasEstimator, ElephasClassifier, ElephasRegressor])
def test_each_param_has_setters_and_getters_in_both_spellings(cls):
    names = {param.name for param in cls().params}
    assert {"featuresCol", "epochs", "weightCol", "validationIndicatorCol", "seed"} <= names
    for name in names:
        for camel in (f"set{name[0].upper()}{name[1:]}", f"get{name[0].upper()}{name[1:]}"):
            method = getattr(cls, camel)
            assert camel in dir(cls)
            assert method.__doc__
        assert callable(getattr(cls, f"set_{snake(name)}"))
        assert callable(getattr(cls, f"get_{snake(name)}"))


@pytest.mark.parametrize(("other", "name"), OTHER_NAMES.items())
def test_other_names_are_the_same_param(other, name):
    estimator = ElephasEstimator()
    assert getattr(estimator, other) is getattr(estimator, name)
    assert isinstance(getattr(estimator, other), Param)
    assert estimator.getParam(other) is estimator.getParam(name)


def test_several_names_one_value():
    estimator = ElephasEstimator(nb_epoch=3)
    assert (
        [estimator.getEpochs(), estimator.getMaxIter(), estimator.get_nb_epoch()]
        == [estimator.getOrDefault("maxIter"), estimator.getOrDefault(estimator.nb_epoch), 3]
        == [3] * 3
    )
    estimator.setMaxIter(5)
    assert estimator.get_epochs() == 5
    assert len([param for param in estimator.params if param.name == "epochs"]) == 1


def test_a_name_under_no_form_is_a_type_error_with_the_nearest():
    with pytest.raises(TypeError, match=r"ElephasEstimator got .* 'epoch'. Did you mean 'epochs'"):
        ElephasEstimator(epoch=3)
    with pytest.raises(TypeError, match=r"'probabilityCols'. Did you mean 'probabilityCol'"):
        ElephasClassifier().setParams(probabilityCols="p")
    with pytest.raises(TypeError, match=r"'sample_weight'\. .* of a DataFrame give weight_col\."):
        ElephasClassifier(sample_weight=[1.0])
    ElephasClassifier(weight_col="w", validation_indicator_col="v")  # as such messages have it


def test_a_regressor_knows_nothing_of_probabilities():
    assert not hasattr(ElephasRegressor(), "probabilityCol")
    with pytest.raises(TypeError, match=r"'probabilityCol'"):
        ElephasRegressor(probabilityCol="p")


def test_one_param_under_two_names_is_a_type_error():
    with pytest.raises(TypeError, match=r"got `epochs` twice, also as `maxIter`"):
        ElephasEstimator(nb_epoch=1, maxIter=2)


def test_help_shows_params():
    parameters = inspect.signature(ElephasClassifier).parameters
    assert list(parameters)[:2] == ["sc", "model"]
    assert parameters["batchSize"].kind is inspect.Parameter.KEYWORD_ONLY
    assert "a step and worker" in ElephasClassifier.setBatchSize.__doc__
    assert ElephasClassifier.setBatchSize.__qualname__ == "Training.setBatchSize"


def test_transformers_have_elephas_setters_too():
    for name in ("set_inference_batch_size", "setOutputCol", "set_custom_objects", "setLabelCol"):
        assert callable(getattr(ElephasTransformer, name))


def test_setters_take_names_and_none():
    estimator = ElephasEstimator()
    assert estimator.set_epochs(epochs=3).getEpochs() == 3
    assert estimator.setEpochs(None).getEpochs() == 10
    assert estimator.set_staleness(None).get_staleness() is None
    with pytest.raises(TypeError, match="'epochs' takes one value"):
        estimator.set_epochs(epoch=3)
    assert estimator.get_config()["batch_size"] == 32
