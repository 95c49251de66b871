import keras
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from elephas_torch.keras import layers


def case(equation, output_shape, shape, **kwargs):
    return "EinsumDense", {"equation": equation, "output_shape": output_shape, **kwargs}, shape


CASES = [
    case("ab,bc->ac", 3, (5, 4)),
    case("ab,bc->ac", 3, (5, 4), bias_axes="c", activation="relu"),
    case("abc,cd->abd", (3, 3), (2, 3, 4), bias_axes="d"),
    case("abc,cd->abd", (3, 5), (2, 3, 4), bias_axes="bd"),
    case("abc,cde->abde", (3, 2, 3), (2, 3, 4), bias_axes="de"),
    case("abc,cde->abde", (3, 2, 5), (2, 3, 4), bias_axes="be"),
    case("abcd,cde->abe", (3, 3), (2, 3, 4, 5), bias_axes="e"),
    case("abc,bcd->abd", (3, 5), (2, 3, 4)),
    case("...x,xy->...y", 3, (2, 3, 4), bias_axes="y"),
    case("...x,xy->...y", 3, (5, 4), bias_axes="y", activation="tanh"),
    case("...x,xyz->...yz", (2, 3), (2, 3, 3, 4), bias_axes="yz"),
    case("ab...,bc->ac...", 3, (2, 4, 3), bias_axes="c"),
    case("ab...,bc->ac...", 3, (2, 4, 3, 2)),
    case(
        "ab,bc->ac",
        3,
        (5, 4),
        bias_axes="c",
        kernel_regularizer="l2",
        kernel_constraint="max_norm",
        bias_regularizer="l2",
        activity_regularizer="l2",
    ),
]


@pytest.mark.parametrize(("name", "kwargs", "shape"), CASES)
def test_is_keras_s(same, close_to, name, kwargs, shape):
    found = same(name, shape=shape, **kwargs)
    losses = [sorted(one.item() for one in layer.losses) for layer in (found.ours, found.theirs)]
    close_to(*losses)


def test_on_more_shapes(same):
    @settings(max_examples=15, deadline=None)
    @given(st.data())
    def check(data):
        # Letters of the inputs after the batch: those kept first, those summed over last.
        kept, summed, new = (data.draw(st.integers(0, 2)) for _ in range(3))
        summed, new = max(summed, 1), max(new, 1)
        inputs, others = "bcde"[: kept + summed], "xy"[:new]
        lengths = data.draw(st.lists(st.integers(1, 4), min_size=4, max_size=4))
        sizes = data.draw(st.lists(st.integers(1, 4), min_size=2, max_size=2))[:new]
        outputs = inputs[:kept] + others
        same(
            "EinsumDense",
            equation=f"a{inputs},{inputs[kept:]}{others}->a{outputs}",
            output_shape=(*lengths[:kept], *sizes),
            bias_axes=data.draw(st.sampled_from([None, others, outputs])),
            shape=(2, *lengths[: kept + summed]),
        )

    check()


def test_its_kernel_starts_as_keras_s_does():
    # 6 inputs and 100 outputs: not what the kernel's shape (6, 10, 10) alone would say.
    limit = (6 / (6 + 100)) ** 0.5
    for of in (layers, keras.layers):
        layer = of.EinsumDense("abc,cde->abde", (None, 10, 10))
        layer.build((None, 3, 6))
        assert 0.95 * limit < abs(layer.get_weights()[0]).max() <= limit


def test_unknown_lengths_stay_unknown():
    layer = layers.EinsumDense("abc,cd->abd", (None, 3), bias_axes="d")
    theirs = keras.layers.EinsumDense("abc,cd->abd", (None, 3), bias_axes="d")
    for shape in ((None, None, 4), (None, 5, 4)):
        assert layer.compute_output_shape(shape) == theirs.compute_output_shape(shape)
    assert layer.compute_output_shape((None, None, 4)) == (None, None, 3)
    layer.build((None, None, 4))
    assert layer(torch.ones(2, 5, 4)).shape == (2, 5, 3)


@pytest.mark.parametrize(
    ("args", "shape", "message"),
    [
        (("ab,bc", 3), (5, 4), "EinsumDense: `equation` must be of the form.*'ab,bc'"),
        ((3, 3), (5, 4), "Received: equation=3"),
        (("ab,bd->ac", 3), (5, 4), "each letter of the kernel"),
        (("...b,bc->ac", 3), (5, 4), r"equation='...b,bc->ac'"),
        (("abc,cd->abd", (None, 3)), (5, 4), "other numbers of axes"),
        (("abc,cd->abd", 3), (5, 2, 4), r"output_shape=\(3,\)"),
        (("abc,cd->abd", (7, 3)), (5, 2, 4), "axis 'b' of the inputs is 2 long, and 7"),
        (("abc,cd->abd", (None, None)), (5, 2, 4), "must know the length of axis 'd'"),
        (("ab,bc->ac", 3, None, "b"), (5, 4), "bias_axes='b'"),
        (("abc,cd->abd", (None, 3), None, "b"), (5, None, 4), "of known length"),
    ],
)
def test_what_does_not_fit_is_named(args, shape, message):
    with pytest.raises(ValueError, match=message):
        layers.EinsumDense(*args).build((None, *shape[1:]))


def test_lora_and_quantization_are_refused():
    with pytest.raises(ValueError, match="lora_rank=4"):
        layers.EinsumDense("ab,bc->ac", 3, lora_rank=4)
