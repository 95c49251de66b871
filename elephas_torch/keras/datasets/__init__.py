"""Data sets to try things with. Digits come with scikit-learn and need no network; the others are
downloaded once into Keras's cache folder. See https://keras.io/api/datasets/"""

from elephas_torch.keras.datasets import (
    boston_housing,
    california_housing,
    cifar10,
    cifar100,
    digits,
    fashion_mnist,
    imdb,
    mnist,
    reuters,
)

__all__ = [
    "boston_housing", "california_housing", "cifar10", "cifar100", "digits", "fashion_mnist",
    "imdb", "mnist", "reuters",
]  # fmt: skip
