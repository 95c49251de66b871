"""The forward pass of a step, compiled by torch where that is asked for.

Two of torch.compile's modes make CUDA graphs, on a GPU. What a graph gives lies in memory that its
next run writes to again, and none of it may outlive the step. So this holds:

- outputs are copied out of it, with their masks: losses, metrics and whoever else keeps them have
  memory of their own. What is taken of them (the loss, its sum, metrics' sums) is computed behind
  the graph, into ordinary memory;
- gradients are added to `Flat`'s, which are there before the first backward pass: torch takes a
  graph's own tensor for a weight's `.grad` only where that is None;
- moving statistics are changed where they lie, outside of it;
- what `add_loss` got is read in the same step, and forgotten when the next one begins;
- layers with metrics of their own keep what they computed for the next step: with them no graphs
  are made. Stateful layers aren't compiled at all, which torch fails at.

Each call begins a step, so that torch doesn't guess from pending backward passes when one is over.
Graphs are of one shape: a batch of another size is compiled, and recorded, once.
"""

from __future__ import annotations

import functools
import types
import warnings
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from elephas_torch.keras import masks, trees
from elephas_torch.keras.layers import sequences
from elephas_torch.keras.layers.base import Layer

if TYPE_CHECKING:
    from elephas_torch.keras.compiled_model import CompiledModel

#: torch.compile's modes.
MODES = ("default", "reduce-overhead", "max-autotune", "max-autotune-no-cudagraphs")
#: Those that make CUDA graphs.
WITH_GRAPHS = ("reduce-overhead", "max-autotune")

#: Whether graphs may have been made in this process.
_made = False


class Forward:
    """A model's outputs, some of them without their last activation.

    Args:
        model: built.
        which: the numbers of the outputs that are wanted before their activation.
        jit: whether `torch.compile` is to be used; or one of `MODES`, in which it is. True is
            "default".
    """

    def __init__(self, model: CompiledModel, which: list[int], jit: bool | str = False) -> None:
        self.model, self.which, self.jit = model, which, jit
        self._single = model.last_activation() is not None
        self._graphs = jit in WITH_GRAPHS and not model._own_metrics()
        stateful = any(getattr(layer, "stateful", False) for layer in model.modules())
        if jit and stateful:
            warnings.warn(f"jit_compile={jit!r} has no effect on stateful layers.", stacklevel=2)
        self._compiled: Any = self._by_torch() if jit and not stateful else None

    def __call__(self, x: Any) -> Any:
        return self._eager(x) if self._compiled is None else self._by_compiler(x)

    def _eager(self, x: Any) -> Any:
        if not self.which:
            return self.model(x)
        if self._single:
            return self.model.preactivation(x)
        return self.model.preactivations(x, self.which)

    def _by_torch(self) -> Any:
        for layer in self.model.modules():
            if isinstance(layer, Layer):
                type(layer)._takes_training  # noqa: B018 - looked up here: torch can't follow it
        _leave_fused_layers()
        mode = self.jit if isinstance(self.jit, str) else None
        if mode in WITH_GRAPHS and not self._graphs:
            mode = None
        own = types.FunctionType(_code(_kind(self.model)), globals())
        # Else a batch of another size would have code made for all sizes, which graphs aren't of.
        dynamic = False if self._graphs else None
        return torch.compile(types.MethodType(own, self), mode=mode, dynamic=dynamic)

    def _in_graphs(self, x: Any) -> Any:
        global _made
        _made = True
        torch.compiler.cudagraph_mark_step_begin()
        return trees.map_leaves(_copied, self._compiled(x))

    def _by_compiler(self, x: Any) -> Any:
        try:
            return self._in_graphs(x) if self._graphs else self._compiled(x)
        except torch.cuda.OutOfMemoryError:
            raise
        except Exception as error:
            if not str(type(error).__module__).startswith("torch."):
                raise
            reason = str(error).strip().splitlines()[0]
            warnings.warn(
                f"jit_compile={self.jit!r} has no effect: torch.compile failed ({reason}).",
                stacklevel=2,
            )
            self._compiled = None
            return self._eager(x)


@functools.cache
def _leave_fused_layers() -> None:
    """Keeps LSTM, GRU and SimpleRNN out of what is compiled, as torch does with its own: of a GRU
    it would make a step after the other, and what it makes of an LSTM for CPUs fails."""
    fused: Any = torch.compiler.disable(sequences.fused)
    sequences.fused = fused


def forget_graphs() -> None:
    """Gives back the memory of all graphs: theirs until torch forgets what it has compiled."""
    global _made
    if _made:
        _made = False
        torch.compiler.reset()


def _copied(output: Tensor) -> Tensor:
    mask = masks.get(output)
    found = output.clone()
    masks.put(found, None if mask is None else mask.clone())
    return found


def _kind(model: CompiledModel) -> tuple[Any, ...]:
    """What models have in common that share compiled code: classes, and shapes of weights."""
    return tuple(
        (type(one), *(tuple(weight.shape) for weight in one.parameters(recurse=False)))
        for one in model.modules()
    )


@functools.lru_cache(maxsize=32)
def _code(kind: tuple[Any, ...]) -> types.CodeType:
    """Code of its own for a kind of model: torch compiles one code eight times, and no more."""
    return Forward._eager.__code__.replace()
