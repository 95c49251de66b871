"""Data sets to try things with: MNIST, and scikit-learn's digits, which need no network."""

from elephas_torch.keras.datasets import digits, mnist

__all__ = ["digits", "mnist"]
