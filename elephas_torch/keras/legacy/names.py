"""Classes and functions that were called otherwise, or took other arguments then."""

from __future__ import annotations

from typing import Any

from elephas_torch.keras.legacy.constructors import message, translated
from elephas_torch.keras.legacy.notice import warn

#: Layers that are called otherwise today. Those in `STILL_THERE` go by both names in Keras 3, too.
CLASSES: dict[str, str] = {
    "Convolution1D": "Conv1D",
    "Convolution2D": "Conv2D",
    "Convolution3D": "Conv3D",
    "SeparableConvolution1D": "SeparableConv1D",
    "SeparableConvolution2D": "SeparableConv2D",
    "AtrousConvolution1D": "Conv1D",
    "AtrousConvolution2D": "Conv2D",
    "AtrousConv1D": "Conv1D",
    "AtrousConv2D": "Conv2D",
    "Deconvolution2D": "Conv2DTranspose",
    "Deconvolution3D": "Conv3DTranspose",
    "Deconv2D": "Conv2DTranspose",
    "Deconv3D": "Conv3DTranspose",
    "TimeDistributedDense": "Dense",
    "CuDNNLSTM": "LSTM",
    "CuDNNGRU": "GRU",
    "BatchNormalizationV1": "BatchNormalization",
    "BatchNormalizationV2": "BatchNormalization",
    "LSTMV2": "LSTM",
    "GRUV2": "GRU",
}
STILL_THERE = {"Convolution1D", "Convolution2D", "Convolution3D", "SeparableConvolution2D"}


#: Keras 1's mode of a `Merge` -> today's layer.
MERGES = {
    "sum": "Add", "mul": "Multiply", "ave": "Average", "max": "Maximum", "concat": "Concatenate",
    "dot": "Dot", "cos": "Dot",
}  # fmt: skip


def merge_options(mode: str, concat_axis: Any, dot_axes: Any) -> dict[str, Any]:
    """Returns the arguments of today's layer for a mode of `Merge`."""
    if mode == "concat":
        return {"axis": concat_axis}
    if mode not in ("dot", "cos"):
        return {}
    axes = dot_axes if isinstance(dot_axes, int) else tuple(_one(axis) for axis in dot_axes)
    return {"axes": axes, "normalize": True} if mode == "cos" else {"axes": axes}


def _one(axis: Any) -> Any:
    # Keras 0 had a list of axes for each of the two.
    return axis[0] if isinstance(axis, list | tuple) and len(axis) == 1 else axis


def under_old_name(name: str, cls: Any) -> Any:
    """Returns a class by its old name: it makes objects of today's class, from arguments as they
    were then, and its objects are all of today's class.

    Args:
        name: the old one, of `CLASSES`.
        cls: today's class.
    """
    meta: Any = type(cls)

    class OldName(meta):
        def __call__(self, *args: Any, **kwargs: Any) -> Any:
            if self is not made:
                return super().__call__(*args, **kwargs)
            args, kwargs, changes = translated(cls, args, kwargs, name)
            if changes or name not in STILL_THERE:
                old = "" if name in STILL_THERE else f"{name} is called {cls.__name__} now. "
                warn(old + message(cls.__name__, changes) if changes else old.strip())
            return cls(*args, **kwargs)

        def __instancecheck__(self, thing: Any) -> bool:
            return isinstance(thing, cls) if self is made else super().__instancecheck__(thing)

    made = OldName(name, (cls,), {"__module__": cls.__module__, "__doc__": cls.__doc__})
    return made
