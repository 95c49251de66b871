"""`K` of Keras 1 and 2, against NumPy and the functions of `keras.ops`."""

import numpy as np
import pytest
import torch

from elephas_torch.keras import Model, activations, config, ops
from elephas_torch.keras import backend as K
from elephas_torch.keras.layers import Input

X = np.random.default_rng(0).normal(size=(3, 4)).astype("float32")


@pytest.fixture(autouse=True)
def restored():
    yield
    K.set_image_data_format("channels_last")


def close(tensor, expected):
    np.testing.assert_allclose(K.get_value(tensor), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", ["sum", "mean", "prod", "max", "min", "var", "std", "any", "all"])
@pytest.mark.parametrize("axis", [None, 0, (0, 1)])
@pytest.mark.parametrize("keepdims", [False, True])
def test_reductions_are_numpy_s(name, axis, keepdims):
    close(
        getattr(K, name)(X, axis=axis, keepdims=keepdims),
        getattr(np, name)(X, axis=axis, keepdims=keepdims),
    )


def test_reductions_along_keras_2_s_axes():
    close(K.argmax(X), X.argmax(-1))
    close(K.argmin(X, 0), X.argmin(0))
    close(K.cumsum(X), X.cumsum(0))
    close(K.cumprod(X, 1), X.cumprod(1))
    close(K.logsumexp(X, axis=1), np.log(np.exp(X).sum(1)))


@pytest.mark.parametrize("name", ["abs", "exp", "sign", "sin", "cos", "tanh", "square"])
def test_functions_of_elements(name):
    close(getattr(K, name)(X), getattr(np, name)(X))


def test_functions_with_keras_2_s_arguments():
    close(K.clip(X, None, 0.5), np.minimum(X, 0.5))
    close(K.clip(X, -0.5, 0.5), X.clip(-0.5, 0.5))
    close(K.sqrt(X), np.sqrt(np.maximum(X, 0)))
    close(K.pow(X, 2), X**2)
    close(K.relu(X, alpha=0.1, max_value=1.0), activations.relu(torch.from_numpy(X), 0.1, 1.0))
    close(K.elu(X, 0.5), activations.elu(torch.from_numpy(X), 0.5))
    close(K.hard_sigmoid(X), (0.2 * X + 0.5).clip(0, 1))
    close(K.l2_normalize(X), X / np.sqrt((X**2).sum()))
    close(K.l2_normalize(X, axis=1), X / np.sqrt((X**2).sum(1, keepdims=True)))
    assert K.in_top_k(X, X.argmax(1), 1).all()
    close(K.switch(torch.tensor([True, False, True]), X, 0 * X), X * [[1], [0], [1]])
    assert K.switch(False, lambda: 1, lambda: 2) == 2
    close(K.dropout(X, 0.0), X)


def test_crossentropies():
    p = K.softmax(X)
    one_hot = K.one_hot(np.array([0, 1, 2]), 4)
    classes = np.array([0, 1, 2])
    close(K.categorical_crossentropy(one_hot, p), K.sparse_categorical_crossentropy(classes, p))
    close(K.binary_crossentropy(one_hot, p), ops.binary_crossentropy(one_hot, p))


def test_shapes():
    x = np.arange(24.0, dtype="float32").reshape(2, 3, 4)
    close(K.concatenate([x, x]), np.concatenate([x, x], -1))
    close(K.expand_dims(x), x[..., None])
    close(K.flatten(x), x.ravel())
    close(K.batch_flatten(x), x.reshape(2, 12))
    close(K.permute_dimensions(x, (0, 2, 1)), x.transpose(0, 2, 1))
    close(K.repeat(X, 2), np.repeat(X[:, None], 2, 1))
    close(K.repeat_elements(x, 2, 1), np.repeat(x, 2, 1))
    close(K.reverse(x, 1), x[:, ::-1])
    close(K.gather(x, [1, 0]), x[::-1])
    close(K.temporal_padding(x, (1, 2)), np.pad(x, ((0, 0), (1, 2), (0, 0))))
    image = x[..., None]
    around = ((1, 0), (2, 1))
    close(K.spatial_2d_padding(image, around), np.pad(image, ((0, 0), *around, (0, 0))))
    first = K.spatial_2d_padding(x[:, None], around, "channels_first")
    close(first, np.pad(x[:, None], ((0, 0), (0, 0), *around)))
    volume = image[None]
    assert K.spatial_3d_padding(volume).shape == (1, 4, 5, 6, 1)
    close(K.resize_images(image, 2, 3, "channels_last"), image.repeat(2, 1).repeat(3, 2))
    assert K.resize_images(image, 2, 2, "channels_last", "bilinear").shape == (2, 6, 8, 1)


@pytest.mark.parametrize(
    ("left", "right", "axes", "einsum"),
    [
        ((2, 3, 4), (2, 4, 5), None, "bij,bjk->bik"),
        ((2, 3, 4), (2, 5, 4), 2, "bij,bkj->bik"),
        ((2, 3, 4), (2, 3), (1, 1), "bij,bi->bj"),
        ((2, 4), (2, 4, 5), (1, 1), "bj,bjk->bk"),
        ((2, 3, 4, 5), (2, 5, 6), (3, 1), "bijk,bkl->bijl"),
    ],
)
def test_products_of_rows(left, right, axes, einsum):
    x, y = np.random.default_rng(1).normal(size=left), np.random.default_rng(2).normal(size=right)
    close(K.batch_dot(x, y, axes), np.einsum(einsum, x, y))


def test_products_of_rows_of_matrices():
    close(K.batch_dot(X, X, axes=1), (X * X).sum(1, keepdims=True))
    with pytest.raises(ValueError, match=r"axes=\(1, 1\)"):
        K.batch_dot(X, X[:, :2], (1, 1))
    with pytest.raises(ValueError, match=r"shapes \(4,\)"):
        K.batch_dot(X[0], X)


def test_windows():
    x = torch.randn(2, 6, 6, 3)
    kernel = torch.randn(3, 3, 3, 4)
    close(K.conv2d(x, kernel, padding="same"), ops.conv(x, kernel, padding="same"))
    causal = K.conv1d(x[:, 0], kernel[0], padding="causal")
    close(causal[:, 0], torch.einsum("bc,cf->bf", x[:, 0, 0], kernel[0, 2]))
    assert K.conv3d(x[None], kernel[None]).shape == (1, 2, 4, 4, 4)
    depthwise = torch.randn(3, 3, 3, 1)
    assert K.depthwise_conv2d(x, depthwise).shape == (2, 4, 4, 3)
    assert K.separable_conv2d(x, depthwise, torch.randn(1, 1, 3, 5)).shape == (2, 4, 4, 5)
    close(K.pool2d(x, (2, 2)), ops.max_pool(x, 2, 1))
    close(K.pool2d(x, (2, 2), (2, 2), pool_mode="avg"), ops.average_pool(x, 2, 2))
    assert K.pool3d(x[None], (1, 2, 2)).shape == (1, 2, 5, 5, 3)
    with pytest.raises(ValueError, match="Unknown pool_mode: 'mean'"):
        K.pool2d(x, 2, pool_mode="mean")
    close(K.bias_add(x, torch.arange(3.0)), x + torch.arange(3.0))
    first = x.permute(0, 3, 1, 2)
    expected = first + torch.arange(3.0).reshape(3, 1, 1)
    close(K.bias_add(first, torch.arange(3.0), "channels_first"), expected)
    bias = torch.randn(6, 6, 3)
    close(K.bias_add(first, bias, "channels_first"), first + bias.permute(2, 0, 1))
    statistics = torch.zeros(3), torch.ones(3), torch.ones(3), 2 * torch.ones(3)
    close(K.batch_normalization(x, *statistics, epsilon=0.0), 2 * x + 1)


def test_variables():
    v = K.variable([1.0, 2.0], name="v")
    assert v.path == "v" and v.requires_grad and K.int_shape(v) == (2,) and K.count_params(v) == 2
    K.set_value(v, [3, 4])
    assert K.eval(v).tolist() == [3, 4]
    assert K.get_value(K.update_add(v, 1.0)).tolist() == [4, 5]
    assert K.get_value(K.update_sub(v, [1.0, 0.0])).tolist() == [3, 5]
    assert K.get_value(K.moving_average_update(v, 0.0, 0.5)).tolist() == [1.5, 2.5]
    K.batch_set_value([(v, np.zeros(2))])
    assert [x.tolist() for x in K.batch_get_value([v, K.ones(1)])] == [[0, 0], [1]]
    assert K.constant(2.0, shape=(2, 2)).tolist() == [[2, 2], [2, 2]]
    close(K.eye(2), np.eye(2))
    assert K.zeros((2, 3)).shape == (2, 3) and K.arange(3).dtype is torch.int32
    with pytest.raises(ValueError, match=r"Layer\.add_weight"):
        K.variable(1.0, constraint="nonneg")


def test_random_numbers():
    assert K.random_normal((2, 3), seed=1).shape == (2, 3)
    assert K.random_uniform((1000,), 2.0, 3.0).min() >= 2
    assert K.truncated_normal((1000,)).abs().max() <= 2
    assert abs(K.random_bernoulli((10000,), 0.3).mean() - 0.3) < 0.05
    assert K.random_binomial((2,), 1.0).tolist() == [1, 1]
    assert K.random_normal_variable((2,), 0, 1).requires_grad
    assert K.random_uniform_variable((2,), 5, 6).min() >= 5


def test_questions_and_casts():
    assert K.ndim(X) == 2 and K.shape(X) == (3, 4) and K.dtype(X) == "float32"
    assert K.cast_to_floatx(np.ones(2)).dtype == np.float32
    assert K.cast_to_floatx(torch.ones(2).double()).dtype is torch.float32
    assert not K.is_sparse(torch.ones(1)) and not K.is_keras_tensor(torch.ones(1))


def test_settings():
    assert K.backend() == "torch" and K.image_dim_ordering() == "tf"
    K.set_image_dim_ordering("th")
    assert config.image_data_format() == "channels_first" and K.image_dim_ordering() == "th"
    with pytest.raises(ValueError, match="Unknown dim_ordering"):
        K.set_image_dim_ordering("channels_last")
    assert K.epsilon() == 1e-7 and K.floatx() == "float32"
    with K.name_scope("part"):
        pass


def test_names_begin_anew():
    K.clear_session()
    first = K.get_uid("dense"), K.get_uid("dense")
    K.reset_uids()
    assert first == (1, 2) and K.get_uid("dense") == 1


def test_loops():
    assert K.map_fn(lambda x: x * 2, np.array([1.0, 2.0])).tolist() == [2, 4]
    assert K.foldl(lambda a, x: a * 2 + x, [1.0, 2.0, 3.0]) == 11
    assert K.foldr(lambda a, x: a * 2 + x, [1.0, 2.0, 3.0], 0.0) == 17


def test_a_functional_model_of_old_functions():
    x = Input((3, 4))
    y = K.batch_dot(K.l2_normalize(x, -1), K.permute_dimensions(x, (0, 2, 1)))
    model = Model(x, K.batch_flatten(K.bias_add(K.hard_sigmoid(y), np.ones(3, "float32"))))
    data = np.random.default_rng(0).normal(size=(2, 3, 4)).astype("float32")
    unit = data / np.sqrt((data**2).sum(-1, keepdims=True))
    expected = (0.2 * unit @ data.transpose(0, 2, 1) + 0.5).clip(0, 1) + 1
    close(model(torch.from_numpy(data)), expected.reshape(2, 9))


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("function", r"Make Model\(inputs, outputs\)"),
        ("gradients", r"torch\.autograd\.grad"),
        ("learning_phase", "training=True"),
        ("set_learning_phase", "training=True"),
        ("get_session", "no sessions"),
        ("placeholder", r"keras\.Input"),
        ("meann", "Did you mean 'mean'"),
    ],
)
def test_what_is_not_there_says_what_to_use(name, says):
    with pytest.raises(AttributeError, match=says):
        getattr(K, name)
