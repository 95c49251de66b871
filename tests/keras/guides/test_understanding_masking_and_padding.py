"""Programs like those of https://keras.io/guides/understanding_masking_and_padding/"""

import numpy as np
import pytest
import torch

RAW_INPUTS = [[711, 632, 71], [73, 8, 3215, 55, 927], [83, 91, 1, 645, 1253, 927]]
MASK = [
    [True, True, True, False, False, False],
    [True, True, True, True, True, False],
    [True, True, True, True, True, True],
]


def pad(keras, **options):
    return keras.utils.pad_sequences(RAW_INPUTS, **options)


def test_padding(keras):
    assert pad(keras, padding="post").tolist() == [
        [711, 632, 71, 0, 0, 0],
        [73, 8, 3215, 55, 927, 0],
        [83, 91, 1, 645, 1253, 927],
    ]
    assert pad(keras)[0].tolist() == [0, 0, 0, 711, 632, 71]
    assert pad(keras, maxlen=2, truncating="post", value=-1)[1].tolist() == [73, 8]


def test_masks_of_an_embedding(keras, layers):
    embedding = layers.Embedding(input_dim=5000, output_dim=16, mask_zero=True)
    masked_output = embedding(pad(keras, padding="post"))
    assert masked_output._keras_mask.tolist() == MASK


def masked_embedding(keras, layers):
    masking_layer = layers.Masking()
    unmasked_embedding = keras.ops.cast(
        keras.ops.tile(keras.ops.expand_dims(pad(keras, padding="post"), axis=-1), [1, 1, 10]),
        dtype="float32",
    )
    return masking_layer(unmasked_embedding)


def test_masks_of_a_masking_layer(keras, layers):
    assert masked_embedding(keras, layers)._keras_mask.tolist() == MASK


@pytest.mark.parametrize("form", ["sequential", "functional"])
def test_masks_go_through_a_model(keras, layers, form):
    if form == "sequential":
        model = keras.Sequential(
            [layers.Embedding(input_dim=5000, output_dim=16, mask_zero=True), layers.LSTM(32)]
        )
    else:
        inputs = keras.Input(shape=(None,), dtype="int32")
        x = layers.Embedding(input_dim=5000, output_dim=16, mask_zero=True)(inputs)
        outputs = layers.LSTM(32)(x)
        model = keras.Model(inputs, outputs)
    padded = model(pad(keras, padding="post"))
    assert tuple(padded.shape) == (3, 32)
    # Padding changes nothing: the sequence alone gives the same.
    alone = model(np.array(RAW_INPUTS[:1]))
    torch.testing.assert_close(padded[:1], alone)


def test_masks_given_to_a_layer(keras, layers):
    class MyLayer(layers.Layer):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            self.embedding = layers.Embedding(input_dim=5000, output_dim=16, mask_zero=True)
            self.lstm = layers.LSTM(32)

        def call(self, inputs):
            x = self.embedding(inputs)
            mask = self.embedding.compute_mask(inputs)
            return self.lstm(x, mask=mask)

    layer = MyLayer()
    x = np.random.default_rng(0).random((32, 10)) * 100
    y = layer(x.astype("int32"))
    assert tuple(y.shape) == (32, 32)
    padded, alone = layer(pad(keras, padding="post"))[:1], layer(np.array(RAW_INPUTS[:1]))
    torch.testing.assert_close(padded, alone)


def test_a_layer_that_splits_masks(keras, layers):
    class TemporalSplit(layers.Layer):
        def call(self, inputs):
            return keras.ops.split(inputs, 2, axis=1)

        def compute_mask(self, inputs, mask=None):
            if mask is None:
                return None
            return keras.ops.split(mask, 2, axis=1)

    first_half, second_half = TemporalSplit()(masked_embedding(keras, layers))
    assert first_half._keras_mask.tolist() == [row[:3] for row in MASK]
    assert second_half._keras_mask.tolist() == [row[3:] for row in MASK]


def test_a_layer_that_makes_masks(keras, layers):
    class CustomEmbedding(layers.Layer):
        def __init__(self, input_dim, output_dim, mask_zero=False, **kwargs):
            super().__init__(**kwargs)
            self.input_dim = input_dim
            self.output_dim = output_dim
            self.mask_zero = mask_zero

        def build(self, input_shape):
            self.embeddings = self.add_weight(
                shape=(self.input_dim, self.output_dim),
                initializer="random_normal",
                dtype="float32",
            )

        def call(self, inputs):
            inputs = keras.ops.cast(inputs, "int32")
            return keras.ops.take(self.embeddings, inputs, axis=0)

        def compute_mask(self, inputs, mask=None):
            if not self.mask_zero:
                return None
            return keras.ops.not_equal(inputs, 0)

    layer = CustomEmbedding(10, 32, mask_zero=True)
    x = np.random.default_rng(0).random((3, 10)) * 9
    x = x.astype("int32")
    y = layer(x)
    mask = layer.compute_mask(x)
    assert mask.tolist() == (x != 0).tolist()
    assert y._keras_mask.tolist() == mask.tolist()
    assert CustomEmbedding(10, 32).compute_mask(x) is None


def test_a_layer_that_hands_masks_on(keras, layers):
    class MyActivation(layers.Layer):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            self.supports_masking = True

        def call(self, inputs):
            return keras.ops.relu(inputs)

    inputs = keras.Input(shape=(None,), dtype="int32")
    x = layers.Embedding(input_dim=5000, output_dim=16, mask_zero=True)(inputs)
    x = MyActivation()(x)
    outputs = layers.LSTM(32)(x)
    model = keras.Model(inputs, outputs)
    padded, alone = model(pad(keras, padding="post"))[:1], model(np.array(RAW_INPUTS[:1]))
    torch.testing.assert_close(padded, alone)

    output = MyActivation()(masked_embedding(keras, layers))
    assert output._keras_mask.tolist() == MASK


@pytest.fixture
def softmax(keras, layers):
    class TemporalSoftmax(layers.Layer):
        def call(self, inputs, mask=None):
            assert mask is not None
            broadcast_float_mask = keras.ops.expand_dims(keras.ops.cast(mask, "float32"), -1)
            inputs_exp = keras.ops.exp(inputs) * broadcast_float_mask
            inputs_sum = keras.ops.sum(inputs_exp * broadcast_float_mask, axis=1, keepdims=True)
            return inputs_exp / inputs_sum

    return TemporalSoftmax()


def test_a_layer_that_needs_masks(keras, layers, softmax):
    model = keras.Sequential(
        [layers.Embedding(input_dim=10, output_dim=32, mask_zero=True), layers.Dense(1), softmax]
    )
    x = np.random.default_rng(0).integers(0, 10, size=(32, 10))
    y = keras.ops.convert_to_numpy(model(x))[..., 0]
    np.testing.assert_allclose(y.sum(1), 1, rtol=1e-5)
    assert ((y == 0) == (x == 0)).all()


def test_a_layer_that_needs_masks_in_a_functional_model(keras, layers, softmax):
    inputs = keras.Input(shape=(None,), dtype="int32")
    x = layers.Embedding(input_dim=10, output_dim=32, mask_zero=True)(inputs)
    x = layers.Dense(1)(x)
    outputs = softmax(x)
    model = keras.Model(inputs, outputs)
    x = np.random.default_rng(0).integers(0, 10, size=(32, 10))
    y = keras.ops.convert_to_numpy(model(x))[..., 0]
    assert ((y == 0) == (x == 0)).all()


def test_masked_steps_are_left_out_of_the_loss(keras, layers):
    model = keras.Sequential(
        [layers.Masking(), layers.Dense(1, kernel_initializer="ones", use_bias=False)]
    )
    x = np.ones((1, 4, 1), "float32")
    x[:, 2:] = 0
    model.compile("sgd", "mse")
    # The two steps that count have an error of 2 each; Keras takes the mean over them.
    y = np.full((1, 4, 1), 3.0, "float32")
    assert model.evaluate(x, y, verbose=0) == pytest.approx(4.0)
