"""`SparkMLlibModel`: a SparkModel that takes MLlib's LabeledPoints, matrices and vectors."""

from __future__ import annotations

from typing import Any

from pyspark import RDD

from elephas_torch import arguments, cluster
from elephas_torch.keras.callbacks import History
from elephas_torch.spark_model import SparkModel
from elephas_torch.utils.rdd_utils import lp_to_simple_rdd


class SparkMLlibModel(SparkModel):
    """`SparkModel` for RDDs of MLlib's LabeledPoints, matrices and vectors."""

    def fit(  # type: ignore[override]
        self,
        labeled_points: RDD[Any],
        epochs: int = 10,
        batch_size: int | None = 32,
        verbose: int | str = 0,
        validation_split: float = 0.1,
        categorical: bool = False,
        nb_classes: int | None = None,
        **kwargs: Any,
    ) -> History:
        """Trains on LabeledPoints.

        Args:
            labeled_points: RDD of LabeledPoint.
            categorical: labels are class numbers that become one-hot vectors.
            nb_classes: how many classes; by default the largest label + 1.
            **kwargs: as in `SparkModel.fit`.
        """
        arguments.checked_rdd(labeled_points)
        cluster.prepare_python(labeled_points.context)
        rdd = lp_to_simple_rdd(labeled_points, categorical, nb_classes)
        return super().fit(
            rdd,
            epochs=epochs,
            batch_size=batch_size,
            verbose=verbose,
            validation_split=validation_split,
            **kwargs,
        )

    def train(  # type: ignore[override]
        self,
        labeled_points: RDD[Any],
        nb_epoch: int = 10,
        batch_size: int = 32,
        verbose: int | str = 0,
        validation_split: float = 0.1,
        categorical: bool = False,
        nb_classes: int | None = None,
        **kwargs: Any,
    ) -> History:
        """The same as `fit`, under elephas's name."""
        nb_epoch = kwargs.pop("epochs", nb_epoch)
        return self.fit(
            labeled_points,
            nb_epoch,
            batch_size,
            verbose,
            validation_split,
            categorical,
            nb_classes,
            **kwargs,
        )

    def predict(self, data: Any, *args: Any, **kwargs: Any) -> Any:
        """Outputs for an MLlib Matrix (a Matrix), a Vector (a Vector), or what
        `SparkModel.predict` takes."""
        # Importing MLlib brings pandas and half a second with it: only where it is used.
        from pyspark.mllib.linalg import Matrix, Vector

        from elephas_torch.mllib.adapter import from_matrix, from_vector, to_matrix, to_vector

        if isinstance(data, Matrix):
            return to_matrix(super().predict(from_matrix(data), *args, **kwargs))
        if isinstance(data, Vector):
            return to_vector(super().predict(from_vector(data)[None], *args, **kwargs)[0])
        return super().predict(data, *args, **kwargs)

    def predict_classes(self, data: Any, batch_size: int | None = None) -> Any:
        """The class of each row of an MLlib Matrix (an array), of a Vector (a number), or of
        what `SparkModel.predict_classes` takes."""
        from pyspark.mllib.linalg import Matrix, Vector

        from elephas_torch.mllib.adapter import from_matrix, from_vector

        if isinstance(data, Matrix):
            return super().predict_classes(from_matrix(data), batch_size)
        if isinstance(data, Vector):
            return super().predict_classes(from_vector(data)[None], batch_size)[0]
        return super().predict_classes(data, batch_size)

    def evaluate(  # type: ignore[override]
        self,
        labeled_points: Any,
        *args: Any,
        categorical: bool = False,
        nb_classes: int | None = None,
        **kwargs: Any,
    ) -> Any:
        """Loss and metrics on an RDD of LabeledPoints, or on what `SparkModel.evaluate` takes.

        Args:
            categorical, nb_classes: as in `fit`; `nb_classes` is the model's number of outputs by
                default.
        """
        if isinstance(labeled_points, RDD):
            if categorical and nb_classes is None:
                nb_classes = self.master_network.output_shape[-1]
            labeled_points = lp_to_simple_rdd(labeled_points, categorical, nb_classes)
        return super().evaluate(labeled_points, *args, **kwargs)
