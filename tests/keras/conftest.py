"""Keras 3 on torch is the oracle here: its backend must be chosen before it is imported."""

import os

os.environ["KERAS_BACKEND"] = "torch"

import pytest
import torch


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)
