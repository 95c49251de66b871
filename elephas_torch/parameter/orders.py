"""What the driver orders while workers train; each answer to a worker begins with it."""

from __future__ import annotations

from elephas_torch.errors import Refused
from elephas_torch.parameter.weights import Weights
from elephas_torch.parameter.wire import Answer, Reply


class Orders:
    """To stop, or to go on with another learning rate.

    Args:
        weights: that answers bring, and whose optimizer takes the rate.
        server_rate: whether it does; else the rate is the workers' business alone.

    Attributes:
        stop: whether to stop.
        learning_rate: the one that the driver has set; None: none.
    """

    def __init__(self, weights: Weights, server_rate: bool) -> None:
        self._weights, self._server_rate = weights, server_rate
        self.stop = False
        self.learning_rate: float | None = None

    def reply(self) -> Reply:
        """The present version, and the orders."""
        return Reply(self._weights.version, self.stop, self.learning_rate)

    def answer(self) -> Answer:
        """The orders, and the present vectors behind them."""
        return self.before(*self._weights.snapshot())

    def before(self, version: int, body: memoryview) -> Answer:
        """The orders, and the vectors of a version behind them."""
        return Answer(Reply(version, self.stop, self.learning_rate), body)

    def set_rate(self, rate: float) -> None:
        """Sets the learning rate.

        Raises:
            Refused: it is below 0 or not finite, or a schedule decides.
        """
        if not 0 <= rate < float("inf"):
            raise Refused(
                f"`learning_rate` must be a number of 0 or more. Received: learning_rate={rate!r}"
            )
        if self._server_rate:
            try:
                self._weights.optimizer.learning_rate = float(rate)
            except TypeError as error:  # a schedule decides
                raise Refused(str(error)) from None
        self.learning_rate = float(rate)

    def tell(self) -> None:
        """Tells workers that step by themselves, and so get no answers."""
        if self._weights.board is not None:
            rate = self._weights.optimizer.learning_rate
            self._weights.board.tell(self.stop, self.learning_rate, rate)
