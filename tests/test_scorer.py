"""Arrow arrays through a model, without Spark."""

import itertools
from typing import ClassVar

import numpy as np
import pyarrow as pa
import pytest
import torch

from elephas_torch import connect, scorer, worker
from elephas_torch.errors import DataError, WorkerError
from elephas_torch.heads import head
from elephas_torch.keras.layers import Dense, Flatten, Input, Layer, Reshape
from elephas_torch.keras.models import Model, Sequential

X = np.random.default_rng(1).normal(size=(40, 4)).astype(np.float32)


class Counted(Layer):
    """Notes how many rows come at once; fails for values above 90."""

    rows: ClassVar[list[int]] = []

    def call(self, inputs):
        Counted.rows.append(len(inputs))
        if (inputs > 90).any():
            raise ArithmeticError("too large for this layer")
        return inputs

    def compute_output_shape(self, input_shape):
        return input_shape


@pytest.fixture(scope="module")
def model():
    made = Sequential([Input((4,)), Counted(), Dense(3, activation="softmax")])
    made.compile(loss="categorical_crossentropy", optimizer="sgd")
    return made


def sent(model):
    return scorer.Sent(f"of {id(model)}", model.skeleton(), connect.Within(worker.packed(model)))


def plan(model, kind="classification", only=None, vectors=True, invalid="error", rows=16, **names):
    heads = (head(model, kind, **names),)
    return scorer.Plan(sent(model), heads, None, rows, invalid, vectors, only)


def lists(x, kind=None):
    return pa.array(list(x), kind or pa.list_(pa.float32()))


def vectors(rows):
    kind = pa.struct(
        [
            ("type", pa.int8()),
            ("size", pa.int32()),
            ("indices", pa.list_(pa.int32())),
            ("values", pa.list_(pa.float64())),
        ]
    )
    return pa.array(rows, kind)


def dense(row):
    return {"type": 1, "size": None, "indices": None, "values": [float(one) for one in row]}


def sparse(row):
    places = np.flatnonzero(row)
    values = [float(row[n]) for n in places]
    return {"type": 0, "size": len(row), "indices": places.tolist(), "values": values}


def numbers(x):
    return pa.StructArray.from_arrays([pa.array(one) for one in x.T], names=list("wxyz"))


def predictions(arrays):
    return [one for array in arrays for one in array.to_pylist()]


COLUMNS = {
    "float lists": lists(X),
    "double lists": lists(X, pa.list_(pa.float64())),
    "large lists": lists(X, pa.large_list(pa.float32())),
    "dense vectors": vectors([dense(row) for row in X]),
    "sparse vectors": vectors([sparse(row) for row in X]),
    "both": vectors([(dense, sparse)[n % 2](row) for n, row in enumerate(X)]),
    "numbers": numbers(X),
}


@pytest.mark.parametrize("name", COLUMNS)
def test_any_column_gives_what_predict_gives(model, name):
    column, p = COLUMNS[name], model.predict(X, verbose=0)
    one = plan(model, probability="p", raw="raw")
    cut = [column.slice(0, 25), column.slice(25)]
    found = pa.concat_arrays(scorer.computed(one, iter(cut)))
    assert [field.name for field in found.type] == ["prediction", "p", "raw"]
    assert found.field("prediction").to_pylist() == p.argmax(1).tolist()
    given = np.array([row["values"] for row in found.field("p").to_pylist()])
    np.testing.assert_allclose(given, p, rtol=1e-6)
    raw = np.array([row["values"] for row in found.field("raw").to_pylist()])
    np.testing.assert_allclose(np.exp(raw - np.log(np.exp(raw).sum(1, keepdims=True))), p, 1e-5)


def test_several_columns_of_numbers_are_one_input(model):
    one = plan(model, only="prediction")
    columns = tuple(pa.array(part) for part in X.T)
    found = predictions(scorer.computed(one, [columns]))
    assert found == model.predict(X, verbose=0).argmax(1).tolist()
    received = (
        r"each, or several columns of numbers\. Received: 2 columns \(string, list<.*float>\)"
    )
    with pytest.raises(DataError, match=r"1 input: give a column for " + received):
        list(scorer.computed(one, [(pa.array(["a"] * len(X)), lists(X))]))
    with pytest.raises(DataError, match=r"takes a column for each .* got none"):
        list(scorer.computed(one, [()]))


@pytest.mark.parametrize(
    ("cuts", "seen"),
    [
        ([3] * 10, [16, 2, 12]),  # joined until there are 16 or more
        ([40], [16, 16, 8]),
        ([10, 30], [16, 16, 8]),
    ],
)
def test_batches_are_ours(model, cuts, seen):
    starts = np.cumsum([0, *cuts])
    batches = [lists(X[a:b]) for a, b in itertools.pairwise(starts)]
    Counted.rows.clear()
    found = predictions(scorer.computed(plan(model, only="prediction"), batches))
    assert Counted.rows == seen
    assert found == model.predict(X[: starts[-1]], verbose=0).argmax(1).tolist()


def test_nested_lists_for_rows_that_are_matrices():
    model = Sequential([Input((2, 2)), Flatten(), Dense(1)])
    rows, p = X.reshape(-1, 2, 2), model.predict(X.reshape(-1, 2, 2), verbose=0)
    nested = pa.array(rows.tolist(), pa.list_(pa.list_(pa.float32())))
    for column in (nested, lists(X)):  # flat rows take the model's shape
        found = predictions(scorer.computed(plan(model, "regression", "prediction"), [column]))
        np.testing.assert_allclose(found, p[:, 0], rtol=1e-6)


def test_null_rows(model):
    rows = [None if n % 4 == 0 else row for n, row in enumerate(X)]
    kept = plan(model, invalid="keep", probability="p")
    p = model.predict(X, verbose=0)
    for column in (lists(rows), vectors([None if row is None else dense(row) for row in rows])):
        found = pa.concat_arrays(scorer.computed(kept, [column]))
        for number, row in enumerate(found.to_pylist()):
            if number % 4 == 0:
                assert row == {"prediction": None, "p": None}
            else:
                assert row["prediction"] == p[number].argmax()
                np.testing.assert_allclose(row["p"]["values"], p[number], rtol=1e-6)
    assert predictions(scorer.computed(kept, [lists([None, None])]))[1]["prediction"] is None
    halves = [lists(rows[:20]), lists(rows[20:])]
    with pytest.raises(DataError, match=r"10 of 40 rows .* null in .*handleInvalid='skip'"):
        list(scorer.computed(plan(model), halves))


def test_nan_features(model):
    x = X.copy()
    x[7, 2] = np.nan
    found = predictions(scorer.computed(plan(model, invalid="keep"), [lists([None, *x])]))
    assert [n for n, row in enumerate(found) if row["prediction"] is None] == [0, 8]
    with pytest.raises(DataError, match="1 of 40 rows of this partition so far have NaN"):
        list(scorer.computed(plan(model), [lists(x)]))


def test_a_number_in_a_struct_may_be_null(model):
    parts = [pa.array(one) for one in X.T]
    parts[2] = pa.array([None, *X[1:, 2]], pa.float32())
    column = pa.StructArray.from_arrays(parts, names=list("wxyz"))
    found = predictions(scorer.computed(plan(model, invalid="skip"), [column]))
    assert [n for n, row in enumerate(found) if row["prediction"] is None] == [0]


def test_arrays_of_any_depth():
    model = Sequential([Input((4,)), Dense(6), Reshape((3, 2))])
    found = predictions(scorer.computed(plan(model, "array", invalid="keep"), [lists([None, *X])]))
    assert found[0]["prediction"] is None
    given = np.array([row["prediction"] for row in found[1:]], np.float32)
    np.testing.assert_array_equal(given, model.predict(X, verbose=0))


def test_numbers_of_labels():
    model = Sequential([Input((4,)), Dense(3, activation="sigmoid")])
    heads = (head(model, "multilabel", prediction="labels", probability="p"),)
    one = scorer.Plan(sent(model), heads, None, 7, "keep", False)
    given = lists([*X, None])
    found = pa.concat_arrays(scorer.computed(one, [given.slice(0, 5), given.slice(5)]))
    holds = model.predict(X, verbose=0) > 0.5
    assert found.field("labels").to_pylist() == [
        *(np.flatnonzero(row).tolist() for row in holds),
        None,
    ]
    assert len({holds[n].sum() for n in range(len(X))}) > 1


def test_several_inputs_and_outputs():
    a, b = Input((2,), name="a"), Input((2,), name="b")
    model = Model([a, b], {"z": Dense(2, activation="softmax")(a), "y": Dense(1)(b)})
    heads = (
        head(model, "classification", 1, prediction="sort", probability="p"),
        head(model, "regression", 0, prediction="number"),
    )
    one = scorer.Plan(sent(model), heads, None, 16, "error", False)
    columns = (lists(X[:, :2]), vectors([dense(row) for row in X[:, 2:]]))
    found = pa.concat_arrays(scorer.computed(one, [columns]))
    p = model.predict([X[:, :2], X[:, 2:]], verbose=0)
    assert found.field("sort").to_pylist() == p["z"].argmax(1).tolist()
    np.testing.assert_allclose(found.field("p").to_pylist(), p["z"], rtol=1e-6)
    np.testing.assert_allclose(found.field("number").to_pylist(), p["y"][:, 0], rtol=1e-6)


def test_a_predict_step_of_ones_own_decides():
    class Doubled(Sequential):
        def predict_step(self, data):
            return 2 * self(data)

    model = Doubled([Input((4,)), Dense(1, activation="sigmoid")])
    found = predictions(scorer.computed(plan(model, "regression"), [lists(X)]))
    given = [row["prediction"] for row in found]
    np.testing.assert_allclose(given, 2 * model(torch.from_numpy(X)).detach()[:, 0], rtol=1e-6)


def test_a_layer_s_error_is_told_with_its_line(model):
    with pytest.raises(WorkerError, match=r"ArithmeticError: too large") as caught:
        list(scorer.computed(plan(model), [lists(X + 100)]))
    text = str(caught.value)
    assert "in call" in text and "torch/nn" not in text and len(text.splitlines()) < 12


def test_columns_of_another_kind_or_width(model):
    with pytest.raises(DataError, match="'features' is a column of type string"):
        list(scorer.computed(plan(model), [pa.array(["a"])]))
    with pytest.raises(DataError, match="features"):
        list(scorer.computed(plan(model), [lists(X[:, :3])]))


def test_a_python_worker_loads_a_model_once_and_keeps_a_few():
    class Counting:
        reads = 0

        def __init__(self, value):
            self._value = value

        @property
        def value(self):
            Counting.reads += 1
            return self._value

    model = Sequential([Input((4,)), Dense(1)])
    held = Counting(worker.packed(model))
    several = [scorer.Sent(str(n), model.skeleton(), held) for n in range(scorer.KEPT + 1)]
    first = several[0].model()
    assert several[0].model() is first and not first.training and Counting.reads == 1
    for one in several[1:]:
        one.model()
    assert several[0].model() is not first
    assert Counting.reads == scorer.KEPT + 2


def test_no_rows_load_no_model(model):
    class Nothing:
        @property
        def value(self):
            raise AssertionError("read")

    empty = scorer.Sent("nobody's", model.skeleton(), Nothing())
    one = scorer.Plan(empty, (head(model, "array"),), None, 16, "error", True)
    assert list(scorer.computed(one, [])) == []
