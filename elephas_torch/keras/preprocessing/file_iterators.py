"""Batches of changed pictures out of files: a folder's, or those that a data frame names."""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from elephas_torch.errors import unknown
from elephas_torch.keras.preprocessing.iterators import Iterator, Saving, subset_rows
from elephas_torch.keras.utils import images, resizing

if TYPE_CHECKING:
    from elephas_torch.keras.preprocessing.generator import ImageDataGenerator

_NUMBERED = ("categorical", "binary", "sparse")


@dataclass(frozen=True)
class Reading:
    """How files are read; see `load_img`."""

    target_size: Any = (256, 256)
    color_mode: str = "rgb"
    interpolation: str = "nearest"
    keep_aspect_ratio: bool = False


class FileIterator(Iterator):
    """Base class: pictures out of files."""

    def __init__(
        self,
        paths: list[str],
        names: list[str],
        image_data_generator: ImageDataGenerator,
        reading: Reading,
        class_mode: str | None,
        batch_size: int,
        shuffle: bool,
        seed: int | None,
        saving: Saving | None,
    ) -> None:
        images.pillow(type(self).__name__)
        self.image_data_generator = image_data_generator
        self.saving, self.reading = saving or Saving(), reading
        if reading.color_mode not in images.CHANNELS:
            raise unknown("color_mode", reading.color_mode, images.CHANNELS)
        self.target_size = resizing.checked_size("target_size", reading.target_size)
        self.color_mode, self.class_mode = reading.color_mode, class_mode
        channels = images.CHANNELS[reading.color_mode]
        last = image_data_generator.data_format == "channels_last"
        self.image_shape = (*self.target_size, channels) if last else (channels, *self.target_size)
        self.filepaths, self.filenames, self.samples = paths, names, len(paths)
        self.sample_weight: np.ndarray | None = None
        super().__init__(len(paths), batch_size, shuffle, seed)

    class_indices: dict[str, int]
    #: Class numbers, one a file; or lists of them.
    classes: Any
    targets: Any = None

    @property
    def labels(self) -> Any:
        """The targets: class numbers, or columns as they are."""
        return self.classes if self.targets is None else self.targets

    @property
    def num_classes(self) -> int:
        """The number of classes."""
        return len(self.class_indices)

    @property
    def nb_sample(self) -> int:
        """Keras 1's name of `samples`."""
        return self.samples

    @property
    def nb_class(self) -> int:
        """Keras 1's name of `num_classes`."""
        return self.num_classes

    def _shape(self) -> tuple[int, ...]:
        return self.image_shape

    def _picture(self, row: int) -> np.ndarray:
        image = images.load_img(
            self.filepaths[row], self.color_mode, self.target_size, self.reading.interpolation,
            self.reading.keep_aspect_ratio,
        )  # fmt: skip
        generator = self.image_data_generator
        return images.img_to_array(image, generator.data_format, generator.dtype)

    def _with_targets(self, batch: np.ndarray, rows: np.ndarray) -> Any:
        if self.class_mode is None:
            return batch
        y = self._targets(batch, rows)
        return (batch, y) if self.sample_weight is None else (batch, y, self.sample_weight[rows])

    def _targets(self, batch: np.ndarray, rows: np.ndarray) -> Any:
        if self.class_mode == "input":
            return batch.copy()
        if self.class_mode == "raw":
            return self.targets[rows]
        if self.class_mode == "multi_output":
            return [column[rows] for column in self.targets]
        if self.class_mode == "categorical":
            y = np.zeros((len(rows), self.num_classes), batch.dtype)
            for place, row in enumerate(rows):
                y[place, self.classes[row]] = 1
            return y
        return np.array([self.classes[row] for row in rows], batch.dtype)


class DirectoryIterator(FileIterator):
    """Pictures out of a folder; see `ImageDataGenerator.flow_from_directory`."""

    def __init__(
        self,
        directory: Any,
        image_data_generator: ImageDataGenerator,
        reading: Reading | None = None,
        classes: Sequence[str] | None = None,
        class_mode: str | None = "categorical",
        batch_size: int = 32,
        shuffle: bool = True,
        seed: int | None = None,
        saving: Saving | None = None,
        follow_links: bool = False,
        subset: str | None = None,
    ) -> None:
        _check_mode(class_mode, (*_NUMBERED, "input"))
        if not os.path.isdir(directory):
            raise ValueError(f"`directory` is no folder. Received: directory={directory!r}")
        self.directory = directory
        top = os.fspath(directory)
        folders = list(classes or sorted(e.name for e in os.scandir(top) if e.is_dir()))
        self.class_indices = {name: number for number, name in enumerate(folders)}
        found = []
        for folder in folders:
            there = self._files(os.path.join(top, folder), folder, follow_links)
            rows = subset_rows(image_data_generator, subset, len(there))
            found.append(there[rows])
        names = [name for several in found for name in several]
        self.classes = np.repeat(np.arange(len(folders), dtype=np.int32), [len(f) for f in found])
        print(f"Found {len(names)} images belonging to {len(folders)} classes.")
        super().__init__(
            [os.path.join(top, name) for name in names], names, image_data_generator,
            reading or Reading(), class_mode, batch_size, shuffle, seed, saving,
        )  # fmt: skip

    def _files(self, top: str, folder: str, follow_links: bool) -> list[str]:
        walk = sorted(os.walk(top, followlinks=follow_links), key=lambda entry: entry[0])
        return [
            os.path.join(folder, os.path.relpath(os.path.join(root, name), top))
            for root, _, names in walk
            for name in sorted(names)
            if name.lower().endswith(self.white_list_formats)
        ]


class DataFrameIterator(FileIterator):
    """Pictures that a data frame names; see `ImageDataGenerator.flow_from_dataframe`."""

    def __init__(
        self,
        dataframe: Any,
        directory: Any,
        image_data_generator: ImageDataGenerator,
        reading: Reading | None = None,
        x_col: str = "filename",
        y_col: Any = "class",
        weight_col: str | None = None,
        classes: Sequence[str] | None = None,
        class_mode: str | None = "categorical",
        batch_size: int = 32,
        shuffle: bool = True,
        seed: int | None = None,
        saving: Saving | None = None,
        subset: str | None = None,
        validate_filenames: bool = True,
    ) -> None:
        if class_mode == "other":
            warnings.warn(
                "class_mode='other' is the old name of 'raw'.", DeprecationWarning, stacklevel=3
            )
            class_mode = "raw"
        _check_mode(class_mode, (*_NUMBERED, "input", "raw", "multi_output"))
        if class_mode == "multi_output" and not isinstance(y_col, list):
            raise TypeError(f'class_mode="multi_output" needs a list. Received: y_col={y_col!r}')
        names = dataframe[x_col].tolist()
        if not all(isinstance(name, str) for name in names):
            raise TypeError(f"Column {x_col!r} must hold the files' names, strings.")
        top = "" if directory is None else os.fspath(directory)
        kept = list(range(len(names)))
        if validate_filenames:
            kept = self._there(kept, [os.path.join(top, name) for name in names], x_col)
        numbered = class_mode in _NUMBERED
        if numbered:
            kept, labels = self._numbered(dataframe[y_col].tolist(), kept, classes)
        rows = subset_rows(image_data_generator, subset, len(kept))
        kept = kept[rows]
        if numbered:
            self.classes = labels[rows]
        elif class_mode == "multi_output":
            self.targets = [np.array(dataframe[column].tolist())[kept] for column in y_col]
        elif class_mode == "raw":
            self.targets = dataframe[y_col].to_numpy()[kept]
        text = f" belonging to {len(self.class_indices)} classes" if numbered else ""
        print(f"Found {len(kept)} image filenames{text}.")
        chosen = [names[row] for row in kept]
        super().__init__(
            [os.path.join(top, name) for name in chosen], chosen, image_data_generator,
            reading or Reading(), class_mode, batch_size, shuffle, seed, saving,
        )  # fmt: skip
        if weight_col is not None:
            self.sample_weight = np.asarray(dataframe[weight_col].tolist(), float)[kept]

    def _there(self, rows: list[int], paths: list[str], x_col: str) -> list[int]:
        kept = [
            row
            for row in rows
            if paths[row].lower().endswith(self.white_list_formats) and os.path.isfile(paths[row])
        ]
        if len(kept) < len(rows):
            warnings.warn(
                f"{len(rows) - len(kept)} files of column {x_col!r} aren't there, or are no "
                "pictures: they are left out.",
                stacklevel=4,
            )
        return kept

    def _numbered(
        self, values: list[Any], rows: list[int], classes: Sequence[str] | None
    ) -> tuple[list[int], list[Any]]:
        """The rows whose classes are wanted, and their numbers."""
        lists = {row: _as_list(values[row]) for row in rows}
        found = sorted({one for several in lists.values() for one in several})
        chosen = list(dict.fromkeys(classes)) if classes else found
        self.class_indices = {name: number for number, name in enumerate(chosen)}
        numbers = {
            row: [self.class_indices[one] for one in several if one in self.class_indices]
            for row, several in lists.items()
        }
        kept = [row for row in rows if numbers[row]]
        several = [numbers[row] for row in kept]
        alone = [isinstance(values[row], str) for row in kept]
        return kept, [n[0] if one else n for n, one in zip(several, alone, strict=True)]


def _as_list(value: Any) -> list[str]:
    several = list(value) if isinstance(value, list | tuple) else [value]
    if not all(isinstance(one, str) for one in several):
        raise TypeError(
            "Classes in a data frame must be strings, or lists of them; with other columns use "
            f"class_mode='raw'. Received: {value!r}"
        )
    return several


def _check_mode(class_mode: Any, known: tuple[str, ...]) -> None:
    if class_mode is not None and class_mode not in known:
        raise unknown("class_mode", class_mode, [*known, "None"])
