"""Each mistake gets one message, which names the argument and says what to do."""

import numpy as np
import pytest
import torch

from elephas_torch.errors import DataError
from elephas_torch.keras import Sequential, layers, losses, metrics
from elephas_torch.keras.layers import Dense, Embedding

X = np.random.default_rng(0).normal(size=(20, 4)).astype("float32")
Y = np.eye(3, dtype="float32")[np.arange(20) % 3]


def model(**options):
    made = Sequential([Dense(5, "relu", input_dim=4), Dense(3, "softmax")])
    made.compile(**{"optimizer": "sgd", "loss": "categorical_crossentropy", **options})
    return made


def plain():
    return Sequential([Dense(3, input_dim=4)])


@pytest.mark.parametrize(
    "use",
    [
        lambda m: m.fit(X, Y),
        lambda m: m.evaluate(X, Y),
        lambda m: m.train_on_batch(X, Y),
        lambda m: m.test_on_batch(X, Y),
        lambda m: m.optimizer,
        lambda m: m.loss,
        lambda m: m.metrics_names,
    ],
)
def test_a_model_that_is_not_compiled(use):
    with pytest.raises(ValueError, match=r"isn't compiled. Call model.compile"):
        use(plain())


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"loss": "mean_sqared_error"}, ValueError, "loss: .*Did you mean 'mean_squared_error'"),
        ({"loss": [None, 3]}, TypeError, "Received: loss=3"),
        ({"loss": ["mse", "mae"]}, ValueError, "`loss` needs an entry for each of .* 1 outputs"),
        ({"loss": {"a": "mse", "b": "mae"}}, ValueError, "one output"),
        ({"loss": 3}, TypeError, "Received: loss=3"),
        ({"loss": losses.MeanSquaredError(reduction=None)}, ValueError, "one number a batch"),
        ({"optimizer": "sdg"}, ValueError, "optimizer: 'sdg'. Did you mean 'sgd'"),
        ({"optimizer": 0.1}, TypeError, "`optimizer` must be .*Received: 0.1"),
        ({"optimizer": None}, TypeError, "`optimizer` must be .*Received: None"),
        ({"metrics": ["acuracy"]}, ValueError, "metric: 'acuracy'. Did you mean 'accuracy'"),
        ({"metrics": [3]}, TypeError, "Received: 3"),
        ({"metrics": 3}, TypeError, "`metrics` must be a list .*Received: metrics=3"),
        ({"metrics": {"a": "mse", "b": "mae"}}, ValueError, "one output"),
        ({"weighted_metrics": 3}, TypeError, "Received: weighted_metrics=3"),
        ({"weighted_metrics": ["acuracy"]}, ValueError, "metric: 'acuracy'. Did you mean"),
        ({"metrics": [metrics.MeanSquaredError(name="loss")]}, ValueError, 'of the name "loss"'),
        ({"metric": ["mse"]}, TypeError, "'metric'. Did you mean 'metrics'"),
        ({"loss_weights": [1.0, 2.0]}, ValueError, "`loss_weights` needs an entry .* 2 entries"),
        ({"loss_weights": {"a": "much"}}, TypeError, "must be numbers.*loss_weights={'a': 'much'}"),
        ({"loss_weights": [1.0, ["a"]]}, TypeError, "must be numbers"),
        ({"loss_weight": [1.0]}, TypeError, "'loss_weight'. Did you mean 'loss_weights'"),
        ({"steps_per_execution": 0}, ValueError, "`steps_per_execution` must be a whole number"),
        ({"run_eagerly": "yes"}, ValueError, "`run_eagerly` must be True or False"),
        ({"jit_compile": "yes"}, ValueError, "`jit_compile` must be True or False"),
    ],
)
def test_compile(options, error, message):
    with pytest.raises(error, match=message):
        model(**options)


def test_a_failed_compile_changes_nothing():
    made = model()
    with pytest.raises(ValueError, match="Unknown metric"):
        made.compile("adam", "mse", metrics=["nothing"])
    assert made.loss.name == "categorical_crossentropy"
    made.fit(X, Y, verbose=0)


ARGUMENTS = [
    ({"batch_size": 0}, "`batch_size` must be a whole number, 1 or more. Received: batch_size=0"),
    ({"batch_size": -1}, "batch_size=-1"),
    ({"batch_size": 2.5}, "batch_size=2.5"),
    ({"batch_size": True}, "batch_size=True"),
    ({"batch_size": "32"}, "batch_size='32'"),
    ({"epochs": 0}, "`epochs` must be a whole number, 1 or more. Received: epochs=0"),
    ({"epochs": -1}, "epochs=-1"),
    ({"epochs": 2.5}, "epochs=2.5"),
    ({"epochs": True}, "epochs=True"),
    ({"epochs": None}, "epochs=None"),
    ({"initial_epoch": -1}, "initial_epoch=-1"),
    ({"validation_split": 1.0}, "from 0 to below 1. Received: validation_split=1.0"),
    ({"validation_split": -0.1}, "validation_split=-0.1"),
    ({"validation_split": "0.1"}, "validation_split='0.1'"),
    ({"validation_split": True}, "validation_split=True"),
    ({"validation_split": float("nan")}, "validation_split=nan"),
    ({"validation_split": 0.99}, "20 rows can't be split"),
    ({"validation_freq": 0}, "validation_freq=0"),
    ({"validation_batch_size": -3}, "`validation_batch_size` must be .*validation_batch_size=-3"),
    ({"validation_freq": [1, 0]}, "validation_freq=0"),
    ({"validation_freq": "often"}, "validation_freq='often'"),
    ({"steps_per_epoch": 0}, "`steps_per_epoch` must be a whole number, 1 or more"),
    ({"steps_per_epoch": 1.5}, "steps_per_epoch=1.5"),
    ({"validation_steps": -1}, "validation_steps=-1"),
    ({"shuffle": "batches"}, "`shuffle` must be True or False, or 'batch'"),
    ({"verbose": 3}, "Unknown verbose: 3"),
    ({"verbose": "yes"}, "Unknown verbose: 'yes'"),
    ({"verbose": None}, "Unknown verbose: None"),
    ({"validation_data": X}, r"must be \(x, y\) .*Received: validation_data of ndarray"),
    ({"validation_data": (X,)}, "validation_data of 1 items"),
    ({"validation_data": (X, Y, None, None)}, "validation_data of 4 items"),
    ({"validation_data": (X, Y[:5])}, r"`validation_data\[0\]` has 20 rows.*\[1\]` has 5"),
    ({"validation_data": (X[:, :2], Y)}, r"`validation_data\[0\]` has rows of shape \(2,\)"),
    ({"validation_data": (X, None)}, r"`validation_data\[1\]` is missing"),
    ({"class_weight": [1.0, 2.0]}, r"`class_weight` must be a dict.*\[1.0, 2.0\]"),
    ({"class_weight": {}}, "`class_weight` must be a dict"),
    ({"class_weight": {"a": 1.0}}, "key that is no class number: 'a'"),
    ({"class_weight": {0: "much"}}, "class 0 has 'much'"),
    ({"class_weight": {0: -1.0}}, "class 0 has -1.0"),
    ({"class_weight": {0: float("nan")}}, "class 0 has nan"),
    ({"sample_weight": np.ones(19)}, "`x` has 20 rows, `sample_weight` has 19"),
    ({"sample_weight": np.ones((20, 2))}, r"has shape \(20, 2\); .* one weight a row, .*\(20,\)"),
    ({"sample_weight": [np.ones(20), np.ones(20)]}, "`x` has 20 rows, `sample_weight` has 2"),
    ({"sample_weight": "heavy"}, "`sample_weight` must be numbers"),
]


@pytest.mark.parametrize(("options", "message"), ARGUMENTS, ids=lambda one: str(one)[:30])
def test_arguments_of_fit(options, message):
    made = model()
    before = made.get_weights()
    with pytest.raises(ValueError, match=message):
        made.fit(X, Y, **{"verbose": 0, **options})
    assert all((a == b).all() for a, b in zip(before, made.get_weights(), strict=True))
    made.fit(X, Y, verbose=0)


@pytest.mark.parametrize("method", ["evaluate", "predict"])
@pytest.mark.parametrize("size", [0, -1, 2.5, True, "32"])
def test_batch_sizes_elsewhere(method, size):
    arguments = (X, Y) if method == "evaluate" else (X,)
    with pytest.raises(ValueError, match=f"Received: batch_size={size!r}"):
        getattr(model(), method)(*arguments, batch_size=size)


@pytest.mark.parametrize(
    ("method", "wrong", "right"),
    [
        ("fit", "epoch", "epochs"),
        ("fit", "batchsize", "batch_size"),
        ("fit", "callback", "callbacks"),
        ("evaluate", "batchsize", "batch_size"),
        ("evaluate", "return_dic", "return_dict"),
        ("predict", "batchsize", "batch_size"),
    ],
)
def test_unknown_arguments(method, wrong, right):
    arguments = (X,) if method == "predict" else (X, Y)
    with pytest.raises(TypeError, match=f"{method} got .*{wrong!r}. Did you mean {right!r}"):
        getattr(model(), method)(*arguments, **{wrong: 1})


FEATURES = [
    (X[:10], "`x` has 10 rows, `y` has 20"),
    (X[:0], "`x` is empty"),
    ([], "`x` is empty"),
    ([[1, 2, 3, 4], [1, 2]], "`x` is ragged"),
    ([["a"] * 4] * 20, "`x` must be numbers.*Received: list with dtype <U1"),
    ("features", "`x` must be numbers.*Received: str"),
    ([[None] * 4] * 20, "`x` must be numbers.*dtype object"),
    (np.ones((20, 4), dtype=complex), "`x` must be numbers.*complex128"),
    (torch.ones(20, 4, dtype=torch.complex64), "`x` must be dense and real"),
    (torch.ones(20, 4).to_sparse(), "`x` must be dense and real"),
    (3.5, "`x` must have an entry a row. Received: 3.5"),
    (None, "`x` is missing"),
    (X[:, :3], r"takes features of shape \(4,\) a row; `x` has rows of shape \(3,\)"),
    (X[:, None], r"`x` has rows of shape \(1, 4\)"),
    (X[:, 0], r"`x` has rows of shape \(\)"),
    ({"a": X, "b": X}, "Unknown input in `x`: 'a'. Known: input_layer"),
]


@pytest.mark.parametrize(("x", "message"), FEATURES, ids=lambda one: str(one)[:30])
@pytest.mark.parametrize("method", ["fit", "evaluate", "train_on_batch", "test_on_batch"])
def test_features(method, x, message):
    with pytest.raises(ValueError, match=message) as caught:
        getattr(model(), method)(x, Y)
    assert isinstance(caught.value, DataError) or "missing" in message


@pytest.mark.parametrize(
    "x", ["text", [[1, 2, 3, 4], [1]], X[:, :3], 3.5], ids=lambda x: str(x)[:9]
)
def test_features_to_predict(x):
    with pytest.raises(DataError, match="`x`"):
        model().predict(x)


@pytest.mark.parametrize(
    ("y", "message"),
    [
        (None, "`y` is missing"),
        (np.arange(20) % 3, "class numbers.*sparse_categorical_crossentropy"),
        (Y[:, :2], "labels are for 2 classes, but the last layer has 3 outputs"),
        (Y[:, None], r"targets.* shape \(20, 1, 3\) doesn.*t fit"),
        (["cat"] * 20, "`y` must be numbers"),
        ([[1, 2, 3], [1]], "`y` is ragged"),
    ],
)
def test_targets(y, message):
    for method in ("fit", "evaluate", "train_on_batch", "test_on_batch"):
        with pytest.raises(ValueError, match=message):
            getattr(model(), method)(X, y)


def test_targets_of_sparse_and_binary_losses():
    sparse = model(loss="sparse_categorical_crossentropy")
    with pytest.raises(ValueError, match=r"Class 12 in row 3 .* has 3 outputs"):
        sparse.fit(X, [0, 1, 2, 12] + [0] * 16)
    with pytest.raises(ValueError, match="Class -1 in row 0"):
        sparse.fit(X, [-1] + [0] * 19)
    with pytest.raises(DataError, match=r"`y` must be whole numbers .* row 1 has 0.5"):
        sparse.fit(X, [0, 0.5] + [0] * 18)
    with pytest.raises(DataError, match="row 1 has nan"):
        sparse.fit(X, [0, float("nan")] + [0] * 18)
    binary = Sequential([Dense(1, "sigmoid", input_dim=4)])
    binary.compile("sgd", "binary_crossentropy")
    with pytest.raises(ValueError, match="from 0 to 1, but row 1 has 2"):
        binary.fit(X, [0, 2] + [0] * 18)


def test_indices():
    made = Sequential([Embedding(10, 2), layers.Flatten(), Dense(1)])
    made.compile("sgd", "mse")
    x = np.arange(20)[:, None] % 10
    made.fit(x.astype("float32"), x, verbose=0)
    with pytest.raises(DataError, match=r"`x` must be whole numbers .* row 2 has 1.5"):
        made.fit(np.where(x == 2, 1.5, x), x)


def test_class_weights_need_one_class_a_row():
    made = Sequential([Dense(2, input_dim=4), layers.Reshape((2, 1))])
    made.compile("sgd", "mse")
    with pytest.raises(ValueError, match="one class a row"):
        made.fit(X, np.zeros((20, 2, 1)), class_weight={0: 1.0})


def test_one_row_cannot_be_split():
    with pytest.raises(DataError, match=r"1 rows can't be split.*validation_split=0.5"):
        model().fit(X[:1], Y[:1], validation_split=0.5)


def test_a_deferred_model_and_data_that_does_not_fit():
    made = Sequential([layers.Conv2D(2, 3), layers.Flatten(), Dense(1)])
    made.compile("sgd", "mse")
    with pytest.raises(ValueError, match="expects inputs of shape"):
        made.fit(X, X[:, 0], verbose=0)
    images = np.ones((4, 5, 5, 1))
    made.fit(images, np.ones(4), verbose=0)


def test_sets_are_no_batches():
    fitted = model()
    for x in ({1, 2}, frozenset({1})):
        with pytest.raises(ValueError, match="`x` must "):
            fitted.fit(x, np.ones((2, 1)), verbose=0)
        with pytest.raises(ValueError, match="`x` must "):
            fitted.predict(x, verbose=0)


def test_names_are_no_loss_weights():
    for weights in ("a", "mae"):
        with pytest.raises(TypeError, match=r"`loss_weights` must be numbers.*loss_weights='"):
            model().compile("sgd", "mse", loss_weights=weights, metrics=["mae"])
    with pytest.raises(TypeError, match=r"metrics go with metrics=…. Received: loss_weights='a'"):
        model().compile("sgd", "mse", loss_weights="a")
    with pytest.warns(DeprecationWarning, match="Keras 2's order"):
        compiled = model()
        compiled.compile("sgd", "mse", "mae")
    assert compiled.metrics_names == ["loss", "mae"]


def test_fit_says_how_to_make_numbers_of_strings():
    model = Sequential([Dense(1, input_dim=1)])
    model.compile("sgd", "mse")
    with pytest.raises(DataError, match=r"`y` must be numbers.*np.unique"):
        model.fit([[1.0], [2.0]], ["no", "yes"], verbose=0)
