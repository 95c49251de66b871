"""The layers of https://keras.io/api/layers/ as torch modules."""

from typing import Any

from elephas_torch.errors import absent, nearest
from elephas_torch.keras.layers.activation_layers import (
    ELU,
    LeakyReLU,
    PReLU,
    ReLU,
    Softmax,
    ThresholdedReLU,
)
from elephas_torch.keras.layers.adaptive_pooling import (
    AdaptiveAveragePooling1D,
    AdaptiveAveragePooling2D,
    AdaptiveAveragePooling3D,
    AdaptiveMaxPooling1D,
    AdaptiveMaxPooling2D,
    AdaptiveMaxPooling3D,
)
from elephas_torch.keras.layers.attention import AdditiveAttention, Attention
from elephas_torch.keras.layers.augmentation import (
    RandomBrightness,
    RandomContrast,
    RandomFlip,
    RandomRotation,
    RandomTranslation,
    RandomZoom,
)
from elephas_torch.keras.layers.base import Layer
from elephas_torch.keras.layers.basic import Activation, Dense, Identity, InputLayer
from elephas_torch.keras.layers.batch_normalization import BatchNormalization
from elephas_torch.keras.layers.bidirectional import Bidirectional
from elephas_torch.keras.layers.borders import (
    Cropping1D,
    Cropping2D,
    Cropping3D,
    ZeroPadding1D,
    ZeroPadding2D,
    ZeroPadding3D,
)
from elephas_torch.keras.layers.categories import CategoryEncoding, Discretization
from elephas_torch.keras.layers.convolution import (
    Conv1D,
    Conv2D,
    Conv3D,
    Convolution1D,
    Convolution2D,
    Convolution3D,
)
from elephas_torch.keras.layers.dropouts import (
    Dropout,
    SpatialDropout1D,
    SpatialDropout2D,
    SpatialDropout3D,
)
from elephas_torch.keras.layers.einsum_dense import EinsumDense
from elephas_torch.keras.layers.embedding import Embedding
from elephas_torch.keras.layers.global_pooling import (
    GlobalAveragePooling1D,
    GlobalAveragePooling2D,
    GlobalAveragePooling3D,
    GlobalAvgPool1D,
    GlobalAvgPool2D,
    GlobalAvgPool3D,
    GlobalMaxPool1D,
    GlobalMaxPool2D,
    GlobalMaxPool3D,
    GlobalMaxPooling1D,
    GlobalMaxPooling2D,
    GlobalMaxPooling3D,
)
from elephas_torch.keras.layers.grouped_query_attention import (
    GroupedQueryAttention,
    GroupQueryAttention,
)
from elephas_torch.keras.layers.gru import GRU, CuDNNGRU, GRUCell
from elephas_torch.keras.layers.image_preprocessing import CenterCrop, Resizing
from elephas_torch.keras.layers.input_spec import InputSpec
from elephas_torch.keras.layers.inputs import Input
from elephas_torch.keras.layers.lambda_layer import Lambda
from elephas_torch.keras.layers.layer_normalization import (
    GroupNormalization,
    LayerNormalization,
    RMSNormalization,
    UnitNormalization,
)
from elephas_torch.keras.layers.local_pooling import (
    AveragePooling1D,
    AveragePooling2D,
    AveragePooling3D,
    AvgPool1D,
    AvgPool2D,
    AvgPool3D,
    MaxPool1D,
    MaxPool2D,
    MaxPool3D,
    MaxPooling1D,
    MaxPooling2D,
    MaxPooling3D,
)
from elephas_torch.keras.layers.lstm import LSTM, CuDNNLSTM, LSTMCell
from elephas_torch.keras.layers.masking import Masking
from elephas_torch.keras.layers.merging import (
    Add,
    Average,
    Concatenate,
    Dot,
    Maximum,
    Minimum,
    Multiply,
    Subtract,
    add,
    average,
    concatenate,
    dot,
    maximum,
    minimum,
    multiply,
    subtract,
)
from elephas_torch.keras.layers.missing import MISSING
from elephas_torch.keras.layers.multi_head_attention import MultiHeadAttention
from elephas_torch.keras.layers.noises import AlphaDropout, GaussianDropout, GaussianNoise
from elephas_torch.keras.layers.operation import Operation
from elephas_torch.keras.layers.preprocessing import Normalization, Rescaling
from elephas_torch.keras.layers.regularization import ActivityRegularization
from elephas_torch.keras.layers.reshaping import Flatten, Permute, RepeatVector, Reshape
from elephas_torch.keras.layers.rnn import RNN
from elephas_torch.keras.layers.separable import (
    DepthwiseConv1D,
    DepthwiseConv2D,
    SeparableConv1D,
    SeparableConv2D,
    SeparableConvolution1D,
    SeparableConvolution2D,
)
from elephas_torch.keras.layers.serializing import deserialize, serialize
from elephas_torch.keras.layers.simple_rnn import SimpleRNN, SimpleRNNCell
from elephas_torch.keras.layers.spectral_normalization import SpectralNormalization
from elephas_torch.keras.layers.stacked_cells import StackedRNNCells
from elephas_torch.keras.layers.time_distributed import TimeDistributed
from elephas_torch.keras.layers.torch_module import TorchModuleWrapper
from elephas_torch.keras.layers.transposed import (
    Conv1DTranspose,
    Conv2DTranspose,
    Conv3DTranspose,
    Convolution1DTranspose,
    Convolution2DTranspose,
    Convolution3DTranspose,
    Deconvolution2D,
    Deconvolution3D,
)
from elephas_torch.keras.layers.upsampling import UpSampling1D, UpSampling2D, UpSampling3D
from elephas_torch.keras.layers.wrapper import Wrapper

__all__ = [
    "ELU",
    "GRU",
    "LSTM",
    "RNN",
    "Activation",
    "ActivityRegularization",
    "AdaptiveAveragePooling1D",
    "AdaptiveAveragePooling2D",
    "AdaptiveAveragePooling3D",
    "AdaptiveMaxPooling1D",
    "AdaptiveMaxPooling2D",
    "AdaptiveMaxPooling3D",
    "Add",
    "AdditiveAttention",
    "AlphaDropout",
    "Attention",
    "Average",
    "AveragePooling1D",
    "AveragePooling2D",
    "AveragePooling3D",
    "AvgPool1D",
    "AvgPool2D",
    "AvgPool3D",
    "BatchNormalization",
    "Bidirectional",
    "CategoryEncoding",
    "CenterCrop",
    "Concatenate",
    "Conv1D",
    "Conv1DTranspose",
    "Conv2D",
    "Conv2DTranspose",
    "Conv3D",
    "Conv3DTranspose",
    "Convolution1D",
    "Convolution1DTranspose",
    "Convolution2D",
    "Convolution2DTranspose",
    "Convolution3D",
    "Convolution3DTranspose",
    "Cropping1D",
    "Cropping2D",
    "Cropping3D",
    "CuDNNGRU",
    "CuDNNLSTM",
    "Deconvolution2D",
    "Deconvolution3D",
    "Dense",
    "DepthwiseConv1D",
    "DepthwiseConv2D",
    "Discretization",
    "Dot",
    "Dropout",
    "EinsumDense",
    "Embedding",
    "Flatten",
    "GRUCell",
    "GaussianDropout",
    "GaussianNoise",
    "GlobalAveragePooling1D",
    "GlobalAveragePooling2D",
    "GlobalAveragePooling3D",
    "GlobalAvgPool1D",
    "GlobalAvgPool2D",
    "GlobalAvgPool3D",
    "GlobalMaxPool1D",
    "GlobalMaxPool2D",
    "GlobalMaxPool3D",
    "GlobalMaxPooling1D",
    "GlobalMaxPooling2D",
    "GlobalMaxPooling3D",
    "GroupNormalization",
    "GroupQueryAttention",
    "GroupedQueryAttention",
    "Identity",
    "Input",
    "InputLayer",
    "InputSpec",
    "LSTMCell",
    "Lambda",
    "Layer",
    "LayerNormalization",
    "LeakyReLU",
    "Masking",
    "MaxPool1D",
    "MaxPool2D",
    "MaxPool3D",
    "MaxPooling1D",
    "MaxPooling2D",
    "MaxPooling3D",
    "Maximum",
    "Minimum",
    "MultiHeadAttention",
    "Multiply",
    "Normalization",
    "Operation",
    "PReLU",
    "Permute",
    "RMSNormalization",
    "RandomBrightness",
    "RandomContrast",
    "RandomFlip",
    "RandomRotation",
    "RandomTranslation",
    "RandomZoom",
    "ReLU",
    "RepeatVector",
    "Rescaling",
    "Reshape",
    "Resizing",
    "SeparableConv1D",
    "SeparableConv2D",
    "SeparableConvolution1D",
    "SeparableConvolution2D",
    "SimpleRNN",
    "SimpleRNNCell",
    "Softmax",
    "SpatialDropout1D",
    "SpatialDropout2D",
    "SpatialDropout3D",
    "SpectralNormalization",
    "StackedRNNCells",
    "Subtract",
    "ThresholdedReLU",
    "TimeDistributed",
    "TorchModuleWrapper",
    "UnitNormalization",
    "UpSampling1D",
    "UpSampling2D",
    "UpSampling3D",
    "Wrapper",
    "ZeroPadding1D",
    "ZeroPadding2D",
    "ZeroPadding3D",
    "add",
    "average",
    "concatenate",
    "deserialize",
    "dot",
    "maximum",
    "minimum",
    "multiply",
    "serialize",
    "subtract",
]


def __getattr__(name: str) -> Any:
    if name[:1] != "_":
        from elephas_torch.keras.legacy import layers as old

        if name in old.__all__:
            return getattr(old, name)
    hint = f" In its place, {MISSING[name]}." if name in MISSING else nearest(name, __all__)
    raise absent(f"elephas_torch.keras.layers has no layer {name!r}.{hint}")
