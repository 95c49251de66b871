"""Programs like those of
https://keras.io/guides/making_new_layers_and_models_via_subclassing/"""

import numpy as np
import pytest
import torch


def shape(x):
    return tuple(x.shape)


def test_a_layer_that_makes_its_weights_at_once(keras, layers):
    class Linear(layers.Layer):
        def __init__(self, units=32, input_dim=32):
            super().__init__()
            self.w = self.add_weight(
                shape=(input_dim, units), initializer="random_normal", trainable=True
            )
            self.b = self.add_weight(shape=(units,), initializer="zeros", trainable=True)

        def call(self, inputs):
            return keras.ops.matmul(inputs, self.w) + self.b

    x = keras.ops.ones((2, 2))
    linear_layer = Linear(4, 2)
    y = linear_layer(x)
    assert shape(y) == (2, 4)
    assert all(
        a is b for a, b in zip(linear_layer.weights, [linear_layer.w, linear_layer.b], strict=True)
    )
    kernel = keras.ops.convert_to_numpy(linear_layer.w)
    np.testing.assert_allclose(keras.ops.convert_to_numpy(y)[0], kernel.sum(0), rtol=1e-5)


def test_weights_that_are_not_trained(keras, layers):
    class ComputeSum(layers.Layer):
        def __init__(self, input_dim):
            super().__init__()
            self.total = self.add_weight(initializer="zeros", shape=(input_dim,), trainable=False)

        def call(self, inputs):
            self.total.assign_add(keras.ops.sum(inputs, axis=0))
            return self.total

    x = keras.ops.ones((2, 2))
    my_sum = ComputeSum(2)
    y = my_sum(x)
    assert y.numpy().tolist() == [2.0, 2.0]
    y = my_sum(x)
    assert y.numpy().tolist() == [4.0, 4.0]
    assert len(my_sum.weights) == 1
    assert len(my_sum.non_trainable_weights) == 1
    assert my_sum.trainable_weights == []


@pytest.fixture
def Linear(keras, layers):
    class Linear(layers.Layer):
        def __init__(self, units=32, **kwargs):
            super().__init__(**kwargs)
            self.units = units

        def build(self, input_shape):
            self.w = self.add_weight(
                shape=(input_shape[-1], self.units), initializer="random_normal", trainable=True
            )
            self.b = self.add_weight(
                shape=(self.units,), initializer="random_normal", trainable=True
            )

        def call(self, inputs):
            return keras.ops.matmul(inputs, self.w) + self.b

        def get_config(self):
            config = super().get_config()
            config.update({"units": self.units})
            return config

    return Linear


def test_weights_made_at_the_first_call(keras, Linear):
    linear_layer = Linear(32)
    assert not linear_layer.built
    assert linear_layer.weights == []
    y = linear_layer(keras.ops.ones((2, 2)))
    assert linear_layer.built
    assert shape(y) == (2, 32)
    assert shape(linear_layer.w) == (2, 32)


def test_layers_within_layers(keras, layers, Linear):
    class MLPBlock(layers.Layer):
        def __init__(self):
            super().__init__()
            self.linear_1 = Linear(32)
            self.linear_2 = Linear(32)
            self.linear_3 = Linear(1)

        def call(self, inputs):
            x = self.linear_1(inputs)
            x = keras.activations.relu(x)
            x = self.linear_2(x)
            x = keras.activations.relu(x)
            return self.linear_3(x)

    mlp = MLPBlock()
    y = mlp(keras.ops.ones(shape=(3, 64)))
    assert shape(y) == (3, 1)
    assert len(mlp.weights) == 6
    assert len(mlp.trainable_weights) == 6


def test_backend_agnostic_layers(keras, layers):
    class Dropout(layers.Layer):
        def __init__(self, rate, name=None):
            super().__init__(name=name)
            self.rate = rate
            self.seed_generator = keras.random.SeedGenerator(1337)

        def call(self, inputs):
            return keras.random.dropout(inputs, self.rate, seed=self.seed_generator)

    layer = Dropout(0.5)
    x = keras.ops.ones((20, 50))
    one, other = layer(x), layer(x)
    assert sorted(set(one.numpy().ravel().tolist())) == [0.0, 2.0]
    assert not np.array_equal(one.numpy(), other.numpy())
    assert layer.trainable_variables == []


@pytest.fixture
def ActivityRegularizationLayer(keras, layers):
    class ActivityRegularizationLayer(layers.Layer):
        def __init__(self, rate=1e-2):
            super().__init__()
            self.rate = rate

        def call(self, inputs):
            self.add_loss(self.rate * keras.ops.mean(inputs))
            return inputs

    return ActivityRegularizationLayer


def test_losses_of_a_call(keras, layers, ActivityRegularizationLayer):
    class OuterLayer(layers.Layer):
        def __init__(self):
            super().__init__()
            self.activity_reg = ActivityRegularizationLayer(1e-2)

        def call(self, inputs):
            return self.activity_reg(inputs)

    layer = OuterLayer()
    assert len(layer.losses) == 0
    _ = layer(keras.ops.zeros((1, 1)))
    assert len(layer.losses) == 1
    _ = layer(keras.ops.ones((1, 1)))
    assert len(layer.losses) == 1
    assert float(layer.losses[0]) == pytest.approx(1e-2)


def test_regularizers_among_the_losses(keras, layers):
    class OuterLayerWithKernelRegularizer(layers.Layer):
        def __init__(self):
            super().__init__()
            self.dense = layers.Dense(32, kernel_regularizer=keras.regularizers.l2(1e-3))

        def call(self, inputs):
            return self.dense(inputs)

    layer = OuterLayerWithKernelRegularizer()
    _ = layer(keras.ops.zeros((1, 1)))
    kernel = keras.ops.convert_to_numpy(layer.dense.kernel)
    assert [float(loss.detach()) for loss in layer.losses] == [
        pytest.approx(1e-3 * (kernel**2).sum(), rel=1e-5)
    ]


@pytest.mark.filterwarnings("ignore:The model does not have any trainable weights")
@pytest.mark.filterwarnings("ignore:.*trainable weights")
def test_added_losses_in_fit(keras, ActivityRegularizationLayer):
    def make():
        inputs = keras.Input(shape=(3,))
        outputs = ActivityRegularizationLayer()(inputs)
        return keras.Model(inputs, outputs)

    rng = np.random.default_rng(0)
    x, y = rng.random((2, 3)), rng.random((2, 3))
    added = 1e-2 * x.mean()

    model = make()
    model.compile(optimizer="adam", loss="mse")
    with_loss = model.fit(x, y, verbose=0).history["loss"][0]
    assert with_loss == pytest.approx(((x - y) ** 2).mean() + added, rel=1e-5)
    model = make()
    model.compile(optimizer="adam")
    alone = model.fit(x, y, verbose=0).history["loss"][0]
    assert alone == pytest.approx(added, rel=1e-5)


def test_layers_made_of_their_config(both):
    def program(keras, layers):
        class Linear(layers.Layer):
            def __init__(self, units=32, **kwargs):
                super().__init__(**kwargs)
                self.units = units

            def call(self, inputs):
                return inputs

            def get_config(self):
                config = super().get_config()
                config.update({"units": self.units})
                return config

        config = Linear(64).get_config()
        new_layer = Linear.from_config(config)
        assert new_layer.get_config() == config
        return config

    config = both(program)
    assert (config["name"], config["trainable"], config["units"]) == ("linear", True, 64)


@pytest.mark.filterwarnings("ignore:The model does not have any trainable weights")
@pytest.mark.filterwarnings("ignore:.*trainable weights")
def test_the_mode(keras, layers):
    class CustomDropout(layers.Layer):
        def __init__(self, rate, **kwargs):
            super().__init__(**kwargs)
            self.rate = rate
            self.seed_generator = keras.random.SeedGenerator(1337)

        def call(self, inputs, training=False):
            if training:
                return keras.random.dropout(inputs, rate=self.rate, seed=self.seed_generator)
            return inputs

    layer = CustomDropout(0.5)
    x = keras.ops.ones((10, 10))
    assert (layer(x).numpy() == 1).all()
    assert (layer(x, training=True).numpy() != 1).all()

    model = keras.Sequential([keras.Input((10,)), layer])
    assert (model.predict(np.ones((10, 10)), verbose=0) == 1).all()
    assert (model(x, training=True).numpy() != 1).any()
    model.compile(loss="mse", optimizer="sgd")
    assert model.evaluate(np.ones((10, 10)), np.ones((10, 10)), verbose=0) == 0
    assert model.fit(np.ones((10, 10)), np.ones((10, 10)), verbose=0).history["loss"][0] == 1


def test_a_model_of_blocks(keras, layers, tmp_path):
    class ResNetBlock(layers.Layer):
        def __init__(self):
            super().__init__()
            self.conv = layers.Conv2D(4, 3, padding="same", activation="relu")
            self.shortcut = layers.Conv2D(4, 1)

        def call(self, inputs):
            return self.conv(inputs) + self.shortcut(inputs)

    class ResNet(keras.Model):
        def __init__(self, num_classes=1000):
            super().__init__()
            self.block_1 = ResNetBlock()
            self.block_2 = ResNetBlock()
            self.global_pool = layers.GlobalAveragePooling2D()
            self.classifier = layers.Dense(num_classes)

        def call(self, inputs):
            x = self.block_1(inputs)
            x = self.block_2(x)
            x = self.global_pool(x)
            return self.classifier(x)

    resnet = ResNet(3)
    rng = np.random.default_rng(0)
    x, y = rng.random((8, 6, 6, 2)).astype("float32"), rng.integers(3, size=8)
    resnet.compile(
        "adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True), metrics=["accuracy"]
    )
    resnet.fit(x, y, epochs=2, verbose=0)
    kinds = [type(layer).__name__ for layer in resnet.layers]
    assert kinds == ["ResNetBlock", "ResNetBlock", "GlobalAveragePooling2D", "Dense"]
    assert len(resnet.weights) == 10

    resnet.save_weights(tmp_path / "resnet.weights.h5")
    other = ResNet(3)
    other(x)
    other.load_weights(tmp_path / "resnet.weights.h5")
    torch.testing.assert_close(other(x), resnet(x))


@pytest.fixture
def VariationalAutoEncoder(keras, layers):
    class Sampling(layers.Layer):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            self.seed_generator = keras.random.SeedGenerator(1337)

        def call(self, inputs):
            z_mean, z_log_var = inputs
            batch = keras.ops.shape(z_mean)[0]
            dim = keras.ops.shape(z_mean)[1]
            epsilon = keras.random.normal(shape=(batch, dim), seed=self.seed_generator)
            return z_mean + keras.ops.exp(0.5 * z_log_var) * epsilon

    class Encoder(layers.Layer):
        def __init__(self, latent_dim=32, intermediate_dim=64, name="encoder", **kwargs):
            super().__init__(name=name, **kwargs)
            self.dense_proj = layers.Dense(intermediate_dim, activation="relu")
            self.dense_mean = layers.Dense(latent_dim)
            self.dense_log_var = layers.Dense(latent_dim)
            self.sampling = Sampling()

        def call(self, inputs):
            x = self.dense_proj(inputs)
            z_mean = self.dense_mean(x)
            z_log_var = self.dense_log_var(x)
            z = self.sampling((z_mean, z_log_var))
            return z_mean, z_log_var, z

    class Decoder(layers.Layer):
        def __init__(self, original_dim, intermediate_dim=64, name="decoder", **kwargs):
            super().__init__(name=name, **kwargs)
            self.dense_proj = layers.Dense(intermediate_dim, activation="relu")
            self.dense_output = layers.Dense(original_dim, activation="sigmoid")

        def call(self, inputs):
            x = self.dense_proj(inputs)
            return self.dense_output(x)

    class VariationalAutoEncoder(keras.Model):
        def __init__(
            self, original_dim, intermediate_dim=64, latent_dim=32, name="autoencoder", **kwargs
        ):
            super().__init__(name=name, **kwargs)
            self.original_dim = original_dim
            self.encoder = Encoder(latent_dim=latent_dim, intermediate_dim=intermediate_dim)
            self.decoder = Decoder(original_dim, intermediate_dim=intermediate_dim)

        def call(self, inputs):
            z_mean, z_log_var, z = self.encoder(inputs)
            reconstructed = self.decoder(z)
            kl_loss = -0.5 * keras.ops.mean(
                z_log_var - keras.ops.square(z_mean) - keras.ops.exp(z_log_var) + 1
            )
            self.add_loss(kl_loss)
            return reconstructed

    return VariationalAutoEncoder


def test_an_autoencoder_trained_with_fit(keras, VariationalAutoEncoder, vectors):
    (x_train, _), _ = vectors
    vae = VariationalAutoEncoder(64, 32, 8)
    optimizer = keras.optimizers.Adam(learning_rate=1e-3)
    vae.compile(optimizer, loss=keras.losses.MeanSquaredError())
    losses = vae.fit(x_train, x_train, epochs=3, batch_size=64, verbose=0).history["loss"]
    assert losses[-1] < losses[0]
    assert len(vae.losses) == 1
    assert len(vae.trainable_weights) == 10
    assert [layer.name for layer in vae.layers] == ["encoder", "decoder"]


def test_an_autoencoder_trained_by_hand(keras, VariationalAutoEncoder, vectors):
    (x_train, _), _ = vectors
    vae = VariationalAutoEncoder(64, 32, 8)
    optimizer = keras.optimizers.Adam(learning_rate=1e-3)
    mse_loss_fn = keras.losses.MeanSquaredError()
    loss_metric = keras.metrics.Mean()
    dataset = torch.utils.data.DataLoader(torch.from_numpy(x_train), batch_size=64, shuffle=True)
    means = []
    for _epoch in range(3):
        for x_batch_train in dataset:
            reconstructed = vae(x_batch_train)
            loss = mse_loss_fn(x_batch_train, reconstructed)
            loss = loss + sum(vae.losses)
            vae.zero_grad()
            loss.backward()
            weights = vae.trainable_weights
            with torch.no_grad():
                optimizer.apply([v.value.grad for v in weights], weights)
            loss_metric(loss)
        means.append(float(loss_metric.result()))
        loss_metric.reset_state()
    assert means[-1] < means[0]
