"""What Keras's facade has, trained on a real Spark session: each against a single process."""

import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from elephas_torch import optimizers, preflight, worker
from elephas_torch.keras import Input, Model, Sequential, layers, losses, metrics
from elephas_torch.keras import optimizers as keras_optimizers
from elephas_torch.keras.callbacks import LambdaCallback
from elephas_torch.keras.constraints import MaxNorm, NonNeg, UnitNorm
from elephas_torch.keras.models import load_model
from elephas_torch.keras.optimizers import SGD, Adam, schedules
from elephas_torch.spark_model import SparkModel
from elephas_torch.utils.rdd_utils import to_simple_rdd

pytestmark = pytest.mark.spark

ROOT = Path(__file__).parent.parent
SIZE = 6  # rows of a worker's batch
WORKERS = 2


def data(rows=48, seed=0):
    random = np.random.default_rng(seed)
    x = random.standard_normal((rows, 5)).astype(np.float32)
    return x, np.eye(3, dtype=np.float32)[(x @ random.standard_normal((5, 3))).argmax(1)]


def dealt(sc, x, y):
    """Rows w, w + N, w + 2N … for worker w: batch k of all is rows k N b to (k + 1) N b."""
    rows = list(zip(x, y, strict=True))
    parts = [rows[w::WORKERS] for w in range(WORKERS)]
    return sc.parallelize(range(WORKERS), WORKERS).mapPartitionsWithIndex(
        lambda index, _: iter(parts[index])
    )


def vector(model):
    return np.concatenate([w.ravel() for w in model.get_weights()])


def same(make, sc, epochs=2, tolerance=1e-6, x=None, y=None):
    """Trains synchronously by batch, and in one process with N-fold batches; compares."""
    if x is None:
        x, y = data()
    model, whole = make(), make()
    spark_model = SparkModel(model, mode="synchronous", frequency="batch", num_workers=WORKERS)
    history = spark_model.fit(
        dealt(sc, x, y), epochs=epochs, batch_size=SIZE, shuffle=False, verbose=0
    )
    expected = whole.fit(x, y, epochs=epochs, batch_size=WORKERS * SIZE, shuffle=False, verbose=0)
    one, other = vector(model), vector(whole)
    assert np.linalg.norm(one - other) / np.linalg.norm(other) < tolerance
    assert list(history.history) == list(expected.history)
    return model, whole


def network(optimizer, seed=0, loss="categorical_crossentropy", hidden=(), **compiled):
    torch.manual_seed(seed)
    model = Sequential([
        layers.Dense(8, activation="tanh", input_dim=5, **dict(hidden)),
        layers.Dense(3, activation="softmax"),
    ])  # fmt: skip
    model.compile(loss=loss, optimizer=optimizer, **compiled)
    return model


# Updates on the server are those of one process


class Spread(layers.Layer):
    """Adds the mean square of its inputs to the loss."""

    def call(self, inputs):
        self.add_loss(0.1 * (inputs**2).mean())
        return inputs


def excluding():
    optimizer = keras_optimizers.AdamW(0.01, weight_decay=0.1)
    optimizer.exclude_from_weight_decay(var_names=["bias"])
    return network(optimizer)


def with_losses():
    torch.manual_seed(0)
    model = Sequential([
        layers.Dense(8, activation="tanh", input_dim=5, kernel_regularizer="l2"),
        Spread(activity_regularizer="l2"),
        layers.Dense(3, activation="softmax", bias_regularizer="l1"),
    ])  # fmt: skip
    model.compile("sgd", "categorical_crossentropy")
    return model


CONSTRAINED = {
    "kernel_constraint": UnitNorm(axis=0),
    "bias_constraint": NonNeg(),
}
SERVED = {
    "constraints": lambda: network(SGD(0.5, momentum=0.9), hidden=CONSTRAINED),
    "max norm": lambda: network(Adam(0.1), hidden={"kernel_constraint": MaxNorm(0.7)}),
    "losses of layers": with_losses,
    "schedule": lambda: network(SGD(schedules.ExponentialDecay(0.5, 2, 0.5))),
    "adafactor": lambda: network(keras_optimizers.Adafactor(0.05)),
    "muon": lambda: network(keras_optimizers.Muon(0.01)),
    "excluded from decay": excluding,
    "decay and mean": lambda: network(SGD(0.3, weight_decay=0.1, use_ema=True, ema_momentum=0.5)),
    "loss scale": lambda: network(keras_optimizers.LossScaleOptimizer(Adam(0.05), 2.0**10)),
    "scale factor": lambda: network(Adam(0.05, loss_scale_factor=1024.0)),
    "accumulated": lambda: network(SGD(0.3, gradient_accumulation_steps=2)),
}


@pytest.mark.parametrize("make", SERVED.values(), ids=SERVED)
def test_synchronous_batch_is_one_process(spark_context, make):
    model, _ = same(make, spark_context)
    if model.constrained_weights():
        for weight, constraint in model.constrained_weights():
            torch.testing.assert_close(constraint(weight), weight, rtol=1e-5, atol=1e-6)


def test_an_outer_optimizer_that_looks_at_single_weights(spark_context):
    x, y = data()
    model = network(SGD(0.1))
    before = vector(model)
    SparkModel(model, optimizer=optimizers.Adafactor(0.05), num_workers=2).fit(
        to_simple_rdd(spark_context, x, y), epochs=2, verbose=0
    )
    assert np.abs(vector(model) - before).max() > 1e-3


@pytest.mark.parametrize("mode", ["asynchronous", "hogwild"])
def test_weights_stay_within_constraints_at_the_server(spark_context, mode):
    model = network(SGD(0.5), hidden={"kernel_constraint": MaxNorm(0.5)})
    SparkModel(model, mode=mode, num_workers=2).fit(
        to_simple_rdd(spark_context, *data()), epochs=2, verbose=0
    )
    assert np.linalg.norm(model.get_weights()[0], axis=0).max() <= 0.5 + 1e-5


def test_a_mean_of_weights_by_epoch(spark_context):
    x, y = data()
    make = lambda: network(SGD(0.3, use_ema=True, ema_momentum=0.9))  # noqa: E731
    model, whole = make(), make()
    rdd = to_simple_rdd(spark_context, x, y, 1)
    SparkModel(model).fit(rdd, epochs=2, batch_size=SIZE, shuffle=False, verbose=0)
    whole.fit(x, y, epochs=2, batch_size=SIZE, shuffle=False, verbose=0)
    np.testing.assert_allclose(vector(model), vector(whole), rtol=1e-5, atol=1e-6)


def test_sums_over_a_batch_are_means_over_workers(spark_context):
    x, y = data()
    loss = losses.CategoricalCrossentropy(reduction="sum")
    # SGD on half the sum is SGD with half the rate.
    model, whole = network(SGD(0.1), loss=loss), network(SGD(0.1 / WORKERS), loss=loss)
    SparkModel(model, mode="synchronous", frequency="batch").fit(
        dealt(spark_context, x, y), epochs=2, batch_size=SIZE, shuffle=False, verbose=0
    )
    whole.fit(x, y, epochs=2, batch_size=WORKERS * SIZE, shuffle=False, verbose=0)
    np.testing.assert_allclose(vector(model), vector(whole), rtol=1e-5, atol=1e-6)


# What can't be done is said before a job starts


class Halve:
    def __call__(self, w):
        return w / 2


class OwnTraining(Sequential):
    def train_step(self, data):
        x, y = data
        self.zero_grad()
        loss = self.compute_loss(x, y, self(x, training=True))
        loss.backward()
        weights = self.trainable_weights
        with torch.no_grad():
            self.optimizer.apply([2 * w.grad for w in weights], weights)
        return {"loss": loss, "double": 2 * loss.item()}


def own_training():
    torch.manual_seed(0)
    model = OwnTraining([layers.Dense(3, activation="softmax", input_dim=5)])
    model.compile(SGD(0.1), "categorical_crossentropy")
    return model


def stateful():
    model = Sequential([layers.LSTM(4, stateful=True, batch_input_shape=(6, 5, 1)),
                        layers.Dense(3, activation="softmax")])  # fmt: skip
    model.compile("sgd", "categorical_crossentropy")
    return model


class Joined(layers.Layer):
    """One tensor of two."""

    def call(self, inputs):
        return torch.cat(inputs, -1)


def several(**compiled):
    torch.manual_seed(0)
    a, b = Input((5,), name="a"), Input((2,), name="b")
    hidden = layers.Dense(6, activation="tanh")(Joined()([a, b]))
    kind = layers.Dense(3, activation="softmax", name="kind")(hidden)
    size = layers.Dense(1, name="size")(hidden)
    model = Model([a, b], [kind, size])
    model.compile(SGD(0.1), **{"loss": ["categorical_crossentropy", "mse"], **compiled})
    return model


REFUSED = {
    "a constraint of one's own": (
        lambda: network("sgd", hidden={"kernel_constraint": Halve()}),
        {},
        "constraint Halve, which the parameter server doesn't know",
    ),
    "train_step": (own_training, {}, "train_step of its own.* override compute_loss"),
    "stateful": (stateful, {}, "Layer 'lstm.*' .* is stateful"),
    "class_weight": (several, {"class_weight": {0: 2.0}}, "models of one output; this one has 2"),
    "a function": (lambda: network(SGD(lambda: 0.1)), {}, "The learning rate of SGD is a function"),
}


@pytest.mark.parametrize(("make", "more", "message"), REFUSED.values(), ids=REFUSED)
def test_refused_before_a_job(spark_context, make, more, message):
    rdd = spark_context.parallelize(range(2), 2).map(lambda _: 1 / 0)
    with pytest.raises(ValueError, match=message):
        SparkModel(make(), frequency="batch").fit(rdd, verbose=0, **more)


def test_an_optimizer_of_the_script_is_refused(monkeypatch):
    own = type("Mine", (optimizers.SGD,), {"__module__": "__main__"})
    with pytest.raises(ValueError, match="Mine is defined in the script"):
        preflight.check_sendable(own(0.1))


def test_a_rate_can_not_be_set_where_a_schedule_decides(spark_context):
    model = network(SGD(schedules.ExponentialDecay(0.5, 2, 0.5)))

    def change(epoch, logs):
        model.optimizer.learning_rate = 0.1

    spark_model = SparkModel(model, mode="synchronous", num_workers=2)
    with pytest.raises(TypeError, match="LearningRateSchedule, which decides"):
        spark_model.fit(
            to_simple_rdd(spark_context, *data()),
            epochs=2,
            verbose=0,
            callbacks=LambdaCallback(on_epoch_end=change),
        )


def test_constraints_of_ones_own_hold_at_the_workers(spark_context):
    model = network(SGD(0.1), hidden={"kernel_constraint": Halve()})
    SparkModel(model, num_workers=1).fit(
        to_simple_rdd(spark_context, *data()), epochs=3, batch_size=8, verbose=0
    )
    assert np.abs(model.get_weights()[0]).max() < 0.1


# Steps of one's own


class OwnLoss(Sequential):
    """Measures its own loss, and counts its rows."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.mine = metrics.Mean(name="mine")

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        loss = ((y - y_pred) ** 2).mean()
        self.mine.update_state(((y - y_pred) ** 2).mean(1).detach() * 2)
        return loss


def own_loss(seed=0):
    torch.manual_seed(seed)
    model = OwnLoss([layers.Dense(3, activation="softmax", input_dim=5)])
    model.compile(SGD(0.5), metrics=["accuracy"])
    return model


def test_compute_loss_and_metrics_of_ones_own_by_batch(spark_context):
    model, whole = same(own_loss, spark_context)
    x, y = data()
    expected = whole.evaluate(x, y, verbose=0, return_dict=True)
    found = SparkModel(model).evaluate(dealt(spark_context, x, y), return_dict=True)
    assert found == pytest.approx(expected, rel=1e-5)


def test_train_step_of_ones_own_by_epoch(spark_context):
    x, y = data()
    model, alone = own_training(), own_training()
    history = SparkModel(model).fit(
        to_simple_rdd(spark_context, x, y, 1), epochs=2, batch_size=8, shuffle=False, verbose=0
    )
    expected = alone.fit(x, y, epochs=2, batch_size=8, shuffle=False, verbose=0)
    np.testing.assert_allclose(vector(model), vector(alone), rtol=1e-5, atol=1e-6)
    for name, values in expected.history.items():
        assert history.history[name] == pytest.approx(values, rel=1e-5)
    averaged = SparkModel(own_training(), mode="synchronous", frequency=2)
    history = averaged.fit(dealt(spark_context, x, y), epochs=2, batch_size=SIZE, verbose=0)
    assert history.history["double"] == pytest.approx(2 * np.array(history.history["loss"]))


class Two(Model):
    """Two networks that each have an optimizer, and no `call`."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.first = Sequential([layers.Dense(3, input_dim=5)])
        self.second = Sequential([layers.Dense(5, input_dim=3)])
        self.error = metrics.Mean(name="error")

    def compile(self, one, other):
        super().compile()
        self.pairs = [(self.first, one), (self.second, other)]

    def train_step(self, data):
        x, _ = data
        for network, optimizer in self.pairs:
            loss = ((self.second(self.first(x)) - x) ** 2).mean()
            self.zero_grad()
            loss.backward()
            weights = network.trainable_weights
            with torch.no_grad():
                optimizer.apply([w.grad for w in weights], weights)
        self.error.update_state(loss.detach())
        return {"error": self.error.result()}


def test_networks_with_optimizers_of_their_own(spark_context):
    torch.manual_seed(0)
    model = Two()
    model.compile(Adam(0.05), SGD(0.1))
    rdd = to_simple_rdd(spark_context, *data(), 2)
    history = SparkModel(model, mode="synchronous", frequency=2).fit(
        rdd, epochs=4, batch_size=4, verbose=0
    )
    assert list(history.history) == ["error"]
    assert history.history["error"][-1] < 0.7 * history.history["error"][0]


# Several inputs and outputs


def tables(rows=48):
    x, y = data(rows)
    b = np.random.default_rng(1).standard_normal((rows, 2)).astype(np.float32)
    return x, b, y, b.sum(1, keepdims=True)


ROWS = {
    "tuples": lambda a, b, kind, size: ((a, b), (kind, size)),
    "dicts": lambda a, b, kind, size: ({"b": b, "a": a}, {"size": size, "kind": kind}),
}


@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS)
def test_several_inputs_and_outputs(spark_context, row):
    a, b, kind, size = tables()
    pairs = [row(*one) for one in zip(a, b, kind, size, strict=True)]
    make = lambda: several(metrics=[["accuracy"], ["mae"]])  # noqa: E731
    model, whole = make(), make()
    rdd = dealt(spark_context, *zip(*pairs, strict=True))
    spark_model = SparkModel(model, mode="synchronous", frequency="batch")
    history = spark_model.fit(rdd, epochs=2, batch_size=SIZE, shuffle=False, verbose=0)
    expected = whole.fit(
        [a, b], [kind, size], epochs=2, batch_size=WORKERS * SIZE, shuffle=False, verbose=0
    )
    np.testing.assert_allclose(vector(model), vector(whole), rtol=1e-5, atol=1e-6)
    assert list(history.history) == list(expected.history)
    scores = whole.evaluate([a, b], [kind, size], verbose=0, return_dict=True)
    found = spark_model.evaluate(spark_context.parallelize(pairs, 3), return_dict=True)
    assert found == pytest.approx(scores, rel=1e-4)
    for one, other in zip(
        spark_model.predict(spark_context.parallelize(pairs, 3)),
        whole.predict([a, b], verbose=0),
        strict=True,
    ):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)


def test_several_inputs_from_arrays_and_rows_of_features(spark_context):
    a, b, kind, size = tables()
    model = several()
    rdd = to_simple_rdd(spark_context, (a, b), {"kind": kind, "size": size})
    assert rdd.first()[1].keys() == {"kind", "size"}
    spark_model = SparkModel(model, num_workers=2)
    spark_model.fit(rdd, epochs=1, verbose=0)
    expected = model.predict([a, b], verbose=0)
    inputs = spark_context.parallelize(list(zip(a, b, strict=True)), 2)
    whole = spark_model.predict(inputs)
    rows = spark_model.predict(inputs, collect=False).collect()
    for number in range(2):
        np.testing.assert_allclose(whole[number], expected[number], rtol=1e-5)
        np.testing.assert_allclose([row[number] for row in rows], expected[number], rtol=1e-5)
    scores = spark_model.evaluate([a, b], [kind, size])
    assert scores == pytest.approx(model.evaluate([a, b], [kind, size], verbose=0), rel=1e-5)


def test_rows_that_do_not_fit_several_inputs_are_named(spark_context):
    a, b, kind, size = tables(4)
    rows = [((a[0], b[0]), (kind[0], size[0])), (a[1], (kind[1], size[1]))]
    message = "row 1: `features` needs an entry for each of the model's 2 inputs"
    with pytest.raises(ValueError, match=message):
        SparkModel(several()).fit(spark_context.parallelize(rows, 1), verbose=0)


# Models of all forms


class Subclassed(Model):
    """Layers in a list, one of them shared, and a nested model."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.blocks = [layers.Dense(5, activation="tanh") for _ in range(2)]
        self.norm = layers.BatchNormalization()
        self.head = Sequential([layers.Dense(4), layers.Dense(3, activation="softmax")])

    def call(self, inputs):
        for block in self.blocks:
            inputs = block(block(inputs))
        return self.head(self.norm(inputs))


class Tagger(layers.Layer):
    """A layer of one's own that takes a mask."""

    def build(self, input_shape):
        self.kernel = self.add_weight(shape=(input_shape[-1], 3), name="kernel")

    def compute_mask(self, inputs, previous_mask):
        return None

    def call(self, inputs, mask=None):
        kept = inputs if mask is None else inputs * mask[..., None]
        return torch.softmax(kept.sum(1) @ self.kernel, -1)


def subclassed():
    torch.manual_seed(0)
    model = Subclassed()
    model.compile("sgd", "categorical_crossentropy", metrics=["accuracy"])
    return model


def functional():
    torch.manual_seed(0)
    inputs, shared = Input((5,)), layers.Dense(5, activation="tanh")
    inner = Sequential([layers.Dense(4, input_dim=5), layers.Dropout(0.0)])
    outputs = layers.Dense(3, activation="softmax")(inner(shared(shared(inputs))))
    model = Model(inputs, outputs)
    model.compile("sgd", "categorical_crossentropy", metrics=["accuracy"])
    return model


def recurrent():
    torch.manual_seed(0)
    inputs = Input((7,), dtype="int32")
    words = layers.Embedding(10, 4, mask_zero=True)(inputs)
    outputs = Tagger()(layers.LSTM(4, return_sequences=True)(words))
    model = Model(inputs, outputs)
    model.compile("sgd", "categorical_crossentropy", metrics=["accuracy"])
    return model


def sentences(rows=40):
    random = np.random.default_rng(0)
    x = random.integers(1, 10, (rows, 7))
    x[np.arange(7) >= random.integers(1, 8, (rows, 1))] = 0
    return x, data(rows)[1]


FORMS = {
    "subclassed": (subclassed, data),
    "functional": (functional, data),
    "recurrent": (recurrent, sentences),
}


@pytest.mark.parametrize(("make", "rows"), FORMS.values(), ids=FORMS)
def test_models_of_all_forms(spark_context, make, rows, tmp_path):
    x, y = rows(40)
    rdd = to_simple_rdd(spark_context, x, y, 1)
    model, alone = make(), make()
    spark_model = SparkModel(model)
    history = spark_model.fit(
        rdd, epochs=2, batch_size=8, shuffle=False, verbose=0, validation_split=0.2
    )
    expected = alone.fit(
        x, y, epochs=2, batch_size=8, shuffle=False, verbose=0, validation_split=0.2
    )
    if make is not subclassed:  # built here by fit, from other random numbers
        np.testing.assert_allclose(vector(model), vector(alone), rtol=1e-4, atol=1e-6)
        for name, values in expected.history.items():
            assert history.history[name] == pytest.approx(values, rel=1e-4)
    two = to_simple_rdd(spark_context, x, y, 2)
    local = model.predict(x, verbose=0)
    np.testing.assert_allclose(spark_model.predict(two), local, rtol=1e-4, atol=1e-6)
    assert spark_model.evaluate(two) == pytest.approx(model.evaluate(x, y, verbose=0), rel=1e-5)
    spark_model.save(tmp_path / "model.keras")
    objects = {"Subclassed": Subclassed, "Tagger": Tagger}
    loaded = load_model(tmp_path / "model.keras", custom_objects=objects)
    np.testing.assert_allclose(loaded.predict(x, verbose=0), local, rtol=1e-4, atol=1e-6)


# Metrics


class Extremes(metrics.Metric):
    """A metric that gives a dict."""

    def __init__(self, name="extremes", **kwargs):
        super().__init__(name=name, **kwargs)
        self.sums = self.add_weight(shape=(2,), name="sums")

    def update_state(self, y_true, y_pred, sample_weight=None):
        rows = torch.stack([(y_pred > 0.5).sum(), torch.tensor(y_pred.shape[0])])
        self.sums.assign_add(rows)

    def result(self):
        return {"high": self.sums[0], "rows": self.sums[1]}


def test_metrics_are_exact_over_workers(spark_context):
    x, y = data(61)
    model = network(
        SGD(0.0),
        metrics=[
            "accuracy",
            metrics.AUC(name="auc"),
            metrics.F1Score(),
            metrics.R2Score(),
            Extremes(),
        ],
        weighted_metrics=["accuracy", "mse"],
    )
    weights = {0: 2.0, 1: 0.5}
    history = SparkModel(model, num_workers=3).fit(
        to_simple_rdd(spark_context, x, y, 3), epochs=1, class_weight=weights, verbose=0
    )
    alone = network(
        SGD(0.0),
        metrics=[
            "accuracy",
            metrics.AUC(name="auc"),
            metrics.F1Score(),
            metrics.R2Score(),
            Extremes(),
        ],
        weighted_metrics=["accuracy", "mse"],
    )
    expected = alone.fit(x, y, batch_size=61, class_weight=weights, verbose=0).history
    assert list(history.history) == list(expected)
    for name, (value,) in expected.items():
        np.testing.assert_allclose(history.history[name][0], value, rtol=1e-5, err_msg=name)


def test_workers_without_rows_count_for_nothing(spark_context):
    x, y = data(12)
    pairs = list(zip(x, y, strict=True))
    rdd = spark_context.parallelize(range(3), 3).mapPartitionsWithIndex(
        lambda index, _: iter(pairs if index == 1 else [])
    )
    model = network(SGD(0.1), metrics=[metrics.F1Score(), metrics.R2Score()])
    alone = network(SGD(0.1), metrics=[metrics.F1Score(), metrics.R2Score()])
    spark_model = SparkModel(model, mode="synchronous", num_workers=3)
    history = spark_model.fit(rdd, shuffle=False, verbose=0).history
    expected = alone.fit(x, y, shuffle=False, verbose=0).history
    for name, (value,) in expected.items():
        np.testing.assert_allclose(history[name][0], value, rtol=1e-5)
    found = spark_model.evaluate(rdd, return_dict=True)
    for name, value in alone.evaluate(x, y, verbose=0, return_dict=True).items():
        np.testing.assert_allclose(found[name], value, rtol=1e-5)


# What travels


def mixed():
    torch.manual_seed(0)
    model = Sequential([
        layers.Dense(64, activation="relu", input_dim=5, dtype="mixed_bfloat16"),
        layers.Dense(3, activation="softmax", dtype="float32"),
    ])  # fmt: skip
    model.compile("sgd", "categorical_crossentropy")
    return model


def test_a_fresh_process_computes_in_mixed_precision(tmp_path):
    model = mixed()
    (tmp_path / "model").write_bytes(pickle.dumps(model))
    code = (
        "import pickle, sys, torch\n"
        "model = pickle.loads(open(sys.argv[1], 'rb').read())\n"
        "print(model.layers[0](torch.ones(2, 5)).dtype)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, tmp_path / "model"],
        capture_output=True, text=True, cwd=ROOT, check=True,
    )  # fmt: skip
    assert done.stdout.strip() == "torch.bfloat16"


def test_mixed_precision_on_workers(spark_context):
    x, y = data()
    model, alone = mixed(), mixed()
    spark_model = SparkModel(model)
    spark_model.fit(to_simple_rdd(spark_context, x, y, 1), shuffle=False, verbose=0)
    alone.fit(x, y, shuffle=False, verbose=0)
    np.testing.assert_allclose(vector(model), vector(alone), rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(
        spark_model.predict(to_simple_rdd(spark_context, x, y, 1)), model.predict(x, verbose=0)
    )


def test_overflowing_gradients_are_computed_again_with_a_smaller_scale(spark_context):
    optimizer = keras_optimizers.LossScaleOptimizer(SGD(0.1), initial_scale=3e38)
    model, alone = network(optimizer, loss="mse"), network(SGD(0.1), loss="mse")
    x, y = data()
    SparkModel(model, frequency="batch").fit(
        to_simple_rdd(spark_context, 100 * x, 100 * y, 1), shuffle=False, verbose=0
    )
    alone.fit(100 * x, 100 * y, shuffle=False, verbose=0)
    np.testing.assert_allclose(vector(model), vector(alone), rtol=1e-4, atol=1e-5)


def deep(length=100):
    inputs = hidden = Input((8,))
    for _ in range(length):
        hidden = layers.Dense(8)(hidden)
    model = Model(inputs, hidden)
    model.compile("sgd", "mse")
    return model


def test_what_is_sent_is_small():
    from pyspark import cloudpickle

    model = deep()
    model.predict(np.zeros((1, 8)), verbose=0)
    sent = cloudpickle.dumps(model.skeleton())
    assert len(sent) < 100 * 1200
    assert b"KerasTensor" not in sent
    assert len(sent) < 1.3 * len(cloudpickle.dumps(deep().skeleton()))
    copy = worker.load_model(pickle.loads(sent), worker.packed(model))
    x = np.ones((2, 8), np.float32)
    np.testing.assert_array_equal(copy.predict(x, verbose=0), model.predict(x, verbose=0))
