"""What layers add to the loss of training: by `add_loss`, by regularizers, under constraints."""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from typing import Any, cast

from torch import Tensor

from elephas_torch.keras import trees
from elephas_torch.keras.layers.weights import Weighted
from elephas_torch.keras.symbolic import is_symbolic

#: Layers that have added losses.
with_losses: weakref.WeakSet[Any] = weakref.WeakSet()
_collecting: list[list[Tensor]] = []


class collected_losses:
    """Within it, what layers add by `add_loss` comes into the list that it gives."""

    def __enter__(self) -> list[Tensor]:
        losses: list[Tensor] = []
        _collecting.append(losses)
        return losses

    def __exit__(self, *error: object) -> None:
        _collecting.pop()


class WithLosses(Weighted):
    """The part of a `Layer` that what is added to the loss concerns."""

    _losses: list[Tensor]

    def add_loss(self, loss: Any) -> None:
        """Adds to the loss of training; for use in `call`.

        Args:
            loss: a scalar tensor, or a list of them.
        """
        for one in trees.leaves(loss):
            if is_symbolic(one):
                raise ValueError(
                    f"{self._label}: add_loss takes the values of a call, not symbolic tensors. "
                    "Add the loss in the `call` of a layer: self.add_loss(…)."
                )
            with_losses.add(self)
            self._losses.append(one)
            if _collecting:
                _collecting[-1].append(one)

    def _forget_losses(self) -> None:
        for layer in self.modules():
            if layer in with_losses:
                cast(Any, layer)._losses.clear()

    @property
    def losses(self) -> list[Tensor]:
        """What the last call added by `add_loss`, and the regularizers' values now."""
        layers = [one for one in self._flattened() if isinstance(one, WithLosses)]
        added = [loss for layer in layers for loss in layer._losses]
        return added + [rule(weight) for weight, rule in self.regularized_weights()]

    def regularized_weights(self) -> list[tuple[Tensor, Any]]:
        """Trainable weights with their regularizers, those of sublayers too."""
        return [(w, rule) for w, rule in self._with_rules("regularizers") if w.requires_grad]

    def constrained_weights(self) -> list[tuple[Tensor, Any]]:
        """Weights with their constraints, those of sublayers too."""
        return list(self._with_rules("constraints"))

    def _with_rules(self, kind: str) -> Iterator[tuple[Tensor, Any]]:
        for layer in self._flattened():
            for name, rule in getattr(layer, kind).items():
                yield getattr(layer, name), rule
