import keras
import numpy as np
import pytest
import torch

from elephas_torch.keras import layers

CASES = [
    ("ReLU", {}, (3, 4)),
    ("ReLU", {"max_value": 0.5}, (3, 4)),
    ("ReLU", {"max_value": 1.0, "negative_slope": 0.2, "threshold": 0.3}, (2, 3, 4)),
    ("LeakyReLU", {}, (3, 4)),
    ("LeakyReLU", {"negative_slope": 0.05}, (2, 3, 4)),
    ("ELU", {}, (3, 4)),
    ("ELU", {"alpha": 0.4}, (2, 3, 4)),
    ("Softmax", {}, (3, 4)),
    ("Softmax", {"axis": 1}, (2, 3, 4)),
    ("Softmax", {"axis": [1, 2]}, (2, 3, 4)),
    ("Softmax", {"axis": [2]}, (2, 3, 4)),
    ("PReLU", {}, (3, 4)),
    ("PReLU", {"alpha_initializer": "ones", "alpha_regularizer": "l2"}, (2, 3, 4)),
    ("PReLU", {"shared_axes": [1, 2], "alpha_constraint": "non_neg"}, (2, 3, 3, 4)),
    ("PReLU", {"shared_axes": 1}, (2, 3, 4)),
]


@pytest.mark.parametrize(("name", "kwargs", "shape"), CASES)
def test_is_keras_s(same, name, kwargs, shape):
    same(name, shape=shape, **kwargs)


@pytest.mark.parametrize("name", ["ReLU", "LeakyReLU", "ELU", "PReLU", "ThresholdedReLU"])
def test_masks_go_on(name):
    masked = layers.Masking()(torch.ones(2, 3, 4))
    outputs = getattr(layers, name)()(masked)
    assert torch.equal(outputs._keras_mask, masked._keras_mask)


def test_thresholded_relu_keeps_what_is_above_theta():
    x = torch.tensor([-2.0, 0.5, 1.0, 1.5])
    assert layers.ThresholdedReLU()(x).tolist() == [0.0, 0.0, 0.0, 1.5]
    layer = layers.ThresholdedReLU(theta=0.4)
    assert layer(x).tolist() == pytest.approx([0.0, 0.5, 1.0, 1.5])
    assert layers.ThresholdedReLU.from_config(layer.get_config()).theta == 0.4
    assert layer.compute_output_shape((None, 4)) == (None, 4)


@pytest.mark.parametrize("axis", [-1, 1, [1, 2]])
@pytest.mark.parametrize("kind", ["bool", "float32"])
def test_softmax_leaves_masked_places_out_as_keras_does(axis, kind, close_to):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(2, 3, 4)).astype("float32")
    mask = (rng.random((2, 3, 4)) > 0.4).astype(kind)
    ours = layers.Softmax(axis=axis)(torch.tensor(x), mask=torch.tensor(mask))
    close_to(ours, keras.layers.Softmax(axis=axis)(x, mask=mask))
    assert ours[~torch.tensor(mask).bool()].abs().max() == 0


def test_softmax_of_a_mask_that_does_not_fit_is_an_error():
    with pytest.raises(ValueError, match=r"'s' \(Softmax\): the mask must broadcast.*\(3, 2\)"):
        layers.Softmax(name="s")(torch.ones(2, 4), mask=torch.ones(3, 2) > 0)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: layers.ReLU(max_value=-1), "ReLU: `max_value` must be a number, 0 or more"),
        (lambda: layers.ReLU(negative_slope=None), "Received: negative_slope=None"),
        (lambda: layers.ReLU(threshold=-0.5), "Received: threshold=-0.5"),
        (lambda: layers.LeakyReLU(-0.1), "Received: negative_slope=-0.1"),
        (lambda: layers.ELU("a"), "ELU: `alpha` must be a number. Received: alpha='a'"),
        (lambda: layers.ThresholdedReLU(-1), "Received: theta=-1"),
        (lambda: layers.Softmax(axis=1.5), "Softmax: `axis` must be the number of an axis"),
        (lambda: layers.PReLU(shared_axes="all"), "Received: shared_axes='all'"),
        (lambda: layers.PReLU(shared_axes=3).build((None, 4)), r"no axis 3.*inputs of 2 axes"),
        (lambda: layers.PReLU(shared_axes=0).build((None, 4)), "no axis 0 beside the batch"),
        (lambda: layers.PReLU().build((None, None)), "must know the length of axis 1"),
    ],
)
def test_bad_arguments_are_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_prelu_shares_along_unknown_lengths():
    layer = layers.PReLU(shared_axes=[1])
    layer.build((None, None, 3))
    assert layer.alpha.shape == (1, 3)
    assert layer(torch.ones(2, 5, 3)).shape == (2, 5, 3)
    with pytest.raises(ValueError, match=r"expects inputs of shape \(None, None, 3\)"):
        layer(torch.ones(2, 5, 4))
