"""An optimizer's learning rate as Keras's users know it: a number that can be assigned to."""

from __future__ import annotations

from typing import Any

import numpy as np


class LearningRate(float):
    """The rate at the time of asking: `optimizer.learning_rate.assign(0.01)` sets it anew.

    Copied or sent, it is a plain number.
    """

    _optimizer: Any

    def __new__(cls, value: float, optimizer: Any) -> LearningRate:
        rate = super().__new__(cls, value)
        rate._optimizer = optimizer
        return rate

    def assign(self, value: Any) -> None:
        """Sets the optimizer's learning rate.

        Raises:
            TypeError: a schedule decides it.
        """
        self._optimizer.learning_rate = float(value)

    def assign_add(self, value: Any) -> None:
        """Adds to the optimizer's learning rate."""
        self.assign(self + float(value))

    def assign_sub(self, value: Any) -> None:
        """Subtracts from the optimizer's learning rate."""
        self.assign(self - float(value))

    @property
    def value(self) -> float:
        """The number."""
        return float(self)

    def numpy(self) -> Any:
        """The number, as NumPy's float32."""
        return np.float32(self)

    def __reduce__(self) -> Any:
        return float, (float(self),)

    def __deepcopy__(self, memo: dict[int, Any]) -> float:
        return float(self)
