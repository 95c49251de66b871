"""Weights in a file that a model has no place for: the file is of a larger model."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from torch import nn

from elephas_torch.keras.saving import hdf5, layout

#: What else Keras keeps, or kept, beside weights: states of optimizers, metrics and dropout.
_NO_WEIGHTS = ("optimizer", "metrics", "generator")


def weights(model: nn.Module, file: Any) -> list[str]:
    """Returns the places of a file's weights that the model doesn't take.

    Args:
        file: the root of a file in Keras 3's form.
    """
    parts = {path: part for path, part in layout.parts(model)}
    taken = {*parts, *(layout.own_place(part, path) for path, part in parts.items())}
    return [
        place
        for place in _places(file)
        if _today(place) not in taken and not _is_known(_today(place), parts)
    ]


def _today(place: str) -> str:
    return place.replace(layout.OLDER, "layers")


def _places(file: Any) -> Iterator[str]:
    """The paths that have arrays in the file."""
    found: list[str] = []
    # By links that lie in the file: h5py follows no others here.
    file.visit(found.append)
    for path in found:
        place, _, end = path.rpartition("/")
        if end == "vars" and len(hdf5.Stored(hdf5.group(file, path))):
            yield place


def _is_known(place: str, parts: dict[str, nn.Module]) -> bool:
    """Whether a place is that of something else than weights."""
    names = place.split("/")
    if any(name in _NO_WEIGHTS or name.startswith("seed_generator") for name in names):
        return True
    depth = max(n for n in range(len(names)) if "/".join(names[:n]) in parts)
    attributes = vars(parts["/".join(names[:depth])])
    # Keras kept the state of metrics that are attributes.
    return names[depth] in attributes and not layout.holds_parts(attributes[names[depth]])
