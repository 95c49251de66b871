import keras
import numpy as np
import pytest
import torch

from elephas_torch.keras import layers

CASES = [
    ("LayerNormalization", {}, (3, 4)),
    ("LayerNormalization", {"axis": [1, 2]}, (2, 3, 4)),
    ("LayerNormalization", {"axis": [-1, -2]}, (2, 3, 3, 4)),
    ("LayerNormalization", {"axis": (1, 3)}, (2, 3, 2, 4)),
    ("LayerNormalization", {"scale": False, "epsilon": 1e-5}, (2, 3, 4)),
    ("LayerNormalization", {"rms_scaling": True}, (2, 3, 4)),
    ("LayerNormalization", {"rms_scaling": True, "axis": 1, "scale": False}, (2, 3, 4)),
    (
        "LayerNormalization",
        {"gamma_regularizer": "l2", "beta_constraint": "max_norm", "gamma_constraint": "non_neg"},
        (3, 4),
    ),
    ("RMSNormalization", {}, (3, 4)),
    ("RMSNormalization", {"axis": [1, 2]}, (2, 3, 4)),
    ("UnitNormalization", {}, (3, 4)),
    ("UnitNormalization", {"axis": 1}, (2, 3, 4)),
    ("UnitNormalization", {"axis": [1, 2]}, (2, 3, 4)),
    ("UnitNormalization", {"axis": (1, -1)}, (2, 3, 3, 4)),
    ("GroupNormalization", {"groups": 2}, (3, 10)),
    ("GroupNormalization", {"groups": 2}, (2, 5, 4)),
    ("GroupNormalization", {"groups": 3}, (2, 3, 2, 6)),
    ("GroupNormalization", {"groups": 3, "axis": 1}, (2, 6, 3, 2)),
    ("GroupNormalization", {"groups": 2, "axis": -2}, (2, 3, 4, 2)),
    ("GroupNormalization", {"groups": -1}, (2, 3, 4)),
    ("GroupNormalization", {"groups": 1, "center": False}, (2, 3, 4)),
    ("GroupNormalization", {"groups": 2, "scale": False, "epsilon": 1e-5}, (2, 5, 6)),
    (
        "GroupNormalization",
        {"groups": 2, "beta_regularizer": "l2", "gamma_constraint": "unit_norm"},
        (2, 3, 4),
    ),
]


@pytest.mark.filterwarnings("ignore:You passed `rms_scaling:UserWarning")
@pytest.mark.parametrize(("name", "kwargs", "shape"), CASES)
def test_is_keras_s(same, name, kwargs, shape):
    same(name, shape=shape, **kwargs)


# Keras's torch backend can't normalize along an axis in the midst, so it does along the last.
@pytest.mark.parametrize(
    ("name", "kwargs"),
    [
        ("LayerNormalization", {}),
        ("LayerNormalization", {"center": False, "epsilon": 0.1}),
        ("LayerNormalization", {"scale": False}),
        ("RMSNormalization", {}),
    ],
)
def test_an_axis_in_the_midst_is_as_the_last_one_moved(name, kwargs, close_to):
    theirs, ours = getattr(keras.layers, name)(**kwargs), getattr(layers, name)(axis=1, **kwargs)
    x = torch.randn(2, 5, 3, requires_grad=True)
    theirs.build((None, 3, 5))
    ours.build((None, 5, 3))
    theirs.set_weights([np.linspace(0.5, 2, 5, dtype="float32")] * len(theirs.weights))
    ours.set_weights(theirs.get_weights())
    result, expected = ours(x), theirs(x.swapaxes(1, 2)).swapaxes(1, 2)
    close_to(result.detach(), expected.detach())
    cotangent = torch.randn(2, 5, 3)
    tensors = [(result, ours.weights), (expected, [w.value for w in theirs.weights])]
    back = [torch.autograd.grad((y * cotangent).sum(), [x, *ws]) for y, ws in tensors]
    for mine, other in zip(*back, strict=True):
        close_to(mine, other)


@pytest.mark.parametrize("name", ["LayerNormalization", "UnitNormalization", "GroupNormalization"])
def test_masks_go_on(name):
    masked = layers.Masking()(torch.ones(2, 3, 32))
    assert torch.equal(getattr(layers, name)()(masked)._keras_mask, masked._keras_mask)


def test_a_mask_ends_at_rms_normalization_as_in_keras():
    with pytest.warns(UserWarning, match=r"\(RMSNormalization\) knows nothing of masks"):
        outputs = layers.RMSNormalization()(layers.Masking()(torch.ones(2, 3, 4)))
    assert not hasattr(outputs, "_keras_mask")


def test_unit_normalization_of_zeros_is_zero_with_finite_gradients():
    x = torch.zeros(2, 3, requires_grad=True)
    y = layers.UnitNormalization()(x)
    y.sum().backward()
    assert y.abs().max() == 0
    assert torch.isfinite(x.grad).all()


@pytest.mark.parametrize("name", ["LayerNormalization", "GroupNormalization", "RMSNormalization"])
def test_in_mixed_precision_outputs_are_short_and_near(name):
    kwargs = {"groups": 2} if name == "GroupNormalization" else {}
    x = torch.randn(2, 3, 4)
    plain, mixed = (
        getattr(layers, name)(dtype=one, **kwargs) for one in ("float32", "mixed_bfloat16")
    )
    expected, result = plain(x), mixed(x)
    assert result.dtype == torch.bfloat16
    assert mixed.weights[0].dtype == torch.float32
    assert torch.allclose(result.float(), expected, atol=0.05)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: layers.LayerNormalization(axis="last"), "LayerNormalization: `axis` must be"),
        (lambda: layers.LayerNormalization(axis=[]), r"axis=\[\]"),
        (lambda: layers.LayerNormalization(epsilon=0), "LayerNormalization: `epsilon`"),
        (lambda: layers.LayerNormalization(axis=3).build((None, 4)), "no axis 3"),
        (lambda: layers.LayerNormalization().build((None, None)), "must know the length"),
        (lambda: layers.UnitNormalization(axis=2)(torch.ones(2, 3)), "no axis 2"),
        (lambda: layers.RMSNormalization(axis=None), "RMSNormalization: `axis`"),
        (lambda: layers.GroupNormalization(0), "GroupNormalization: `groups`"),
        (lambda: layers.GroupNormalization(2, axis=0), "GroupNormalization: `axis`"),
        (lambda: layers.GroupNormalization(2, axis=2).build((None, 4)), "no axis 2 beside"),
        (
            lambda: layers.GroupNormalization(3, name="g").build((None, 4)),
            r"'g' \(GroupNormalization\): .* multiple of `groups`.*groups=3 and 4 channels",
        ),
        (lambda: layers.GroupNormalization().build((None, 4)), "groups=32 and 4 channels"),
    ],
)
def test_bad_arguments_are_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_shapes_that_do_not_fit_name_the_layer():
    for layer in (layers.LayerNormalization(name="n"), layers.GroupNormalization(2, name="n")):
        layer.build((None, 4))
        with pytest.raises(ValueError, match=r"Layer 'n' .*\(None, 4\). Received.*\(2, 6\)"):
            layer(torch.ones(2, 6))


@pytest.mark.parametrize("taken", [True, False])
def test_groups_of_rows_whose_channels_lie_last(taken):
    """Rows take no gradient; torch by itself would end the process here."""
    layer = layers.GroupNormalization(2)
    x = torch.randn(3, 4, 4, 2, requires_grad=taken)
    layer(x).square().sum().backward()
    normed = (x.detach() - x.detach().mean((1, 2), keepdim=True)).pow(2)
    scaled = normed / (x.detach().var((1, 2), correction=0, keepdim=True) + layer.epsilon)
    torch.testing.assert_close(layer.gamma.grad, 2 * scaled.sum((0, 1, 2)))
