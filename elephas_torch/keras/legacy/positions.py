"""Arguments without names, in Keras 1's order."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from elephas_torch.keras.legacy.values import is_four_sides

Arguments = tuple[Any, ...]
Order = tuple[str, ...]
#: Finds the order that arguments are in, () for today's: of the arguments without names, those
#: with names, and whether the call is known to be old.
Finder = Callable[[Arguments, Mapping[str, Any], bool], Order]

_RULES = ("W_regularizer", "b_regularizer", "activity_regularizer", "W_constraint", "b_constraint")
_DENSE = ("output_dim", "init", "activation", "weights", *_RULES, "bias", "input_dim")
_LSTM = ("output_dim", "init", "inner_init", "forget_bias_init", "activation", "inner_activation")
_GRU = ("output_dim", "init", "inner_init", "activation", "inner_activation")
_SIMPLE = ("output_dim", "init", "inner_init", "activation")
_WINDOWED = ("border_mode", "subsample", "dim_ordering", *_RULES, "bias")
_AFTER = ("init", "activation", "weights", *_WINDOWED)
_CONV1 = (
    "nb_filter", "filter_length", "init", "activation", "weights", "border_mode",
    "subsample_length", *_RULES, "bias",
)  # fmt: skip
_CONV2 = ("nb_filter", "nb_row", "nb_col", *_AFTER)
_CONV3 = ("nb_filter", "kernel_dim1", "kernel_dim2", "kernel_dim3", *_AFTER)
_TRANSPOSED2 = (*_CONV2[:3], "output_shape", *_AFTER)
_TRANSPOSED3 = (*_CONV3[:4], "output_shape", *_AFTER)
_EMBEDDING = (
    "input_dim", "output_dim", "init", "input_length", "W_regularizer", "activity_regularizer",
    "W_constraint", "mask_zero", "weights", "dropout",
)  # fmt: skip

#: Initializers of Keras 1, which none of its activations is called like.
_INITIALIZERS = {
    "uniform", "lecun_uniform", "normal", "identity", "orthogonal", "zero", "one", "zeros", "ones",
    "glorot_normal", "glorot_uniform", "he_normal", "he_uniform",
}  # fmt: skip


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _all_whole(args: Arguments, count: int) -> bool:
    return len(args) >= count and all(map(_whole, args[:count]))


def _is_initializer(args: Arguments, number: int) -> bool:
    return len(args) > number and isinstance(args[number], str) and args[number] in _INITIALIZERS


def _after_inputs(order: Order) -> Finder:
    """Keras 0's (inputs, outputs, …), or Keras 1's (outputs, init, …)."""

    def find(args: Arguments, kwargs: Mapping[str, Any], old: bool) -> Order:
        if _all_whole(args, 2):
            return ("input_dim", *(name for name in order if name != "input_dim"))
        return order if _is_initializer(args, 1) else ()

    return find


def _rows_and_columns(order: Order) -> Finder:
    """(filters, rows, columns, …). Since Keras 2 and 3 read (filters, kernel_size, strides) in
    it, something else must tell that a call is old."""

    def find(args: Arguments, kwargs: Mapping[str, Any], old: bool) -> Order:
        if _all_whole(args, 4):  # Keras 0: the inputs' channels came second
            return ("nb_filter", "stack_size", *order[1:])
        if _all_whole(args, 3):
            return order if old or _is_initializer(args, 3) else ()
        return order if _all_whole(args, 2) and "nb_col" in kwargs else ()

    return find


def _in_order(order: Order, count: int) -> Finder:
    """An order of `count` whole numbers and more, under a name that only old calls have."""

    def find(args: Arguments, kwargs: Mapping[str, Any], old: bool) -> Order:
        return order if _all_whole(args, count) else ()

    return find


def _conv1d(args: Arguments, kwargs: Mapping[str, Any], old: bool) -> Order:
    return _CONV1 if _is_initializer(args, 2) else ()


def _embedding(args: Arguments, kwargs: Mapping[str, Any], old: bool) -> Order:
    return _EMBEDDING if len(args) > 3 and _whole(args[3]) else ()


def _shape_first(args: Arguments, kwargs: Mapping[str, Any], old: bool) -> Order:
    """Keras 0's layers that wanted the shape of their inputs."""
    return ("input_shape",) if args and isinstance(args[0], tuple) else ()


def _lengths(args: Arguments, kwargs: Mapping[str, Any], old: bool) -> Order:
    """Keras 0's Reshape(1, 28, 28)."""
    return ("*dims",) if _all_whole(args, 2) else ()


def _amounts(args: Arguments, kwargs: Mapping[str, Any], old: bool) -> Order:
    return ("padding", "dim_ordering") if args and is_four_sides(args[0]) else ()


#: Class, today's or an old name -> what finds Keras 1's order.
POSITIONS: dict[str, Finder] = {
    "Dense": _after_inputs(_DENSE),
    "LSTM": _after_inputs(_LSTM),
    "GRU": _after_inputs(_GRU),
    "SimpleRNN": _after_inputs(_SIMPLE),
    "Conv1D": _conv1d,
    "Conv2D": _rows_and_columns(_CONV2),
    "SeparableConv2D": _rows_and_columns(_CONV2),
    "Conv3D": _in_order(_CONV3, 4),
    **dict.fromkeys(("Deconvolution2D", "Deconv2D"), _in_order(_TRANSPOSED2, 3)),
    **dict.fromkeys(("Deconvolution3D", "Deconv3D"), _in_order(_TRANSPOSED3, 4)),
    "Embedding": _embedding,
    "BatchNormalization": _shape_first,
    "PReLU": _shape_first,
    "Reshape": _lengths,
    "ZeroPadding2D": _amounts,
}


def doubt(owner: str, args: Arguments) -> str:
    """Returns what to say of a call that Keras 1 and Keras 3 read in two ways, else ""."""
    if owner != "Conv2D" or not _all_whole(args, 3) or not args[1] == args[2] > 1:
        return ""
    filters, size = args[:2]
    return (
        f"Conv2D({filters}, {size}, {size}) has a kernel of {size} and strides of {size}, as in "
        f"Keras 3: write strides={size}. Keras 1 took the two for the rows and columns of the "
        f"kernel: if you mean them, write Conv2D({filters}, ({size}, {size}))."
    )


def named(order: Order, args: Arguments) -> dict[str, Any]:
    """Returns arguments by their names in an order; None, Keras 1's word for nothing, left out.

    Raises:
        TypeError: there are more than it has.
    """
    if order[0].startswith("*"):
        return {order[0][1:]: args}
    if len(args) > len(order):
        raise TypeError(f"More arguments than Keras 1 had: {', '.join(order)}. Received: {args!r}")
    found = zip(order, args, strict=False)
    return {name: value for name, value in found if value is not None}
