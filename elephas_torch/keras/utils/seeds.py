"""Random seeds."""

from __future__ import annotations

import operator
import random

import numpy as np
import torch


def set_random_seed(seed: int) -> None:
    """Seeds Python's, NumPy's and torch's generators: all that initial weights, dropout and
    the order of batches come from.

    Args:
        seed: 0 to 2^32 - 1.

    Raises:
        ValueError: the seed isn't an integer in that range.
    """
    try:
        number = operator.index(seed)
    except TypeError:
        number = -1
    if not 0 <= number < 2**32:
        raise ValueError(f"`seed` must be an integer from 0 to 2^32 - 1. Received: seed={seed!r}")
    random.seed(number)
    np.random.seed(number)
    torch.manual_seed(number)
