"""`from keras import backend as K`, as scripts of Keras 1 and 2 have it.

Functions on tensors with Keras 2's names and arguments; `keras.ops` has more. There is no graph
and no session here: what needs one isn't there, and its error says what to use instead.
See https://keras.io/api/utils/config_utils/
"""

from __future__ import annotations

from typing import Any

from elephas_torch.errors import absent, nearest
from elephas_torch.keras.backend.elements import (
    abs,
    binary_crossentropy,
    categorical_crossentropy,
    clip,
    dropout,
    elu,
    hard_sigmoid,
    in_top_k,
    l2_normalize,
    pow,
    relu,
    round,
    sparse_categorical_crossentropy,
    sqrt,
    switch,
)
from elephas_torch.keras.backend.loops import (
    foldl,
    foldr,
    map_fn,
)
from elephas_torch.keras.backend.reductions import (
    all,
    any,
    argmax,
    argmin,
    cumprod,
    cumsum,
    max,
    mean,
    min,
    prod,
    std,
    sum,
    var,
)
from elephas_torch.keras.backend.settings import (
    clear_session,
    get_uid,
    image_dim_ordering,
    name_scope,
    reset_uids,
    set_image_dim_ordering,
)
from elephas_torch.keras.backend.shaping import (
    batch_flatten,
    concatenate,
    expand_dims,
    flatten,
    gather,
    permute_dimensions,
    repeat,
    repeat_elements,
    resize_images,
    reverse,
    spatial_2d_padding,
    spatial_3d_padding,
    temporal_padding,
)
from elephas_torch.keras.backend.variables import (
    arange,
    batch_get_value,
    batch_set_value,
    cast_to_floatx,
    constant,
    count_params,
    eval,
    eye,
    get_value,
    int_shape,
    is_keras_tensor,
    is_sparse,
    moving_average_update,
    ones,
    random_bernoulli,
    random_binomial,
    random_normal,
    random_normal_variable,
    random_uniform,
    random_uniform_variable,
    set_value,
    truncated_normal,
    update,
    update_add,
    update_sub,
    variable,
    zeros,
)
from elephas_torch.keras.backend.windows import (
    batch_dot,
    batch_normalization,
    bias_add,
    conv1d,
    conv2d,
    conv3d,
    depthwise_conv2d,
    pool2d,
    pool3d,
    separable_conv2d,
)
from elephas_torch.keras.config import (
    backend,
    epsilon,
    floatx,
    image_data_format,
    set_epsilon,
    set_floatx,
    set_image_data_format,
)
from elephas_torch.keras.dtypes import is_float as is_float_dtype
from elephas_torch.keras.dtypes import is_integer as is_int_dtype
from elephas_torch.keras.dtypes import name as standardize_dtype
from elephas_torch.keras.dtypes import result_type
from elephas_torch.keras.ops import (
    cast,
    cos,
    dot,
    dtype,
    equal,
    exp,
    greater,
    greater_equal,
    is_tensor,
    less,
    less_equal,
    log,
    logsumexp,
    maximum,
    minimum,
    ndim,
    not_equal,
    one_hot,
    ones_like,
    reshape,
    shape,
    sigmoid,
    sign,
    sin,
    softmax,
    softplus,
    softsign,
    square,
    squeeze,
    stack,
    stop_gradient,
    tanh,
    tile,
    transpose,
    zeros_like,
)

__all__ = [
    "abs", "all", "any", "arange", "argmax", "argmin", "backend", "batch_dot", "batch_flatten",
    "batch_get_value", "batch_normalization", "batch_set_value", "bias_add",
    "binary_crossentropy", "cast", "cast_to_floatx", "categorical_crossentropy",
    "clear_session", "clip", "concatenate", "constant", "conv1d", "conv2d", "conv3d", "cos",
    "count_params", "cumprod", "cumsum", "depthwise_conv2d", "dot", "dropout", "dtype", "elu",
    "epsilon", "equal", "eval", "exp", "expand_dims", "eye", "flatten", "floatx", "foldl",
    "foldr", "gather", "get_uid", "get_value", "greater", "greater_equal", "hard_sigmoid",
    "image_data_format", "image_dim_ordering", "in_top_k", "int_shape", "is_float_dtype",
    "is_int_dtype", "is_keras_tensor", "is_sparse", "is_tensor", "l2_normalize", "less",
    "less_equal", "log", "logsumexp", "map_fn", "max", "maximum", "mean", "min", "minimum",
    "moving_average_update", "name_scope", "ndim", "not_equal", "one_hot", "ones", "ones_like",
    "permute_dimensions", "pool2d", "pool3d", "pow", "prod", "random_bernoulli",
    "random_binomial", "random_normal", "random_normal_variable", "random_uniform",
    "random_uniform_variable", "relu", "repeat", "repeat_elements", "reset_uids", "reshape",
    "resize_images", "result_type", "reverse", "round", "separable_conv2d", "set_epsilon",
    "set_floatx", "set_image_data_format", "set_image_dim_ordering", "set_value", "shape",
    "sigmoid", "sign", "sin", "softmax", "softplus", "softsign",
    "sparse_categorical_crossentropy", "spatial_2d_padding", "spatial_3d_padding", "sqrt",
    "square", "squeeze", "stack", "standardize_dtype", "std", "stop_gradient", "sum", "switch",
    "tanh", "temporal_padding", "tile", "transpose", "truncated_normal", "update", "update_add",
    "update_sub", "var", "variable", "zeros", "zeros_like",
]  # fmt: skip

_PHASE = "Call the model or layer with training=True or training=False."
_SESSION = "There are no sessions and no graph here: leave it out."
_LEFT_OUT = {
    "function": "Make Model(inputs, outputs) of the layers' symbolic tensors and call it",
    "gradients": "Use torch.autograd.grad(loss, variables) on the tensors of a call",
    "placeholder": "Use keras.Input(shape)",
    "rnn": "Use keras.ops.scan, or a layer of keras.layers",
    "learning_phase": _PHASE,
    "set_learning_phase": _PHASE,
    "learning_phase_scope": _PHASE,
    "in_train_phase": _PHASE,
    "in_test_phase": _PHASE,
    "get_session": _SESSION,
    "set_session": _SESSION,
    "tensorflow_backend": _SESSION,
    "manual_variable_initialization": _SESSION,
    "ctc_batch_cost": "Use keras.ops.ctc_loss",
    "ctc_decode": "Take the largest class of each step",
}


def __getattr__(name: str) -> Any:
    if name in _LEFT_OUT:
        why = _LEFT_OUT[name].removesuffix(".")
        raise absent(f"keras.backend.{name} isn't there. {why}.")
    raise absent(f"keras.backend has no function {name!r}.{nearest(name, __all__)}")
