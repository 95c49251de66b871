"""A penalty on what a layer gives."""

from __future__ import annotations

from typing import Any

from elephas_torch.keras import regularizers
from elephas_torch.keras.layers.builtin import BuiltIn

__all__ = ["ActivityRegularization"]


class ActivityRegularization(BuiltIn):
    """Hands its inputs on, and adds l1 * sum(|inputs|) + l2 * sum(inputs ** 2) to the loss.

    Follows https://keras.io/api/layers/regularization_layers/activity_regularization/

    Args:
        l1, l2: the two factors, 0 or more. Defaults 0.
        **kwargs: see `Layer`.

    Raises:
        ValueError: a factor is no finite number, or is negative.
    """

    supports_masking = True

    def __init__(self, l1: float = 0.0, l2: float = 0.0, **kwargs: Any) -> None:
        super().__init__(activity_regularizer=regularizers.L1L2(l1=l1, l2=l2), **kwargs)
        self.l1 = l1
        self.l2 = l2

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        del config["activity_regularizer"]
        return {**config, "l1": self.l1, "l2": self.l2}
