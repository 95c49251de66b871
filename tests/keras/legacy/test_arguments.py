"""Arguments of layers under their old names, in the old order, with the old values."""

import inspect
import warnings

import numpy as np
import pytest
import torch

from elephas_torch.keras import constraints, initializers, layers, models, regularizers
from elephas_torch.keras.legacy.arguments import JOINED, SINGLE


def config(layer):
    settings = layer.get_config()
    return {name: value for name, value in settings.items() if name != "name"}


def same(old, new, says):
    """Makes a layer in both spellings; the old one warns once, at the line of the call."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        made = old()
    assert [one.category for one in caught] == [DeprecationWarning]
    assert says in str(caught[0].message)
    assert caught[0].filename == __file__
    today = new()
    assert type(made) is type(today)
    assert config(made) == config(today)
    assert made.declared_shape == today.declared_shape


L = layers
CALLS = [
    (lambda: L.Dense(output_dim=3), lambda: L.Dense(3), "write units=3 for output_dim=3"),
    (
        lambda: L.Dense(
            3, init="uniform", W_regularizer=regularizers.L2(0.1), b_regularizer="l1",
            W_constraint="max_norm", b_constraint=constraints.NonNeg(), bias=True, input_dim=4,
        ),
        lambda: L.Dense(
            3, kernel_initializer="uniform", kernel_regularizer=regularizers.L2(0.1),
            bias_regularizer="l1", kernel_constraint="max_norm",
            bias_constraint=constraints.NonNeg(), use_bias=True, input_dim=4,
        ),
        "kernel_regularizer=… for W_regularizer=…",
    ),
    (
        lambda: L.Dense(3, "he_normal", "relu"),
        lambda: L.Dense(3, "relu", kernel_initializer="he_normal"),
        "kernel_initializer='he_normal' for init='he_normal'",
    ),
    (lambda: L.Dense(4, 3), lambda: L.Dense(3, input_dim=4), "units=3"),
    (
        lambda: L.Dense(4, 3, "uniform", "tanh"),
        lambda: L.Dense(3, "tanh", kernel_initializer="uniform", input_dim=4),
        "units=3",
    ),
    (
        lambda: L.TimeDistributedDense(3, init="zero", input_length=5, input_dim=2),
        lambda: L.Dense(3, kernel_initializer="zero", input_shape=(5, 2)),
        "TimeDistributedDense is called Dense now",
    ),
    (
        lambda: L.Convolution1D(2, 3, border_mode="same", subsample_length=2, input_dim=4),
        lambda: L.Conv1D(2, 3, padding="same", strides=2, input_shape=(None, 4)),
        "strides=2 for subsample_length=2",
    ),
    (
        lambda: L.Convolution1D(nb_filter=2, filter_length=3, input_length=6, input_dim=4),
        lambda: L.Conv1D(2, 3, input_shape=(6, 4)),
        "input_shape=(6, 4) for input_length=6, input_dim=4",
    ),
    (
        lambda: L.Conv1D(2, 3, "uniform", "relu"),
        lambda: L.Conv1D(2, 3, activation="relu", kernel_initializer="uniform"),
        "kernel_initializer='uniform'",
    ),
    (
        lambda: L.Convolution2D(32, 3, 3),
        lambda: L.Conv2D(32, (3, 3)),
        "kernel_size=(3, 3) for nb_row=3, nb_col=3",
    ),
    (lambda: L.Convolution2D(32, 5, 3), lambda: L.Conv2D(32, (5, 3)), "kernel_size=(5, 3)"),
    (
        lambda: L.Convolution2D(8, 3, 2, "uniform", "relu", None, "same", (2, 2), "th"),
        lambda: L.Conv2D(
            8, (3, 2), 2, "same", "channels_first", activation="relu",
            kernel_initializer="uniform",
        ),
        "data_format='channels_first' for dim_ordering='th'",
    ),
    (
        lambda: L.Conv2D(8, 3, 2, border_mode="same", subsample=(2, 2), dim_ordering="tf"),
        lambda: L.Conv2D(8, (3, 2), 2, "same", "channels_last"),
        "padding='same' for border_mode='same'",
    ),
    (lambda: L.Conv2D(8, nb_row=3, nb_col=2), lambda: L.Conv2D(8, (3, 2)), "kernel_size=(3, 2)"),
    (lambda: L.Conv2D(8, 3, nb_col=2), lambda: L.Conv2D(8, (3, 2)), "kernel_size=(3, 2)"),
    (
        lambda: L.Convolution2D(8, 1, 3, 3, border_mode="valid"),
        lambda: L.Conv2D(8, 3, data_format="channels_first"),
        "data_format='channels_first' for stack_size=1",
    ),
    (
        lambda: L.AtrousConvolution2D(8, 3, 3, atrous_rate=(2, 2)),
        lambda: L.Conv2D(8, 3, dilation_rate=(2, 2)),
        "AtrousConvolution2D is called Conv2D now",
    ),
    (
        lambda: L.AtrousConvolution1D(8, 3, atrous_rate=2),
        lambda: L.Conv1D(8, 3, dilation_rate=2),
        "dilation_rate=2 for atrous_rate=2",
    ),
    (
        lambda: L.Deconvolution2D(3, 3, 2, output_shape=(None, 14, 14, 3), subsample=(2, 2)),
        lambda: L.Conv2DTranspose(3, (3, 2), 2),
        "leave out output_shape=(None, 14, 14, 3)",
    ),
    (
        lambda: L.Deconvolution2D(3, 3, 2, (None, 14, 14, 3), "uniform"),
        lambda: L.Conv2DTranspose(3, (3, 2), kernel_initializer="uniform"),
        "Deconvolution2D is called Conv2DTranspose now",
    ),
    (
        lambda: L.SeparableConvolution2D(4, 3, 3, init="uniform", depth_multiplier=2),
        lambda: L.SeparableConv2D(
            4, 3, depth_multiplier=2, depthwise_initializer="uniform",
            pointwise_initializer="uniform",
        ),
        "depthwise_initializer='uniform', pointwise_initializer='uniform' for init='uniform'",
    ),
    (
        lambda: L.Convolution3D(2, 3, 2, 1, border_mode="same"),
        lambda: L.Conv3D(2, (3, 2, 1), padding="same"),
        "kernel_size=(3, 2, 1) for kernel_dim1=3, kernel_dim2=2, kernel_dim3=1",
    ),
    (
        lambda: L.MaxPooling1D(pool_length=3, stride=2, border_mode="same"),
        lambda: L.MaxPooling1D(3, 2, "same"),
        "pool_size=3 for pool_length=3",
    ),
    (
        lambda: L.MaxPooling2D(pool_size=(2, 2), border_mode="same", dim_ordering="th"),
        lambda: L.MaxPooling2D((2, 2), None, "same", "channels_first"),
        "padding='same' for border_mode='same'",
    ),
    (lambda: L.MaxPooling2D(poolsize=(3, 2)), lambda: L.MaxPooling2D((3, 2)), "pool_size=(3, 2)"),
    (
        lambda: L.AveragePooling3D((2, 2, 2), dim_ordering="tf"),
        lambda: L.AveragePooling3D(2, data_format="channels_last"),
        "channels_last",
    ),
    (
        lambda: L.GlobalAveragePooling2D(dim_ordering="th"),
        lambda: L.GlobalAveragePooling2D(data_format="channels_first"),
        "channels_first",
    ),
    (lambda: L.UpSampling1D(length=3), lambda: L.UpSampling1D(3), "size=3 for length=3"),
    (
        lambda: L.ZeroPadding2D((1, 2, 3, 4)),
        lambda: L.ZeroPadding2D(((1, 2), (3, 4))),
        "padding=((1, 2), (3, 4)) for padding=(1, 2, 3, 4)",
    ),
    (
        lambda: L.ZeroPadding2D(padding={"top_pad": 1, "left_pad": 2}, dim_ordering="th"),
        lambda: L.ZeroPadding2D(((1, 0), (2, 0)), "channels_first"),
        "padding=((1, 0), (2, 0))",
    ),
    (
        lambda: L.ZeroPadding1D(padding={"left_pad": 1, "right_pad": 2}),
        lambda: L.ZeroPadding1D((1, 2)),
        "padding=(1, 2)",
    ),
    (
        lambda: L.LSTM(
            output_dim=3, init="normal", inner_init="identity", forget_bias_init="zero",
            inner_activation="hard_sigmoid", U_regularizer="l2", dropout_W=0.2, dropout_U=0.1,
            consume_less="gpu", input_length=5, input_dim=2,
        ),
        lambda: L.LSTM(
            3, kernel_initializer="normal", recurrent_initializer="identity",
            unit_forget_bias=False, recurrent_activation="hard_sigmoid",
            recurrent_regularizer="l2", dropout=0.2, recurrent_dropout=0.1, input_shape=(5, 2),
        ),
        "recurrent_activation='hard_sigmoid' for inner_activation='hard_sigmoid'",
    ),
    (lambda: L.LSTM(3, input_dim=2), lambda: L.LSTM(3, input_shape=(None, 2)), "(None, 2)"),
    (
        lambda: L.LSTM(2, 3, return_sequences=True),
        lambda: L.LSTM(3, input_shape=(None, 2), return_sequences=True),
        "units=3",
    ),
    (
        lambda: L.GRU(3, "uniform", "identity", "relu"),
        lambda: L.GRU(
            3, "relu", kernel_initializer="uniform", recurrent_initializer="identity"
        ),
        "recurrent_initializer='identity'",
    ),
    (lambda: L.SimpleRNN(output_dim=3), lambda: L.SimpleRNN(3), "units=3"),
    (
        lambda: L.Embedding(5, 3, init="uniform", W_regularizer="l2", dropout=0.0),
        lambda: L.Embedding(5, 3, "uniform", embeddings_regularizer="l2"),
        "embeddings_initializer='uniform' for init='uniform'",
    ),
    (
        lambda: L.Embedding(5, 3, "normal", 7),
        lambda: L.Embedding(5, 3, "normal", input_shape=(7,)),
        "embeddings_initializer='normal'",
    ),
    (
        lambda: L.BatchNormalization(mode=2, gamma_init="uniform", beta_init="one"),
        lambda: L.BatchNormalization(gamma_initializer="uniform", beta_initializer="one"),
        "leave out mode=2",
    ),
    (lambda: L.Dropout(p=0.3), lambda: L.Dropout(0.3), "rate=0.3 for p=0.3"),
    (lambda: L.SpatialDropout1D(p=0.3), lambda: L.SpatialDropout1D(0.3), "rate=0.3"),
    (
        lambda: L.SpatialDropout2D(p=0.3, dim_ordering="th"),
        lambda: L.SpatialDropout2D(0.3, data_format="channels_first"),
        "rate=0.3",
    ),
    (lambda: L.GaussianDropout(p=0.3), lambda: L.GaussianDropout(0.3), "rate=0.3"),
    (lambda: L.GaussianNoise(sigma=0.3), lambda: L.GaussianNoise(0.3), "stddev=0.3 for sigma=0.3"),
    (lambda: L.LeakyReLU(alpha=0.2), lambda: L.LeakyReLU(0.2), "negative_slope=0.2 for alpha=0.2"),
    (lambda: L.PReLU(init="one"), lambda: L.PReLU("one"), "alpha_initializer='one'"),
    (lambda: L.Reshape(dims=(2, 3)), lambda: L.Reshape((2, 3)), "target_shape=(2, 3)"),
    (lambda: L.Reshape(2, 3), lambda: L.Reshape((2, 3)), "target_shape=(2, 3)"),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "says"), CALLS)
def test_old_and_new_spellings_make_the_same_layer(old, new, says):
    same(old, new, says)


@pytest.mark.parametrize(
    "make",
    [
        lambda: L.Conv2D(8, 3, 2),
        lambda: L.Conv2D(8, 1, 1),
        lambda: L.Convolution2D(8, (3, 3)),
        lambda: L.Convolution1D(8, 3, padding="same"),
        lambda: L.Dense(8, "relu", input_dim=3),
        lambda: L.LSTM(8, input_shape=(4, 3)),
        lambda: L.Embedding(8, 3, weights=[np.zeros((8, 3))], input_length=4),
        lambda: L.ZeroPadding2D((1, 2)),
        lambda: L.ELU(alpha=0.5),
        lambda: L.BatchNormalization(momentum=0.9, epsilon=1e-5),
    ],
)
def test_today_s_spellings_are_silent(make):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        make()


def test_two_numbers_after_the_filters_are_read_as_keras_3_does_with_a_word_on_it():
    with pytest.warns(UserWarning, match=r"write Conv2D\(8, \(3, 3\)\)"):
        layer = L.Conv2D(8, 3, 3)
    assert layer.kernel_size == (3, 3)
    assert layer.strides == (3, 3)


@pytest.mark.parametrize(
    ("make", "error", "says"),
    [
        (lambda: L.Dense(3, units=3), TypeError, "units"),
        (lambda: L.Dense(units=3, output_dim=3), TypeError, "old spelling of `units`"),
        (lambda: L.Convolution2D(3, 3, 3, nb_col=3), TypeError, "several values for nb_col"),
        (lambda: L.Convolution2D(3, 3, 3, kernel_size=3), TypeError, "spelling of `kernel_size`"),
        (lambda: L.Conv2D(3, 3, border_mode="full"), ValueError, "ZeroPadding2D"),
        (lambda: L.Embedding(3, 3, dropout=0.5), ValueError, "SpatialDropout1D"),
        (lambda: L.BatchNormalization(mode=1), ValueError, "LayerNormalization"),
        (lambda: L.LSTM(3, forget_bias_init="uniform"), ValueError, "forget_bias_init='uniform'"),
        (lambda: L.Dense(3, "uniform", *range(20)), TypeError, "More arguments than Keras 1 had"),
        (lambda: L.Dense(3, outputdim=3), TypeError, "'outputdim'"),
        (lambda: L.MaxoutDense(3), ValueError, "no MaxoutDense here: use Maximum"),
        (lambda: L.Highway(), ValueError, "no Highway here"),
        (lambda: L.LocallyConnected2D(3, 2, 2), ValueError, "Conv2D"),
    ],
)
def test_what_can_t_be_read_says_why(make, error, says):
    with pytest.raises(error, match=says):
        make()


def test_every_old_name_is_of_a_layer_and_leads_to_an_argument_that_it_has():
    for name, table in SINGLE.items():
        cls = models.Model if name == "Model" else getattr(layers, name)
        known = {"inputs", "outputs", "_first_weights", *_arguments(cls)}
        wrong = [new for rule in table.values() for new in rule.new if new not in known]
        assert not wrong, f"{name} has no {wrong}"
        assert not [old for old, rule in table.items() if old in known and rule.new != (old,)]
    for name, several in JOINED.items():
        known = {"input_shape", *_arguments(getattr(layers, name))}
        assert {one.new for one in several} <= known


def _arguments(cls):
    if hasattr(layers, f"{cls.__name__}Cell"):
        of_cell = _arguments(getattr(layers, f"{cls.__name__}Cell"))
    else:
        of_cell = set()
    names = {n for one in cls.__mro__ for n in inspect.signature(one.__init__).parameters}
    rules = {f"{w}_{kind}" for w in getattr(cls, "regularized", ())
             for kind in ("regularizer", "constraint")}  # fmt: skip
    return names | rules | of_cell


def test_weights_are_given_to_the_constructor():
    kernel, bias = np.arange(6.0).reshape(2, 3), np.ones(3)
    with pytest.warns(DeprecationWarning, match=r"write layer.set_weights"):
        layer = L.Dense(3, weights=[kernel, bias])
    models.Sequential([L.Input((2,)), layer])
    np.testing.assert_array_equal(layer.get_weights()[0], kernel)
    np.testing.assert_array_equal(layer.get_weights()[1], bias)


def test_weights_of_an_lstm_may_be_keras_1_s_twelve():
    rng = np.random.default_rng(0)
    gates = {g: [rng.normal(size=s) for s in ((2, 3), (3, 3), (3,))] for g in "icfo"}
    with pytest.warns(DeprecationWarning, match="set_weights"):
        layer = L.LSTM(3, weights=[array for gate in gates.values() for array in gate])
    layer.build((None, None, 2))
    for number, found in enumerate(layer.get_weights()):
        wanted = np.concatenate([gates[g][number] for g in "ifco"], axis=-1)
        np.testing.assert_allclose(found, wanted, rtol=1e-6)


def test_weights_that_do_not_fit_are_refused():
    with pytest.warns(DeprecationWarning):
        layer = L.Dense(3, weights=[np.zeros((5, 3)), np.zeros(3)])
    with pytest.raises(ValueError, match=r"shape \(2, 3\)"):
        layer.build((None, 2))


def test_initializers_may_be_functions_of_a_shape_alone():
    with pytest.warns(DeprecationWarning, match="kernel_initializer=…"):
        layer = L.Dense(3, init=lambda shape, name=None: torch.full(shape, 0.5))
    layer.build((None, 2))
    assert layer.get_weights()[0].tolist() == [[0.5] * 3] * 2


def test_initializers_of_today_are_handed_on_as_they_are():
    def halves(shape, dtype=None):
        return torch.full(shape, 0.5)

    with pytest.warns(DeprecationWarning):
        layer = L.Dense(3, init=halves)
    assert layer.kernel_initializer is halves
    with pytest.warns(DeprecationWarning):
        assert isinstance(
            L.Dense(3, init=initializers.Ones()).kernel_initializer, initializers.Ones
        )


def test_a_layer_of_one_s_own_keeps_its_arguments():
    class Mine(layers.Layer):
        def __init__(self, output_dim, init="glorot_uniform", p=0.1, **kwargs):
            super().__init__(**kwargs)
            self.output_dim, self.p = output_dim, p
            self.init = initializers.get(init)

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        layer = Mine(3, init="uniform", p=0.3)
    assert (layer.output_dim, layer.p) == (3, 0.3)
    with pytest.warns(DeprecationWarning, match="units=4"):
        assert type("Narrow", (layers.Dense,), {})(output_dim=4).units == 4


def test_models_take_input_and_output():
    start = layers.Input((3,))
    end = layers.Dense(2)(start)
    with pytest.warns(DeprecationWarning, match="write inputs=… for input=…"):
        model = models.Model(input=start, output=end)
    assert model.output_shape == (None, 2)


def test_old_classes_are_today_s_in_isinstance_and_may_be_subclassed():
    assert isinstance(layers.Conv2D(2, 3), layers.Convolution2D)
    assert not isinstance(layers.Dense(2), layers.Convolution2D)

    class Mine(layers.Convolution2D):
        pass

    assert type(Mine(2, (3, 3))) is Mine
    assert isinstance(Mine(2, (3, 3)), layers.Conv2D)
    assert not isinstance(layers.Conv2D(2, 3), Mine)
