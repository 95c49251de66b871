"""Files in folders that are their classes: what the datasets from directories have in common."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from elephas_torch.errors import unknown
from elephas_torch.keras.arguments import check_flag, check_share
from elephas_torch.keras.utils import batched

_LABEL_MODES = ("int", "categorical", "binary")
_SUBSETS = ("training", "validation", "both")


@dataclass(frozen=True)
class Choice:
    """The arguments that all of these datasets take; see `image_dataset_from_directory`."""

    directory: Any
    labels: Any
    label_mode: str | None
    class_names: Sequence[str] | None
    batch_size: int | None
    shuffle: bool
    seed: int | None
    validation_split: float | None
    subset: str | None
    follow_links: bool
    verbose: bool


@dataclass(frozen=True)
class Files:
    """Files with their labels.

    Attributes:
        paths: the files.
        labels: int32, one a file; None where there are none.
        names: of the classes; None where there are none.
    """

    paths: list[str]
    labels: np.ndarray | None
    names: list[str] | None

    def part(self, rows: slice) -> Files:
        """Some of the files."""
        return Files(self.paths[rows], None if self.labels is None else self.labels[rows],
                     self.names)  # fmt: skip


def datasets(choice: Choice, formats: tuple[str, ...], read: Callable[[list[str]], Any]) -> Any:
    """Makes the dataset, or with `subset="both"` a list of the two.

    Args:
        choice: the caller's arguments.
        formats: the names' endings, such as ".txt".
        read: gives the samples of some files.

    Raises:
        ValueError: an argument is out of its range, or there are no such files.
    """
    _check(choice)
    seed = int(np.random.randint(10**6)) if choice.seed is None else choice.seed
    files = index(choice, formats, seed)
    if choice.label_mode == "binary" and files.names is not None and len(files.names) != 2:
        raise ValueError(
            f'label_mode="binary" needs two classes. Received: class_names={files.names}'
        )
    parts = _parts(choice, files)
    for name, part in parts.items():
        if not part.paths:
            kind = "" if name == "all" else f" for {name}"
            raise ValueError(
                f"{choice.directory} has no files{kind} that end with {', '.join(formats)}."
            )
    made = [_dataset(choice, part, read, seed) for part in parts.values()]
    return made if choice.subset == "both" else made[0]


def index(choice: Choice, formats: tuple[str, ...], seed: int) -> Files:
    """Lists the files, in the order that Keras gives them for a seed."""
    directory = os.fspath(choice.directory)
    inferred = _inferred(choice)
    folders = _folders(choice, directory) if inferred else [""]
    found = [_listed(directory, folder, formats, choice.follow_links) for folder in folders]
    paths = [path for several in found for path in several]
    labels: np.ndarray | None = None
    names: list[str] | None = None
    if inferred:
        labels, names = np.repeat(np.arange(len(folders)), [len(f) for f in found]), folders
    elif _labelled(choice):
        labels = _given(choice, len(paths))
        names = [str(label) for label in sorted(set(choice.labels))]
    if choice.verbose:
        classes = "" if names is None else f" belonging to {len(names)} classes"
        print(f"Found {len(paths)} files{classes}.")
    if choice.shuffle:
        order = np.arange(len(paths))
        np.random.RandomState(seed).shuffle(order)
        paths = [paths[number] for number in order]
        labels = None if labels is None else labels[order]
    return Files(paths, None if labels is None else labels.astype(np.int32), names)


def _labelled(choice: Choice) -> bool:
    return choice.labels is not None and choice.label_mode is not None


def _inferred(choice: Choice) -> bool:
    return isinstance(choice.labels, str) and _labelled(choice)


def _folders(choice: Choice, directory: str) -> list[str]:
    there = [
        name
        for name in sorted(os.listdir(directory))
        if not name.startswith(".") and os.path.isdir(os.path.join(directory, name))
    ]
    if choice.class_names is None:
        return there
    strangers = [name for name in choice.class_names if name not in there]
    if strangers:
        raise unknown(f"class name (folder of {directory})", strangers[0], there)
    return list(choice.class_names)


def _listed(directory: str, folder: str, formats: tuple[str, ...], links: bool) -> list[str]:
    top = os.path.join(directory, folder)
    walk = sorted(os.walk(top, followlinks=links), key=lambda entry: entry[0])
    return [
        os.path.join(directory, folder, os.path.relpath(os.path.join(root, name), top))
        for root, _, names in walk
        for name in sorted(names)
        if name.lower().endswith(formats)
    ]


def _given(choice: Choice, count: int) -> np.ndarray:
    if len(choice.labels) != count:
        raise ValueError(
            f"`labels` must have an entry a file: {choice.directory} has {count} files. "
            f"Received: {len(choice.labels)} labels"
        )
    return np.asarray(choice.labels)


def _parts(choice: Choice, files: Files) -> dict[str, Files]:
    if not choice.validation_split:
        return {"all": files}
    cut = len(files.paths) - int(choice.validation_split * len(files.paths))
    both = {"training": files.part(slice(cut)), "validation": files.part(slice(cut, None))}
    wanted = {n: part for n, part in both.items() if choice.subset in (n, "both")}
    if choice.verbose:
        for name, part in wanted.items():
            print(f"Using {len(part.paths)} files for {name}.")
    return wanted


def _dataset(
    choice: Choice, files: Files, read: Callable[[list[str]], Any], seed: int
) -> batched.BatchedDataset:
    labels = _encoded(files, choice.label_mode)

    def batch(rows: np.ndarray) -> Any:
        samples = read([files.paths[row] for row in rows])
        return samples if labels is None else (samples, labels[torch.from_numpy(rows)])

    dataset = batched.from_rows(batch, len(files.paths), choice.batch_size, choice.shuffle, seed)
    dataset.class_names, dataset.file_paths = files.names, files.paths
    return dataset


def _encoded(files: Files, label_mode: str | None) -> Tensor | None:
    if files.labels is None:
        return None
    labels = torch.from_numpy(files.labels)
    if label_mode == "binary":
        return labels.float().unsqueeze(-1)
    if label_mode == "categorical":
        return torch.nn.functional.one_hot(labels.long(), len(files.names or ())).float()
    return labels


def _check(choice: Choice) -> None:
    if not os.path.isdir(choice.directory):
        raise ValueError(f"`directory` is no folder. Received: directory={choice.directory!r}")
    if choice.label_mode is not None and choice.label_mode not in _LABEL_MODES:
        raise unknown("label_mode", choice.label_mode, [*_LABEL_MODES, "None"])
    check_flag("shuffle", choice.shuffle)
    _check_labels(choice)
    _check_subset(choice)


def _check_labels(choice: Choice) -> None:
    labels = choice.labels
    if labels is not None and labels != "inferred" and not isinstance(labels, list | tuple):
        raise ValueError(
            "`labels` must be 'inferred' (from the folders), None, or a list of whole numbers, "
            f"one a file. Received: labels={labels!r}"
        )
    if choice.class_names is not None and labels != "inferred":
        raise ValueError(
            "`class_names` goes with labels='inferred' alone. "
            f"Received: class_names={choice.class_names!r}, labels={labels!r}"
        )


def _check_subset(choice: Choice) -> None:
    if choice.subset is not None and choice.subset not in _SUBSETS:
        raise unknown("subset", choice.subset, _SUBSETS)
    check_share("validation_split", choice.validation_split or 0.0)
    if bool(choice.validation_split) != (choice.subset is not None):
        raise ValueError(
            "`validation_split` and `subset` go together. "
            f"Received: validation_split={choice.validation_split}, subset={choice.subset!r}"
        )
    if choice.validation_split and choice.shuffle and choice.seed is None:
        raise ValueError(
            "`validation_split` with shuffling needs a `seed`, so that no file is both in "
            "'training' and in 'validation'. Or pass shuffle=False. Received: seed=None"
        )
