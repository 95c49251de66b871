"""`transform` against `predict_batch_udf` written by hand: the same model, the same rows."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import torch

from benchmarks import frames, routes, workload

BATCH = 256
BY_HAND = "predict_batch_udf"
KINDS = ("array", "vector")


def all_of(tables: frames.Tables, rows: int) -> dict[str, dict[str, routes.Measure]]:
    """Both ways, on an array and on a vector column in Spark's memory."""
    return {f"transform, {kind}": _of(tables.persisted(kind), kind, rows) for kind in KINDS}


def _of(frame: Any, kind: str, rows: int) -> dict[str, routes.Measure]:
    from elephas_torch.ml_model import ElephasTransformer

    stage = ElephasTransformer(model=workload.facade(), inferenceBatchSize=BATCH)
    lean = stage.copy()
    lean.setParams(predictionCol="", rawPredictionCol="")
    several = {
        BY_HAND: by_hand(frame, kind),
        "transform": stage.transform(frame),
        "probability alone": lean.transform(frame),
    }
    return {
        name: functools.partial(routes.timed, rows, functools.partial(run, one))
        for name, one in several.items()
    }


def run(frame: Any) -> int:
    """Computes all columns of all rows; returns how many rows there are."""
    from pyspark.sql import Observation
    from pyspark.sql import functions as F

    seen = Observation()
    counted = frame.observe(seen, F.count(F.lit(1)).alias("rows"))
    counted.write.format("noop").mode("overwrite").save()
    return int(seen.get["rows"])


def by_hand(frame: Any, kind: str) -> Any:
    """A column of probabilities, as Spark's documentation of `predict_batch_udf` does it."""
    from pyspark.ml.functions import predict_batch_udf, vector_to_array
    from pyspark.sql import functions as F
    from pyspark.sql.types import ArrayType, FloatType

    weights = frame.sparkSession.sparkContext.broadcast(workload.module().state_dict())
    score = predict_batch_udf(
        functools.partial(predictor, weights),
        return_type=ArrayType(FloatType()),
        batch_size=BATCH,
        input_tensor_shapes=[[frames.WIDTH]],
    )
    column = F.col("features")
    column = vector_to_array(column, "float32") if kind == "vector" else column
    return frame.withColumn("probability", score(column))


def predictor(weights: Any) -> Any:
    """What a Python worker runs on each batch, made once a task."""
    torch.set_num_threads(1)
    model = workload.module()
    model.load_state_dict(weights.value)
    model.eval()

    def predict(features: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            return model(torch.from_numpy(features)).softmax(-1).numpy()

    return predict
