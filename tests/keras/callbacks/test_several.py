"""Hooks are called as Keras calls them."""

from types import SimpleNamespace

import cloudpickle
import keras
import pytest

from elephas_torch.keras import callbacks
from elephas_torch.keras.callbacks import (
    BackupAndRestore,
    Callback,
    CallbackList,
    CSVLogger,
    EarlyStopping,
    History,
    LambdaCallback,
    LearningRateScheduler,
    ModelCheckpoint,
    ProgbarLogger,
    ReduceLROnPlateau,
    TerminateOnNaN,
)
from elephas_torch.keras.callbacks.several import wants_batches

PHASES = ("train", "epoch", "train_batch", "test", "test_batch", "predict", "predict_batch")
HOOKS = [f"on_{phase}_{end}" for phase in PHASES for end in ("begin", "end")]


def recorder(base, calls):
    def hook(name):
        def call(self, *args, **kwargs):
            *number, logs = (*args, *kwargs.values()) or (None,)
            if isinstance(logs, int):
                number, logs = [logs], None
            calls.append((name, *number, sorted(logs or {})))

        return call

    return type("Recorder", (base,), {name: hook(name) for name in HOOKS})()


def both(compiled, work):
    """The calls of `work(model, callback)` here and in Keras."""
    mine, theirs = [], []
    work(compiled(), recorder(Callback, mine))
    work(compiled(keras), recorder(keras.callbacks.Callback, theirs))
    return mine, theirs


def test_fit_calls_keras_s_hooks_with_keras_s_logs(compiled, data):
    def work(model, callback):
        options = {"epochs": 2, "batch_size": 10, "verbose": 0, "validation_split": 0.2}
        model.fit(*data, callbacks=[callback], **options)

    mine, theirs = both(compiled, work)
    assert mine == theirs
    assert len(mine) == 2 + 2 * (2 + 2 * 2 + 2 + 2)


def test_evaluate_and_predict_call_keras_s_hooks(compiled, data):
    def work(model, callback):
        model.evaluate(*data, batch_size=10, verbose=0, callbacks=[callback])
        model.predict(data[0], batch_size=10, verbose=0, callbacks=[callback])

    mine, theirs = both(compiled, work)
    assert mine == theirs
    assert len(mine) == 2 * (2 + 2 * 3)


def test_stopping_at_a_batch_calls_keras_s_hooks(compiled, data):
    def work(model, callback):
        stop = type(callback).on_train_batch_end

        def stopping(self, batch, logs=None):
            stop(self, batch, logs)
            model.stop_training = batch == 1

        type(callback).on_train_batch_end = stopping
        model.fit(*data, batch_size=5, epochs=3, verbose=0, callbacks=[callback])

    mine, theirs = both(compiled, work)
    assert mine == theirs
    assert len(mine) == 2 + 2 + 4


def test_every_hook_gets_a_dict(compiled, data):
    seen = []

    class Careful(Callback):
        def on_train_begin(self, logs=None):
            seen.append(logs)

        on_train_end = on_test_begin = on_test_end = on_train_begin

        def on_epoch_begin(self, epoch, logs=None):
            seen.append(logs)

        on_epoch_end = on_train_batch_begin = on_train_batch_end = on_epoch_begin
        on_test_batch_begin = on_test_batch_end = on_epoch_begin

    compiled().fit(*data, validation_data=data, callbacks=Careful(), verbose=0)
    assert len(seen) == 10
    assert all(isinstance(logs, dict) for logs in seen)


def test_callbacks_know_model_and_params(compiled, data):
    model, asked = compiled(), []

    class Plain(Callback):
        def __init__(self):  # without super().__init__(), as many do
            self.mine = 1

        def on_train_begin(self, logs=None):
            asked.append((self.model, self.params, self.model.history.history))

    model.fit(*data, epochs=3, batch_size=10, verbose=0, callbacks=[Plain()])
    assert asked[0][0] is model
    assert asked[0][1] == {"epochs": 3, "steps": 3, "verbose": 0}


def test_old_batch_hooks_are_called(compiled, data):
    seen = []

    class Old(Callback):
        def on_batch_begin(self, batch, logs=None):
            seen.append(("begin", batch))

        def on_batch_end(self, batch, logs=None):
            seen.append(("end", batch, logs["loss"] > 0))

    compiled().fit(*data, batch_size=13, verbose=0, callbacks=[Old()])
    assert seen == [("begin", 0), ("end", 0, True), ("begin", 1), ("end", 1, True)]


def test_history_holds_what_later_callbacks_add(compiled, data):
    added = LambdaCallback(on_epoch_end=lambda epoch, logs: logs.update(rate=0.1 * epoch))
    history = compiled().fit(*data, epochs=2, verbose=0, callbacks=[added])
    assert set(history.history) == {"loss", "mae", "rate"}
    assert history.history["rate"] == [0.0, 0.1]


def test_history_is_the_callback_that_was_passed(compiled, data):
    own, model = History(), compiled()
    assert model.fit(*data, verbose=0, callbacks=[own]) is own
    assert model.history is own
    assert model.fit(*data, verbose=0) is not own
    assert own.epoch == [0]


def test_lambda_callback_takes_every_hook(compiled, data):
    calls = []
    hooks = {name: (lambda *args, name=name: calls.append(name)) for name in HOOKS}
    model, callback = compiled(), LambdaCallback(**hooks)
    model.fit(*data, batch_size=25, verbose=0, callbacks=[callback], validation_data=data)
    model.predict(data[0], verbose=0, callbacks=[callback])
    assert sorted(calls) == sorted(HOOKS)


def test_lambda_callback_names_what_is_no_hook():
    with pytest.raises(TypeError, match=r"'on_epoch_ends'. Did you mean 'on_epoch_end'"):
        LambdaCallback(on_epoch_ends=print)
    with pytest.raises(TypeError, match="`on_epoch_end` must be a function"):
        LambdaCallback(on_epoch_end=3)


QUIET = [
    EarlyStopping(),
    History(),
    LambdaCallback(on_epoch_end=print),
    Callback(),
    ReduceLROnPlateau(),
    LearningRateScheduler(print),
    ModelCheckpoint("m.keras"),
    BackupAndRestore("b"),
    CSVLogger("a.csv"),
]


class Own(ModelCheckpoint):
    def on_train_batch_end(self, batch, logs=None):
        super().on_train_batch_end(batch, logs)


LOUD = [
    LambdaCallback(on_batch_end=print),
    ModelCheckpoint("m.keras", save_freq=2),
    BackupAndRestore("b", save_freq=2),
    Own("m.keras"),
]


def test_batch_hooks_cost_nothing_where_nobody_wants_them():
    assert not CallbackList(QUIET).wants_batches
    for loud in LOUD:
        assert CallbackList([*QUIET, loud]).wants_batches
        assert wants_batches([*QUIET, loud]) == [type(loud).__name__]
    assert CallbackList(TerminateOnNaN()).wants_batches
    assert wants_batches([TerminateOnNaN()]) == []  # the ends of epochs do


@pytest.mark.parametrize("phase", ["test", "predict"])
@pytest.mark.parametrize("end", ["begin", "end"])
def test_batch_hooks_of_tests_and_predictions_are_wanted_apart(phase, end):
    hooks = CallbackList([*QUIET, *LOUD])
    assert not hooks.wants_test_batches
    assert not hooks.wants_predict_batches
    hooks.append(LambdaCallback(**{f"on_{phase}_batch_{end}": print}))
    assert hooks.wants_test_batches == (phase == "test")
    assert hooks.wants_predict_batches == (phase == "predict")


def test_lists_in_lists_are_unpacked():
    one, other = Callback(), Callback()
    assert CallbackList([[one], (other,)], add_history=False).callbacks == [one, other]
    inner = CallbackList(one, add_history=False)
    assert CallbackList([inner, other], add_history=False).callbacks == [one, other]


def test_a_loop_of_one_s_own(capsys):
    calls, model = [], SimpleNamespace()
    own = recorder(Callback, calls)
    hooks = CallbackList(own, add_progbar=True, model=model, epochs=2, steps=2, verbose=2)
    hooks.on_train_begin()
    for epoch in range(2):
        hooks.on_epoch_begin(epoch)
        for batch in range(2):
            hooks.on_train_batch_begin(batch)
            hooks.on_train_batch_end(batch, {"loss": 1.0})
        hooks.on_epoch_end(epoch, {"loss": 0.5})
    hooks.on_train_end()
    assert len(calls) == 14
    assert own.model is model
    assert model.history.history == {"loss": [0.5, 0.5]}
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(" - ")[0::3] for line in lines] == [
        ["Epoch 1/2", "loss: 0.5000"],
        ["Epoch 2/2", "loss: 0.5000"],
    ]


def test_fit_shows_its_progress_once(compiled, data, capsys):
    compiled().fit(*data, verbose=2, callbacks=[ProgbarLogger()])
    assert len(capsys.readouterr().out.splitlines()) == 1


@pytest.mark.parametrize("wrong", [EarlyStopping, "early", [EarlyStopping], [print], 3])
def test_what_is_no_callback_is_named(compiled, data, wrong):
    with pytest.raises(TypeError, match=r"`callbacks` takes objects of .*Received"):
        compiled().fit(*data, verbose=0, callbacks=wrong)


def test_keras_s_own_callbacks_are_refused(compiled, data):
    with pytest.raises(TypeError, match="not Keras's own"):
        compiled().fit(*data, verbose=0, callbacks=[keras.callbacks.EarlyStopping()])


def test_callbacks_can_be_sent():
    for callback in QUIET:
        assert type(cloudpickle.loads(cloudpickle.dumps(callback))) is type(callback)


def test_unknown_names_are_named():
    with pytest.raises(AttributeError, match=r"no attribute 'EarlyStop'. Did you mean 'EarlyStop"):
        callbacks.EarlyStop  # noqa: B018
    with pytest.raises(AttributeError, match=r"no RemoteMonitor: .*LambdaCallback"):
        callbacks.RemoteMonitor  # noqa: B018
    with pytest.raises(ImportError):
        from elephas_torch.keras.callbacks import RemoteMonitor  # noqa: F401
