"""The benchmarks of the data path measure what they say: all rows, the same ones."""

import sys

import numpy as np
import pytest
import torch

from benchmarks import frames, peaks, routes, scored, workload
from elephas_torch.data import Pairs

ROWS = 40


def test_tasks_load_all_rows():
    features, labels = workload.rows(ROWS)
    pairs = list(zip(features, labels, strict=True))
    assert list(routes.by_hand(pairs)) == [ROWS]
    assert list(routes._asarrays(pairs)) == [ROWS]
    assert list(routes.Load(Pairs())(0, pairs)) == [{"rows": ROWS}]


def test_routes_of_a_table_take_all_rows(spark, tmp_path):
    tables = frames.Tables(spark, ROWS, tmp_path)
    frame = tables.stored("array")
    assert frame.rdd.getNumPartitions() == frames.PARTITIONS
    assert routes._route(ROWS, frame, "array")()["rate"] > 0
    assert scored.run(scored.by_hand(frame, "array")) == ROWS


def test_predictor_by_hand_gives_probabilities():
    class Weights:
        value = workload.module().state_dict()

    threads = torch.get_num_threads()
    given = scored.predictor(Weights)(workload.rows(ROWS)[0])
    torch.set_num_threads(threads)
    assert given.shape == (ROWS, 10)
    np.testing.assert_allclose(given.sum(1), 1, rtol=1e-5)


@pytest.mark.skipif(sys.platform != "linux", reason="the peak is read from Linux's /proc")
def test_a_peak_is_more_than_the_tensors():
    features, labels = workload.rows(4000)
    pairs = (pair for pair in zip(features, labels, strict=True))
    [found] = peaks.Weigh(Pairs())(0, pairs)
    assert found["rows"] == 4000
    assert found["bytes"] == 4000 * 794 * 4
    assert 0 < found["peak"] < 5 * found["bytes"]
