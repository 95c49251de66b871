"""`layer.metrics` and `layer.path`, as Keras has them."""

import keras
import pytest

import elephas_torch.keras as facade


def block(room):
    class Inner(room.layers.Layer):
        def __init__(self):
            super().__init__(name="inner")
            self.seen = room.metrics.Mean(name="inner_seen")

        def call(self, x):
            return x

    class Outer(room.layers.Layer):
        def __init__(self):
            super().__init__(name="outer")
            self.seen = room.metrics.Mean(name="seen")
            self.several = [room.metrics.Sum(name="a"), room.metrics.Sum(name="b")]
            self.inner = Inner()

        def call(self, x):
            return self.inner(x)

    return Outer()


def test_metrics_of_a_layer_and_of_those_in_it():
    names = [[one.name for one in block(room).metrics] for room in (facade, keras)]
    assert names[0] == names[1] == ["seen", "a", "b", "inner_seen"]
    assert facade.layers.Dense(1).metrics == []


def test_their_variables():
    layer = block(facade)
    assert len(layer.metrics_variables) == sum(len(one.variables) for one in layer.metrics)
    layer.seen.update_state([3.0, 4.0])
    assert [float(one) for one in layer.metrics_variables[:2]] == [7.0, 2.0]


def test_a_model_s_are_counted_once():
    model = facade.Sequential([facade.layers.Input((2,)), block(facade), facade.layers.Dense(1)])
    assert [one.name for one in model.metrics] == ["seen", "a", "b", "inner_seen"]


@pytest.mark.parametrize("room", [facade, keras], ids=["ours", "theirs"])
def test_paths_come_when_a_layer_is_built(room):
    layer = room.layers.Dense(2, name="hidden")
    assert layer.path is None
    layer.build((None, 3))
    assert layer.path == "hidden"
    assert layer.kernel.path == "hidden/kernel"
