"""Programs like those of https://keras.io/guides/training_with_built_in_methods/"""

import importlib
import os

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset


def get_uncompiled_model(keras, layers):
    inputs = keras.Input(shape=(64,), name="digits")
    x = layers.Dense(32, activation="relu", name="dense_1")(inputs)
    x = layers.Dense(32, activation="relu", name="dense_2")(x)
    outputs = layers.Dense(10, activation="softmax", name="predictions")(x)
    return keras.Model(inputs=inputs, outputs=outputs)


def get_compiled_model(keras, layers):
    model = get_uncompiled_model(keras, layers)
    model.compile(
        optimizer="rmsprop",
        loss="sparse_categorical_crossentropy",
        metrics=["sparse_categorical_accuracy"],
    )
    return model


@pytest.fixture
def model(keras, layers):
    return get_uncompiled_model(keras, layers)


@pytest.fixture
def compiled(keras, layers):
    return get_compiled_model(keras, layers)


def falls(history):
    losses = history.history["loss"]
    return losses[-1] < losses[0]


def test_a_first_end_to_end_example(keras, model, vectors):
    (x_train, y_train), (x_test, y_test) = vectors
    x_val, y_val = x_train[-100:], y_train[-100:]
    x_train, y_train = x_train[:-100], y_train[:-100]
    model.compile(
        optimizer=keras.optimizers.RMSprop(),
        loss=keras.losses.SparseCategoricalCrossentropy(),
        metrics=[keras.metrics.SparseCategoricalAccuracy()],
    )
    history = model.fit(
        x_train, y_train, batch_size=8, epochs=6, validation_data=(x_val, y_val), verbose=0
    )
    assert sorted(history.history) == [
        "loss",
        "sparse_categorical_accuracy",
        "val_loss",
        "val_sparse_categorical_accuracy",
    ]
    assert history.epoch == [0, 1, 2, 3, 4, 5]
    assert falls(history)
    results = model.evaluate(x_test, y_test, batch_size=128, verbose=0)
    assert results[1] > 0.3
    predictions = model.predict(x_test[:3], verbose=0)
    assert predictions.shape == (3, 10)
    np.testing.assert_allclose(predictions.sum(1), 1, rtol=1e-5)


def test_what_fit_prints(compiled, vectors, capsys):
    (x_train, y_train), _ = vectors
    compiled.fit(x_train, y_train, batch_size=64, epochs=2, validation_split=0.2)
    printed = capsys.readouterr().out
    assert "Epoch 1/2" in printed
    assert "Epoch 2/2" in printed
    assert "5/5" in printed
    for name in (" loss: ", "val_loss: ", "sparse_categorical_accuracy: "):
        assert name in printed


def test_a_function_as_loss(keras, model, vectors):
    (x_train, y_train), _ = vectors

    def custom_mean_squared_error(y_true, y_pred):
        return keras.ops.mean(keras.ops.square(y_true - y_pred), axis=-1)

    model.compile(optimizer=keras.optimizers.Adam(), loss=custom_mean_squared_error)
    y_train_one_hot = keras.ops.one_hot(y_train.astype("int64"), num_classes=10)
    before = model.predict(x_train, verbose=0)
    expected = ((before - y_train_one_hot.numpy()) ** 2).mean()
    assert model.evaluate(x_train, y_train_one_hot, verbose=0) == pytest.approx(expected, rel=1e-4)
    assert falls(model.fit(x_train, y_train_one_hot, batch_size=64, epochs=3, verbose=0))


def test_a_class_as_loss(keras, model, vectors):
    (x_train, y_train), _ = vectors

    class CustomMSE(keras.losses.Loss):
        def __init__(self, regularization_factor=0.1, name="custom_mse"):
            super().__init__(name=name)
            self.regularization_factor = regularization_factor

        def call(self, y_true, y_pred):
            mse = keras.ops.mean(keras.ops.square(y_true - y_pred), axis=-1)
            reg = keras.ops.mean(keras.ops.square(0.5 - y_pred), axis=-1)
            return mse + reg * self.regularization_factor

    model.compile(optimizer=keras.optimizers.Adam(), loss=CustomMSE())
    y_train_one_hot = keras.ops.one_hot(y_train.astype("int64"), num_classes=10)
    before = model.predict(x_train, verbose=0)
    expected = ((before - y_train_one_hot.numpy()) ** 2).mean() + 0.1 * ((0.5 - before) ** 2).mean()
    assert model.evaluate(x_train, y_train_one_hot, verbose=0) == pytest.approx(expected, rel=1e-4)
    assert falls(model.fit(x_train, y_train_one_hot, batch_size=64, epochs=3, verbose=0))


def test_a_metric_of_one_s_own(keras, model, vectors):
    (x_train, y_train), _ = vectors

    class CategoricalTruePositives(keras.metrics.Metric):
        def __init__(self, name="categorical_true_positives", **kwargs):
            super().__init__(name=name, **kwargs)
            self.true_positives = self.add_variable(shape=(), name="ctp", initializer="zeros")

        def update_state(self, y_true, y_pred, sample_weight=None):
            y_pred = keras.ops.reshape(keras.ops.argmax(y_pred, axis=1), (-1, 1))
            values = keras.ops.cast(y_true, "int32") == keras.ops.cast(y_pred, "int32")
            values = keras.ops.cast(values, "float32")
            if sample_weight is not None:
                sample_weight = keras.ops.cast(sample_weight, "float32")
                values = keras.ops.multiply(values, sample_weight)
            self.true_positives.assign_add(keras.ops.sum(values))

        def result(self):
            return self.true_positives.value

        def reset_state(self):
            self.true_positives.assign(0.0)

    model.compile(
        optimizer=keras.optimizers.RMSprop(learning_rate=1e-3),
        loss=keras.losses.SparseCategoricalCrossentropy(),
        metrics=[CategoricalTruePositives()],
    )
    history = model.fit(x_train, y_train[:, None], batch_size=64, epochs=3, verbose=0)
    assert len(history.history["categorical_true_positives"]) == 3
    right = (model.predict(x_train, verbose=0).argmax(1) == y_train).sum()
    assert model.evaluate(x_train, y_train[:, None], verbose=0)[1] == right


def test_a_layer_that_adds_a_loss(keras, layers, vectors):
    (x_train, y_train), _ = vectors

    class ActivityRegularizationLayer(layers.Layer):
        def call(self, inputs):
            self.add_loss(keras.ops.sum(inputs) * 0.1)
            return inputs

    inputs = keras.Input(shape=(64,), name="digits")
    x = layers.Dense(32, activation="relu", name="dense_1")(inputs)
    x = ActivityRegularizationLayer()(x)
    x = layers.Dense(32, activation="relu", name="dense_2")(x)
    outputs = layers.Dense(10, name="predictions")(x)
    model = keras.Model(inputs=inputs, outputs=outputs)
    model.compile(
        optimizer=keras.optimizers.RMSprop(learning_rate=1e-3),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    losses = model.fit(x_train, y_train, batch_size=64, epochs=3, verbose=0).history["loss"]
    assert losses[0] > 10
    assert losses[-1] < losses[0]


def test_a_layer_that_is_the_loss(keras, layers):
    class LogisticEndpoint(layers.Layer):
        def __init__(self, name=None):
            super().__init__(name=name)
            self.loss_fn = keras.losses.BinaryCrossentropy(from_logits=True)

        def call(self, targets, logits, sample_weights=None):
            loss = self.loss_fn(targets, logits, sample_weights)
            self.add_loss(loss)
            return keras.ops.softmax(logits)

    inputs = keras.Input(shape=(3,), name="inputs")
    targets = keras.Input(shape=(10,), name="targets")
    logits = layers.Dense(10)(inputs)
    predictions = LogisticEndpoint(name="predictions")(targets, logits)
    model = keras.Model(inputs=[inputs, targets], outputs=predictions)
    model.compile(optimizer="adam")
    rng = np.random.default_rng(0)
    data = {"inputs": rng.random((3, 3)), "targets": rng.random((3, 10))}
    losses = model.fit(data, epochs=20, verbose=0).history["loss"]
    assert losses[-1] < losses[0]
    assert model.predict(data, verbose=0).shape == (3, 10)


def test_a_validation_split(keras, compiled, vectors):
    (x_train, y_train), _ = vectors
    history = compiled.fit(
        x_train, y_train, batch_size=64, validation_split=0.2, epochs=1, verbose=0
    )
    held_out = compiled.evaluate(x_train[-80:], y_train[-80:], verbose=0)
    assert history.history["val_loss"][0] == pytest.approx(held_out[0], rel=1e-4)


class ExampleData:
    """What the guide's CIFAR10PyDataset is, of arrays in place of images' files."""

    def __new__(cls, keras, *args):
        class ExamplePyDataset(keras.utils.PyDataset):
            def __init__(self, x, y, batch_size, **kwargs):
                super().__init__(**kwargs)
                self.x, self.y = x, y
                self.batch_size = batch_size
                self.ended = 0

            def __len__(self):
                return int(np.ceil(len(self.x) / float(self.batch_size)))

            def __getitem__(self, idx):
                batch = slice(idx * self.batch_size, (idx + 1) * self.batch_size)
                return self.x[batch], self.y[batch]

            def on_epoch_end(self):
                self.ended += 1

        return ExamplePyDataset(*args)


def test_training_from_a_py_dataset(keras, compiled, vectors):
    (x_train, y_train), (x_test, y_test) = vectors
    train_py_dataset = ExampleData(keras, x_train, y_train, 32)
    val_py_dataset = ExampleData(keras, x_test, y_test, 32)
    history = compiled.fit(train_py_dataset, epochs=3, validation_data=val_py_dataset, verbose=0)
    assert falls(history)
    assert train_py_dataset.ended >= 3
    found = compiled.evaluate(val_py_dataset, verbose=0)
    assert history.history["val_loss"][-1] == pytest.approx(found[0], rel=1e-4)
    assert found == pytest.approx(compiled.evaluate(x_test, y_test, verbose=0), rel=1e-4)


def test_training_from_a_data_loader(keras, compiled, vectors):
    (x_train, y_train), (x_test, y_test) = vectors
    train_dataset = TensorDataset(torch.from_numpy(x_train), torch.from_numpy(y_train))
    val_dataset = TensorDataset(torch.from_numpy(x_test), torch.from_numpy(y_test))
    train_dataloader = DataLoader(train_dataset, batch_size=32, shuffle=True)
    val_dataloader = DataLoader(val_dataset, batch_size=32, shuffle=False)
    history = compiled.fit(train_dataloader, validation_data=val_dataloader, epochs=3, verbose=0)
    assert falls(history)
    found = compiled.evaluate(val_dataloader, verbose=0)
    assert found == pytest.approx(compiled.evaluate(x_test, y_test, verbose=0), rel=1e-4)
    assert compiled.predict(val_dataloader, verbose=0).shape == (200, 10)


def test_so_many_steps_an_epoch(keras, compiled, vectors):
    (x_train, y_train), _ = vectors

    def batches():
        while True:
            for start in range(0, len(x_train), 50):
                yield x_train[start : start + 50], y_train[start : start + 50]

    seen = []
    count = keras.callbacks.LambdaCallback(
        on_train_batch_end=lambda batch, logs: seen.append(batch)
    )
    compiled.fit(
        batches(),
        epochs=3,
        steps_per_epoch=2,
        validation_data=ExampleData(keras, x_train, y_train, 16),
        validation_steps=4,
        callbacks=[count],
        verbose=0,
    )
    assert seen == [0, 1, 0, 1, 0, 1]


def test_class_weights_are_sample_weights(keras, layers, vectors):
    (x_train, y_train), _ = vectors
    class_weight = {number: 2.0 if number == 5 else 1.0 for number in range(10)}
    sample_weight = np.ones(shape=(len(y_train),))
    sample_weight[y_train == 5] = 2.0
    start = get_uncompiled_model(keras, layers).get_weights()
    losses = []
    for weights in ({"class_weight": class_weight}, {"sample_weight": sample_weight}, {}):
        model = get_compiled_model(keras, layers)
        model.set_weights(start)
        history = model.fit(
            x_train, y_train, **weights, batch_size=64, epochs=1, shuffle=False, verbose=0
        )
        losses.append(history.history["loss"][0])
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)
    assert losses[2] < losses[0]


def test_sample_weights_in_a_dataset(keras, compiled, vectors):
    (x_train, y_train), _ = vectors
    sample_weight = np.ones(shape=(len(y_train),), dtype="float32")
    sample_weight[y_train == 5] = 0.0
    data = TensorDataset(*(torch.from_numpy(one) for one in (x_train, y_train, sample_weight)))
    history = compiled.fit(DataLoader(data, batch_size=64), epochs=3, verbose=0)
    assert falls(history)
    five = compiled.evaluate(x_train, y_train, sample_weight=sample_weight, verbose=0)
    alone = compiled.evaluate(x_train[y_train != 5], y_train[y_train != 5], verbose=0)
    assert five[0] * len(y_train) == pytest.approx(alone[0] * (y_train != 5).sum(), rel=1e-3)


def several(keras, layers):
    image_input = keras.Input(shape=(8, 8, 3), name="img_input")
    timeseries_input = keras.Input(shape=(None, 10), name="ts_input")
    x1 = layers.Conv2D(3, 3)(image_input)
    x1 = layers.GlobalMaxPooling2D()(x1)
    x2 = layers.Conv1D(3, 3)(timeseries_input)
    x2 = layers.GlobalMaxPooling1D()(x2)
    x = layers.concatenate([x1, x2])
    score_output = layers.Dense(1, name="score_output")(x)
    class_output = layers.Dense(5, name="class_output")(x)
    return keras.Model(inputs=[image_input, timeseries_input], outputs=[score_output, class_output])


@pytest.fixture
def two(keras, layers):
    return several(keras, layers)


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    x = {"img_input": rng.random(size=(40, 8, 8, 3)), "ts_input": rng.random(size=(40, 20, 10))}
    y = {"score_output": rng.random(size=(40, 1)), "class_output": rng.random(size=(40, 5))}
    return x, y


def test_several_inputs_and_outputs(both):
    def program(keras, layers):
        model = several(keras, layers)
        return (
            [one.name for one in model.layers],
            model.input_shape,
            model.output_shape,
            model.count_params(),
        )

    both(program)


METRICS = [
    "class_output_categorical_accuracy",
    "class_output_loss",
    "loss",
    "score_output_loss",
    "score_output_mean_absolute_error",
    "score_output_mean_absolute_percentage_error",
]


@pytest.mark.parametrize("form", ["list", "dict"])
def test_losses_and_metrics_of_each_output(keras, two, data, form):
    losses = {
        "score_output": keras.losses.MeanSquaredError(),
        "class_output": keras.losses.CategoricalCrossentropy(),
    }
    metrics = {
        "score_output": [
            keras.metrics.MeanAbsolutePercentageError(),
            keras.metrics.MeanAbsoluteError(),
        ],
        "class_output": [keras.metrics.CategoricalAccuracy()],
    }
    if form == "list":
        losses, metrics = list(losses.values()), list(metrics.values())
    two.compile(optimizer=keras.optimizers.RMSprop(1e-3), loss=losses, metrics=metrics)
    x, y = ([*x.values()] for x in data) if form == "list" else data
    history = two.fit(x, y, batch_size=32, epochs=1, verbose=0)
    assert sorted(history.history) == METRICS


def test_weights_of_losses(keras, two, data):
    two.compile(
        optimizer=keras.optimizers.RMSprop(1e-3),
        loss={
            "score_output": keras.losses.MeanSquaredError(),
            "class_output": keras.losses.CategoricalCrossentropy(),
        },
        loss_weights={"score_output": 2.0, "class_output": 1.0},
    )
    found = two.evaluate(*data, verbose=0, return_dict=True)
    total = 2 * found["score_output_loss"] + found["class_output_loss"]
    assert found["loss"] == pytest.approx(total, rel=1e-4)


@pytest.mark.parametrize("form", ["list", "dict"])
def test_an_output_without_a_loss(keras, two, data, form):
    x, y = data
    crossentropy = keras.losses.CategoricalCrossentropy()
    named = {"score_output": None, "class_output": crossentropy}
    loss = [None, crossentropy] if form == "list" else named
    two.compile(optimizer=keras.optimizers.RMSprop(1e-3), loss=loss)
    kernel = two.get_layer("score_output").get_weights()[0]
    history = two.fit(x, y, batch_size=32, epochs=1, verbose=0)
    assert history.history["loss"][0] > 0
    np.testing.assert_array_equal(two.get_layer("score_output").get_weights()[0], kernel)


def test_a_dataset_of_dicts(keras, two, data):
    x, y = data

    class Data(torch.utils.data.Dataset):
        def __len__(self):
            return 40

        def __getitem__(self, n):
            return tuple(
                {k: one[n].astype("float32") for k, one in part.items()} for part in (x, y)
            )

    two.compile(
        optimizer=keras.optimizers.RMSprop(1e-3),
        loss={"score_output": "mse", "class_output": "mae"},
    )
    assert falls(two.fit(DataLoader(Data(), batch_size=32), epochs=3, verbose=0))


def test_early_stopping(keras, compiled, vectors):
    (x_train, y_train), _ = vectors
    callbacks = [
        keras.callbacks.EarlyStopping(monitor="val_loss", min_delta=1.0, patience=2, verbose=1)
    ]
    history = compiled.fit(
        x_train,
        y_train,
        epochs=20,
        batch_size=64,
        callbacks=callbacks,
        validation_split=0.2,
        verbose=0,
    )
    assert len(history.epoch) < 20


def test_losses_by_batch(keras, compiled, vectors):
    (x_train, y_train), _ = vectors

    class LossHistory(keras.callbacks.Callback):
        def on_train_begin(self, logs):
            self.per_batch_losses = []

        def on_batch_end(self, batch, logs):
            self.per_batch_losses.append(logs.get("loss"))

    losses = LossHistory()
    compiled.fit(x_train, y_train, batch_size=100, epochs=2, callbacks=[losses], verbose=0)
    assert len(losses.per_batch_losses) == 8
    assert losses.per_batch_losses[-1] < losses.per_batch_losses[0]


def test_checkpoints(keras, compiled, vectors, tmp_path):
    (x_train, y_train), _ = vectors
    callbacks = [
        keras.callbacks.ModelCheckpoint(
            filepath=tmp_path / "mymodel_{epoch}.keras",
            save_best_only=True,
            monitor="val_loss",
            verbose=1,
        )
    ]
    compiled.fit(
        x_train,
        y_train,
        epochs=2,
        batch_size=64,
        callbacks=callbacks,
        validation_split=0.2,
        verbose=0,
    )
    assert sorted(os.listdir(tmp_path)) == ["mymodel_1.keras", "mymodel_2.keras"]
    last = keras.models.load_model(tmp_path / "mymodel_2.keras")
    np.testing.assert_allclose(
        last.predict(x_train, verbose=0), compiled.predict(x_train, verbose=0), rtol=1e-5
    )


def test_training_goes_on_from_the_last_checkpoint(keras, layers, vectors, tmp_path):
    (x_train, y_train), _ = vectors
    checkpoint_dir = str(tmp_path / "ckpt")
    if not os.path.exists(checkpoint_dir):
        os.makedirs(checkpoint_dir)

    def make_or_restore_model():
        checkpoints = [checkpoint_dir + "/" + name for name in os.listdir(checkpoint_dir)]
        if checkpoints:
            latest_checkpoint = max(checkpoints, key=os.path.getctime)
            return keras.models.load_model(latest_checkpoint)
        return get_compiled_model(keras, layers)

    def run():
        model = make_or_restore_model()
        callbacks = [
            keras.callbacks.ModelCheckpoint(
                filepath=checkpoint_dir + "/model-loss={loss:.2f}.keras", save_freq=5
            )
        ]
        history = model.fit(
            x_train, y_train, batch_size=40, epochs=2, callbacks=callbacks, verbose=0
        )
        return history.history["loss"]

    first = run()
    assert os.listdir(checkpoint_dir)
    assert all(name.startswith("model-loss=") for name in os.listdir(checkpoint_dir))
    second = run()
    assert second[0] < first[0]


def test_a_schedule_of_the_learning_rate(keras, model, vectors):
    (x_train, y_train), _ = vectors
    initial_learning_rate = 0.1
    lr_schedule = keras.optimizers.schedules.ExponentialDecay(
        initial_learning_rate, decay_steps=4, decay_rate=0.96, staircase=True
    )
    optimizer = keras.optimizers.RMSprop(learning_rate=lr_schedule)
    model.compile(optimizer, loss="sparse_categorical_crossentropy")
    model.fit(x_train, y_train, batch_size=100, epochs=2, verbose=0)
    assert float(optimizer.learning_rate) == pytest.approx(0.1 * 0.96**2, rel=1e-5)
    assert int(optimizer.iterations) == 8


def test_schedules(both):
    def program(keras, layers):
        schedules = keras.optimizers.schedules
        rates = [
            schedules.ExponentialDecay(0.1, decay_steps=100000, decay_rate=0.96, staircase=True),
            schedules.PiecewiseConstantDecay([10, 20], [1.0, 0.5, 0.1]),
            schedules.PolynomialDecay(0.1, 100, 0.01),
            schedules.InverseTimeDecay(0.1, 10, 0.5),
        ]
        return [round(float(rate(step)), 6) for rate in rates for step in (0, 10, 15, 150000)]

    both(program)


def test_the_learning_rate_falls_on_a_plateau(keras, compiled, vectors):
    (x_train, y_train), _ = vectors
    callback = keras.callbacks.ReduceLROnPlateau(
        monitor="val_loss", factor=0.5, patience=1, min_delta=100
    )
    history = compiled.fit(
        x_train,
        y_train,
        epochs=4,
        batch_size=64,
        validation_split=0.2,
        callbacks=[callback],
        verbose=0,
    )
    assert history.history["learning_rate"] == pytest.approx([1e-3, 1e-3, 5e-4, 2.5e-4])


def test_tensorboard(vectors, tmp_path):
    # Keras's own needs TensorFlow.
    keras = importlib.import_module("elephas_torch.keras")
    (x_train, y_train), _ = vectors
    compiled = get_compiled_model(keras, keras.layers)
    callback = keras.callbacks.TensorBoard(
        log_dir=str(tmp_path), histogram_freq=0, embeddings_freq=0, update_freq="epoch"
    )
    compiled.fit(x_train, y_train, validation_split=0.2, epochs=1, callbacks=[callback], verbose=0)
    assert sorted(os.listdir(tmp_path)) == ["train", "validation"]
