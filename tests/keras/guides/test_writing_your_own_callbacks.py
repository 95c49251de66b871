"""Programs like those of https://keras.io/guides/writing_your_own_callbacks/"""

import numpy as np
import pytest


def get_model(keras, layers, rate=0.1):
    model = keras.Sequential()
    model.add(keras.Input((64,)))
    model.add(layers.Dense(1))
    model.compile(
        optimizer=keras.optimizers.RMSprop(learning_rate=rate),
        loss="mean_squared_error",
        metrics=["mean_absolute_error"],
    )
    return model


HOOKS = [f"on_{mode}_{when}" for mode in ("train", "test", "predict") for when in ("begin", "end")]
BATCH_HOOKS = [
    f"on_{mode}_batch_{when}" for mode in ("train", "test", "predict") for when in ("begin", "end")
]
EPOCH_HOOKS = ["on_epoch_begin", "on_epoch_end"]


def custom_callback(keras, told):
    def note(name):
        def plain(self, logs=None):
            told.append((name, sorted(logs)))

        def numbered(self, number, logs=None):
            told.append((name, number, sorted(logs)))

        return plain if name in HOOKS else numbered

    methods = {name: note(name) for name in HOOKS + BATCH_HOOKS + EPOCH_HOOKS}
    return type("CustomCallback", (keras.callbacks.Callback,), methods)()


def test_every_hook_is_called_in_order(both, vectors):
    (x_train, y_train), (x_test, y_test) = vectors

    def program(keras, layers):
        told = []
        model = get_model(keras, layers)
        model.fit(
            x_train,
            y_train,
            batch_size=128,
            epochs=2,
            verbose=0,
            validation_split=0.5,
            callbacks=[custom_callback(keras, told)],
        )
        model.evaluate(
            x_test, y_test, batch_size=128, verbose=0, callbacks=[custom_callback(keras, told)]
        )
        model.predict(x_test, batch_size=128, verbose=0, callbacks=[custom_callback(keras, told)])
        return told

    told = both(program)
    assert told[0] == ("on_train_begin", [])
    assert {one[0] for one in told} == {*HOOKS, *BATCH_HOOKS, *EPOCH_HOOKS}
    ends = [one for one in told if one[0] == "on_epoch_end"]
    names = ["loss", "mean_absolute_error", "val_loss", "val_mean_absolute_error"]
    assert ends == [("on_epoch_end", 0, names), ("on_epoch_end", 1, names)]


@pytest.fixture
def printing(keras):
    class LossAndErrorPrintingCallback(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            print("Up to batch {}, the average loss is {:7.2f}.".format(batch, logs["loss"]))

        def on_test_batch_end(self, batch, logs=None):
            print("Up to batch {}, the average loss is {:7.2f}.".format(batch, logs["loss"]))

        def on_epoch_end(self, epoch, logs=None):
            print(
                "The average loss for epoch {} is {:7.2f} and mean absolute error is {:7.2f}."
                "".format(epoch, logs["loss"], logs["mean_absolute_error"])
            )

    return LossAndErrorPrintingCallback()


def test_what_logs_hold(keras, layers, printing, vectors, capsys):
    (x_train, y_train), (x_test, y_test) = vectors
    model = get_model(keras, layers)
    model.fit(x_train, y_train, batch_size=128, epochs=2, verbose=0, callbacks=[printing])
    printed = capsys.readouterr().out.splitlines()
    assert len(printed) == 2 * (4 + 1)
    assert printed[4].startswith("The average loss for epoch 0 is")
    # The logs of a batch are means since the epoch began: the last is the epoch's.
    assert printed[3].split()[-1][:-1] == printed[4].split()[7]
    model.evaluate(x_test, y_test, batch_size=128, verbose=0, callbacks=[printing])
    assert len(capsys.readouterr().out.splitlines()) == 2


@pytest.fixture
def stopping(keras):
    class EarlyStoppingAtMinLoss(keras.callbacks.Callback):
        def __init__(self, patience=0):
            super().__init__()
            self.patience = patience
            self.best_weights = None

        def on_train_begin(self, logs=None):
            self.wait = 0
            self.stopped_epoch = 0
            self.best = np.inf

        def on_epoch_end(self, epoch, logs=None):
            current = logs.get("loss")
            if np.less(current, self.best):
                self.best = current
                self.wait = 0
                self.best_weights = self.model.get_weights()
            else:
                self.wait += 1
                if self.wait >= self.patience:
                    self.stopped_epoch = epoch
                    self.model.stop_training = True
                    self.model.set_weights(self.best_weights)

        def on_train_end(self, logs=None):
            if self.stopped_epoch > 0:
                print(f"Epoch {self.stopped_epoch + 1}: early stopping")

    return EarlyStoppingAtMinLoss


def test_stopping_at_the_least_loss(keras, layers, stopping, printing, vectors, capsys):
    (x_train, y_train), _ = vectors
    model = get_model(keras, layers)
    callback = stopping()
    history = model.fit(
        x_train,
        y_train,
        batch_size=64,
        epochs=30,
        verbose=0,
        callbacks=[printing, callback],
    )
    losses = history.history["loss"]
    assert 1 < len(losses) < 30
    assert losses[-1] >= losses[-2]
    assert capsys.readouterr().out.endswith(f"Epoch {len(losses)}: early stopping\n")
    for one, best in zip(model.get_weights(), callback.best_weights, strict=True):
        np.testing.assert_array_equal(one, best)


LR_SCHEDULE = [(1, 0.05), (2, 0.01), (3, 0.005), (4, 0.001)]


def lr_schedule(epoch, lr):
    return dict(LR_SCHEDULE).get(epoch, lr)


def test_scheduling_the_learning_rate(keras, layers, vectors, capsys):
    (x_train, y_train), _ = vectors

    class CustomLearningRateScheduler(keras.callbacks.Callback):
        def __init__(self, schedule):
            super().__init__()
            self.schedule = schedule

        def on_epoch_begin(self, epoch, logs=None):
            if not hasattr(self.model.optimizer, "learning_rate"):
                raise ValueError('Optimizer must have a "learning_rate" attribute.')
            lr = float(self.model.optimizer.learning_rate)
            scheduled_lr = self.schedule(epoch, lr)
            self.model.optimizer.learning_rate = scheduled_lr
            print(f"Epoch {epoch}: Learning rate is {scheduled_lr}.")

    model = get_model(keras, layers)
    model.fit(
        x_train,
        y_train,
        batch_size=64,
        epochs=6,
        verbose=0,
        callbacks=[CustomLearningRateScheduler(lr_schedule)],
    )
    rates = [float(line.split()[-1][:-1]) for line in capsys.readouterr().out.splitlines()]
    assert rates == pytest.approx([0.1, 0.05, 0.01, 0.005, 0.001, 0.001])
    assert float(model.optimizer.learning_rate) == pytest.approx(0.001)


def test_the_callback_s_model_and_params(keras, layers, vectors):
    (x_train, y_train), _ = vectors
    found = []

    class Looking(keras.callbacks.Callback):
        def on_train_begin(self, logs=None):
            found.append((self.model, dict(self.params)))

    model = get_model(keras, layers)
    model.fit(x_train, y_train, batch_size=64, epochs=2, verbose=0, callbacks=[Looking()])
    ((seen, params),) = found
    assert seen is model
    assert (params["epochs"], params["steps"], params["verbose"]) == (2, 7, 0)


def test_predicting_at_each_epoch_s_end(keras, layers, vectors):
    (x_train, y_train), (x_test, _) = vectors
    kept = []

    class Checking(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            kept.append(self.model.predict(x_test[:3], verbose=0))

    get_model(keras, layers, 0.01).fit(
        x_train, y_train, epochs=2, verbose=0, callbacks=[Checking()]
    )
    assert [one.shape for one in kept] == [(3, 1), (3, 1)]
    assert not np.array_equal(*kept)
