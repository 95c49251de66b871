"""`ImageDataGenerator`: pictures changed by chance, batch by batch, as Keras 1 and 2 have it.

Follows https://keras.io/2.18/api/data_loading/image/ and the documentation of Keras 2's
`keras.preprocessing.image`.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from elephas_torch.keras import config
from elephas_torch.keras.arguments import check_share, check_whole
from elephas_torch.keras.preprocessing import (
    changes,
    file_iterators,
    iterators,
    standardizing,
)
from elephas_torch.keras.preprocessing.affine import apply_affine_transform, check_filling
from elephas_torch.keras.utils import images


class ImageDataGenerator:
    """Changes pictures by chance, and brings them to one scale.

    Args:
        featurewise_center: take each channel's mean over the data off; `fit` finds it.
        samplewise_center: take each picture's own mean off.
        featurewise_std_normalization: divide by each channel's standard deviation over the data.
        samplewise_std_normalization: divide by each picture's own.
        zca_whitening: decorrelate the pixels; `fit` finds how.
        zca_epsilon: keeps that finite. Default 1e-6.
        rotation_range: degrees to turn by at most.
        width_shift_range: share of the width to shift by at most; 1 or more: pixels; a list: one
            of these.
        height_shift_range: the same for the height.
        brightness_range: two factors to choose between.
        shear_range: degrees to shear by at most.
        zoom_range: how far from 1 the zoom is at most, or two factors to choose between.
        channel_shift_range: what is added to all values at most.
        fill_mode: "constant", "nearest", "reflect" or "wrap": what comes in from outside.
        cval: the value for "constant".
        horizontal_flip, vertical_flip: mirror half of the pictures.
        rescale: factor of all values, after the changes.
        preprocessing_function: called with each picture after the changes, before `rescale`.
        data_format: "channels_last" or "channels_first"; the global setting by default.
        validation_split: the share for `subset="validation"`.
        interpolation_order: 1 linear, 0 the nearest pixel.
        dtype: default `keras.config.floatx()`.
        kwargs: `dim_ordering`, Keras 1's name of `data_format`: "tf" or "th".

    Raises:
        ValueError: an argument is none of these.
        TypeError: an argument that isn't known.

    Example:
        >>> generator = ImageDataGenerator(horizontal_flip=True, rescale=1 / 255)
        >>> batches = generator.flow(np.zeros((5, 8, 8, 3)), np.arange(5), batch_size=2)
        >>> [x.shape for x, y in (batches[0], batches[1], batches[2])]
        [(2, 8, 8, 3), (2, 8, 8, 3), (1, 8, 8, 3)]
    """

    def __init__(
        self,
        featurewise_center: bool = False,
        samplewise_center: bool = False,
        featurewise_std_normalization: bool = False,
        samplewise_std_normalization: bool = False,
        zca_whitening: bool = False,
        zca_epsilon: float = 1e-6,
        rotation_range: float = 0,
        width_shift_range: Any = 0.0,
        height_shift_range: Any = 0.0,
        brightness_range: Sequence[float] | None = None,
        shear_range: float = 0.0,
        zoom_range: Any = 0.0,
        channel_shift_range: float = 0.0,
        fill_mode: str = "nearest",
        cval: float = 0.0,
        horizontal_flip: bool = False,
        vertical_flip: bool = False,
        rescale: float | None = None,
        preprocessing_function: Callable[[np.ndarray], Any] | None = None,
        data_format: str | None = None,
        validation_split: float = 0.0,
        interpolation_order: int = 1,
        dtype: Any = None,
        **kwargs: Any,
    ) -> None:
        self.data_format = images.data_format_of("ImageDataGenerator", data_format, kwargs)
        last = self.data_format == "channels_last"
        self.channel_axis, self.row_axis, self.col_axis = (3, 1, 2) if last else (1, 2, 3)
        check_filling(fill_mode, interpolation_order)
        check_share("validation_split", validation_split)
        # Dividing by a deviation without taking off the mean makes no sense, as Keras has it.
        self.featurewise_center = bool(
            featurewise_center or featurewise_std_normalization or zca_whitening
        )
        self.featurewise_std_normalization = featurewise_std_normalization and not zca_whitening
        self.samplewise_center = bool(samplewise_center or samplewise_std_normalization)
        self.samplewise_std_normalization = samplewise_std_normalization
        self.zca_whitening, self.zca_epsilon = zca_whitening, zca_epsilon
        self.rotation_range, self.shear_range = rotation_range, shear_range
        self.width_shift_range, self.height_shift_range = width_shift_range, height_shift_range
        self.brightness_range = (
            None if brightness_range is None else changes.pair("brightness_range", brightness_range)
        )
        alone = isinstance(zoom_range, int | float)
        zoom = (1 - zoom_range, 1 + zoom_range) if alone else zoom_range
        self.zoom_range = changes.pair("zoom_range", zoom)
        self.channel_shift_range = channel_shift_range
        self.fill_mode, self.cval = fill_mode, cval
        self.interpolation_order = interpolation_order
        self.horizontal_flip, self.vertical_flip = horizontal_flip, vertical_flip
        self.rescale, self.preprocessing_function = rescale, preprocessing_function
        self.dtype = np.dtype(dtype or config.floatx())
        self.validation_split = validation_split
        self.mean: np.ndarray | None = None
        self.std: np.ndarray | None = None
        self.zca_whitening_matrix: np.ndarray | None = None

    def flow(
        self,
        x: Any,
        y: Any = None,
        batch_size: int = 32,
        shuffle: bool = True,
        sample_weight: Any = None,
        seed: int | None = None,
        save_to_dir: str | None = None,
        save_prefix: str = "",
        save_format: str = "png",
        ignore_class_split: bool = False,
        subset: str | None = None,
    ) -> iterators.NumpyArrayIterator:
        """Gives batches of changed pictures out of an array, without end.

        Args:
            x: shape (rows, height, width, channels); or (pictures, others), where the others are
                arrays that go with them unchanged.
            y: targets, one a picture.
            batch_size: default 32.
            shuffle: a new order each epoch.
            sample_weight: weights, one a picture.
            seed: of the order and of the changes. None takes both from NumPy's global generator.
            save_to_dir: folder to write the changed pictures to.
            save_prefix, save_format: of their names.
            ignore_class_split: with `subset`, don't check that both parts have the same classes.
            subset: "training" or "validation", which is the first `validation_split` of the rows.

        Returns:
            An iterator of x, (x, y) or (x, y, sample_weight); a `PyDataset` too.
        """
        saving = iterators.Saving(save_to_dir, save_prefix, save_format)
        return iterators.NumpyArrayIterator(
            x, y, self, batch_size, shuffle, sample_weight, seed, saving, ignore_class_split, subset
        )

    def flow_from_directory(
        self,
        directory: Any,
        target_size: tuple[int, int] = (256, 256),
        color_mode: str = "rgb",
        classes: Sequence[str] | None = None,
        class_mode: str | None = "categorical",
        batch_size: int = 32,
        shuffle: bool = True,
        seed: int | None = None,
        save_to_dir: str | None = None,
        save_prefix: str = "",
        save_format: str = "png",
        follow_links: bool = False,
        subset: str | None = None,
        interpolation: str = "nearest",
        keep_aspect_ratio: bool = False,
    ) -> file_iterators.DirectoryIterator:
        """Gives batches of changed pictures out of a folder, a class in each of its folders.

        Args:
            directory: with a folder a class.
            target_size: (height, width) to resize to.
            color_mode: "grayscale", "rgb" or "rgba".
            classes: the folders to take, in the order of their numbers. Default all, sorted.
            class_mode: "categorical" one-hot, "binary" or "sparse" numbers, "input" the pictures
                themselves, None no targets.
            follow_links: look into folders that are symbolic links too.
            subset: "training" or "validation", the first `validation_split` of each class.
            interpolation, keep_aspect_ratio: as in `load_img`.
            batch_size, shuffle, seed, save_to_dir, save_prefix, save_format: as in `flow`.

        Returns:
            An iterator with `class_indices`, `classes`, `filenames`, `filepaths`, `samples`.
        """
        saving = iterators.Saving(save_to_dir, save_prefix, save_format)
        reading = file_iterators.Reading(target_size, color_mode, interpolation, keep_aspect_ratio)
        return file_iterators.DirectoryIterator(
            directory, self, reading, classes, class_mode, batch_size, shuffle, seed, saving,
            follow_links, subset,
        )  # fmt: skip

    def flow_from_dataframe(
        self,
        dataframe: Any,
        directory: Any = None,
        x_col: str = "filename",
        y_col: Any = "class",
        weight_col: str | None = None,
        target_size: tuple[int, int] = (256, 256),
        color_mode: str = "rgb",
        classes: Sequence[str] | None = None,
        class_mode: str | None = "categorical",
        batch_size: int = 32,
        shuffle: bool = True,
        seed: int | None = None,
        save_to_dir: str | None = None,
        save_prefix: str = "",
        save_format: str = "png",
        subset: str | None = None,
        interpolation: str = "nearest",
        validate_filenames: bool = True,
        keep_aspect_ratio: bool = False,
    ) -> file_iterators.DataFrameIterator:
        """Gives batches of changed pictures whose names and targets are in a data frame.

        Args:
            dataframe: a pandas DataFrame.
            directory: the names' folder; without it they are full paths.
            x_col: the column of the names.
            y_col: the column of the targets, or a list of them.
            weight_col: the column of the weights.
            classes: the classes to take, in the order of their numbers. Default all, sorted.
            class_mode: "categorical" (also lists of classes), "binary", "sparse", "input", "raw"
                (the column as it is), "multi_output" (a list of columns), or None.
            subset: "training" or "validation", the first `validation_split` of the rows.
            validate_filenames: leave out names of files that aren't there, with a warning.
            target_size, color_mode, batch_size, shuffle, seed, save_to_dir, save_prefix,
                save_format, interpolation, keep_aspect_ratio: as in `flow_from_directory`.

        Returns:
            An iterator with `class_indices`, `filenames`, `filepaths`, `samples`.
        """
        saving = iterators.Saving(save_to_dir, save_prefix, save_format)
        reading = file_iterators.Reading(target_size, color_mode, interpolation, keep_aspect_ratio)
        return file_iterators.DataFrameIterator(
            dataframe, directory, self, reading, x_col, y_col, weight_col, classes, class_mode,
            batch_size, shuffle, seed, saving, subset, validate_filenames,
        )  # fmt: skip

    def standardize(self, x: Any) -> np.ndarray:
        """Returns pictures after `preprocessing_function`, `rescale`, centring and scaling.

        Args:
            x: one picture, or a batch. It stays as it is. (Keras changes it.)
        """
        return standardizing.standardize(self, x)

    def get_random_transform(
        self, img_shape: tuple[int, ...], seed: int | None = None
    ) -> dict[str, Any]:
        """Returns by what a picture is changed: drawn by chance.

        Args:
            img_shape: of one picture.
            seed: None draws from NumPy's global generator.

        Returns:
            `theta`, `tx`, `ty`, `shear`, `zx`, `zy` (see `apply_affine_transform`),
            `flip_horizontal`, `flip_vertical`, `channel_shift_intensity` and `brightness`.
        """
        return self.draw(img_shape, np.random if seed is None else np.random.RandomState(seed))

    def draw(self, img_shape: tuple[int, ...], random: Any) -> dict[str, Any]:
        """The same, out of a given generator: a `RandomState`, or the module `numpy.random`."""
        height, width = img_shape[self.row_axis - 1], img_shape[self.col_axis - 1]
        found: dict[str, Any] = {
            "theta": _up_to(self.rotation_range, random),
            "tx": _shift(self.height_shift_range, height, random),
            "ty": _shift(self.width_shift_range, width, random),
            "shear": _up_to(self.shear_range, random),
        }
        found["zx"], found["zy"] = (
            (1, 1) if self.zoom_range == (1, 1) else random.uniform(*self.zoom_range, 2)
        )
        # Both are drawn in any case, so that a seed gives Keras's numbers.
        found["flip_horizontal"] = bool(random.uniform() < 0.5) and self.horizontal_flip
        found["flip_vertical"] = bool(random.uniform() < 0.5) and self.vertical_flip
        shift = self.channel_shift_range
        found["channel_shift_intensity"] = random.uniform(-shift, shift) if shift else None
        found["brightness"] = (
            None if self.brightness_range is None else random.uniform(*self.brightness_range)
        )
        return found

    def apply_transform(self, x: Any, transform_parameters: dict[str, Any]) -> np.ndarray:
        """Returns one picture changed as `get_random_transform` says."""
        found = transform_parameters
        row, column = self.row_axis - 1, self.col_axis - 1
        channel = self.channel_axis - 1
        x = apply_affine_transform(
            x, found.get("theta", 0), found.get("tx", 0), found.get("ty", 0),
            found.get("shear", 0), found.get("zx", 1), found.get("zy", 1),
            row, column, channel, self.fill_mode, self.cval, self.interpolation_order,
        )  # fmt: skip
        if found.get("channel_shift_intensity") is not None:
            x = changes.apply_channel_shift(x, found["channel_shift_intensity"], channel)
        if found.get("flip_horizontal"):
            x = np.flip(x, column)
        if found.get("flip_vertical"):
            x = np.flip(x, row)
        if found.get("brightness") is not None:
            x = changes.apply_brightness_shift(x, found["brightness"], False, channel)
        return x

    def random_transform(self, x: Any, seed: int | None = None) -> np.ndarray:
        """Returns one picture changed by chance."""
        return self.apply_transform(x, self.get_random_transform(np.shape(x), seed))

    def fit(self, x: Any, augment: bool = False, rounds: int = 1, seed: int | None = None) -> None:
        """Finds what `featurewise_center`, `…_std_normalization` and `zca_whitening` need.

        Args:
            x: pictures, 4 dimensions.
            augment: change them by chance before.
            rounds: how often, with `augment`.
            seed: of the changes.

        Raises:
            ValueError: `x` has another number of dimensions.
        """
        check_whole("rounds", rounds, 1)
        pictures = np.array(x, dtype=self.dtype)
        if pictures.ndim != 4:
            raise ValueError(f"fit takes pictures of 4 dimensions. Received: {pictures.shape}")
        if pictures.shape[self.channel_axis] not in (1, 3, 4):
            warnings.warn(
                f"fit: {pictures.shape[self.channel_axis]} channels in pictures of shape "
                f"{pictures.shape}, {self.data_format}: 1, 3 or 4 are usual.",
                stacklevel=2,
            )
        if self.rescale:
            pictures *= self.rescale
        if augment:
            random = np.random if seed is None else np.random.RandomState(seed)
            pictures = np.stack([
                self.apply_transform(picture, self.draw(picture.shape, random))
                for _ in range(rounds)
                for picture in pictures
            ])  # fmt: skip
        standardizing.fit(self, pictures)


def _up_to(most: float, random: Any) -> float:
    return random.uniform(-most, most) if most else 0


def _shift(most: Any, size: int, random: Any) -> float:
    """A shift in pixels: a share of the size below 1, pixels from 1 on, or one of a list."""
    if np.size(most) == 1 and not np.any(most):
        return 0
    if np.ndim(most) or isinstance(most, int | np.integer):
        shift = float(random.choice(most)) * random.choice([-1, 1])
    else:
        shift = random.uniform(-most, most)
    return shift * size if np.max(most) < 1 else shift
