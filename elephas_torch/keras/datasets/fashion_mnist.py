"""Fashion-MNIST: 70,000 pictures of clothes of 28x28 pixels (Zalando SE, MIT licence).

Classes: 0 T-shirt/top, 1 Trouser, 2 Pullover, 3 Dress, 4 Coat, 5 Sandal, 6 Shirt, 7 Sneaker,
8 Bag, 9 Ankle boot. Follows https://keras.io/api/datasets/fashion_mnist/
"""

from __future__ import annotations

import numpy as np

from elephas_torch.errors import DataError
from elephas_torch.keras.datasets import files, idx

#: Zalando's files and their SHA-256, in the order of training and testing, images and labels.
FILES = {
    "train-images-idx3-ubyte.gz": (
        "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84"
    ),
    "train-labels-idx1-ubyte.gz": (
        "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845"
    ),
    "t10k-images-idx3-ubyte.gz": (
        "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073"
    ),
    "t10k-labels-idx1-ubyte.gz": (
        "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5"
    ),
}

Arrays = tuple[np.ndarray, np.ndarray]


def load_data() -> tuple[Arrays, Arrays]:
    """Loads Fashion-MNIST, from `fashion-mnist` in Keras's cache folder.

    Returns:
        `(x_train, y_train), (x_test, y_test)`: images uint8 from 0 to 255 of shape
        (samples, 28, 28), and labels uint8 from 0 to 9 of shape (samples,).

    Raises:
        DataError: the files aren't there and can't be downloaded, or are damaged; the message
            says what to do.
    """
    x_train, y_train, x_test, y_test = (_array(name) for name in FILES)
    for x, y in ((x_train, y_train), (x_test, y_test)):
        if len(x) != len(y):
            raise DataError(f"Fashion-MNIST: {len(x)} images don't fit {len(y)} labels.")
    return (x_train, y_train), (x_test, y_test)


def _array(name: str) -> np.ndarray:
    path = files.cache_folder() / "fashion-mnist" / name
    return idx.read(files.cached(path, files.KERAS + name, FILES[name]))
