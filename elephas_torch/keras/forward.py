"""The forward pass of a step, compiled by torch where that is asked for."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from elephas_torch.keras.compiled_model import CompiledModel


class Forward:
    """A model's outputs, some of them without their last activation.

    Args:
        model: built.
        which: the numbers of the outputs that are wanted before their activation.
        jit: whether `torch.compile` is to be used.
    """

    def __init__(self, model: CompiledModel, which: list[int], jit: bool = False) -> None:
        self.model, self.which = model, which
        self._single = model.last_activation() is not None
        self._compiled: Any = torch.compile(self._eager) if jit else None

    def __call__(self, x: Any) -> Any:
        return self._eager(x) if self._compiled is None else self._by_compiler(x)

    def _eager(self, x: Any) -> Any:
        if not self.which:
            return self.model(x)
        if self._single:
            return self.model.preactivation(x)
        return self.model.preactivations(x, self.which)

    def _by_compiler(self, x: Any) -> Any:
        try:
            return self._compiled(x)
        except torch.cuda.OutOfMemoryError:
            raise
        except Exception as error:
            if not str(type(error).__module__).startswith("torch."):
                raise
            reason = str(error).strip().splitlines()[0]
            warnings.warn(
                f"jit_compile=True has no effect: torch.compile failed ({reason}).", stacklevel=2
            )
            self._compiled = None
            return self._eager(x)
