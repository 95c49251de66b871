"""`text_dataset_from_directory`."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from elephas_torch.keras.arguments import check_whole
from elephas_torch.keras.utils import directories

FORMATS = (".txt",)


def text_dataset_from_directory(
    directory: str | os.PathLike[str],
    labels: str | Sequence[int] | None = "inferred",
    label_mode: str | None = "int",
    class_names: Sequence[str] | None = None,
    batch_size: int | None = 32,
    max_length: int | None = None,
    shuffle: bool = True,
    seed: int | None = None,
    validation_split: float | None = None,
    subset: str | None = None,
    follow_links: bool = False,
    format: str | None = None,
    verbose: bool = True,
) -> Any:
    """Makes a dataset of the texts in a folder, a class in each of its folders.

    Follows https://keras.io/api/data_loading/text/#textdatasetfromdirectory-function

    Args:
        directory: with a folder a class. Texts end with .txt and are UTF-8.
        max_length: characters to keep of each text. Default all.
        labels, label_mode, class_names, batch_size, shuffle, seed, validation_split, subset,
            follow_links, format, verbose: as in `image_dataset_from_directory`.

    Returns:
        A `BatchedDataset` of (texts, labels), or texts alone: a list of strings a batch. With its
        attributes `class_names` and `file_paths`. For `subset="both"`, a list of two.

    Raises:
        ValueError: an argument is none of these, or there are no texts.
    """
    if max_length is not None:
        check_whole("max_length", max_length, 1)

    def read(paths: list[str]) -> list[str]:
        return [Path(path).read_text(encoding="utf-8")[:max_length] for path in paths]

    choice = directories.Choice(
        directory, labels, label_mode, class_names, batch_size, shuffle, seed, validation_split,
        subset, follow_links, verbose,
    )  # fmt: skip
    return directories.datasets(choice, FORMATS, read)
