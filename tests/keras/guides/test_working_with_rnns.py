"""Programs like those of https://keras.io/guides/working_with_rnns/"""

import numpy as np
import pytest
import torch

RANDOM = np.random.default_rng(0)


def described(model):
    return (
        [one.name for one in model.layers],
        [tuple(one.output.shape) for one in model.layers],
        model.count_params(),
    )


def test_integers_embedded_and_read_by_an_lstm(both):
    def program(keras, layers):
        model = keras.Sequential()
        model.add(layers.Embedding(input_dim=1000, output_dim=64))
        model.add(layers.LSTM(128))
        model.add(layers.Dense(10))
        lines = []
        model.summary(print_fn=lambda line, **_: lines.append(line))
        model.build((None, 7))
        return described(model)

    *_, count = both(program)
    assert count == 64000 + 98816 + 1290


def test_whole_sequences(both):
    def program(keras, layers):
        model = keras.Sequential()
        model.add(keras.Input((None,)))
        model.add(layers.Embedding(input_dim=100, output_dim=16))
        model.add(layers.GRU(32, return_sequences=True))
        model.add(layers.SimpleRNN(8))
        model.add(layers.Dense(10))
        return described(model)

    _, shapes, _ = both(program)
    assert shapes == [(None, None, 16), (None, None, 32), (None, 8), (None, 10)]


def translator(keras, layers):
    encoder_input = layers.Input(shape=(None,))
    encoder_embedded = layers.Embedding(input_dim=100, output_dim=16)(encoder_input)
    output, state_h, state_c = layers.LSTM(16, return_state=True, name="encoder")(encoder_embedded)
    encoder_state = [state_h, state_c]
    decoder_input = layers.Input(shape=(None,))
    decoder_embedded = layers.Embedding(input_dim=200, output_dim=16)(decoder_input)
    decoder_output = layers.LSTM(16, name="decoder")(decoder_embedded, initial_state=encoder_state)
    output = layers.Dense(10)(decoder_output)
    return keras.Model([encoder_input, decoder_input], output)


def test_states_from_an_encoder_to_a_decoder(both):
    def program(keras, layers):
        model = translator(keras, layers)
        lines = []
        model.summary(print_fn=lambda line, **_: lines.append(line))
        return (
            sorted(one.name for one in model.layers),
            model.output_shape,
            model.count_params(),
        )

    both(program)


def test_an_encoder_and_a_decoder_learn(keras, layers, tmp_path):
    model = translator(keras, layers)
    x = [RANDOM.integers(100, size=(32, 6)), RANDOM.integers(200, size=(32, 4))]
    y = RANDOM.integers(10, size=(32,))
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    losses = model.fit(x, y, epochs=5, verbose=0).history["loss"]
    assert losses[-1] < losses[0]
    first = model.predict([x[0] * 0 + 1, x[1]], verbose=0)
    assert not np.allclose(first, model.predict(x, verbose=0))
    model.save(tmp_path / "translator.keras")
    loaded = keras.models.load_model(tmp_path / "translator.keras")
    np.testing.assert_allclose(
        loaded.predict(x, verbose=0), model.predict(x, verbose=0), rtol=1e-5, atol=1e-6
    )


@pytest.mark.parametrize("kind", ["SimpleRNN", "LSTM", "GRU"])
def test_a_cell_in_an_rnn_is_the_layer(keras, layers, kind):
    layer = getattr(layers, kind)(10)
    of_cell = layers.RNN(getattr(layers, f"{kind}Cell")(10))
    x = RANDOM.random((3, 5, 4)).astype("float32")
    layer(x), of_cell(x)
    of_cell.set_weights(layer.get_weights())
    torch.testing.assert_close(of_cell(x), layer(x))


@pytest.fixture
def paragraphs():
    return [RANDOM.random((4, 10, 5)).astype("float32") for _ in range(3)]


def test_a_state_kept_over_batches(keras, layers, paragraphs):
    lstm_layer = layers.LSTM(8, stateful=True)
    outputs = [lstm_layer(paragraph) for paragraph in paragraphs]
    plain = layers.LSTM(8)
    plain.build((None, 10, 5))
    plain.set_weights([w for w in lstm_layer.get_weights() if w.ndim][:3])
    # As if the paragraphs had been one.
    torch.testing.assert_close(outputs[-1], plain(np.concatenate(paragraphs, axis=1)))
    lstm_layer.reset_states()
    torch.testing.assert_close(lstm_layer(paragraphs[0]), outputs[0])


def test_a_state_used_anew(keras, layers, paragraphs):
    lstm_layer = layers.LSTM(8, stateful=True)
    lstm_layer(paragraphs[0])
    lstm_layer(paragraphs[1])
    existing_state = lstm_layer.states
    assert [tuple(state.shape) for state in existing_state] == [(4, 8), (4, 8)]
    new_lstm_layer = layers.LSTM(8)
    new_output = new_lstm_layer(paragraphs[2], initial_state=existing_state)
    assert tuple(new_output.shape) == (4, 8)
    without = new_lstm_layer(paragraphs[2])
    assert not np.allclose(new_output.detach().numpy(), without.detach().numpy())


def test_both_directions(both):
    def program(keras, layers):
        model = keras.Sequential()
        model.add(keras.Input((5, 10)))
        model.add(layers.Bidirectional(layers.LSTM(64, return_sequences=True)))
        model.add(layers.Bidirectional(layers.LSTM(32)))
        model.add(layers.Dense(10))
        return described(model)

    _, shapes, _ = both(program)
    assert shapes == [(None, 5, 128), (None, 64), (None, 10)]


def test_merging_both_directions(keras, layers):
    x = RANDOM.random((2, 5, 3)).astype("float32")
    summed = layers.Bidirectional(layers.LSTM(4), merge_mode="sum")
    concatenated = layers.Bidirectional(layers.LSTM(4))
    summed(x), concatenated(x)
    concatenated.set_weights(summed.get_weights())
    pair = concatenated(x)
    torch.testing.assert_close(summed(x), pair[:, :4] + pair[:, 4:])
    assert concatenated.backward_layer.go_backwards
    assert not concatenated.forward_layer.go_backwards


def test_rows_of_digits(keras, layers, digits):
    (x_train, y_train), (x_test, y_test) = digits
    x_train, x_test = x_train / 255.0, x_test / 255.0

    def build_model(fast=True):
        lstm_layer = layers.LSTM(16) if fast else layers.RNN(layers.LSTMCell(16))
        model = keras.models.Sequential(
            [keras.Input((None, 8)), lstm_layer, layers.BatchNormalization(), layers.Dense(10)]
        )
        model.compile(
            loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            optimizer="sgd",
            metrics=["accuracy"],
        )
        return model

    model = build_model()
    other = build_model(fast=False)
    other.set_weights(model.get_weights())
    options = {"batch_size": 64, "epochs": 2, "shuffle": False, "verbose": 0}
    histories = [
        one.fit(x_train, y_train, validation_data=(x_test, y_test), **options).history
        for one in (model, other)
    ]
    assert histories[0]["loss"][-1] < histories[0]["loss"][0]
    for name, values in histories[0].items():
        assert histories[1][name] == pytest.approx(values, rel=1e-3), name
    result = model.predict_on_batch(x_train[:1])
    assert np.argmax(result, axis=1).shape == (1,)


@pytest.fixture
def nested_cell(keras):
    class NestedCell(keras.layers.Layer):
        def __init__(self, unit_1, unit_2, unit_3, **kwargs):
            super().__init__(**kwargs)
            self.unit_1 = unit_1
            self.unit_2 = unit_2
            self.unit_3 = unit_3
            self.state_size = [unit_1, unit_2]
            self.output_size = unit_1

        def build(self, input_shape):
            self.kernel_1 = self.add_weight(
                shape=(input_shape[-1], self.unit_1), initializer="uniform", name="kernel_1"
            )
            self.kernel_2 = self.add_weight(
                shape=(input_shape[-1], self.unit_2), initializer="uniform", name="kernel_2"
            )
            self.built = True

        def call(self, inputs, states):
            s1, s2 = states
            output_1 = keras.ops.matmul(inputs, self.kernel_1)
            output_2 = keras.ops.matmul(inputs, self.kernel_2)
            return output_1 + s1, [s1 + output_1, s2 + output_2]

        def get_config(self):
            return {"unit_1": self.unit_1, "unit_2": self.unit_2, "unit_3": self.unit_3}

    return NestedCell


def test_a_cell_of_one_s_own(keras, layers, nested_cell):
    cell = nested_cell(10, 20, 30)
    rnn = layers.RNN(cell, return_state=True)
    input_1 = keras.Input((None, 6))
    outputs, *states = rnn(input_1)
    assert [tuple(state.shape) for state in states] == [(None, 10), (None, 20)]
    model = keras.models.Model(input_1, outputs)
    model.compile(optimizer="adam", loss="mse", metrics=["mae"])
    x, y = RANDOM.random((32, 5, 6)), RANDOM.random((32, 10))
    losses = model.fit(x, y, epochs=4, verbose=0).history["loss"]
    assert losses[-1] < losses[0]
    final = keras.ops.convert_to_numpy(rnn(x.astype("float32"))[1])
    kernel = keras.ops.convert_to_numpy(cell.kernel_1)
    np.testing.assert_allclose(final, x.sum(1) @ kernel, rtol=1e-4, atol=1e-5)


def test_options_of_recurrent_layers(keras, layers):
    x = RANDOM.random((3, 5, 4)).astype("float32")
    forward, backward = layers.GRU(6), layers.GRU(6, go_backwards=True)
    unrolled = layers.GRU(6, unroll=True)
    forward(x), backward(x), unrolled(x)
    for other in (backward, unrolled):
        other.set_weights(forward.get_weights())
    torch.testing.assert_close(backward(x), forward(x[:, ::-1].copy()))
    torch.testing.assert_close(unrolled(x), forward(x))
    dropping = layers.GRU(6, dropout=0.5, recurrent_dropout=0.5)
    dropping(x)
    dropping.set_weights(forward.get_weights())
    torch.testing.assert_close(dropping(x), forward(x))
    assert not np.allclose(dropping(x, training=True).detach().numpy(), forward(x).detach().numpy())
