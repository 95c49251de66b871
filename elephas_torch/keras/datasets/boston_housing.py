"""Boston housing: prices of houses in 506 districts (StatLib, Carnegie Mellon University).

One of its columns, "B", assumes that racial segregation raises prices. Use it to show that, or to
compare with old results; else `california_housing`, also in a small version, is there instead.
Follows https://keras.io/api/datasets/boston_housing/
"""

from __future__ import annotations

from elephas_torch.keras.datasets import files, housing

URL = files.KERAS + "boston_housing.npz"
SHA256 = "f553886a1f8d56431e820c5b82552d9d95cfcb96d1e678153f8839538947dff5"


def load_data(
    path: str = "boston_housing.npz", test_split: float = 0.2, seed: int = 113
) -> tuple[housing.Arrays, housing.Arrays]:
    """Loads the Boston housing data, shuffled.

    Args:
        path: the file's name in Keras's cache folder, or its full path.
        test_split: share of the rows to test with, 0 to below 1.
        seed: of the shuffling.

    Returns:
        `(x_train, y_train), (x_test, y_test)`: features of shape (samples, 13), and prices in
        thousands of dollars of shape (samples,).

    Raises:
        ValueError: `test_split` is out of its range.
        DataError: the file isn't there and can't be downloaded, or is damaged; the message says
            what to do.
    """
    file = files.cached(files.cache_folder() / path, URL, SHA256)
    return housing.split(*housing.read(file), test_split, seed)
