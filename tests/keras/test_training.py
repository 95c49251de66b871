"""`fit`, `evaluate`, `predict` beside Keras 3's own, from the same weights."""

import os

os.environ["KERAS_BACKEND"] = "torch"

import keras
import numpy as np
import pytest
import torch
from torch import nn

from elephas_torch import optimizers as elephas_optimizers
from elephas_torch.errors import DataError
from elephas_torch.keras import layers, losses, metrics, models, optimizers
from elephas_torch.keras.callbacks import Callback, LambdaCallback

ROWS = 50


def mlp(library, units=3, activation="softmax"):
    layers = library.layers
    return library.models.Sequential(
        [
            layers.Input((6,)),
            layers.Dense(8, activation="relu"),
            layers.Dense(5, activation="tanh"),
            layers.Dense(units, activation=activation),
        ]
    )


def cnn(library):
    layers = library.layers
    return library.models.Sequential(
        [
            layers.Input((8, 8, 2)),
            layers.Conv2D(4, 3, activation="tanh", padding="same"),
            layers.BatchNormalization(),
            layers.MaxPooling2D(),
            layers.Flatten(),
            layers.Dense(3, activation="softmax"),
        ]
    )


def rnn(library):
    layers = library.layers
    return library.models.Sequential(
        [
            layers.Input((7,)),
            layers.Embedding(20, 6),
            layers.LSTM(5),
            layers.Dense(1, activation="sigmoid"),
        ]
    )


class Ours:
    layers, models = layers, models


def pair(make, **options):
    ours, theirs = make(Ours, **options), make(keras, **options)
    theirs.set_weights([np.asarray(w) for w in ours.get_weights()])
    return ours, theirs


def data(kind, rows=ROWS, seed=0):
    random = np.random.default_rng(seed)
    labels = random.integers(0, 3, rows)
    one_hot = np.eye(3, dtype="float32")[labels]
    if kind == "mlp":
        return random.normal(size=(rows, 6)).astype("float32") + labels[:, None] * 0.3, one_hot
    if kind == "cnn":
        return random.normal(size=(rows, 8, 8, 2)).astype("float32"), one_hot
    return random.integers(0, 20, (rows, 7)), (labels > 0).astype("float32")[:, None]


def close(mine, others, tolerance=1e-5):
    for one, other in zip(mine, others, strict=True):
        one, other = np.asarray(one), np.asarray(other)
        assert one.shape == other.shape
        scale = max(np.abs(other).max(), 0.05)  # absolute for biases that are nearly 0
        assert np.abs(one - other).max() / scale < tolerance


def same_history(ours, theirs, tolerance=1e-5):
    assert set(ours.history) == set(theirs.history)
    for name, values in theirs.history.items():
        assert ours.history[name] == pytest.approx(values, rel=tolerance), name
    assert ours.epoch == theirs.epoch


def train_both(ours, theirs, x, y, **options):
    options = {"batch_size": 16, "epochs": 3, "verbose": 0, "shuffle": False, **options}
    mine, other = ours.fit(x, y, **options), theirs.fit(x, y, **options)
    close(ours.get_weights(), theirs.get_weights())
    same_history(mine, other)
    return mine


OPTIMIZERS = {
    "sgd": ("SGD", {"learning_rate": 0.1}),
    "momentum": ("SGD", {"learning_rate": 0.05, "momentum": 0.9}),
    "nesterov": ("SGD", {"learning_rate": 0.05, "momentum": 0.9, "nesterov": True}),
    "rmsprop": ("RMSprop", {"learning_rate": 0.01, "epsilon": 1e-3}),
    "centered": ("RMSprop", {"learning_rate": 0.01, "centered": True, "epsilon": 1e-2}),
    "adagrad": ("Adagrad", {"learning_rate": 0.1}),
    "adadelta": ("Adadelta", {"learning_rate": 1.0}),
    "adam": ("Adam", {"learning_rate": 0.01, "epsilon": 1e-3}),
    "clipnorm": ("SGD", {"learning_rate": 0.1, "clipnorm": 0.05}),
    "global_clipnorm": ("SGD", {"learning_rate": 0.1, "global_clipnorm": 0.05}),
    "clipvalue": ("SGD", {"learning_rate": 0.1, "clipvalue": 0.01}),
}
NETWORKS = {"mlp": mlp, "cnn": cnn, "rnn": rnn}


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_fit_takes_keras_s_way(network, name):
    cls, settings = OPTIMIZERS[name]
    ours, theirs = pair(NETWORKS[network])
    loss = "binary_crossentropy" if network == "rnn" else "categorical_crossentropy"
    ours.compile(getattr(optimizers, cls)(**settings), loss, metrics=["accuracy"])
    theirs.compile(
        getattr(keras.optimizers, cls)(**settings), loss, metrics=["accuracy"], jit_compile=False
    )
    x, y = data(network)
    history = train_both(ours, theirs, x, y, validation_split=0.2)
    assert set(history.history) == {"loss", "accuracy", "val_loss", "val_accuracy"}
    close([ours.predict(x)], [theirs.predict(x, verbose=0)])


@pytest.mark.parametrize("name", ["sgd", "rmsprop", "adagrad", "adadelta", "adam"])
def test_optimizers_by_name_have_keras_s_defaults(name):
    ours, theirs = pair(mlp, units=2, activation="linear")
    x, _ = data("mlp")
    y = np.stack([x.sum(1), x[:, 0] - x[:, 1]], 1)
    ours.compile(name, "mse", metrics=["mae", "mse"])
    theirs.compile(name, "mse", metrics=["mae", "mse"], jit_compile=False)
    train_both(ours, theirs, x, y)


def both_compiled(units=3, activation="softmax", loss="categorical_crossentropy", rate=0.1):
    ours, theirs = pair(mlp, units=units, activation=activation)
    ours.compile(optimizers.SGD(rate), loss, metrics=["accuracy"])
    theirs.compile(keras.optimizers.SGD(rate), loss, metrics=["accuracy"], jit_compile=False)
    return ours, theirs


ARGUMENTS = {
    "class_weight": {"class_weight": {0: 1.0, 1: 4.0}},
    "class_weight, split": {"class_weight": {0: 1.0, 1: 4.0}, "validation_split": 0.3},
    "sample_weight": {"sample_weight": np.linspace(0, 3, ROWS)},
    "sample_weight, split": {"sample_weight": np.linspace(0, 3, ROWS), "validation_split": 0.3},
    "validation_data": {"validation_data": data("mlp", 20, seed=1)},
    "weighted validation": {"validation_data": (*data("mlp", 20, seed=1), np.linspace(0, 1, 20))},
    "validation_batch_size": {
        "validation_data": data("mlp", 20, seed=1),
        "validation_batch_size": 7,
    },
    "validation_freq": {"validation_split": 0.2, "validation_freq": 2, "epochs": 5},
    "initial_epoch": {"initial_epoch": 2, "epochs": 5},
    "no epoch left": {"initial_epoch": 5, "epochs": 5},
    "single rows": {"batch_size": 1},
    "one batch": {"batch_size": 1000},
}


@pytest.mark.parametrize("name", ARGUMENTS)
def test_arguments_of_fit_do_what_keras_s_do(name):
    train_both(*both_compiled(), *data("mlp"), **ARGUMENTS[name])


def test_class_weights_of_sparse_labels():
    ours, theirs = both_compiled(loss="sparse_categorical_crossentropy")
    x, y = data("mlp")
    train_both(ours, theirs, x, y.argmax(1), class_weight={1: 3.0, 2: 0.0})


def test_class_and_sample_weights_multiply():
    x, y = data("mlp")
    given = np.linspace(0.5, 2, ROWS)
    both, product = both_compiled()[0], both_compiled()[0]
    product.set_weights(both.get_weights())
    both.fit(x, y, class_weight={1: 3.0}, sample_weight=given, shuffle=False, verbose=0)
    weight = given * np.where(y.argmax(1) == 1, 3.0, 1.0)
    product.fit(x, y, sample_weight=weight, shuffle=False, verbose=0)
    close(both.get_weights(), product.get_weights(), 1e-6)


def test_evaluate_and_the_batch_methods():
    ours, theirs = both_compiled()
    x, y = data("mlp")
    weight = np.linspace(0.5, 2, ROWS)
    for options in ({}, {"batch_size": 7}, {"sample_weight": weight}):
        mine = ours.evaluate(x, y, verbose=0, **options)
        assert mine == pytest.approx(theirs.evaluate(x, y, verbose=0, **options), rel=1e-5)
    named = ours.evaluate(x, y, verbose=0, return_dict=True)
    other = theirs.evaluate(x, y, verbose=0, return_dict=True)
    assert named == pytest.approx({k: float(v) for k, v in other.items()}, rel=1e-5)
    assert ours.metrics_names == ["loss", "accuracy"]
    close([ours.predict(x, batch_size=7)], [theirs.predict(x, batch_size=7, verbose=0)])
    close([ours.predict_on_batch(x[:3])], [theirs.predict_on_batch(x[:3])])
    theirs.reset_metrics()
    mine, other = ours.test_on_batch(x, y, weight), theirs.test_on_batch(x, y, weight)
    assert mine == pytest.approx([float(one) for one in other], rel=1e-5)
    for number in range(4):
        theirs.reset_metrics()
        options = [{}, {"sample_weight": weight}, {"class_weight": {0: 2.0}}, {}][number]
        mine, other = ours.train_on_batch(x, y, **options), theirs.train_on_batch(x, y, **options)
        assert mine == pytest.approx([float(one) for one in other], rel=1e-5)
    close(ours.get_weights(), theirs.get_weights())
    assert set(ours.train_on_batch(x, y, return_dict=True)) == {"loss", "accuracy"}


def test_the_loss_alone_comes_without_a_list():
    model = mlp(Ours)
    model.compile("sgd", "mse")
    x, y = data("mlp")
    assert isinstance(model.evaluate(x, y, verbose=0), float)
    assert isinstance(model.train_on_batch(x, y), float)


def test_predictions_as_classes():
    model, (x, _) = mlp(Ours), data("mlp")
    single = mlp(Ours, units=1, activation="sigmoid")
    flat = models.Model.from_torch(nn.Sequential(nn.Linear(6, 1), nn.Flatten(0)), (6,))
    with pytest.warns(DeprecationWarning, match=r"use predict\(x\)\.argmax\(-1\)"):
        assert np.array_equal(model.predict_classes(x), model.predict(x).argmax(1))
        assert np.array_equal(single.predict_classes(x), (single.predict(x) > 0.5).astype(int))
        assert single.predict_classes(x).shape == (ROWS, 1)
        assert flat.predict_classes(x).shape == (ROWS,)
    with pytest.warns(DeprecationWarning, match=r"predict_proba is old: use predict\(x\)"):
        assert np.array_equal(model.predict_proba(x), model.predict(x))


def test_predictions_of_no_rows():
    assert mlp(Ours).predict(np.zeros((0, 6))).shape == (0, 3)


def test_a_metric_for_each_form_of_metrics():
    x, y = data("mlp")

    def distance(y_true, y_pred):
        return (y_true - y_pred).abs().sum(-1)

    for given, names in [
        (None, []),
        ("accuracy", ["accuracy"]),
        (["acc", "mse"], ["acc", "mse"]),
        (("mae",), ["mae"]),
        ([["accuracy", "mae"]], ["accuracy", "mae"]),
        ({"dense_2": ["mae"]}, ["mae"]),
        ({"dense_2": "mae"}, ["mae"]),
        (distance, ["distance"]),
        ([distance, metrics.CategoricalAccuracy(name="hits")], ["distance", "hits"]),
        (metrics.MeanSquaredError(), ["mean_squared_error"]),
        ([], []),
        ({}, []),
    ]:
        model = mlp(Ours)
        model.compile("sgd", "categorical_crossentropy", metrics=given)
        assert model.metrics_names == ["loss", *names]
        assert set(model.fit(x, y, verbose=0).history) == {"loss", *names}


def test_accuracy_is_told_by_loss_and_shapes():
    x, y = data("mlp")
    cases = [
        ("categorical_crossentropy", 3, "softmax", y),
        ("sparse_categorical_crossentropy", 3, "softmax", y.argmax(1)),
        ("binary_crossentropy", 1, "sigmoid", y[:, :1]),
        ("mse", 3, "softmax", y),
        ("binary_crossentropy", 3, "sigmoid", y),
    ]
    for loss, units, activation, targets in cases:
        ours, theirs = both_compiled(units, activation, loss)
        mine = ours.evaluate(x, targets, verbose=0)
        assert mine == pytest.approx(theirs.evaluate(x, targets, verbose=0), rel=1e-5), loss


def test_losses_and_metrics_of_one_s_own():
    def cubes(y_true, y_pred):
        return (y_true - y_pred).abs().pow(3).mean(-1)

    class Fourth(losses.Loss):
        def call(self, y_true, y_pred):
            return (y_true - y_pred).pow(4).mean(-1)

    x, y = data("mlp")
    for loss in (cubes, Fourth()):
        ours, theirs = pair(mlp)
        ours.compile(optimizers.SGD(0.5), loss, metrics=[cubes])
        function = cubes if loss is cubes else lambda t, p: ((t - p) ** 4).mean(-1)
        theirs.compile(keras.optimizers.SGD(0.5), function, metrics=[cubes], jit_compile=False)
        train_both(ours, theirs, x, y)


def test_elephas_s_optimizers_train_too():
    model, (x, y) = mlp(Ours), data("mlp")
    model.compile(elephas_optimizers.Adagrad(), "categorical_crossentropy")
    history = model.fit(x, y, epochs=5, verbose=0)
    assert history.history["loss"][-1] < history.history["loss"][0]


def test_the_same_seed_gives_the_same_training():
    from elephas_torch.keras.utils import set_random_seed

    def run(seed):
        set_random_seed(seed)
        model = mlp(Ours)
        model.compile("adam", "categorical_crossentropy")
        model.fit(*data("mlp"), epochs=2, verbose=0)
        return model.get_weights()

    first, again, other = run(1), run(1), run(2)
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not np.array_equal(first[0], other[0])


def test_shuffling_gives_another_order_each_epoch():
    seen = []

    class Watched(layers.Layer):
        def call(self, inputs):
            if self.training:
                seen.append(inputs[:, 0].tolist())
            return inputs

    model = models.Sequential([Watched(), layers.Dense(1)])
    x = np.arange(40, dtype="float32")[:, None]
    model.compile("sgd", losses.MeanSquaredError())
    model.optimizer.learning_rate = 0.0
    model.fit(x, x, batch_size=40, epochs=2, verbose=0)
    model.fit(x, x, batch_size=40, verbose=0, shuffle=False)
    assert sorted(seen[0]) == sorted(seen[1]) == seen[2] == x[:, 0].tolist()
    assert seen[0] != seen[1] and seen[0] != seen[2]


def test_models_are_built_by_their_first_data():
    x, y = data("mlp")
    deferred = models.Sequential([layers.Dense(4, activation="relu"), layers.Dense(3)])
    deferred.compile("sgd", "mse", metrics=["accuracy"])
    assert not deferred.built
    deferred.fit(x, y, verbose=0)
    assert deferred.input_shape == (None, 6)
    assert deferred.output_shape == (None, 3)
    line = models.Sequential([layers.Dense(1)])
    line.compile("sgd", "mse")
    assert line.predict([1.0, 2.0, 3.0]).shape == (3, 1)


def test_frozen_layers_stay_as_they_are():
    ours, theirs = pair(cnn)
    for model, opts in ((ours, optimizers), (theirs, keras.optimizers)):
        model.layers[0].trainable = False
        model.layers[1].trainable = False
        model.compile(opts.SGD(0.1), "categorical_crossentropy")
    before = ours.get_weights()
    train_both(ours, theirs, *data("cnn"))
    after = ours.get_weights()
    unchanged = [np.array_equal(a, b) for a, b in zip(before, after, strict=True)]
    assert unchanged == [True] * 6 + [False] * 2


def test_unfreezing_and_compiling_anew_trains_again():
    ours, theirs = pair(mlp)
    x, y = data("mlp")
    for frozen in (True, False):
        for model, opts in ((ours, optimizers), (theirs, keras.optimizers)):
            model.layers[0].trainable = not frozen
            model.compile(opts.SGD(0.1, momentum=0.9), "categorical_crossentropy")
        train_both(ours, theirs, x, y)


def test_a_model_with_nothing_to_train():
    model, (x, y) = mlp(Ours), data("mlp")
    model.trainable = False
    model.compile("adam", "categorical_crossentropy")
    before = model.get_weights()
    with pytest.warns(UserWarning, match="has no trainable weights"):
        history = model.fit(x, y, epochs=2, verbose=0)
    close(model.get_weights(), before, 1e-12)
    assert history.history["loss"][0] == pytest.approx(history.history["loss"][1])
    assert history.history["loss"][0] == pytest.approx(model.evaluate(x, y, verbose=0))


def test_nested_models():
    def nested(library):
        layers = library.layers
        inner = library.models.Sequential(
            [layers.Input((8,)), layers.Dense(7, activation="relu"), layers.BatchNormalization()]
        )
        last = library.models.Sequential([layers.Input((7,)), layers.Dense(3, "softmax")])
        return library.models.Sequential([layers.Input((6,)), layers.Dense(8, "tanh"), inner, last])

    ours, theirs = pair(nested)
    ours.compile(optimizers.SGD(0.1), "categorical_crossentropy", metrics=["accuracy"])
    theirs.compile(
        keras.optimizers.SGD(0.1), "categorical_crossentropy", metrics=["accuracy"],
        jit_compile=False,
    )  # fmt: skip
    train_both(ours, theirs, *data("mlp"), validation_split=0.2)


def test_a_subclass_of_a_fused_layer_is_called():
    class Doubled(layers.Dense):
        def call(self, inputs):
            return super().call(inputs) * 0.5

    model = models.Sequential([Doubled(3, activation="softmax", input_dim=6)])
    model.compile("sgd", "categorical_crossentropy")
    x, y = data("mlp")
    expected = -np.log(model.predict(x)[y.astype(bool)] / 0.5).mean()
    # Keras's crossentropy scales probabilities to a sum of 1.
    assert model.evaluate(x, y, verbose=0) == pytest.approx(expected, rel=1e-5)


def test_a_sequential_with_a_call_of_its_own_is_called():
    class Halved(models.Sequential):
        def call(self, inputs):
            return super().call(inputs) / 2

    model = Halved([layers.Dense(3, activation="sigmoid", input_dim=6)])
    model.compile("sgd", "binary_crossentropy")
    x, y = data("mlp")
    p = model.predict(x)
    assert p.max() < 0.5
    expected = -(y * np.log(p) + (1 - y) * np.log(1 - p)).mean()
    assert model.evaluate(x, y, verbose=0) == pytest.approx(expected, rel=1e-5)


def test_callbacks_may_stop_evaluate_and_recompile_within_an_epoch():
    x, y = data("mlp")
    plain, watched = mlp(Ours), mlp(Ours)
    watched.set_weights(plain.get_weights())
    for model in (plain, watched):
        model.compile(optimizers.SGD(0.1), "categorical_crossentropy", metrics=["accuracy"])

    class Curious(Callback):
        def on_train_batch_end(self, batch, logs=None):
            assert self.model.training
            self.model.evaluate(x[:7], y[:7], verbose=0)
            self.model.predict(x[:7])
            assert self.model.training

    options = {"shuffle": False, "epochs": 3, "verbose": 0, "batch_size": 16}
    expected = plain.fit(x, y, **options)
    assert watched.fit(x, y, callbacks=[Curious()], **options).history == expected.history
    close(watched.get_weights(), plain.get_weights(), 1e-12)

    def slower(epoch, logs):
        watched.compile(optimizers.SGD(0.0), "categorical_crossentropy", metrics=["accuracy"])

    watched.fit(x, y, callbacks=[LambdaCallback(on_epoch_begin=slower)], **options)
    close(watched.get_weights(), plain.get_weights(), 1e-12)


def test_stop_training_ends_the_epoch_at_once():
    batches = []

    def stop(batch, logs):
        batches.append(batch)
        if batch == 1:
            model.stop_training = True

    model, (x, y) = mlp(Ours), data("mlp")
    model.compile("sgd", "mse")
    history = model.fit(
        x, y, batch_size=10, epochs=3, verbose=0, validation_split=0.2,
        callbacks=[LambdaCallback(on_train_batch_end=stop)],
    )  # fmt: skip
    assert batches == [0, 1]
    assert history.epoch == [0]
    assert "val_loss" in history.history
    assert model.evaluate(x, y, verbose=0) > 0  # not stopped by it
    model.fit(x, y, batch_size=10, epochs=2, verbose=0)
    assert len(model.history.epoch) == 2


def test_an_error_leaves_the_model_ready():
    def fail(epoch, logs):
        raise KeyError("mine")

    model, (x, y) = mlp(Ours), data("mlp")
    model.compile("sgd", "mse")
    with pytest.raises(KeyError, match="mine"):
        model.fit(x, y, verbose=0, callbacks=[LambdaCallback(on_epoch_end=fail)])
    assert not model.training
    assert model.fit(x, y, verbose=0).epoch == [0]


def test_old_spellings():
    model, (x, y) = mlp(Ours), data("mlp")
    with pytest.warns(DeprecationWarning, match=r"class_mode=….*has no effect"):
        model.compile("sgd", "categorical_crossentropy", class_mode="categorical")
    with pytest.warns(DeprecationWarning, match="old name of `epochs`"):
        assert len(model.fit(x, y, nb_epoch=3, verbose=0).epoch) == 3
    with pytest.warns(DeprecationWarning, match=r"metrics=\['accuracy'\]"):
        history = model.fit(x, y, show_accuracy=True, verbose=0)
    assert set(history.history) == {"loss", "accuracy"}
    model.compile("sgd", "categorical_crossentropy")
    with pytest.warns(DeprecationWarning, match="show_accuracy"):
        assert len(model.evaluate(x, y, show_accuracy=True, verbose=0)) == 2


def test_lists_tensors_and_frames_are_data_too():
    import pandas as pd

    x, y = data("mlp")
    model = mlp(Ours)
    model.compile("sgd", "categorical_crossentropy")
    expected = model.evaluate(x, y, verbose=0)
    for kind in (np.ndarray.tolist, torch.from_numpy, pd.DataFrame, np.asfortranarray):
        assert model.evaluate(kind(x), kind(y), verbose=0) == pytest.approx(expected)
    assert model.evaluate(x.astype(">f8"), y.astype("uint8"), verbose=0) == pytest.approx(expected)


def test_training_changes_neither_features_nor_targets():
    x, y = data("mlp")
    kept = x.copy(), y.copy()
    model = models.Sequential([layers.BatchNormalization(), layers.Dense(3, "softmax")])
    model.compile("sgd", "categorical_crossentropy")
    model.fit(x, y, epochs=2, verbose=0)
    assert np.array_equal(x, kept[0]) and np.array_equal(y, kept[1])


def test_labels_are_checked_before_training():
    model, (x, y) = mlp(Ours), data("mlp")
    model.compile("sgd", "sparse_categorical_crossentropy")
    before = model.get_weights()
    with pytest.raises(ValueError, match="Class 12 in row 4"):
        model.fit(x, np.where(np.arange(ROWS) == 4, 12, 0), verbose=0)
    with pytest.raises(ValueError, match="look one-hot"):
        model.fit(x, y, verbose=0)
    with pytest.raises(DataError, match=r"row 2 has 1.5"):
        model.fit(x, np.where(np.arange(ROWS) == 2, 1.5, 1), verbose=0)
    close(model.get_weights(), before, 1e-12)


def test_targets_of_any_length_fit_outputs_of_any_length():
    x = np.random.default_rng(0).normal(size=(8, 5, 3)).astype("f4")
    classes = np.random.default_rng(1).integers(0, 4, size=(8, 5))
    for loss, y in (
        ("sparse_categorical_crossentropy", classes),
        ("categorical_crossentropy", np.eye(4)[classes]),
        ("binary_crossentropy", np.eye(4)[classes]),
    ):
        model = models.Sequential(
            [
                layers.Input((None, 3)), layers.LSTM(4, return_sequences=True),
                layers.Dense(4, activation="softmax"),
            ]
        )  # fmt: skip
        model.compile("sgd", loss)
        assert np.isfinite(model.fit(x, y, verbose=0).history["loss"][0])
        with pytest.raises(ValueError, match=r"3 classes|\(8, 5, 1, 1\)|\(8, 5, 3\)"):
            model.fit(x, y[:, :, :3] if y.ndim == 3 else y[:, :, None, None], verbose=0)


def test_a_single_row_is_told_of():
    model = models.Sequential([layers.Dense(1, input_dim=2)])
    with pytest.raises(ValueError, match=r"A single row\? Put an axis for the batch in front"):
        model.predict(np.ones(2), verbose=0)
