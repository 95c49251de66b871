"""The names that Keras 1, 2 and 3 have under keras.utils."""

import importlib

import numpy as np
import pytest
import torch

from elephas_torch.keras import layers, models, utils
from elephas_torch.keras.utils import layer_utils, numerical


@pytest.mark.parametrize("name", utils.__all__)
def test_every_name_is_there(name):
    assert getattr(utils, name) is not None
    assert name in dir(utils)


@pytest.mark.parametrize("module", ["data_utils", "generic_utils", "layer_utils", "np_utils"])
def test_old_homes_have_what_they_list(module):
    old = importlib.import_module(f"elephas_torch.keras.utils.{module}")
    assert getattr(utils, module) is old
    for name in old.__all__ if hasattr(old, "__all__") else ():
        with pytest.warns(DeprecationWarning, match=f"{module}.{name} is keras"):
            found = getattr(old, name)
        assert found is getattr(utils, name, found)


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("to_categorial", "Did you mean 'to_categorical'"),
        ("HDF5Matrix", "Instead, open the file with h5py"),
        ("audio_dataset_from_directory", "Instead, read the files"),
    ],
)
def test_a_name_that_is_not_there_says_what_is(name, says):
    with pytest.raises(AttributeError, match=f"has no attribute '{name}'.*{says}"):
        getattr(utils, name)


@pytest.mark.parametrize(
    ("predictions", "classes"),
    [
        ([[0.1, 0.9], [0.6, 0.4]], [1, 0]),
        ([[0.1], [0.6]], [0, 1]),
        ([0.5, 0.51], [0, 1]),
    ],
)
def test_probas_to_classes(predictions, classes):
    assert numerical.probas_to_classes(np.array(predictions)).tolist() == classes


def test_layer_utils(capsys):
    model = models.Sequential([layers.Dense(3, input_shape=(2,))])
    assert layer_utils.count_params(model.weights) == 9
    weight = torch.zeros(2, 2)
    assert layer_utils.count_params([weight, weight]) == 4
    layer_utils.print_summary(model)
    assert "Total params: 9" in capsys.readouterr().out


ABSENT = [
    ("", "tree", "optree"),
    ("", "Function", r"Model\(inputs, outputs\)"),
    ("applications", "VGG16", "torchvision"),
    ("layers", "TextVectorization", "Tokenizer"),
    ("callbacks", "RemoteMonitor", "LambdaCallback"),
    ("utils", "FeatureSpace", "pandas"),
    ("optimizers", "MultiOptimizer", "exclude_layers"),
    ("layers", "Densse", "Did you mean 'Dense'"),
    ("objectives", "mze", "Did you mean 'm"),
]


@pytest.mark.parametrize(("module", "name", "advice"), ABSENT)
def test_what_is_absent_says_what_to_use_however_it_is_asked_for(module, name, advice):
    path = f"elephas_torch.keras.{module}".rstrip(".")
    with pytest.raises(ImportError, match=advice):
        exec(f"from {path} import {name}")
    with pytest.raises(AttributeError, match=advice):
        getattr(importlib.import_module(path), name)
    assert not hasattr(importlib.import_module(path), name)
