"""SparkModel's semantics on a real Spark session, each against a single process."""

import itertools

import numpy as np
import pytest
import torch

from elephas_torch import optimizers
from elephas_torch.errors import DataError, WorkerError
from elephas_torch.keras.layers import BatchNormalization, Dense, Dropout, Layer
from elephas_torch.keras.losses import CategoricalCrossentropy
from elephas_torch.keras.models import Model, Sequential, load_model
from elephas_torch.keras.optimizers import SGD, Adam
from elephas_torch.spark_model import (
    AsynchronousSparkModel,
    SparkMLlibModel,
    SparkModel,
    load_spark_model,
)
from elephas_torch.utils.rdd_utils import to_labeled_point, to_simple_rdd

pytestmark = pytest.mark.spark

MODES = ("synchronous", "asynchronous", "hogwild")
COMBINATIONS = list(itertools.product(MODES, ("epoch", "batch", 8)))
#: Each mode and each frequency; the slow tests train on MNIST with all of them.
QUICK = [
    ("synchronous", "batch"),
    ("synchronous", 8),
    ("asynchronous", "epoch"),
    ("hogwild", "batch"),
]


def mlp(optimizer="sgd", metrics=("accuracy",), dropout=0.0, seed=0):
    torch.manual_seed(seed)
    model = Sequential()
    model.add(Dense(128, activation="relu", input_dim=784))
    if dropout:
        model.add(Dropout(dropout))
    model.add(Dense(128, activation="relu"))
    if dropout:
        model.add(Dropout(dropout))
    model.add(Dense(10, activation="softmax"))
    model.compile(loss="categorical_crossentropy", optimizer=optimizer, metrics=list(metrics))
    return model


def small(optimizer="sgd", seed=0, **compiled):
    torch.manual_seed(seed)
    model = Sequential([Dense(8, activation="tanh", input_dim=5), Dense(3, activation="softmax")])
    compiled = {"loss": "categorical_crossentropy", "metrics": ["accuracy"], **compiled}
    model.compile(optimizer=optimizer, **compiled)
    return model


def data(rows=96, seed=0):
    random = np.random.default_rng(seed)
    x = random.standard_normal((rows, 5)).astype(np.float32)
    return x, np.eye(3, dtype=np.float32)[(x @ random.standard_normal((5, 3))).argmax(1)]


def partitions(sc, *parts):
    """An RDD with exactly these rows in its partitions."""
    pairs = [list(zip(x, y, strict=True)) for x, y in parts]
    return sc.parallelize(range(len(pairs)), len(pairs)).mapPartitionsWithIndex(
        lambda index, _: iter(pairs[index])
    )


def vector(model):
    return np.concatenate([w.ravel() for w in model.get_weights()])


def distance(one, other):
    return np.linalg.norm(vector(one) - vector(other)) / np.linalg.norm(vector(other))


@pytest.mark.parametrize(
    ("mode", "frequency"),
    [one if one in QUICK else pytest.param(*one, marks=pytest.mark.slow) for one in COMBINATIONS],
)
@pytest.mark.parametrize(
    ("workers", "floor"), [(2, 0.93), pytest.param(4, 0.92, marks=pytest.mark.slow)]
)
def test_learns_mnist(spark_context, mnist, mode, frequency, workers, floor):
    rdd = to_simple_rdd(spark_context, mnist.x_train, mnist.y_train)
    # Who comes first is chance where nobody waits: one unlucky order may miss, not two.
    for seed in (1, 2) if mode != "synchronous" else (1,):
        model = mlp(SGD(0.1), dropout=0.2, seed=seed)
        spark_model = SparkModel(
            spark_context, model, mode=mode, frequency=frequency, num_workers=workers, seed=seed
        )
        history = spark_model.fit(rdd, epochs=5, batch_size=32, verbose=0)
        assert len(history.history["loss"]) == 5
        assert history.history["loss"][-1] < history.history["loss"][0]
        accuracy = model.evaluate(mnist.x_test, mnist.y_test, verbose=0)[1]
        if accuracy >= floor:
            return
    assert accuracy >= floor


@pytest.mark.parametrize("optimizer", [lambda: SGD(0.05, momentum=0.9), lambda: Adam(0.01)])
@pytest.mark.parametrize("workers", [2, 3])
def test_synchronous_batch_is_one_process_with_all_batches(spark_context, optimizer, workers):
    size, batches = 8, 4
    x, y = data(workers * size * batches)
    whole, model = small(optimizer()), small(optimizer())
    parts = [(x[w::workers], y[w::workers]) for w in range(workers)]
    rdd = partitions(spark_context, *parts)
    spark_model = SparkModel(model, mode="synchronous", frequency="batch", num_workers=workers)
    spark_model.fit(rdd, epochs=3, batch_size=size, shuffle=False, verbose=0)
    # rows w, w + N, w + 2N … are worker w's: batch k of all workers is rows k N b to (k+1) N b
    whole.fit(x, y, epochs=3, batch_size=workers * size, shuffle=False, verbose=0)
    assert distance(model, whole) < 1e-6


@pytest.mark.parametrize(("mode", "frequency"), COMBINATIONS)
def test_one_worker_is_plain_fit(spark_context, mode, frequency):
    x, y = data(90)
    alone, model = small(SGD(0.1)), small(SGD(0.1))
    rdd = partitions(spark_context, (x, y))
    spark_model = SparkModel(model, mode=mode, frequency=frequency)
    history = spark_model.fit(
        rdd, epochs=3, batch_size=16, shuffle=False, verbose=0, validation_split=0.2
    )
    expected = alone.fit(
        x, y, epochs=3, batch_size=16, shuffle=False, verbose=0, validation_split=0.2
    )
    assert distance(model, alone) < 1e-6
    assert history.history.keys() == expected.history.keys()
    for name, values in expected.history.items():
        assert history.history[name] == pytest.approx(values, rel=1e-5), name


@pytest.mark.parametrize("frequency", ["epoch", 2])
def test_synchronous_rounds_average_weights(spark_context, frequency):
    """Against the definition, written out for two workers of uneven size."""
    x, y = data(80)
    parts = [(x[:48], y[:48]), (x[48:], y[48:])]
    model = small(SGD(0.1))
    rdd = partitions(spark_context, *parts)
    SparkModel(model, mode="synchronous", frequency=frequency).fit(
        rdd, epochs=2, batch_size=8, shuffle=False, verbose=0
    )
    server, workers = small(SGD(0.1)), [small(SGD(0.1)), small(SGD(0.1))]
    for _ in range(2):
        queues = [
            [(px[i : i + 8], py[i : i + 8]) for i in range(0, len(px), 8)] for px, py in parts
        ]
        while any(queues):
            sums, rows = 0, 0
            for worker, queue in zip(workers, queues, strict=True):
                steps = len(queue) if frequency == "epoch" else min(frequency, len(queue))
                if not steps:
                    continue
                worker.set_weights(server.get_weights())
                taken = [queue.pop(0) for _ in range(steps)]
                for bx, by in taken:
                    worker.train_on_batch(bx, by)
                n = sum(len(bx) for bx, _ in taken)
                sums, rows = sums + n * (vector(server) - vector(worker)), rows + n
            fresh, shapes = vector(server) - sums / rows, [w.shape for w in server.get_weights()]
            split = np.split(fresh, np.cumsum([int(np.prod(s)) for s in shapes])[:-1])
            server.set_weights([w.reshape(s) for w, s in zip(split, shapes, strict=True)])
    assert distance(model, server) < 1e-6


def test_same_seed_same_weights(spark_context):
    x, y = data(100)
    rdd = partitions(spark_context, (x[:60], y[:60]), (x[60:], y[60:]))
    found = []
    for _ in range(2):
        model = small(SGD(0.1))
        spark_model = SparkModel(model, mode="synchronous", frequency="batch", seed=7)
        spark_model.fit(rdd, epochs=2, batch_size=8, verbose=0)
        found.append(vector(model))
    assert np.array_equal(*found)
    other = small(SGD(0.1))
    SparkModel(other, mode="synchronous", frequency="batch", seed=8).fit(
        rdd, epochs=2, batch_size=8, verbose=0
    )
    assert not np.array_equal(vector(other), found[0])


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("frequency", ["epoch", "batch"])
def test_uneven_small_and_empty_partitions(spark_context, mode, frequency):
    x, y = data(61)
    rdd = partitions(
        spark_context,
        (x[:50], y[:50]),
        (x[50:50], y[50:50]),
        (x[50:51], y[50:51]),
        (x[51:], y[51:]),
    )
    spark_model = SparkModel(small(), mode=mode, frequency=frequency, num_workers=4)
    history = spark_model.fit(rdd, epochs=2, batch_size=16, verbose=0)
    assert len(history.history["loss"]) == 2
    seen = [len(one.get("loss", [])) for one in spark_model.training_histories]
    assert seen == [2, 0, 2, 2]


def test_history_is_the_mean_over_all_rows(spark_context):
    x, y = data(70)
    rdd = partitions(spark_context, (x[:50], y[:50]), (x[50:], y[50:]))
    spark_model = SparkModel(small(SGD(0.1)), mode="synchronous")
    history = spark_model.fit(rdd, epochs=2, batch_size=8, verbose=0)
    workers = spark_model.training_histories
    for name in ("loss", "accuracy"):
        means = np.average([one[name] for one in workers], axis=0, weights=[50, 20])
        assert history.history[name] == pytest.approx(means, rel=1e-6)


def test_validation_rows_are_each_partitions_last(spark_context):
    x, y = data(40)
    x[15:20], x[35:40] = 0, 0  # rows that would spoil nothing but stand out
    y[15:20], y[35:40] = np.eye(3)[2], np.eye(3)[2]
    rdd = partitions(spark_context, (x[:20], y[:20]), (x[20:], y[20:]))
    model = small(SGD(0.1))
    history = SparkModel(model, mode="synchronous").fit(
        rdd, epochs=1, validation_split=0.25, verbose=0
    )
    held = np.r_[15:20, 35:40]
    loss, accuracy = model.evaluate(x[held], y[held], verbose=0)
    assert history.history["val_loss"] == pytest.approx([loss], rel=1e-5)
    assert history.history["val_accuracy"] == pytest.approx([accuracy])


def test_moving_statistics_are_averaged_by_samples(spark_context):
    x, y = data(60)
    torch.manual_seed(0)
    model = Sequential([BatchNormalization(input_shape=(5,)), Dense(3, activation="softmax")])
    model.compile(loss="categorical_crossentropy", optimizer="sgd")
    start = model.get_weights()
    rdd = partitions(spark_context, (x[:40], y[:40]), (x[40:] + 5, y[40:]))
    SparkModel(model, mode="synchronous").fit(
        rdd, epochs=1, batch_size=20, shuffle=False, verbose=0
    )
    means = []
    for px, py in ((x[:40], y[:40]), (x[40:] + 5, y[40:])):
        model_alone = Sequential.from_config(model.get_config())
        model_alone.compile(loss="categorical_crossentropy", optimizer="sgd")
        model_alone.set_weights(start)
        model_alone.fit(px, py, batch_size=20, shuffle=False, verbose=0)
        means.append(model_alone.layers[0].get_weights()[2:])
    mine = model.layers[0].get_weights()[2:]
    for value, one, other in zip(mine, *means, strict=True):
        np.testing.assert_allclose(value, (40 * one + 20 * other) / 60, rtol=1e-5)


@pytest.mark.parametrize("mode", MODES)
def test_a_torch_module_of_ones_own(spark_context, mode):
    x, y = data(200)
    net = torch.nn.Sequential(
        torch.nn.Linear(5, 16), torch.nn.BatchNorm1d(16), torch.nn.ReLU(), torch.nn.Linear(16, 3)
    )
    model = Model.from_torch(net, input_shape=(5,))
    model.compile(SGD(0.1), loss=CategoricalCrossentropy(from_logits=True), metrics=["accuracy"])
    rdd = to_simple_rdd(spark_context, x, y)
    spark_model = SparkModel(model, mode=mode, frequency="batch", num_workers=2, seed=0)
    spark_model.fit(rdd, epochs=10, batch_size=10, verbose=0)
    assert net[1].num_batches_tracked > 0
    net.eval()
    with torch.no_grad():
        accuracy = (net(torch.from_numpy(x)).argmax(1).numpy() == y.argmax(1)).mean()
    assert accuracy > 0.85


@pytest.mark.parametrize(
    ("optimizer", "frequency"),
    [(optimizers.DiLoCo, "epoch"), (optimizers.Adagrad, "epoch"), (lambda: "adam", 8)],
    ids=["diloco", "fedadagrad", "fedadam"],
)
def test_outer_optimizers(spark_context, mnist, optimizer, frequency):
    rdd = to_simple_rdd(spark_context, mnist.x_train, mnist.y_train)
    model = mlp(SGD(0.1))
    spark_model = SparkModel(
        model, optimizer=optimizer(), mode="synchronous", frequency=frequency, num_workers=2, seed=0
    )
    spark_model.fit(rdd, epochs=3, verbose=0)
    assert model.evaluate(mnist.x_test, mnist.y_test, verbose=0)[1] > 0.85


def test_raw_staleness_is_elephas(spark_context):
    x, y = data(64)
    spark_model = SparkModel(small(), mode="asynchronous", frequency=1, staleness=None)
    history = spark_model.fit(to_simple_rdd(spark_context, x, y), epochs=2, verbose=0)
    assert len(history.history["loss"]) == 2


def test_momentum_on_an_asynchronous_server_is_warned_of(spark_context):
    x, y = data(32)
    spark_model = SparkModel(small(), optimizer=optimizers.DiLoCo(), mode="asynchronous")
    with pytest.warns(UserWarning, match="has momentum"):
        spark_model.fit(to_simple_rdd(spark_context, x, y), verbose=0)


def test_labels_and_features_of_several_dimensions(spark_context):
    random = np.random.default_rng(0)
    x = random.standard_normal((48, 4, 3)).astype(np.float32)
    model = Sequential([Dense(2, input_shape=(4, 3))])
    model.compile(loss="mse", optimizer=SGD(0.1), metrics=["mae"])
    y = x[..., :2] * 2
    rdd = to_simple_rdd(spark_context, x, y)
    history = SparkModel(model, mode="synchronous", frequency="batch").fit(
        rdd, epochs=20, batch_size=8, verbose=0
    )
    assert history.history["mae"][-1] < history.history["mae"][0] / 2
    assert SparkModel(model).predict(x).shape == (48, 4, 2)


@pytest.mark.parametrize("kind", ["lists", "tensors", "scalars"])
def test_rows_of_every_kind(spark_context, kind):
    x, y = data(40)
    labels = y.argmax(1)
    rows = {
        "lists": [(a.tolist(), b.tolist()) for a, b in zip(x, y, strict=True)],
        "tensors": [(torch.tensor(a), torch.tensor(b)) for a, b in zip(x, y, strict=True)],
        "scalars": [(a, int(b)) for a, b in zip(x, labels, strict=True)],
    }[kind]
    loss = "sparse_categorical_crossentropy" if kind == "scalars" else "categorical_crossentropy"
    model = small(loss=loss)
    history = SparkModel(model).fit(spark_context.parallelize(rows, 2), verbose=0)
    assert np.isfinite(history.history["loss"]).all()


def test_a_model_without_input_shape_is_built_from_the_first_row(spark_context):
    x, y = data(40)
    model = Sequential([Dense(3, activation="softmax")])
    model.compile(loss="categorical_crossentropy", optimizer="sgd")
    SparkModel(model).fit(to_simple_rdd(spark_context, x, y), verbose=0)
    assert model.input_shape == (None, 5)


def test_predict_and_evaluate_in_order(spark_context):
    x, y = data(101)
    model = small()
    spark_model = SparkModel(spark_context, model)
    expected = model.predict(x)
    pairs = to_simple_rdd(spark_context, x, y)
    features = spark_context.parallelize(list(x), 3)
    for source in (x, features, pairs):
        np.testing.assert_allclose(spark_model.predict(source), expected, rtol=1e-6)
    lazy = spark_model.predict(features, collect=False)
    np.testing.assert_allclose(np.stack(lazy.collect()), expected, rtol=1e-6)
    assert np.array_equal(spark_model.predict_classes(features), expected.argmax(1))
    exact = model.evaluate(x, y, verbose=0)
    uneven = partitions(spark_context, (x[:90], y[:90]), (x[90:], y[90:]), (x[:0], y[:0]))
    for given in ((x, y), (pairs,), (uneven,)):
        assert spark_model.evaluate(*given, batch_size=7) == pytest.approx(exact, rel=1e-6)
    assert spark_model.evaluate(x, y, return_dict=True).keys() == {"loss", "accuracy"}


def test_save_and_load(spark_context, tmp_path):
    x, y = data(40)
    spark_model = SparkModel(
        small("adam"), optimizer=optimizers.Adagrad(lr=0.02), mode="synchronous", frequency=4,
        num_workers=2, batch_size=16, seed=3, staleness=None,
    )  # fmt: skip
    spark_model.fit(to_simple_rdd(spark_context, x, y), verbose=0)
    path = tmp_path / "spark.keras"
    spark_model.save(path)
    loaded = load_spark_model(path)
    assert loaded.get_config() == spark_model.get_config()
    np.testing.assert_array_equal(loaded.predict(x), spark_model.predict(x))
    np.testing.assert_array_equal(load_model(path).predict(x), spark_model.predict(x))
    loaded.fit(to_simple_rdd(spark_context, x, y), verbose=0)
    with pytest.raises(FileExistsError):
        spark_model.save(path, overwrite=False)


def test_mllib(spark_context):
    from pyspark.mllib.linalg import DenseMatrix, Vectors

    x, y = data(120)
    points = to_labeled_point(spark_context, x, y.argmax(1))
    model = small(SGD(0.5))
    spark_model = SparkMLlibModel(
        spark_context, model, mode="hogwild", frequency="batch", num_workers=2
    )
    history = spark_model.train(
        points, nb_epoch=20, batch_size=8, verbose=0, validation_split=0.1, categorical=True,
        nb_classes=3,
    )  # fmt: skip
    assert history.history["accuracy"][-1] > 0.8
    expected = model.predict(x[:4])
    matrix = spark_model.predict(DenseMatrix(4, 5, x[:4].ravel(), isTransposed=True))
    np.testing.assert_allclose(matrix.toArray(), expected, rtol=1e-6)
    classes = spark_model.predict_classes(DenseMatrix(4, 5, x[:4].ravel(), isTransposed=True))
    assert classes.tolist() == expected.argmax(1).tolist()
    exact = model.evaluate(x, y, verbose=0)
    assert spark_model.evaluate(points, categorical=True) == pytest.approx(exact, rel=1e-6)
    with pytest.raises(ValueError, match="nb_classes='3'"):
        spark_model.train(points, categorical=True, nb_classes="3")
    with pytest.raises(WorkerError, match="must have LabeledPoints"):
        spark_model.train(to_simple_rdd(spark_context, x, y), verbose=0)
    found = spark_model.predict(Vectors.dense(x[0].tolist()))
    np.testing.assert_allclose(found.toArray(), expected[0], rtol=1e-6)


def test_elephas_spellings(spark_context):
    x, y = data(64)
    rdd = to_simple_rdd(spark_context, x, y)
    adagrad = optimizers.Adagrad()
    first = SparkModel(
        spark_context, small(), optimizer=adagrad, frequency="epoch", mode="asynchronous",
        num_workers=2,
    )  # fmt: skip
    history = first.train(
        rdd, nb_epoch=2, batch_size=32, verbose=0, validation_split=0.1, num_workers=3
    )
    assert len(history.history["val_loss"]) == 2
    assert len(first.training_histories) == 3
    later = SparkModel(
        small(), mode="synchronous", frequency="batch", num_workers=2, custom_objects={},
        batch_size=16, port=0, parameter_server_mode="http",
    )  # fmt: skip
    later.fit(rdd, epochs=1, batch_size=32, verbose=0, validation_split=0.1)
    named = AsynchronousSparkModel(small(), frequency="epoch", num_workers=2)
    assert named.mode == "asynchronous"
    positional = SparkModel(small(), "hogwild", "batch")
    assert (positional.mode, positional.frequency) == ("hogwild", "batch")
    assert first.master_network is not named.master_network


def test_class_weights_are_plain_fits(spark_context):
    x, y = data(60)
    alone, model = small(SGD(0.1)), small(SGD(0.1))
    weights, options = {0: 0.5, 2: 3.0}, {"epochs": 2, "shuffle": False, "verbose": 0}
    expected = alone.fit(x, y, class_weight=weights, validation_split=0.2, **options)
    history = SparkModel(model, frequency="batch").fit(
        partitions(spark_context, (x, y)), class_weight=weights, validation_split=0.2, **options
    )
    assert distance(model, alone) < 1e-6
    for name, values in expected.history.items():
        assert history.history[name] == pytest.approx(values, rel=1e-5), name


def test_models_without_input_shape_are_built_as_the_facade_builds_them(spark_context):
    x, _ = data(40)
    model = Sequential([Dense(1)])
    model.compile(loss="mse", optimizer="sgd")
    SparkModel(model).fit(to_simple_rdd(spark_context, x[:, 0], x[:, 1]), verbose=0)
    assert model.input_shape == (None, 1)
    unbuilt = Sequential([Dense(1)])
    unbuilt.compile(loss="mse", optimizer="sgd")
    with pytest.raises(DataError, match=r"is no .* pair"):
        SparkModel(unbuilt).fit(spark_context.parallelize([1, 2, 3, 4], 2), verbose=0)


def test_the_model_is_in_inference_mode_after_a_fit(spark_context):
    x, y = data(40)
    net = torch.nn.Sequential(torch.nn.Linear(5, 3), torch.nn.Dropout(0.5))
    model = Model.from_torch(net, input_shape=(5,))
    model.compile("sgd", loss=CategoricalCrossentropy(from_logits=True))
    SparkModel(model).fit(to_simple_rdd(spark_context, x, y), verbose=0)
    assert not net.training


class Boom(Layer):
    def call(self, inputs):
        raise ValueError("boom of mine")

    def compute_output_shape(self, input_shape):
        return input_shape


def test_scoring_shows_a_layers_own_error_once(spark_context, capfd):
    x, y = data(40)
    model = Sequential([Dense(3, input_dim=5), Boom()])
    model.compile(loss="mse", optimizer="sgd")
    rdd = to_simple_rdd(spark_context, x, y)
    for score in (SparkModel(model).predict, SparkModel(model).evaluate):
        with pytest.raises(WorkerError, match="boom of mine") as caught:
            score(rdd)
        assert str(caught.value).count("Traceback") == 1
    assert "org.apache" not in "".join(capfd.readouterr())


def test_an_rdd_that_fails_before_a_shuffle_shows_its_traceback(spark_context):
    rdd = spark_context.parallelize(range(9), 3).map(lambda n: 1 // 0)
    with pytest.raises(WorkerError, match=r"(?s)1 // 0.*ZeroDivisionError"):
        SparkModel(small(), num_workers=2).fit(rdd, verbose=0)


def test_what_goes_only_with_arrays(spark_context):
    x, y = data(8)
    rdd = to_simple_rdd(spark_context, x, y)
    with pytest.raises(ValueError, match="go with arrays"):
        SparkModel(small()).evaluate(rdd, y)
    with pytest.raises(ValueError, match="`shuffle` must be"):
        SparkModel(small()).fit(rdd, shuffle="no")
