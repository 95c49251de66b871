"""`SwapEMAWeights`: evaluates with the running mean of the weights."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from elephas_torch.keras.callbacks.base import Callback, Logs


class SwapEMAWeights(Callback):
    """Puts the optimizer's running mean of the weights into the model while it is evaluated or
    predicts, and the weights back after it.

    Follows https://keras.io/api/callbacks/swap_ema_weights/

    For optimizers with `use_ema=True`. Before the first step there is no mean, and the weights
    stay. When `fit` ends, the mean stays in the model, as it does without this callback.

    Args:
        swap_on_epoch: puts it in at the end of each epoch too, until the next one begins: for
            callbacks behind this one, such as `ModelCheckpoint`. Default False.

    Raises:
        ValueError: when training, a test or a prediction begins: the optimizer keeps no mean.
    """

    def __init__(self, swap_on_epoch: bool = False) -> None:
        super().__init__()
        self.swap_on_epoch = swap_on_epoch
        self._own: Tensor | None = None
        self._at_epoch = False

    def _optimizer(self) -> Any:
        optimizer = self.model.optimizer
        if not getattr(optimizer, "use_ema", False):
            raise ValueError(
                "SwapEMAWeights needs an optimizer with a running mean of the weights: "
                f"{type(optimizer).__name__}(use_ema=True). Received: optimizer={optimizer!r}"
            )
        return optimizer

    def _swap_in(self) -> None:
        optimizer = self._optimizer()
        if self._own is None and optimizer.slots:
            weights = self.model.trainable_weights
            self._own = torch.cat([one.detach().reshape(-1) for one in weights])
            optimizer.finalize_variable_values(weights)

    @torch.no_grad()
    def _swap_back(self) -> None:
        if self._own is not None:
            weights = self.model.trainable_weights
            parts = self._own.split([one.numel() for one in weights])
            for weight, part in zip(weights, parts, strict=True):
                weight.copy_(part.view(weight.shape))
        self._own = None
        self._at_epoch = False

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self._optimizer()
        self._own = None

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        if self._at_epoch:
            self._swap_back()

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        if self.swap_on_epoch:
            self._swap_in()
            self._at_epoch = True

    def on_train_end(self, logs: Logs | None = None) -> None:
        self._own = None
        self._at_epoch = False

    def on_test_begin(self, logs: Logs | None = None) -> None:
        self._swap_in()

    def on_test_end(self, logs: Logs | None = None) -> None:
        if not self._at_epoch:
            self._swap_back()

    def on_predict_begin(self, logs: Logs | None = None) -> None:
        self._swap_in()

    def on_predict_end(self, logs: Logs | None = None) -> None:
        if not self._at_epoch:
            self._swap_back()
