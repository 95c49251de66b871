"""Programs like those of https://keras.io/guides/functional_api/"""

import numpy as np
import pytest
import torch


def shape(x):
    return tuple(x.shape)


def test_a_graph_of_three_layers(both):
    def program(keras, layers):
        inputs = keras.Input(shape=(784,))
        img_inputs = keras.Input(shape=(32, 32, 3))
        found = [shape(inputs), inputs.dtype, shape(img_inputs)]
        dense = layers.Dense(64, activation="relu")
        x = dense(inputs)
        x = layers.Dense(64, activation="relu")(x)
        outputs = layers.Dense(10)(x)
        model = keras.Model(inputs=inputs, outputs=outputs, name="mnist_model")
        lines = []
        model.summary(print_fn=lambda line, **_: lines.append(line))
        text = "\n".join(lines)
        found += [line in text for line in ('"mnist_model"', "input_layer", "(None, 784)")]
        found += [line in text for line in ("dense_2 (Dense)", "50,240", "55,050")]
        return found, model.name, [one.name for one in model.layers], model.output_shape

    found, *_ = both(program)
    assert found == [(None, 784), "float32", (None, 32, 32, 3)] + 6 * [True]


def test_training_evaluation_inference(keras, layers, vectors, tmp_path):
    (x_train, y_train), (x_test, y_test) = vectors
    inputs = keras.Input(shape=(64,))
    x = layers.Dense(64, activation="relu")(inputs)
    x = layers.Dense(64, activation="relu")(x)
    outputs = layers.Dense(10)(x)
    model = keras.Model(inputs=inputs, outputs=outputs, name="mnist_model")
    model.compile(
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        optimizer=keras.optimizers.RMSprop(),
        metrics=["accuracy"],
    )
    history = model.fit(x_train, y_train, batch_size=16, epochs=4, validation_split=0.2, verbose=0)
    assert sorted(history.history) == ["accuracy", "loss", "val_accuracy", "val_loss"]
    assert history.history["loss"][-1] < history.history["loss"][0]
    test_scores = model.evaluate(x_test, y_test, verbose=2)
    assert len(test_scores) == 2
    assert test_scores[1] > 0.3

    expected = model.predict(x_test, verbose=0)
    model.save(tmp_path / "my_model.keras")
    del model
    model = keras.models.load_model(tmp_path / "my_model.keras")
    np.testing.assert_allclose(model.predict(x_test, verbose=0), expected, rtol=1e-5, atol=1e-6)
    assert model.evaluate(x_test, y_test, verbose=0) == pytest.approx(test_scores, rel=1e-5)


def encode(layers, encoder_input):
    x = layers.Conv2D(16, 3, activation="relu")(encoder_input)
    x = layers.Conv2D(32, 3, activation="relu")(x)
    x = layers.MaxPooling2D(3)(x)
    x = layers.Conv2D(32, 3, activation="relu")(x)
    x = layers.Conv2D(16, 3, activation="relu")(x)
    return layers.GlobalMaxPooling2D()(x)


def decode(layers, decoder_input):
    x = layers.Reshape((4, 4, 1))(decoder_input)
    x = layers.Conv2DTranspose(16, 3, activation="relu")(x)
    x = layers.Conv2DTranspose(32, 3, activation="relu")(x)
    x = layers.UpSampling2D(3)(x)
    x = layers.Conv2DTranspose(16, 3, activation="relu")(x)
    return layers.Conv2DTranspose(1, 3, activation="relu")(x)


def test_two_models_of_one_graph(both):
    def program(keras, layers):
        encoder_input = keras.Input(shape=(28, 28, 1), name="img")
        encoder_output = encode(layers, encoder_input)
        encoder = keras.Model(encoder_input, encoder_output, name="encoder")
        decoder_output = decode(layers, encoder_output)
        autoencoder = keras.Model(encoder_input, decoder_output, name="autoencoder")
        autoencoder.summary(print_fn=lambda line, **_: None)
        image = keras.ops.zeros((1, 28, 28, 1))
        models = [encoder, autoencoder]
        assert encoder.layers == autoencoder.layers[: len(encoder.layers)]
        return [
            ([one.name for one in m.layers], m.output_shape, m.count_params(), shape(m(image)))
            for m in models
        ]

    _, (_, output_shape, *_) = both(program)
    assert output_shape == (None, 28, 28, 1)


def test_models_called_like_layers(both):
    def program(keras, layers):
        encoder_input = keras.Input(shape=(28, 28, 1), name="original_img")
        encoder = keras.Model(encoder_input, encode(layers, encoder_input), name="encoder")
        decoder_input = keras.Input(shape=(16,), name="encoded_img")
        decoder = keras.Model(decoder_input, decode(layers, decoder_input), name="decoder")
        autoencoder_input = keras.Input(shape=(28, 28, 1), name="img")
        encoded_img = encoder(autoencoder_input)
        decoded_img = decoder(encoded_img)
        autoencoder = keras.Model(autoencoder_input, decoded_img, name="autoencoder")
        assert autoencoder.get_layer("decoder") is decoder
        return [
            ([one.name for one in m.layers], m.output_shape, m.count_params())
            for m in (encoder, decoder, autoencoder)
        ]

    *_, (names, _, _) = both(program)
    assert names == ["img", "encoder", "decoder"]


def test_an_ensemble(keras, layers):
    def get_model():
        inputs = keras.Input(shape=(128,))
        outputs = layers.Dense(1)(inputs)
        return keras.Model(inputs, outputs)

    models = [get_model() for _ in range(3)]
    inputs = keras.Input(shape=(128,))
    outputs = layers.average([model(inputs) for model in models])
    ensemble_model = keras.Model(inputs=inputs, outputs=outputs)
    x = np.random.default_rng(0).random((5, 128)).astype("float32")
    mean = sum(model.predict(x, verbose=0) for model in models) / 3
    np.testing.assert_allclose(ensemble_model.predict(x, verbose=0), mean, rtol=1e-5, atol=1e-6)
    assert len(ensemble_model.weights) == 6


NUM_TAGS, NUM_WORDS, NUM_DEPARTMENTS = 12, 100, 4


def tickets(keras, layers):
    title_input = keras.Input(shape=(None,), name="title")
    body_input = keras.Input(shape=(None,), name="body")
    tags_input = keras.Input(shape=(NUM_TAGS,), name="tags")
    title_features = layers.Embedding(NUM_WORDS, 16)(title_input)
    body_features = layers.Embedding(NUM_WORDS, 16)(body_input)
    title_features = layers.LSTM(16)(title_features)
    body_features = layers.LSTM(8)(body_features)
    x = layers.concatenate([title_features, body_features, tags_input])
    priority_pred = layers.Dense(1, name="priority")(x)
    department_pred = layers.Dense(NUM_DEPARTMENTS, name="department")(x)
    return keras.Model(
        inputs=[title_input, body_input, tags_input],
        outputs={"priority": priority_pred, "department": department_pred},
    )


def ticket_data():
    rng = np.random.default_rng(0)
    x = {
        "title": rng.integers(NUM_WORDS, size=(64, 5)),
        "body": rng.integers(NUM_WORDS, size=(64, 9)),
        "tags": rng.integers(2, size=(64, NUM_TAGS)).astype("float32"),
    }
    y = {
        "priority": rng.random(size=(64, 1)),
        "department": rng.integers(2, size=(64, NUM_DEPARTMENTS)),
    }
    return x, y


def test_several_inputs_and_outputs(keras, layers):
    model = tickets(keras, layers)
    model.compile(
        optimizer=keras.optimizers.RMSprop(1e-3),
        loss={
            "priority": keras.losses.BinaryCrossentropy(from_logits=True),
            "department": keras.losses.CategoricalCrossentropy(from_logits=True),
        },
        loss_weights={"priority": 1.0, "department": 0.2},
    )
    x, y = ticket_data()
    history = model.fit(x, y, epochs=2, batch_size=32, verbose=0).history
    assert sorted(history) == ["department_loss", "loss", "priority_loss"]
    total = history["priority_loss"][0] + 0.2 * history["department_loss"][0]
    assert history["loss"][0] == pytest.approx(total, rel=1e-4)
    predictions = model.predict(x, verbose=0)
    assert {name: shape(one) for name, one in predictions.items()} == {
        "priority": (64, 1),
        "department": (64, 4),
    }


def test_losses_as_a_list(keras, layers):
    model = tickets(keras, layers)
    priority, department = model.output["priority"], model.output["department"]
    model = keras.Model(model.inputs, [priority, department])
    model.compile(
        optimizer=keras.optimizers.RMSprop(1e-3),
        loss=[
            keras.losses.BinaryCrossentropy(from_logits=True),
            keras.losses.CategoricalCrossentropy(from_logits=True),
        ],
        loss_weights=[1.0, 0.2],
    )
    x, y = ticket_data()
    history = model.fit(
        [x["title"], x["body"], x["tags"]],
        [y["priority"], y["department"]],
        epochs=2,
        batch_size=32,
        verbose=0,
    ).history
    assert sorted(history) == ["department_loss", "loss", "priority_loss"]


def resnet(keras, layers):
    inputs = keras.Input(shape=(32, 32, 3), name="img")
    x = layers.Conv2D(4, 3, activation="relu")(inputs)
    x = layers.Conv2D(8, 3, activation="relu")(x)
    block_1_output = layers.MaxPooling2D(3)(x)

    x = layers.Conv2D(8, 3, activation="relu", padding="same")(block_1_output)
    x = layers.Conv2D(8, 3, activation="relu", padding="same")(x)
    block_2_output = layers.add([x, block_1_output])

    x = layers.Conv2D(8, 3, activation="relu", padding="same")(block_2_output)
    x = layers.Conv2D(8, 3, activation="relu", padding="same")(x)
    block_3_output = layers.add([x, block_2_output])

    x = layers.Conv2D(8, 3, activation="relu")(block_3_output)
    x = layers.GlobalAveragePooling2D()(x)
    x = layers.Dense(16, activation="relu")(x)
    x = layers.Dropout(0.5)(x)
    outputs = layers.Dense(10)(x)
    return keras.Model(inputs, outputs, name="toy_resnet")


def test_a_toy_resnet(both):
    def program(keras, layers):
        model = resnet(keras, layers)
        lines = []
        model.summary(print_fn=lambda line, **_: lines.append(line))
        text = "".join(lines)
        return [
            [one.name for one in model.layers],
            [one.output.shape for one in model.layers],
            "Connected to" in text,
            model.count_params(),
        ]

    names, _, connected, _ = both(program)
    assert connected
    assert names.count("add") == names.count("add_1") == 1


def test_the_toy_resnet_learns(keras, layers):
    rng = np.random.default_rng(0)
    x_train = rng.random((40, 32, 32, 3)).astype("float32")
    y_train = keras.utils.to_categorical(rng.integers(10, size=(40, 1)), 10)
    model = resnet(keras, layers)
    model.compile(
        optimizer=keras.optimizers.RMSprop(1e-3),
        loss=keras.losses.CategoricalCrossentropy(from_logits=True),
        metrics=["acc"],
    )
    history = model.fit(
        x_train, y_train, batch_size=16, epochs=1, validation_split=0.2, verbose=0
    ).history
    assert sorted(history) == ["acc", "loss", "val_acc", "val_loss"]
    assert all(np.isfinite(values).all() for values in history.values())


def test_a_shared_layer(keras, layers):
    shared_embedding = layers.Embedding(100, 8)
    text_input_a = keras.Input(shape=(None,), dtype="int32")
    text_input_b = keras.Input(shape=(None,), dtype="int32")
    encoded_input_a = shared_embedding(text_input_a)
    encoded_input_b = shared_embedding(text_input_b)
    model = keras.Model([text_input_a, text_input_b], [encoded_input_a, encoded_input_b])
    assert shape(encoded_input_b) == (None, None, 8)
    assert len(model.weights) == 1
    assert model.layers.count(shared_embedding) == 1
    words = np.array([[1, 2, 3]], dtype="int32")
    one, other = model([words, words])
    torch.testing.assert_close(one, other)


def test_nodes_of_the_graph_reused(keras, layers):
    inputs = keras.Input((16, 16, 3))
    x = layers.Conv2D(4, 3, padding="same", activation="relu")(inputs)
    x = layers.MaxPooling2D()(x)
    x = layers.Conv2D(8, 3, padding="same", activation="relu")(x)
    x = layers.MaxPooling2D()(x)
    x = layers.Flatten()(x)
    outputs = layers.Dense(10, activation="softmax")(x)
    vgg = keras.Model(inputs, outputs)

    features_list = [layer.output for layer in vgg.layers]
    feat_extraction_model = keras.Model(inputs=vgg.input, outputs=features_list)
    img = np.random.default_rng(0).random((1, 16, 16, 3)).astype("float32")
    extracted_features = feat_extraction_model(img)
    assert [shape(one)[1:] for one in extracted_features] == [
        (16, 16, 3),
        (16, 16, 4),
        (8, 8, 4),
        (8, 8, 8),
        (4, 4, 8),
        (128,),
        (10,),
    ]
    torch.testing.assert_close(extracted_features[-1], vgg(img))


def custom_dense(keras, layers):
    class CustomDense(layers.Layer):
        def __init__(self, units=32):
            super().__init__()
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
            return {"units": self.units}

    return CustomDense


def test_a_custom_layer_and_its_config(keras, layers):
    CustomDense = custom_dense(keras, layers)
    inputs = keras.Input((4,))
    outputs = CustomDense(10)(inputs)
    model = keras.Model(inputs, outputs)
    config = model.get_config()
    new_model = keras.Model.from_config(config, custom_objects={"CustomDense": CustomDense})
    assert new_model.layers[1].units == 10
    new_model.set_weights(model.get_weights())
    x = np.ones((2, 4), "float32")
    torch.testing.assert_close(new_model(x), model(x))


def test_the_same_model_subclassed(keras, layers):
    class MLP(keras.Model):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            self.dense_1 = layers.Dense(64, activation="relu")
            self.dense_2 = layers.Dense(10)

        def call(self, inputs):
            x = self.dense_1(inputs)
            return self.dense_2(x)

    mlp = MLP()
    _ = mlp(keras.ops.zeros((1, 32)))

    inputs = keras.Input(shape=(32,))
    x = layers.Dense(64, activation="relu")(inputs)
    outputs = layers.Dense(10)(x)
    functional = keras.Model(inputs, outputs)
    functional.set_weights(mlp.get_weights())
    x = np.random.default_rng(0).random((3, 32)).astype("float32")
    torch.testing.assert_close(functional(x), mlp(x))


def test_a_functional_model_within_a_layer(keras, layers):
    units, timesteps, input_dim = 32, 10, 5
    inputs = keras.Input((None, units))
    x = layers.GlobalAveragePooling1D()(inputs)
    outputs = layers.Dense(1)(x)
    model = keras.Model(inputs, outputs)

    class CustomRNN(layers.Layer):
        def __init__(self):
            super().__init__()
            self.units = units
            self.projection_1 = layers.Dense(units=units, activation="tanh")
            self.projection_2 = layers.Dense(units=units, activation="tanh")
            self.classifier = model

        def call(self, inputs):
            outputs = []
            state = keras.ops.zeros(shape=(inputs.shape[0], self.units))
            for t in range(inputs.shape[1]):
                x = inputs[:, t, :]
                h = self.projection_1(x)
                y = h + self.projection_2(state)
                state = y
                outputs.append(y)
            features = keras.ops.stack(outputs, axis=1)
            return self.classifier(features)

    rnn_model = CustomRNN()
    y = rnn_model(keras.ops.zeros((1, timesteps, input_dim)))
    assert shape(y) == (1, 1)
    assert len(rnn_model.weights) == 6


def test_a_custom_rnn_within_a_functional_model(keras, layers):
    units, timesteps, input_dim, batch_size = 32, 10, 5, 16

    class CustomRNN(layers.Layer):
        def __init__(self):
            super().__init__()
            self.units = units
            self.projection_1 = layers.Dense(units=units, activation="tanh")
            self.projection_2 = layers.Dense(units=units, activation="tanh")
            self.classifier = layers.Dense(1)

        def call(self, inputs):
            outputs = []
            state = keras.ops.zeros(shape=(inputs.shape[0], self.units))
            for t in range(inputs.shape[1]):
                x = inputs[:, t, :]
                h = self.projection_1(x)
                y = h + self.projection_2(state)
                state = y
                outputs.append(y)
            features = keras.ops.stack(outputs, axis=1)
            return self.classifier(features)

    inputs = keras.Input(batch_shape=(batch_size, timesteps, input_dim))
    x = layers.Conv1D(32, 3)(inputs)
    outputs = CustomRNN()(x)
    model = keras.Model(inputs, outputs)
    assert model.output_shape == (batch_size, timesteps - 2, 1)
    y = model(np.zeros((batch_size, timesteps, input_dim), "float32"))
    assert shape(y) == (batch_size, timesteps - 2, 1)


def test_a_plot_of_the_model(tmp_path):
    # Keras's own needs pydot and graphviz.
    from elephas_torch import keras

    model = resnet(keras, keras.layers)
    keras.utils.plot_model(model, str(tmp_path / "mini_resnet.dot"), show_shapes=True)
    drawn = (tmp_path / "mini_resnet.dot").read_text()
    assert all(layer.name in drawn for layer in model.layers)
