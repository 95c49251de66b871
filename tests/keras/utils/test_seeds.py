"""One seed for Python, NumPy and torch."""

import random

import numpy as np
import pytest
import torch

from elephas_torch.keras.utils import set_random_seed


def draw():
    return random.random(), np.random.rand(), torch.rand(1).item()


def test_the_same_seed_gives_the_same_numbers():
    set_random_seed(5)
    first = draw()
    set_random_seed(np.int64(5))
    assert draw() == first
    set_random_seed(6)
    assert not set(draw()) & set(first)


@pytest.mark.parametrize("seed", [-1, 2**32, 1.5, "5", None])
def test_other_seeds_are_refused(seed):
    with pytest.raises(ValueError, match="Received: seed="):
        set_random_seed(seed)
