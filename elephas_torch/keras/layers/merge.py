"""Where Keras 2 had the layers that join others. Keras 1 had a function of this name."""

import sys
from types import ModuleType
from typing import Any

from elephas_torch.keras.legacy import moved

__all__, __getattr__ = moved(__name__)


class _Both(ModuleType):
    """This module, which once it is imported hides the function: it can be called like it."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        from elephas_torch.keras.legacy.merging import merge

        return merge(*args, **kwargs)


sys.modules[__name__].__class__ = _Both
