"""Functions on tensors, with Keras's names, arguments and dtypes, computed by torch.

Follows https://keras.io/api/ops/

Numbers, lists and NumPy arrays may stand for tensors: Python's floats become `config.floatx()`
(float32), its integers int32, arrays keep their dtype. In the functional API a call on a symbolic
tensor becomes a part of the model.

    >>> from elephas_torch.keras import ops
    >>> ops.mean([[1.0, 2.0], [3.0, 5.0]], axis=1)
    tensor([1.5000, 4.0000])
"""

from typing import Any

from elephas_torch.errors import absent, nearest
from elephas_torch.keras.ops import image as image
from elephas_torch.keras.ops import linalg as linalg
from elephas_torch.keras.ops import nn as nn
from elephas_torch.keras.ops import numpy as numpy
from elephas_torch.keras.ops.arithmetic import *  # noqa: F403
from elephas_torch.keras.ops.core import *  # noqa: F403
from elephas_torch.keras.ops.creation import *  # noqa: F403
from elephas_torch.keras.ops.elementwise import *  # noqa: F403
from elephas_torch.keras.ops.indexing import *  # noqa: F403
from elephas_torch.keras.ops.linalg import *  # noqa: F403
from elephas_torch.keras.ops.nn import *  # noqa: F403
from elephas_torch.keras.ops.reductions import *  # noqa: F403
from elephas_torch.keras.ops.shaping import *  # noqa: F403
from elephas_torch.keras.ops.signal import *  # noqa: F403

_LEFT_OUT = {
    "custom_gradient": "Write a torch.autograd.Function",
    "ctc_decode": "Take the largest class of each step, or a decoder such as torchaudio's",
    "rearrange": "Use einops.rearrange, which takes torch tensors, or `reshape` and `transpose`",
}


def __getattr__(name: str) -> Any:
    if name in image.__all__:
        return getattr(image, name)  # by its name alone, as functional models note it
    if name in _LEFT_OUT:
        raise absent(f"keras.ops.{name} isn't there. {_LEFT_OUT[name]}.")
    raise absent(f"keras.ops has no function {name!r}.{nearest(name, globals())}")
