"""CIFAR-100: 60,000 colour pictures of 32x32 pixels in 100 classes (Krizhevsky, 2009).

Follows https://keras.io/api/datasets/cifar100/
"""

from __future__ import annotations

from elephas_torch.errors import unknown
from elephas_torch.keras.datasets import cifar

URL = cifar.ADDRESS + "cifar-100-python.tar.gz"
SHA256 = "85cd44d02ba6437773c5bbd22e183051d648de2e7d6b014e1ef29b855ba677a7"


def load_data(label_mode: str = "fine") -> tuple[cifar.Arrays, cifar.Arrays]:
    """Loads CIFAR-100, from `cifar-100-python-target_archive` in Keras's cache folder.

    (Or from `cifar-100-python.tar.gz`, which is where Keras 2 kept it. The archive is read as it
    is: nothing is unpacked.)

    Args:
        label_mode: "fine" for the 100 classes, "coarse" for the 20 groups of them.

    Returns:
        `(x_train, y_train), (x_test, y_test)`: images uint8 from 0 to 255 of shape
        (samples, 32, 32, 3), or (samples, 3, 32, 32) where `keras.config.image_data_format()` is
        "channels_first"; and labels uint8 of shape (samples, 1). 50,000 samples to train, 10,000
        to test.

    Raises:
        ValueError: `label_mode` is neither.
        DataError: the file isn't there and can't be downloaded, or is damaged; the message says
            what to do.
    """
    if label_mode not in ("fine", "coarse"):
        raise unknown("label_mode", label_mode, ["fine", "coarse"])
    path = cifar.archive("cifar-100-python-target_archive", "cifar-100-python.tar.gz", URL, SHA256)
    train, test = cifar.load(path, "cifar-100-python", ["train", "test"], f"{label_mode}_labels")
    return train, test
