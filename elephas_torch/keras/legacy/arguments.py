"""Arguments of layers in Keras 1 and 2, by the class that takes them: tables.

A class takes its bases' old arguments as well as its own.
"""

from __future__ import annotations

from elephas_torch.keras.legacy import values
from elephas_torch.keras.legacy.rules import Joined, Rule, gone, to

Table = dict[str, Rule]

_RUNS_BY_ITSELF = "how steps are computed is chosen by the layer"
_FORMAT: Table = {"dim_ordering": to("data_format", convert=values.data_format)}
_WINDOW: Table = {**_FORMAT, "border_mode": to("padding", convert=values.padding)}
_BIAS: Table = {
    "b_regularizer": to("bias_regularizer"),
    "b_constraint": to("bias_constraint"),
    "bias": to("use_bias"),
}
_KERNEL: Table = {
    "init": to("kernel_initializer", convert=values.initializer),
    "W_regularizer": to("kernel_regularizer"),
    "W_constraint": to("kernel_constraint"),
    **_BIAS,
}
_WINDOWS: Table = {
    **_BIAS,
    **_WINDOW,
    "nb_filter": to("filters"),
    "filter_length": to("kernel_size"),
    "subsample": to("strides"),
    "subsample_length": to("strides"),
    "atrous_rate": to("dilation_rate"),
    "stack_size": to(
        "data_format",
        convert=lambda _: "channels_first",
        note="Keras 0's images had channels first",
    ),
}
_CONVOLUTION: Table = {**_KERNEL, **_WINDOWS}
_TRANSPOSED: Table = {
    **_CONVOLUTION,
    "output_shape": gone("the size of the outputs comes from the inputs and `output_padding`"),
}
_SEPARABLE: Table = {
    **_WINDOWS,
    "init": to("depthwise_initializer", "pointwise_initializer", convert=values.initializer),
    "depthwise_init": to("depthwise_initializer", convert=values.initializer),
    "pointwise_init": to("pointwise_initializer", convert=values.initializer),
}
_DEPTHWISE: Table = {
    **{old: rule for old, rule in _WINDOWS.items() if old != "nb_filter"},
    "init": to("depthwise_initializer", convert=values.initializer),
}
_POOLING: Table = {
    **_WINDOW,
    "pool_length": to("pool_size"),
    "poolsize": to("pool_size"),
    "stride": to("strides"),
    "ignore_border": gone("`padding` says it"),
}
_SIMPLE: Table = {
    **_KERNEL,
    "output_dim": to("units"),
    "inner_init": to("recurrent_initializer", convert=values.initializer),
    "U_regularizer": to("recurrent_regularizer"),
    "U_constraint": to("recurrent_constraint"),
    "dropout_W": to("dropout"),
    "dropout_U": to("recurrent_dropout"),
    "consume_less": to(
        "implementation", convert=values.implementation, note=f"no effect: {_RUNS_BY_ITSELF}"
    ),
    "truncate_gradient": gone("gradients go back to the first step"),
}
_GATED: Table = {**_SIMPLE, "inner_activation": to("recurrent_activation")}
_RATE: Table = {"p": to("rate")}
_SLOPE: Table = {"alpha": to("negative_slope")}
_SCALED: Table = {
    "beta_init": to("beta_initializer", convert=values.initializer),
    "gamma_init": to("gamma_initializer", convert=values.initializer),
}

#: Class -> old name -> what became of it.
SINGLE: dict[str, Table] = {
    "Layer": {
        "weights": Rule(
            ("_first_weights",), note="once the layer is built", written="layer.set_weights(…)"
        ),
        "input_dtype": gone("an `Input` has the dtype of the inputs"),
    },
    "Model": {"input": to("inputs"), "output": to("outputs")},
    "Dense": {**_KERNEL, "output_dim": to("units")},
    **dict.fromkeys(("Conv1D", "Conv2D", "Conv3D"), _CONVOLUTION),
    **dict.fromkeys(("Conv1DTranspose", "Conv2DTranspose", "Conv3DTranspose"), _TRANSPOSED),
    **dict.fromkeys(("SeparableConv1D", "SeparableConv2D"), _SEPARABLE),
    **dict.fromkeys(("DepthwiseConv1D", "DepthwiseConv2D"), _DEPTHWISE),
    **{f"{kind}Pooling{n}D": _POOLING for kind in ("Max", "Average") for n in (1, 2, 3)},
    **{f"Global{kind}Pooling{n}D": _FORMAT for kind in ("Max", "Average") for n in (1, 2, 3)},
    "UpSampling1D": {"length": to("size")},
    "UpSampling2D": _FORMAT,
    "UpSampling3D": _FORMAT,
    "ZeroPadding1D": {
        "padding": Rule(("padding",), values.both_ends, "was a dict of amounts", values.is_mapping)
    },
    "ZeroPadding2D": {
        **_FORMAT,
        "padding": Rule(
            ("padding",), values.sides, "was a dict, or four amounts", values.is_four_sides
        ),
    },
    "ZeroPadding3D": _FORMAT,
    "Cropping2D": _FORMAT,
    "Cropping3D": _FORMAT,
    "Flatten": _FORMAT,
    "SimpleRNN": _SIMPLE,
    "GRU": _GATED,
    "LSTM": {
        **_GATED,
        "forget_bias_init": to("unit_forget_bias", convert=values.unit_forget_bias),
    },
    "Embedding": {
        "init": to("embeddings_initializer", convert=values.initializer),
        "W_regularizer": to("embeddings_regularizer"),
        "W_constraint": to("embeddings_constraint"),
        "dropout": gone("refused unless 0: use `SpatialDropout1D`", values.no_dropout),
    },
    "BatchNormalization": {
        **_SCALED,
        "mode": gone(
            "1 is refused: use `LayerNormalization`; 2 takes moving statistics in tests, too",
            values.mode_of_normalization,
        ),
        "fused": gone("torch's kernels are used"),
        "virtual_batch_size": gone("the batch is taken as a whole"),
    },
    "LayerNormalization": _SCALED,
    **dict.fromkeys(("Dropout", "GaussianDropout", "AlphaDropout", "SpatialDropout1D"), _RATE),
    "SpatialDropout2D": {**_RATE, **_FORMAT},
    "SpatialDropout3D": {**_RATE, **_FORMAT},
    "GaussianNoise": {"sigma": to("stddev")},
    "LeakyReLU": _SLOPE,
    "PReLU": {"init": to("alpha_initializer", convert=values.initializer)},
    "Reshape": {"dims": to("target_shape")},
}

_SHAPED = ("input_shape", "batch_input_shape", "batch_shape")
_SEQUENCE = Joined(("input_length", "input_dim"), "input_shape", values.steps_and_features, _SHAPED)
_SIDES = {
    2: Joined(("nb_row", "nb_col"), "kernel_size", values.window),
    3: Joined(("kernel_dim1", "kernel_dim2", "kernel_dim3"), "kernel_size", values.window),
}

#: Class -> old arguments that are one today.
JOINED: dict[str, tuple[Joined, ...]] = {
    **dict.fromkeys(("Conv1D", "SimpleRNN", "GRU", "LSTM"), (_SEQUENCE,)),
    "Dense": (_SEQUENCE._replace(needs="input_length"),),
    **dict.fromkeys(
        ("Conv2D", "Conv2DTranspose", "SeparableConv2D", "DepthwiseConv2D"), (_SIDES[2],)
    ),
    **dict.fromkeys(("Conv3D", "Conv3DTranspose"), (_SIDES[3],)),
}
