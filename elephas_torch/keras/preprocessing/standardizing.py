"""What `ImageDataGenerator` does to bring pictures to one scale."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from elephas_torch.keras.preprocessing.generator import ImageDataGenerator

_EPSILON = 1e-6


def fit(generator: ImageDataGenerator, pictures: np.ndarray) -> None:
    """Sets the generator's `mean`, `std` and `zca_whitening_matrix`, as far as it needs them."""
    axes = (0, generator.row_axis, generator.col_axis)
    if generator.featurewise_center:
        generator.mean = pictures.mean(axis=axes, keepdims=True)[0]
        pictures = pictures - generator.mean
    if generator.featurewise_std_normalization:
        generator.std = pictures.std(axis=axes, keepdims=True)[0]
    if generator.zca_whitening:
        flat = pictures.reshape(len(pictures), -1)
        u, s, _ = np.linalg.svd(flat.T, full_matrices=False)
        scale = np.sqrt(len(flat)) / (s + generator.zca_epsilon)
        generator.zca_whitening_matrix = (u * scale) @ u.T


def standardize(generator: ImageDataGenerator, x: Any) -> np.ndarray:
    """See `ImageDataGenerator.standardize`."""
    if generator.preprocessing_function:
        x = generator.preprocessing_function(x)
    x = np.array(x, dtype=generator.dtype)
    if generator.rescale:
        x *= generator.rescale
    if generator.samplewise_center:
        x -= x.mean()
    if generator.samplewise_std_normalization:
        x /= x.std() + _EPSILON
    if generator.featurewise_center and _fitted(generator.mean, "featurewise_center"):
        x -= generator.mean
    if generator.featurewise_std_normalization and _fitted(
        generator.std, "featurewise_std_normalization"
    ):
        x /= generator.std + np.asarray(_EPSILON, x.dtype)
    if generator.zca_whitening and _fitted(generator.zca_whitening_matrix, "zca_whitening"):
        matrix = generator.zca_whitening_matrix
        x = (x.reshape(-1, len(matrix)) @ matrix).reshape(x.shape)  # type: ignore[arg-type]
    return x


def _fitted(found: np.ndarray | None, argument: str) -> bool:
    if found is None:
        warnings.warn(
            f"ImageDataGenerator({argument}=True) changes nothing before generator.fit(pictures).",
            stacklevel=4,
        )
    return found is not None
