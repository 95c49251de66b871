"""Arrays of Keras 1 and 2 in the order and form that layers have today.

Keras 1 kept LSTM's and GRU's gates as arrays of their own, and gave kernels of one dimension
a second one. Its kernels in Theano's order are refused: they would have to be turned around,
and files don't tell them from TensorFlow's.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from elephas_torch.errors import ModelFileError
from elephas_torch.keras.saving import hdf5

#: Where the gates' kernels are among Keras 1's arrays, in today's order; the recurrent kernels
#: and the biases follow each.
_GATES = {"LSTM": (0, 6, 3, 9), "GRU": (0, 3, 6)}


def version(group: Any) -> str:
    """The version of the Keras that wrote a group: "1" where it doesn't say."""
    known = "keras_version" in group.attrs
    return hdf5.text(hdf5.attribute(group, "keras_version")) if known else "1"


def read(values: Any) -> np.ndarray:
    """The elements of an array, whether it was read before or not."""
    return values if isinstance(values, np.ndarray) else hdf5.values(values)


def modern(layer: Any, found: Sequence[tuple[str, Any]], keras: str) -> list[Any]:
    """A layer's arrays as today's layers have them.

    Args:
        found: their names and the arrays, not read yet.
        keras: the version that wrote them.

    Raises:
        ModelFileError: they are of Keras 1 and in Theano's order.
    """
    arrays = [one for _, one in found]
    return _of_keras_1(layer, arrays) if keras.startswith("1") else _of_keras_2(layer, arrays)


def _halves(layer: Any, arrays: list[Any], convert: Any) -> list[Any]:
    half = len(arrays) // 2
    forward = convert(layer.forward_layer, arrays[:half])
    return [*forward, *convert(layer.backward_layer, arrays[half:])]


def _of_keras_2(layer: Any, arrays: list[Any]) -> list[Any]:
    kind = type(layer).__name__
    if kind == "Bidirectional":
        return _halves(layer, arrays, _of_keras_2)
    if kind in _GATES and len(arrays) == 3 and _is_cudnn(layer, len(_GATES[kind]), arrays[2]):
        return _of_cudnn([read(one) for one in arrays], len(_GATES[kind]))
    return arrays


def _is_cudnn(layer: Any, gates: int, bias: Any) -> bool:
    return tuple(bias.shape) == (2 * gates * layer.units,)


def _of_cudnn(arrays: list[np.ndarray], gates: int) -> list[Any]:
    """Weights of CuDNNLSTM and CuDNNGRU: kernels turned around, and a bias for each kernel."""
    kernel, recurrent, bias = arrays
    kernels = [part.T.reshape(part.shape, order="F") for part in np.split(kernel, gates, 1)]
    recurrents = [part.T for part in np.split(recurrent, gates, 1)]
    biases = bias.reshape(2, -1)
    return [np.hstack(kernels), np.hstack(recurrents), biases.sum(0) if gates == 4 else biases]


def _of_keras_1(layer: Any, arrays: list[Any]) -> list[Any]:
    kind = type(layer).__name__
    if kind == "TimeDistributed":
        return _of_keras_1(layer.layer, arrays)
    if kind == "Bidirectional":
        return _halves(layer, arrays, _of_keras_1)
    if kind in _GATES and len(arrays) == 3 * len(_GATES[kind]):
        return _gates_joined([read(one) for one in arrays], _GATES[kind])
    if kind.startswith("Conv") and arrays:
        return _kernel(layer, kind, arrays)
    return arrays


def _gates_joined(arrays: list[np.ndarray], gates: Sequence[int]) -> list[Any]:
    return [
        np.concatenate([arrays[gate + offset] for gate in gates], axis=-1) for offset in range(3)
    ]


def _kernel(layer: Any, kind: str, arrays: list[Any]) -> list[Any]:
    if kind == "Conv1D" and len(arrays[0].shape) == 4:
        kernel = read(arrays[0])
        return [kernel[:, 0], *arrays[1:]]
    if kind != "Conv1D" and getattr(layer, "data_format", None) == "channels_first":
        raise ModelFileError(
            f"{layer._label}: weights of Keras 1 with dim_ordering='th' can't be read. Only those "
            "with 'tf' can."
        )
    if kind == "Conv2DTranspose":
        return [np.swapaxes(read(arrays[0]), 2, 3), *arrays[1:]]
    return arrays
