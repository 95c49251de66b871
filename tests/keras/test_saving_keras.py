"""Files that real Keras 3 wrote are read here, and files that are written here real Keras reads."""

import io
import json
import warnings
import zipfile

import h5py
import keras
import numpy as np
import pytest
import torch

from elephas_torch.errors import ModelFileError
from elephas_torch.keras import Sequential, layers, models
from elephas_torch.keras.layers import Dense, Input, Layer
from elephas_torch.keras.models import load_model

RANDOM = np.random.default_rng(0)
CLOSE = {"rtol": 1e-5, "atol": 1e-6}
IMAGE, SERIES = (6, 7, 4), (6, 4)

#: (class, arguments, shape of a row), or several shapes for layers of several inputs.
LAYERS = [
    ("Dense", {"units": 3, "activation": "relu", "kernel_regularizer": "l2"}, (4,)),
    ("Dense", {"units": 3, "use_bias": False, "kernel_constraint": "non_neg"}, SERIES),
    ("Activation", {"activation": "tanh"}, (4,)),
    ("Dropout", {"rate": 0.5, "seed": 3}, (4,)),
    ("Flatten", {}, IMAGE),
    ("Reshape", {"target_shape": (2, 2)}, (4,)),
    ("Permute", {"dims": (2, 1)}, SERIES),
    ("RepeatVector", {"n": 3}, (4,)),
    ("Embedding", {"input_dim": 9, "output_dim": 3}, (5,)),
    ("BatchNormalization", {}, IMAGE),
    ("BatchNormalization", {"axis": 1, "scale": False}, SERIES),
    ("Conv1D", {"filters": 3, "kernel_size": 2, "padding": "causal"}, SERIES),
    ("Conv2D", {"filters": 4, "kernel_size": 3, "strides": 2, "padding": "same"}, IMAGE),
    ("Conv2D", {"filters": 4, "kernel_size": (2, 1), "groups": 2, "use_bias": False}, IMAGE),
    ("Conv3D", {"filters": 2, "kernel_size": 2}, (3, 4, 4, 2)),
    ("Conv1DTranspose", {"filters": 3, "kernel_size": 2, "strides": 2}, SERIES),
    ("Conv2DTranspose", {"filters": 3, "kernel_size": 3, "padding": "same"}, IMAGE),
    ("Conv3DTranspose", {"filters": 2, "kernel_size": 2}, (3, 3, 3, 2)),
    ("DepthwiseConv1D", {"kernel_size": 3}, SERIES),
    ("DepthwiseConv2D", {"kernel_size": 3, "depth_multiplier": 2}, IMAGE),
    ("SeparableConv1D", {"filters": 3, "kernel_size": 2}, SERIES),
    ("SeparableConv2D", {"filters": 3, "kernel_size": 2}, IMAGE),
    ("UpSampling1D", {"size": 2}, SERIES),
    ("UpSampling2D", {"size": (2, 3), "interpolation": "bilinear"}, IMAGE),
    ("UpSampling3D", {"size": 2}, (2, 2, 2, 3)),
    ("ZeroPadding1D", {"padding": (1, 2)}, SERIES),
    ("ZeroPadding2D", {"padding": ((1, 0), (2, 1))}, IMAGE),
    ("ZeroPadding3D", {"padding": 1}, (2, 2, 2, 3)),
    ("Cropping1D", {"cropping": 1}, SERIES),
    ("Cropping2D", {"cropping": ((1, 0), (2, 1))}, IMAGE),
    ("Cropping3D", {"cropping": 1}, (4, 4, 4, 2)),
    ("MaxPooling1D", {"pool_size": 2}, SERIES),
    ("MaxPooling2D", {"pool_size": 2, "strides": 1, "padding": "same"}, IMAGE),
    ("MaxPooling3D", {"pool_size": 2}, (4, 4, 4, 2)),
    ("AveragePooling1D", {"pool_size": 2}, SERIES),
    ("AveragePooling2D", {"pool_size": (2, 3)}, IMAGE),
    ("AveragePooling3D", {"pool_size": 2}, (4, 4, 4, 2)),
    ("GlobalMaxPooling1D", {}, SERIES),
    ("GlobalMaxPooling2D", {"keepdims": True}, IMAGE),
    ("GlobalMaxPooling3D", {}, (2, 2, 2, 3)),
    ("GlobalAveragePooling1D", {}, SERIES),
    ("GlobalAveragePooling2D", {}, IMAGE),
    ("GlobalAveragePooling3D", {}, (2, 2, 2, 3)),
    ("LSTM", {"units": 3, "return_sequences": True, "dropout": 0.1}, SERIES),
    ("LSTM", {"units": 3, "unit_forget_bias": False, "go_backwards": True}, SERIES),
    ("GRU", {"units": 3, "recurrent_dropout": 0.1}, SERIES),
    ("GRU", {"units": 3, "reset_after": False, "use_bias": False}, SERIES),
    ("SimpleRNN", {"units": 3, "return_sequences": True}, SERIES),
    ("Masking", {"mask_value": 0.5}, SERIES),
    ("ActivityRegularization", {"l2": 0.1}, (4,)),
    ("Identity", {}, (4,)),
    ("EinsumDense", {"equation": "abc,cd->abd", "output_shape": [None, 3]}, SERIES),
    ("EinsumDense", {"equation": "ab,bc->ac", "output_shape": 3, "bias_axes": "c"}, (4,)),
    ("SpatialDropout1D", {"rate": 0.5}, SERIES),
    ("SpatialDropout2D", {"rate": 0.5}, IMAGE),
    ("SpatialDropout3D", {"rate": 0.5}, (2, 2, 2, 3)),
    ("GaussianNoise", {"stddev": 0.5, "seed": 1}, (4,)),
    ("GaussianDropout", {"rate": 0.5}, (4,)),
    ("AlphaDropout", {"rate": 0.5}, (4,)),
    ("LayerNormalization", {"axis": [1, 2]}, SERIES),
    ("LayerNormalization", {"center": False}, (4,)),
    ("GroupNormalization", {"groups": 2}, IMAGE),
    ("UnitNormalization", {"axis": 1}, SERIES),
    ("RMSNormalization", {}, SERIES),
    ("Normalization", {}, (4,)),
    ("Normalization", {"mean": [1.0, 2.0], "variance": [4.0, 1.0], "invert": True}, (2,)),
    ("Rescaling", {"scale": 0.5, "offset": 1.0}, IMAGE),
    ("Resizing", {"height": 3, "width": 4}, IMAGE),
    ("CenterCrop", {"height": 3, "width": 4}, IMAGE),
    ("CategoryEncoding", {"num_tokens": 9, "output_mode": "multi_hot"}, (3,)),
    ("Discretization", {"bin_boundaries": [1.0, 3.0, 5.0]}, (4,)),
    ("RandomFlip", {"mode": "horizontal", "seed": 1}, IMAGE),
    ("RandomContrast", {"factor": 0.5, "seed": 1}, IMAGE),
    ("RandomRotation", {"factor": 0.5, "seed": 1}, IMAGE),
    ("RandomTranslation", {"height_factor": 0.5, "width_factor": 0.2, "seed": 1}, IMAGE),
    ("RandomZoom", {"height_factor": 0.5, "seed": 1}, IMAGE),
    ("LeakyReLU", {"negative_slope": 0.1}, (4,)),
    ("PReLU", {"shared_axes": [1]}, SERIES),
    ("ELU", {"alpha": 0.5}, (4,)),
    ("ReLU", {"max_value": 4.0, "negative_slope": 0.1, "threshold": 1.0}, (4,)),
    ("Softmax", {"axis": 1}, SERIES),
    ("AdaptiveAveragePooling2D", {"output_size": 2}, IMAGE),
    ("AdaptiveMaxPooling1D", {"output_size": 2}, SERIES),
    ("AdaptiveAveragePooling1D", {"output_size": 2}, SERIES),
    ("AdaptiveMaxPooling2D", {"output_size": 2}, IMAGE),
    ("AdaptiveAveragePooling3D", {"output_size": 2}, (4, 4, 4, 2)),
    ("AdaptiveMaxPooling3D", {"output_size": 2}, (4, 4, 4, 2)),
    *((name, {}, [(4,), (4,)]) for name in ("Add", "Subtract", "Multiply", "Average")),
    *((name, {}, [(4,), (4,), (4,)]) for name in ("Maximum", "Minimum")),
    ("Concatenate", {"axis": 1}, [SERIES, (2, 4)]),
    ("Dot", {"axes": (2, 1), "normalize": True}, [SERIES, (4, 3)]),
    ("Attention", {"use_scale": True}, [SERIES, (3, 4)]),
    ("AdditiveAttention", {}, [SERIES, (3, 4)]),
]
# Python 3.10 has Keras 3.12, which lacks the adaptive ones.
LAYERS = [case for case in LAYERS if hasattr(keras.layers, case[0])]


#: Those that have weights.
WEIGHTED = (
    "Dense", "Embedding", "BatchNormalization", "Conv1D", "Conv2D", "Conv3D", "Conv1DTranspose",
    "Conv2DTranspose", "Conv3DTranspose", "DepthwiseConv1D", "DepthwiseConv2D", "SeparableConv1D",
    "SeparableConv2D", "LSTM", "GRU", "SimpleRNN", "EinsumDense", "LayerNormalization",
    "GroupNormalization", "RMSNormalization", "PReLU", "Attention", "AdditiveAttention",
)  # fmt: skip


def of_parts(core):
    """Layers made of other ones, with the shape of a row."""
    return {
        "Bidirectional": (core.Bidirectional(core.LSTM(3), merge_mode="sum"), SERIES),
        "Bidirectional GRU": (
            core.Bidirectional(
                core.GRU(2, return_sequences=True),
                backward_layer=core.GRU(3, return_sequences=True, go_backwards=True),
            ),
            SERIES,
        ),
        "TimeDistributed": (core.TimeDistributed(core.Dense(3, activation="tanh")), SERIES),
        "TimeDistributed of TimeDistributed": (
            core.TimeDistributed(core.TimeDistributed(core.Dense(3))),
            (3, 2, 4),
        ),
        "RNN": (core.RNN(core.LSTMCell(3), return_sequences=True), SERIES),
        "cells": (core.RNN([core.GRUCell(3), core.LSTMCell(2), core.GRUCell(4)]), SERIES),
        "simple cells": (
            core.RNN(core.StackedRNNCells([core.SimpleRNNCell(3), core.SimpleRNNCell(2)])),
            SERIES,
        ),
        "SpectralNormalization": (core.SpectralNormalization(core.Dense(3)), (4,)),
    }


def one_of(case):
    """A Keras model of one layer, with random weights."""
    name, arguments, shape = case
    return around(getattr(keras.layers, name)(**arguments), shape)


def around(layer, shape):
    several = isinstance(shape, list)
    inputs = [keras.Input(one) for one in shape] if several else keras.Input(shape)
    model = keras.Model(inputs, layer(inputs))
    model.set_weights([RANDOM.uniform(0.1, 1, w.shape).astype(w.dtype) for w in model.weights])
    return model


def data(shape):
    if isinstance(shape, list):
        return [data(one) for one in shape]
    return RANDOM.integers(0, 9, (3, *shape)).astype("float32")


def label(case):
    return f"{case[0]}-{'-'.join(case[1])}"


@pytest.mark.parametrize("case", LAYERS, ids=label)
def test_layers_travel_both_ways(case, tmp_path):
    travels(one_of(case), data(case[2]), tmp_path)


@pytest.mark.parametrize("name", of_parts(keras.layers))
def test_layers_of_layers_travel_both_ways(name, tmp_path):
    layer, shape = of_parts(keras.layers)[name]
    theirs = around(layer, shape)
    travels(theirs, data(shape), tmp_path)
    weights_travel(theirs, around(*of_parts(keras.layers)[name]), tmp_path)


def attending(core):
    """Layers that are called with several arguments, with their outputs."""
    query, value = keras.Input(SERIES), keras.Input((3, 4))
    grouped = core.GroupQueryAttention(4, 4, 2)
    return {
        "MultiHeadAttention": core.MultiHeadAttention(2, 3, dropout=0.1)(query, value),
        "MultiHeadAttention of key": core.MultiHeadAttention(2, 3, 4, use_bias=False)(
            query, value, key=value
        ),
        "GroupQueryAttention": grouped(query, value),
        "MultiHeadAttention, causal": core.MultiHeadAttention(2, 3, output_shape=5)(
            query, value, use_causal_mask=True
        ),
    }, [query, value]


@pytest.mark.parametrize("name", attending(keras.layers)[0])
def test_attention_travels_both_ways(name, tmp_path):
    found, inputs = attending(keras.layers)
    theirs = keras.Model(inputs, found[name])
    theirs.set_weights([RANDOM.uniform(0.1, 1, w.shape) for w in theirs.weights])
    travels(theirs, data([SERIES, (3, 4)]), tmp_path)


def test_what_layers_learnt_of_data_travels(tmp_path):
    x = RANDOM.normal(size=(20, 4)).astype("float32")
    layer = keras.layers.Normalization()
    layer.adapt(x)
    inputs = keras.Input((4,))
    theirs = keras.Model(inputs, layer(inputs))
    theirs.save(tmp_path / "theirs.keras")
    ours = load_model(tmp_path / "theirs.keras")
    np.testing.assert_allclose(ours.predict(x, verbose=0), outputs(theirs, x), **CLOSE)
    ours.save(tmp_path / "ours.keras")
    again = keras.models.load_model(tmp_path / "ours.keras")
    np.testing.assert_allclose(outputs(again, x), outputs(theirs, x), **CLOSE)


def doubled(x):
    return 2 * x


def test_functions_in_lambda_layers_travel_by_name(tmp_path):
    inputs = keras.Input((4,))
    theirs = keras.Model(inputs, keras.layers.Lambda(doubled)(inputs))
    theirs.save(tmp_path / "theirs.keras")
    x = data((4,))
    with pytest.raises(ValueError, match=r"'doubled'.*custom_objects"):
        load_model(tmp_path / "theirs.keras")
    ours = load_model(tmp_path / "theirs.keras", {"doubled": doubled})
    np.testing.assert_allclose(ours.predict(x, verbose=0), 2 * x)
    ours.save(tmp_path / "ours.keras")
    again = keras.models.load_model(tmp_path / "ours.keras", {"doubled": doubled})
    np.testing.assert_allclose(outputs(again, x), 2 * x)


@pytest.mark.parametrize("ending", ["keras", "h5"])
def test_lambdas_are_refused_unless_trusted(ending, tmp_path):
    inputs = keras.Input((4,))
    theirs = keras.Model(inputs, keras.layers.Lambda(lambda x: x * 3)(inputs))
    theirs.save(tmp_path / f"theirs.{ending}")
    x = data((4,))
    with pytest.raises(ValueError, match="Python lambda"):
        load_model(tmp_path / f"theirs.{ending}")
    with pytest.raises(ValueError, match="Python lambda"):
        models.model_from_json(theirs.to_json())
    ours = load_model(tmp_path / f"theirs.{ending}", safe_mode=False)
    np.testing.assert_allclose(ours.predict(x, verbose=0), 3 * x)
    ours.save(tmp_path / f"ours.{ending}")
    again = keras.models.load_model(tmp_path / f"ours.{ending}", safe_mode=False)
    np.testing.assert_allclose(outputs(again, x), 3 * x)


def test_every_layer_that_keras_has_too_is_tried():
    ours = {name: getattr(layers, name) for name in dir(layers) if hasattr(keras.layers, name)}
    classes = {cls for cls in ours.values() if isinstance(cls, type) and issubclass(cls, Layer)}
    elsewhere = {
        "Bidirectional", "GRUCell", "GroupedQueryAttention", "InputLayer", "LSTMCell", "Lambda",
        "Layer", "MultiHeadAttention", "RNN", "SimpleRNNCell", "SpectralNormalization",
        "StackedRNNCells", "TimeDistributed", "TorchModuleWrapper", "Wrapper",
    }  # fmt: skip
    elsewhere |= {"RandomBrightness"}  # Keras itself can't save a functional model with one
    # Other names of the same layers.
    elsewhere |= {f"Convolution{n}D{end}" for n in (1, 2, 3) for end in ("", "Transpose")}
    elsewhere |= {"SeparableConvolution1D", "SeparableConvolution2D"}
    assert {cls.__name__ for cls in classes} <= {case[0] for case in LAYERS} | elsewhere


def travels(theirs, x, tmp_path):
    wanted = outputs(theirs, x)
    for ending in ("keras", "h5"):
        theirs.save(tmp_path / f"theirs.{ending}")
        ours = load_model(tmp_path / f"theirs.{ending}")
        np.testing.assert_allclose(ours.predict(x, verbose=0), wanted, **CLOSE)
        ours.save(tmp_path / f"ours.{ending}")
        again = keras.models.load_model(tmp_path / f"ours.{ending}")
        np.testing.assert_allclose(outputs(again, x), wanted, **CLOSE)
        assert plain(again) == plain(theirs)


def outputs(model, x):
    """What Keras's predict gives, without its cost."""
    return model(x, training=False).detach().numpy()


@pytest.mark.parametrize("case", [case for case in LAYERS if case[0] in WEIGHTED], ids=label)
def test_weights_travel_both_ways(case, tmp_path):
    weights_travel(one_of(case), one_of(case), tmp_path)


def weights_travel(theirs, blank, tmp_path):
    ours = models.model_from_json(theirs.to_json())
    for ending in ("weights.h5", "h5"):
        if ending == "weights.h5":
            theirs.save_weights(tmp_path / f"theirs.{ending}")
        else:
            theirs.save(tmp_path / f"theirs.{ending}")
        ours.load_weights(tmp_path / f"theirs.{ending}")
        same(ours.get_weights(), theirs.get_weights())
        ours.save_weights(tmp_path / f"ours.{ending}")
        blank.load_weights(tmp_path / f"ours.{ending}")
        same(blank.get_weights(), theirs.get_weights())


def plain(model):
    """The config, without the masks that calls weren't given."""
    text = json.dumps(model.get_config())
    return json.loads(text, object_hook=lambda one: without(one, "mask"))


def without(config, name):
    return {k: v for k, v in config.items() if k != name or v is not None}


def same(one, other):
    assert len(one) == len(other)
    assert all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


OPTIMIZERS = {
    "SGD": {"learning_rate": 0.1, "momentum": 0.9, "nesterov": True, "weight_decay": 0.01},
    "RMSprop": {"momentum": 0.1, "centered": True},
    "Adagrad": {"learning_rate": 0.1, "clipnorm": 0.5},
    "Adadelta": {"learning_rate": 0.5},
    "Adam": {"learning_rate": 0.01, "amsgrad": True, "use_ema": True},
    "AdamW": {"learning_rate": 0.01, "global_clipnorm": 0.5},
    "Adamax": {"learning_rate": 0.01, "clipvalue": 0.1},
    "Nadam": {"learning_rate": 0.01},
    "Lion": {"gradient_accumulation_steps": 2},
    "Ftrl": {"learning_rate": 0.1},
    "Lamb": {},
    "Adafactor": {"learning_rate": 0.01},
}
X = RANDOM.normal(size=(16, 6, 4)).astype("float32")
Y = np.eye(3, dtype="float32")[RANDOM.integers(0, 3, 16)]


def trained(optimizer, steps=3):
    """A Keras model that took a few steps."""
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input((6, 4)),
            keras.layers.Conv1D(4, 2, activation="relu"),
            keras.layers.BatchNormalization(),
            keras.layers.Flatten(),
            keras.layers.Dense(3, activation="softmax"),
        ]
    )
    model.compile(
        optimizer,
        keras.losses.CategoricalCrossentropy(label_smoothing=0.1),
        metrics=["accuracy", keras.metrics.TopKCategoricalAccuracy(k=2)],
    )
    for _ in range(steps):
        model.train_on_batch(X, Y)
    return model


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_training_goes_on_where_keras_stopped_and_the_other_way_round(name, tmp_path):
    theirs = trained(getattr(keras.optimizers, name)(**OPTIMIZERS[name]))
    theirs.save(tmp_path / "theirs.keras")
    ours = load_model(tmp_path / "theirs.keras")
    go_on(ours, theirs)
    ours.save(tmp_path / "ours.keras")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        again = keras.models.load_model(tmp_path / "ours.keras")
    assert type(again.optimizer) is type(theirs.optimizer)
    assert [v.shape for v in again.optimizer.variables] == [
        v.shape for v in theirs.optimizer.variables
    ]
    go_on(again, theirs)


def go_on(one, other):
    for _ in range(5):
        one.train_on_batch(X, Y)
        other.train_on_batch(X, Y)
    for mine, theirs in zip(one.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-4, atol=1e-5)


def test_schedules_travel(tmp_path):
    schedule = keras.optimizers.schedules.ExponentialDecay(0.1, 2, 0.5)
    theirs = trained(keras.optimizers.SGD(schedule))
    theirs.save(tmp_path / "theirs.keras")
    ours = load_model(tmp_path / "theirs.keras")
    assert ours.optimizer.learning_rate == pytest.approx(float(theirs.optimizer.learning_rate))
    go_on(ours, theirs)
    ours.save(tmp_path / "ours.keras")
    go_on(keras.models.load_model(tmp_path / "ours.keras"), theirs)


def test_rates_that_training_changed_travel(tmp_path):
    theirs = trained("adam")
    theirs.optimizer.learning_rate = 0.25
    theirs.save(tmp_path / "theirs.keras")
    ours = load_model(tmp_path / "theirs.keras")
    assert ours.optimizer.learning_rate == 0.25
    ours.optimizer.learning_rate = 0.1
    ours.save(tmp_path / "ours.keras")
    again = keras.models.load_model(tmp_path / "ours.keras")
    assert float(again.optimizer.learning_rate) == pytest.approx(0.1)
    # A rate that nobody changed keeps its digits.
    assert load_model(tmp_path / "ours.keras").optimizer.learning_rate == 0.1


def test_compiling_travels(tmp_path):
    theirs = trained("sgd")
    theirs.save(tmp_path / "theirs.keras")
    theirs.save(tmp_path / "theirs.h5")
    for file in ("theirs.keras", "theirs.h5"):
        ours = load_model(tmp_path / file)
        mine = ours.evaluate(X, Y, verbose=0)
        np.testing.assert_allclose(mine, theirs.evaluate(X, Y, verbose=0), rtol=1e-5)
        assert ours.metrics_names == ["loss", "accuracy", "top_k_categorical_accuracy"]
        assert ours.loss.get_config()["label_smoothing"] == 0.1
    for file in ("ours.keras", "ours.h5"):
        ours.save(tmp_path / file)
        again = keras.models.load_model(tmp_path / file)
        np.testing.assert_allclose(again.evaluate(X, Y, verbose=0), mine, rtol=1e-5)
    ours.save(tmp_path / "bare.keras", include_optimizer=False)
    assert not keras.models.load_model(tmp_path / "bare.keras").compiled
    assert load_model(tmp_path / "bare.keras").compiled is None


def test_keras_trains_on_an_h5_file_without_the_optimizer(tmp_path):
    ours = Sequential([Dense(3, input_dim=4)])
    ours.compile("adam", "mse")
    ours.save(tmp_path / "m.h5", include_optimizer=False)
    again = keras.models.load_model(tmp_path / "m.h5")
    again.compile("adam", "mse")
    again.train_on_batch(X[:, 0], Y)


def test_names_of_losses_and_metrics_travel_in_h5_files(tmp_path):
    ours = Sequential([Dense(3, input_dim=4)])
    ours.compile("adam", "mse", metrics=["mae", "acc", "hinge"], weighted_metrics=["mape"])
    ours.save(tmp_path / "m.h5")
    again = keras.models.load_model(tmp_path / "m.h5")
    mine = ours.evaluate(X[:, 0], Y, verbose=0)
    np.testing.assert_allclose(again.evaluate(X[:, 0], Y, verbose=0), mine, rtol=1e-5)


def several(keras):
    """A model of two inputs and outputs, with a shared layer and nested models."""
    core, Input = keras.layers, keras.layers.Input
    inner = Input((4,))
    nested = keras.Model(inner, core.Dense(4, activation="tanh")(inner), name="nested")
    stack = keras.Sequential([Input((4,)), core.Dense(4), core.Activation("relu")], name="stack")
    shared = core.Dense(4, name="shared")
    left, right = Input((4,), name="left"), Input((4,), name="right")
    one, two = nested(shared(left)), nested(shared(right))
    total = nested(one + two)
    return keras.Model({"left": left, "right": right}, [total, stack(stack(one * 2)), two])


def test_functional_models_travel(tmp_path):
    theirs = several(keras)
    x = {name: RANDOM.normal(size=(5, 4)).astype("float32") for name in ("left", "right")}
    wanted = theirs.predict(x, verbose=0)
    theirs.save(tmp_path / "theirs.keras")
    ours = load_model(tmp_path / "theirs.keras")
    agree(ours.predict(x, verbose=0), wanted)
    for ending in ("keras", "h5"):
        ours.save(tmp_path / f"ours.{ending}")
    again = keras.models.load_model(tmp_path / "ours.keras")
    agree(again.predict(x, verbose=0), wanted)
    assert plain(again) == plain(theirs)
    agree(load_model(tmp_path / "ours.h5").predict(x, verbose=0), wanted)
    revived = keras.models.model_from_json(ours.to_json())
    revived.set_weights(theirs.get_weights())
    agree(revived.predict(x, verbose=0), wanted)


def agree(several, others):
    assert len(several) == len(others)
    for one, other in zip(several, others, strict=True):
        np.testing.assert_allclose(one, other, **CLOSE)


def test_models_of_several_outputs_are_compiled_again(tmp_path):
    theirs = several(keras)
    theirs.compile(
        "adam", ["mse", "mae", None], loss_weights=[1.0, 0.5, 1.0], metrics=[["mae"], [], ["mse"]]
    )
    x = {name: RANDOM.normal(size=(5, 4)).astype("float32") for name in ("left", "right")}
    y = [RANDOM.normal(size=(5, 4)).astype("float32") for _ in range(3)]
    theirs.train_on_batch(x, y)
    theirs.save(tmp_path / "theirs.keras")
    ours = load_model(tmp_path / "theirs.keras")
    for _ in range(5):
        ours.train_on_batch(x, y)
        theirs.train_on_batch(x, y)
    agree(ours.predict(x, verbose=0), theirs.predict(x, verbose=0))
    ours.save(tmp_path / "ours.keras")
    again = keras.models.load_model(tmp_path / "ours.keras")
    np.testing.assert_allclose(
        again.evaluate(x, y, verbose=0, return_dict=True)["loss"],
        ours.evaluate(x, y, verbose=0, return_dict=True)["loss"],
        rtol=1e-5,
    )


def subclassed(keras):
    """Classes of a layer and of a model that keep layers in attributes, lists and dicts."""
    core = keras.layers

    class Block(core.Layer):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            self.second, self.first = core.Dense(3), core.Dense(4)
            self.several = [core.Dense(3), core.BatchNormalization(), core.Dense(3)]
            self.named = {"z": core.Dense(3), "a": core.Dense(3)}

        def build(self, shape):
            self.scale = self.add_weight(shape=(3,), initializer="ones", name="scale")
            self.shift = self.add_weight(shape=(3,), trainable=False, name="shift")

        def call(self, x):
            x = self.second(self.first(x))
            for layer in self.several:
                x = layer(x)
            return self.named["z"](self.named["a"](x)) * self.scale + self.shift

    class Net(keras.Model):
        def __init__(self):
            super().__init__()
            self.zebra, self.ape = core.Dense(5), core.Dense(4)
            self.blocks = [Block(), core.Dense(2), Block()]

        def call(self, x):
            x = self.zebra(self.ape(x))
            for block in self.blocks:
                x = block(x)
            return x

    return Net


def test_weights_of_subclassed_models_travel(tmp_path):
    x = RANDOM.normal(size=(5, 4)).astype("float32")
    theirs, ours = subclassed(keras)(), subclassed(facade())()
    theirs(x), ours(x)
    theirs.set_weights([RANDOM.uniform(0.1, 1, w.shape) for w in theirs.weights])
    theirs.save_weights(tmp_path / "theirs.weights.h5")
    ours.load_weights(tmp_path / "theirs.weights.h5")
    np.testing.assert_allclose(ours.predict(x, verbose=0), theirs.predict(x, verbose=0), rtol=1e-5)
    same([w.shape for w in ours.get_weights()], [w.shape for w in theirs.get_weights()])
    ours.save_weights(tmp_path / "ours.weights.h5")
    assert places(tmp_path / "ours.weights.h5") == places(tmp_path / "theirs.weights.h5")
    blank = subclassed(keras)()
    blank(x)
    blank.load_weights(tmp_path / "ours.weights.h5")
    same(blank.get_weights(), theirs.get_weights())


def facade():
    from elephas_torch import keras

    return keras


def places(path):
    """Paths and shapes of the arrays in a file."""
    found = {}
    with h5py.File(path) as file:
        file.visititems(
            lambda name, one: (
                found.update({name: one.shape}) if isinstance(one, h5py.Dataset) else None
            )
        )
    return found


@pytest.mark.parametrize("case", LAYERS[::5], ids=label)
def test_arrays_lie_where_keras_has_them(case, tmp_path):
    theirs = one_of(case)
    theirs.compile("adam", "mse")
    theirs.optimizer.build(theirs.trainable_variables)
    theirs.save(tmp_path / "theirs.keras")
    load_model(tmp_path / "theirs.keras").save(tmp_path / "ours.keras")
    theirs.save_weights(tmp_path / "theirs.weights.h5")
    found = []
    for name in ("theirs", "ours"):
        load_model(tmp_path / f"{name}.keras").save_weights(tmp_path / f"{name}2.weights.h5")
        found.append(places(tmp_path / f"{name}2.weights.h5"))
    assert (
        found[0]
        == found[1]
        == {
            name: shape
            for name, shape in places(tmp_path / "theirs.weights.h5").items()
            if not name.startswith("optimizer")
        }
    )


class Halves(Layer):
    """Keeps its state in its own way."""

    def build(self, input_shape):
        self.table = self.add_weight(shape=(input_shape[-1],), initializer="ones", name="table")

    def call(self, inputs):
        return inputs * self.table

    def save_own_variables(self, store):
        store["low"] = self.table[:2]
        store["high"] = self.table[2:].detach().numpy()

    def load_own_variables(self, store):
        self.table.assign(np.concatenate([store["low"], store["high"]]))


def test_layers_may_keep_their_state_in_their_own_way(tmp_path):
    ours = Sequential([Input((4,)), Halves()])
    ours.set_weights([np.arange(4, dtype="float32")])
    ours.save(tmp_path / "m.keras")
    again = load_model(tmp_path / "m.keras", {"Halves": Halves})
    same(again.get_weights(), ours.get_weights())
    with h5py.File(tmp_path / "w.weights.h5", "w") as file:
        file["layers/halves/vars/low"] = np.zeros(2, "float32")
    with pytest.raises(ModelFileError, match=r"Layer 'halves\w*' \(Halves\): .*high"):
        ours.load_weights(tmp_path / "w.weights.h5")


def test_mixed_policies_travel(tmp_path):
    theirs = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, dtype="mixed_bfloat16")])
    theirs.save(tmp_path / "theirs.keras")
    ours = load_model(tmp_path / "theirs.keras")
    assert ours.layers[0].dtype_policy.name == "mixed_bfloat16"
    ours.save(tmp_path / "ours.keras")
    assert keras.models.load_model(tmp_path / "ours.keras").layers[0].dtype_policy.name == (
        "mixed_bfloat16"
    )


def test_pickled_modules_are_refused(tmp_path):
    wrapper = keras.layers.TorchModuleWrapper(torch.nn.Linear(4, 3))
    keras.Sequential([keras.Input((4,)), wrapper]).save(tmp_path / "theirs.keras")
    with pytest.raises(ValueError, match="nothing is unpickled"):
        load_model(tmp_path / "theirs.keras")


def test_nadam_s_state_in_its_former_order(tmp_path):
    theirs = trained("nadam")
    theirs.save(tmp_path / "m.keras")
    current = load_model(tmp_path / "m.keras")
    with zipfile.ZipFile(tmp_path / "m.keras") as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    buffer = io.BytesIO(files["model.weights.h5"])
    with h5py.File(buffer, "r+") as file:
        state = file["optimizer/vars"]
        arrays = [state[str(number)][()] for number in range(len(state))]
        product = arrays.pop(next(n for n in (2, len(arrays) - 1) if not arrays[n].shape))
        del file["optimizer/vars"]
        for number, array in enumerate([*arrays[:2], product, *arrays[2:]]):
            file[f"optimizer/vars/{number}"] = array
    files["model.weights.h5"] = buffer.getvalue()
    with zipfile.ZipFile(tmp_path / "former.keras", "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    former = load_model(tmp_path / "former.keras")
    go_on(former, current)


def test_files_hold_nothing_that_a_former_keras_does_not_know(tmp_path):
    """Keras 3.12 and before refuse arguments that came later, even where they say nothing."""
    inner = keras.layers.MultiHeadAttention(2, 3)
    inputs = keras.Input(SERIES)
    theirs = keras.Model(inputs, keras.layers.BatchNormalization()(inner(inputs, inputs)))
    ours = models.model_from_json(theirs.to_json())
    ours.save(tmp_path / "m.keras")
    with zipfile.ZipFile(tmp_path / "m.keras") as archive:
        text = archive.read("config.json").decode()
    for name in ("renorm", "quantization_config", "input_axes", "use_gate", "sliding_window"):
        assert name not in text and name not in ours.to_json()


def test_operations_in_h5_files_that_name_no_modules(tmp_path):
    core = keras.layers
    start = keras.Input((4,))
    one, two = core.Dense(3)(start), keras.ops.sin(start)[:, 1:]
    ends = core.Add()([one, two]), keras.ops.mean(one * 2.0 + two, axis=-1)
    theirs, x = keras.Model(start, ends), data((4,))
    theirs.save(tmp_path / "m.h5")
    ours = load_model(tmp_path / "m.h5")
    for a, b in zip(ours.predict(x, verbose=0), theirs.predict(x, verbose=0), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)
