"""Where things lay in Keras 1 and 2."""

import importlib
import warnings

import numpy as np
import pytest
import torch

from elephas_torch.keras import constraints, initializers, layers, losses, regularizers
from elephas_torch.keras.legacy.modules import MODULES
from elephas_torch.keras.legacy.names import CLASSES

ROOT = "elephas_torch.keras"


@pytest.mark.parametrize("old", sorted(MODULES))
def test_every_name_is_found_with_one_warning_at_the_user_s_line(old):
    module = importlib.import_module(f"{ROOT}.{old}")
    for name, home in MODULES[old].items():
        mine = name in vars(module)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            found = getattr(module, name)
        assert callable(found)
        told = [(one.category, one.filename, str(one.message)) for one in caught]
        says = f"keras.{old}.{name} is keras.{home.shown} now."
        wanted = [(DeprecationWarning, __file__, says)] if home.shown and not mine else []
        assert told == wanted


@pytest.mark.parametrize("old", sorted(MODULES))
def test_what_a_warning_names_is_there(old):
    for home in MODULES[old].values():
        if home.shown and "." in home.shown:
            module, _, name = home.shown.partition("(")[0].rpartition(".")
            assert hasattr(importlib.import_module(f"{ROOT}.{module}"), name), home.shown


def test_a_name_that_was_never_there_is_told():
    module = importlib.import_module(f"{ROOT}.utils.np_utils")
    with pytest.raises(AttributeError, match="Did you mean 'to_categorical'"):
        module.to_categorial  # noqa: B018


def test_names_are_the_things_of_today():
    with pytest.warns(DeprecationWarning) as caught:
        from elephas_torch.keras.engine.topology import Layer
        from elephas_torch.keras.objectives import mse
        from elephas_torch.keras.utils.np_utils import to_categorical
    assert len(caught) == 3
    assert Layer is layers.Layer
    assert mse is losses.mse
    assert to_categorical([1], 2).tolist() == [[0, 1]]


def test_regularizers_and_constraints_of_keras_1():
    with pytest.warns(DeprecationWarning, match="regularizers.L1L2"):
        assert regularizers.WeightRegularizer(l2=0.1)(torch.ones(2)).item() == pytest.approx(0.2)
    with pytest.warns(DeprecationWarning, match=r"L1L2\(l1=0.01, l2=0.01\)"):
        assert regularizers.l1l2(l1=0.1).get_config() == {"l1": 0.1, "l2": 0.01}
    with pytest.warns(DeprecationWarning, match=r"regularizers\.L1 now"):
        assert regularizers.activity_l1(0.5)(torch.ones(2)) == 1
    with pytest.warns(DeprecationWarning, match="constraints.MaxNorm"):
        assert constraints.maxnorm(m=3).get_config() == {"max_value": 3, "axis": 0}
    with pytest.warns(DeprecationWarning, match="constraints.NonNeg"):
        assert constraints.nonneg is constraints.NonNeg
    with pytest.raises(AttributeError, match="Did you mean 'l1l2'"):
        regularizers.l1l3  # noqa: B018


@pytest.mark.parametrize(
    ("name", "kwargs", "today"),
    [
        ("zero", {}, initializers.Zeros()),
        ("one", {"name": "W"}, initializers.Ones()),
        ("identity", {"scale": 2}, initializers.Identity(2)),
        ("uniform", {"scale": 0.5}, initializers.RandomUniform(-0.5, 0.5)),
        ("normal", {"scale": 0.5, "name": "W"}, initializers.RandomNormal(0.0, 0.5)),
        ("orthogonal", {"scale": 1.1}, initializers.Orthogonal(1.1)),
        ("lecun_uniform", {}, initializers.LecunUniform()),
        ("glorot_normal", {}, initializers.GlorotNormal()),
        ("glorot_uniform", {"dim_ordering": "tf"}, initializers.GlorotUniform()),
        ("he_normal", {}, initializers.HeNormal()),
        ("he_uniform", {}, initializers.HeUniform()),
    ],
)
def test_initializations_draw_what_initializers_do(name, kwargs, today):
    old = importlib.import_module(f"{ROOT}.initializations")
    with pytest.warns(DeprecationWarning, match=f"initializations.{name} is keras.initializers"):
        draw = getattr(old, name)
    torch.manual_seed(1)
    ours = draw((4, 4), **kwargs)
    torch.manual_seed(1)
    assert torch.equal(ours, today((4, 4)))
    assert initializers.get(name) is not None


@pytest.mark.parametrize("name", sorted(CLASSES))
def test_old_classes_make_today_s(name):
    old, today = getattr(layers, name, None), getattr(layers, CLASSES[name])
    assert old is not None
    filters = {1: (2, 3), 2: (2, 3, 3), 3: (2, 3, 3, 3)}
    args = next((filters[n] for n in filters if f"{n}D" in name), () if "Batch" in name else (2,))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        made = old(*args)
    assert type(made) is today
    assert len(caught) <= 1
    if len(args) > 1:
        assert made.kernel_size == args[1:]


def test_layers_that_are_not_there_say_what_to_take():
    from elephas_torch.keras.layers import Highway, SReLU

    with pytest.raises(ValueError, match="no SReLU here: use PReLU"):
        SReLU()
    with pytest.raises(ValueError, match="no Highway here"):
        Highway(activation="relu")
    with pytest.raises(AttributeError, match="has no layer 'Densee'"):
        layers.Densee  # noqa: B018
    assert not hasattr(layers, "__wrapped__")


def test_optimizers_take_their_old_arguments():
    from elephas_torch.keras import optimizers

    for name, kwargs in {
        "SGD": {"decay": 1e-6, "momentum": 0.9, "nesterov": True},
        "RMSprop": {"rho": 0.9, "epsilon": 1e-8, "decay": 0.0},
        "Adagrad": {"epsilon": 1e-8},
        "Adadelta": {"rho": 0.95, "epsilon": 1e-8},
        "Adam": {"beta_1": 0.9, "beta_2": 0.999, "epsilon": None, "decay": 0.0},
        "Adamax": {"epsilon": None},
        "Nadam": {"epsilon": None, "schedule_decay": 0.004},
    }.items():
        with pytest.warns(DeprecationWarning, match="use learning_rate=0.5"):
            made = getattr(optimizers, name)(lr=0.5, **kwargs)
        assert np.isclose(made.learning_rate, 0.5)


def test_graphs_and_yaml_say_what_to_take():
    from elephas_torch.keras.layers import containers
    from elephas_torch.keras.models import Graph, Sequential, model_from_yaml

    for old in (Graph, containers.Graph):
        with pytest.raises(ValueError, match=r"no Graph here: use Model\(inputs, outputs\)"):
            old()
    with pytest.raises(RuntimeError, match=r"no model_from_yaml here: use model_from_json"):
        model_from_yaml("class_name: Sequential")
    with pytest.raises(RuntimeError, match=r"no to_yaml here: use to_json\(\)"):
        Sequential().to_yaml()
    with pytest.raises(ImportError, match=r"keras\.models' has no attribute 'Grap'"):
        from elephas_torch.keras.models import Grap  # noqa: F401
