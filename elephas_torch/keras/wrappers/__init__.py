"""Models as scikit-learn's estimators. See https://keras.io/api/utils/sklearn_wrappers/

They need scikit-learn (1.3 or later), which is imported when one of them is asked for.
"""

from __future__ import annotations

import importlib
from typing import Any

from elephas_torch.errors import absent, nearest

_NAMES = ("SKLearnClassifier", "SKLearnRegressor", "SKLearnTransformer")

__all__ = ["SKLearnClassifier", "SKLearnRegressor", "SKLearnTransformer", "scikit_learn"]


def __getattr__(name: str) -> Any:
    if name in _NAMES:
        return getattr(_estimators(name), name)
    if name == "scikit_learn":
        return importlib.import_module(f"{__name__}.scikit_learn")
    raise absent(f"module {__name__!r} has no attribute {name!r}.{nearest(name, __all__)}")


def _estimators(name: str) -> Any:
    try:
        return importlib.import_module(f"{__name__}.estimators")
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "sklearn":
            raise
        raise ImportError(f"{name} needs scikit-learn: pip install scikit-learn") from None


def __dir__() -> list[str]:
    return sorted(__all__)
