"""Learning rates of a fit as callbacks set them: from which epoch on which one."""

from __future__ import annotations

from typing import Any

from elephas_torch import preflight
from elephas_torch.keras.models import Model


class Rates:
    """The rates of one fit.

    Args:
        model: whose optimizer callbacks change.

    Attributes:
        last: what it was when the last epoch had ended, before callbacks at the beginning of the
            next one; None: a schedule decides.
    """

    def __init__(self, model: Model) -> None:
        self._model = model
        self._set: dict[int, float] = {}
        self.last: float | None = None

    def now(self) -> float | None:
        """The compiled optimizer's; None where a schedule decides."""
        optimizer = self._model.optimizer
        return None if preflight.is_scheduled(optimizer) else optimizer.learning_rate

    def begin(self, epoch: int) -> None:
        """Notes that of the first epoch, for those who do it again."""
        rate = self.now()
        if rate is not None and (not self._set or rate != self.last):
            self._set[epoch] = rate

    def changed(self, before: float, epoch: int) -> float | None:
        """Notes the rate from an epoch on, if a callback has set one; and returns it.

        Raises:
            ValueError: it is a schedule.
        """
        optimizer = self._model.optimizer
        rate = optimizer.learning_rate
        if rate == before:
            return None
        if preflight.is_scheduled(optimizer):
            raise ValueError(
                "A callback gave the optimizer another schedule of learning rates, which can't "
                "reach the workers while they train. Give it to the optimizer in compile(), or "
                "set numbers."
            )
        self._set[epoch] = float(rate)
        return float(rate)

    def set_at(self, epoch: int) -> float | None:
        """The one that was set at this very epoch; None: it stayed."""
        return self._set.get(epoch)

    def of(self, epoch: int) -> float | None:
        """The one that an epoch is trained with; None: nobody has set one."""
        known = max((one for one in self._set if one <= epoch), default=None)
        return None if known is None else self._set[known]

    def known(self) -> dict[str, Any]:
        """What `take` takes, JSON-able."""
        return {"rates": self._set, "learning_rate": self.last}

    def take(self, known: dict[str, Any], epoch: int) -> None:
        """Goes on with what another driver knew.

        Args:
            epoch: the next one; its rate is set anew.
        """
        self._set = {int(one): rate for one, rate in known["rates"].items()}
        self._set.pop(epoch, None)
        if known["learning_rate"] is not None:
            self._model.optimizer.learning_rate = known["learning_rate"]
