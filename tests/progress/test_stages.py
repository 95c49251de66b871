"""Bars of what is lazy: the actions are the user's own."""

import pickle
import re
import threading
import time

import numpy as np
import pytest
from pyspark.errors import PythonException
from pyspark.sql import functions as F

from elephas_torch import ElephasTransformer, SparkModel
from elephas_torch.keras import Sequential, layers
from elephas_torch.progress import stages
from elephas_torch.tally import Count, Report, Reports

ROWS, TASKS = 800, 8
BAR = r"Transforming (\d)/8 tasks [━╸─]+ · \d+:\d\d · ([\d,]+) rows · [\d,]+ rows/s"


@pytest.fixture(autouse=True)
def soon(monkeypatch):
    """Bars come early."""
    monkeypatch.setattr(stages, "AFTER", 0.1)
    monkeypatch.setattr(stages, "EVERY", 0.05)


@pytest.fixture
def frame(spark):
    """Rows in eight partitions."""
    return spark.range(0, ROWS, numPartitions=TASKS).select(
        F.array((F.col("id") / ROWS).cast("float"), F.lit(1.0)).alias("features")
    )


def network(seconds):
    """A classifier whose batches take so long."""
    slow = layers.Lambda(lambda x: time.sleep(seconds) or x)
    found = Sequential([layers.Dense(8, input_dim=2), slow, layers.Dense(3, "softmax")])
    found.compile("sgd", "categorical_crossentropy")
    return found


def transformer(seconds=0.25, **params):
    return ElephasTransformer(model=network(seconds), **{"verbose": 1, **params})


def computed(frame):
    """The sum of the predictions, by an action that asks for all of them."""
    return frame.agg(F.sum("prediction")).collect()[0][0]


def shown(place):
    """What was shown, one text after the other."""
    return [line for lines in place.seen for line in lines]


def ended():
    """Waits until nothing is watched any more."""
    end = time.monotonic() + 10
    while any("_watch" in one.name for one in threading.enumerate()):
        assert time.monotonic() < end
        time.sleep(0.02)


def test_each_action_shows_its_tasks_and_rows_and_leaves_nothing(terminal, frame):
    place = terminal()
    made = transformer().transform(frame)
    for _ in range(2):
        seen = len(place.seen)
        computed(made)
        ended()
        place.wait_for([])  # it has been read to its end
        bars = [re.fullmatch(BAR, line) for lines in place.seen[seen:] for line in lines]
        assert len(bars) > 1 and all(bars), place.seen[seen:]
        rows = [int(bar[2].replace(",", "")) for bar in bars]
        assert rows == sorted(rows) and 100 <= rows[0] <= rows[-1] <= ROWS
        assert all(int(bar[1]) * 100 == n for bar, n in zip(bars, rows, strict=True))
    assert place.closed() == [] and b"\n" not in place.raw


def test_others_show_nothing(terminal, frame):
    place = terminal()
    computed(transformer(verbose=0).transform(frame))
    assert stages.count_frame(frame, "Transforming", 2) is None
    assert place.closed() == [] and place.raw == b""


def test_a_pipe_gets_nothing(capfd, frame):
    computed(transformer(verbose="auto").transform(frame))
    computed(transformer().transform(frame))
    assert capfd.readouterr().out == ""


def test_output_that_has_become_a_pipe_gets_nothing(terminal, frame, capfd, monkeypatch):
    place = terminal()
    made = transformer(0.1).transform(frame)
    place.closed()
    monkeypatch.undo()
    monkeypatch.setattr(stages, "AFTER", 0.1)
    computed(made)
    assert capfd.readouterr().out == ""


def test_a_part_of_the_rows_leaves_no_bar(terminal, frame):
    place = terminal()
    made = transformer(0.2).transform(frame)
    assert len(made.limit(150).collect()) == 150
    assert len(made.take(3)) == 3
    ended()
    assert place.closed() == []


def test_a_job_that_fails_leaves_no_bar(terminal, frame):
    place = terminal()
    bad = frame.withColumn("features", F.expr("if(features[0] > 0.99, null, features)"))
    with pytest.raises(PythonException, match="have null in 'features'"):
        computed(transformer().transform(bad))
    ended()
    assert any("Transforming" in line for line in shown(place))
    assert not any("Transforming" in line for line in place.closed())


def test_two_models_in_one_stage_are_one_bar(terminal, frame):
    place = terminal()
    first = transformer(0.1, probabilityCol="", rawPredictionCol="")
    made = first.copy({first.predictionCol: "other"}).transform(first.transform(frame))
    made.agg(F.sum("prediction"), F.sum("other")).collect()
    ended()
    bars = [re.fullmatch(BAR, line) for line in shown(place)]
    assert bars and all(bars)
    assert all(int(bar[2]) == 100 * int(bar[1]) for bar in bars)
    assert place.closed() == []


def test_partitions_that_are_taken_together_count_all_their_rows(terminal, frame):
    place = terminal()
    computed(transformer(0.1).transform(frame).coalesce(6))
    ended()
    bars = [re.fullmatch(BAR.replace("8", "6"), line) for line in shown(place)]
    assert bars and all(bars)
    assert all(100 * int(bar[1]) <= int(bar[2]) <= ROWS for bar in bars)
    assert place.closed() == []


def test_predictions_of_an_rdd_that_is_not_collected(terminal, spark_context):
    place = terminal()
    rows = spark_context.parallelize(np.zeros((ROWS, 2), np.float32), TASKS)
    found = SparkModel(network(0.25), num_workers=2).predict(rows, collect=False)
    assert found.count() == ROWS
    ended()
    bars = [re.fullmatch(BAR.replace("Transforming", "Predicting"), line) for line in shown(place)]
    assert bars and all(bars)
    assert place.closed() == []


def test_a_stage_that_is_run_again_counts_each_partition_once():
    found = stages.Stage("Transforming", time.perf_counter())
    for attempt, of in ((1, "a"), (1, "b"), (2, "a")):
        found.add(Report("Transforming", 0, 0, attempt, of, 100, 0.1))
    found.add(Report("Transforming", 0, 1, 3, "a", 50, 0.1))
    found.add(Report("Transforming", 0, 1, 3, "a", 30, 0.1))
    found.total = 3
    assert found.view().rows == 180 and not found.is_over
    found.total = 2
    assert found.is_over


def test_streams_have_none(terminal, spark):
    place = terminal()
    stream = spark.readStream.format("rate").load()
    assert stages.count_frame(stream, "Transforming", 1) is None
    assert stages.count_frame(spark.range(1), "Transforming", 1) is not None
    place.closed()


def test_what_travels_has_nothing_of_the_driver(terminal, spark_context):
    place = terminal()
    first = stages.count(spark_context, "Transforming", 1)
    other = stages.count(spark_context, "Transforming", 1)
    place.closed()
    assert first.reports is other.reports and first.name != other.name
    assert len(pickle.dumps(first)) < 500
    assert vars(pickle.loads(pickle.dumps(first.reports.accum_param))) == {"_hear": None}


def test_reports_add_up_where_nobody_hears():
    one = Report("Transforming", 0, 0, 0, "a", 1, 0.1)
    assert Reports().addInPlace([one], [one]) == [one, one] and Reports().zero([one]) == []
    assert list(Count(None, "Transforming").passed([[1, 2], [3]])) == [[1, 2], [3]]
