"""`KerasClassifier` and `KerasRegressor`, as Keras 1 and 2 had them: `fit` gives a `History`."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin

from elephas_torch.errors import unknown_arguments
from elephas_torch.keras.models import Model
from elephas_torch.keras.results import to_classes
from elephas_torch.keras.utils import to_categorical

_METHODS: tuple[Any, ...] = (Model.fit, Model.predict, Model.evaluate)


class _Wrapper(BaseEstimator):
    def __init__(self, build_fn: Callable[..., Any] | None = None, **sk_params: Any) -> None:
        self.build_fn = build_fn
        self.sk_params = sk_params
        self._check(sk_params)

    model: Any

    def _build(self) -> Callable[..., Any]:
        own: Any = self if self.build_fn is None else self.build_fn
        if not callable(own):
            raise ValueError(
                f"{type(self).__name__}: `build_fn` must be a function that makes a compiled "
                f"model. Received: build_fn={self.build_fn!r}"
            )
        return own

    def _check(self, given: dict[str, Any]) -> None:
        takes = [*map(_names, _METHODS), _names(self._build())]
        known = {name for names in takes for name in names} | {"nb_epoch"}
        odd = [name for name in given if name not in known]
        if odd:
            raise unknown_arguments(type(self).__name__, odd, sorted(known))

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """The constructor's arguments, as scikit-learn wants them."""
        return {**self.sk_params, "build_fn": self.build_fn}

    def set_params(self, **params: Any) -> Any:
        """Sets arguments of the constructor; returns this estimator."""
        self.build_fn = params.pop("build_fn", self.build_fn)
        self._check(params)
        self.sk_params.update(params)
        return self

    def _arguments(self, function: Callable[..., Any], given: dict[str, Any]) -> dict[str, Any]:
        names = _names(function)
        return {n: v for n, v in self.sk_params.items() if n in names} | given

    def fit(self, x: Any, y: Any, **kwargs: Any) -> Any:
        """Makes the model and trains it.

        Args:
            x: features, shape (rows, ...).
            y: targets, shape (rows,) or (rows, outputs).
            kwargs: for the model's `fit`.

        Returns:
            The `History` of the model's `fit`, as in Keras 1 and 2, and not the estimator, as
            scikit-learn and `SKLearnClassifier` have it: `fit(x, y).predict(x)` won't do.
        """
        build = self._build()
        self.model = build(**self._arguments(build, {}))
        options = self._arguments(Model.fit, kwargs)
        if "nb_epoch" in self.sk_params:
            options.setdefault("epochs", self.sk_params["nb_epoch"])
        return self.model.fit(x, self._as_targets(np.asarray(y)), **options)

    def _as_targets(self, y: np.ndarray) -> np.ndarray:
        loss = getattr(self.model.loss, "name", self.model.loss)
        return to_categorical(y) if loss == "categorical_crossentropy" and y.ndim != 2 else y

    def _predicted(self, x: Any, kwargs: dict[str, Any]) -> Any:
        return self.model.predict(x, **self._arguments(Model.predict, kwargs))

    def _measured(self, x: Any, y: np.ndarray, kwargs: dict[str, Any]) -> dict[str, float]:
        options = {**self._arguments(Model.evaluate, kwargs), "return_dict": True}
        found: dict[str, float] = self.model.evaluate(x, self._as_targets(y), **options)
        return found


class KerasClassifier(ClassifierMixin, _Wrapper):
    """A function that makes a compiled model, as a classifier of scikit-learn.

    As in Keras 1 and 2, `fit` returns the model's `History`; that of `SKLearnClassifier` returns
    the estimator.

    Args:
        build_fn: the function.
        sk_params: arguments of the function, and of the model's `fit`, `predict` and `evaluate`,
            such as `epochs` and `batch_size`.

    Attributes:
        model: the trained model.
        classes_: the labels, sorted.
    """

    classes_: np.ndarray

    def fit(self, x: Any, y: Any, **kwargs: Any) -> Any:
        y = np.asarray(y)
        if y.ndim == 2 and y.shape[1] > 1:
            self.classes_ = np.arange(y.shape[1])
        else:
            self.classes_, numbers = np.unique(y, return_inverse=True)
            y = numbers.reshape(y.shape)
        self.n_classes_ = len(self.classes_)
        return super().fit(x, y, **kwargs)

    def predict(self, x: Any, **kwargs: Any) -> np.ndarray:
        """The label of each row."""
        labels: np.ndarray = self.classes_[to_classes(self._predicted(x, kwargs))]
        return labels

    def predict_proba(self, x: Any, **kwargs: Any) -> np.ndarray:
        """The probabilities of the classes, shape (rows, classes)."""
        found: np.ndarray = self._predicted(x, kwargs)
        return np.hstack([1 - found, found]) if found.shape[1] == 1 else found

    def score(self, x: Any, y: Any, **kwargs: Any) -> float:
        """The accuracy.

        Raises:
            ValueError: the model isn't compiled with metrics=["accuracy"].
        """
        y = np.asarray(y)
        targets = y if y.ndim == 2 and y.shape[1] > 1 else np.searchsorted(self.classes_, y)
        found = self._measured(x, targets, kwargs)
        for name in ("accuracy", "acc"):
            if name in found:
                return found[name]
        raise ValueError(
            "KerasClassifier.score needs a model compiled with metrics=['accuracy']. "
            f"Received: one with {', '.join(found)}"
        )


class KerasRegressor(RegressorMixin, _Wrapper):
    """A function that makes a compiled model, as a regressor of scikit-learn.

    As in Keras 1 and 2, `fit` returns the model's `History`; that of `SKLearnRegressor` returns
    the estimator.

    Args:
        build_fn, sk_params: see `KerasClassifier`.

    Attributes:
        model: the trained model.
    """

    def predict(self, x: Any, **kwargs: Any) -> np.ndarray:
        """The outputs, those of one number without their last axis."""
        found: np.ndarray = np.squeeze(self._predicted(x, kwargs), -1)
        return found

    def score(self, x: Any, y: Any, **kwargs: Any) -> float:
        """The loss with a minus, so that more is better."""
        return -self._measured(x, np.asarray(y), kwargs)["loss"]


def _names(function: Callable[..., Any]) -> list[str]:
    kinds = inspect.signature(function).parameters.items()
    return [
        name
        for name, one in kinds
        if name != "self" and one.kind not in (one.VAR_KEYWORD, one.VAR_POSITIONAL)
    ]
