"""scikit-learn's 1,797 handwritten digits of 8x8 pixels: comes with scikit-learn, offline."""

from __future__ import annotations

import numpy as np

Arrays = tuple[np.ndarray, np.ndarray]


def load_data(test_split: float = 0.2, seed: int = 113) -> tuple[Arrays, Arrays]:
    """Loads the digits, shuffled.

    Args:
        test_split: share of the images to test with, above 0 and below 1.
        seed: of the shuffling.

    Returns:
        `(x_train, y_train), (x_test, y_test)`: images uint8 from 0 to 16 of shape
        (samples, 8, 8), and labels uint8 from 0 to 9 of shape (samples,).

    Raises:
        ImportError: scikit-learn isn't installed.
        ValueError: `test_split` is out of its range.

    Example:
        >>> (x_train, y_train), (x_test, y_test) = load_data()
        >>> x_train.shape, x_test.shape
        ((1437, 8, 8), (360, 8, 8))
    """
    if not 0 < test_split < 1:
        raise ValueError(
            f"`test_split` must be above 0 and below 1. Received: test_split={test_split!r}"
        )
    try:
        from sklearn.datasets import load_digits
    except ImportError as error:
        raise ImportError(
            "datasets.digits needs scikit-learn: pip install 'elephas-torch[examples]'."
        ) from error
    images, labels = load_digits(return_X_y=True)
    order = np.random.RandomState(seed).permutation(len(labels))
    x = images.reshape(-1, 8, 8).astype(np.uint8)[order]
    y = labels.astype(np.uint8)[order]
    cut = int(len(x) * (1 - test_split))
    return (x[:cut], y[:cut]), (x[cut:], y[cut:])
