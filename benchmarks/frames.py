"""A Spark session on two cores, and rows to read: DataFrames of every kind, persisted or not."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import workload

WIDTH = 784
#: Of a sparse row's numbers so many are no zeros.
STORED = 78
COLUMNS = [f"f{number}" for number in range(WIDTH)]
#: What the features are: one column, but 784 of single numbers.
KINDS = ("array", "vector", "sparse", "columns")
PARTITIONS = 2
#: Rows that are written at once.
PIECE = 20_000


@contextmanager
def session(settings: Mapping[str, str]) -> Iterator[Any]:
    """A SparkSession of two slots, with some more settings."""
    from pyspark import SparkConf
    from pyspark.sql import SparkSession

    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    settings = {
        **settings,
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.driver.memory": "8g",
        # Each file is read as one partition.
        "spark.sql.files.maxPartitionBytes": "8g",
        "spark.sql.files.openCostInBytes": "8g",
        "spark.sql.parquet.compression.codec": "none",
        "spark.hadoop.parquet.enable.dictionary": "false",
    }
    conf = SparkConf().setMaster(f"local[{PARTITIONS}]").setAppName("benchmarks")
    spark = SparkSession.builder.config(conf=conf.setAll(list(settings.items()))).getOrCreate()
    spark.sparkContext.setLogLevel("ERROR")
    try:
        yield spark
    finally:
        spark.stop()


class Tables:
    """Rows of 784 features and a label.

    Args:
        spark: a session.
        rows: how many.
        folder: for Parquet files.

    Attributes:
        spark: the session.
    """

    def __init__(self, spark: Any, rows: int, folder: Path) -> None:
        self.spark, self._rows, self._folder = spark, rows, folder
        self._persisted: dict[str, Any] = {}

    def of(self, rows: int) -> Tables:
        """Tables of another number of rows, in the same session."""
        folder = self._folder / str(rows)
        folder.mkdir(exist_ok=True)
        return Tables(self.spark, rows, folder)

    def persisted(self, kind: str) -> Any:
        """A DataFrame of one of `KINDS` in Spark's memory."""
        if kind not in self._persisted:
            frame = self.stored(kind).persist()
            frame.count()
            self._persisted[kind] = frame
        return self._persisted[kind]

    def stored(self, kind: str) -> Any:
        """The same in Parquet files, one a partition."""
        path = self._folder / kind
        if not path.exists():
            if kind in ("vector", "sparse"):
                self._assembled(kind).write.parquet(str(path))
            else:
                self._write(path, _columns if kind == "columns" else _lists)
        return self.spark.read.parquet(str(path))

    def _assembled(self, kind: str) -> Any:
        from pyspark.ml.feature import VectorAssembler
        from pyspark.ml.functions import array_to_vector
        from pyspark.sql import functions as F

        features: Any = F.col("features")
        if kind == "sparse":
            features = F.transform(features, lambda x, i: F.when(i < STORED, x).otherwise(0.0))
        vectors = self.stored("array").select(array_to_vector(features).alias("all"), "label")
        # It makes a vector sparse where that takes less room.
        assembler = VectorAssembler(inputCols=["all"], outputCol="features")
        return assembler.transform(vectors).drop("all")

    def _write(self, path: Path, table: Any) -> None:
        path.mkdir()
        for number in range(PARTITIONS):
            rows = len(range(number, self._rows, PARTITIONS))
            _write_file(path / f"part-{number}.parquet", table, rows, number)


def _write_file(path: Path, table: Any, rows: int, seed: int) -> None:
    """One partition, a piece at a time: a million rows needn't be in memory at once."""
    from pyarrow import parquet

    writer = None
    for first in range(0, rows, PIECE):
        features, one_hot = workload.rows(min(PIECE, rows - first), seed + first)
        piece = table(features, one_hot.argmax(1))
        writer = writer or parquet.ParquetWriter(
            path, piece.schema, use_dictionary=False, compression="none"
        )
        writer.write_table(piece)
    if writer is not None:
        writer.close()


def _lists(features: np.ndarray, labels: np.ndarray) -> Any:
    import pyarrow as pa

    offsets = np.arange(len(features) + 1, dtype=np.int32) * WIDTH
    lists = pa.ListArray.from_arrays(pa.array(offsets), pa.array(features.reshape(-1)))
    return pa.table({"features": lists, "label": labels})


def _columns(features: np.ndarray, labels: np.ndarray) -> Any:
    import pyarrow as pa

    columns = {name: features[:, number] for number, name in enumerate(COLUMNS)}
    return pa.table({**columns, "label": labels})


@contextmanager
def tables(rows: int, settings: Mapping[str, str] | None = None) -> Iterator[Tables]:
    """A session with its tables.

    Args:
        settings: more of Spark's.
    """
    with tempfile.TemporaryDirectory() as folder, session(settings or {}) as spark:
        yield Tables(spark, rows, Path(folder))
