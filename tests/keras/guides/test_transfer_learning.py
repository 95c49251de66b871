"""Programs like those of https://keras.io/guides/transfer_learning/

A small base model, trained here, in the place of Xception."""

import numpy as np
import pytest
import torch


def counts(layer):
    return (
        len(layer.weights),
        len(layer.trainable_weights),
        len(layer.non_trainable_weights),
    )


def test_the_weights_of_a_dense_layer(keras, layers):
    layer = layers.Dense(3)
    layer.build((None, 4))
    assert counts(layer) == (2, 2, 0)


def test_the_weights_of_a_batch_normalization(keras, layers):
    layer = layers.BatchNormalization()
    layer.build((None, 4))
    assert counts(layer) == (4, 2, 2)


def test_a_frozen_layer(keras, layers):
    layer = layers.Dense(3)
    layer.build((None, 4))
    layer.trainable = False
    assert counts(layer) == (2, 0, 2)
    layer.trainable = True
    assert counts(layer) == (2, 2, 0)


def test_a_frozen_layer_is_not_trained(keras, layers):
    layer1 = layers.Dense(3, activation="relu")
    layer2 = layers.Dense(3, activation="sigmoid")
    model = keras.Sequential([keras.Input(shape=(3,)), layer1, layer2])
    layer1.trainable = False
    initial_layer1_weights_values = layer1.get_weights()
    initial_layer2_weights_values = layer2.get_weights()
    model.compile(optimizer="adam", loss="mse")
    rng = np.random.default_rng(0)
    model.fit(rng.random((2, 3)), rng.random((2, 3)), verbose=0)
    for before, after in zip(initial_layer1_weights_values, layer1.get_weights(), strict=True):
        np.testing.assert_array_equal(before, after)
    assert not np.array_equal(initial_layer2_weights_values[1], layer2.get_weights()[1])


def test_trainable_goes_down(keras, layers):
    inner_model = keras.Sequential(
        [
            keras.Input(shape=(3,)),
            layers.Dense(3, activation="relu"),
            layers.Dense(3, activation="relu"),
        ]
    )
    model = keras.Sequential(
        [keras.Input(shape=(3,)), inner_model, layers.Dense(3, activation="sigmoid")]
    )
    model.trainable = False
    assert inner_model.trainable is False
    assert inner_model.layers[0].trainable is False
    assert counts(model) == (6, 0, 6)


def make_base(keras, layers):
    inputs = keras.Input(shape=(8, 8, 1))
    x = layers.Conv2D(8, 3, padding="same", use_bias=False)(inputs)
    x = layers.BatchNormalization()(x)
    x = layers.Activation("relu")(x)
    x = layers.MaxPooling2D()(x)
    x = layers.Conv2D(16, 3, padding="same", activation="relu")(x)
    return keras.Model(inputs, x, name="base")


@pytest.fixture
def images(digits):
    (images, labels), _ = digits
    return images[..., None].astype("float32"), labels.astype("int64")


@pytest.fixture
def base_model(keras, layers, images):
    """Trained to tell digits 0 to 4; its top is thrown away."""
    x, y = images
    base_model = make_base(keras, layers)
    top = keras.Sequential([base_model, layers.GlobalAveragePooling2D(), layers.Dense(5)])
    top.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    known = y < 5
    top.fit(x[known] / 127.5 - 1, y[known], epochs=2, verbose=0)
    return base_model


def new_model(keras, layers, base_model):
    base_model.trainable = False
    inputs = keras.Input(shape=(8, 8, 1))
    x = layers.Rescaling(scale=1 / 127.5, offset=-1)(inputs)
    x = base_model(x, training=False)
    x = layers.GlobalAveragePooling2D()(x)
    x = layers.Dropout(0.2)(x)
    outputs = layers.Dense(1)(x)
    return keras.Model(inputs, outputs)


def compile(keras, model, rate):
    model.compile(
        optimizer=keras.optimizers.Adam(rate),
        loss=keras.losses.BinaryCrossentropy(from_logits=True),
        metrics=[keras.metrics.BinaryAccuracy()],
    )


def same(before, after):
    return [np.array_equal(a, b) for a, b in zip(before, after, strict=True)]


def test_the_workflow(keras, layers, base_model, images):
    x, y = images
    unseen = y >= 5
    x, y = x[unseen], (y[unseen] == 6).astype("float32")[:, None]
    pretrained = base_model.get_weights()
    model = new_model(keras, layers, base_model)
    assert len(model.trainable_weights) == 2
    lines = []
    model.summary(show_trainable=True, print_fn=lambda line, **_: lines.append(line))
    assert "Trainable params: 17" in "".join(lines)

    compile(keras, model, 1e-2)
    history = model.fit(x, y, epochs=4, validation_split=0.1, verbose=0).history
    assert history["loss"][-1] < history["loss"][0]
    assert all(same(pretrained, base_model.get_weights()))

    base_model.trainable = True
    compile(keras, model, 1e-3)
    assert len(model.trainable_weights) == 2 + 5
    model.fit(x, y, epochs=1, validation_split=0.1, verbose=0)
    names = [w.name for w in base_model.weights]
    assert names == ["kernel", "gamma", "beta", "moving_mean", "moving_variance", "kernel", "bias"]
    unchanged = same(pretrained, base_model.get_weights())
    assert not any(unchanged[:3] + unchanged[5:])


def test_a_base_called_for_inference_stays_so():
    # As the guide has it. Keras 3.15 itself hands training=True over to such a base.
    from elephas_torch import keras

    base_model = make_base(keras, keras.layers)
    model = new_model(keras, keras.layers, base_model)
    base_model.trainable = True
    compile(keras, model, 1e-3)
    before = base_model.get_weights()
    x = np.random.default_rng(0).random((16, 8, 8, 1)).astype("float32")
    model.fit(x, np.ones((16, 1)), epochs=1, verbose=0)
    changed = [not one for one in same(before, base_model.get_weights())]
    assert changed == [True, True, True, False, False, True, True]


def test_normalization_follows_trainable(keras, layers):
    layer = layers.BatchNormalization()
    layer.build((None, 4))
    x = np.random.default_rng(0).normal(3, 2, size=(50, 4)).astype("float32")
    layer.trainable = False
    before = layer.get_weights()
    layer(x, training=True)
    assert all(same(before, layer.get_weights()))
    layer.trainable = True
    layer(x, training=True)
    assert same(before, layer.get_weights()) == [True, True, False, False]


def test_features_taken_once(keras, layers, base_model, images):
    x, y = images
    features = base_model.predict(x / 127.5 - 1, verbose=0)
    assert features.shape == (400, 4, 4, 16)
    model = keras.Sequential(
        [keras.Input((4, 4, 16)), layers.GlobalAveragePooling2D(), layers.Dense(10)]
    )
    model.compile(
        keras.optimizers.Adam(1e-2), keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    )
    losses = model.fit(features, y, epochs=4, verbose=0).history["loss"]
    assert losses[-1] < losses[0]


def test_a_training_loop_of_one_s_own(keras, layers, base_model, images):
    x, y = images
    y = (y == 6).astype("float32")[:, None]
    pretrained = base_model.get_weights()
    model = new_model(keras, layers, base_model)
    loss_fn = keras.losses.BinaryCrossentropy(from_logits=True)
    optimizer = keras.optimizers.Adam(1e-2)
    data = torch.utils.data.TensorDataset(torch.from_numpy(x), torch.from_numpy(y))
    losses = []
    for _epoch in range(4):
        for inputs, targets in torch.utils.data.DataLoader(data, batch_size=64):
            predictions = model(inputs)
            loss_value = loss_fn(targets, predictions)
            model.zero_grad()
            loss_value.backward()
            weights = model.trainable_weights
            with torch.no_grad():
                optimizer.apply([v.value.grad for v in weights], weights)
            losses.append(float(loss_value.detach()))
    assert np.mean(losses[-7:]) < np.mean(losses[:7])
    assert all(same(pretrained, base_model.get_weights()))


def test_augmentation_before_a_frozen_base(keras, layers, base_model, images):
    x, _ = images
    augmentation_layers = [layers.RandomFlip("horizontal"), layers.RandomRotation(0.1)]

    def data_augmentation(x):
        for layer in augmentation_layers:
            x = layer(x, training=True)
        return x

    augmented = data_augmentation(x[:9])
    assert tuple(augmented.shape) == (9, 8, 8, 1)
    assert not np.allclose(keras.ops.convert_to_numpy(augmented), x[:9])
