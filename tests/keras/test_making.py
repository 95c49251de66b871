"""Calls of constructors that don't fit: the message names the class and what is near."""

import copy
import inspect
import pickle

import pytest

from elephas_torch.keras import (
    Sequential,
    callbacks,
    initializers,
    layers,
    losses,
    metrics,
    optimizers,
    regularizers,
)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: layers.Dense(), r"^Dense needs `units`: Dense\(units=…\)\.$"),
        (lambda: layers.Conv2D(8), r"^Conv2D needs `kernel_size`: Conv2D\(…, kernel_size=…\)"),
        (lambda: layers.Conv2D(), r"^Conv2D needs `filters` and `kernel_size`"),
        (lambda: layers.LSTM(), r"^LSTM needs `units`"),
        (lambda: layers.Dense(3, units=4), r"^Dense got `units` twice"),
        (lambda: layers.Dense(3, actvation="relu"), r"Dense.*'actvation'.*mean 'activation'"),
        (lambda: callbacks.EarlyStopping(monitr="loss"), r"EarlyStopping.*'monitr'.*'monitor'"),
        (lambda: callbacks.ModelCheckpoint(), r"^ModelCheckpoint needs `filepath`"),
        (lambda: callbacks.CSVLogger(), r"^CSVLogger needs `filename`"),
        (lambda: callbacks.History(3), r"^History: .* none\. Received: 1 of them"),
        (lambda: callbacks.History(x=3), r"^History takes no arguments.*: x$"),
        (lambda: losses.MeanSquaredError(nmae="x"), r"MeanSquaredError.*'nmae'.*'name'"),
        (lambda: metrics.Accuracy(dtpye=3), r"Accuracy.*'dtpye'.*'dtype'"),
        (lambda: metrics.MeanIoU(), r"^MeanIoU needs `num_classes`"),
        (lambda: initializers.GlorotUniform(sed=3), r"GlorotUniform.*'sed'.*'seed'"),
        (lambda: regularizers.L2(l3=1), r"L2.*'l3'.*'l2'"),
        (lambda: regularizers.L2(1, 2), r"^L2: .* at most 1: l2\. Received: 2 of them"),
        (lambda: optimizers.Adam(learnig_rate=1), r"Adam.*'learnig_rate'.*'learning_rate'"),
    ],
)
def test_what_does_not_fit_is_named(call, message):
    with pytest.raises(TypeError, match=message) as caught:
        call()
    assert caught.value.__context__ is None


class Own(callbacks.Callback):
    def __init__(self, needed, *, also=1):
        super().__init__()
        self.needed = needed + also


def test_subclasses_are_explained_too():
    with pytest.raises(TypeError, match=r"^Own needs `needed`"):
        Own()
    with pytest.raises(TypeError, match=r"Own.*'alos'.*'also'"):
        Own(1, alos=2)
    with pytest.raises(TypeError, match=r"^Own: .* at most 1: needed"):
        Own(1, 2)


def test_errors_from_within_stay_what_they_are():
    with pytest.raises(TypeError, match="can only concatenate str"):
        Own("x")

    class Wrong(layers.Layer):
        def __init__(self):
            super().__init__(wrong=1)

    with pytest.raises(TypeError, match="Wrong got an argument that it doesn't know: 'wrong'"):
        Wrong()


def test_objects_are_copied_and_sent():
    again = [copy.deepcopy(Own(1)), pickle.loads(pickle.dumps(Own(1)))]
    assert [one.needed for one in again] == [2, 2]


def test_signatures_are_shown():
    assert list(inspect.signature(callbacks.EarlyStopping).parameters)[:2] == [
        "monitor", "min_delta",
    ]  # fmt: skip
    assert list(inspect.signature(Own).parameters) == ["needed", "also"]
    assert next(iter(inspect.signature(Sequential).parameters)) == "layers"


def test_a_mixin_is_no_hindrance():
    class Mixin:
        def __init_subclass__(cls, **kwargs):
            super().__init_subclass__(**kwargs)
            cls.seen = True

    class Both(Mixin, losses.Loss):
        def call(self, y_true, y_pred):
            return y_pred

    assert Both().seen and isinstance(Both(), losses.Loss)


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (lambda: layers.Conv2D(2, 3, padding="sam"), "Conv2D: Unknown padding: 'sam'"),
        (lambda: layers.MaxPooling1D(data_format="foo"), "MaxPooling1D: Unknown data_format"),
        (lambda: layers.Attention(score_mode="foo"), "Attention: Unknown score_mode: 'foo'"),
        (lambda: layers.Dense(2, activation="rel"), "Dense: Unknown activation: 'rel'. Did you"),
        (lambda: layers.Flatten(data_format=5), "Flatten: Unknown data_format: 5"),
        (
            lambda: layers.Bidirectional(layers.LSTM(2, activation="tan")),
            "^LSTMCell: Unknown activation: 'tan'",
        ),
    ],
)
def test_unknown_names_are_told_with_the_class(made, message):
    with pytest.raises(ValueError, match=message):
        made()
