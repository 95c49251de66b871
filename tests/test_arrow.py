"""Arrow batches as Spark sends them, made without Spark."""

import decimal
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
import torch

from elephas_torch import arrow, data
from elephas_torch.arrow import Field, Layout
from elephas_torch.errors import DataError
from elephas_torch.keras.layers import Dense, Input
from elephas_torch.keras.models import Model, Sequential
from elephas_torch.keras.sparse import Sparse
from elephas_torch.pile import Pile

VECTOR = pa.struct(
    [
        ("type", pa.int8()),
        ("size", pa.int32()),
        ("indices", pa.list_(pa.int32())),
        ("values", pa.list_(pa.float64())),
    ]
)
X = np.arange(24, dtype=np.float32).reshape(6, 4) / 4


def vectors(rows, sparse=()):
    """Spark's vectors of the rows; those whose numbers are in `sparse` as sparse ones."""
    found = []
    for number, row in enumerate(rows):
        if row is None:
            found.append(None)
        elif number in sparse:
            places = np.flatnonzero(row)
            values = [float(row[place]) for place in places]
            found.append((0, len(row), places.tolist(), values))
        else:
            found.append((1, None, None, [float(one) for one in row]))
    names = [one.name for one in VECTOR]
    return pa.array([one and dict(zip(names, one, strict=True)) for one in found], VECTOR)


def batch(**columns):
    return pa.RecordBatch.from_pydict(columns)


def field(kind, name="features", columns=("x",), **more):
    return Field(name, columns, kind, **more)


def column(array, one):
    """The rows of one field, from its column or columns."""
    arrays = [pa.array(range(len(array)))] if one.name == "label" else []
    arrays += array if isinstance(array, list) else [array]
    names = [f"c{number}" for number in range(len(arrays))]
    layout = Layout((replace(one, columns=tuple(names)),))
    if one.name == "label":
        layout = Layout((field("number", columns=("c0",)),), (replace(one, columns=("c1",)),))
    [block] = layout.blocks([pa.RecordBatch.from_arrays(arrays, names)])
    return [*block.features, *block.labels][-1]


def label(kind="number", **more):
    return Field("label", ("y",), kind, **more)


def read(layout, *batches):
    return list(layout.blocks(batches))


def lists(kind, rows=X):
    return pa.array([row.tolist() for row in rows], kind)


# Kinds of columns


@pytest.mark.parametrize(
    "array",
    [
        lists(pa.list_(pa.float32())),
        lists(pa.list_(pa.float64())),
        lists(pa.list_(pa.float16())),
        lists(pa.large_list(pa.float32())),
        lists(pa.large_list(pa.float64())),
        lists(pa.list_(pa.float32(), 4)),
        lists(pa.list_(pa.float64(), 4)),
    ],
    ids=lambda array: str(array.type),
)
def test_lists_of_floats_are_float32(array):
    for start, stop in ((0, 6), (2, 5), (5, 6)):
        found = column(array.slice(start, stop - start), field("array"))
        assert found.dtype == torch.float32
        assert np.array_equal(found.numpy(), X[start:stop])


@pytest.mark.parametrize(
    ("kind", "dtype"),
    [
        (pa.int8(), torch.int8),
        (pa.int16(), torch.int16),
        (pa.int32(), torch.int32),
        (pa.int64(), torch.int64),
        (pa.uint8(), torch.uint8),
        (pa.uint16(), torch.int64),
        (pa.uint32(), torch.int64),
        (pa.bool_(), torch.bool),
        (pa.decimal128(10, 2), torch.float32),
        (pa.float32(), torch.float32),
        (pa.float64(), torch.float32),
    ],
    ids=str,
)
def test_numbers_of_every_type(kind, dtype):
    plain = [bool(n % 2) if kind == pa.bool_() else n for n in range(6)]
    array = pa.array(plain, kind)
    found = column(array.slice(1), field("number"))
    assert found.dtype == dtype and found.tolist() == plain[1:]
    listed = pa.array([plain[:3], plain[3:]], pa.list_(kind)).slice(1)
    found = column(listed, field("array"))
    assert found.dtype == dtype and found.tolist() == [plain[3:]]


def test_doubles_that_are_to_be_whole_numbers_stay_exact():
    large = 2**40 + 1
    array = pa.array([float(large)])
    assert column(array, field("number", dtype="int64")).to(torch.int64).item() == large
    assert column(array, field("number", dtype=np.float64)).item() == large
    assert column(array, field("number", dtype="float32")).dtype == torch.float32


@pytest.mark.parametrize("kind", ["array", "number"])
def test_float32_shares_the_batch_memory(kind):
    flat = pa.array(X.reshape(-1))
    array = pa.FixedSizeListArray.from_arrays(flat, 4) if kind == "array" else flat
    found = column(array.slice(1), field(kind))
    assert found.data_ptr() == flat.buffers()[1].address + (16 if kind == "array" else 4)
    kept = found.clone()
    del array, flat
    assert torch.equal(found, kept)


def test_several_columns_of_numbers_make_a_row():
    columns = {
        "a": pa.array([1, 2], pa.int32()),
        "b": pa.array([0.5, 1.5]),
        "c": pa.array([True, False]),
        "d": pa.array([decimal.Decimal("2.25"), decimal.Decimal("3.50")]),
    }
    rows = [[1, 0.5, 1, 2.25], [2, 1.5, 0, 3.5]]
    several = field("number", "a, b, c, d", tuple(columns))
    assert column(list(columns.values()), several).tolist() == rows
    (block,) = read(Layout((several,)), batch(**columns))
    assert block.features[0].tolist() == rows and block.features[0].dtype == torch.float32
    struct = pa.StructArray.from_arrays(list(columns.values()), list(columns))
    assert column(struct.slice(1), several).tolist() == rows[1:]
    whole = column([columns["a"], columns["c"]], field("number"))
    assert whole.tolist() == [[1, 1], [2, 0]] and not whole.dtype.is_floating_point


@pytest.mark.parametrize("inner", [pa.list_, pa.large_list, lambda kind: pa.list_(kind, 2)])
def test_nested_lists(inner):
    rows = np.arange(36, dtype=np.float64).reshape(3, 2, 3, 2)
    array = pa.array(rows.tolist(), pa.list_(pa.list_(inner(pa.float64()))))
    assert np.array_equal(column(array, field("array")).numpy(), rows)
    assert np.array_equal(column(array.slice(1, 1), field("array")).numpy(), rows[1:2])


@pytest.mark.parametrize("kind", [pa.binary(), pa.large_binary(), pa.binary(12)], ids=str)
def test_images_of_bytes(kind):
    images = np.arange(60, dtype=np.uint8).reshape(5, 2, 2, 3)
    array = pa.array([image.tobytes() for image in images], kind)
    for start in (0, 2):
        found = column(array.slice(start), field("binary", shape=(2, 2, 3)))
        assert found.dtype == torch.uint8
        assert np.array_equal(found.numpy(), images[start:])
    flat = column(array.slice(1, 2), field("binary", dtype="float32"))
    assert flat.shape == (2, 3)
    assert np.array_equal(flat.numpy(), images.reshape(5, 12).view(np.float32)[1:3])
    big = column(array, field("binary", dtype=">i2"))
    assert np.array_equal(big.numpy(), images.reshape(5, 12).view(">i2"))
    with pytest.raises(DataError, match=r"row 0 has 'features' of 12 bytes.*no whole number of"):
        column(array, field("binary", dtype="float64"))
    if kind != pa.binary(12):
        odd = pa.array([b"123", b"123", b"12"], kind)
        with pytest.raises(DataError, match=r"row 2 has 'features' of length 2.* before it 3"):
            column(odd, field("binary"))


# Vectors

Z = X * (np.arange(24).reshape(6, 4) % 3 == 0)


@pytest.mark.parametrize("sparse", [(), range(6), (1, 2, 5), (0,)], ids=str)
def test_vectors_dense_sparse_and_mixed(sparse):
    for start, stop in ((0, 6), (1, 4), (3, 6)):
        array = vectors(Z, sparse).slice(start, stop - start)
        found = column(array, field("vector"))
        assert isinstance(found, Sparse) == any(start <= n < stop for n in sparse)
        assert found.dtype == torch.float32 and found.shape == (stop - start, 4)
        whole = found.dense() if isinstance(found, Sparse) else found
        assert np.array_equal(whole.numpy(), Z[start:stop])


def test_vectors_in_the_shape_of_the_model():
    found = column(vectors(Z, range(6)), field("vector", shape=(2, 2)))
    assert found[1:3].dense().shape == (2, 2, 2)
    assert np.array_equal(found.dense().numpy(), Z.reshape(6, 2, 2))


def test_vectors_without_a_value():
    found = column(vectors([np.zeros(3), np.zeros(3)], (0, 1)), field("vector"))
    assert found.dense().tolist() == [[0, 0, 0]] * 2


def broken(**changed):
    fields = {"type": 0, "size": 3, "indices": [0, 2], "values": [1.0, 2.0]}
    return pa.array([fields, fields | changed], VECTOR)


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (vectors([[1, 2, 3], [1, 2]]), "row 1 has 'features' of length 2, the rows before it 3"),
        (vectors([[1, 2, 3], [1, 2]], (1,)), "row 1 has 'features' of length 2, the rows before"),
        (broken(size=4), "row 1 has 'features' of length 4, the rows before it 3"),
        (broken(indices=[0]), "row 1 has 'features' of 2 values at 1 indices"),
        (broken(indices=None), "row 1 has 'features' of 2 values at 0 indices"),
        (broken(indices=[0, 3]), "row 1 has 'features' of length 3 with the index 3"),
        (broken(indices=[-1, 0]), "row 1 has 'features' of length 3 with the index -1"),
        (broken(values=None), "null: 1 in 'features'; the first is row 1"),
        (broken(values=[1.0, None]), "null: 1 in 'features'; the first is row 1"),
        (broken(indices=[None, 1]), "null: 1 in 'features'; the first is row 1"),
    ],
)
def test_vectors_that_are_none(array, message):
    with pytest.raises(DataError, match=message):
        column(array, field("vector"))


# Shapes


@pytest.mark.parametrize(
    ("own", "shape", "wanted"),
    [
        ((4,), (2, 2), (2, 2)),
        ((4,), (2, 2, 1), (2, 2, 1)),
        ((4,), (None,), (4,)),
        ((4,), (None, 2), (2, 2)),
        ((4,), (4, 1), (4, 1)),
        ((2, 2), (2, 2), (2, 2)),
        ((2, 2), (None, None), (2, 2)),
        ((2, 2), (2, 2, 1), (2, 2, 1)),
        ((2, 2, 1), (2, 2), (2, 2)),
        ((4,), None, (4,)),
    ],
)
def test_rows_take_the_shape_of_the_model(own, shape, wanted):
    array = pa.array(np.arange(8.0).reshape(2, *own).tolist())
    assert column(array, field("array", shape=shape)).shape == (2, *wanted)


@pytest.mark.parametrize(
    ("own", "shape", "message"),
    [
        (
            (4,),
            (2, 3),
            r"row 0 has 'features' of 4 numbers; the model takes 6, in the shape \(2, 3",
        ),
        ((4,), (3,), r"of 4 numbers; the model takes 3, in the shape \(3,\)"),
        ((4,), (None, 3), r"of 4 numbers; the model takes rows of the shape \(None, 3\)"),
        ((4,), (None, None, 1), r"takes rows of the shape \(None, None, 1\)"),
        ((2, 3), (3, 2), r"of shape \(2, 3\); the model takes 6, in the shape \(3, 2\)"),
    ],
)
def test_rows_that_have_no_such_shape(own, shape, message):
    array = pa.array(np.ones((2, *own)).tolist())
    with pytest.raises(DataError, match=message):
        column(array, field("array", shape=shape))


def test_a_number_a_row_takes_an_axis():
    array = pa.array([1.0, 2.0])
    assert column(array, field("number", shape=(1,))).shape == (2, 1)
    with pytest.raises(DataError, match="of 1 number; the model takes 3"):
        column(array, field("number", shape=(3,)))


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([[1, 2], [1, 2], [1]], "row 2 has 'features' of length 1, the rows before it 2"),
        ([[], [1]], "row 1 has 'features' of length 1, the rows before it 0"),
        ([[[1], [2]], [[1]]], "row 1 has 'features' of length 1, the rows before it 2"),
        ([[[1], [2]], [[1], [2, 3]]], "row 1 has 'features' with lists of lengths 1 and 2 in it"),
        ([[1, 2], [1, None]], "null: 1 in 'features'; the first is row 1"),
        ([[[1], [2]], [[1], None]], "null: 1 in 'features'; the first is row 1"),
        ([[[1, 2]], [[1, 2]], [[1, None]]], "null: 1 in 'features'; the first is row 2"),
    ],
)
def test_ragged_rows(rows, message):
    with pytest.raises(DataError, match=message):
        column(pa.array(rows), field("array"))
    with pytest.raises(DataError, match=message):
        column(pa.array([rows[0], *rows]).slice(1), field("array"))


def test_rows_of_other_batches_have_the_same_shape():
    layout = Layout((field("array"),))
    with pytest.raises(DataError, match="row 2 has 'features' of length 1, the rows before it 2"):
        read(layout, batch(x=[[1, 2], [3, 4]]), batch(x=[[1]]))
    nested = batch(x=[[[1.0], [2.0]]]), batch(x=[[[1.0, 2.0]]])
    with pytest.raises(
        DataError, match=r"row 1 has .* of shape \(1, 2\), the rows before it \(2, 1"
    ):
        read(layout, *nested)


@pytest.mark.parametrize(
    ("kind", "array"),
    [
        ("number", ["a"]),
        ("number", [[1.0]]),
        ("array", [1.0]),
        ("array", [["a"]]),
        ("array", [{"a": 1}]),
        ("vector", [[1.0]]),
        ("vector", [{"type": 1}]),
        ("binary", ["a"]),
    ],
)
def test_columns_of_another_type(kind, array):
    with pytest.raises(DataError, match=f"the column 'features' is .*not what it is to be: {kind}"):
        column(pa.array(array), field(kind))


# Labels, weights, flags


@pytest.mark.parametrize("kind", [pa.int32(), pa.float64(), pa.list_(pa.float64()), pa.int8()])
def test_class_numbers_become_one_hot(kind):
    nested = pa.types.is_list(kind)
    array = pa.array([[n] if nested else n for n in (2, 0, 1)], kind)
    found = column(array, label("array" if nested else "number", classes=3))
    assert found.dtype == torch.float32
    assert found.tolist() == [[0, 0, 1], [1, 0, 0], [0, 1, 0]]


@pytest.mark.parametrize("wrong", [3, -1, 0.5, float("nan"), float("inf")])
def test_labels_that_are_no_class(wrong):
    layout = Layout((field("number"),), (label(classes=3),))
    batches = batch(x=[1.0], y=[2.0]), batch(x=[1.0, 1.0], y=[0.0, wrong])
    with pytest.raises(DataError, match=r"row 2 has .* in 'label'; .*3 classes.* from 0 to 2"):
        read(layout, *batches)


def test_one_hot_labels_become_class_numbers():
    found = column(vectors([[0, 1, 0], [1, 0, 0]], (0,)), label("vector", one_hot=True))
    assert found.tolist() == [1, 0] and found.dtype == torch.int64
    steps = pa.array([[[0, 1], [1, 0]], [[1, 0], [1, 0]]])
    assert column(steps, label("array", one_hot=True)).tolist() == [[1, 0], [0, 0]]
    assert column(pa.array([[2], [1]]), label("array", one_hot=True)).tolist() == [[2], [1]]
    for wrong in ([0.5, 0.5], [0, 0], [1, 1], [2, 0]):
        with pytest.raises(DataError, match="row 1 has 'label' that is not one-hot"):
            column(vectors([[0, 1], wrong]), label("vector", one_hot=True))
    with pytest.raises(DataError, match="row 1 has 'label' that is not one-hot"):
        column(pa.array([[[0, 1]] * 2, [[0, 1], [0, 3]]]), label("array", one_hot=True))


def test_rows_of_numbers_are_no_class_numbers():
    with pytest.raises(DataError, match=r"'label' has rows of shape \(2,\), where class numbers"):
        column(pa.array([[0, 1]]), label("array", classes=2))


FULL = Layout(
    (field("array"),),
    (label(),),
    weight=Field("w", ("w",), "number"),
    validation=Field("v", ("v",), "number"),
)


def test_weights_and_flags():
    (block,) = read(FULL, batch(x=[[1.0], [2.0]], y=[0, 1], w=[0.0, 2.0], v=[True, False]))
    assert block.weight.tolist() == [0, 2] and block.weight.dtype == torch.float32
    assert block.validation.tolist() == [True, False] and block.validation.dtype == torch.bool
    (block,) = read(FULL, batch(x=[[1.0]], y=[0], w=[3], v=[True]))
    assert block.weight.tolist() == [3] and block.weight.dtype == torch.float32
    bare = Layout(FULL.x, FULL.y)
    (block,) = read(bare, batch(x=[[1.0]], y=[0]))
    assert block.weight is None and block.validation is None


@pytest.mark.parametrize("wrong", [-1.0, float("nan"), float("inf")])
def test_weights_that_are_none(wrong):
    rows = batch(x=[[1.0], [2.0]], y=[0, 1], w=[1.0, wrong], v=[True, False])
    with pytest.raises(DataError, match=f"row 1 has the weight {wrong} in 'w'.*0 or more"):
        read(FULL, rows)


def test_flags_that_are_no_bools():
    with pytest.raises(DataError, match="the column 'v' must be of bools"):
        read(FULL, batch(x=[[1.0]], y=[0], w=[1.0], v=[1]))


# Null


def nulls_in_batches():
    clean = batch(x=[[1.0], [2.0]], y=[0, 1], w=[1.0, 1.0], v=[True, True])
    dirty = batch(x=[[1.0], None, [None]], y=[0, None, None], w=[1.0] * 3, v=[True] * 3)
    return clean, dirty, clean, dirty.slice(1)


def test_nulls_are_counted_over_the_partition():
    seen = []
    with pytest.raises(DataError) as caught:
        seen.extend(FULL.blocks(iter(nulls_in_batches())))
    for part in (
        "of 9 rows some have null: 4 in 'features', 4 in 'label'; the first is row 3",
        "handleInvalid='skip'",
        "'keep'",
    ):
        assert part in str(caught.value)


@pytest.mark.parametrize("column", ["y", "w", "v"])
def test_only_features_are_kept_with_null(column):
    columns = {"x": [None, [1.0]], "y": [0, 1], "w": [1.0, 1.0], "v": [True, True]}
    columns[column][1] = None
    layout = Layout(FULL.x, FULL.y, FULL.weight, FULL.validation, "keep")
    with pytest.raises(DataError, match=r"1 in '(label|w|v)'; the first is row 1") as caught:
        read(layout, batch(**columns))
    assert "'keep'" not in str(caught.value)


def test_rows_with_null_or_nan_are_skipped():
    layout = Layout(FULL.x, FULL.y, FULL.weight, FULL.validation, "skip")
    blocks = read(layout, *nulls_in_batches())
    assert [block.features[0].flatten().tolist() for block in blocks] == [[1, 2], [1], [1, 2]]
    nan = float("nan")
    rows = batch(x=[[nan], [1.0], [2.0]], y=[0, nan, 5], w=[1.0, 2, 3], v=[True, True, False])
    (block,) = read(layout, rows)
    assert block.features[0].tolist() == [[2]] and block.labels[0].tolist() == [5]
    assert block.weight.tolist() == [3] and block.validation.tolist() == [False]
    gone = batch(x=[[nan], None], y=[0, 1], w=[1.0, 1], v=[True, True])
    assert read(layout, gone) == []


def test_rows_are_numbered_with_those_that_are_skipped():
    layout = Layout((field("array"),), (label(classes=2),), invalid="skip")
    rows = batch(x=[None, [float("nan")], [1.0], [1.0]], y=[0.0, 0, 1, 7])
    with pytest.raises(DataError, match=r"row 5 has 7\.0 in 'label'"):
        read(layout, batch(x=[[1.0], [1.0]], y=[0.0, 1]), rows)
    ragged = batch(x=[None, [1.0], None, [1.0, 2.0]], y=[0.0, 0, 1, 1])
    with pytest.raises(DataError, match="row 3 has 'features' of length 2"):
        read(layout, ragged)
    keep = Layout((field("array"),), invalid="keep")
    with pytest.raises(DataError, match="row 3 has 'features' of length 2"):
        read(keep, ragged)


def test_sparse_rows_with_nan_are_skipped():
    rows = [[0, 1, 0], [0, np.nan, 0], None, [2, 0, 0]]
    layout = Layout((field("vector"),), (label(),), invalid="skip")
    (block,) = read(layout, batch(x=vectors(rows, range(4)), y=[0, 1, 2, 3]))
    assert block.features[0].dense().tolist() == [[0, 1, 0], [2, 0, 0]]
    assert block.labels[0].tolist() == [0, 3]


def same(found, wanted):
    return np.array_equal(found.numpy(), np.array(wanted, dtype=np.float32), equal_nan=True)


@pytest.mark.parametrize(
    ("kind", "array", "wanted"),
    [
        ("number", pa.array([1, None, 3], pa.int32()), [1, np.nan, 3]),
        ("number", pa.array([True, None, False]), [1, np.nan, 0]),
        ("number", pa.array([1, 2, 3]), [1, 2, 3]),
        ("array", pa.array([[1, 2], None, [3, None]]), [[1, 2], [np.nan] * 2, [3, np.nan]]),
        ("array", pa.array([[[1], [2]], [[3], None]]), [[[1], [2]], [[np.nan], [np.nan]]]),
        ("vector", vectors([[0, 1], None, [2, 0]]), [[0, 1], [np.nan] * 2, [2, 0]]),
        ("vector", vectors([[0, 1], None, [2, 0]], (0, 2)), [[0, 1], [np.nan] * 2, [2, 0]]),
        ("binary", pa.array([b"\1\2", None]), [[1, 2], [np.nan] * 2]),
    ],
)
def test_null_features_are_kept_as_nan(kind, array, wanted):
    (block,) = read(Layout((field(kind),), invalid="keep"), batch(x=array))
    assert block.features[0].dtype == torch.float32 and same(block.features[0], wanted)


def test_a_null_in_one_of_several_columns_is_kept_alone():
    several = field("number", "a, b", ("a", "b"))
    (block,) = read(Layout((several,), invalid="keep"), batch(a=[1, None], b=[0.5, 1.5]))
    assert same(block.features[0], [[1, 0.5], [np.nan, 1.5]])
    (block,) = read(Layout((several,), invalid="skip"), batch(a=[1, None], b=[0.5, 1.5]))
    assert same(block.features[0], [[1, 0.5]])


def test_batches_of_null_alone_are_kept_where_the_shape_is_known():
    empty = batch(x=pa.array([None, None], pa.list_(pa.float64())))
    for layout, before in (
        (Layout((field("array", shape=(1, 3)),), invalid="keep"), ()),
        (Layout((field("array"),), invalid="keep"), (batch(x=[[[1.0, 2, 3]]]),)),
    ):
        assert same(read(layout, *before, empty)[-1].features[0], np.full((2, 1, 3), np.nan))
    with pytest.raises(DataError, match="row 0 has null in 'features', and no row before it"):
        read(Layout((field("array"),), invalid="keep"), empty)


def test_what_lies_under_null_is_not_seen():
    offsets, values = pa.array([0, 2, 7, 9], pa.int32()), pa.array([1.0, 2, *[99.0] * 5, 3, 4])
    null = pa.array([False, True, False])
    ragged = pa.ListArray.from_arrays(offsets, values, mask=null)
    (block,) = read(Layout((field("array"),), invalid="skip"), batch(x=ragged))
    assert block.features[0].tolist() == [[1, 2], [3, 4]]
    (block,) = read(Layout((field("array"),), invalid="keep"), batch(x=ragged))
    assert same(block.features[0], [[1, 2], [np.nan] * 2, [3, 4]])
    whole = vectors([[1, 2], [5, 5], [3, 4]], (2,))
    hidden = pa.StructArray.from_arrays(whole.flatten(), fields=list(VECTOR), mask=null)
    (block,) = read(Layout((field("vector"),), invalid="skip"), batch(x=hidden))
    assert block.features[0].dense().tolist() == [[1, 2], [3, 4]]
    fixed = pa.FixedSizeListArray.from_arrays(pa.array([1.0, 2, np.nan, 9, 3, 4]), 2, mask=null)
    (block,) = read(Layout((field("array"),), invalid="skip"), batch(x=fixed.slice(1)))
    assert block.features[0].tolist() == [[3, 4]]


def test_nulls_beyond_a_slice_do_not_count():
    array = pa.array([None, [1.0, 2.0], [3.0, 4.0], [None, 1.0]])
    (block,) = read(Layout((field("array"),)), batch(x=array).slice(1, 2))
    assert block.features[0].tolist() == [[1, 2], [3, 4]]
    fixed = pa.array([[None, 1.0], [1.0, 2.0], None], pa.list_(pa.float64(), 2))
    (block,) = read(Layout((field("array"),)), batch(x=fixed).slice(1, 1))
    assert block.features[0].tolist() == [[1, 2]]


def test_empty_batches_give_no_block():
    rows = batch(x=X.tolist(), y=[0] * 6, w=[1.0] * 6, v=[True] * 6)
    assert len(read(FULL, rows.slice(0, 0), rows, rows.slice(6))) == 1
    assert read(FULL) == []


# With models


def network(outputs=1):
    model = Sequential([Input((2, 2)), Dense(3)])
    if outputs > 1:
        one = Input((4,))
        model = Model([one, Input((4,))], [Dense(1)(one), Dense(2)(one)])
    model.compile("sgd", "mse")
    return model


def test_a_reader_gives_what_a_model_takes():
    layout = Layout((field("vector", shape=(2, 2)),), (label("array", shape=(2, 3)),))
    batches = [
        batch(x=vectors(Z[:3], (0, 1, 2)), y=lists(pa.list_(pa.float64()), np.ones((3, 6)))),
        batch(x=vectors(Z[3:]), y=lists(pa.list_(pa.float32()), np.ones((3, 6)))),
    ]
    form, blocks = arrow.Batches(layout).arranged(network(), batches)
    assert form.x.finite
    shapes = [(block.features[0].shape, block.labels[0].shape) for block in blocks]
    assert shapes == [((3, 2, 2), (3, 2, 3))] * 2


class OwnStep(Sequential):
    def train_step(self, data):
        return super().train_step(data)


def test_the_form_of_a_model_with_a_step_of_its_own():
    model = OwnStep([Input((4,)), Dense(1)])
    model.compile("sgd", "mse")
    layout = Layout((field("array"),), (label(), Field("other", ("z",), "number")), invalid="keep")
    form, _ = arrow.Batches(layout).arranged(model, [])
    assert form.x.structure.single and not form.x.finite
    assert len(form.y.structure) == 2 and form.y.dtypes == [None, None]


def test_several_inputs_and_outputs():
    layout = Layout(
        (field("array"), field("vector", "more", ("z",))),
        (label(), label("array")),
    )
    rows = batch(x=X.tolist(), z=vectors(Z, range(6)), y=[[1.0, 2.0]] * 6)
    layout = Layout(layout.x, (Field("w", ("w",), "number"), layout.y[1]))
    rows = rows.append_column("w", pa.array([0.5] * 6))
    form, blocks = arrow.Batches(layout).arranged(network(2), [rows])
    (block,) = blocks
    assert len(form.x.structure) == len(block.features) == len(block.labels) == 2
    assert isinstance(block.features[1], Sparse) and block.labels[1].shape == (6, 2)
    assert isinstance(block, data.Block)


@pytest.mark.parametrize("sparse", [(), (0, 1, 2), range(6)], ids=str)
def test_a_partition_of_vectors_as_one(sparse):
    """Batches may be sparse, dense and with NaN in turn; labels are dense."""
    model = Sequential([Input((4,)), Dense(4)])
    model.compile("sgd", "mse")
    layout = Layout((field("vector"),), (label("vector"),), invalid="keep")
    rows = [*Z[:5], None]
    batches = [
        batch(x=vectors(rows, sparse), y=vectors(X, sparse)).slice(start, 2) for start in (0, 2, 4)
    ]
    form, blocks = arrow.Batches(layout).arranged(model, batches)
    pile = Pile()
    for block in data.checked(blocks, form):
        pile.add(block)
    whole = pile.taken()
    x = whole.features[0].dense() if isinstance(whole.features[0], Sparse) else whole.features[0]
    assert same(x, [*Z[:5], [np.nan] * 4]) and torch.equal(whole.labels[0], torch.from_numpy(X))
