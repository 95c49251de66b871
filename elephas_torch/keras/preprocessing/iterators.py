"""Batches of changed pictures, without end: what `ImageDataGenerator.flow…` gives."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from elephas_torch.errors import unknown
from elephas_torch.keras.arguments import check_whole
from elephas_torch.keras.utils import images
from elephas_torch.keras.utils.py_dataset import PyDataset

if TYPE_CHECKING:
    from elephas_torch.keras.preprocessing.generator import ImageDataGenerator

_SUBSETS = ("training", "validation")


@dataclass(frozen=True)
class Saving:
    """Where changed pictures are written to: nowhere without a folder."""

    folder: Any = None
    prefix: str = ""
    format: str = "png"


class Iterator(PyDataset):
    """Base class: pictures by row number, changed and gathered into batches.

    `next()` and `for` give batches without end; `[number]` and `len()` one epoch's.

    Args:
        n: how many pictures there are.
        batch_size: pictures a batch; the last one has what remains.
        shuffle: a new order each epoch.
        seed: of the order and the changes; None takes both from NumPy's global generator.
        kwargs: for `PyDataset`.
    """

    white_list_formats = ("png", "jpg", "jpeg", "bmp", "ppm", "tif", "tiff")
    image_data_generator: ImageDataGenerator
    saving = Saving()

    def __init__(
        self, n: int, batch_size: int, shuffle: bool, seed: int | None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        check_whole("batch_size", batch_size, 1)
        self.n, self.batch_size, self.shuffle, self.seed = n, batch_size, shuffle, seed
        self.batch_index = self.total_batches_seen = 0
        self.index_array: np.ndarray | None = None
        self._random: Any = np.random
        self._lock = threading.RLock()

    def __len__(self) -> int:
        return -(-self.n // self.batch_size)

    def __getitem__(self, index: int) -> Any:
        if not 0 <= index < len(self):
            raise IndexError(f"Batch {index} isn't there: an epoch has {len(self)}.")
        with self._lock:
            self._begin_batch()
            if self.index_array is None:
                self.on_epoch_end()
            rows, drawn = self._drawn(index)
        return self._batch(rows, drawn)

    def __iter__(self) -> Iterator:
        return self

    def __next__(self) -> Any:
        if not self.n:
            raise StopIteration
        with self._lock:
            self._begin_batch()
            if self.batch_index == 0:
                self.on_epoch_end()
            rows, drawn = self._drawn(self.batch_index)
            self.batch_index = (self.batch_index + 1) % len(self)
        return self._batch(rows, drawn)

    def next(self) -> Any:
        """The next batch, as Python 2 spelled it."""
        return self.__next__()

    def reset(self) -> None:
        """Lets `next()` begin with the first batch of an epoch."""
        self.batch_index = 0

    def on_epoch_end(self) -> None:
        """Takes a new order."""
        order = np.arange(self.n)
        self.index_array = self._random.permutation(self.n) if self.shuffle else order

    def _begin_batch(self) -> None:
        if self.seed is not None:
            self._random = np.random.RandomState(self.seed + self.total_batches_seen)
        self.total_batches_seen += 1

    def _drawn(self, index: int) -> tuple[np.ndarray, list[dict[str, Any]]]:
        first = self.batch_size * index
        rows = np.asarray(self.index_array)[first : first + self.batch_size]
        shape = self._shape()
        return rows, [self.image_data_generator.draw(shape, self._random) for _ in rows]

    def _batch(self, rows: np.ndarray, drawn: list[dict[str, Any]]) -> Any:
        generator = self.image_data_generator
        batch = np.stack([
            generator.standardize(
                generator.apply_transform(self._picture(row).astype(generator.dtype), one)
            )
            for row, one in zip(rows, drawn, strict=True)
        ])  # fmt: skip
        if self.saving.folder:
            self._save(batch, rows)
        return self._with_targets(batch, rows)

    def _save(self, batch: np.ndarray, rows: np.ndarray) -> None:
        for picture, row in zip(batch, rows, strict=True):
            image = images.array_to_img(picture, self.image_data_generator.data_format)
            number = self._random.randint(10**7)
            name = f"{self.saving.prefix}_{row}_{number}.{self.saving.format}"
            image.save(Path(self.saving.folder) / name)

    def _shape(self) -> tuple[int, ...]:
        """A picture's shape."""
        raise TypeError(f"{type(self).__name__} must define _shape().")

    def _picture(self, row: int) -> np.ndarray:
        """One picture, unchanged."""
        raise TypeError(f"{type(self).__name__} must define _picture(row).")

    def _with_targets(self, batch: np.ndarray, rows: np.ndarray) -> Any:
        """The batch with what else belongs to these rows."""
        return batch


class NumpyArrayIterator(Iterator):
    """Pictures out of an array; see `ImageDataGenerator.flow`."""

    def __init__(
        self,
        x: Any,
        y: Any,
        image_data_generator: ImageDataGenerator,
        batch_size: int = 32,
        shuffle: bool = False,
        sample_weight: Any = None,
        seed: int | None = None,
        saving: Saving | None = None,
        ignore_class_split: bool = False,
        subset: str | None = None,
    ) -> None:
        self.image_data_generator = image_data_generator
        self.saving = saving or Saving()
        pictures, others = (x[0], x[1]) if isinstance(x, tuple | list) else (x, [])
        several = others if isinstance(others, list) else [others]
        parts = {"x": pictures, "y": y, "sample_weight": sample_weight}
        parts |= {f"x[1][{number}]": one for number, one in enumerate(several)}
        arrays = {name: None if p is None else np.asarray(p) for name, p in parts.items()}
        _check_lengths(arrays)
        if subset is not None:
            rows = subset_rows(image_data_generator, subset, len(pictures))
            if y is not None and not ignore_class_split:
                _check_classes(np.asarray(y), rows)
            arrays = {name: None if a is None else a[rows] for name, a in arrays.items()}
        self.x = np.asarray(arrays.pop("x"), dtype=image_data_generator.dtype)
        if self.x.ndim != 4:
            raise ValueError(f"flow takes pictures of 4 dimensions. Received: {self.x.shape}")
        self.y, self.sample_weight = arrays.pop("y"), arrays.pop("sample_weight")
        self.x_misc = list(arrays.values())
        super().__init__(len(self.x), batch_size, shuffle, seed)

    def _shape(self) -> tuple[int, ...]:
        return self.x.shape[1:]

    def _picture(self, row: int) -> np.ndarray:
        return self.x[row]

    def _with_targets(self, batch: np.ndarray, rows: np.ndarray) -> Any:
        x: Any = [batch, *(one[rows] for one in self.x_misc if one is not None)]
        x = x if self.x_misc else batch
        if self.y is None:
            return x
        if self.sample_weight is None:
            return x, self.y[rows]
        return x, self.y[rows], self.sample_weight[rows]


def _check_lengths(arrays: dict[str, np.ndarray | None]) -> None:
    rows = len(arrays["x"])  # type: ignore[arg-type]
    for name, array in arrays.items():
        if array is not None and len(array) != rows:
            raise ValueError(f"`x` has {rows} pictures, `{name}` {len(array)} rows.")


def subset_rows(generator: ImageDataGenerator, subset: Any, count: int) -> slice:
    """Returns which of so many rows are in a subset; the first ones are for validation.

    Raises:
        ValueError: `subset` is none of "training", "validation" and None.
    """
    if subset is None:
        return slice(None)
    if subset not in _SUBSETS:
        raise unknown("subset", subset, _SUBSETS)
    cut = int(count * generator.validation_split)
    return slice(cut) if subset == "validation" else slice(cut, None)


def _check_classes(y: np.ndarray, rows: slice) -> None:
    inside = np.unique(y[rows])
    other = np.delete(np.arange(len(y)), rows)
    if not np.array_equal(inside, np.unique(y[other])):
        raise ValueError(
            "The subsets for training and validation have different classes: shuffle the data "
            "before, or pass ignore_class_split=True."
        )
