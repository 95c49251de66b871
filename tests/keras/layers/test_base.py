import os

os.environ["KERAS_BACKEND"] = "torch"

import numpy as np
import pytest
import torch
from torch import nn

from elephas_torch.keras import Sequential
from elephas_torch.keras.layers import Dense, Embedding, Layer


class Scale(Layer):
    def build(self, input_shape):
        self.factor = self.add_weight(shape=(input_shape[-1],), initializer="ones")

    def call(self, inputs):
        return inputs * self.factor


def test_weights_are_made_when_a_shape_is_seen():
    layer = Scale()
    assert not layer.built and layer.weights == []
    assert torch.equal(layer(torch.ones(2, 3)), torch.ones(2, 3))
    assert layer.built
    assert layer.factor is layer.weights[0]
    assert list(layer.state_dict()) == ["weight"]
    assert layer.count_params() == 3


def test_a_weight_keeps_one_name():
    class Named(Layer):
        def build(self, input_shape):
            self.kernel = self.add_weight((2,), name="kernel")
            self.other = self.add_weight((2,), name="a.b")
            self.third = self.add_weight((2,), name="kernel")

    layer = Named()
    layer.build((None, 2))
    assert list(layer.state_dict()) == ["kernel", "a_b", "kernel_1"]
    assert layer.other is layer.a_b and layer.third is layer.kernel_1
    for weight, attribute in zip(layer.weights, ("kernel", "other", "third"), strict=True):
        assert getattr(layer, attribute) is weight


class Counting(Layer):
    """Keeps a running sum of its inputs, in the way that people write it."""

    def build(self, input_shape):
        self.total = self.add_weight((input_shape[-1],), "zeros", trainable=False)
        self.register_buffer("calls", torch.zeros((), dtype=torch.int64))

    def call(self, inputs, training=None):
        if training:
            self.total = self.total + inputs.sum(0)
            self.calls = self.calls + 1
        return inputs


def test_assigning_to_a_weight_changes_the_weight():
    layer = Counting()
    layer.build((None, 2))
    weight = layer.weights[0]
    layer(torch.ones(3, 2), training=True)
    layer(torch.ones(3, 2), training=True)
    layer(torch.ones(3, 2))
    assert layer.total is weight is layer.weights[0]
    assert weight.tolist() == [6.0, 6.0]
    assert layer.calls == 2 and layer.state_dict()["calls"] == 2


def test_such_a_layer_trains_in_a_model():
    model = Sequential([Dense(2, input_dim=2), Counting()])
    model.compile("sgd", "mse")
    model.fit(np.ones((8, 2)), np.ones((8, 2)), batch_size=4, epochs=2, verbose=0)
    flat = model._step.flat
    assert flat.holds(model)
    assert flat.counters.tolist() == [4]
    assert torch.equal(flat.state, model.layers[1].total)


def test_weights_in_keras_s_order():
    class Several(Layer):
        def build(self, input_shape):
            self.inner = Dense(2)
            self.inner.build(input_shape)
            self.mean = self.add_weight((1,), "zeros", trainable=False)
            self.scale = self.add_weight((5,), "ones")
            self.free = nn.Parameter(torch.ones(7))
            self.norm = nn.BatchNorm1d(4)

    layer = Several()
    layer.build((None, 3))
    shapes = [tuple(w.shape) for w in layer.weights]
    assert shapes == [(5,), (7,), (1,), (3, 2), (2,), (4,), (4,), (4,), (4,), ()]
    assert [tuple(w.shape) for w in layer.trainable_weights] == [
        (5,), (7,), (3, 2), (2,), (4,), (4,),
    ]  # fmt: skip
    assert len(layer.non_trainable_weights) == 4
    layer.trainable = False
    assert layer.trainable_weights == [] and not layer.free.requires_grad
    assert not layer.inner.trainable


def test_trainable_holds_for_weights_made_later():
    layer = Scale(trainable=False)
    layer.build((None, 3))
    assert layer.trainable_weights == [] and len(layer.non_trainable_weights) == 1
    layer.trainable = True
    assert len(layer.trainable_weights) == 1


def test_the_mode_is_given_to_call():
    class Mode(Layer):
        def call(self, inputs, training=None):
            return inputs * 0 + (2.0 if training else 1.0)

    layer = Mode()
    x = torch.zeros(1)
    assert layer(x) == 1 and layer(x, training=True) == 2 and layer(x) == 1
    layer.train()
    assert layer(x) == 2 and layer(x, training=False) == 1 and layer.training


def test_the_output_shape_is_found_by_trying():
    class Wide(Layer):
        def call(self, inputs):
            return torch.cat([inputs, inputs], -1)

    assert Wide().compute_output_shape((None, 4)) == (None, 8)
    assert Scale().compute_output_shape((None, 4)) == (None, 4)


@pytest.mark.parametrize(
    ("options", "shape"),
    [
        ({"input_shape": (3, 4)}, (None, 3, 4)),
        ({"input_shape": 3}, (None, 3)),
        ({"input_shape": [np.int64(3), None]}, (None, 3, None)),
        ({"input_dim": 3}, (None, 3)),
        ({"batch_input_shape": (None, 3)}, (None, 3)),
        ({"batch_shape": (32, 3)}, (None, 3)),
        ({"input_shape": ()}, (None,)),
        ({}, None),
    ],
)
def test_declared_shapes(options, shape):
    assert Scale(**options).declared_shape == shape


@pytest.mark.parametrize("shape", [(0,), (-1,), (2.5,), "3", ("a",), (True,), {3}])
def test_shapes_that_are_none(shape):
    with pytest.raises(ValueError, match="positive whole numbers"):
        Scale(input_shape=shape)


def test_unknown_arguments_are_named():
    with pytest.raises(TypeError, match=r"Scale got .* 'nane'. Did you mean 'name'"):
        Scale(nane="x")


@pytest.mark.parametrize("dtype", ["float64", "float16", torch.float64, int])
def test_float32_only(dtype):
    with pytest.raises(ValueError, match="`dtype` must be 'float32'"):
        Scale(dtype=dtype)
    with pytest.raises(ValueError, match="`dtype` must be 'float32'"):
        Scale().add_weight((2,), dtype=dtype)
    for known in (None, "float32", torch.float32, np.float32):
        assert Scale(dtype=known)


@pytest.mark.parametrize("shape", [3.5, (2.5,), (-1,), (None, 3)])
def test_shapes_of_weights(shape):
    with pytest.raises(ValueError, match="add_weight: `shape` must be whole numbers"):
        Scale().add_weight(shape)
    assert Scale().add_weight().shape == ()
    assert Scale().add_weight(np.int64(3)).shape == (3,)


@pytest.mark.parametrize("inputs", [[[1.0, 2.0]], "x", 3, None])
def test_layers_take_tensors(inputs):
    built = Scale(input_dim=3)
    built.build((None, 3))
    for layer in (Scale(), built):
        with pytest.raises(TypeError, match=r"Layer 'scale.*' \(Scale\) takes tensors"):
            layer(inputs)


def test_arrays_become_tensors():
    assert torch.equal(Scale()(np.ones((2, 3))), torch.ones(2, 3))
    assert Sequential([Embedding(5, 2)])(np.array([[1, 2]])).shape == (1, 2, 2)


def test_the_config_of_a_layer_without_one():
    class Plain(Layer):
        def __init__(self, width, *, depth=2, **kwargs):
            super().__init__(**kwargs)
            self.width, self.depth = width, depth

    layer = Plain(3, depth=5, name="mine", input_shape=(4,), trainable=False)
    config = layer.get_config()
    assert {"name": "mine", "trainable": False, "width": 3, "depth": 5}.items() <= config.items()
    again = Plain.from_config(config)
    assert (again.width, again.depth, again.name, again.trainable) == (3, 5, "mine", False)


def test_arguments_of_one_s_own_may_have_layer_s_names():
    class Table(Layer):
        def __init__(self, input_dim, rows=2):
            super().__init__()
            self.rows, self.columns = rows, input_dim

    again = Table.from_config(Table(7, rows=3).get_config())
    assert (again.columns, again.rows) == (7, 3)
    assert again.declared_shape is None


def test_set_weights_takes_lists_and_checks_first():
    layer = Dense(2)
    layer.build((None, 2))
    layer.set_weights([[[1, 2], [3, 4]], [5, 6]])
    assert layer(torch.ones(1, 2)).tolist() == [[9.0, 12.0]]
    with pytest.raises(ValueError, match=r"Layer .*\(Dense\): weight 1 has shape \(2,\)"):
        layer.set_weights([np.zeros((2, 2)), np.zeros(3)])
    assert layer.get_weights()[0].tolist() == [[1, 2], [3, 4]]
    for wrong in (5, None, "weights", {0: 1}, np.zeros(2)):
        with pytest.raises(TypeError, match=r"`weights` must be a list of arrays.*Received"):
            layer.set_weights(wrong)
    for wrong in (["a", "b"], [np.zeros((2, 2)), [[1], [2, 3]]]):
        with pytest.raises(ValueError, match="is no array of numbers"):
            layer.set_weights(wrong)
    assert layer.get_weights()[0].tolist() == [[1, 2], [3, 4]]
    copied = layer.get_weights()
    copied[0][:] = 0
    assert layer.get_weights()[0].sum() == 10


def test_a_layer_may_take_several_tensors():
    class Join(Layer):
        def build(self, input_shape):
            self.shapes = input_shape

        def call(self, inputs):
            return torch.cat(inputs, -1)

    join = Join()
    assert join([torch.ones(2, 3), torch.ones(2, 1)]).shape == (2, 4)
    assert join.shapes == [(None, 3), (None, 1)]


def test_a_layer_without_call_says_so():
    class Empty(Layer):
        def cal(self, inputs):
            return inputs

    with pytest.raises(TypeError, match=r"\(Empty\) computes nothing.*call\(self, inputs"):
        Empty()(torch.ones(1, 2))


@pytest.mark.parametrize(
    "make",
    [np.ones, lambda shape: np.ones(shape).tolist(), lambda shape: torch.ones(shape).long()],
)
@pytest.mark.parametrize("trainable", [True, False])
def test_what_an_initializer_gives_is_made_float32(make, trainable):
    layer = Layer()
    weight = layer.add_weight((2, 3), lambda shape, dtype: make(shape), trainable=trainable)
    assert weight.dtype == torch.float32
    assert weight.tolist() == [[1.0] * 3] * 2


def test_a_weight_is_no_view_of_its_initializer_s_array():
    array = np.zeros((2,), "float32")
    layer = Layer()
    first, second = (layer.add_weight((2,), lambda shape, dtype: array) for _ in range(2))
    first.assign([1.0, 2.0])
    assert array.tolist() == second.tolist() == [0.0, 0.0]


def test_an_initializer_that_gives_something_else_is_named():
    layer = Layer(name="odd")
    with pytest.raises(ValueError, match=r"Layer 'odd': kernel: .*\(2, 3\).*shape \(2,\)"):
        layer.add_weight((2, 3), lambda shape, dtype: np.ones(2), name="kernel")
    with pytest.raises(TypeError, match=r"Layer 'odd': weight: .*must give numbers.*None"):
        layer.add_weight((2, 3), lambda shape, dtype: None)
