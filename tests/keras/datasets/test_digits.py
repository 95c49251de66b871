"""scikit-learn's digits."""

import sys

import numpy as np
import pytest
from sklearn.datasets import load_digits

from elephas_torch.keras.datasets import digits


def test_every_image_is_there_once():
    (x_train, y_train), (x_test, y_test) = digits.load_data()
    x, y = np.concatenate([x_train, x_test]), np.concatenate([y_train, y_test])
    assert (x.dtype, y.dtype, x.max(), x.shape) == (np.uint8, np.uint8, 16, (1797, 8, 8))
    assert len(x_test) == 360
    theirs, labels = load_digits(return_X_y=True)

    def rows(images, labels):
        return sorted(bytes(row) for row in np.column_stack([images.reshape(-1, 64), labels]))

    assert rows(x, y) == rows(theirs.astype(np.uint8), labels.astype(np.uint8))


def test_the_same_seed_shuffles_alike():
    (first, _), _ = digits.load_data(seed=1)
    (again, _), _ = digits.load_data(seed=1)
    (other, _), _ = digits.load_data(seed=2)
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize("share", [0, 1, -0.5, 1.5])
def test_a_share_out_of_range_is_refused(share):
    with pytest.raises(ValueError, match=f"Received: test_split={share}"):
        digits.load_data(test_split=share)


def test_without_scikit_learn_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    with pytest.raises(ImportError, match=r"elephas-torch\[examples\]"):
        digits.load_data()
