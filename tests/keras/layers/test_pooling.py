import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from elephas_torch.keras import layers


def channels(shape, data_format):
    return shape if data_format == "channels_last" else (shape[0], shape[-1], *shape[1:-1])


FORMATS = ["channels_last", "channels_first"]


@pytest.mark.parametrize("data_format", FORMATS)
@pytest.mark.parametrize("padding", ["valid", "same"])
@pytest.mark.parametrize("kwargs", [{}, {"strides": 1}, {"strides": (2, 3)}])
@pytest.mark.parametrize("pool_size", [2, 3, (1, 3)])
def test_max_pooling_2d_is_keras_s(same, data_format, padding, kwargs, pool_size):
    shape = channels((2, 7, 8, 3), data_format)
    kwargs = {"padding": padding, "data_format": data_format, **kwargs}
    same("MaxPooling2D", pool_size, shape=shape, **kwargs)


@pytest.mark.parametrize("data_format", FORMATS)
@pytest.mark.parametrize("padding", ["valid", "same"])
@pytest.mark.parametrize("kwargs", [{}, {"strides": 1}, {"strides": 3}])
@pytest.mark.parametrize("pool_size", [2, (3,)])
def test_max_pooling_1d_is_keras_s(same, data_format, padding, kwargs, pool_size):
    shape = channels((2, 8, 3), data_format)
    kwargs = {"padding": padding, "data_format": data_format, **kwargs}
    same("MaxPooling1D", pool_size, shape=shape, **kwargs)


# With odd pads Keras's torch backend counts the padding in as copies of the edge, which Keras
# with TensorFlow, and its documentation, don't: those cases are held against NumPy below.
@pytest.mark.parametrize("data_format", FORMATS)
@pytest.mark.parametrize(
    ("pool_size", "strides", "padding", "size"),
    [
        (2, None, "valid", 7),
        (3, 2, "valid", 8),
        (3, 1, "same", 6),
        (2, None, "same", 8),
        (3, 3, "same", 7),
    ],
)
def test_average_pooling_is_keras_s(same, data_format, pool_size, strides, padding, size):
    for name, shape in (
        ("AveragePooling2D", (2, size, size, 3)),
        ("AveragePooling1D", (2, size, 3)),
    ):
        shape = channels(shape, data_format)
        same(name, pool_size, strides, padding, data_format, shape=shape)


def numpy_average(x, size, strides):
    """'same' average pooling over (batch, height, width, channels), from its definition."""
    outputs = [-(-n // s) for n, s in zip(x.shape[1:3], strides, strict=True)]
    pads = [
        max(0, (w - 1) * s + k - n) // 2
        for w, s, k, n in zip(outputs, strides, size, x.shape[1:3], strict=True)
    ]
    result = np.empty((x.shape[0], *outputs, x.shape[3]), x.dtype)
    for i in range(outputs[0]):
        for j in range(outputs[1]):
            top, left = i * strides[0] - pads[0], j * strides[1] - pads[1]
            rows = slice(max(top, 0), top + size[0])
            columns = slice(max(left, 0), left + size[1])
            result[:, i, j] = x[:, rows, columns].mean((1, 2))
    return result


def test_average_pooling_counts_no_padding(close_to):
    @settings(max_examples=30, deadline=None)
    @given(
        st.tuples(st.integers(1, 9), st.integers(1, 9)),
        st.tuples(st.integers(1, 4), st.integers(1, 4)),
        st.tuples(st.integers(1, 4), st.integers(1, 4)),
    )
    def check(lengths, size, strides):
        x = torch.randn(2, *lengths, 3, dtype=torch.float32)
        y = layers.AveragePooling2D(size, strides, "same")(x)
        close_to(y, numpy_average(x.numpy(), size, strides))
        first = layers.AveragePooling2D(size, strides, "same", "channels_first")
        close_to(first(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1), y)

    check()


def test_average_pooling_1d_counts_no_padding(close_to):
    x = torch.randn(2, 8, 3)
    y = layers.AveragePooling1D(3, 2, "same")(x)
    close_to(y, numpy_average(x[:, None].numpy(), (1, 3), (1, 2))[:, 0])


def test_average_pooling_with_odd_pads_has_right_gradients():
    layer = layers.AveragePooling2D((2, 3), (1, 2), "same")
    x = torch.randn(1, 4, 6, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(layer, (x,))


def test_max_pooling_on_more_shapes(same):
    @settings(max_examples=15, deadline=None)
    @given(
        st.tuples(st.integers(1, 2), st.integers(1, 9), st.integers(1, 9), st.integers(1, 3)),
        st.tuples(st.integers(1, 4), st.integers(1, 4)),
        st.integers(1, 4),
        st.sampled_from(["valid", "same"]),
    )
    def check(shape, size, strides, padding):
        assume(padding == "same" or (size[0] <= shape[1] and size[1] <= shape[2]))
        same("MaxPooling2D", size, strides, padding, shape=shape)

    check()


@pytest.mark.parametrize("data_format", FORMATS)
@pytest.mark.parametrize("keepdims", [False, True])
@pytest.mark.parametrize("kind", ["Average", "Max"])
def test_global_pooling_is_keras_s(same, data_format, keepdims, kind):
    for axes, shape in ((1, (2, 5, 3)), (2, (2, 5, 4, 3))):
        shape = channels(shape, data_format)
        same(f"Global{kind}Pooling{axes}D", data_format, keepdims, shape=shape)


def test_unknown_lengths_stay_unknown():
    assert layers.MaxPooling2D(2).compute_output_shape((None, None, 9, 2)) == (None, None, 4, 2)
    assert layers.GlobalAveragePooling1D().compute_output_shape((None, None, 2)) == (None, 2)


def test_shorter_names_are_the_same_classes():
    for kind in ("Average", "Max"):
        short = "Avg" if kind == "Average" else "Max"
        for axes in (1, 2):
            assert getattr(layers, f"{short}Pool{axes}D") is getattr(
                layers, f"{kind}Pooling{axes}D"
            )
            assert getattr(layers, f"Global{short}Pool{axes}D") is getattr(
                layers, f"Global{kind}Pooling{axes}D"
            )


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"pool_size": 0}, "MaxPooling2D: `pool_size` .* Received: pool_size=0"),
        ({"pool_size": (2, 2, 2)}, r"pool_size=\(2, 2, 2\)"),
        ({"strides": 0}, "strides=0"),
        ({"padding": "vaild"}, "Did you mean 'valid'"),
        ({"data_format": "last"}, "Unknown data_format: 'last'"),
    ],
)
def test_bad_arguments_are_named(kwargs, message):
    with pytest.raises(ValueError, match=message):
        layers.MaxPooling2D(**kwargs)


def test_shapes_that_do_not_fit_name_the_layer():
    with pytest.raises(
        ValueError, match=r"'p' \(MaxPooling2D\) expects .*Received: .*\(None, 4, 4\)"
    ):
        layers.MaxPooling2D(2, name="p").build((None, 4, 4))
    with pytest.raises(ValueError, match="a window of 3 x 3 doesn't fit"):
        layers.AveragePooling2D(3)(torch.ones(1, 2, 5, 1))
    with pytest.raises(ValueError, match=r"expects inputs of shape \(None, None, None, None\)"):
        layers.GlobalAveragePooling2D()(torch.ones(2, 3, 4))
