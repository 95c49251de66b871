"""Scripts as people had them, with the imports changed; and the same models written today."""

import warnings

import numpy as np
import pytest

from elephas_torch.keras import layers, models, regularizers


@pytest.fixture
def told():
    """Warnings go on, and each is a DeprecationWarning that points at a line of the script."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield caught
    assert caught
    for one in caught:
        assert (one.category, one.filename) == (DeprecationWarning, __file__), one


warns = pytest.mark.usefixtures("told")


def agree(old, today, x):
    """The old model's outputs are those of today's with the same weights."""
    today.set_weights(old.get_weights())
    expected = today.predict(x, verbose=0)
    np.testing.assert_allclose(old.predict(x, verbose=0), expected, rtol=1e-6, atol=1e-7)


@warns
def test_mnist_mlp_of_2015():
    from elephas_torch.keras.layers.core import Activation, Dense, Dropout
    from elephas_torch.keras.models import Sequential
    from elephas_torch.keras.optimizers import RMSprop
    from elephas_torch.keras.utils import np_utils

    batch_size = 16
    nb_classes = 4
    nb_epoch = 2

    rng = np.random.default_rng(0)
    X_train = rng.random((32, 20)).astype("float32")
    y_train = rng.integers(0, nb_classes, 32)

    Y_train = np_utils.to_categorical(y_train, nb_classes)

    model = Sequential()
    model.add(Dense(20, 8, init="lecun_uniform"))
    model.add(Activation("relu"))
    model.add(Dropout(p=0.2))
    model.add(Dense(8, nb_classes))
    model.add(Activation("softmax"))

    rms = RMSprop(lr=0.001, rho=0.9, epsilon=1e-6)
    model.compile(loss="categorical_crossentropy", optimizer=rms, class_mode="categorical")
    hist = model.fit(X_train, Y_train, batch_size=batch_size, nb_epoch=nb_epoch,
                     show_accuracy=True, verbose=0, validation_data=(X_train, Y_train))  # fmt: skip
    score = model.evaluate(X_train, Y_train, show_accuracy=True, verbose=0)
    classes = model.predict_classes(X_train, batch_size=32)
    proba = model.predict_proba(X_train, batch_size=32)

    assert len(hist.history["val_accuracy"]) == nb_epoch
    assert score[1] == pytest.approx(np.mean(classes == y_train))
    assert np.array_equal(proba.argmax(-1), classes)
    today = models.Sequential([
        layers.Input((20,)),
        layers.Dense(8, "relu", kernel_initializer="lecun_uniform"),
        layers.Dropout(0.2),
        layers.Dense(nb_classes, "softmax"),
    ])  # fmt: skip
    agree(model, today, X_train)


@warns
@pytest.mark.parametrize("ordering", ["th", "tf"])
def test_mnist_cnn_of_2016(ordering):
    from elephas_torch.keras import backend as K
    from elephas_torch.keras.layers import Activation, Dense, Dropout, Flatten
    from elephas_torch.keras.layers.convolutional import Convolution2D, MaxPooling2D
    from elephas_torch.keras.models import Sequential
    from elephas_torch.keras.optimizers import SGD
    from elephas_torch.keras.regularizers import l2

    nb_filters = 4
    pool_size = (2, 2)
    kernel_size = (3, 3)
    rng = np.random.default_rng(0)
    X = rng.random((8, 1, 10, 10) if ordering == "th" else (8, 10, 10, 1)).astype("float32")
    Y = np.eye(3)[rng.integers(0, 3, 8)]

    model = Sequential()
    model.add(Convolution2D(nb_filters, kernel_size[0], kernel_size[1],
                            border_mode="valid", dim_ordering=ordering,
                            input_shape=X.shape[1:]))  # fmt: skip
    model.add(Activation("relu"))
    model.add(Convolution2D(nb_filters, 3, 2, subsample=(2, 1), border_mode="same",
                            activation="relu", W_regularizer=l2(0.01),
                            dim_ordering=ordering))  # fmt: skip
    model.add(MaxPooling2D(pool_size=pool_size, dim_ordering=ordering))
    model.add(Dropout(0.25))
    model.add(Flatten())
    model.add(Dense(output_dim=8, init="glorot_normal", activation="relu"))
    model.add(Dropout(p=0.5))
    model.add(Dense(3, activation="softmax"))
    sgd = SGD(lr=0.01, decay=1e-6, momentum=0.9, nesterov=True)
    model.compile(loss="categorical_crossentropy", optimizer=sgd, metrics=["accuracy"])
    model.fit(X, Y, batch_size=4, nb_epoch=2, verbose=0, validation_split=0.25)

    assert K.image_data_format() == "channels_last"
    form = {"data_format": "channels_first" if ordering == "th" else "channels_last"}
    today = models.Sequential([
        layers.Input(X.shape[1:]),
        layers.Conv2D(nb_filters, 3, activation="relu", **form),
        layers.Conv2D(nb_filters, (3, 2), (2, 1), "same", activation="relu",
                      kernel_regularizer=regularizers.L2(0.01), **form),
        layers.MaxPooling2D(2, **form),
        layers.Dropout(0.25),
        layers.Flatten(),
        layers.Dense(8, "relu", kernel_initializer="glorot_normal"),
        layers.Dropout(0.5),
        layers.Dense(3, "softmax"),
    ])  # fmt: skip
    agree(model, today, X)
    assert sum(model.losses).item() == pytest.approx(sum(today.losses).item(), rel=1e-5)


@warns
def test_imdb_lstm_of_2016():
    from elephas_torch.keras.callbacks import EarlyStopping
    from elephas_torch.keras.layers.core import Activation, Dense
    from elephas_torch.keras.layers.embeddings import Embedding
    from elephas_torch.keras.layers.recurrent import LSTM
    from elephas_torch.keras.models import Sequential
    from elephas_torch.keras.preprocessing import sequence

    max_features = 30
    maxlen = 6
    rng = np.random.default_rng(0)
    X = [rng.integers(1, max_features, n) for n in rng.integers(2, 9, 12)]
    y = rng.integers(0, 2, 12)
    X = sequence.pad_sequences(X, maxlen=maxlen)

    model = Sequential()
    model.add(Embedding(max_features, 5, init="uniform", input_length=maxlen, mask_zero=True))
    model.add(LSTM(4, dropout_W=0.2, dropout_U=0.2, inner_activation="sigmoid",
                   forget_bias_init="one", consume_less="gpu"))  # fmt: skip
    model.add(Dense(1))
    model.add(Activation("sigmoid"))
    model.compile(loss="binary_crossentropy", optimizer="adam", metrics=["accuracy"])
    model.fit(X, y, batch_size=6, nb_epoch=2, verbose=0, validation_data=(X, y),
              callbacks=[EarlyStopping(monitor="val_loss", patience=2)])  # fmt: skip
    score, acc = model.evaluate(X, y, batch_size=6, verbose=0)
    assert np.isfinite(score) and 0 <= acc <= 1
    assert model.predict_classes(X).shape == (12, 1)

    today = models.Sequential([
        layers.Input((maxlen,), dtype="int64"),
        layers.Embedding(max_features, 5, mask_zero=True),
        layers.LSTM(4, dropout=0.2, recurrent_dropout=0.2),
        layers.Dense(1, "sigmoid"),
    ])  # fmt: skip
    agree(model, today, X)


@warns
def test_imdb_cnn_of_2016():
    from elephas_torch.keras.layers import Dense, Embedding, Lambda
    from elephas_torch.keras.layers.convolutional import Convolution1D, MaxPooling1D
    from elephas_torch.keras.models import Sequential

    X = np.random.default_rng(0).integers(0, 20, (6, 9))

    model = Sequential()
    model.add(Embedding(20, 4, input_length=9))
    model.add(Convolution1D(nb_filter=3, filter_length=3, border_mode="valid",
                            activation="relu", subsample_length=1))  # fmt: skip
    model.add(MaxPooling1D(pool_length=2))
    model.add(Lambda(lambda x: x.max(1).values, output_shape=(3,)))
    model.add(Dense(1, activation="sigmoid"))

    today = models.Sequential([
        layers.Input((9,), dtype="int64"),
        layers.Embedding(20, 4),
        layers.Conv1D(3, 3, activation="relu"),
        layers.MaxPooling1D(2),
        layers.GlobalMaxPooling1D(),
        layers.Dense(1, "sigmoid"),
    ])  # fmt: skip
    agree(model, today, X)


@warns
def test_two_branches_merged_of_2015():
    from elephas_torch.keras.layers.core import Dense, Merge
    from elephas_torch.keras.models import Sequential

    rng = np.random.default_rng(0)
    data_1, data_2 = rng.random((10, 5)), rng.random((10, 7))
    labels = rng.integers(0, 2, (10, 1))

    left_branch = Sequential()
    left_branch.add(Dense(4, input_dim=5, init="uniform"))
    right_branch = Sequential()
    right_branch.add(Dense(4, input_dim=7, init="uniform"))
    merged = Merge([left_branch, right_branch], mode="concat")
    final_model = Sequential()
    final_model.add(merged)
    final_model.add(Dense(1, activation="sigmoid"))
    final_model.compile(optimizer="rmsprop", loss="binary_crossentropy", metrics=["accuracy"])
    final_model.fit([data_1, data_2], labels, nb_epoch=2, batch_size=5, verbose=0)

    starts = [layers.Input((5,)), layers.Input((7,))]
    branches = [layers.Dense(4)(start) for start in starts]
    end = layers.Dense(1, "sigmoid")(layers.Concatenate()(branches))
    agree(final_model, models.Model(starts, end), [data_1, data_2])


@warns
def test_functional_model_of_2016():
    from elephas_torch.keras.layers import Dense, Input, merge
    from elephas_torch.keras.models import Model

    x = np.random.default_rng(0).random((6, 5))
    inputs = Input(shape=(5,))
    a = Dense(4, activation="tanh", init="he_uniform")(inputs)
    b = Dense(4, activation="relu", bias=False)(inputs)
    both = merge([a, b], mode="sum")
    pair = merge([both, a], mode="concat", concat_axis=1, name="pair")
    model = Model(input=inputs, output=Dense(2, activation="softmax")(pair))
    model.compile(optimizer="sgd", loss="categorical_crossentropy")
    model.fit(x, np.eye(2)[[0, 1, 0, 1, 0, 1]], nb_epoch=1, verbose=0)

    start = layers.Input((5,))
    a, b = layers.Dense(4, "tanh")(start), layers.Dense(4, "relu", use_bias=False)(start)
    pair = layers.Concatenate(axis=1)([layers.Add()([a, b]), a])
    agree(model, models.Model(start, layers.Dense(2, "softmax")(pair)), x)
    assert model.get_layer("pair").name == "pair"


@warns
def test_a_layer_of_one_s_own_of_2016():
    from elephas_torch.keras import backend as K
    from elephas_torch.keras.engine.topology import Layer
    from elephas_torch.keras.models import Sequential

    class MyLayer(Layer):
        def __init__(self, output_dim, **kwargs):
            self.output_dim = output_dim
            super().__init__(**kwargs)

        def build(self, input_shape):
            self.W = self.add_weight(shape=(input_shape[1], self.output_dim),
                                     initializer="uniform", trainable=True)  # fmt: skip
            super().build(input_shape)

        def call(self, x, mask=None):
            return K.dot(x, self.W)

        def get_output_shape_for(self, input_shape):
            return (input_shape[0], self.output_dim)

    x = np.random.default_rng(0).random((6, 5))
    model = Sequential()
    model.add(MyLayer(3, input_shape=(5,)))
    model.compile("sgd", "mse")
    model.fit(x, np.zeros((6, 3)), nb_epoch=1, verbose=0)
    agree(model, models.Sequential([layers.Input((5,)), layers.Dense(3, use_bias=False)]), x)


def test_a_script_of_today_is_told_nothing():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = models.Sequential([layers.Input((5,)), layers.Dense(3, "relu")])
        model.compile("sgd", "mse", metrics=["mae"])
        model.fit(np.zeros((4, 5)), np.zeros((4, 3)), epochs=1, verbose=0)
