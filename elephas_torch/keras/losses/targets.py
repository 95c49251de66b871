"""Targets: do the labels fit the loss and the last layer? Asked once, before training."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

if TYPE_CHECKING:
    from elephas_torch.keras.losses import Loss


def check_targets(loss: Loss, y: Tensor, output_shape: tuple[int | None, ...]) -> None:
    """Raises unless the targets fit.

    Args:
        loss: the compiled loss. Losses of your own take any targets.
        y: all targets, samples along the first axis.
        output_shape: of the model's output: `(10,)` or, with the samples, `(None, 10)`.

    Raises:
        ValueError: one-hot labels with a sparse loss, class numbers with one that takes
            one-hot labels, a class that the last layer has no output for, a target outside
            [0, 1] with a binary crossentropy, or a shape that doesn't fit the output's.
    """
    output = tuple(output_shape[1:] if output_shape[:1] == (None,) else output_shape)
    output = _with_lengths(output, tuple(y.shape[1:]))
    check = {"classes": _classes, "one-hot": _one_hot, "binary": _binary, "values": _values}
    if loss.targets in check and y.numel() and output:
        check[loss.targets](loss, y, output)


def _with_lengths(output: tuple[Any, ...], found: tuple[int, ...]) -> tuple[Any, ...]:
    """The output's shape with the targets' lengths where it may have any."""
    known = dict(enumerate(found))
    return tuple(known.get(k) if n is None else n for k, n in enumerate(output))


def _classes(loss: Loss, y: Tensor, output: tuple[Any, ...]) -> None:
    outputs = output[-1]
    shape = tuple(y.shape[1:])
    if shape not in (output[:-1], (*output[:-1], 1)):
        if shape == output:
            raise ValueError(
                f"The loss {loss.name!r} takes class numbers, but the labels look one-hot: "
                f"their shape is {tuple(y.shape)}. Use the loss 'categorical_crossentropy', or "
                "the labels y.argmax(-1)."
            )
        raise _shape_error(loss, y, output, f"class numbers of shape {('samples', *output[:-1])}")
    if y.is_floating_point() and not torch.equal(y, y.round()):
        row = _first(y != y.round())
        raise ValueError(
            f"The loss {loss.name!r} takes class numbers, but row {row} of the labels has "
            f"{_value(y, y != y.round())}. For labels that aren't classes use a loss such as 'mse'."
        )
    outside = (y < 0) | (y >= outputs)
    ignored = getattr(loss, "ignore_class", None)
    if ignored is not None:
        outside &= y != ignored
    if bool(outside.any()):
        raise ValueError(
            f"Class {int(_value(y, outside))} in row {_first(outside)} of the labels doesn't fit "
            f"the last layer, which has {outputs} outputs, for the classes 0 to {outputs - 1}. "
            "Correct the labels, or make the last layer wider."
        )


def _one_hot(loss: Loss, y: Tensor, output: tuple[Any, ...]) -> None:
    shape, outputs = tuple(y.shape[1:]), output[-1]
    if shape == output:
        return
    if shape in (output[:-1], (*output[:-1], 1)):
        raise ValueError(
            f"The loss {loss.name!r} takes one-hot labels, but these are class numbers: their "
            f"shape is {tuple(y.shape)}. Use the loss 'sparse_categorical_crossentropy', or the "
            f"labels to_categorical(y, {outputs})."
        )
    if shape[:-1] == output[:-1]:
        raise ValueError(
            f"The labels are for {shape[-1]} classes, but the last layer has {outputs} outputs "
            f"(loss {loss.name!r}). Give both the same number."
        )
    raise _shape_error(loss, y, output, f"one-hot labels of shape {('samples', *output)}")


def _binary(loss: Loss, y: Tensor, output: tuple[Any, ...]) -> None:
    _values(loss, y, output)
    outside = ~((y >= 0) & (y <= 1))
    if bool(outside.any()):
        raise ValueError(
            f"The loss {loss.name!r} takes targets from 0 to 1, but row {_first(outside)} has "
            f"{_value(y, outside)}. For class numbers use 'sparse_categorical_crossentropy' and "
            "an output for each class; targets -1 and 1 need the loss 'hinge'."
        )


def _values(loss: Loss, y: Tensor, output: tuple[Any, ...]) -> None:
    shape = tuple(y.shape[1:])
    if any(map(_fits, (shape, shape, (*shape, 1)), (output, (*output, 1), output))):
        return
    exact = loss.targets == "binary"
    if len(shape) == len(output) and not exact and _broadcasts(shape, output):
        return
    raise _shape_error(loss, y, output, f"targets of shape {('samples', *output)}")


def _fits(shape: tuple[int, ...], output: tuple[Any, ...]) -> bool:
    several = len(shape) == len(output)
    return several and all(m in (n, None) for n, m in zip(shape, output, strict=True))


def _broadcasts(shape: tuple[int, ...], output: tuple[Any, ...]) -> bool:
    return all(m is None or n in (1, m) for n, m in zip(shape, output, strict=True))


def _shape_error(loss: Loss, y: Tensor, output: tuple[Any, ...], wanted: str) -> ValueError:
    wanted, given = wanted.replace("'", ""), str(("samples", *output)).replace("'", "")
    return ValueError(
        f"The targets' shape {tuple(y.shape)} doesn't fit the model's output {given}: the loss "
        f"{loss.name!r} takes {wanted}. Reshape the targets, or change the last layer."
    )


def _first(bad: Tensor) -> int:
    return int(bad.nonzero()[0, 0])


def _value(y: Tensor, bad: Tensor) -> float:
    value = y[tuple(bad.nonzero()[0])].item()
    return int(value) if value == value and abs(value) < 2**53 and value == int(value) else value
