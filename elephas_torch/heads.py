"""What of a model's output becomes which column: predictions, probabilities, raw scores."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from elephas_torch.errors import unknown
from elephas_torch.keras import activations
from elephas_torch.keras.models import Model
from elephas_torch.keras.structure import Structure, any_batch

KINDS = ("classification", "multilabel", "regression", "array")

#: Losses on scores that are no probabilities, though nothing says `from_logits`.
_ON_SCORES = {"Hinge", "SquaredHinge", "CategoricalHinge"}
_TINY = float(np.finfo(np.float32).tiny)


@dataclass(frozen=True)
class Head:
    """One output of a model, and the fields that are made of it.

    Attributes:
        kind: "classification": the class as a double, vectors of probabilities and raw scores;
            "multilabel": the numbers of the labels that hold, an array of doubles as Spark's
            MultilabelClassificationEvaluator wants it, and the same vectors; "regression": a
            double, or a vector for several targets; "array": an array of floats, nested as the
            output is.
        shape: of a row of the output, None where it isn't known.
        output: its number, in the order of the model's outputs.
        prediction, probability, raw: names of the fields; None leaves one out.
        link: "softmax" or "sigmoid": what makes probabilities of scores; None: the output is
            probabilities, and scores are made of them.
        fused: the model ends with `link`; scores are what goes into it.
        thresholds: one for each class: of "classification" the class with the largest p / t is
            taken, as Spark has it; of "multilabel" those with p > t. Default, the most probable
            class, and 0.5.
    """

    kind: str
    shape: tuple[int | None, ...]
    output: int = 0
    prediction: str | None = "prediction"
    probability: str | None = None
    raw: str | None = None
    link: str | None = None
    fused: bool = False
    thresholds: tuple[float, ...] | None = None

    @property
    def classes(self) -> int | None:
        """The length of the vector of probabilities; 2 for one output unit."""
        units = self.shape[-1] if self.shape else 1
        return 2 if self.kind == "classification" and units == 1 else units

    @property
    def fields(self) -> dict[str, int | str]:
        """The names of the fields, each with "double", "vector", "labels", or how deep its array
        is."""
        first: int | str = "double"
        if self.kind == "array":
            first = max(len(self.shape), 1)
        elif self.kind == "multilabel":
            first = "labels"
        elif self.kind == "regression" and self.classes != 1:
            first = "vector"
        names = {self.prediction: first, self.probability: "vector", self.raw: "vector"}
        return {name: kind for name, kind in names.items() if name}

    def values(self, given: Tensor) -> dict[str, np.ndarray]:
        """The fields of many rows.

        Args:
            given: the output; where the head is fused, before its activation.

        Returns:
            Arrays of a row each: float64 (rows,) for a double, float64 (rows, n) for a vector,
            the same of 0, 1 and NaN for labels (`numbers` tells which hold), float32 (rows, …)
            for an array.
        """
        given = given.detach().float()
        if self.kind == "array":
            found = {self.prediction: _array(given if given.dim() > 1 else given[:, None])}
        elif self.kind == "regression":
            found = {self.prediction: _double(_narrow(given))}
        else:
            found = self._of_classes(given)
        return {name: value for name, value in found.items() if name}

    def _of_classes(self, given: Tensor) -> dict[str | None, np.ndarray]:
        given = given if given.dim() > 1 else given[:, None]
        scores = None
        if self.link is not None:
            scores, given = given, _LINKS[self.link](given)
        p = _double(given)
        alone = p.shape[1] == 1 and self.kind == "classification"
        found = {self.prediction: self._predicted(p)}
        found[self.probability] = np.concatenate([1 - p, p], 1) if alone else p
        if self.raw:
            raw = _double(scores) if scores is not None else self._scores(p)
            if self.kind == "classification" and raw.shape[1] == 2:
                # Spark's evaluators rank rows by the second of two: it must go with probability.
                raw = raw[:, 1:] - raw[:, :1]
            single = self.kind == "classification" and raw.shape[1] == 1
            found[self.raw] = np.concatenate([-raw, raw], 1) if single else raw
        return found

    def _predicted(self, p: np.ndarray) -> np.ndarray:
        if self.kind == "multilabel":
            found = (p > np.asarray(self.thresholds or 0.5)).astype(np.float64)
            found[np.isnan(p)] = np.nan
            return found
        if self.thresholds is not None:
            every = np.concatenate([1 - p, p], 1) if p.shape[1] == 1 else p
            found = _scaled(every, self.thresholds).argmax(1).astype(np.float64)
        elif p.shape[1] == 1:
            found = (p[:, 0] > 0.5).astype(np.float64)
        else:
            found = p.argmax(1).astype(np.float64)
        found[np.isnan(p).any(1)] = np.nan
        return found

    def _scores(self, p: np.ndarray) -> np.ndarray:
        """Finite scores for probabilities: their logarithms, or the logarithms of their odds."""
        p = np.clip(p, 0, 1)
        logs = np.log(np.maximum(p, _TINY))
        if self.kind == "classification" and p.shape[1] > 1:
            return logs
        return logs - np.log(np.maximum(1 - p, _TINY))


def head(
    model: Model,
    kind: str,
    output: int = 0,
    *,
    prediction: str | None = "prediction",
    probability: str | None = None,
    raw: str | None = None,
    thresholds: Sequence[float] | None = None,
) -> Head:
    """The head for an output of a built model.

    Whether the output is probabilities or scores is known from the model's last activation and
    the loss that it is compiled with.

    Args:
        kind, prediction, probability, raw, thresholds: see `Head`.
        output: its number; outputs in a dict are in the order of their names.

    Raises:
        ValueError: no such kind or output; an output whose rows aren't flat can't be classes; not
            one threshold for each class, or not all of them positive but for one.
    """
    if kind not in KINDS:
        raise unknown("kind of output", kind, KINDS)
    shapes = output_shapes(model)
    if not 0 <= output < len(shapes):
        raise ValueError(f"The model has {len(shapes)} outputs. Received: output={output}")
    shape = tuple(shapes[output][1:])
    if kind == "regression" and len(shape) > 1:
        kind = "array"
    if kind not in ("classification", "multilabel"):
        return Head(kind, shape, output, prediction)
    if len(shape) > 1:
        raise ValueError(
            f"An output of shape {shape} a row gives no one class a row; take it as an 'array'. "
            f"Received: kind={kind!r}"
        )
    link, fused = _link(model, output, shape)
    limits = None if thresholds is None else tuple(map(float, thresholds))
    found = Head(kind, shape, output, prediction, probability, raw, link, fused, limits)
    _check_thresholds(found)
    return found


def output_structure(model: Model) -> Structure:
    """The form of a built model's outputs, with their names."""
    return Structure.of_shapes(any_batch(model.output_shape), model._output_names())


def output_shapes(model: Model) -> list[Any]:
    """The shape of each output, in the order of their structure."""
    structure = output_structure(model)
    shapes = any_batch(model.output_shape)
    if structure.single:
        return [shapes]
    return [_at(shapes, path) for path in structure.paths]


def _at(tree: Any, path: Sequence[Any]) -> Any:
    for key in path:
        tree = tree[key]
    return tree


def _link(model: Model, output: int, shape: tuple[int | None, ...]) -> tuple[str | None, bool]:
    """What makes probabilities of an output's scores, and whether the model does that itself."""
    activation = None
    last = model.last_activations()
    structure = output_structure(model)
    if len(last) == len(structure) and not model.predicts_by_itself:
        activation = structure.from_tree_order(last)[output]
    name = None if activation is None else activations.serialize(activation)
    if name in _LINKS:
        return str(name), True
    loss = _loss(model, output)
    kind = type(loss).__name__
    if kind not in _ON_SCORES and not getattr(loss, "from_logits", False):
        return None, False
    binary = shape in ((), (1,)) or kind.startswith("Binary")
    return ("sigmoid" if binary else "softmax"), False


def _loss(model: Model, output: int) -> Any:
    if model.compiled is None or model.steps_by_itself:
        return None
    losses = model._resolved().losses
    return losses[output] if output < len(losses) else None


def _check_thresholds(found: Head) -> None:
    given = found.thresholds
    if given is None:
        return
    if found.classes is not None and len(given) != found.classes:
        raise ValueError(
            f"`thresholds` must have one for each of the {found.classes} classes. "
            f"Received: thresholds={list(given)}"
        )
    if min(given) < 0 or sum(one == 0 for one in given) > 1:
        raise ValueError(
            "`thresholds` must be positive; one of them may be 0. "
            f"Received: thresholds={list(given)}"
        )


def numbers(marks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The numbers of the labels that hold in many rows.

    Args:
        marks: (rows, n), of 0 and 1; a row of NaN gives one label, NaN.

    Returns:
        All labels, a row's behind the other's, as float64; and how many each row has.
    """
    odd = np.isnan(marks).any(1)
    holds = marks == 1
    holds[odd] = False
    holds[odd, 0] = True
    row, label = np.nonzero(holds)
    return np.where(odd[row], np.nan, label), holds.sum(1)


def _softmax(scores: Tensor) -> Tensor:
    return torch.softmax(scores, -1)


_LINKS: dict[str, Callable[[Tensor], Tensor]] = {"softmax": _softmax, "sigmoid": torch.sigmoid}


def _scaled(p: np.ndarray, thresholds: Sequence[float]) -> np.ndarray:
    limits = np.asarray(thresholds)
    return np.where(limits == 0, np.inf, p / np.where(limits == 0, 1, limits))


def _narrow(given: Tensor) -> Tensor:
    """Without a last dimension of 1."""
    return given[:, 0] if given.dim() == 2 and given.shape[1] == 1 else given


def _array(tensor: Tensor) -> np.ndarray:
    return tensor.cpu().contiguous().numpy()


def _double(tensor: Tensor) -> np.ndarray:
    return tensor.cpu().double().contiguous().numpy()
