"""What `compile` makes of its arguments."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from elephas_torch.keras import losses, optimizers
from elephas_torch.keras import metrics as metric_objects
from elephas_torch.keras.arguments import check_flag, check_loss_weights
from elephas_torch.keras.forward import MODES
from elephas_torch.keras.goals import Goals, checked_metrics, is_metric
from elephas_torch.keras.serialization import find_custom
from elephas_torch.optimizers import Optimizer


@dataclass
class Compiled:
    """How a model is to be trained.

    Attributes:
        optimizer: of `elephas_torch.optimizers` or `elephas_torch.keras.optimizers`.
        loss: the loss object; or a list or dict of them, None for outputs without; or None.
        loss_weights: None, a number, or a list or dict of numbers.
        metrics, weighted_metrics: trees as given: names, objects or functions; looked up when the
            shapes are known.
        run_eagerly, steps_per_execution: kept for configs; nothing depends on them.
        jit_compile: whether the forward pass goes through `torch.compile`, or in which mode.
    """

    optimizer: Optimizer
    loss: Any
    metrics: Any = None
    loss_weights: Any = None
    weighted_metrics: Any = None
    run_eagerly: bool = False
    steps_per_execution: int = 1
    jit_compile: bool | str = False

    def goals(self) -> Goals:
        """The losses and metrics, still to be resolved for a model's outputs."""
        return Goals(self.loss, self.loss_weights, self.metrics, self.weighted_metrics)

    def get_config(self) -> dict[str, Any]:
        """JSON-able; what Keras calls the compile config."""
        return {
            "optimizer": optimizers.serialize(self.optimizer),
            "loss": _mapped(losses.serialize, self.loss),
            "loss_weights": self.loss_weights,
            "metrics": _mapped(metric_objects.serialize, self.metrics),
            "weighted_metrics": _mapped(metric_objects.serialize, self.weighted_metrics),
            "run_eagerly": self.run_eagerly,
            "steps_per_execution": self.steps_per_execution,
            "jit_compile": self.jit_compile,
        }


def look_up(
    optimizer: Any,
    loss: Any,
    metrics: Any = None,
    loss_weights: Any = None,
    weighted_metrics: Any = None,
) -> Compiled:
    """What `compile` makes of its arguments.

    Raises:
        ValueError: a loss gives a value a row, or a name is unknown.
        TypeError: an argument is nothing that stands for an optimizer, loss or metric.
    """
    check_loss_weights(loss_weights)
    return Compiled(
        optimizers.get(optimizer),
        _looked_up(loss),
        checked_metrics(metrics, "metrics", _known_metric),
        loss_weights,
        checked_metrics(weighted_metrics, "weighted_metrics", _known_metric),
    )


def _looked_up(loss: Any) -> Any:
    if loss is None:
        return None
    if isinstance(loss, list | tuple):
        return [_looked_up(one) for one in loss]
    if isinstance(loss, Mapping) and "class_name" not in loss:
        return {key: _looked_up(one) for key, one in loss.items()}
    found = losses.get(loss)
    if found.reduction in (None, "none"):
        raise ValueError(
            "The loss must give one number a batch: its `reduction` must be "
            f"'sum_over_batch_size' or another than none. Received: loss={found!r}"
        )
    return found


def _known_metric(one: Any) -> Any:
    # Names of custom objects now: the scope that knows them may be over when metrics are made.
    found = (find_custom(one) or one) if isinstance(one, str) else one
    if isinstance(one, Mapping):
        return metric_objects.get(one)
    if str(one).lower() not in ("crossentropy", "ce"):  # these need a loss to be told
        metric_objects.get(found)
    return found


def _mapped(function: Callable[[Any], Any], tree: Any) -> Any:
    if tree is None:
        return None
    if isinstance(tree, Mapping) and not is_metric(tree):
        return {key: _mapped(function, one) for key, one in tree.items()}
    if isinstance(tree, list | tuple):
        return [_mapped(function, one) for one in tree]
    return function(tree)


def in_old_order(loss_weights: Any, metrics: Any) -> tuple[Any, Any]:
    """`compile`'s arguments where they came in Keras 2's order, which had `metrics` before
    `loss_weights`: compile("sgd", "mse", ["accuracy"])."""
    names = is_metric(loss_weights) or (
        isinstance(loss_weights, list | tuple)
        and bool(loss_weights)
        and all(map(is_metric, loss_weights))
    )
    if not names or metrics is not None or _is_unknown(loss_weights):
        return loss_weights, metrics
    warnings.warn(
        "compile(optimizer, loss, metrics) by position is Keras 2's order: use metrics=….",
        DeprecationWarning,
        stacklevel=3,
    )
    return None, loss_weights


def _is_unknown(name: Any) -> bool:
    try:
        return isinstance(name, str) and _known_metric(name) is None
    except ValueError:
        return True


def scaling(optimizer: Optimizer) -> Optimizer:
    """An optimizer that scales losses: this one, or a `LossScaleOptimizer` around it."""
    scaling: Any = optimizers.LossScaleOptimizer
    return optimizer if isinstance(optimizer, scaling) else scaling(optimizer)


def jit(jit_compile: Any, run_eagerly: Any) -> bool | str:
    """Whether to use `torch.compile`, or in which of its modes.

    Raises:
        ValueError: `jit_compile` is neither True, False, "auto" nor a mode.
    """
    if isinstance(jit_compile, str):
        if jit_compile == "auto":
            return False
        if jit_compile not in MODES:
            raise ValueError(
                "`jit_compile` must be True or False, 'auto' (False), or a mode of torch.compile: "
                f"{', '.join(map(repr, MODES))}. Received: jit_compile={jit_compile!r}"
            )
        found: bool | str = jit_compile
    else:
        check_flag("jit_compile", jit_compile)
        found = bool(jit_compile)
    if found and run_eagerly:
        warnings.warn(f"run_eagerly=True turns jit_compile={found!r} off.", stacklevel=3)
        return False
    return found
