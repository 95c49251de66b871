"""CIFAR-10: 60,000 colour pictures of 32x32 pixels in 10 classes (Krizhevsky, 2009).

Classes: 0 airplane, 1 automobile, 2 bird, 3 cat, 4 deer, 5 dog, 6 frog, 7 horse, 8 ship, 9 truck.
Follows https://keras.io/api/datasets/cifar10/
"""

from __future__ import annotations

from elephas_torch.keras.datasets import cifar

URL = cifar.ADDRESS + "cifar-10-python.tar.gz"
SHA256 = "6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce"


def load_data() -> tuple[cifar.Arrays, cifar.Arrays]:
    """Loads CIFAR-10, from `cifar-10-batches-py-target_archive` in Keras's cache folder.

    (Or from `cifar-10-batches-py.tar.gz`, which is where Keras 2 kept it. The archive is read as
    it is: nothing is unpacked.)

    Returns:
        `(x_train, y_train), (x_test, y_test)`: images uint8 from 0 to 255 of shape
        (samples, 32, 32, 3), or (samples, 3, 32, 32) where `keras.config.image_data_format()` is
        "channels_first"; and labels uint8 from 0 to 9 of shape (samples, 1). 50,000 samples to
        train, 10,000 to test.

    Raises:
        DataError: the file isn't there and can't be downloaded, or is damaged; the message says
            what to do.
    """
    path = cifar.archive(
        "cifar-10-batches-py-target_archive", "cifar-10-batches-py.tar.gz", URL, SHA256
    )
    names = [*(f"data_batch_{number}" for number in range(1, 6)), "test_batch"]
    *train, test = cifar.load(path, "cifar-10-batches-py", names, "labels")
    return cifar.joined(train), test
