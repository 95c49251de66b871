"""`add_weight` with the name first, as Keras 2 had it."""

import keras
import numpy as np
import pytest
import torch

from elephas_torch.keras import metrics
from elephas_torch.keras.layers import Dense, Layer

CALLS = [
    (("W",), {"shape": (3, 2), "initializer": "ones"}),
    (("W", (3, 2)), {"initializer": "ones"}),
    (("W", (3, 2), None, "ones"), {}),
    (("W", (3, 2), "float32", "ones", None, True, None), {}),
    (("W", [3, 2], None, "ones", None, None), {"synchronization": None, "use_resource": None}),
]


@pytest.mark.parametrize(("args", "kwargs"), CALLS)
def test_the_name_may_come_first(args, kwargs):
    layer = Layer()
    with pytest.warns(DeprecationWarning, match=r"'W'.*add_weight\(shape, initializer") as caught:
        weight = layer.add_weight(*args, **kwargs)
    assert len(caught) == 1 and caught[0].filename == __file__
    assert torch.equal(weight, torch.ones(3, 2))
    assert weight.trainable and layer.W is weight


def test_rules_and_what_training_leaves_alone():
    layer = Layer()
    with pytest.warns(DeprecationWarning):
        ruled = layer.add_weight("a", (2,), None, "ones", "l2", True, "non_neg")
        kept = layer.add_weight("b", (2,), trainable=False)
    assert not kept.trainable and ruled.trainable
    assert set(layer.regularizers) == set(layer.constraints) == {"a"}


def test_without_a_name():
    with pytest.warns(DeprecationWarning, match="Keras 2's order"):
        assert Layer().add_weight(None, (3, 2)).shape == (3, 2)


def test_a_name_alone_makes_a_scalar():
    with pytest.warns(DeprecationWarning):
        assert Layer().add_weight("scale", initializer="ones").shape == ()


@pytest.mark.parametrize(
    ("args", "kwargs"),
    [
        (("W", "zeros"), {}),
        (("zeros", "W"), {}),
        (("W", (3,)), {"name": "V"}),
        (("W", (3,), None, "zeros", None, True, None, None), {}),
    ],
)
def test_what_no_order_has_is_told(args, kwargs):
    with pytest.raises(TypeError, match=r"come shape, dtype, initializer.*today's order is.*'W'"):
        Layer().add_weight(*args, **kwargs)


def test_todays_order_has_no_warning(recwarn):
    layer = Layer()
    layer.add_weight((3,), "zeros", name="W")
    layer.add_weight(name="V", shape=(3,))
    layer.add_weight()
    assert not recwarn


def test_an_unknown_argument_is_named():
    with pytest.raises(TypeError, match=r"add_weight.*'regulariser'\. Did you mean 'regularizer'"):
        Layer().add_weight((3,), regulariser="l2")


def test_subclasses_of_layers_that_are_there(recwarn):
    class Scaled(Dense):
        def build(self, input_shape):
            super().build(input_shape)
            self.scale = self.add_weight("scale", shape=(self.units,), initializer="ones")

    layer = Scaled(2)
    with pytest.warns(DeprecationWarning, match="'scale'"):
        layer.build((None, 3))
    assert len(layer.weights) == 3


def test_metrics_take_it_too():
    class Sums(metrics.Metric):
        def __init__(self):
            super().__init__()
            self.table = self.add_weight("table", shape=(2, 2), initializer="zeros")
            self.other = self.add_weight("other", (3,), "sum", None, "ones")

    with pytest.warns(DeprecationWarning, match="Keras 2's order") as caught:
        made = Sums()
    assert len(caught) == 2
    assert (made.table.shape, made.other.tolist()) == ((2, 2), [1.0, 1.0, 1.0])
    with pytest.raises(TypeError, match=r"'iniitalizer'\. Did you mean 'initializer'"):
        made.add_weight(iniitalizer="zeros")


def test_keras_3_has_another_order():
    """So the name in the first place can't be meant as anything else there."""
    weight = keras.layers.Layer().add_weight((3, 2), "ones", name="W")
    assert np.array_equal(weight.numpy(), np.ones((3, 2)))
    with pytest.raises(ValueError, match="`name` must be passed as a keyword"):
        keras.layers.Layer().add_weight("W", shape=(3, 2))
