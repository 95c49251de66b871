"""`InputSpec`: what a layer of one's own takes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from elephas_torch.keras import trees
from elephas_torch.keras.layers.declared import is_tree


class InputSpec:
    """What inputs a layer takes; set `self.input_spec = InputSpec(ndim=3)` in a layer of your
    own. Follows https://keras.io/api/layers/base_layer/

    Args:
        dtype: taken and not looked at: inputs are converted.
        shape: batch first; None for a length that may be any.
        ndim, max_ndim, min_ndim: the number of axes, the batch's among them.
        axes: number of an axis -> its length.
        allow_last_axis_squeeze, optional: taken and not looked at.
        name: taken and not looked at.
    """

    def __init__(
        self,
        dtype: Any = None,
        shape: Any = None,
        ndim: int | None = None,
        max_ndim: int | None = None,
        min_ndim: int | None = None,
        axes: Mapping[int, int | None] | None = None,
        allow_last_axis_squeeze: bool = False,
        name: str | None = None,
        optional: bool = False,
    ) -> None:
        self.dtype, self.name, self.optional = dtype, name, optional
        self.shape = None if shape is None else tuple(shape)
        self.ndim = len(self.shape) if self.shape is not None else ndim
        self.max_ndim, self.min_ndim = max_ndim, min_ndim
        self.axes = {int(axis): length for axis, length in (axes or {}).items()}
        self.allow_last_axis_squeeze = allow_last_axis_squeeze

    def trouble(self, shape: Any) -> str | None:
        """What is wrong with a shape of inputs, batch (None) first; None where it fits."""
        rank = len(shape)
        if self.ndim is not None and rank != self.ndim:
            return f"{self.ndim} axes"
        if self.max_ndim is not None and rank > self.max_ndim:
            return f"at most {self.max_ndim} axes"
        if self.min_ndim is not None and rank < self.min_ndim:
            return f"at least {self.min_ndim} axes"
        for axis, length in self.axes.items():
            if length is not None and (axis >= rank or shape[axis] not in (None, length)):
                return f"a length of {length} in axis {axis}"
        fits = self.shape is None or all(
            wanted is None or found is None or wanted == found
            for wanted, found in list(zip(self.shape, shape, strict=True))[1:]
        )
        return None if fits else f"the shape {self.shape}"

    def get_config(self) -> dict[str, Any]:
        names = "dtype", "shape", "ndim", "max_ndim", "min_ndim", "axes"
        return {name: getattr(self, name) for name in names}

    def __repr__(self) -> str:
        given = {name: value for name, value in self.get_config().items() if value}
        return f"InputSpec({', '.join(f'{n}={v}' for n, v in given.items())})"


def check(spec: Any, shapes: Any, label: str) -> None:
    """Raises ValueError where shapes of inputs don't fit an `InputSpec`, or one of several.

    Args:
        spec: an InputSpec, or a list of them for several inputs; anything else is let be.
        shapes: one shape, or several.
        label: of the layer, for the message.
    """
    specs = [one for one in trees.leaves(spec) if isinstance(one, InputSpec)]
    several = list(shapes) if is_tree(shapes) and not isinstance(shapes, dict) else [shapes]
    for one, shape in zip(specs, several, strict=False):
        wrong = one.trouble(shape) if isinstance(shape, tuple | list) else None
        if wrong is not None:
            raise ValueError(
                f"{label} expects inputs with {wrong}. Received: inputs of shape {tuple(shape)}"
            )
