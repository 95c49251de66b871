"""Optimizers that look at single weights within the flat vector: Lamb, Adafactor, Muon."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor

from elephas_torch.optimizers import matrices, rules
from elephas_torch.optimizers.adams import Moments
from elephas_torch.optimizers.base import Optimizer, Rate
from elephas_torch.optimizers.layout import Layout
from elephas_torch.optimizers.settings import not_negative, positive, share, whole


class Lamb(Moments):
    """Adam with steps as long as each weight asks for (You et al., 2019). Without `sizes` or
    `describe` the whole vector is taken as one weight.

    Args:
        learning_rate: share of a weight's norm that a step is long; `lr` is the same. Default
            0.001.
        beta_1: share of the mean that is kept. Default 0.9.
        beta_2: share of the mean square that is kept. Default 0.999.
        epsilon: added to the root. Default 1e-7.
        **kwargs: see `Optimizer`.
    """

    _sizes: Sequence[int] | None = None

    def step(
        self, parameters: Tensor, gradients: Tensor, sizes: Sequence[int] | None = None
    ) -> None:
        self._sizes = sizes or (self.layout.sizes if self.layout else [parameters.numel()])
        super().step(parameters, gradients, sizes)

    def _rule(self, w: Tensor, g: Tensor, lr: float) -> None:
        matrices.lamb(
            w, g, self.slots["momentum"], self.slots["velocity"], self.iterations, lr,
            self.beta_1, self.beta_2, self.epsilon, self._sizes or [w.numel()],
        )  # fmt: skip


class Adafactor(Optimizer):
    """Mean squares kept by rows and columns (Shazeer and Stern, 2018). `describe` must be called
    first.

    Args:
        learning_rate: step size, as a share of a weight's root mean square; the smaller of it
            and 1 / sqrt(step) is taken. `lr` is the same. Default 0.001.
        beta_2_decay: how fast the means' memory grows, below 0. Default -0.8.
        epsilon_1: added to the squares. Default 1e-30.
        epsilon_2: the least root mean square of a weight that steps are measured by. Default
            0.001.
        clip_threshold: the largest root mean square of a step before its rate. Default 1.
        relative_step: changes nothing, as in Keras 3. Default True.
        **kwargs: see `Optimizer`.
    """

    by_weight: ClassVar[bool] = True
    slot_order: ClassVar[tuple[tuple[str, ...], ...]] = (("rows", "columns", "velocity"),)

    def __init__(
        self,
        learning_rate: Rate = 0.001,
        beta_2_decay: float = -0.8,
        epsilon_1: float = 1e-30,
        epsilon_2: float = 1e-3,
        clip_threshold: float = 1.0,
        relative_step: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(learning_rate, **kwargs)
        owner = type(self).__name__
        if not beta_2_decay < 0:
            raise ValueError(
                f"{owner}: `beta_2_decay` must be below 0. Received: beta_2_decay={beta_2_decay!r}"
            )
        self.beta_2_decay = float(beta_2_decay)
        self.epsilon_1 = not_negative(owner, "epsilon_1", epsilon_1)
        self.epsilon_2 = not_negative(owner, "epsilon_2", epsilon_2)
        self.clip_threshold = positive(owner, "clip_threshold", clip_threshold)
        self.relative_step = bool(relative_step)

    def slot_values(self) -> dict[str, float]:
        return {"rows": 0.0, "columns": 0.0, "velocity": 0.0}

    def _full(self) -> set[str]:
        return super()._full() - {"rows", "columns"}

    def _new_slots(self, parameters: Tensor) -> dict[str, Tensor]:
        slots = super()._new_slots(parameters)
        for name in ("rows", "columns"):
            slots[name] = parameters.new_zeros(sum(map(math.prod, self._factors(name))))
        return slots

    def _factors(self, name: str) -> list[tuple[int, ...]]:
        """The shapes of the weights' rows or columns: (0,) where a weight has none."""
        shapes = self._needs_layout("its rule").shapes
        if name == "rows":
            return [shape[:-1] if len(shape) > 1 else (0,) for shape in shapes]
        return [(*shape[:-2], shape[-1]) if len(shape) > 1 else (0,) for shape in shapes]

    def _parts(self, name: str) -> list[Tensor | None]:
        shapes = self._factors(name)
        parts = self.slots[name].split([math.prod(shape) for shape in shapes])
        return [
            part.view(shape) if shape != (0,) else None
            for part, shape in zip(parts, shapes, strict=True)
        ]

    def slot_of(self, name: str, number: int) -> Tensor | None:
        if name not in ("rows", "columns"):
            return super().slot_of(name, number)
        part = self._parts(name)[number]
        return torch.zeros(()) if part is None else part

    def _rule(self, w: Tensor, g: Tensor, lr: float) -> None:
        layout = self._needs_layout("its rule")
        rows, columns = self._parts("rows"), self._parts("columns")
        velocity = self.slots["velocity"]
        for number, ((start, end), shape) in enumerate(
            zip(layout.spans, layout.shapes, strict=True)
        ):
            weight, gradient, v = (one[start:end].view(shape) for one in (w, g, velocity))
            matrices.adafactor(
                weight, gradient, v, rows[number], columns[number], self.iterations, lr,
                self.beta_2_decay, self.epsilon_1, self.epsilon_2, self.clip_threshold,
            )  # fmt: skip

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "beta_2_decay": self.beta_2_decay,
            "epsilon_1": self.epsilon_1,
            "epsilon_2": self.epsilon_2,
            "clip_threshold": self.clip_threshold,
            "relative_step": self.relative_step,
        }


class Muon(Optimizer):
    """Steps of matrices with orthogonal rows or columns (Jordan, 2024); Adam for what is no
    matrix. `describe` must be called first.

    Args:
        learning_rate: step size; `lr` is the same. Default 0.001.
        adam_beta_1: Adam's share of the mean that is kept. Default 0.9.
        adam_beta_2: Adam's share of the mean square that is kept. Default 0.999.
        adam_weight_decay: weight decay where Adam is used; None for none. Default 0.004.
        epsilon: Adam's; added to the root. Default 1e-7.
        weight_decay: of the matrices; None for none. Default 0.004.
        exclude_layers: regular expressions: Adam is used where one is found in a weight's name.
        exclude_embeddings: Adam is used for names with "embedding" in them. Default True.
        muon_a, muon_b, muon_c: the polynomial of the iteration that makes a step orthogonal.
        adam_lr_ratio: Adam's rate, as a share of the learning rate. Default 1.
        momentum: share of the momentum that is kept. Default 0.95.
        ns_steps: iterations. Default 5.
        nesterov: look ahead along the momentum. Default True.
        rms_rate: a matrix's step is this times the root of its longer side; None for 1. Default
            0.2.
        **kwargs: see `Optimizer`.
    """

    by_weight: ClassVar[bool] = True
    slot_order: ClassVar[tuple[tuple[str, ...], ...]] = (("momentum", "velocity"),)

    def __init__(
        self,
        learning_rate: Rate = 0.001,
        adam_beta_1: float = 0.9,
        adam_beta_2: float = 0.999,
        adam_weight_decay: float | None = 0.004,
        epsilon: float = 1e-7,
        weight_decay: float | None = 0.004,
        exclude_layers: Sequence[str] | None = None,
        exclude_embeddings: bool = True,
        muon_a: float = 3.4445,
        muon_b: float = -4.7750,
        muon_c: float = 2.0315,
        adam_lr_ratio: float = 1,
        momentum: float = 0.95,
        ns_steps: int = 5,
        nesterov: bool = True,
        rms_rate: float | None = 0.2,
        **kwargs: Any,
    ) -> None:
        super().__init__(learning_rate, weight_decay=weight_decay, **kwargs)
        owner = type(self).__name__
        self.adam_beta_1 = share(owner, "adam_beta_1", adam_beta_1)
        self.adam_beta_2 = share(owner, "adam_beta_2", adam_beta_2)
        if adam_weight_decay is not None:
            not_negative(owner, "adam_weight_decay", adam_weight_decay)
        self.adam_weight_decay = adam_weight_decay
        self.epsilon = not_negative(owner, "epsilon", epsilon)
        self.exclude_layers = list(exclude_layers or [])
        self.exclude_embeddings = bool(exclude_embeddings)
        self.muon_a, self.muon_b, self.muon_c = muon_a, muon_b, muon_c
        self.adam_lr_ratio = not_negative(owner, "adam_lr_ratio", adam_lr_ratio)
        self.momentum = share(owner, "momentum", momentum, closed=True)
        self.ns_steps = whole(owner, "ns_steps", ns_steps, 1)
        self.nesterov = bool(nesterov)
        self.rms_rate = rms_rate
        self._kinds: tuple[Layout | None, list[bool]] = (None, [])

    def slot_values(self) -> dict[str, float]:
        return {"momentum": 0.0, "velocity": 0.0}

    def _adam_s(self) -> list[bool]:
        """For each weight, whether Adam is used."""
        layout = self._needs_layout("its rule")
        if self._kinds[0] is not layout:
            self._kinds = layout, self._find_adam_s(layout)
        return self._kinds[1]

    def _find_adam_s(self, layout: Layout) -> list[bool]:
        patterns = [*self.exclude_layers, *["(?i:embedding)"] * self.exclude_embeddings]
        return [
            len(shape) != 2 or any(re.search(pattern, name) for pattern in patterns)
            for name, shape in zip(layout.names, layout.shapes, strict=True)
        ]

    def slot_of(self, name: str, number: int) -> Tensor | None:
        if name == "velocity" and not self._adam_s()[number]:
            return None
        return super().slot_of(name, number)

    def _decay_weights(self, w: Tensor, lr: float) -> None:
        pass  # The rule does, at different rates.

    def _rule(self, w: Tensor, g: Tensor, lr: float) -> None:
        layout = self._needs_layout("its rule")
        for (start, end), shape, decayed, adam in zip(
            layout.spans, layout.shapes, layout.decayed, self._adam_s(), strict=True
        ):
            weight = w[start:end]
            decay = self.adam_weight_decay if adam else self.weight_decay
            if decayed and decay is not None:
                weight.mul_(1 - lr * decay)
            momentum = self.slots["momentum"][start:end]
            if adam:
                velocity = self.slots["velocity"][start:end]
                self._adam(weight, g[start:end], momentum, velocity, lr * self.adam_lr_ratio)
            else:
                self._muon(weight.view(shape), g[start:end].view(shape), momentum.view(shape), lr)

    def _adam(self, w: Tensor, g: Tensor, m: Tensor, s: Tensor, lr: float) -> None:
        rules.adam(
            w, g, m, s, self.iterations, lr, self.adam_beta_1, self.adam_beta_2, self.epsilon
        )

    def _muon(self, w: Tensor, g: Tensor, m: Tensor, lr: float) -> None:
        coefficients = (self.muon_a, self.muon_b, self.muon_c)
        matrices.muon(
            w, g, m, lr, self.momentum, self.nesterov, self.ns_steps, coefficients, self.rms_rate
        )

    def get_config(self) -> dict[str, Any]:
        names = (
            "adam_beta_1", "adam_beta_2", "adam_weight_decay", "epsilon", "exclude_layers",
            "exclude_embeddings", "muon_a", "muon_b", "muon_c", "adam_lr_ratio", "momentum",
            "ns_steps", "nesterov", "rms_rate",
        )  # fmt: skip
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}
