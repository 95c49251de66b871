import itertools

import keras
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from elephas_torch.keras import layers, masks

FORMATS = ["channels_last", "channels_first"]
SHAPES = {1: (2, 5, 3), 2: (2, 5, 4, 3), 3: (2, 3, 4, 2, 3)}


def channels(shape, data_format):
    return shape if data_format == "channels_last" else (shape[0], shape[-1], *shape[1:-1])


CASES = [
    (
        f"Global{kind}Pooling{axes}D",
        {"data_format": data_format, "keepdims": keepdims},
        channels(shape, data_format),
    )
    for kind, (axes, shape), data_format, keepdims in itertools.product(
        ["Average", "Max"], SHAPES.items(), FORMATS, [False, True]
    )
]


@pytest.mark.parametrize(("name", "kwargs", "shape"), CASES)
def test_is_keras_s(same, name, kwargs, shape):
    same(name, shape=shape, **kwargs)


def test_unknown_lengths_do_not_matter():
    for name, kwargs, shape in CASES:
        axis = -1 if kwargs["data_format"] == "channels_last" else 1
        unknown = [None] * len(shape)
        unknown[axis] = shape[axis]
        layer = getattr(layers, name)(**kwargs)
        told = layer.compute_output_shape(tuple(unknown))
        assert told == layer.compute_output_shape((None, *shape[1:]))


@pytest.mark.parametrize("data_format", FORMATS)
@pytest.mark.parametrize("keepdims", [False, True])
def test_masked_steps_do_not_count(close_to, data_format, keepdims):
    @settings(max_examples=20, deadline=None)
    @given(st.data())
    def check(data):
        batch, steps = data.draw(st.tuples(st.integers(1, 3), st.integers(1, 5)))
        flags = st.lists(st.booleans(), min_size=steps, max_size=steps).filter(any)
        mask = torch.tensor([data.draw(flags) for _ in range(batch)])
        shape = channels((batch, steps, 2), data_format)
        x = torch.randn(shape, requires_grad=True)
        theirs = keras.layers.GlobalAveragePooling1D(data_format, keepdims)
        result = layers.GlobalAveragePooling1D(data_format, keepdims)(x, mask=mask)
        expected = theirs(x, mask=mask)
        close_to(result.detach(), expected.detach())
        weights = torch.randn(result.shape)
        (mine,) = torch.autograd.grad(result, x, weights)
        (other,) = torch.autograd.grad(expected, x, weights)
        close_to(mine, other)

    check()


def test_a_mask_that_travels_with_the_inputs_is_taken_and_ends_here():
    x = torch.tensor([[[1.0], [2.0], [100.0]]])
    masks.put(x, torch.tensor([[True, True, False]]))
    y = layers.GlobalAveragePooling1D()(x)
    assert y.tolist() == [[1.5]]
    assert masks.get(y) is None


def test_masked_numbers_that_are_none_do_no_harm():
    x = torch.tensor([[[1.0], [float("nan")]]])
    y = layers.GlobalAveragePooling1D()(x, mask=torch.tensor([[True, False]]))
    assert y.tolist() == [[1.0]]


def test_nothing_but_masked_steps_has_no_mean():
    x, mask = torch.ones(1, 2, 1), torch.zeros(1, 2, dtype=torch.bool)
    ours = layers.GlobalAveragePooling1D()(x, mask=mask)
    theirs = keras.layers.GlobalAveragePooling1D()(x, mask=mask)
    assert ours.isnan().all()
    assert theirs.isnan().all()


def test_shorter_names_are_the_same_classes():
    for kind, short in (("Average", "Avg"), ("Max", "Max")):
        for axes in SHAPES:
            long = getattr(layers, f"Global{kind}Pooling{axes}D")
            assert getattr(layers, f"Global{short}Pool{axes}D") is long


@pytest.mark.parametrize("name", sorted({name for name, _, _ in CASES}))
def test_inputs_of_other_ranks_are_refused(name):
    layer = getattr(layers, name)(name="g")
    axes = len(layer.input_spec)
    with pytest.raises(ValueError, match=rf"'g' \({name}\) expects inputs of shape"):
        layer.build((None,) * (axes - 1))
    layer.build((None,) * axes)
    for shape in ([2] * (axes - 1), [2] * (axes + 1)):
        with pytest.raises(ValueError, match="expects inputs of shape"):
            layer(torch.ones(shape))


def test_bad_arguments_are_named():
    with pytest.raises(ValueError, match="Unknown data_format: 'last'"):
        layers.GlobalMaxPooling2D("last")
