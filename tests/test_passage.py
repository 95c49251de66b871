"""Outputs on a device that plays a GPU: see tests/test_device.py. Real ones: tests/test_gpu.py."""

from collections import Counter

import numpy as np
import pyarrow as pa
import pytest
import torch

from elephas_torch import SparkModel, connect, inference, passage, scorer, scoring, worker
from elephas_torch.data import Pairs
from elephas_torch.device import CPU, OutOfMemory
from elephas_torch.errors import WorkerError
from elephas_torch.heads import head
from elephas_torch.keras import Sequential, layers, metrics
from elephas_torch.keras.batches import Samples
from elephas_torch.keras.utils import custom_object_scope
from elephas_torch.ml_model import ElephasTransformer
from elephas_torch.passage import Passage, Place, gathered, rows_at_once
from elephas_torch.stepping import step_of
from tests.test_device import played

ROWS = 23


class Narrow(layers.Layer):
    """Takes so many rows, and says that memory is full with more."""

    def __init__(self, most):
        super().__init__()
        self.most = most

    def call(self, inputs):
        if len(inputs) > self.most:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
        return inputs * 1

    def compute_output_shape(self, input_shape):
        return input_shape


def network(most=1000):
    torch.manual_seed(1)
    model = Sequential([
        layers.Input(shape=(5,)), Narrow(most), layers.BatchNormalization(),
        layers.Dense(3, activation="softmax"),
    ])  # fmt: skip
    model.compile("sgd", "categorical_crossentropy", metrics=["accuracy", metrics.AUC()])
    return model


class Own(Sequential):
    """Predicts by itself."""

    def predict_step(self, data):
        return {"twice": super().predict_step(data) * 2, "x": data[:, :1]}


def features(rows=ROWS):
    return np.random.default_rng(0).standard_normal((rows, 5)).astype(np.float32)


def pairs():
    labels = np.eye(3, dtype=np.float32)[np.arange(ROWS) % 3]
    return list(zip(features(), labels, strict=True))


def task(model, rows=8):
    return scoring.Scoring(model.skeleton(), connect.Within(worker.packed(model)), rows, Pairs())


def predicted(model, where, rows=8):
    return list(scoring._outputs_of_rows(task(model, rows), where, iter(features())))


def computed(model, where, rows=8, invalid="error", given=None):
    heads = (head(model, "classification", probability="probability"),)
    sent = scorer.Sent(f"of {id(model)}", model.skeleton(), connect.Within(worker.packed(model)))
    plan = scorer.Plan(sent, heads, None, rows, invalid, False)
    column = pa.array(features().tolist() if given is None else given, pa.list_(pa.float32()))
    return pa.chunked_array(list(scorer._arrays(plan, where, [column]))).to_pylist()


def near(one, other):
    np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)


def test_rows_of_an_rdd_come_out_as_on_the_cpu():
    model, where = network(), played()
    parts = predicted(model, where)
    assert [len(part) for part in parts] == [8, 8, 7]
    near(np.concatenate(parts), np.concatenate(predicted(model, CPU)))
    noted = Counter(where.cuda.noted)
    assert noted["computing waits for side"] == 3
    # Outputs are fetched beside what is computed next: what is waited for was noted before that.
    assert noted["side waits for what computing noted"] == 3
    assert noted["copies on side"] == 6


def test_the_next_batch_is_on_its_way_before_one_is_fetched():
    where, given = played(), []
    batches = (given.append(n) or Samples(torch.full((2, 1), float(n))) for n in range(4))
    found = Passage(where, 0).outputs(lambda batch: batch.x * 2, batches)
    first = next(found)
    # One is fetched when the next one has been begun with, and that has the one after it sent.
    assert given == [0, 1, 2]
    assert [(float(b.x[0]), float(out[0])) for b, out in [first, *found]] == [
        (0, 0), (1, 2), (2, 4), (3, 6),
    ]  # fmt: skip


def test_small_batches_are_joined_unless_they_differ():
    sizes = [3, 3, 3, 1, 5, 2]
    several = [Samples(torch.ones(n, 4 if n != 5 else 6), None, torch.ones(n)) for n in sizes]
    found = list(gathered(iter(several), 7))
    assert [tuple(one.x.shape) for one in found] == [(6, 4), (4, 4), (5, 6), (2, 4)]
    assert [len(one.weight) for one in found] == [6, 4, 5, 2]


def test_how_many_rows_go_at_once():
    model, wide = network(), Sequential([layers.Input(shape=(224, 224, 3)), layers.Flatten()])
    narrower = Sequential([layers.Input(shape=(20_000,)), layers.Dense(1)])
    assert rows_at_once(model, None, CPU) == 256
    assert rows_at_once(model, 7, CPU) == rows_at_once(model, 7, played()) == 7
    assert [rows_at_once(one, None, played()) for one in (model, narrower, wide)] == [
        4096, (64 << 20) // 80_000, 256,
    ]  # fmt: skip


def test_a_model_that_predicts_by_itself():
    model = Own([layers.Input(shape=(5,)), layers.Dense(2)])
    mine, theirs = predicted(model, played()), predicted(model, CPU)
    for name in ("twice", "x"):
        near(*(np.concatenate([part[name] for part in several]) for several in (mine, theirs)))


def test_sums_are_those_of_the_cpu():
    model = network()
    mine, theirs = (scoring._sums(task(model), on, iter(pairs())) for on in (played(), CPU))
    assert mine["rows"] == theirs["rows"] == ROWS
    model.compile("sgd", "categorical_crossentropy", metrics=["accuracy", metrics.AUC()])
    for sums in (mine, theirs):
        step = step_of(model)
        step.load_sums([sums])
        sums["logs"] = step.logs()
    assert mine["logs"] == pytest.approx(theirs["logs"])


def test_columns_come_out_as_on_the_cpu():
    model, where = network(), played()
    mine, theirs = computed(model, where), computed(model, CPU)
    near([one["probability"] for one in mine], [one["probability"] for one in theirs])
    assert [one["prediction"] for one in mine] == [one["prediction"] for one in theirs]
    assert Counter(where.cuda.noted)["copies on side"] == 6


def test_groups_of_columns_overlap(monkeypatch):
    """What is computed for a group is fetched when the next group's first batch is begun with."""
    done, given = [], features()
    own = scorer._Scorer._given
    monkeypatch.setattr(
        scorer._Scorer, "_given", lambda self, x: done.append(len(x)) or own(self, x)
    )
    model, where = network(), played()
    heads = (head(model, "classification", probability="probability"),)
    sent = scorer.Sent("groups", model.skeleton(), connect.Within(worker.packed(model)))
    plan = scorer.Plan(sent, heads, None, 8, "keep", False)
    nothing = pa.nulls(8, pa.list_(pa.float32()))
    columns = [pa.array(given[n : n + 8].tolist(), nothing.type) for n in (0, 8)]
    found = scorer._arrays(plan, where, [nothing, columns[0], nothing, columns[1], nothing])
    parts = [(next(found), sum(done)) for _ in range(5)]
    assert [count for _, count in parts] == [16, 16, 16, 16, 16]
    assert next(found, None) is None
    nulls = [one.field("prediction").null_count for one, _ in parts]
    assert nulls == [8, 0, 8, 0, 8]
    mine = np.concatenate(
        [part.field("probability").flatten().to_numpy() for part, _ in parts[1::2]]
    )
    near(mine, np.stack([one["probability"] for one in computed(model, CPU)[:16]]).ravel())


def test_null_and_nan_are_found_on_a_device_too():
    given = features().tolist()
    given[3], given[9][2] = None, float("nan")
    found = computed(network(), played(), invalid="keep", given=given)
    assert [n for n, one in enumerate(found) if one is None or one["prediction"] is None] == [3, 9]
    with pytest.raises(Exception, match="have null in"):
        computed(network(), played(), given=given)


def test_a_model_on_a_device_is_the_task_s_own():
    model = network()
    sent = scorer.Sent("one", model.skeleton(), connect.Within(worker.packed(model)))
    assert sent.model() is sent.model(CPU) is not sent.model(played())
    assert sent.model(played()) is not sent.model(played())


# Full memory


@pytest.mark.parametrize("most", [5, 1])
def test_batches_that_do_not_fit_are_halved(most, caplog):
    where = played()
    mine = np.concatenate(predicted(network(most), where))
    near(mine, np.concatenate(predicted(network(), CPU)))
    warned = [one.message for one in caplog.records if one.levelname == "WARNING"]
    steps = {5: [(8, 4)], 1: [(8, 4), (4, 2), (2, 1)]}[most]  # and it is remembered
    assert len(warned) == len(steps) == where.cuda.emptied
    for (before, after), text in zip(steps, warned, strict=True):
        assert f"out of memory with {before} rows at once: going on with {after}." in text


def test_the_next_task_knows_how_many_rows_fit(caplog):
    model, key = network(5), "known"
    given = task(model)
    for _ in range(2):
        list(scoring._outputs_of_rows(given, played(), iter(features())))
    assert caplog.text.count("out of memory with 8 rows at once") == 1
    assert (
        Passage(played(), 0, 8, given.key).rows == 4 and Passage(played(), 0, 8, key).rows is None
    )
    for number in range(100):
        Passage(played(), 0, 8, f"{key}{number}")._halve(8)
    assert len(passage._fitting) == passage.KNOWN


def test_evaluation_and_columns_are_halved_too():
    sums = [scoring._sums(task(network(n)), on, iter(pairs()))
            for n, on in ((3, played()), (99, CPU))]  # fmt: skip
    assert sums[0]["rows"] == sums[1]["rows"] == ROWS
    assert sums[0]["loss"] == pytest.approx(sums[1]["loss"])
    mine, theirs = computed(network(3), played()), computed(network(), CPU)
    near([one["probability"] for one in mine], [one["probability"] for one in theirs])


def test_where_one_row_does_not_fit():
    with pytest.raises(OutOfMemory) as told:
        predicted(network(0), played(free=200 << 20))
    for part in ("batch_size=1 and a model of 1 MB. Of its", "a smaller model", "200 are free"):
        assert part in str(told.value)
    assert "gradients" not in str(told.value)


def test_rows_that_were_counted_already_are_not_counted_again():
    class Full(metrics.Metric):
        def update_state(self, y_true, y_pred, sample_weight=None):
            raise torch.cuda.OutOfMemoryError("CUDA out of memory.")

        def result(self):
            return 0.0

    model = network()
    model.compile("sgd", "categorical_crossentropy", metrics=[Full()])
    with pytest.raises(OutOfMemory, match="batch_size=4"):
        Passage(played(), 1).evaluate(step_of(model), model_samples(model))


def test_a_batch_that_can_not_even_be_copied_there():
    def found():
        yield Samples(torch.ones(6, 1))
        raise torch.cuda.OutOfMemoryError("CUDA out of memory.")

    with pytest.raises(OutOfMemory, match=r"batch_size=6 and .* Try batch_size=3"):
        list(Passage(played(), 1, 6).outputs(lambda batch: batch.x, found()))


def model_samples(model):
    x, y = zip(*pairs(), strict=True)
    samples = model.samples(np.stack(x), np.stack(y))
    return iter([samples.rows(0, 4)])


# On Spark


@pytest.fixture(scope="module")
def frame(spark):
    rows = [(n, one.tolist()) for n, one in enumerate(features())]
    return spark.createDataFrame(rows, "id int, features array<float>").repartition(2)


@pytest.mark.spark
@pytest.mark.parametrize("collect", [True, False])
def test_a_device_that_is_not_there_on_spark(spark_context, collect):
    trained = SparkModel(network(), device="cuda:9")
    rdd = spark_context.parallelize(list(features()), 2)
    if collect:
        with pytest.raises(WorkerError, match=r"Partition \d failed: device='cuda:9', but"):
            trained.predict(rdd)
        with pytest.raises(WorkerError, match=r"Partition \d failed: device='cuda:9', but"):
            trained.evaluate(spark_context.parallelize(pairs(), 2))
    else:
        with pytest.raises(Exception, match=r"device='cuda:9', but"):
            trained.predict(rdd, collect=False).collect()


@pytest.mark.spark
def test_a_device_of_a_transformer(spark, frame, tmp_path):
    stage = ElephasTransformer(model=network(), device="cuda:9")
    with pytest.raises(Exception, match=r"WorkerError: device='cuda:9', but"):
        stage.transform(frame).collect()
    stage.write().overwrite().save(str(tmp_path / "stage"))
    with custom_object_scope({"Narrow": Narrow}):
        again = ElephasTransformer.load(str(tmp_path / "stage"))
    assert again.getDevice() == "cuda:9"
    # Nothing more is asked for where a size isn't set.
    assert again._inference()["batch_size"] is None
    assert again.setInferenceBatchSize(256)._inference()["batch_size"] == 256
    on_cpu = again.setDevice("cpu").transform(frame).orderBy("id").toPandas()["probability"]
    near(np.stack([one.toArray() for one in on_cpu]), network().predict(features(), verbose=0))
    with pytest.raises(ValueError, match="`device` must be 'auto'"):
        stage.setDevice("gpu")


def test_a_device_is_looked_at_before_a_job():
    model = network()
    sent = scorer.Sent("s", model.skeleton(), connect.Within(b""))
    with pytest.raises(ValueError, match=r"`device` must be 'auto'"):
        inference.udf(sent, [head(model, "array")], device="gpu")


def test_settings_of_torch_are_the_driver_s():
    before = torch.backends.cudnn.benchmark
    torch.backends.cudnn.benchmark = True
    try:
        place = Place.of("cpu")
    finally:
        torch.backends.cudnn.benchmark = before
    assert place.backends["cudnn_benchmark"] is True
    with place.taken(0, None) as where:
        assert where is CPU
