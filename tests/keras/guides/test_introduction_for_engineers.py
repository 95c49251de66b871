"""Programs like those of https://keras.io/getting_started/intro_to_keras_for_engineers/"""

import os

import numpy as np
import pytest
import torch


@pytest.fixture(scope="module")
def images(digits):
    (x_train, y_train), (x_test, y_test) = digits
    x_train = np.expand_dims(x_train.astype("float32") / 255, -1)
    x_test = np.expand_dims(x_test.astype("float32") / 255, -1)
    return (x_train, y_train.astype("int64")), (x_test, y_test.astype("int64"))


def compile(keras, model):
    model.compile(
        loss=keras.losses.SparseCategoricalCrossentropy(),
        optimizer=keras.optimizers.Adam(learning_rate=1e-2),
        metrics=[keras.metrics.SparseCategoricalAccuracy(name="acc")],
    )


def test_a_convnet(keras, images, tmp_path):
    (x_train, y_train), (x_test, y_test) = images
    model = keras.Sequential(
        [
            keras.layers.Input(shape=(8, 8, 1)),
            keras.layers.Conv2D(8, kernel_size=(3, 3), activation="relu"),
            keras.layers.MaxPooling2D(pool_size=(2, 2)),
            keras.layers.Conv2D(16, kernel_size=(3, 3), activation="relu"),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dropout(0.1),
            keras.layers.Dense(10, activation="softmax"),
        ]
    )
    model.summary(print_fn=lambda line, **_: None)
    compile(keras, model)
    callbacks = [
        keras.callbacks.ModelCheckpoint(filepath=str(tmp_path / "model_at_epoch_{epoch}.keras")),
        keras.callbacks.EarlyStopping(monitor="val_loss", patience=2),
    ]
    history = model.fit(
        x_train,
        y_train,
        batch_size=32,
        epochs=4,
        validation_split=0.15,
        callbacks=callbacks,
        verbose=0,
    )
    epochs = len(history.epoch)
    assert history.history["loss"][-1] < history.history["loss"][0]
    assert sorted(os.listdir(tmp_path)) == [f"model_at_epoch_{n + 1}.keras" for n in range(epochs)]
    score = model.evaluate(x_test, y_test, verbose=0)
    predictions = model.predict(x_test, verbose=0)
    assert score[1] == pytest.approx((predictions.argmax(1) == y_test).mean())
    model.save(tmp_path / "final_model.keras")
    model = keras.saving.load_model(tmp_path / "final_model.keras")
    np.testing.assert_allclose(model.predict(x_test, verbose=0), predictions, rtol=1e-4, atol=1e-6)


@pytest.fixture
def MyModel(keras):
    class MyDense(keras.layers.Layer):
        def __init__(self, units, activation=None, name=None):
            super().__init__(name=name)
            self.units = units
            self.activation = keras.activations.get(activation)

        def build(self, input_shape):
            input_dim = input_shape[-1]
            self.w = self.add_weight(
                shape=(input_dim, self.units),
                initializer=keras.initializers.GlorotNormal(),
                name="kernel",
                trainable=True,
            )
            self.b = self.add_weight(
                shape=(self.units,),
                initializer=keras.initializers.Zeros(),
                name="bias",
                trainable=True,
            )

        def call(self, inputs):
            x = keras.ops.matmul(inputs, self.w) + self.b
            return self.activation(x)

    class MyDropout(keras.layers.Layer):
        def __init__(self, rate, name=None):
            super().__init__(name=name)
            self.rate = rate
            self.seed_generator = keras.random.SeedGenerator(1337)

        def call(self, inputs):
            return keras.random.dropout(inputs, self.rate, seed=self.seed_generator)

    class MyModel(keras.Model):
        def __init__(self, num_classes):
            super().__init__()
            self.conv_base = keras.Sequential(
                [
                    keras.layers.Conv2D(8, kernel_size=(3, 3), activation="relu"),
                    keras.layers.MaxPooling2D(pool_size=(2, 2)),
                    keras.layers.Conv2D(16, kernel_size=(3, 3), activation="relu"),
                    keras.layers.GlobalAveragePooling2D(),
                ]
            )
            self.dp = MyDropout(0.1)
            self.dense = MyDense(num_classes, activation="softmax")

        def call(self, x):
            x = self.conv_base(x)
            x = self.dp(x)
            return self.dense(x)

    return MyModel


def test_components_of_one_s_own(keras, MyModel, images):
    (x_train, y_train), _ = images
    model = MyModel(num_classes=10)
    compile(keras, model)
    history = model.fit(
        x_train, y_train, batch_size=32, epochs=3, validation_split=0.15, verbose=0
    ).history
    assert sorted(history) == ["acc", "loss", "val_acc", "val_loss"]
    assert history["loss"][-1] < history["loss"][0]
    assert [layer.name for layer in model.layers] == ["sequential", "my_dropout", "my_dense"]
    assert [weight.name for weight in model.weights] == ["kernel", "bias"] * 3


def test_a_data_loader(keras, MyModel, images):
    (x_train, y_train), (x_test, y_test) = images
    train_torch_dataset = torch.utils.data.TensorDataset(
        torch.from_numpy(x_train), torch.from_numpy(y_train)
    )
    val_torch_dataset = torch.utils.data.TensorDataset(
        torch.from_numpy(x_test), torch.from_numpy(y_test)
    )
    train_dataloader = torch.utils.data.DataLoader(train_torch_dataset, batch_size=32, shuffle=True)
    val_dataloader = torch.utils.data.DataLoader(val_torch_dataset, batch_size=32, shuffle=False)
    model = MyModel(num_classes=10)
    compile(keras, model)
    history = model.fit(
        train_dataloader, epochs=3, validation_data=val_dataloader, verbose=0
    ).history
    assert history["loss"][-1] < history["loss"][0]


def test_a_data_frame(keras, images):
    pandas = pytest.importorskip("pandas")
    (x_train, y_train), _ = images
    frame = pandas.DataFrame(x_train.reshape(-1, 64))
    model = keras.Sequential([keras.Input((64,)), keras.layers.Dense(10, activation="softmax")])
    compile(keras, model)
    losses = model.fit(frame, pandas.Series(y_train), epochs=3, verbose=0).history["loss"]
    assert losses[-1] < losses[0]
