import pickle

import numpy as np
import pytest
import scipy.sparse as scipy_sparse
import torch

from elephas_torch.errors import DataError
from elephas_torch.keras import batches, sparse
from elephas_torch.keras.batches import Samples
from elephas_torch.keras.layers import Dense, Embedding, Flatten, Input, concatenate
from elephas_torch.keras.models import Model, Sequential
from elephas_torch.keras.sparse import Sparse


def matrix(rows=20, width=6, seed=0, dtype=np.float32):
    generator = np.random.default_rng(seed)
    array = generator.integers(-3, 4, (rows, width)) * (generator.random((rows, width)) < 0.4)
    array[rows // 2] = 0
    return array.astype(dtype)


def rows(**given):
    return Sparse.of(scipy_sparse.csr_matrix(matrix(**given)), "x")


FORMS = [
    scipy_sparse.csr_matrix,
    scipy_sparse.csc_matrix,
    scipy_sparse.coo_matrix,
    scipy_sparse.lil_matrix,
    scipy_sparse.dok_matrix,
    scipy_sparse.csr_array,
    scipy_sparse.coo_array,
]


@pytest.mark.parametrize("form", FORMS)
def test_scipys_rows_are_the_same_dense(form):
    found = Sparse.of(form(matrix()), "x")
    assert found.shape == (20, 6) and len(found) == 20 and found.dim() == 2
    assert found.indptr.dtype == torch.int64 and found.indices.dtype == torch.int32
    assert found.dtype == torch.float32
    assert np.array_equal(found.dense().numpy(), matrix())


@pytest.mark.parametrize(
    ("dtype", "kept"),
    [
        ("bool", torch.bool),
        ("int8", torch.int8),
        ("uint16", torch.int64),
        ("uint64", torch.int64),
        (">i4", torch.int32),
        ("float64", torch.float64),
        (">f8", torch.float64),
        ("longdouble", torch.float64),
    ],
)
def test_numbers_of_each_kind(dtype, kept):
    array = abs(matrix()).astype(dtype)
    given = scipy_sparse.csr_matrix(abs(matrix()))
    given.data = given.data.astype(dtype)
    found = Sparse.of(given, "x")
    assert found.dtype == kept
    assert np.array_equal(found.dense().numpy(), array.astype(found.values.numpy().dtype))


def test_canonical_rows_are_not_copied_and_others_not_changed():
    given = scipy_sparse.csr_matrix(matrix())
    given.data[0] = 7
    found = Sparse.of(given, "x")
    given.data[0] = 5
    assert found.values[0] == 5
    twice = scipy_sparse.csr_matrix(([1.0, 2, 4], [2, 0, 2], [0, 3, 3]), shape=(2, 3))
    assert Sparse.of(twice, "x").dense().tolist() == [[2, 0, 5], [0, 0, 0]]
    assert twice.indices.tolist() == [2, 0, 2]
    given.data.flags.writeable = False
    assert np.array_equal(Sparse.of(given, "x").dense().numpy(), given.toarray())


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (scipy_sparse.coo_array(np.ones(3)), "`x` must have two axes where it is sparse.*coo"),
        (scipy_sparse.csr_matrix([[1j]]), "`x` must be real numbers.*complex"),
    ],
)
def test_what_has_no_rows_of_numbers(given, message):
    with pytest.raises(DataError, match=message):
        Sparse.of(given, "x")


def test_slices_share_memory_and_taken_rows_are_copies():
    whole, array = rows(), matrix()
    part = whole[5:15]
    assert part.values.data_ptr() == whole.values.data_ptr()
    assert np.array_equal(part.dense().numpy(), array[5:15])
    assert np.array_equal(part[2:4].dense().numpy(), array[7:9])
    assert np.array_equal(part.stored.numpy(), array[5:15][array[5:15] != 0])
    index = torch.tensor([3, 3, 0, 9])
    taken = part.index_select(0, index)
    assert np.array_equal(taken.dense().numpy(), array[5:15][index.numpy()])
    assert len(whole[7:7]) == len(whole[8:3]) == len(whole[30:]) == 0
    assert whole[7:7].dense().shape == (0, 6)
    assert whole.index_select(0, torch.arange(0)).dense().shape == (0, 6)
    with pytest.raises(IndexError, match="no steps"):
        whole[::2]


def test_the_row_of_a_stored_value():
    part = rows()[5:15]
    found = part.rows_of(torch.arange(len(part.stored)))
    assert found.tolist() == np.nonzero(matrix()[5:15])[0].tolist()


def test_rows_in_another_shape():
    found = rows().reshape((20, 2, 3))
    assert found.shape == (20, 2, 3) and found[3:5].shape == (2, 2, 3)
    assert np.array_equal(found[3:5].dense().numpy(), matrix()[3:5].reshape(2, 2, 3))
    with pytest.raises(ValueError, match=r"\(20, 6\) can't have the shape \(20, 4\)"):
        rows().reshape((20, 4))


def test_from_dense_and_pickle_there_and_back():
    dense = torch.from_numpy(matrix()).reshape(20, 2, 3)
    found = Sparse.from_dense(dense)
    assert torch.equal(found.dense(), dense) and len(found.values) == dense.count_nonzero()
    assert torch.equal(pickle.loads(pickle.dumps(found[4:9])).dense(), dense[4:9])


@pytest.mark.parametrize(("share", "form"), [(0.1, Sparse), (0.9, torch.Tensor)])
def test_joined_parts_take_the_smaller_form(share, form):
    array = torch.rand(30, 8) * (torch.rand(30, 8) < share)
    whole = Sparse.from_dense(array)
    parts = [whole[2:9], array[9:20], whole[20:20], whole[20:30]]
    found = sparse.joined(parts)
    assert isinstance(found, form) and parts == []
    assert torch.equal(sparse.dense(found), array[2:])


def test_samples_hold_sparse_rows_and_give_dense_batches():
    y = torch.arange(20)
    samples = Samples(rows(), y)
    assert len(samples) == 20
    index = torch.tensor([4, 2])
    assert torch.equal(samples.rows(3, 6).x, torch.from_numpy(matrix()[3:6]))
    assert torch.equal(samples.take(index).x, torch.from_numpy(matrix())[index])
    training, validation = batches.split(samples, 0.25)
    assert isinstance(training.x, Sparse) and isinstance(validation.x, Sparse)
    assert validation.x.values.data_ptr() == samples.x.values.data_ptr()
    assert torch.equal(validation.rows(1, 3).x, torch.from_numpy(matrix()[16:18]))
    several = Samples({"a": rows(), "b": y}, [y, None])
    assert torch.equal(several.take(index).x["a"], torch.from_numpy(matrix())[index])
    assert several.rows(0, 2).y[1] is None and several.part(0, 2).x["a"].shape == (2, 6)
    assert torch.equal(several.dense().x["a"], torch.from_numpy(matrix()))
    with pytest.raises(DataError, match="`x` has 20 rows, `y` has 19"):
        batches.check_lengths(Samples(rows(), y[1:]), ("x", "y", "w"))


def network():
    torch.manual_seed(1)
    model = Sequential([Input((6,)), Dense(5, activation="relu"), Dense(3, activation="softmax")])
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


@pytest.mark.parametrize("form", [FORMS[0], FORMS[1], FORMS[5]])
def test_training_equals_that_on_dense_rows_bit_for_bit(form):
    array, y = matrix(rows=50), np.arange(50) % 3
    found = []
    for x in (array, form(array)):
        model = network()
        torch.manual_seed(3)
        history = model.fit(
            x, y, batch_size=8, epochs=3, validation_split=0.2, class_weight={1: 2.0}, verbose=0
        )
        model.fit(x, y, shuffle=False, validation_data=(x, y), steps_per_epoch=3, verbose=0)
        model.train_on_batch(x, y)
        model.fit(((x[n : n + 10], y[n : n + 10]) for n in range(0, 50, 10)), verbose=0)
        scores = model.evaluate(x, y, verbose=0), model.test_on_batch(x, y)
        found.append((history.history, scores, model.predict(x, verbose=0), model.get_weights()))
        assert np.array_equal(model.predict_on_batch(x), found[-1][2])
    dense, sparse_ones = found
    assert dense[:2] == sparse_ones[:2]
    assert np.array_equal(dense[2], sparse_ones[2])
    assert all(map(np.array_equal, dense[3], sparse_ones[3]))


def test_models_without_a_shape_and_with_other_dtypes():
    array = scipy_sparse.csr_matrix(abs(matrix(dtype=np.float64)))
    model = Sequential([Dense(2)])
    assert model.predict(array, verbose=0).shape == (20, 2)
    ids = Sequential([Embedding(4, 2), Flatten()])
    dense = ids.predict(array.toarray(), verbose=0)
    assert np.array_equal(ids.predict(array, verbose=0), dense)
    array.data[5] = 0.5
    row = int(np.nonzero(array.toarray() == 0.5)[0][0])
    with pytest.raises(DataError, match=f"whole numbers here.*row {row} has 0.5"):
        ids.predict(array, verbose=0)


def test_a_row_of_one_number_fits_rows_with_and_without_an_axis():
    model = Sequential([Input((6, 1)), Flatten(), Dense(2)])
    array = matrix()
    assert np.array_equal(
        model.predict(scipy_sparse.csr_matrix(array), verbose=0), model.predict(array, verbose=0)
    )
    assert batches.fit_shape(rows(width=1), (None,), "`x`").dense().shape == (20,)
    with pytest.raises(DataError, match=r"shape \(6, 1\) a row; `x` has rows of shape \(5, 1\)"):
        model.predict(scipy_sparse.csr_matrix(matrix(width=5)), verbose=0)


def test_several_inputs_of_which_one_is_sparse():
    a, b = Input((6,), name="a"), Input((2,), name="b")
    model = Model([a, b], Dense(1)(concatenate([a, b])))
    model.compile("sgd", "mse")
    array, other = matrix(), np.ones((20, 2), dtype=np.float32)
    given = scipy_sparse.csr_matrix(array)
    expected = model.predict([array, other], verbose=0)
    assert np.array_equal(model.predict([given, other], verbose=0), expected)
    assert np.array_equal(model.predict({"b": other, "a": given}, verbose=0), expected)
    model.fit({"a": given, "b": other}, np.ones(20), verbose=0)


class OwnStep(Sequential):
    def train_step(self, data):
        x, _ = data
        self.seen = type(x), x.shape
        return super().train_step(data)


def test_a_step_of_ones_own_gets_dense_batches():
    model = OwnStep([Dense(1)])
    model.compile("sgd", "mse")
    model.fit(scipy_sparse.csr_matrix(matrix()), np.ones(20), batch_size=4, verbose=0)
    assert model.seen == (torch.Tensor, (4, 6))


@pytest.mark.parametrize("own", [False, True])
@pytest.mark.parametrize("argument", ["y", "sample_weight"])
def test_features_alone_may_be_sparse(argument, own):
    model = (OwnStep if own else Sequential)([Input((6,)), Dense(6)])
    model.compile("sgd", "mse")
    given = {"y": matrix(), "sample_weight": np.ones(20)}
    given[argument] = scipy_sparse.csr_matrix(matrix())
    with pytest.raises(DataError, match=rf"`{argument}` is sparse.*{argument}.toarray\(\)"):
        model.fit(matrix(), **given)
