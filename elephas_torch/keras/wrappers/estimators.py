"""`SKLearnClassifier`, `SKLearnRegressor`, `SKLearnTransformer`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin, TransformerMixin
from sklearn.utils.multiclass import type_of_target
from sklearn.utils.validation import check_is_fitted

from elephas_torch.keras.models import Model, clone_model

__all__ = ["SKLearnClassifier", "SKLearnRegressor", "SKLearnTransformer"]


class _Estimator(BaseEstimator):
    """What the three share.

    Args:
        model: a compiled model, which is copied and trained from new weights; or a function that
            makes one, called as `model(X=X, y=y, **model_kwargs)`.
        warm_start: whether `fit` goes on with the model of the `fit` before. Default False.
        model_kwargs: for the function.
        fit_kwargs: for the model's `fit`, such as {"epochs": 5}; those given to this `fit` win.

    Attributes:
        model_: the trained model.
        history_: what its `fit` returned.
    """

    model_: Model
    _ndim: int

    def __init__(
        self,
        model: Model | Callable[..., Model],
        warm_start: bool = False,
        model_kwargs: Mapping[str, Any] | None = None,
        fit_kwargs: Mapping[str, Any] | None = None,
    ) -> None:
        self.model = model
        self.warm_start = warm_start
        self.model_kwargs = model_kwargs
        self.fit_kwargs = fit_kwargs

    def fit(self, X: Any, y: Any, **kwargs: Any) -> Any:
        """Trains the model.

        Args:
            X: features, shape (rows, columns).
            y: targets, shape (rows,) or (rows, outputs).
            kwargs: for the model's `fit`.

        Returns:
            This estimator.

        Raises:
            RuntimeError: the model isn't compiled.
            ValueError: shapes don't fit, or targets of no known type.
        """
        X, y = _validated(self, X, y)
        targets = self._targets(y)
        model = self._ready(X, targets)
        self.history_ = model.fit(X, targets, **{**(self.fit_kwargs or {}), **kwargs})
        self.model_ = model
        return self

    def _ready(self, X: Any, y: Any) -> Model:
        if self.warm_start and hasattr(self, "model_"):
            return self.model_
        if isinstance(self.model, Model):
            model = _compiled(clone_model(_compiled(self.model)), self.model)
        else:
            model = self.model(X=X, y=y, **(self.model_kwargs or {}))
        return _compiled(model)

    def _targets(self, y: Any) -> Any:
        type_of_target(y, raise_unknown=True)
        self._ndim = y.ndim
        return y.reshape(-1, 1) if y.ndim == 1 else y

    def _outputs(self, X: Any) -> Any:
        check_is_fitted(self)
        return self.model_.predict(_validated(self, X), verbose=0)

    def predict(self, X: Any) -> Any:
        """The outputs of the model for rows, in the form of the targets."""
        found = self._outputs(X)
        return found[:, 0] if self._ndim == 1 and found.ndim == 2 else found

    def _more_tags(self) -> dict[str, Any]:  # scikit-learn before 1.6
        return {"non_deterministic": True}

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.non_deterministic = True
        return tags


class SKLearnClassifier(ClassifierMixin, _Estimator):
    """A model as a classifier of scikit-learn. Follows
    https://keras.io/api/utils/sklearn_wrappers/

    The model has an output for each class, also where there are two; it is trained on one-hot
    targets.

    Args:
        model: a compiled model, which is copied and trained from new weights; or a function that
            makes one, called as `model(X=X, y=y, **model_kwargs)`.
        warm_start: whether `fit` goes on with the model of the `fit` before. Default False.
        model_kwargs: for the function.
        fit_kwargs: for the model's `fit`, such as {"epochs": 5}; those given to this `fit` win.

    Attributes:
        model_: the trained model.
        history_: what its `fit` returned.
        classes_: the labels, sorted.

    Example::

        def mlp(X, y, units=16):
            model = Sequential([Dense(units, "relu"), Dense(y.shape[1], "softmax")])
            model.compile("adam", "categorical_crossentropy")
            return model

        SKLearnClassifier(mlp, model_kwargs={"units": 8}, fit_kwargs={"epochs": 5}).fit(X, y)
    """

    classes_: np.ndarray

    def _targets(self, y: Any) -> Any:
        kind = type_of_target(y, raise_unknown=True)
        if kind not in ("binary", "multiclass"):
            raise ValueError(
                "Only binary and multiclass target types are supported: `y` must have one label a "
                f"row. Received: targets of type {kind!r}"
            )
        self._ndim = y.ndim
        self.classes_, numbers = np.unique(y, return_inverse=True)
        if len(self.classes_) == 1:
            raise ValueError(
                "Classifier can't train when only one class is present. "
                f"Received: only {self.classes_[0]!r} in `y`"
            )
        return np.eye(len(self.classes_), dtype=np.float32)[numbers.reshape(-1)]

    def decision_function(self, X: Any) -> Any:
        """The outputs of the model, shape (rows, classes)."""
        return self._outputs(X)

    def predict(self, X: Any) -> Any:
        """The label of each row."""
        labels = self.classes_[self._outputs(X).argmax(-1)]
        return labels if self._ndim == 1 else labels.reshape(-1, 1)

    def _more_tags(self) -> dict[str, Any]:
        return {**super()._more_tags(), "poor_score": True}

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.poor_score = True
        return tags


class SKLearnRegressor(RegressorMixin, _Estimator):
    """A model as a regressor of scikit-learn. Follows
    https://keras.io/api/utils/sklearn_wrappers/

    Args:
        model, warm_start, model_kwargs, fit_kwargs: see `SKLearnClassifier`.

    Attributes:
        model_: the trained model.
        history_: what its `fit` returned.
    """

    def _more_tags(self) -> dict[str, Any]:
        return {**super()._more_tags(), "poor_score": True}

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.regressor_tags.poor_score = True
        return tags


class SKLearnTransformer(TransformerMixin, _Estimator):
    """A model as a transformer of scikit-learn: `transform` gives its outputs. Follows
    https://keras.io/api/utils/sklearn_wrappers/

    Args:
        model, warm_start, model_kwargs, fit_kwargs: see `SKLearnClassifier`.

    Attributes:
        model_: the trained model.
        history_: what its `fit` returned.
    """

    def transform(self, X: Any) -> Any:
        """The outputs of the model for rows."""
        return self._outputs(X)

    def _more_tags(self) -> dict[str, Any]:
        return {**super()._more_tags(), "preserves_dtype": []}

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = []
        return tags


def _compiled(model: Any, like: Any = None) -> Any:
    """Returns a model; compiled as another, where that is given.

    Raises:
        RuntimeError: it isn't compiled.
    """
    if like is not None:
        model.compile_from_config(like.get_compile_config())
    if not isinstance(model, Model) or model.compiled is None:
        raise RuntimeError(
            "The model must be a compiled one: call its compile(optimizer, loss) first. "
            f"Received: {model!r}"
        )
    return model


def _validated(estimator: Any, X: Any, y: Any = None) -> Any:
    """Returns features, or (features, targets), as arrays that scikit-learn has checked."""
    given = {"X": X} if y is None else {"X": X, "y": y, "multi_output": True}
    try:
        from sklearn.utils.validation import validate_data
    except ImportError:  # before 1.6
        return estimator._validate_data(**given, reset=y is not None)
    return validate_data(estimator, **given, reset=y is not None)
