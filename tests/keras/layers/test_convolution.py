import itertools

import keras
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from elephas_torch.keras import layers

FORMATS = ["channels_last", "channels_first"]


def channels(shape, data_format):
    """A shape with its channels moved to where the format has them."""
    return shape if data_format == "channels_last" else (shape[0], shape[-1], *shape[1:-1])


def cases(name, shape, paddings, variants):
    """(layer, arguments, input shape) for each variant with each padding and format."""
    return [
        (
            name,
            {"filters": 6, "padding": padding, "data_format": data_format, **variant},
            channels(shape, data_format),
        )
        for padding, data_format, variant in itertools.product(paddings, FORMATS, variants)
    ]


CASES = [
    *cases(
        "Conv1D",
        (2, 11, 4),
        ["valid", "same", "causal"],
        [
            {"kernel_size": 3},
            {"kernel_size": (2,), "strides": 2},
            {"kernel_size": 4, "strides": 3, "activation": "tanh"},
            {"kernel_size": 3, "dilation_rate": 3},
            {"kernel_size": 2, "groups": 2},
            {"kernel_size": 1, "use_bias": False},
        ],
    ),
    *cases(
        "Conv2D",
        (2, 9, 8, 4),
        ["valid", "same"],
        [
            {"kernel_size": 3},
            {"kernel_size": (2, 4)},
            {"kernel_size": 1},
            {"kernel_size": 3, "strides": 2},
            {"kernel_size": (2, 4), "strides": 2},
            {"kernel_size": 3, "strides": (1, 3)},
            {"kernel_size": 1, "strides": 2},
            {"kernel_size": 3, "dilation_rate": 2},
            {"kernel_size": (2, 4), "dilation_rate": (3, 1)},
            {"kernel_size": 3, "groups": 2},
            {"kernel_size": (2, 3), "groups": 2, "strides": 2},
            {"kernel_size": 3, "use_bias": False, "activation": "relu"},
        ],
    ),
    *cases(
        "Conv3D",
        (2, 5, 6, 4, 2),
        ["valid", "same"],
        [
            {"kernel_size": 3},
            {"kernel_size": (2, 3, 1)},
            {"kernel_size": (3, 2, 2), "strides": 2},
            {"kernel_size": 2, "strides": (1, 3, 2)},
            {"kernel_size": 2, "dilation_rate": (1, 2, 3)},
            {"kernel_size": 3, "groups": 2},
            {"kernel_size": 2, "use_bias": False, "activation": "relu"},
        ],
    ),
    ("Conv2D", {"filters": 4, "kernel_size": 3, "activation": "relu"}, (2, 8, 8, 1)),
    ("Conv2D", {"filters": 1, "kernel_size": 3, "padding": "same"}, (2, 8, 8, 1)),
]


@pytest.mark.parametrize(("name", "kwargs", "shape"), CASES)
def test_is_keras_s(same, name, kwargs, shape):
    same(name, shape=shape, **kwargs)


def test_unknown_lengths_stay_unknown():
    for name, kwargs, shape in CASES:
        last = kwargs.get("data_format") != "channels_first"
        unknown = [None] * len(shape)
        unknown[-1 if last else 1] = shape[-1 if last else 1]
        ours, theirs = getattr(layers, name)(**kwargs), getattr(keras.layers, name)(**kwargs)
        told = ours.compute_output_shape(tuple(unknown))
        assert told == tuple(theirs.compute_output_shape(tuple(unknown)))
        assert told.count(None) == len(shape) - 1


def test_a_layer_of_unknown_lengths_takes_any():
    conv = layers.Conv2D(4, 3, strides=2)
    assert conv.compute_output_shape((None, None, 9, 2)) == (None, None, 4, 4)
    conv.build((None, None, None, 2))
    assert conv(torch.ones(1, 5, 7, 2)).shape == (1, 2, 3, 4)
    assert conv(torch.ones(1, 9, 5, 2)).shape == (1, 4, 2, 4)


LENGTHS = {"Conv1D": 1, "Conv2D": 2, "Conv3D": 3}


def test_on_more_shapes(same):
    @settings(max_examples=25, deadline=None)
    @given(st.data())
    def check(data):
        name = data.draw(st.sampled_from(list(LENGTHS)))
        axes = LENGTHS[name]
        several = st.tuples(*[st.integers(1, 3)] * axes)
        lengths = data.draw(st.tuples(*[st.integers(1, 7)] * axes))
        kernel_size, steps = data.draw(several), data.draw(several)
        padding = data.draw(st.sampled_from(["valid", "same", *["causal"] * (axes == 1)]))
        data_format = data.draw(st.sampled_from(FORMATS))
        groups, multiple = data.draw(st.integers(1, 2)), data.draw(st.integers(1, 2))
        kind = data.draw(st.sampled_from(["strides", "dilation_rate"]))
        dilation = steps if kind == "dilation_rate" else (1,) * axes
        reach = [d * (k - 1) + 1 for k, d in zip(kernel_size, dilation, strict=True)]
        fits = all(r <= n for r, n in zip(reach, lengths, strict=True))
        assume(padding != "valid" or fits)
        same(
            name,
            2 * groups,
            kernel_size,
            padding=padding,
            data_format=data_format,
            groups=groups,
            shape=channels((2, *lengths, groups * multiple), data_format),
            **{kind: steps},
        )

    check()


def test_causal_outputs_see_nothing_later():
    conv = layers.Conv1D(2, 3, padding="causal", dilation_rate=2)
    x = torch.randn(1, 10, 3)
    y = conv(x)
    x[:, 6:] = 0
    assert torch.allclose(conv(x)[:, :6], y[:, :6], atol=1e-6)
    assert not torch.allclose(conv(x)[:, 6:], y[:, 6:])


@pytest.mark.parametrize(
    ("name", "size", "shape", "kernel"),
    [
        ("Conv1D", 3, (None, 8, 4), (3, 2, 6)),
        ("Conv2D", (3, 2), (None, 8, 8, 4), (3, 2, 2, 6)),
        ("Conv3D", (3, 2, 1), (None, 8, 8, 8, 4), (3, 2, 1, 2, 6)),
    ],
)
def test_weights_have_keras_s_names_and_shapes(name, size, shape, kernel):
    conv = getattr(layers, name)(6, size, groups=2)
    conv.build(shape)
    weights = {n: tuple(w.shape) for n, w in conv.named_parameters()}
    assert weights == {"kernel": kernel, "bias": (6,)}
    assert conv.kernel_size == kernel[:-2]


@pytest.mark.parametrize("padding", ["valid", "same"])
@pytest.mark.parametrize(("name", "axes"), LENGTHS.items())
def test_channels_last_copies_nothing(name, axes, padding):
    conv = getattr(layers, name)(4, 3, padding=padding)
    y = conv(torch.ones(2, *[8] * axes, 3))
    assert y.is_contiguous()


@pytest.mark.parametrize("name", LENGTHS)
def test_regularizers_and_constraints_travel(same, name):
    found = same(
        name,
        2,
        2,
        kernel_regularizer="l2",
        bias_regularizer="l2",
        kernel_constraint="non_neg",
        activity_regularizer="l2",
        shape=(2, *[3] * LENGTHS[name], 2),
    )
    assert len(found.ours.regularized_weights()) == 2
    assert len(found.ours.constrained_weights()) == 1


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"filters": 0}, "Received: filters=0"),
        ({"kernel_size": 0}, "Received: kernel_size=0"),
        ({"kernel_size": (3, 3, 3)}, r"kernel_size=\(3, 3, 3\)"),
        ({"kernel_size": "33"}, "kernel_size='33'"),
        ({"strides": -1}, "Received: strides=-1"),
        ({"strides": (1.5, 1)}, r"strides=\(1.5, 1\)"),
        ({"dilation_rate": 0}, "dilation_rate=0"),
        ({"padding": "some"}, "Unknown padding: 'some'. Did you mean 'same'"),
        ({"padding": "causal"}, "Unknown padding: 'causal'"),
        ({"padding": None}, "Unknown padding: None"),
        ({"data_format": "channel_last"}, "Did you mean 'channels_last'"),
        ({"groups": 0}, "groups=0"),
        ({"groups": 3}, "filters=4, groups=3"),
        ({"strides": 2, "dilation_rate": 2}, "one of `strides` and `dilation_rate` must be 1"),
        ({"lora_rank": 2}, "Conv2D: `lora_rank` can only be None. Received: lora_rank=2"),
        ({"kernel_regularizer": "l3"}, "l3"),
        ({"kernel_constraint": "max_nrom"}, "max_nrom"),
    ],
)
def test_bad_arguments_are_named(kwargs, message):
    with pytest.raises(ValueError, match=message):
        layers.Conv2D(**{"filters": 4, "kernel_size": 3, **kwargs})


def test_names_are_taken_in_any_case():
    assert layers.Conv2D(4, 3, padding="SAME").padding == "same"


def test_shapes_that_do_not_fit_name_the_layer():
    conv = layers.Conv2D(4, 5, name="c")
    with pytest.raises(ValueError, match=r"'c' \(Conv2D\) expects .*\(None, None, None, None\)"):
        conv.build((None, 28, 28))
    with pytest.raises(ValueError, match="must know the length of axis -1"):
        conv.build((None, 28, 28, None))
    with pytest.raises(ValueError, match=r"a window of 5 x 5 doesn't fit .*\(None, 4, 4, 1\)"):
        conv.build((None, 4, 4, 1))
    with pytest.raises(ValueError, match=r"multiple of groups=2\. Received: 3 channels"):
        layers.Conv2D(4, 2, groups=2).build((None, 4, 4, 3))
    conv.build((None, 28, 28, 1))
    with pytest.raises(ValueError, match=r"\(None, None, None, 1\). Received: .*\(2, 28, 28, 3\)"):
        conv(torch.ones(2, 28, 28, 3))
    with pytest.raises(ValueError, match=r"Received: inputs of shape \(2, 784\)"):
        conv(torch.ones(2, 784))
    with pytest.raises(ValueError, match="a window of 5 x 5"):
        conv(torch.ones(2, 4, 4, 1))


@pytest.mark.parametrize(("name", "axes"), LENGTHS.items())
def test_inputs_without_a_batch_are_refused(name, axes):
    conv = getattr(layers, name)(4, 2, data_format="channels_first")
    conv.build((None, 3, *[5] * axes))
    with pytest.raises(ValueError, match=r"expects inputs of shape \(None, 3, None"):
        conv(torch.ones(3, *[5] * axes))
