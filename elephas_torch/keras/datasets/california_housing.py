"""California housing: prices of houses in 20,640 districts, from the census of 1990 (StatLib).

Features: median income, age of houses, rooms, bedrooms, population, people a household, latitude,
longitude. Follows https://keras.io/api/datasets/california_housing/
"""

from __future__ import annotations

from elephas_torch.errors import unknown
from elephas_torch.keras.datasets import files, housing

URL = files.KERAS + "california_housing.npz"
SHA256 = "1a2e3a52e0398de6463aebe6f4a8da34fb21fbb6b934cf88c3425e766f2a1a6f"
_SMALL = 600


def load_data(
    version: str = "large",
    path: str = "california_housing.npz",
    test_split: float = 0.2,
    seed: int = 113,
) -> tuple[housing.Arrays, housing.Arrays]:
    """Loads the California housing data, shuffled.

    Args:
        version: "large", or "small" for the first 600 rows.
        path: the file's name in Keras's cache folder, or its full path.
        test_split: share of the rows to test with, 0 to below 1.
        seed: of the shuffling.

    Returns:
        `(x_train, y_train), (x_test, y_test)`: features of shape (samples, 8), and prices in
        dollars of shape (samples,).

    Raises:
        ValueError: `version` is neither, or `test_split` is out of its range.
        DataError: the file isn't there and can't be downloaded, or is damaged; the message says
            what to do.
    """
    if version not in ("small", "large"):
        raise unknown("version", version, ["small", "large"])
    x, y = housing.read(files.cached(files.cache_folder() / path, URL, SHA256))
    rows = _SMALL if version == "small" else len(x)
    return housing.split(x[:rows], y[:rows], test_split, seed)
