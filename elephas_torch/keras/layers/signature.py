"""What the `call` and `build` of a layer's class take."""

from __future__ import annotations

import inspect
from typing import Any

from torch import Tensor

from elephas_torch.keras import masks, trees
from elephas_torch.keras.symbolic import is_symbolic


class CallSignature:
    """The arguments of a class's `call` and `build`, looked at once a class.

    Attributes:
        names: of the arguments of `call`.
        takes_training, takes_mask: whether `training` and `mask` are among them.
    """

    def __init__(self, cls: Any) -> None:
        parameters = inspect.signature(cls.call).parameters
        several = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
        self.names = [n for n, p in parameters.items() if p.kind not in several][1:]
        self.takes_training = "training" in parameters
        self._wants = {
            method: [n for n in inspect.signature(getattr(cls, method)).parameters if n != "self"]
            for method in ("build", "compute_output_shape")
        }
        self._mask_names = {n: f"{n}_mask" for n in self.names if f"{n}_mask" in self.names}
        self.takes_mask = "mask" in self.names[1:]

    def first_in_front(
        self, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Returns arguments of a call with the first one given by position."""
        if args or not self.names or self.names[0] not in kwargs:
            return args, dict(kwargs)
        others = {name: value for name, value in kwargs.items() if name != self.names[0]}
        return (kwargs[self.names[0]],), others

    def with_masks(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
        """Returns keyword arguments with the masks that the tensors carry, where `call` takes
        them and they aren't given."""
        named = {**dict(zip(self.names, args, strict=False)), **kwargs}
        by_position = "mask" in self.names[: len(args)]
        if self.takes_mask and not by_position and named.get("mask") is None and args:
            # As in Keras: none beside other tensors, such as `initial_state`.
            alone = not any(_has_tensors(v) for n, v in named.items() if n != self.names[0])
            kwargs["mask"] = masks.of(args[0]) if alone else None
        for name, mask in self._mask_names.items():
            if name in named and named.get(mask) is None and mask not in named:
                kwargs[mask] = masks.of(named[name])
        return kwargs

    def shapes(
        self, args: tuple[Any, ...], kwargs: dict[str, Any], method: str = "build"
    ) -> dict[str, Any]:
        """Returns the shapes that a method takes, by argument: one of the first tensor, or
        `query_shape`, `value_shape` … of `query`, `value` …"""
        named = {**dict(zip(self.names, args, strict=False)), **kwargs}
        wanted = self._wants[method]
        tensors = {n for n, v in named.items() if f"{n}_shape" in wanted and v is not None}
        if len(wanted) > 1 and tensors:
            return {f"{n}_shape": shape_of(named[n]) for n in self.names if n in tensors}
        first = wanted[0] if wanted else "input_shape"
        return {first: shape_of(args[0]) if args else None}


def _has_tensors(tree: Any) -> bool:
    return any(isinstance(one, Tensor) for one in trees.leaves(tree))


def shape_of(inputs: Any) -> Any:
    """Returns the shape of a tensor, batch (None) first, or the shapes of several."""
    return trees.map_leaves(_one_shape, inputs)


def _one_shape(value: Any) -> Any:
    if is_symbolic(value):
        return value.shape
    shape = getattr(value, "shape", None)
    return shape if shape is None else (None, *shape[1:])


def bound(
    cls: Any, args: tuple[Any, ...], kwargs: dict[str, Any], own: tuple[str, ...]
) -> dict[str, Any]:
    """The arguments of a constructor by name, without those in `own`, which Layer writes or
    needs itself."""
    signature = inspect.signature(cls.__init__)
    try:
        arguments = signature.bind(None, *args, **kwargs).arguments
    except TypeError:
        return {}  # the constructor will say so
    found: dict[str, Any] = {}
    for name, value in list(arguments.items())[1:]:
        kind = signature.parameters[name].kind
        if kind is inspect.Parameter.VAR_KEYWORD:
            found.update({k: v for k, v in value.items() if k not in own})
        elif kind is not inspect.Parameter.VAR_POSITIONAL:
            found[name] = value
    return {k: v for k, v in found.items() if k not in ("name", "trainable", "dtype")}
