"""`image_dataset_from_directory`."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import torch
from torch import Tensor

from elephas_torch.errors import unknown
from elephas_torch.keras import config
from elephas_torch.keras.utils import directories, images, resizing

FORMATS = (".bmp", ".gif", ".jpeg", ".jpg", ".png")


def image_dataset_from_directory(
    directory: str | os.PathLike[str],
    labels: str | Sequence[int] | None = "inferred",
    label_mode: str | None = "int",
    class_names: Sequence[str] | None = None,
    color_mode: str = "rgb",
    batch_size: int | None = 32,
    image_size: tuple[int, int] = (256, 256),
    shuffle: bool = True,
    seed: int | None = None,
    validation_split: float | None = None,
    subset: str | None = None,
    interpolation: str = "bilinear",
    follow_links: bool = False,
    crop_to_aspect_ratio: bool = False,
    pad_to_aspect_ratio: bool = False,
    data_format: str | None = None,
    format: str | None = None,
    verbose: bool = True,
) -> Any:
    """Makes a dataset of the pictures in a folder, a class in each of its folders.

    Follows https://keras.io/api/data_loading/image/#imagedatasetfromdirectory-function

    Args:
        directory: with a folder a class. Pictures end with .bmp, .gif, .jpeg, .jpg or .png.
        labels: "inferred" from the folders, None for none, or whole numbers, one a file, in the
            order of the files' paths.
        label_mode: "int" gives int32 (batch,), "binary" float32 (batch, 1) of 0 and 1,
            "categorical" one-hot float32 (batch, classes), None no labels.
        class_names: the folders to take, in the order of their numbers. Default all, sorted.
        color_mode: "grayscale", "rgb" or "rgba": 1, 3 or 4 channels.
        batch_size: default 32; None gives pictures one by one.
        image_size: (height, width) to resize them to.
        shuffle: a new order each epoch. False keeps the order of the paths.
        seed: what the order depends on; also which files are for validation.
        validation_split: the share of files for validation, above 0 and below 1.
        subset: "training", "validation" or "both".
        interpolation: "bilinear", "nearest", "bicubic" or "area".
        follow_links: look into folders that are symbolic links too.
        crop_to_aspect_ratio: cut off what is too wide or too high, in place of distorting it.
        pad_to_aspect_ratio: add black borders instead.
        data_format: "channels_last" or "channels_first"; the global setting by default.
        format: accepted for Keras's sake; there is one kind of dataset here.
        verbose: print how many files there are.

    Returns:
        A `BatchedDataset` of (pictures, labels), or pictures alone: float32 from 0 to 255, shape
        (batch, height, width, channels). With its attributes `class_names` and `file_paths`. For
        `subset="both"`, a list of two.

    Raises:
        ImportError: Pillow isn't installed.
        ValueError: an argument is none of these, or there are no pictures.
    """
    images.pillow("image_dataset_from_directory")
    if color_mode not in images.CHANNELS:
        raise unknown("color_mode", color_mode, images.CHANNELS)
    size = resizing.checked_size("image_size", image_size)
    interpolation = resizing.checked_interpolation(interpolation)
    data_format = config.checked_data_format(data_format)
    if crop_to_aspect_ratio and pad_to_aspect_ratio:
        raise ValueError(
            "Only one of `crop_to_aspect_ratio` and `pad_to_aspect_ratio` can be True."
        )

    def load(path: str) -> Tensor:
        array = np.array(images.load_img(path, color_mode), dtype=np.float32)
        image = torch.from_numpy(array if array.ndim == 3 else array[:, :, None])
        return resizing.resize(
            image.movedim(-1, 0), size, interpolation, "channels_first",
            crop=crop_to_aspect_ratio, pad=pad_to_aspect_ratio,
        )  # fmt: skip

    def read(paths: list[str]) -> Tensor:
        # Pillow decodes without holding the interpreter's lock.
        with ThreadPoolExecutor(torch.get_num_threads()) as pool:
            batch = torch.stack(list(pool.map(load, paths)))
        return batch if data_format == "channels_first" else batch.movedim(1, -1).contiguous()

    choice = directories.Choice(
        directory, labels, label_mode, class_names, batch_size, shuffle, seed, validation_split,
        subset, follow_links, verbose,
    )  # fmt: skip
    return directories.datasets(choice, FORMATS, read)
