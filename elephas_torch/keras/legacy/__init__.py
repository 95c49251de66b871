"""How Keras 1 and 2 spelled things, as tables, and the translation into today's spelling.

A call in an old spelling works as it did and warns once, with a `DeprecationWarning` that says
what to write. What is spelled how is in `arguments.py` (of layers), `calls.py` (of `fit`,
`compile` …), `positions.py` (Keras 1's order of arguments), `adding.py` (`add_weight`), `names.py`
(classes and functions) and `modules.py`.
"""

from elephas_torch.keras.legacy.calls import (
    fit,
    gone,
    ignore,
    method,
    optimizer,
    renamed,
    show_accuracy,
)
from elephas_torch.keras.legacy.constructors import modern, translated
from elephas_torch.keras.legacy.modules import moved
from elephas_torch.keras.legacy.names import CLASSES, MERGES, merge_options, under_old_name
from elephas_torch.keras.legacy.notice import warn
from elephas_torch.keras.legacy.weights import weights_today

__all__ = [
    "CLASSES", "MERGES", "fit", "gone", "ignore", "merge_options", "method", "modern",
    "moved", "optimizer", "renamed", "show_accuracy", "translated", "under_old_name", "warn",
    "weights_today",
]  # fmt: skip
