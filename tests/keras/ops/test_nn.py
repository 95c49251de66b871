"""What layers are made of, against Keras 3's."""

import keras
import pytest
import torch

from elephas_torch.keras import config, ops

ACTIVATIONS = [
    "celu", "elu", "gelu", "hard_shrink", "hard_sigmoid", "hard_silu", "hard_swish",
    "hard_tanh", "leaky_relu", "log_sigmoid", "log_softmax", "relu", "relu6", "selu", "sigmoid",
    "silu", "soft_shrink", "softmax", "softplus", "softsign", "sparse_plus", "sparse_sigmoid",
    "squareplus", "swish", "tanh", "tanh_shrink", "glu",
]  # fmt: skip


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations(same, name):
    same(name, torch.randn(3, 4) * 3)
    same(f"nn.{name}" if name != "tanh" else name, torch.randn(3, 4))


def test_arguments_of_activations(same):
    x = torch.randn(3, 4)
    same("gelu", x, False)
    same("threshold", x, 0.1, -1.0)
    same("softmax", x, 0)
    same("elu", x, alpha=0.3)


@pytest.mark.parametrize("axis", [-1, 0, 1])
def test_one_hot(same, axis):
    same("one_hot", torch.tensor([[0, 2], [-1, 1]]), 3, axis, dtypes=False)
    assert ops.one_hot([0, 2], 3).dtype is torch.float32
    assert ops.one_hot([0, 5], 3, dtype="int32").tolist() == [[1, 0, 0], [0, 0, 0]]


def test_multi_hot(same):
    same("multi_hot", torch.tensor([[0, 2], [1, 1]]), 3, dtypes=False)
    same("multi_hot", torch.tensor([0, 2]), 4, dtypes=False)
    for call in (ops.one_hot, ops.multi_hot):
        with pytest.raises(ValueError, match="sparse=True"):
            call([0], 2, sparse=True)


@pytest.mark.parametrize("order", [1, 2, 3])
@pytest.mark.parametrize("axis", [-1, 0, (0, 1)])
def test_normalize(same, order, axis):
    if order < 3 or axis != (0, 1):  # of a matrix there is no norm of order 3
        same("normalize", torch.randn(3, 4), axis, order)
    same("normalize", torch.zeros(3, 4), -1, order, differentiate=False)


def test_an_order_that_is_none():
    with pytest.raises(ValueError, match="order=0"):
        ops.normalize([1.0], order=0)


@pytest.mark.parametrize("axis", [-1, 1])
def test_batch_normalization(same, axis):
    n = 5 if axis == -1 else 4
    mean, variance, offset, scale = (
        torch.randn(n),
        torch.rand(n) + 0.1,
        torch.randn(n),
        torch.rand(n),
    )
    x = torch.randn(3, 4, 5)
    same("batch_normalization", x, mean, variance, axis, differentiate=False)
    same("batch_normalization", x, mean, variance, axis, offset, scale, 0.1, differentiate=False)


@pytest.mark.parametrize("axis", [-1, (1, 2), 1])
def test_layer_and_rms_normalization(same, axis):
    lengths = {-1: (5,), (1, 2): (4, 5), 1: (4,)}[axis]
    x, gamma, beta = torch.randn(3, 4, 5), torch.randn(lengths), torch.randn(lengths)
    if axis != 1:
        same("layer_normalization", x, axis=axis, epsilon=1e-3, atol=1e-5)
        same("layer_normalization", x, gamma, beta, axis, 1e-3, atol=1e-5)
        same("rms_normalization", x, gamma, axis, 1e-3, atol=1e-5)
        same("rms_normalization", x, axis=axis, atol=1e-5)
        return
    for ours in (ops.layer_normalization, ops.rms_normalization):  # Keras on torch fails there
        rest = (beta,) if ours is ops.layer_normalization else ()
        last = ours(x.movedim(1, -1), gamma, *rest, axis=-1)
        torch.testing.assert_close(ours(x, gamma, *rest, axis=1), last.movedim(-1, 1))


@pytest.mark.parametrize("heads", [4, 2, 1])
@pytest.mark.parametrize("causal", [False, True])
def test_attention(same, heads, causal):
    query, key, value = (
        torch.randn(2, 3, 4, 5),
        torch.randn(2, 3, heads, 5),
        torch.randn(2, 3, heads, 6),
    )
    given = [query, key, value]
    if heads == 1:
        given[1:] = [one.expand(-1, -1, 4, -1) for one in given[1:]]
    same("dot_product_attention", *given, is_causal=causal)
    mask = torch.rand(2, 4, 3, 3) > 0.4
    mask[0, 0, 0] = False
    same("dot_product_attention", *given, mask=mask, scale=0.3, is_causal=causal)
    if not causal:
        same("dot_product_attention", *given, bias=torch.randn(2, 4, 3, 3))


def test_soft_caps_of_attention():
    q, k, v = (torch.randn(2, 3, 1, 5) for _ in range(3))
    logits = 2 * torch.tanh(torch.einsum("bqhf,bkhf->bhqk", q, k) / 5**0.5 / 2)
    expected = torch.einsum("bhqk,bkhf->bqhf", logits.softmax(-1), v)
    found = ops.dot_product_attention(q, k, v, attn_logits_soft_cap=2.0)
    torch.testing.assert_close(found, expected)
    with pytest.raises(ValueError, match=r"shapes \(2, 3\)"):
        ops.dot_product_attention(q[:, :, 0, 0], k, v)


@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
def test_depth_and_space(same, data_format):
    x = torch.randn(2, 4, 6, 8) if data_format == "channels_last" else torch.randn(2, 8, 4, 6)
    same("depth_to_space", x, 2, data_format)
    same("space_to_depth", x, 2, data_format)
    found = ops.depth_to_space(ops.space_to_depth(x, 2, data_format), 2, data_format)
    assert torch.equal(found, x)


def test_images_and_their_windows(same):
    x = torch.randn(2, 3, 6, 5)
    same("unfold", x, (2, 3), stride=2)
    same("fold", torch.randn(2, 12, 4), (4, 4), 2, stride=2)
    same("psnr", x, torch.randn(2, 3, 6, 5), 2.0)
    same("polar", torch.rand(3), torch.rand(3), differentiate=False)
    with pytest.raises(ValueError, match="psnr"):
        ops.psnr(x, x[:1], 1.0)


def test_epsilon_is_the_global_one(same):
    config.set_epsilon(0.3)
    keras.config.set_epsilon(0.3)
    try:
        same("binary_crossentropy", torch.rand(9), torch.rand(9))
        same("normalize", torch.randn(3, 4) / 9)
    finally:
        config.set_epsilon(1e-7)
        keras.config.set_epsilon(1e-7)
