"""What Keras calls the classes of its operations, in the configs of functional models."""

from __future__ import annotations

from elephas_torch.keras import naming

#: Modules of Keras under keras.src.ops; what isn't listed is in that of NumPy's functions.
_MODULES = {
    "core": (
        "cast", "scatter", "scatter_update", "slice", "slice_update", "stop_gradient", "unstack",
    ),
    "image": (
        "crop_images", "extract_patches", "extract_patches_3d", "hsv_to_rgb", "pad_images",
        "resize", "rgb_to_grayscale", "rgb_to_hsv",
    ),
    "linalg": (
        "cholesky", "cholesky_inverse", "det", "eig", "eigh", "inv", "lstsq", "lu_factor",
        "matrix_rank", "norm", "pinv", "qr", "solve", "solve_triangular", "svd",
    ),
    "math": (
        "cdist", "erf", "erfc", "erfinv", "extract_sequences", "fft", "fft2", "ifft2",
        "in_top_k", "irfft", "istft", "logdet", "logsumexp", "rfft", "rsqrt", "segment_max",
        "segment_min", "segment_prod", "segment_sum", "stft", "top_k", "view_as_complex",
        "view_as_real",
    ),
    "nn": (
        "adaptive_average_pool", "adaptive_max_pool", "average_pool", "batch_normalization",
        "binary_crossentropy", "categorical_crossentropy", "celu", "conv", "conv_transpose",
        "ctc_loss", "depth_to_space", "depthwise_conv", "dot_product_attention", "elu", "fold",
        "gelu", "glu", "hard_shrink", "hard_sigmoid", "hard_silu", "hard_tanh",
        "layer_normalization", "leaky_relu", "log_sigmoid", "log_softmax", "max_pool",
        "moments", "multi_hot", "normalize", "one_hot", "polar", "psnr", "relu", "relu6",
        "rms_normalization", "selu", "separable_conv", "sigmoid", "silu", "soft_shrink",
        "softmax", "softplus", "softsign", "space_to_depth", "sparse_categorical_crossentropy",
        "sparse_plus", "sparse_sigmoid", "sparsemax", "squareplus", "tanh_shrink", "threshold",
        "unfold",
    ),
}  # fmt: skip
#: Classes that aren't called as their function in camel case.
_IRREGULAR = {
    "allclose": "AllClose", "batch_normalization": "BatchNorm", "cdist": "CDist",
    "ctc_loss": "CTCLoss", "extract_patches_3d": "ExtractPatches", "fft": "FFT", "fft2": "FFT2",
    "hsv_to_rgb": "HSVToRGB", "ifft2": "IFFT2", "irfft": "IRFFT", "isin": "IsIn",
    "istft": "ISTFT", "layer_normalization": "LayerNorm", "psnr": "PSNR", "rfft": "RFFT",
    "rgb_to_grayscale": "RGBToGrayscale", "rgb_to_hsv": "RGBToHSV",
    "rms_normalization": "RMSNorm", "searchsorted": "SearchSorted", "stft": "STFT", "svd": "SVD",
}  # fmt: skip
_FUNCTIONS = {cls: name for name, cls in _IRREGULAR.items()} | {"ExtractPatches": "extract_patches"}


def keras_class(function: str) -> tuple[str, str]:
    """Returns Keras's module and class for the operation of a function of `keras.ops`."""
    module = next((m for m, names in _MODULES.items() if function in names), "numpy")
    camel = "".join(part.capitalize() for part in function.split("_"))
    return f"keras.src.ops.{module}", _IRREGULAR.get(function, camel)


def function_of(class_name: str) -> str:
    """Returns the name in `keras.ops` of the function of one of Keras's operations."""
    return _FUNCTIONS.get(class_name) or naming.snake_case(class_name)
