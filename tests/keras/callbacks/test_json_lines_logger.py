"""`JSONLinesLogger`: what it writes, and that others read it."""

import json

import numpy as np
import pandas as pd
import pytest
import torch

from elephas_torch._version import __version__
from elephas_torch.keras.callbacks import Callback, JSONLinesLogger, LambdaCallback
from elephas_torch.keras.layers import Dense
from elephas_torch.keras.models import Sequential
from elephas_torch.spark_model import SparkModel
from elephas_torch.utils.rdd_utils import to_simple_rdd


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def train(compiled, data, path, *callbacks, epochs=2, model=None):
    model = model or compiled()
    logger = JSONLinesLogger(path)
    model.fit(*data, epochs=epochs, batch_size=5, verbose=0, callbacks=[logger, *callbacks])


def test_a_training_has_a_line_for_its_begin_its_epochs_and_its_end(compiled, data, tmp_path):
    path = tmp_path / "runs.jsonl"
    train(compiled, data, path)
    begin, *epochs, end = lines(path)
    assert begin["event"] == "begin" and begin["spark"] is None
    assert begin["versions"]["elephas_torch"] == __version__
    assert begin["versions"]["torch"] == torch.__version__
    assert begin["model"] == {
        "name": begin["model"]["name"], "layers": 1, "weights": 10, "trainable_weights": 10,
    }  # fmt: skip
    assert begin["compile"]["optimizer"]["config"]["momentum"] == 0.9
    assert begin["fit"] == {"epochs": 2, "steps": 5, "verbose": 0}
    assert [one["epoch"] for one in epochs] == [0, 1]
    assert all(set(one["logs"]) == {"loss", "mae"} and one["seconds"] >= 0 for one in epochs)
    assert end["status"] == "finished" and end["seconds"] >= sum(one["seconds"] for one in epochs)
    assert len({one["run"] for one in lines(path)}) == 1
    times = [pd.Timestamp(one["time"]) for one in lines(path)]
    assert times == sorted(times) and times[0].utcoffset().total_seconds() == 0


def test_several_trainings_are_told_apart(compiled, data, tmp_path):
    path = tmp_path / "runs.jsonl"
    train(compiled, data, path)
    train(compiled, data, path)
    runs = [one["run"] for one in lines(path)]
    assert runs[:4] == [runs[0]] * 4 and runs[4:] == [runs[4]] * 4 and runs[0] != runs[4]


def test_what_ended_a_training_is_told(compiled, data, tmp_path):
    path = tmp_path / "runs.jsonl"

    class Stop(Callback):
        def on_epoch_end(self, epoch, logs=None):
            self.model.stop_training = True

    def fail(epoch, logs):
        raise ArithmeticError("too much")

    train(compiled, data, path, Stop(), epochs=3)
    with pytest.raises(ArithmeticError):
        train(compiled, data, path, LambdaCallback(on_epoch_begin=fail))
    ends = [one for one in lines(path) if one["event"] == "end"]
    assert [one["status"] for one in ends] == ["stopped", "failed"]
    assert ends[1]["error"] == "ArithmeticError: too much"


def test_what_json_has_no_word_for(compiled, data, tmp_path):
    path = tmp_path / "runs.jsonl"
    odd = {
        "nan": float("nan"), "inf": np.float32("inf"), "array": np.arange(2), "one": np.int64(3),
        "tensor": torch.tensor(0.5), "object": Callback, "flag": np.True_,
    }  # fmt: skip
    logger = JSONLinesLogger(path)
    added = LambdaCallback(on_epoch_end=lambda epoch, logs: logs.update(odd))
    compiled().fit(*data, verbose=0, callbacks=[added, logger])
    logs = lines(path)[1]["logs"]
    assert {name: logs[name] for name in odd} == {
        "nan": None, "inf": None, "array": [0, 1], "one": 3, "tensor": 0.5, "object": str(Callback),
        "flag": True,
    }  # fmt: skip


def test_a_loss_without_a_config_doesn_t_matter(data, tmp_path):
    class Loss:
        def __call__(self, y_true, y_pred):
            return (y_true - y_pred).abs().mean()

    model = Sequential([Dense(2, input_dim=4)])
    model.compile("sgd", Loss())
    train(None, data, tmp_path / "runs.jsonl", model=model)
    assert lines(tmp_path / "runs.jsonl")[-1]["status"] == "finished"


@pytest.mark.spark
def test_records_of_a_spark_model_are_read_by_spark_and_pandas(spark, compiled, data, tmp_path):
    path = tmp_path / "runs.jsonl"
    train(compiled, data, path)
    spark_model = SparkModel(compiled(), mode="synchronous", num_workers=2, batch_size=4)
    rdd = to_simple_rdd(spark.sparkContext, *data)
    spark_model.fit(rdd, epochs=2, verbose=0, callbacks=JSONLinesLogger(path))
    with pytest.raises(ArithmeticError):
        spark_model.fit(rdd, verbose=0, callbacks=[JSONLinesLogger(path), Failing()])

    frame = spark.read.json(str(path))
    found = frame.where("event = 'begin' AND spark IS NOT NULL").select("spark.*").first()
    assert (found.mode, found.num_workers, found.batch_size) == ("synchronous", 2, 4)
    assert isinstance(found.seed, int)
    ends = [row.status for row in frame.where("event = 'end'").collect()]
    assert ends == ["finished", "finished", "failed"]

    table = pd.read_json(path, lines=True)
    epochs = table[table.event == "epoch"]
    assert [set(logs) for logs in epochs.logs] == [{"loss", "mae"}] * 5
    assert list(epochs.epoch) == [0, 1, 0, 1, 0] and epochs.seconds.min() >= 0


class Failing(Callback):
    def on_epoch_end(self, epoch, logs=None):
        raise ArithmeticError("too much")

    def on_exception(self, exception):
        raise OSError("and this is no help")
