"""Programs like those of https://keras.io/guides/custom_train_step_in_torch/

`tests/keras/test_own_steps.py` compares the numbers of such programs with Keras's."""

import numpy as np
import pytest
import torch

RANDOM = np.random.default_rng(0)
X = RANDOM.random((100, 32)).astype("float32")
Y = X[:, :1] - X[:, 1:2]
WEIGHT = RANDOM.random((100, 1)).astype("float32")


def falls(history):
    losses = history.history["loss"]
    return losses[-1] < losses[0]


def update(model, loss):
    """What the guide writes out in each of its steps."""
    loss.backward()
    trainable_weights = [v for v in model.trainable_weights]
    gradients = [v.value.grad for v in trainable_weights]
    with torch.no_grad():
        model.optimizer.apply(gradients, trainable_weights)


def test_a_first_simple_example(keras, tmp_path):
    class CustomModel(keras.Model):
        def train_step(self, data):
            x, y = data
            self.zero_grad()
            y_pred = self(x, training=True)
            loss = self.compute_loss(y=y, y_pred=y_pred)
            update(self, loss)
            for metric in self.metrics:
                if metric.name == "loss":
                    metric.update_state(loss)
                else:
                    metric.update_state(y, y_pred)
            return {m.name: m.result() for m in self.metrics}

    inputs = keras.Input(shape=(32,))
    outputs = keras.layers.Dense(1)(inputs)
    model = CustomModel(inputs, outputs)
    model.compile(optimizer=keras.optimizers.Adam(1e-2), loss="mse", metrics=["mae"])
    history = model.fit(X, Y, epochs=3, verbose=0)
    assert sorted(history.history) == ["loss", "mae"]
    assert falls(history)

    model.save(tmp_path / "custom.keras")
    loaded = keras.models.load_model(
        tmp_path / "custom.keras", custom_objects={"CustomModel": CustomModel}
    )
    assert type(loaded) is CustomModel
    expected = model.predict(X, verbose=0)
    np.testing.assert_allclose(loaded.predict(X, verbose=0), expected, rtol=1e-5, atol=1e-6)
    assert loaded.fit(X, Y, verbose=0).history["loss"][0] < history.history["loss"][0]


def test_a_data_loader(keras):
    seen = []

    class CustomModel(keras.Model):
        def train_step(self, data):
            x, y = data
            seen.append((type(x), tuple(x.shape)))
            self.zero_grad()
            loss = self.compute_loss(y=y, y_pred=self(x, training=True))
            update(self, loss)
            return {"loss": loss.detach()}

    inputs = keras.Input(shape=(32,))
    model = CustomModel(inputs, keras.layers.Dense(1)(inputs))
    model.compile(optimizer="adam", loss="mse")
    data = torch.utils.data.TensorDataset(torch.from_numpy(X), torch.from_numpy(Y))
    model.fit(torch.utils.data.DataLoader(data, batch_size=50), epochs=1, verbose=0)
    assert seen[-1] == (torch.Tensor, (50, 32))


def test_going_lower_level(keras):
    class CustomModel(keras.Model):
        def __init__(self, *args, **kwargs):
            super().__init__(*args, **kwargs)
            self.loss_tracker = keras.metrics.Mean(name="loss")
            self.mae_metric = keras.metrics.MeanAbsoluteError(name="mae")
            self.loss_fn = keras.losses.MeanSquaredError()

        def train_step(self, data):
            x, y = data
            self.zero_grad()
            y_pred = self(x, training=True)
            loss = self.loss_fn(y, y_pred)
            update(self, loss)
            self.loss_tracker.update_state(loss)
            self.mae_metric.update_state(y, y_pred)
            return {"loss": self.loss_tracker.result(), "mae": self.mae_metric.result()}

        @property
        def metrics(self):
            return [self.loss_tracker, self.mae_metric]

    inputs = keras.Input(shape=(32,))
    outputs = keras.layers.Dense(1)(inputs)
    model = CustomModel(inputs, outputs)
    model.compile(optimizer=keras.optimizers.Adam(1e-2))
    history = model.fit(X, Y, epochs=20, verbose=0)
    assert sorted(history.history) == ["loss", "mae"]
    assert falls(history)
    # Begun anew each epoch: the last one's loss is lower than the mean of all.
    assert float(model.loss_tracker.result()) == pytest.approx(history.history["loss"][-1])


def weighted(keras):
    class CustomModel(keras.Model):
        def train_step(self, data):
            if len(data) == 3:
                x, y, sample_weight = data
            else:
                sample_weight = None
                x, y = data
            self.zero_grad()
            y_pred = self(x, training=True)
            loss = self.compute_loss(y=y, y_pred=y_pred, sample_weight=sample_weight)
            update(self, loss)
            for metric in self.metrics:
                if metric.name == "loss":
                    metric.update_state(loss)
                else:
                    metric.update_state(y, y_pred, sample_weight=sample_weight)
            return {m.name: m.result() for m in self.metrics}

    inputs = keras.Input(shape=(32,))
    model = CustomModel(inputs, keras.layers.Dense(1, kernel_initializer="ones")(inputs))
    model.compile(optimizer=keras.optimizers.Adam(1e-2), loss="mse", metrics=["mae"])
    return model


def test_sample_weights(keras):
    history = weighted(keras).fit(X, Y, sample_weight=WEIGHT, epochs=3, verbose=0)
    assert falls(history)
    plain = weighted(keras).fit(X, Y, epochs=1, verbose=0)
    assert history.history["loss"][0] < plain.history["loss"][0]


def test_class_weights(keras):
    labels = (Y > 0).astype("int64")
    halved = weighted(keras).fit(X, labels, class_weight={0: 0.5, 1: 0.5}, shuffle=False, verbose=0)
    plain = weighted(keras).fit(X, labels, shuffle=False, verbose=0)
    assert halved.history["loss"][0] == pytest.approx(plain.history["loss"][0] / 2, rel=1e-3)


def test_an_evaluation_step(keras):
    class CustomModel(keras.Model):
        def test_step(self, data):
            x, y = data
            y_pred = self(x, training=False)
            loss = self.compute_loss(y=y, y_pred=y_pred)
            for metric in self.metrics:
                if metric.name == "loss":
                    metric.update_state(loss)
                else:
                    metric.update_state(y, y_pred)
            return {m.name: m.result() for m in self.metrics}

    inputs = keras.Input(shape=(32,))
    outputs = keras.layers.Dense(1)(inputs)
    model = CustomModel(inputs, outputs)
    model.compile(loss="mse", metrics=["mae"])
    found = model.evaluate(X, Y, verbose=0, return_dict=True)
    error = model.predict(X, verbose=0) - Y
    assert found["mae"] == pytest.approx(np.abs(error).mean(), rel=1e-4)
    assert found["loss"] > 0


def test_a_gan(keras, layers, digits):
    (images, _), _ = digits
    discriminator = keras.Sequential(
        [
            keras.Input(shape=(8, 8, 1)),
            layers.Conv2D(8, (3, 3), strides=(2, 2), padding="same"),
            layers.LeakyReLU(negative_slope=0.2),
            layers.Conv2D(8, (3, 3), strides=(2, 2), padding="same"),
            layers.LeakyReLU(negative_slope=0.2),
            layers.GlobalMaxPooling2D(),
            layers.Dense(1),
        ],
        name="discriminator",
    )
    latent_dim = 16
    generator = keras.Sequential(
        [
            keras.Input(shape=(latent_dim,)),
            layers.Dense(2 * 2 * 16),
            layers.LeakyReLU(negative_slope=0.2),
            layers.Reshape((2, 2, 16)),
            layers.Conv2DTranspose(8, (4, 4), strides=(2, 2), padding="same"),
            layers.LeakyReLU(negative_slope=0.2),
            layers.Conv2DTranspose(8, (4, 4), strides=(2, 2), padding="same"),
            layers.LeakyReLU(negative_slope=0.2),
            layers.Conv2D(1, (7, 7), padding="same", activation="sigmoid"),
        ],
        name="generator",
    )

    class GAN(keras.Model):
        def __init__(self, discriminator, generator, latent_dim):
            super().__init__()
            self.discriminator = discriminator
            self.generator = generator
            self.latent_dim = latent_dim
            self.d_loss_tracker = keras.metrics.Mean(name="d_loss")
            self.g_loss_tracker = keras.metrics.Mean(name="g_loss")
            self.seed_generator = keras.random.SeedGenerator(1337)
            self.built = True

        @property
        def metrics(self):
            return [self.d_loss_tracker, self.g_loss_tracker]

        def compile(self, d_optimizer, g_optimizer, loss_fn):
            super().compile()
            self.d_optimizer = d_optimizer
            self.g_optimizer = g_optimizer
            self.loss_fn = loss_fn

        def train_step(self, real_images):
            if isinstance(real_images, tuple | list):
                real_images = real_images[0]
            batch_size = real_images.shape[0]
            random_latent_vectors = keras.random.normal(
                shape=(batch_size, self.latent_dim), seed=self.seed_generator
            )
            generated_images = self.generator(random_latent_vectors)
            combined_images = torch.concat([generated_images, real_images], axis=0)
            labels = torch.concat(
                [torch.ones((batch_size, 1)), torch.zeros((batch_size, 1))], axis=0
            )
            labels += 0.05 * keras.random.uniform(labels.shape, seed=self.seed_generator)

            self.zero_grad()
            predictions = self.discriminator(combined_images)
            d_loss = self.loss_fn(labels, predictions)
            d_loss.backward()
            grads = [v.value.grad for v in self.discriminator.trainable_weights]
            with torch.no_grad():
                self.d_optimizer.apply(grads, self.discriminator.trainable_weights)

            random_latent_vectors = keras.random.normal(
                shape=(batch_size, self.latent_dim), seed=self.seed_generator
            )
            misleading_labels = torch.zeros((batch_size, 1))
            self.zero_grad()
            predictions = self.discriminator(self.generator(random_latent_vectors))
            g_loss = self.loss_fn(misleading_labels, predictions)
            g_loss.backward()
            grads = [v.value.grad for v in self.generator.trainable_weights]
            with torch.no_grad():
                self.g_optimizer.apply(grads, self.generator.trainable_weights)

            self.d_loss_tracker.update_state(d_loss)
            self.g_loss_tracker.update_state(g_loss)
            return {
                "d_loss": self.d_loss_tracker.result(),
                "g_loss": self.g_loss_tracker.result(),
            }

    gan = GAN(discriminator=discriminator, generator=generator, latent_dim=latent_dim)
    gan.compile(
        d_optimizer=keras.optimizers.Adam(learning_rate=0.0003),
        g_optimizer=keras.optimizers.Adam(learning_rate=0.0003),
        loss_fn=keras.losses.BinaryCrossentropy(from_logits=True),
    )
    all_digits = np.reshape(images.astype("float32") / 255.0, (-1, 8, 8, 1))
    dataset = torch.utils.data.TensorDataset(torch.from_numpy(all_digits))
    dataloader = torch.utils.data.DataLoader(dataset, batch_size=64, shuffle=True)
    before = gan.get_weights()
    history = gan.fit(dataloader, epochs=1, verbose=0)
    assert sorted(history.history) == ["d_loss", "g_loss"]
    assert all(np.isfinite(values).all() for values in history.history.values())
    after = gan.get_weights()
    assert len(gan.trainable_weights) == 14
    assert not any(np.array_equal(a, b) for a, b in zip(before[:6], after[:6], strict=True))
