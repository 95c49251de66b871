"""`train_step` and its kin overridden, as Keras's guides do it: the same programs in both."""

import os

os.environ["KERAS_BACKEND"] = "torch"

import keras
import numpy as np
import pytest
import torch

from elephas_torch import keras as ours
from elephas_torch.keras.batches import pack_x_y_sample_weight, unpack_x_y_sample_weight

ROWS = 22
RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(ROWS, 4)).astype("float32")
Y = RANDOM.normal(size=(ROWS, 1)).astype("float32")
WEIGHT = np.linspace(0.2, 2, ROWS).astype("float32")


def network(library, cls):
    inputs = library.Input(shape=(4,))
    hidden = library.layers.Dense(5, activation="tanh")(inputs)
    return cls(inputs, library.layers.Dense(1)(hidden))


def pair(classes):
    mine, theirs = (network(library, classes(library)) for library in (ours, keras))
    theirs.set_weights([np.asarray(w) for w in mine.get_weights()])
    return mine, theirs


def agree(models, *data, tolerance=1e-5, **options):
    mine, theirs = models
    options = {"epochs": 3, "batch_size": 8, "verbose": 0, "shuffle": False, **options}
    one, other = mine.fit(*data, **options), theirs.fit(*data, **options)
    # Keras puts what is in "compile_metrics" where that name comes in the alphabet.
    assert list(one.history) == sorted(other.history)
    for name, values in other.history.items():
        assert one.history[name] == pytest.approx(values, rel=tolerance), name
    for a, b in zip(mine.get_weights(), theirs.get_weights(), strict=True):
        np.testing.assert_allclose(np.asarray(a), np.asarray(b), rtol=tolerance, atol=1e-6)
    return one.history


def both(models, rate=0.1, **settings):
    mine, theirs = models
    mine.compile(optimizer=ours.optimizers.SGD(rate), **settings)
    theirs.compile(optimizer=keras.optimizers.SGD(rate), jit_compile=False, **settings)
    return models


def simple(library):
    class Simple(library.Model):
        def train_step(self, data):
            x, y = data
            self.zero_grad()
            y_pred = self(x, training=True)
            loss = self.compute_loss(y=y, y_pred=y_pred)
            loss.backward()
            trainable_weights = list(self.trainable_weights)
            gradients = [v.value.grad for v in trainable_weights]
            with torch.no_grad():
                self.optimizer.apply(gradients, trainable_weights)
            for metric in self.metrics:
                if metric.name == "loss":
                    metric.update_state(loss)
                else:
                    metric.update_state(y, y_pred)
            return {m.name: m.result() for m in self.metrics}

    return Simple


def test_a_first_example():
    history = agree(both(pair(simple), loss="mse", metrics=["mae"]), X, Y, validation_split=0.2)
    assert list(history) == ["loss", "mae", "val_loss", "val_mae"]


def lower(library):
    class Lower(library.Model):
        def __init__(self, *args, **kwargs):
            super().__init__(*args, **kwargs)
            self.loss_tracker = library.metrics.Mean(name="loss")
            self.mae_metric = library.metrics.MeanAbsoluteError(name="mae")
            self.loss_fn = library.losses.MeanSquaredError()

        def train_step(self, data):
            x, y = data
            self.zero_grad()
            y_pred = self(x, training=True)
            loss = self.loss_fn(y, y_pred)
            loss.backward()
            trainable_weights = list(self.trainable_weights)
            gradients = [v.value.grad for v in trainable_weights]
            with torch.no_grad():
                self.optimizer.apply(gradients, trainable_weights)
            self.loss_tracker.update_state(loss)
            self.mae_metric.update_state(y, y_pred)
            return {"loss": self.loss_tracker.result(), "mae": self.mae_metric.result()}

        @property
        def metrics(self):
            return [self.loss_tracker, self.mae_metric]

    return Lower


def test_going_lower_level():
    history = agree(both(pair(lower)), X, Y)
    assert list(history) == ["loss", "mae"]


def weighted(library):
    class Weighted(library.Model):
        def train_step(self, data):
            if len(data) == 3:
                x, y, sample_weight = data
            else:
                sample_weight = None
                x, y = data
            self.zero_grad()
            y_pred = self(x, training=True)
            loss = self.compute_loss(y=y, y_pred=y_pred, sample_weight=sample_weight)
            loss.backward()
            trainable_weights = list(self.trainable_weights)
            gradients = [v.value.grad for v in trainable_weights]
            with torch.no_grad():
                self.optimizer.apply(gradients, trainable_weights)
            for metric in self.metrics:
                if metric.name == "loss":
                    metric.update_state(loss)
                else:
                    metric.update_state(y, y_pred, sample_weight=sample_weight)
            return {m.name: m.result() for m in self.metrics}

    return Weighted


@pytest.mark.parametrize("weight", [None, WEIGHT])
def test_sample_weights(weight):
    models = both(pair(weighted), loss="mse", metrics=["mae"], weighted_metrics=["mse"])
    agree(models, X, Y, sample_weight=weight)


def evaluated(library):
    class Evaluated(library.Model):
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

        def predict_step(self, data):
            x, _, _ = library.utils.unpack_x_y_sample_weight(data)
            return self(x, training=False) * 2

    return Evaluated


def test_an_evaluation_and_a_prediction_of_one_s_own(monkeypatch):
    monkeypatch.setattr(
        ours.utils, "unpack_x_y_sample_weight", unpack_x_y_sample_weight, raising=False
    )
    models = both(pair(evaluated), loss="mse", metrics=["mae"])
    agree(models, X, Y, validation_data=(X, Y))
    mine, theirs = models
    found = mine.evaluate(X, Y, verbose=0)
    assert found == pytest.approx([float(v) for v in theirs.evaluate(X, Y, verbose=0)], rel=1e-5)
    named = mine.evaluate(X, Y, verbose=0, return_dict=True)
    assert named == pytest.approx(dict(zip(["loss", "mae"], found, strict=True)))
    expected = theirs.predict(X, verbose=0)
    np.testing.assert_allclose(mine.predict(X, verbose=0), expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(mine.predict_on_batch(X), expected, rtol=1e-5, atol=1e-6)


def super_called(library):
    class Super(library.Model):
        def train_step(self, data):
            logs = super().train_step(data)
            return {**logs, "batches": 1.0}

    return Super


def test_super_does_what_fit_does():
    plain = network(ours, ours.Model)
    mine = network(ours, super_called(ours))
    mine.set_weights(plain.get_weights())
    for model in (plain, mine):
        model.compile(ours.optimizers.SGD(0.1, momentum=0.9), "mse", metrics=["mae"])
    options = {"epochs": 3, "batch_size": 8, "verbose": 0, "shuffle": False}
    expected = plain.fit(X, Y, **options).history
    found = mine.fit(X, Y, **options).history
    assert found.pop("batches") == [1.0] * 3
    assert found["loss"] == pytest.approx(expected["loss"], rel=1e-5)
    for a, b in zip(mine.get_weights(), plain.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


def own_loss(library):
    class OwnLoss(library.Model):
        def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
            return ((y_pred - y) ** 2).mean() + 0.1 * (self.trainable_weights[0].value ** 2).sum()

    return OwnLoss


def test_a_loss_of_one_s_own():
    agree(both(pair(own_loss), metrics=["mae"]), X, Y, validation_split=0.2)


def own_metrics(library):
    class OwnMetrics(library.Model):
        def __init__(self, *args, **kwargs):
            super().__init__(*args, **kwargs)
            self.largest = library.metrics.Mean(name="largest")

        def compute_metrics(self, x, y, y_pred, sample_weight=None):
            results = super().compute_metrics(x, y, y_pred, sample_weight)
            self.largest.update_state(y_pred.max())
            results["largest"] = self.largest.result()
            return results

    return OwnMetrics


def test_metrics_of_one_s_own():
    models = both(pair(own_metrics), loss="mse", metrics=["mae"], weighted_metrics=["mse"])
    history = agree(models, X, Y, sample_weight=WEIGHT, validation_data=(X, Y))
    assert list(history)[:4] == ["largest", "loss", "mae", "mse"]


def test_metrics_that_layers_keep():
    class Watch(ours.layers.Layer):
        def __init__(self):
            super().__init__()
            self.seen = ours.metrics.Mean(name="seen")

        def call(self, inputs):
            self.seen.update_state(inputs.detach().abs().mean())
            return inputs

    model = ours.Sequential([ours.layers.Dense(3, input_dim=4), Watch(), ours.layers.Dense(1)])
    model.compile("sgd", "mse", metrics=["mae"])
    history = model.fit(X, Y, verbose=0, validation_split=0.2).history
    assert list(history) == ["loss", "mae", "seen", "val_loss", "val_mae", "val_seen"]
    assert model.metrics_names == ["loss", "mae", "seen"]
    assert len(model.evaluate(X, Y, verbose=0)) == 3
    assert model.train_on_batch(X, Y, return_dict=True)["seen"] > 0


def gan(library):
    class GAN(library.Model):
        def __init__(self, discriminator, generator, latent_dim):
            super().__init__()
            self.discriminator = discriminator
            self.generator = generator
            self.latent_dim = latent_dim
            self.d_loss_tracker = library.metrics.Mean(name="d_loss")
            self.g_loss_tracker = library.metrics.Mean(name="g_loss")
            self.built = True

        @property
        def metrics(self):
            return [self.d_loss_tracker, self.g_loss_tracker]

        def compile(self, d_optimizer, g_optimizer, loss_fn):
            super().compile()
            self.d_optimizer = d_optimizer
            self.g_optimizer = g_optimizer
            self.loss_fn = loss_fn

        def train_step(self, real):
            if isinstance(real, tuple):
                real = real[0]
            size = real.shape[0]
            noise = torch.linspace(-1, 1, size * self.latent_dim).reshape(size, -1)
            fake = self.generator(noise)
            both = torch.cat([fake, torch.as_tensor(real)], 0)
            labels = torch.cat([torch.ones(size, 1), torch.zeros(size, 1)], 0)
            self.zero_grad()
            d_loss = self.loss_fn(labels, self.discriminator(both))
            d_loss.backward()
            grads = [v.value.grad for v in self.discriminator.trainable_weights]
            with torch.no_grad():
                self.d_optimizer.apply(grads, self.discriminator.trainable_weights)
            self.zero_grad()
            g_loss = self.loss_fn(torch.zeros(size, 1), self.discriminator(self.generator(noise)))
            g_loss.backward()
            grads = [v.value.grad for v in self.generator.trainable_weights]
            with torch.no_grad():
                self.g_optimizer.apply(grads, self.generator.trainable_weights)
            self.d_loss_tracker.update_state(d_loss)
            self.g_loss_tracker.update_state(g_loss)
            return {"d_loss": self.d_loss_tracker.result(), "g_loss": self.g_loss_tracker.result()}

    dense, inputs = library.layers.Dense, library.layers.Input
    discriminator = library.Sequential([inputs((4,)), dense(5, "tanh"), dense(1)])
    generator = library.Sequential([inputs((3,)), dense(6, "tanh"), dense(4)])
    return GAN(discriminator=discriminator, generator=generator, latent_dim=3)


@pytest.mark.filterwarnings("ignore::UserWarning:keras")
def test_an_adversarial_network():
    mine, theirs = gan(ours), gan(keras)
    theirs.set_weights([np.asarray(w) for w in mine.get_weights()])
    for model, library in ((mine, ours), (theirs, keras)):
        model.compile(
            d_optimizer=library.optimizers.Adam(0.01, epsilon=1e-3),
            g_optimizer=library.optimizers.Adam(0.02, epsilon=1e-3),
            loss_fn=library.losses.BinaryCrossentropy(from_logits=True),
        )
    history = agree((mine, theirs), X, tolerance=1e-4)
    assert list(history) == ["d_loss", "g_loss"]


def test_data_comes_as_it_was_given():
    seen = []

    class Noted(ours.Model):
        def train_step(self, data):
            seen.append(data)
            return {"loss": 0.0}

    model = Noted()
    model.compile()
    batch = {"verbose": 0, "batch_size": ROWS, "shuffle": False}
    ints = np.arange(ROWS)
    model.fit({"a": X.astype("float64"), "b": ints}, [Y, ints], **batch)
    x, y = seen.pop()
    assert x["a"].dtype == torch.float32 and x["b"].dtype == torch.int64
    assert isinstance(y, list) and y[1].tolist() == ints.tolist()
    model.fit(X, **batch)
    assert isinstance(seen.pop(), torch.Tensor)
    model.fit([X, X], **batch)
    assert len(seen[-1]) == 1 and len(seen.pop()[0]) == 2
    model.fit(X, Y, sample_weight=WEIGHT, class_weight=None, **batch)
    assert len(seen.pop()) == 3


def test_logs_of_a_step_that_says_less_are_the_last_batch_s():
    values = iter(range(100))

    class Counted(ours.Model):
        def train_step(self, data):
            return {"number": next(values), "more": {"b": torch.tensor(2.0), "a": np.float32(1)}}

    model = Counted()
    model.compile()
    history = model.fit(X, verbose=0, batch_size=8, epochs=2).history
    assert history == {"a": [1.0, 1.0], "b": [2.0, 2.0], "number": [2.0, 5.0]}
    assert list(history) == ["a", "b", "number"]


def test_evaluating_within_an_epoch_leaves_its_metrics_alone():
    plain, curious = network(ours, simple(ours)), network(ours, simple(ours))
    curious.set_weights(plain.get_weights())
    for model in (plain, curious):
        model.compile(ours.optimizers.SGD(0.1), "mse", metrics=["mae"])

    class Curious(ours.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            self.model.evaluate(X[:5], Y[:5], verbose=0)

    options = {"epochs": 2, "batch_size": 8, "verbose": 0, "shuffle": False}
    expected = plain.fit(X, Y, **options).history
    assert curious.fit(X, Y, callbacks=[Curious()], **options).history == expected


def test_constraints_hold_after_a_step_of_one_s_own():
    model = ours.Sequential([ours.layers.Dense(1, input_dim=4, kernel_constraint="non_neg")])

    class Own(ours.Sequential):
        def train_step(self, data):
            return super().train_step(data)

    own = Own([ours.layers.Dense(1, input_dim=4, kernel_constraint="non_neg")])
    own.set_weights(model.get_weights())
    for one in (model, own):
        one.compile(ours.optimizers.SGD(0.5), "mse")
        one.fit(X, Y, shuffle=False, verbose=0)
        assert (one.get_weights()[0] >= 0).all()
    np.testing.assert_allclose(own.get_weights()[0], model.get_weights()[0], rtol=1e-5, atol=1e-6)


def test_batches_are_packed_and_unpacked():
    for data, parts in [
        (X, (X, None, None)),
        ((X,), (X, None, None)),
        ([X, Y], (X, Y, None)),
        ((X, Y, WEIGHT), (X, Y, WEIGHT)),
    ]:
        found = unpack_x_y_sample_weight(data)
        assert all(one is other for one, other in zip(found, parts, strict=True))
        theirs = keras.utils.unpack_x_y_sample_weight(data)
        assert all(one is other for one, other in zip(theirs, parts, strict=True))
    with pytest.raises(ValueError, match="Received: a tuple of 4 items"):
        unpack_x_y_sample_weight((X, Y, X, Y))
    assert pack_x_y_sample_weight(X) is X
    assert pack_x_y_sample_weight([X]) == ([X],)
    assert len(pack_x_y_sample_weight(X, Y)) == 2 and len(pack_x_y_sample_weight(X, Y, X)) == 3
