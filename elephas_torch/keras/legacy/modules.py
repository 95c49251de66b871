"""Where things lay in Keras 1 and 2: a table of modules, and what looks names up in it."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any, NamedTuple

from elephas_torch.errors import absent, nearest
from elephas_torch.keras.legacy.notice import warn

_ROOT = "elephas_torch.keras"


class Home(NamedTuple):
    """Where something is: `path` from `keras` on, and what a warning says to write (none where
    there is nothing to warn of, or the thing itself does)."""

    path: str
    shown: str


def _at(home: str, *names: str) -> dict[str, Home]:
    return {name: Home(f"{home}.{name}", f"{home}.{name}") for name in names}


def _as(path: str, shown: str | None = None) -> Home:
    return Home(path, path if shown is None else shown)


_LAYER = _at("layers", "Layer", "InputSpec")
_INPUT = _at("layers", "Input", "InputLayer")


def _old(*names: str) -> dict[str, Home]:
    """Layers of Keras 1, which warn or refuse themselves."""
    return {name: _as(f"legacy.layers.{name}", "") for name in names}


def _warning(*names: str) -> dict[str, Home]:
    """Layers under old names, which warn when they are called."""
    return {name: _as(f"layers.{name}", "") for name in names}


_MERGE = _old("Merge", "merge")

#: Old module -> name in it -> where it is today. In modules that are still there, names that
#: aren't.
MODULES: dict[str, dict[str, Home]] = {
    "objectives": _at(
        "losses",
        "binary_crossentropy", "categorical_crossentropy", "categorical_hinge",
        "cosine_proximity", "deserialize", "get", "hinge", "kld", "kullback_leibler_divergence",
        "logcosh", "mae", "mape", "mean_absolute_error", "mean_absolute_percentage_error",
        "mean_squared_error", "mean_squared_logarithmic_error", "mse", "msle", "poisson",
        "serialize", "sparse_categorical_crossentropy", "squared_hinge",
    ),
    "initializations": {
        "get": _as("initializers.get"),
        **{
            name: _as(f"legacy.functions.{name}", f"initializers.{today}")
            for name, today in {
                "uniform": "RandomUniform", "normal": "RandomNormal", "zero": "Zeros",
                "one": "Ones", "identity": "Identity", "orthogonal": "Orthogonal",
                "lecun_uniform": "LecunUniform", "glorot_normal": "GlorotNormal",
                "glorot_uniform": "GlorotUniform", "he_normal": "HeNormal",
                "he_uniform": "HeUniform",
            }.items()
        },
    },
    "regularizers": {
        "WeightRegularizer": _as("regularizers.L1L2"),
        "ActivityRegularizer": _as("regularizers.L1L2"),
        "activity_l1": _as("regularizers.L1"),
        "activity_l2": _as("regularizers.L2"),
        "activity_l1l2": _as("legacy.functions.l1l2", "regularizers.L1L2(l1=0.01, l2=0.01)"),
        "l1l2": _as("legacy.functions.l1l2", "regularizers.L1L2(l1=0.01, l2=0.01)"),
    },
    "constraints": {
        "maxnorm": _as("legacy.functions.maxnorm", "constraints.MaxNorm"),
        "nonneg": _as("constraints.NonNeg"),
        "unitnorm": _as("constraints.UnitNorm"),
        "minmaxnorm": _as("constraints.MinMaxNorm"),
    },
    "layers.wrappers": _at("layers", "Bidirectional", "TimeDistributed", "Wrapper"),
    "layers.merge": _at(
        "layers",
        "Add", "Average", "Concatenate", "Dot", "Maximum", "Minimum", "Multiply", "Subtract",
        "add", "average", "concatenate", "dot", "maximum", "minimum", "multiply", "subtract",
    ),
    "models": {**_old("Graph"), "model_from_yaml": _as("legacy.functions.model_from_yaml", "")},
    "layers.containers": {**_at("models", "Sequential"), **_old("Graph")},
    "layers.local": _old("LocallyConnected1D", "LocallyConnected2D"),
    "layers.core": {
        **_LAYER, **_MERGE,
        **_at(
            "layers",
            "Activation", "ActivityRegularization", "Dense", "Dropout", "Flatten", "Identity",
            "InputLayer", "Lambda",
            "Masking", "Permute", "RepeatVector", "Reshape", "SpatialDropout1D",
            "SpatialDropout2D", "SpatialDropout3D",
        ),
        **_old("Highway", "MaxoutDense", "TimeDistributedDense"),
    },
    "layers.convolutional": {
        **_at(
            "layers",
            "AveragePooling1D", "AveragePooling2D", "AveragePooling3D", "Conv1D",
            "Conv1DTranspose", "Conv2D", "Conv2DTranspose", "Conv3D", "Conv3DTranspose",
            "Cropping1D", "Cropping2D", "Cropping3D", "DepthwiseConv1D", "DepthwiseConv2D",
            "MaxPooling1D", "MaxPooling2D", "MaxPooling3D", "SeparableConv1D", "SeparableConv2D",
            "UpSampling1D", "UpSampling2D", "UpSampling3D", "ZeroPadding1D", "ZeroPadding2D",
            "ZeroPadding3D",
        ),
        **_warning(
            "Convolution1D", "Convolution1DTranspose", "Convolution2D", "Convolution2DTranspose",
            "Convolution3D", "Convolution3DTranspose", "Deconvolution2D", "Deconvolution3D",
            "SeparableConvolution1D", "SeparableConvolution2D",
        ),
        **_old(
            "AtrousConv1D", "AtrousConv2D", "AtrousConvolution1D", "AtrousConvolution2D",
            "Deconv2D", "Deconv3D",
        ),
    },
    "layers.pooling": _at(
        "layers",
        "AveragePooling1D", "AveragePooling2D", "AveragePooling3D", "AvgPool1D", "AvgPool2D",
        "AvgPool3D", "GlobalAveragePooling1D", "GlobalAveragePooling2D", "GlobalAveragePooling3D",
        "GlobalAvgPool1D", "GlobalAvgPool2D", "GlobalAvgPool3D", "GlobalMaxPool1D",
        "GlobalMaxPool2D", "GlobalMaxPool3D", "GlobalMaxPooling1D", "GlobalMaxPooling2D",
        "GlobalMaxPooling3D", "MaxPool1D", "MaxPool2D", "MaxPool3D", "MaxPooling1D",
        "MaxPooling2D", "MaxPooling3D",
    ),
    "layers.normalization": _at("layers", "BatchNormalization"),
    "layers.embeddings": _at("layers", "Embedding"),
    "layers.noise": _at("layers", "AlphaDropout", "GaussianDropout", "GaussianNoise"),
    "layers.recurrent": _at(
        "layers",
        "CuDNNGRU", "CuDNNLSTM", "GRU", "GRUCell", "LSTM", "LSTMCell", "RNN", "SimpleRNN",
        "SimpleRNNCell", "StackedRNNCells",
    ),
    "layers.convolutional_recurrent": _old("ConvLSTM2D"),
    "layers.advanced_activations": {
        **_at("layers", "ELU", "LeakyReLU", "PReLU", "ReLU", "Softmax", "ThresholdedReLU"),
        **_old("ParametricSoftplus", "SReLU"),
    },
    "layers.cudnn_recurrent": _at("layers", "CuDNNGRU", "CuDNNLSTM"),
    "optimizers.legacy": _at(
        "optimizers",
        "Adadelta", "Adagrad", "Adam", "Adamax", "Ftrl", "Nadam", "Optimizer", "RMSprop", "SGD",
    ),
    "utils.np_utils": {
        **_at("utils", "normalize", "to_categorical"),
        "categorical_probas_to_classes": _as(
            "utils.numerical.categorical_probas_to_classes", "ops.argmax"
        ),
        "probas_to_classes": _as("utils.numerical.probas_to_classes", "ops.argmax"),
    },
    "utils.generic_utils": _at(
        "utils",
        "CustomObjectScope", "Progbar", "custom_object_scope", "deserialize_keras_object",
        "get_custom_objects", "serialize_keras_object",
    ),
    "utils.data_utils": _at("utils", "PyDataset", "Sequence", "get_file"),
    "utils.vis_utils": _at("utils", "model_to_dot", "plot_model"),
    "utils.visualize_util": {
        **_at("utils", "model_to_dot"), "plot": _as("utils.plot_model"),
    },
    "engine": {**_LAYER, **_INPUT, **_MERGE, **_at("models", "Model")},
    "engine.topology": {**_LAYER, **_INPUT, **_MERGE, "Container": _as("models.Model")},
    "engine.base_layer": _LAYER,
    "engine.input_layer": _INPUT,
    "engine.training": _at("models", "Model"),
    "engine.network": {"Network": _as("models.Model")},
    "engine.sequential": _at("models", "Sequential"),
    "wrappers.scikit_learn": {
        "KerasClassifier": _as("wrappers.old.KerasClassifier", "wrappers.SKLearnClassifier"),
        "KerasRegressor": _as("wrappers.old.KerasRegressor", "wrappers.SKLearnRegressor"),
    },
}  # fmt: skip


def moved(module: str) -> tuple[list[str], Callable[[str], Any]]:
    """Returns `__all__` and `__getattr__` of a module with old names.

    Args:
        module: its full name; in `MODULES` without the package's.
    """
    old = module.removeprefix(f"{_ROOT}.")
    names = MODULES[old]

    def find(name: str) -> Any:
        if name not in names:
            hint = "" if name.startswith("__") else nearest(name, names)
            raise absent(f"module {module!r} has no attribute {name!r}.{hint}")
        path, shown = names[name]
        if shown:
            warn(f"keras.{old}.{name} is keras.{shown} now.")
        home, _, today = path.rpartition(".")
        return getattr(importlib.import_module(f"{_ROOT}.{home}"), today)

    return sorted(names), find
