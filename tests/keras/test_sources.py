"""Generators, loaders and datasets: the same training as with arrays, and as Keras's own."""

import os

os.environ["KERAS_BACKEND"] = "torch"

import itertools
import threading
import time
import warnings

import keras
import numpy as np
import pandas as pd
import pytest
import torch
from torch.utils.data import DataLoader, Dataset, IterableDataset, TensorDataset

from elephas_torch import keras as ours
from elephas_torch.errors import DataError
from elephas_torch.keras.callbacks import LambdaCallback

ROWS, SIZE = 22, 8
STEPS = -(-ROWS // SIZE)
RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(ROWS, 4)).astype("float32")
Y = np.eye(3, dtype="float32")[RANDOM.integers(0, 3, ROWS)]
WEIGHT = np.linspace(0.2, 2, ROWS).astype("float32")


def made(library=ours, units=3):
    layers = library.layers
    return library.Sequential(
        [layers.Input((4,)), layers.Dense(5, "tanh"), layers.Dense(units, "softmax")]
    )


def compiled(weights=None, library=ours, **settings):
    model = made(library)
    if weights is not None:
        model.set_weights([np.asarray(w) for w in weights])
    more = {"jit_compile": False} if library is keras else {}
    model.compile(
        library.optimizers.SGD(0.1), "categorical_crossentropy", metrics=["accuracy"],
        **settings, **more,
    )  # fmt: skip
    return model


def parts(weighted=False, start=0):
    for first in range(start * SIZE, ROWS, SIZE):
        rows = slice(first, first + SIZE)
        yield (X[rows], Y[rows], WEIGHT[rows]) if weighted else (X[rows], Y[rows])


def endless(weighted=False):
    while True:
        yield from parts(weighted)


class Parts:
    """Something that can be gone through again and again."""

    def __init__(self, weighted=False):
        self.weighted = weighted

    def __iter__(self):
        return parts(self.weighted)


class Numbered(Parts):
    """What looks like Keras's PyDataset."""

    ended = begun = 0

    def __len__(self):
        return STEPS

    def __getitem__(self, number):
        return next(parts(self.weighted, number))

    def on_epoch_begin(self):
        self.begun += 1

    def on_epoch_end(self):
        self.ended += 1


class Rows(Dataset):
    def __len__(self):
        return ROWS

    def __getitem__(self, row):
        return X[row], Y[row]


class Streamed(IterableDataset):
    def __iter__(self):
        return iter(zip(X, Y, strict=True))


def loader(weighted=False):
    tensors = [X, Y, WEIGHT] if weighted else [X, Y]
    return DataLoader(TensorDataset(*map(torch.from_numpy, tensors)), batch_size=SIZE)


def same(one, other):
    for a, b in zip(one.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_allclose(np.asarray(a), np.asarray(b), rtol=1e-5, atol=1e-6)


def same_history(one, other):
    assert list(one.history) == list(other.history)
    for name, values in other.history.items():
        assert one.history[name] == pytest.approx(values, rel=1e-5), name


SOURCES = {
    "generator": (endless, {"steps_per_epoch": STEPS}),
    "iterable": (Parts, {}),
    "PyDataset": (Numbered, {"shuffle": False}),
    "DataLoader": (loader, {}),
    "weighted generator": (lambda: endless(True), {"steps_per_epoch": STEPS}),
    "weighted DataLoader": (lambda: loader(True), {}),
    "Dataset": (Rows, {"batch_size": SIZE, "shuffle": False}),
    "IterableDataset": (Streamed, {"batch_size": SIZE}),
    "TensorDataset": (lambda: loader().dataset, {"batch_size": SIZE, "shuffle": False}),
}


@pytest.mark.parametrize("name", SOURCES)
def test_sources_train_as_arrays_do(name):
    source, options = SOURCES[name]
    plain = compiled()
    model = compiled(plain.get_weights())
    weight = WEIGHT if "weighted" in name else None
    expected = plain.fit(
        X, Y, batch_size=SIZE, epochs=3, shuffle=False, verbose=0, sample_weight=weight
    )
    same_history(model.fit(source(), epochs=3, verbose=0, **options), expected)
    same(model, plain)
    steps = STEPS if "generator" in name else None
    size = options.get("batch_size")
    values = model.evaluate(source(), steps=steps, batch_size=size, verbose=0)
    whole = plain.evaluate(X, Y, batch_size=SIZE, sample_weight=weight, verbose=0)
    assert values == pytest.approx(whole, rel=1e-5)
    outputs = model.predict(source(), steps=steps, batch_size=size, verbose=0)
    np.testing.assert_allclose(outputs, plain.predict(X, verbose=0), rtol=1e-5, atol=1e-6)


class KerasNumbered(keras.utils.PyDataset):
    def __len__(self):
        return STEPS

    def __getitem__(self, number):
        return next(parts(False, number))


KERAS = {
    "generator": (lambda k: endless(), {"steps_per_epoch": STEPS}),
    "other steps": (lambda k: endless(), {"steps_per_epoch": 2, "epochs": 4}),
    "generator that ends": (lambda k: parts(), {"epochs": 1}),
    "DataLoader": (lambda k: loader(), {}),
    "PyDataset": (lambda k: KerasNumbered() if k else Numbered(), {"shuffle": False}),
    "steps of a loader": (lambda k: loader(), {"steps_per_epoch": 2, "epochs": 4}),
}


@pytest.mark.parametrize("name", KERAS)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_sources_train_as_keras_does(name):
    source, options = KERAS[name]
    mine = compiled()
    theirs = compiled(mine.get_weights(), keras)
    options = {"epochs": 3, "verbose": 0, "validation_data": (X[:9], Y[:9]), **options}
    same_history(mine.fit(source(False), **options), theirs.fit(source(True), **options))
    same(mine, theirs)


ARRAYS = {
    "steps_per_epoch makes batches": {"steps_per_epoch": 4},
    "fewer steps go on": {"steps_per_epoch": 2, "batch_size": SIZE, "epochs": 5},
    "more steps end early": {"steps_per_epoch": 5, "batch_size": SIZE},
    "validation_steps": {"validation_data": (X, Y), "validation_steps": 2, "batch_size": SIZE},
    "validation_split and steps": {"validation_split": 0.5, "validation_steps": 2},
    "validation_freq in a list": {"validation_data": (X, Y), "validation_freq": [1, 3]},
}


@pytest.mark.parametrize("name", ARRAYS)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_steps_of_arrays_are_keras_s(name):
    mine = compiled()
    theirs = compiled(mine.get_weights(), keras)
    options = {"epochs": 3, "verbose": 0, "shuffle": False, **ARRAYS[name]}
    if name == "validation_split and steps":
        # Keras gives evaluate() no batch size then; here the steps make it.
        history = mine.fit(X, Y, **options)
        assert len(history.history["val_loss"]) == 3
        return
    same_history(mine.fit(X, Y, **options), theirs.fit(X, Y, **options))
    same(mine, theirs)


def test_steps_of_evaluate_and_predict():
    mine = compiled()
    theirs = compiled(mine.get_weights(), keras)
    options = {"batch_size": SIZE, "steps": 2, "verbose": 0}
    one, other = mine.evaluate(X, Y, **options), theirs.evaluate(X, Y, **options)
    assert one == pytest.approx([float(value) for value in other], rel=1e-5)
    found = mine.predict(X, **options)
    assert found.shape == (2 * SIZE, 3)
    np.testing.assert_allclose(found, theirs.predict(X, **options), rtol=1e-5, atol=1e-6)


VALIDATION = {
    "generator": (lambda: endless(), {"validation_steps": STEPS}),
    "loader": (loader, {}),
    "iterable": (Parts, {}),
    "PyDataset": (Numbered, {}),
    "weighted": (lambda: loader(True), {}),
}


@pytest.mark.parametrize("name", VALIDATION)
def test_validation_data_of_any_kind(name):
    source, options = VALIDATION[name]
    plain = compiled()
    model = compiled(plain.get_weights())
    data = (X, Y, WEIGHT) if name == "weighted" else (X, Y)
    common = {"epochs": 3, "shuffle": False, "verbose": 0}
    expected = plain.fit(X, Y, validation_data=data, **common)
    found = model.fit(X, Y, validation_data=source(), **common, **options)
    same_history(found, expected)


def test_a_py_dataset_is_shuffled_and_told_of_epochs():
    seen = []

    class Noted(Numbered):
        def __getitem__(self, number):
            seen.append(number)
            return super().__getitem__(number)

    data = Noted()
    torch.manual_seed(0)
    compiled().fit(data, epochs=6, verbose=0)
    assert data.begun == data.ended == 6
    epochs = [seen[n : n + STEPS] for n in range(0, 6 * STEPS, STEPS)]
    assert all(sorted(epoch) == list(range(STEPS)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) > 1


def test_a_py_dataset_without_end():
    class Infinite:
        num_batches = None

        def __getitem__(self, number):
            return next(parts(False, number % STEPS))

    plain = compiled()
    model = compiled(plain.get_weights())
    expected = plain.fit(X, Y, batch_size=SIZE, epochs=2, shuffle=False, verbose=0)
    same_history(model.fit(Infinite(), steps_per_epoch=STEPS, epochs=2, verbose=0), expected)


def test_class_weights_of_batches():
    plain = compiled()
    model = compiled(plain.get_weights())
    weights = {0: 2.0, 1: 0.5}
    common = {"epochs": 2, "verbose": 0, "class_weight": weights}
    expected = plain.fit(X, Y, batch_size=SIZE, shuffle=False, **common)
    same_history(model.fit(Parts(), **common), expected)


def test_a_generator_that_is_used_up_ends_the_training():
    model = compiled()
    with pytest.warns(UserWarning, match="`x` has no batches left: the training ends"):
        history = model.fit(parts(), epochs=3, verbose=0)
    assert history.epoch == [0]
    with pytest.warns(UserWarning, match="ran out of batches: this epoch has 3 in place of 5"):
        history = model.fit(parts(), steps_per_epoch=5, verbose=0)
    assert history.epoch == [0]
    with pytest.warns(UserWarning, match="`validation_data` has no batches left: this validation"):
        history = model.fit(X, Y, epochs=2, validation_data=parts(), verbose=0)
    assert {name: len(values) for name, values in history.history.items()} == {
        "accuracy": 2, "loss": 2, "val_accuracy": 1, "val_loss": 1,
    }  # fmt: skip


@pytest.mark.parametrize("method", ["fit", "evaluate", "predict"])
def test_no_batches_at_all(method):
    with pytest.raises(DataError, match="`x` gives no batches"):
        getattr(compiled(), method)(iter(()), verbose=0)


def test_batches_are_checked_and_numbered():
    model = compiled()
    wrong = [(X[:5], Y[:5]), (X[:5], Y[:4])]
    with pytest.raises(DataError, match="Batch 1 of `x`: `x` has 5 rows, `y` has 4"):
        model.fit(iter(wrong), verbose=0)
    with pytest.raises(DataError, match=r"Batch 0 of `validation_data`: .* shape"):
        model.fit(X, Y, validation_data=iter([(X[:, :2], Y)]), verbose=0)
    with pytest.raises(DataError, match=r"Batch 0 of `x`: .*\(x, y, sample_weight\).* 4 items"):
        model.fit(iter([(X, Y, WEIGHT, WEIGHT)]), verbose=0)
    with pytest.raises(DataError, match="Batch 0 of `x`: `y` is missing"):
        model.fit(iter([(X,)]), verbose=0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"y": Y}, "`y` goes with arrays: `x`, a generator, gives batches"),
        ({"sample_weight": WEIGHT}, "`sample_weight` goes with arrays"),
        ({"validation_split": 0.1}, "`validation_split` is for arrays"),
    ],
)
def test_arguments_that_go_with_arrays(options, message):
    with pytest.raises(ValueError, match=message):
        compiled().fit(parts(), verbose=0, **options)


def test_a_batch_size_beside_batches_is_told_of():
    with pytest.warns(UserWarning, match="`batch_size` has no effect: `x` gives batches"):
        compiled().fit(parts(), batch_size=4, verbose=0)


def test_shuffling_within_batches():
    seen = []

    class Watched(ours.layers.Layer):
        def call(self, inputs):
            if self.training:
                seen.append(inputs[:, 0].tolist())
            return inputs

    model = ours.Sequential([Watched(), ours.layers.Dense(1)])
    model.compile("sgd", "mse")
    x = np.arange(20, dtype="float32")[:, None]
    model.fit(x, x, batch_size=8, shuffle="batch", verbose=0)
    assert [sorted(one) for one in seen] == [x[n : n + 8, 0].tolist() for n in (0, 8, 16)]
    assert seen[0] != sorted(seen[0])


def test_frames_and_series():
    model = ours.Sequential([ours.layers.Dense(1, input_dim=2)])
    model.compile("sgd", "mse")
    frame = pd.DataFrame({"a": X[:, 0], "b": X[:, 1], "y": Y[:, 0], "w": WEIGHT})
    expected = model.evaluate(X[:, :2], Y[:, :1], sample_weight=WEIGHT, verbose=0)
    found = model.evaluate(frame[["a", "b"]], frame["y"], sample_weight=frame["w"], verbose=0)
    assert found == pytest.approx(expected, rel=1e-6)
    assert model.predict(frame[["a", "b"]], verbose=0).shape == (ROWS, 1)


def test_predicting_batches_of_features_alone():
    model = compiled()
    expected = model.predict(X, verbose=0)
    for batches in (
        ((part[0],) for part in parts()),
        (part[0] for part in parts()),
        (torch.from_numpy(part[0]) for part in parts()),
        DataLoader(torch.from_numpy(X), batch_size=SIZE),
    ):
        np.testing.assert_allclose(model.predict(batches, verbose=0), expected, rtol=1e-5)


def test_predictions_that_make_no_one_array():
    model = ours.Sequential([ours.layers.Dense(2, input_shape=(None, 3))])
    with pytest.raises(DataError, match=r"outputs of batches differ.*\(4, 2\) and \(5, 2\)"):
        model.predict(iter([np.ones((2, 4, 3)), np.ones((2, 5, 3))]), verbose=0)
    assert model.predict(iter([np.ones((2, 4, 3))] * 2), verbose=0).shape == (4, 4, 2)


def test_hooks_of_tests_and_predictions():
    calls = []

    def note(name):
        return lambda *args: calls.append(name)

    hooks = ("test_begin", "test_batch_begin", "test_batch_end", "test_end", "predict_begin",
             "predict_batch_begin", "predict_batch_end", "predict_end")  # fmt: skip
    callback = LambdaCallback(**{f"on_{name}": note(name) for name in hooks})
    model = compiled()
    model.evaluate(X, Y, batch_size=11, verbose=0, callbacks=[callback])
    expected = ["test_begin", *["test_batch_begin", "test_batch_end"] * 2, "test_end"]
    assert calls == expected
    model.predict(X, batch_size=11, verbose=0, callbacks=callback)
    assert calls[6:] == [name.replace("test", "predict") for name in expected]
    calls.clear()
    model.fit(
        X, Y, validation_data=(X, Y), batch_size=11, epochs=2, verbose=0, callbacks=[callback]
    )
    assert calls == expected * 2


def test_evaluating_and_predicting_may_be_stopped():
    model = compiled()
    seen = []

    def stop(name):
        def hook(batch, logs):
            seen.append(batch)
            setattr(model, name, True)

        return hook

    stops = LambdaCallback(on_predict_batch_end=stop("stop_predicting"))
    assert model.predict(X, batch_size=5, verbose=0, callbacks=stops).shape == (5, 3)
    stops = LambdaCallback(on_test_batch_end=stop("stop_evaluating"))
    model.evaluate(X, Y, batch_size=5, verbose=0, callbacks=stops)
    assert seen == [0, 0]


OLD = {
    "Keras 2": {"steps_per_epoch": STEPS, "epochs": 2, "workers": 4, "use_multiprocessing": True},
    "Keras 1": {"samples_per_epoch": ROWS, "nb_epoch": 2, "max_q_size": 3, "nb_worker": 2},
}


@pytest.mark.parametrize("name", OLD)
def test_the_old_methods_for_generators(name):
    plain = compiled()
    model = compiled(plain.get_weights())
    expected = plain.fit(X, Y, batch_size=SIZE, epochs=2, shuffle=False, verbose=0)
    with pytest.warns(DeprecationWarning, match="fit_generator is old: `fit` takes generators"):
        history = model.fit_generator(endless(), verbose=0, **OLD[name])
    same_history(history, expected)
    old = {"val_samples": ROWS} if name == "Keras 1" else {"steps": STEPS, "max_queue_size": 2}
    with pytest.warns(DeprecationWarning, match="evaluate_generator"):
        found = model.evaluate_generator(endless(), **old)
    assert found == pytest.approx(plain.evaluate(X, Y, verbose=0), rel=1e-5)
    with pytest.warns(DeprecationWarning, match="predict_generator"):
        outputs = model.predict_generator(endless(), **old)
    np.testing.assert_allclose(outputs, plain.predict(X, verbose=0), rtol=1e-5, atol=1e-6)
    with pytest.warns(DeprecationWarning), pytest.raises(TypeError, match="'workrs'"):
        model.fit_generator(endless(), workrs=2)


def test_validation_of_keras_1_counts_rows():
    model = compiled()
    taken = []

    def counted():
        for number in itertools.count():
            taken.append(number)
            yield X[:8], Y[:8]

    with pytest.warns(DeprecationWarning):
        model.fit_generator(
            endless(), samples_per_epoch=20, nb_epoch=2, verbose=0,
            validation_data=counted(), nb_val_samples=20,
        )  # fmt: skip
    assert len(taken) == 6


def test_workers_of_keras_2_are_told_of():
    with pytest.warns(DeprecationWarning, match=r"fit\(workers=…\) is old and has no effect"):
        compiled().fit(X, Y, verbose=0, workers=2, max_queue_size=3)


@pytest.mark.parametrize("verbose", [1, 2])
def test_what_is_shown(verbose, capsys, monkeypatch):
    monkeypatch.setattr("sys.stdout.isatty", lambda: verbose == 1)
    model = compiled()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.fit(Parts(), epochs=2, verbose=verbose)
    fitted = capsys.readouterr().out
    assert "Epoch 2/2" in fitted and f"{STEPS}/{STEPS} - " in fitted and "accuracy: " in fitted
    model.evaluate(X, Y, verbose=verbose)
    assert "loss: " in capsys.readouterr().out
    model.predict(X, batch_size=SIZE, verbose=verbose)
    predicted = capsys.readouterr().out
    assert f"{STEPS}/{STEPS} - 0." in predicted and "Epoch" not in predicted
    model.predict(X, verbose=0)
    assert capsys.readouterr().out == ""


class Unbuilt(ours.Model):
    def __init__(self):
        super().__init__()
        self.dense = ours.layers.Dense(1, kernel_initializer="zeros")

    def call(self, inputs):
        return self.dense(inputs)


class FourBatches(ours.utils.PyDataset):
    def __len__(self):
        return 4

    def __getitem__(self, number):
        return np.full((2, 3), number, "float32"), np.full((2, 1), number, "float32")


def once():
    return (FourBatches()[number] for number in range(4))


WITHOUT_SHAPE = {
    "sequential": lambda: ours.Sequential([ours.layers.Dense(1, kernel_initializer="zeros")]),
    "subclass": Unbuilt,
}


@pytest.mark.parametrize("model", WITHOUT_SHAPE)
@pytest.mark.parametrize("steps", [None, 4])
@pytest.mark.parametrize("source", [once, FourBatches, lambda: list_of(FourBatches())])
def test_models_that_know_no_shape_learn_it_of_the_first_batch(model, steps, source):
    model = WITHOUT_SHAPE[model]()
    model.compile(ours.optimizers.SGD(0.0), "mse")
    # Each batch counts once: the mean of 0, 1, 4 and 9.
    assert model.evaluate(source(), steps=steps, verbose=0) == 3.5
    again = type(model)() if isinstance(model, Unbuilt) else WITHOUT_SHAPE["sequential"]()
    again.compile(ours.optimizers.SGD(0.0), "mse")
    history = again.fit(source(), steps_per_epoch=steps, verbose=0)
    assert history.history["loss"] == [3.5] and again.input_shape == (None, 3)


def list_of(dataset):
    return DataLoader([dataset[number] for number in range(4)], batch_size=None)


def test_no_batches_for_a_model_that_knows_no_shape():
    model = Unbuilt()
    model.compile("sgd", "mse")
    with pytest.raises(DataError, match="`x` gives no batches"):
        model.fit(iter(()), verbose=0)


class Slow(ours.utils.PyDataset):
    """Batches of 0, 1, 2, … that note which threads made them."""

    def __init__(self, wrong=None, **kwargs):
        super().__init__(**kwargs)
        self.wrong, self.asked = wrong, []

    def __len__(self):
        return 6

    def __getitem__(self, number):
        self.asked.append((number, threading.current_thread()))
        time.sleep(0.03 if number % 2 == 0 else 0)
        if number == self.wrong:
            raise OSError(f"picture {number}")
        return np.full((2, 3), number, "float32"), np.full((2, 1), number, "float32")

    def made_elsewhere(self):
        """Whether others than this thread made the batches; all of them must have ended."""
        threads = {thread for _, thread in self.asked} - {threading.current_thread()}
        assert not any(thread.is_alive() for thread in threads)
        return bool(threads)


def zeros():
    return ours.Sequential(
        [ours.layers.Input((3,)), ours.layers.Dense(1, kernel_initializer="zeros")]
    )


def untrained():
    model = zeros()
    model.compile(ours.optimizers.SGD(0.0), "mse")
    return model


@pytest.mark.parametrize("workers", [0, 1, 3])
def test_workers_make_batches_ahead_for_every_method(workers):
    model = untrained()
    means = []
    note = LambdaCallback(on_train_batch_end=lambda batch, logs: means.append(logs["loss"]))
    trained, validated = Slow(workers=workers), Slow(workers=workers)
    history = model.fit(
        trained, validation_data=validated, shuffle=False, epochs=2, verbose=0, callbacks=[note]
    )
    # Means of 0, 1, 4, 9, …: each batch once and in order.
    assert means == pytest.approx([0, 1 / 2, 5 / 3, 14 / 4, 6, 55 / 6] * 2)
    assert history.history["val_loss"] == pytest.approx([55 / 6] * 2)
    evaluated, predicted = Slow(workers=workers), Slow(workers=workers)
    assert model.evaluate(evaluated, verbose=0) == pytest.approx(55 / 6)
    model.set_weights([np.full((3, 1), 1 / 3, "float32"), np.zeros(1, "float32")])
    outputs = model.predict(predicted, verbose=0)
    np.testing.assert_allclose(outputs[:, 0], np.repeat(np.arange(6), 2), rtol=1e-6)
    for dataset in (trained, validated, evaluated, predicted):
        assert dataset.made_elsewhere() == (workers > 1)


def test_workers_of_keras_s_own_datasets_count_too():
    class Theirs(keras.utils.PyDataset):
        __len__, __getitem__ = Slow.__len__, Slow.__getitem__
        made_elsewhere, wrong = Slow.made_elsewhere, None

    dataset = Theirs(workers=2)
    dataset.asked = []
    assert untrained().evaluate(dataset, verbose=0) == pytest.approx(55 / 6)
    assert dataset.made_elsewhere()


def test_workers_end_where_batches_are_left_over():
    dataset = Slow(workers=3, max_queue_size=2)
    history = untrained().fit(dataset, steps_per_epoch=2, epochs=2, shuffle=False, verbose=0)
    assert history.history["loss"] == pytest.approx([1 / 2, 13 / 2])  # 0, 1; 4, 9
    assert dataset.made_elsewhere() and len(dataset.asked) <= 6


def test_workers_end_where_training_is_stopped():
    def stop(batch, logs):
        model.stop_training = True

    model, dataset = untrained(), Slow(workers=3, max_queue_size=2)
    model.fit(dataset, epochs=2, verbose=0, callbacks=[LambdaCallback(on_train_batch_end=stop)])
    assert dataset.made_elsewhere() and len(dataset.asked) <= 3


@pytest.mark.parametrize("method", ["fit", "evaluate", "predict"])
def test_errors_of_workers_are_passed_on_and_end_them(method):
    dataset = Slow(wrong=2, workers=2)
    with pytest.raises(OSError, match="picture 2") as caught:
        getattr(untrained(), method)(dataset, verbose=0)
    assert dataset.made_elsewhere() and caught.value


def test_workers_end_where_a_batch_does_not_fit_or_a_callback_fails():
    def fail(batch, logs):
        raise RuntimeError("callback")

    dataset = Slow(workers=2)
    failing = LambdaCallback(on_train_batch_end=fail)
    with pytest.raises(RuntimeError, match="callback") as one:
        untrained().fit(dataset, verbose=0, callbacks=[failing])
    assert dataset.made_elsewhere() and one.value
    unbuilt = WITHOUT_SHAPE["sequential"]()
    unbuilt.compile("sgd", "mse")
    with pytest.raises(ValueError, match="validation_data") as other:
        unbuilt.fit(dataset, validation_data=5, verbose=0)
    assert dataset.made_elsewhere() and other.value


def test_endless_validation_goes_on_each_epoch():
    read = []

    def squares():
        for number in itertools.count():
            read.append(number)
            yield np.zeros((2, 3), "float32"), np.full((2, 1), number**0.5, "float32")

    history = untrained().fit(
        np.zeros((2, 3)), np.zeros((2, 1)), epochs=3, verbose=0,
        validation_data=squares(), validation_steps=2,
    )  # fmt: skip
    assert history.history["val_loss"] == pytest.approx([0.5, 2.5, 4.5])
    assert read == list(range(6))
