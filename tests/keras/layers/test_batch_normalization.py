import keras
import numpy as np
import pytest
import torch

from elephas_torch.keras import layers

CASES = [
    *(
        ("BatchNormalization", {"axis": axis}, shape)
        for shape, axis in [
            ((8, 4), -1),
            ((6, 5, 4), -1),
            ((6, 5, 4), 1),
            ((3, 4, 5, 2), -1),
            ((3, 4, 5, 2), 1),
            ((3, 4, 5, 2), 2),
            ((1, 4), -1),
        ]
    ),
    *(
        ("BatchNormalization", kwargs, (6, 3, 3, 4))
        for kwargs in [
            {"center": False},
            {"scale": False},
            {"center": False, "scale": False},
            {"momentum": 0.5, "epsilon": 1e-5},
            {"momentum": 0.0},
            {"momentum": 1.0},
            {"gamma_regularizer": "l2", "beta_constraint": "non_neg"},
        ]
    ),
]


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize(("name", "kwargs", "shape"), CASES)
def test_is_keras_s(same, name, kwargs, shape, training):
    same(name, shape=shape, training=training, **kwargs)


MASKED = [((4, 3, 5), {}), ((4, 3, 2, 5), {"momentum": 0.5}), ((4, 3, 5), {"scale": False})]


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize(
    ("shape", "kwargs"), [*MASKED, ((4, 3, 5), {"center": False}), ((4, 5), {})]
)
def test_masked_steps_do_not_count_as_in_keras(shape, kwargs, training, close_to):
    rng = np.random.default_rng(0)
    x = torch.tensor(rng.normal(size=shape), dtype=torch.float32, requires_grad=True)
    mask = torch.tensor(rng.random(shape[:-1]) > 0.4)
    ours, theirs = (of.BatchNormalization(**kwargs) for of in (layers, keras.layers))
    for layer in (ours, theirs):
        layer.build((None, *shape[1:]))
    theirs.set_weights([abs(rng.normal(size=5)) + 0.1 for _ in theirs.weights])
    ours.set_weights(theirs.get_weights())
    results = [layer(x, mask=mask, training=training) for layer in (ours, theirs)]
    close_to(*(one.detach() for one in results))
    cotangent = torch.tensor(rng.normal(size=shape), dtype=torch.float32)
    weights = [ours.trainable_weights, [w.value for w in theirs.trainable_weights]]
    back = [
        torch.autograd.grad((y * cotangent).sum(), [x, *ws])
        for y, ws in zip(results, weights, strict=True)
    ]
    for mine, other in zip(*back, strict=True):
        close_to(mine, other)
    for mine, other in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        close_to(mine, other)


def test_the_inputs_own_mask_counts_and_goes_on():
    x = torch.randn(4, 3, 2)
    x[:, 2] = 0
    layer = layers.BatchNormalization(momentum=0.0)
    outputs = layer(layers.Masking()(x), training=True)
    assert layer.moving_mean.tolist() == pytest.approx(x[:, :2].mean((0, 1)).tolist(), abs=1e-6)
    assert outputs._keras_mask.tolist() == [[True, True, False]] * 4


def test_a_mask_of_another_rank_is_an_error():
    layer = layers.BatchNormalization(name="b")
    with pytest.raises(ValueError, match=r"'b' .*one axis less.*\(4,\).*\(4, 3, 2\)"):
        layer(torch.randn(4, 3, 2), mask=torch.ones(4) > 0, training=True)


def test_in_mixed_precision_statistics_stay_exact():
    x = torch.randn(8, 3, 4)
    plain, mixed = (layers.BatchNormalization(dtype=d) for d in ("float32", "mixed_bfloat16"))
    expected, result = plain(x, training=True), mixed(x, training=True)
    assert result.dtype == torch.bfloat16
    assert mixed.moving_mean.dtype == torch.float32
    assert torch.allclose(result.float(), expected, atol=0.05)
    assert torch.allclose(mixed.moving_mean, plain.moving_mean, atol=1e-3)


def batches(offset):
    generator = torch.Generator().manual_seed(1)
    scale = torch.tensor([1e-3, 1.0, 50.0])
    return [torch.randn(16, 3, generator=generator) * scale + offset * i for i in range(20)]


def test_moving_statistics_follow_as_in_keras_over_many_steps():
    ours = layers.BatchNormalization(momentum=0.9)
    theirs = keras.layers.BatchNormalization(momentum=0.9)
    for x in batches(0.0):
        ours(x, training=True)
        theirs(x, training=True)
    for mine, other in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        np.testing.assert_allclose(mine, other, rtol=1e-5)


def test_moving_variance_is_exact_far_from_zero_too():
    # Keras's mean of squares minus square of mean loses its digits here.
    layer, expected = layers.BatchNormalization(momentum=0.9), np.ones(3)
    for x in batches(1.0):
        layer(x, training=True)
        expected = 0.9 * expected + 0.1 * x.double().numpy().var(0)
    np.testing.assert_allclose(layer.get_weights()[3], expected, rtol=1e-5)


def test_two_forward_passes_before_a_backward_pass():
    layer = layers.BatchNormalization()
    x = torch.randn(8, 3, requires_grad=True)
    y = layer(x, training=True)
    layer(x * 2, training=True)
    (gradient,) = torch.autograd.grad((y * y).sum(), x)
    z = layer(x, training=True)
    assert torch.allclose(gradient, torch.autograd.grad((z * z).sum(), x)[0])


def test_a_constant_channel_has_variance_zero():
    layer = layers.BatchNormalization(momentum=0.0)
    y = layer(torch.full((8, 3), 5.0), training=True)
    assert layer.moving_variance.min() >= 0
    assert layer.moving_variance.max() < 1e-8
    assert y.abs().max() < 1e-3


def test_weights_in_keras_s_order():
    layer = layers.BatchNormalization()
    layer.build((None, 3))
    assert list(layer.state_dict()) == ["gamma", "beta", "moving_mean", "moving_variance"]
    assert [w is v for w, v in zip(layer.trainable_weights, layer.weights[:2], strict=True)] == [
        True
    ] * 2
    assert len(layer.non_trainable_weights) == 2


def test_moving_statistics_can_lie_in_a_vector():
    layer = layers.BatchNormalization(momentum=0.0)
    layer.build((None, 2))
    vector = torch.zeros(4)
    layer.moving_mean.data, layer.moving_variance.data = vector[:2], vector[2:]
    layer(torch.tensor([[0.0, 1.0], [2.0, 5.0]]), training=True)
    assert vector.tolist() == pytest.approx([1.0, 3.0, 1.0, 4.0], rel=1e-4)


def test_frozen_it_infers_and_keeps_its_statistics():
    layer = layers.BatchNormalization()
    x = torch.randn(8, 3) * 4 + 1
    layer(x, training=True)
    before = layer.get_weights()
    layer.trainable = False
    assert torch.equal(layer(x, training=True), layer(x, training=False))
    for mine, other in zip(layer.get_weights(), before, strict=True):
        assert np.array_equal(mine, other)
    theirs = keras.layers.BatchNormalization()
    theirs.build((None, 3))
    theirs.set_weights(before)
    theirs.trainable = False
    np.testing.assert_allclose(
        layer(x, training=True).detach(), theirs(x, training=True).detach(), rtol=1e-5
    )


def test_at_rest_it_keeps_its_statistics():
    layer = layers.BatchNormalization()
    layer.build((None, 3))
    before = layer.get_weights()
    layer(torch.randn(8, 3), training=False)
    for mine, other in zip(layer.get_weights(), before, strict=True):
        assert np.array_equal(mine, other)


def test_initializers_start_the_weights():
    layer = layers.BatchNormalization(
        beta_initializer="ones",
        gamma_initializer="zeros",
        moving_mean_initializer="ones",
        moving_variance_initializer="zeros",
    )
    layer.build((None, 2))
    assert [w.tolist() for w in layer.get_weights()] == [[0, 0], [1, 1], [1, 1], [0, 0]]


def test_keras_2_wrote_the_axis_as_a_list():
    assert layers.BatchNormalization(axis=[3]).axis == 3


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"momentum": 2}, "momentum=2"),
        ({"epsilon": 0}, "epsilon=0"),
        ({"axis": 0}, "axis=0"),
        ({"axis": (1, 2)}, r"axis=\(1, 2\)"),
        ({"renorm": True}, "renorm=True"),
        ({"synchronized": True}, "synchronized=True"),
        ({"gamma_regularizer": "l3"}, "Unknown regularizer: 'l3'"),
    ],
)
def test_bad_arguments_are_named(kwargs, message):
    with pytest.raises(ValueError, match=message):
        layers.BatchNormalization(**kwargs)


def test_shapes_that_do_not_fit_name_the_layer():
    with pytest.raises(ValueError, match=r"'b' \(BatchNormalization\).*no axis 3"):
        layers.BatchNormalization(axis=3, name="b").build((None, 4))
    layer = layers.BatchNormalization()
    layer.build((None, 4))
    for training in (False, True):
        with pytest.raises(ValueError, match=r"\(None, 4\). Received: inputs of shape \(2, 5\)"):
            layer(torch.ones(2, 5), training=training)
