import re
import time

import numpy as np
import pytest

from elephas_torch import SparkModel
from elephas_torch.classic import JOB
from elephas_torch.errors import WorkerError
from elephas_torch.progress import tasks


@pytest.fixture
def soon(monkeypatch):
    """Bars come early."""
    monkeypatch.setattr(tasks, "AFTER", 0.1)
    monkeypatch.setattr(tasks, "EVERY", 0.05)


@pytest.fixture
def slow(spark_context):
    """Rows in eight partitions that take 0.3 s each."""

    def row(number):
        time.sleep(0.3)
        return np.full(20, number / 8, np.float32), np.float32([number % 2])

    return spark_context.parallelize(range(8), 8).map(row)


@pytest.fixture
def described(spark_context):
    """described() gives (id, description) of the last job that Spark knows."""

    def found():
        jobs = spark_context._jsc.sc().statusStore().jobsList(None)
        last = max((jobs.apply(n) for n in range(jobs.size())), key=lambda job: job.jobId())
        return last.jobId(), last.description().get()

    return found


BAR = r"{} \d/8 tasks [━╸─]+ · \d+:\d\d"


def test_predictions_show_tasks_and_are_named(terminal, soon, model, slow, described):
    place = terminal()
    found = SparkModel(model, num_workers=2).predict(slow.keys())
    stays = place.closed()
    assert found.shape == (8, 1) and stays == []
    bars = {line for lines in place.seen for line in lines}
    assert len(bars) > 1 and all(re.fullmatch(BAR.format("Predicting"), bar) for bar in bars), bars
    assert described()[1] == "elephas_torch: predicting"


def test_evaluations_show_tasks_and_their_result(terminal, soon, model, slow, described):
    place = terminal()
    SparkModel(model, num_workers=2).evaluate(slow, verbose=1)
    (line,) = place.closed()
    assert re.fullmatch(r"\d+\.\ds - accuracy: \S+ - loss: \S+", line)
    assert any(re.fullmatch(BAR.format("Evaluating"), one) for lines in place.seen for one in lines)
    assert described()[1] == "elephas_torch: evaluating"


@pytest.mark.parametrize("verbose", [0, 2])
def test_others_show_no_tasks(terminal, soon, model, slow, verbose):
    place = terminal()
    SparkModel(model, num_workers=2).predict(slow.keys(), verbose=verbose)
    assert place.closed() == [] and place.raw == b""


def test_a_pipe_gets_nothing_of_tasks(capfd, soon, model, slow):
    SparkModel(model, num_workers=2).predict(slow.keys(), verbose=1)
    assert capfd.readouterr().out == ""


def test_a_job_group_of_ones_own_is_as_before(
    terminal, soon, model, slow, spark_context, job_group, described
):
    place = terminal()
    job_group("mine", "my own work", interruptOnCancel=False)
    before = {name: spark_context.getLocalProperty(name) for name in JOB}
    SparkModel(model, num_workers=2).predict(slow.keys())
    bars = {line for lines in (place.closed(), *place.seen) for line in lines}
    assert bars and all(re.fullmatch(BAR.format("Predicting"), bar) for bar in bars), bars
    number, about = described()
    assert about == "elephas_torch: predicting"
    assert number in spark_context.statusTracker().getJobIdsForGroup("mine")
    assert {name: spark_context.getLocalProperty(name) for name in JOB} == before
    assert not spark_context.getJobTags()
    spark_context.parallelize([1], 1).count()
    assert described()[1] == "my own work"


def test_an_error_leaves_the_jobs_names_as_they_were(model, slow, spark_context):
    before = [spark_context.getLocalProperty(name) for name in JOB]
    with pytest.raises(WorkerError, match="division by zero"):
        SparkModel(model, num_workers=2).evaluate(slow.map(lambda row: 1 / 0))
    assert [spark_context.getLocalProperty(name) for name in JOB] == before


def test_trainings_are_named_too(model, rows, described):
    trainer = SparkModel(model, mode="hogwild", frequency="epoch", num_workers=2)
    trainer.fit(rows, epochs=1, batch_size=1000, verbose=0)
    assert described()[1] == "elephas_torch: training small, hogwild, 1 epoch"
