"""Layers that Keras 1 had and today's Keras has under another name, or not at all.

`keras.layers` finds them here; Keras 2 had some of them in `keras.legacy.layers`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn

from elephas_torch.keras import layers
from elephas_torch.keras.legacy.merging import Merge, merge
from elephas_torch.keras.legacy.names import CLASSES, under_old_name

#: What isn't here, and what to take for it.
_GONE = {
    "Highway": "compute it in a layer of your own: t * Dense(n)(x) + (1 - t) * x, with "
    "t = Dense(n, activation='sigmoid')(x)",
    "MaxoutDense": "use Maximum()([Dense(n)(x), Dense(n)(x), …]), a Dense for each feature",
    "LocallyConnected1D": "use Conv1D, or a layer of your own with torch's unfold",
    "LocallyConnected2D": "use Conv2D, or a layer of your own with torch's unfold",
    "ConvLSTM2D": "use RNN with a cell of your own, or LSTM after TimeDistributed(Conv2D(…))",
    "ParametricSoftplus": "use PReLU, or Activation('softplus')",
    "SReLU": "use PReLU",
    "Graph": "use Model(inputs, outputs)",
    "AutoEncoder": "train a Sequential of encoder and decoder on its own inputs",
    "Siamese": "call one layer on several inputs, and make a Model(inputs, outputs)",
}


def _refusing(name: str) -> Callable[..., NoReturn]:
    def refuse(*args: Any, **kwargs: Any) -> NoReturn:
        raise ValueError(f"There is no {name} here: {_GONE[name]}.")

    refuse.__name__ = refuse.__qualname__ = name
    return refuse


_made: dict[str, Any] = {}

__all__ = ["Merge", "merge", *sorted({*CLASSES, *_GONE})]


def __getattr__(name: str) -> Any:
    if name not in _made:
        if name in CLASSES:
            _made[name] = under_old_name(name, getattr(layers, CLASSES[name]))
        elif name in _GONE:
            _made[name] = _refusing(name)
        else:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return _made[name]
