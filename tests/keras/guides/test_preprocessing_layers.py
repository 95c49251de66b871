"""Programs like those of https://keras.io/guides/preprocessing_layers/

Without its texts: `TextVectorization`, `StringLookup`, `IntegerLookup` and `Hashing` need
TensorFlow in Keras, and aren't there in this package."""

import numpy as np
import pytest
import torch

DATA = np.array([[0.1, 0.2, 0.3], [0.8, 0.9, 1.0], [1.5, 1.6, 1.7]], "float32")


def numpy(keras, x):
    return keras.ops.convert_to_numpy(x)


def test_adapting(keras, layers):
    layer = layers.Normalization()
    layer.adapt(DATA)
    normalized_data = numpy(keras, layer(DATA))
    assert normalized_data.mean() == pytest.approx(0, abs=1e-5)
    assert normalized_data.std() == pytest.approx(1, rel=1e-4)
    assert layer.trainable_weights == []


def test_a_state_known_beforehand(keras, layers):
    layer = layers.Normalization(mean=[0.0, 1.0, 2.0], variance=[1.0, 4.0, 9.0])
    expected = (DATA - [0, 1, 2]) / [1, 2, 3]
    np.testing.assert_allclose(numpy(keras, layer(DATA)), expected, rtol=1e-5, atol=1e-6)


def test_normalization_within_a_model(keras, layers, digits, tmp_path):
    (x_train, y_train), _ = digits
    x_train = x_train.reshape((len(x_train), -1)).astype("float32")
    normalizer = layers.Normalization()
    normalizer.adapt(x_train)
    inputs = keras.Input(shape=x_train.shape[1:])
    x = normalizer(inputs)
    outputs = layers.Dense(10, activation="softmax")(x)
    model = keras.Model(inputs, outputs)
    model.compile(optimizer="adam", loss="sparse_categorical_crossentropy")
    losses = model.fit(x_train, y_train, epochs=3, verbose=0).history["loss"]
    assert losses[-1] < losses[0]
    model.save(tmp_path / "m.keras")
    loaded = keras.models.load_model(tmp_path / "m.keras")
    np.testing.assert_allclose(
        loaded.predict(x_train, verbose=0), model.predict(x_train, verbose=0), rtol=1e-4, atol=1e-6
    )


def test_preprocessing_put_before_a_trained_model(keras, layers, vectors):
    (x_train, y_train), _ = vectors
    preprocessing_layer = layers.Rescaling(1 / 255)
    inputs = keras.Input((64,))
    training_model = keras.Model(inputs, layers.Dense(10, activation="softmax")(inputs))
    training_model.compile("adam", "sparse_categorical_crossentropy")
    training_model.fit(x_train, y_train, verbose=0)
    inputs = keras.Input((64,))
    x = preprocessing_layer(inputs)
    outputs = training_model(x)
    inference_model = keras.Model(inputs, outputs)
    np.testing.assert_allclose(
        inference_model.predict(x_train * 255, verbose=0),
        training_model.predict(x_train, verbose=0),
        rtol=1e-4,
        atol=1e-6,
    )


def test_preprocessing_of_a_dataset(keras, layers, digits):
    (x_train, y_train), _ = digits
    preprocessing_layer = layers.Rescaling(1 / 255)
    images = numpy(keras, preprocessing_layer(x_train.astype("float32")))
    assert images.max() == pytest.approx(1)
    data = torch.utils.data.TensorDataset(torch.tensor(images), torch.from_numpy(y_train).long())
    model = keras.Sequential([keras.Input((8, 8)), layers.Flatten(), layers.Dense(10)])
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    losses = model.fit(torch.utils.data.DataLoader(data, batch_size=32), epochs=2, verbose=0)
    assert losses.history["loss"][-1] < losses.history["loss"][0]


def augmentation(keras, layers):
    return keras.Sequential(
        [layers.RandomFlip("horizontal"), layers.RandomRotation(0.1), layers.RandomZoom(0.1)]
    )


def test_augmentation_is_active_in_training_only(keras, layers, digits):
    (x_train, _), _ = digits
    images = x_train[:20, ..., None].astype("float32")
    data_augmentation = augmentation(keras, layers)
    changed = numpy(keras, data_augmentation(images, training=True))
    assert changed.shape == images.shape
    assert not np.allclose(changed, images)
    np.testing.assert_allclose(numpy(keras, data_augmentation(images, training=False)), images)


def test_training_on_augmented_images(keras, layers, digits):
    (x_train, y_train), _ = digits
    inputs = keras.Input(shape=(8, 8, 1))
    x = augmentation(keras, layers)(inputs)
    x = layers.Rescaling(1.0 / 255)(x)
    x = layers.Conv2D(8, 3, activation="relu")(x)
    x = layers.Flatten()(x)
    outputs = layers.Dense(10, activation="softmax")(x)
    model = keras.Model(inputs, outputs)
    model.compile(optimizer="rmsprop", loss="sparse_categorical_crossentropy")
    x_train, y_train = x_train[:96, ..., None].astype("float32"), y_train[:96]
    losses = model.fit(x_train, y_train, batch_size=16, epochs=4, verbose=0).history["loss"]
    assert losses[-1] < losses[0]
    one, other = (model.predict(x_train[:5], verbose=0) for _ in range(2))
    np.testing.assert_array_equal(one, other)


def test_images_brought_to_a_size(both):
    def program(keras, layers):
        image = np.arange(2 * 6 * 8 * 1, dtype="float32").reshape(2, 6, 8, 1)
        found = [
            layers.Resizing(3, 4)(image),
            layers.Resizing(12, 16, interpolation="nearest")(image),
            layers.CenterCrop(4, 4)(image),
            layers.Rescaling(1 / 127.5, offset=-1)(image),
        ]
        arrays = [numpy(keras, one) for one in found]
        return [(one.shape, np.round(one, 3).tolist()) for one in arrays]

    shapes = [one[0] for one in both(program)]
    assert shapes == [(2, 3, 4, 1), (2, 12, 16, 1), (2, 4, 4, 1), (2, 6, 8, 1)]


def test_categories(both):
    def program(keras, layers):
        one_hot = layers.CategoryEncoding(num_tokens=4, output_mode="one_hot")
        multi_hot = layers.CategoryEncoding(num_tokens=4, output_mode="multi_hot")
        count = layers.CategoryEncoding(num_tokens=4, output_mode="count")
        buckets = layers.Discretization(bin_boundaries=[0.0, 1.0, 2.0])
        found = [
            one_hot(np.array([3, 2, 0, 1])),
            multi_hot(np.array([[0, 1], [0, 0], [1, 2], [3, 1]])),
            count(np.array([[0, 1], [0, 0], [1, 2], [3, 1]])),
            buckets(np.array([[-1.5, 1.0, 3.4, 0.5], [0.0, 3.0, 1.3, 0.0]])),
        ]
        return [numpy(keras, one).tolist() for one in found]

    *_, count, buckets = both(program)
    assert count[1] == [2, 0, 0, 0]
    assert buckets == [[0, 2, 3, 1], [1, 3, 2, 1]]
