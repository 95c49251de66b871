"""Models and weights as Keras 1 and 2 wrote them."""

import copy
import json
import warnings

import h5py
import keras
import numpy as np
import pytest
import torch

from elephas_torch.errors import ModelFileError
from elephas_torch.keras import Sequential
from elephas_torch.keras.layers import GRU, LSTM, Conv1D, Dense, Input
from elephas_torch.keras.models import clone_model, load_model, model_from_json

RANDOM = np.random.default_rng(0)
CLOSE = {"rtol": 1e-5, "atol": 1e-6}

# As Keras 1.2.2 wrote it.
KERAS_1 = {
    "class_name": "Sequential",
    "keras_version": "1.2.2",
    "config": [
        {
            "class_name": "Convolution2D",
            "config": {
                "name": "convolution2d_1",
                "trainable": True,
                "batch_input_shape": [None, 8, 8, 3],
                "input_dtype": "float32",
                "nb_filter": 4,
                "nb_row": 3,
                "nb_col": 2,
                "init": "glorot_uniform",
                "activation": "relu",
                "border_mode": "same",
                "subsample": [2, 1],
                "dim_ordering": "tf",
                "W_regularizer": {"name": "WeightRegularizer", "l1": 0.0, "l2": 0.01},
                "b_regularizer": None,
                "activity_regularizer": None,
                "W_constraint": {"name": "MaxNorm", "m": 2, "axis": [0, 1, 2]},
                "b_constraint": None,
                "bias": True,
            },
        },
        {
            "class_name": "MaxPooling2D",
            "config": {
                "name": "maxpooling2d_1",
                "trainable": True,
                "pool_size": [2, 2],
                "strides": [2, 2],
                "border_mode": "valid",
                "dim_ordering": "tf",
            },
        },
        {
            "class_name": "BatchNormalization",
            "config": {
                "name": "batchnormalization_1",
                "trainable": True,
                "mode": 0,
                "axis": -1,
                "epsilon": 0.001,
                "momentum": 0.99,
                "gamma_regularizer": None,
                "beta_regularizer": None,
            },
        },
        {"class_name": "Dropout", "config": {"name": "dropout_1", "trainable": True, "p": 0.25}},
        {"class_name": "Flatten", "config": {"name": "flatten_1", "trainable": True}},
        {
            "class_name": "Dense",
            "config": {
                "name": "dense_1",
                "trainable": True,
                "output_dim": 5,
                "init": "uniform",
                "activation": "softmax",
                "W_regularizer": None,
                "b_regularizer": None,
                "activity_regularizer": None,
                "W_constraint": {"name": "NonNeg"},
                "b_constraint": None,
                "bias": False,
                "input_dim": 64,
            },
        },
    ],
}

KERAS_1_TEXT = [
    {
        "class_name": "Embedding",
        "config": {
            "name": "embedding_1",
            "trainable": True,
            "batch_input_shape": [None, 6],
            "input_dtype": "int32",
            "input_dim": 20,
            "output_dim": 4,
            "init": "uniform",
            "input_length": 6,
            "mask_zero": False,
            "activity_regularizer": None,
            "W_regularizer": None,
            "W_constraint": None,
            "dropout": 0.0,
        },
    },
    {
        "class_name": "Convolution1D",
        "config": {
            "name": "convolution1d_1",
            "trainable": True,
            "nb_filter": 3,
            "filter_length": 2,
            "init": "he_normal",
            "activation": "linear",
            "border_mode": "valid",
            "subsample_length": 1,
            "W_regularizer": None,
            "bias": True,
            "input_dim": 4,
            "input_length": 6,
        },
    },
    {
        "class_name": "LSTM",
        "config": {
            "name": "lstm_1",
            "trainable": True,
            "return_sequences": True,
            "go_backwards": False,
            "stateful": False,
            "unroll": False,
            "consume_less": "cpu",
            "input_dim": 3,
            "input_length": None,
            "output_dim": 4,
            "init": "glorot_uniform",
            "inner_init": "orthogonal",
            "forget_bias_init": "one",
            "activation": "tanh",
            "inner_activation": "sigmoid",
            "W_regularizer": None,
            "U_regularizer": None,
            "b_regularizer": None,
            "dropout_W": 0.1,
            "dropout_U": 0.2,
        },
    },
    {
        "class_name": "GRU",
        "config": {
            "name": "gru_1",
            "trainable": True,
            "return_sequences": False,
            "go_backwards": False,
            "stateful": False,
            "unroll": False,
            "consume_less": "gpu",
            "input_dim": 4,
            "input_length": None,
            "output_dim": 2,
            "init": "glorot_uniform",
            "inner_init": "orthogonal",
            "activation": "tanh",
            "inner_activation": "sigmoid",
            "dropout_W": 0.0,
            "dropout_U": 0.0,
        },
    },
]


def silently(function, *args, **kwargs):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return function(*args, **kwargs)


def test_a_sequential_of_keras_1():
    model = silently(model_from_json, json.dumps(KERAS_1))
    convolution, pooling, normalization, dropout, _, dense = model.layers
    assert model.input_shape == (None, 8, 8, 3)
    assert (convolution.filters, convolution.kernel_size) == (4, (3, 2))
    assert (convolution.strides, convolution.padding) == ((2, 1), "same")
    assert convolution.kernel_regularizer.get_config()["l2"] == pytest.approx(0.01)
    assert convolution.kernel_constraint.get_config()["max_value"] == 2
    assert (pooling.pool_size, normalization.momentum) == ((2, 2), 0.99)
    assert (dropout.rate, dense.units, dense.use_bias) == (0.25, 5, False)
    assert type(dense.kernel_constraint).__name__ == "NonNeg"
    assert [layer.name for layer in model.layers][::5] == ["convolution2d_1", "dense_1"]
    modern = keras.models.model_from_json(model.to_json())
    modern.set_weights(model.get_weights())
    x = RANDOM.normal(size=(3, 8, 8, 3)).astype("float32")
    np.testing.assert_allclose(modern.predict(x, verbose=0), model.predict(x, verbose=0), **CLOSE)


def test_a_text_model_of_keras_1():
    model = silently(model_from_json, json.dumps(KERAS_1_TEXT))
    embedding, convolution, lstm, gru = model.layers
    assert (embedding.input_dim, embedding.output_dim) == (20, 4)
    assert (convolution.filters, convolution.kernel_size) == (3, (2,))
    assert (lstm.units, lstm.dropout, lstm.recurrent_dropout) == (4, 0.1, 0.2)
    assert lstm.unit_forget_bias and not gru.reset_after
    assert model.predict(np.zeros((2, 6)), verbose=0).shape == (2, 2)


def gates_of_keras_1(weights, order):
    """One kernel, recurrent kernel and bias a gate, as Keras 1 kept them."""
    parts = [np.split(w, len(order), axis=-1) for w in weights]
    return [part[gate] for gate in order for part in parts]


def test_weights_of_keras_1(tmp_path):
    model = silently(model_from_json, json.dumps(KERAS_1_TEXT))
    model.set_weights([RANDOM.normal(size=w.shape) for w in model.weights])
    embedding, convolution, lstm, gru = (layer.get_weights() for layer in model.layers)
    stored = {
        "embedding_1": embedding,
        "convolution1d_1": [convolution[0][:, None], convolution[1]],
        # i, c, f, o there; i, f, c, o today
        "lstm_1": gates_of_keras_1(lstm, (0, 2, 1, 3)),
        "gru_1": gates_of_keras_1(gru, (0, 1, 2)),
    }
    for with_version in (True, False):
        write_weights(
            tmp_path / "w.h5", stored, {"keras_version": b"1.2.2"} if with_version else {}
        )
        fresh = model_from_json(json.dumps(KERAS_1_TEXT))
        fresh.load_weights(tmp_path / "w.h5")
        same(fresh.get_weights(), model.get_weights())


def write_weights(path, stored, attributes, parent=None):
    with h5py.File(path, "w") as file:
        group = file.create_group(parent) if parent else file
        group.attrs.update(attributes)
        group.attrs["layer_names"] = [name.encode() for name in stored]
        for name, arrays in stored.items():
            layer = group.create_group(name)
            names = [f"{name}_W{number}" for number in range(len(arrays))]
            layer.attrs["weight_names"] = [one.encode() for one in names]
            for one, array in zip(names, arrays, strict=True):
                layer[one] = array


def same(one, other):
    assert len(one) == len(other)
    for a, b in zip(one, other, strict=True):
        np.testing.assert_array_equal(a, b)


def test_theano_s_kernels_are_refused(tmp_path):
    old = json.loads(json.dumps(KERAS_1))
    for layer in old["config"][:2]:
        layer["config"]["dim_ordering"] = "th"
    model = model_from_json(json.dumps(old))
    assert model.layers[0].data_format == "channels_first"
    stored = {one.name: one.get_weights() for one in model.layers}
    write_weights(tmp_path / "w.h5", stored, {"keras_version": b"1.2.2"})
    with pytest.raises(ModelFileError, match=r"'convolution2d_1'.*dim_ordering='th'"):
        model.load_weights(tmp_path / "w.h5")


def layer_2(name, **config):
    """A layer of a functional model as Keras 2 wrote it."""
    nodes = config.pop("nodes")
    kind = config.pop("kind")
    config = {"name": name, "trainable": True, "dtype": "float32", **config}
    return {"class_name": kind, "config": config, "name": name, "inbound_nodes": nodes}


VARIANCE = {
    "class_name": "VarianceScaling",
    "config": {"scale": 2.0, "mode": "fan_in", "distribution": "normal", "seed": None},
}
KERAS_2 = {
    "class_name": "Model",
    "keras_version": "2.2.4",
    "backend": "tensorflow",
    "config": {
        "name": "model_1",
        "layers": [
            layer_2("left", kind="InputLayer", batch_input_shape=[None, 4], sparse=False, nodes=[]),
            layer_2(
                "right", kind="InputLayer", batch_input_shape=[None, 4], sparse=False, nodes=[]
            ),
            layer_2(
                "shared",
                kind="Dense",
                units=4,
                activation="tanh",
                use_bias=True,
                kernel_initializer=VARIANCE,
                bias_initializer={"class_name": "Zeros", "config": {}},
                kernel_regularizer={"class_name": "L1L2", "config": {"l1": 0.0, "l2": 0.01}},
                bias_regularizer=None,
                activity_regularizer=None,
                kernel_constraint={"class_name": "MaxNorm", "config": {"max_value": 2, "axis": 0}},
                bias_constraint=None,
                nodes=[[["left", 0, 0, {}]], [["right", 0, 0, {}]]],
            ),
            {
                "class_name": "Sequential",
                "config": {
                    "name": "stack",
                    "layers": [
                        {
                            "class_name": "Dense",
                            "config": {
                                "name": "inner",
                                "trainable": True,
                                "batch_input_shape": [None, 4],
                                "dtype": "float32",
                                "units": 4,
                                "activation": "relu",
                                "use_bias": True,
                            },
                        }
                    ],
                },
                "name": "stack",
                "inbound_nodes": [[["shared", 0, 0, {}]], [["shared", 1, 0, {}]]],
            },
            layer_2(
                "out", kind="Dense", units=2, activation="linear", nodes=[[["stack", 2, 0, {}]]]
            ),
        ],
        "input_layers": [["left", 0, 0], ["right", 0, 0]],
        "output_layers": [["out", 0, 0], ["stack", 1, 0]],
    },
}


def test_a_functional_model_of_keras_2():
    model = silently(model_from_json, json.dumps(KERAS_2))
    model.set_weights([RANDOM.normal(size=w.shape) for w in model.weights])
    shared, stack, out = (model.get_layer(name) for name in ("shared", "stack", "out"))
    assert shared.kernel_regularizer.get_config()["l2"] == pytest.approx(0.01)
    left, right = (RANDOM.normal(size=(3, 4)).astype("float32") for _ in range(2))
    found = model.predict([left, right], verbose=0)
    wanted = out(stack(shared(right))), stack(shared(left))
    for one, other in zip(found, wanted, strict=True):
        np.testing.assert_allclose(one, other.detach().numpy(), **CLOSE)


def test_a_sequential_of_keras_2():
    old = {
        "class_name": "Sequential",
        "keras_version": "2.3.1",
        "config": {
            "name": "sequential_3",
            "layers": KERAS_2["config"]["layers"][3]["config"]["layers"],
        },
    }
    model = silently(model_from_json, json.dumps(old))
    assert (model.name, model.input_shape) == ("sequential_3", (None, 4))
    assert model.get_config() == model_from_json(model.to_json()).get_config()


def gru_2(**config):
    layer = {"name": "gru", "units": 2, "batch_input_shape": [None, 3, 4], **config}
    return {
        "class_name": "Sequential",
        "keras_version": "2.2.4",
        "config": {"name": "s", "layers": [{"class_name": "GRU", "config": layer}]},
    }


def test_gru_s_of_keras_2_reset_before():
    for config, after in (({}, False), ({"reset_after": True}, True)):
        model = model_from_json(json.dumps(gru_2(recurrent_activation="sigmoid", **config)))
        assert model.layers[0].reset_after is after


def test_the_other_hard_sigmoid_is_told_of():
    text = json.dumps(gru_2(recurrent_activation="hard_sigmoid"))
    with pytest.warns(UserWarning, match=r"clip\(0.2 x.*custom_objects=\{'hard_sigmoid'"):
        model_from_json(text)
    former = {"hard_sigmoid": lambda x: (0.2 * x + 0.5).clamp(0, 1)}
    model = silently(model_from_json, text, former)
    assert model.layers[0].recurrent_activation is former["hard_sigmoid"]


MERGES = {
    "sum": lambda a, b: a + b,
    "mul": lambda a, b: a * b,
    "ave": lambda a, b: (a + b) / 2,
    "max": np.maximum,
    "concat": lambda a, b: np.concatenate([a, b], -1),
}


def merged(mode, **config):
    ends = [
        layer_2(name, kind="InputLayer", batch_input_shape=[None, 4], nodes=[]) for name in "ab"
    ]
    merge = {"mode": mode, "concat_axis": -1, "dot_axes": -1, "mode_type": "raw", **config}
    nodes = [[["a", 0, 0], ["b", 0, 0]]]
    return {
        "class_name": "Model",
        "keras_version": "1.2.2",
        "config": {
            "name": "m",
            "layers": [*ends, layer_2("merge_1", kind="Merge", nodes=nodes, **merge)],
            "input_layers": [["a", 0, 0], ["b", 0, 0]],
            "output_layers": [["merge_1", 0, 0]],
        },
    }


@pytest.mark.parametrize("mode", MERGES)
def test_merges_of_keras_1(mode):
    model = silently(model_from_json, json.dumps(merged(mode)))
    a, b = (RANDOM.normal(size=(3, 4)).astype("float32") for _ in "ab")
    np.testing.assert_allclose(model.predict([a, b], verbose=0), MERGES[mode](a, b), **CLOSE)


def test_what_can_t_be_read_any_more():
    with pytest.raises(ValueError, match=r"Merge of Keras 1 with mode='join'.*sum, mul"):
        model_from_json(json.dumps(merged("join")))
    old = json.loads(json.dumps(KERAS_1))
    old["config"][2]["config"]["mode"] = 1
    with pytest.raises(ValueError, match=r"BatchNormalization\(mode=1\)"):
        model_from_json(json.dumps(old))
    old["config"][2] = {"class_name": "Highway", "config": {"name": "h"}}
    with pytest.raises(ValueError, match="Unknown layer: 'Highway'"):
        model_from_json(json.dumps(old))


def old_whole(path, optimizer, state, version="2.2.4", **training):
    """A compiled model in an .h5 file as Keras 2 wrote it; returns the weights."""
    weights = [RANDOM.normal(size=shape).astype("float32") for shape in ((4, 3), (3,))]
    config = {
        "class_name": "Sequential",
        "config": {
            "name": "sequential_1",
            "layers": [
                {
                    "class_name": "Dense",
                    "config": {"name": "dense_1", "units": 3, "batch_input_shape": [None, 4]},
                }
            ],
        },
    }
    described = {"optimizer_config": optimizer, "loss": "mse", "metrics": ["accuracy"], **training}
    write_weights(path, {"dense_1": weights}, {"keras_version": version}, "model_weights")
    with h5py.File(path, "a") as file:
        file.attrs["keras_version"] = version
        file.attrs["model_config"] = json.dumps(config).encode()
        file.attrs["training_config"] = json.dumps(described).encode()
        names = [f"training/variable_{number}:0" for number in range(len(state))]
        group = file.create_group("optimizer_weights")
        group.attrs["weight_names"] = [name.encode() for name in names]
        for name, array in zip(names, state, strict=True):
            group[name] = array
    return weights


def slashed(functional):
    """A model as Keras 2 wrote it whose names have a "/", as those of its DenseNet."""
    start = {"name": "in/put", "batch_input_shape": [None, 4]}
    dense = {"name": "conv1/bn", "units": 3}
    if not functional:
        layers = [{"class_name": "Dense", "config": {**start, **dense}}]
        return {"class_name": "Sequential", "config": {"name": "a/b", "layers": layers}}
    nodes = ("in/put", "InputLayer", start, []), ("conv1/bn", "Dense", dense, [[["in/put", 0, 0]]])
    return {
        "class_name": "Model",
        "config": {
            "name": "a/b",
            "layers": [
                {"name": name, "class_name": kind, "config": config, "inbound_nodes": calls}
                for name, kind, config, calls in nodes
            ],
            "input_layers": [["in/put", 0, 0]],
            "output_layers": [["conv1/bn", 0, 0]],
        },
    }


@pytest.mark.parametrize("functional", [False, True])
def test_names_with_a_slash_are_read(functional, tmp_path):
    model = silently(model_from_json, json.dumps(slashed(functional)))
    weights = [RANDOM.normal(size=shape).astype("float32") for shape in ((4, 3), (3,))]
    write_weights(tmp_path / "w.h5", {"conv1/bn": weights}, {"keras_version": "2.2.4"})
    model.load_weights(tmp_path / "w.h5")
    x = RANDOM.normal(size=(2, 4)).astype("float32")
    wanted = x @ weights[0] + weights[1]
    cloned = clone_model(model)
    made_again = type(model).from_config(model.get_config())
    replaced = clone_model(
        model, clone_function=lambda one: type(one).from_config(one.get_config())
    )
    for name in ("m.keras", "m.h5"):
        model.save(tmp_path / name)
    read = [load_model(tmp_path / name) for name in ("m.keras", "m.h5")]
    for one in (cloned, made_again, replaced):
        one.set_weights(weights)
    for one in (model, cloned, made_again, replaced, *read, copy.deepcopy(model)):
        assert (one.name, one.layers[-1].name) == ("a/b", "conv1/bn")
        np.testing.assert_allclose(one.predict(x, verbose=0), wanted, **CLOSE)


ADAM = {"lr": 0.25, "beta_1": 0.9, "beta_2": 0.99, "decay": 0.0, "epsilon": 1e-07, "amsgrad": False}


def test_whole_models_of_keras_2(tmp_path):
    slots = [RANDOM.uniform(size=shape).astype("float32") for shape in ((4, 3), (3,)) * 2]
    adam = {"class_name": "Adam", "config": ADAM}
    weights = old_whole(tmp_path / "m.h5", adam, [np.int64(7), *slots], loss_weights=None)
    model = silently(load_model, tmp_path / "m.h5")
    same(model.get_weights(), weights)
    optimizer = model.optimizer
    assert (optimizer.learning_rate, optimizer.beta_2, optimizer.iterations) == (0.25, 0.99, 7)
    # Keras 2 had all moments of one kind together; ours are flat vectors.
    for name, parts in (("momentum", slots[:2]), ("velocity", slots[2:])):
        same([np.concatenate([one.ravel() for one in parts])], [optimizer.slots[name].numpy()])
    assert model.metrics_names == ["loss", "accuracy"]
    model.train_on_batch(np.ones((2, 4), "float32"), np.ones((2, 3), "float32"))


def test_losses_and_metrics_of_tf_keras(tmp_path):
    sgd = {"class_name": "SGD", "config": {"name": "SGD", "learning_rate": 0.5, "momentum": 0.0}}
    loss = {
        "class_name": "BinaryCrossentropy",
        "config": {"reduction": "auto", "name": "bce", "from_logits": True, "label_smoothing": 0},
    }
    metric = {
        "class_name": "MeanMetricWrapper",
        "config": {"name": "mse", "dtype": "float32", "fn": "mean_squared_error"},
    }
    old_whole(tmp_path / "m.h5", sgd, [np.int64(3)], "2.6.0", loss=loss, metrics=[[metric]])
    model = silently(load_model, tmp_path / "m.h5")
    assert model.loss.get_config()["from_logits"] is True
    assert model.optimizer.iterations == 3
    assert model.metrics_names == ["loss", "mse"]
    assert len(model.evaluate(np.ones((2, 4)), np.ones((2, 3)), verbose=0)) == 2


def test_states_that_do_not_fit_are_told_of(tmp_path):
    state = [np.int64(7), np.ones(5, "float32")]
    old_whole(tmp_path / "m.h5", {"class_name": "Adam", "config": ADAM}, state)
    with pytest.warns(UserWarning, match=r"optimizer's state doesn't fit Adam.*starts anew"):
        model = load_model(tmp_path / "m.h5")
    assert model.optimizer.iterations == 0


def to_cudnn(weights, gates):
    """The inverse of what reading does: kernels as cuDNN has them."""
    kernel, recurrent, bias = weights
    parts = [part.T.reshape(part.shape) for part in np.split(kernel, gates, 1)]
    turned = [part.T for part in np.split(recurrent, gates, 1)]
    both = np.concatenate([bias, np.zeros_like(bias)]) if gates == 4 else bias.ravel()
    return [np.hstack(parts), np.hstack(turned), both]


@pytest.mark.parametrize(("cls", "gates"), [(LSTM, 4), (GRU, 3)])
def test_weights_of_cudnn_s_layers(cls, gates, tmp_path):
    model = Sequential([Input((5, 3)), cls(2, name="rnn")])
    model.set_weights([RANDOM.normal(size=w.shape) for w in model.weights])
    stored = {"rnn": to_cudnn(model.get_weights(), gates)}
    write_weights(tmp_path / "w.h5", stored, {"keras_version": b"2.2.4"})
    fresh = Sequential([Input((5, 3)), cls(2, name="rnn")])
    fresh.load_weights(tmp_path / "w.h5")
    same(fresh.get_weights(), model.get_weights())


def test_weights_by_name(tmp_path):
    source = Sequential([Dense(4, input_dim=3, name="one"), Dense(2, name="two")])
    source.save_weights(tmp_path / "w.h5")
    other = Sequential(
        [Dense(4, input_dim=3, name="one"), Dense(4, name="new"), Dense(2, name="two")]
    )
    kept = other.layers[1].get_weights()
    other.load_weights(tmp_path / "w.h5", by_name=True)
    same(other.layers[0].get_weights(), source.layers[0].get_weights())
    same(other.layers[1].get_weights(), kept)
    same(other.layers[2].get_weights(), source.layers[1].get_weights())
    theirs = keras.Sequential(
        [keras.Input((3,)), keras.layers.Dense(4, name="one"), keras.layers.Dense(2, name="two")]
    )
    theirs.load_weights(tmp_path / "w.h5", by_name=True)
    same(theirs.get_weights(), source.get_weights())
    with pytest.raises(ModelFileError, match=r"2 layers with weights \(one, two\), .* has 3"):
        other.load_weights(tmp_path / "w.h5")


@pytest.mark.parametrize("ending", ["weights.h5", "h5", "keras"])
def test_mismatches_can_be_skipped(ending, tmp_path):
    source = Sequential([Dense(4, input_dim=3, name="one"), Dense(2, name="two")])
    path = tmp_path / f"w.{ending}"
    (source.save if ending == "keras" else source.save_weights)(path)
    other = Sequential([Dense(4, input_dim=3, name="one"), Dense(5, name="two")])
    before = other.get_weights()
    with pytest.raises(ModelFileError, match=r"Layer 'two' \(Dense\).*\(4, 5\).*\(4, 2\)"):
        other.load_weights(path)
    same(other.get_weights(), before)
    with pytest.warns(UserWarning, match=r"Layer 'two'.*keep their weights"):
        other.load_weights(path, skip_mismatch=True)
    same(other.get_weights(), [*source.get_weights()[:2], *before[2:]])


def test_arguments_that_a_form_does_not_take(tmp_path):
    model = Sequential([Dense(4, input_dim=3)])
    model.save_weights(tmp_path / "w.weights.h5")
    model.save_weights(tmp_path / "w.safetensors")
    model.save(tmp_path / "m.keras")
    for file in ("w.weights.h5", "w.safetensors", "m.keras"):
        with pytest.raises(ValueError, match=f"`by_name`.*{file}"):
            model.load_weights(tmp_path / file, by_name=True)
    with pytest.raises(ValueError, match=r"`skip_mismatch`.*w.safetensors"):
        model.load_weights(tmp_path / "w.safetensors", skip_mismatch=True)


def test_long_lists_of_names(tmp_path):
    names = [f"layer_{'x' * 200}_{number}" for number in range(400)]
    model = Sequential([Input((1,)), *(Dense(1, name=name) for name in names)])
    model.save_weights(tmp_path / "w.h5")
    with h5py.File(tmp_path / "w.h5") as file:
        assert "layer_names" not in file.attrs and "layer_names1" in file.attrs
    fresh = Sequential([Input((1,)), *(Dense(1, name=name) for name in names)])
    fresh.load_weights(tmp_path / "w.h5")
    same(fresh.get_weights(), model.get_weights())


def test_kernels_of_one_dimension(tmp_path):
    model = Sequential([Input((6, 4)), Conv1D(3, 2, name="c")])
    stored = {"c": [model.get_weights()[0][:, None], model.get_weights()[1]]}
    write_weights(tmp_path / "w.h5", stored, {})
    fresh = Sequential([Input((6, 4)), Conv1D(3, 2, name="c")])
    fresh.load_weights(tmp_path / "w.h5")
    same(fresh.get_weights(), model.get_weights())
    assert torch.equal(fresh(torch.ones(1, 6, 4)), model(torch.ones(1, 6, 4)))
