"""Metrics that are attributes of a layer: what they say comes into the logs."""

from __future__ import annotations

from typing import Any

from elephas_torch.keras.metrics import Metric


def metrics_in(owner: Any) -> list[Any]:
    """Returns the metrics among an object's attributes, and in lists of them."""
    found: list[Any] = []
    for value in vars(owner).values():
        parts = value if isinstance(value, list | tuple) else [value]
        found += [one for one in parts if isinstance(one, Metric)]
    return found
