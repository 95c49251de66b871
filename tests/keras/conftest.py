"""Keras 3 on torch is the oracle here: its backend must be chosen before it is imported."""

import os

os.environ["KERAS_BACKEND"] = "torch"
