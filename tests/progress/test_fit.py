import os
import re
import signal
import sys
import threading
import warnings
from contextlib import ExitStack

import pytest

from elephas_torch import SparkModel, slots
from elephas_torch.classic import Classic
from elephas_torch.keras.callbacks import LambdaCallback
from elephas_torch.keras.models import clone_model
from elephas_torch.progress.fit import FitProgress

LINE = (
    r"Epoch {}/2 - 1126/1126 - \d+\.\ds - accuracy: 0\.\d{{4}} - loss: 0\.\d{{4}}"
    r" - val_accuracy: 0\.\d{{4}} - val_loss: 0\.\d{{4}}"
)
BAR = (
    r"Epoch [12]/2 (\d+)/\d+ [━╸─]+ · (\d+:\d\d of \d+:\d\d left · |validating · )?"
    r"([\d,]+ samples/s · )?(accuracy: 0\.\d{4} - loss: 0\.\d{4} · )?"
    r"[12]/2 workers( · staleness \d\.\d)?"
)


def fit(model, rows, callbacks=(), **options):
    trainer = SparkModel(model, mode="asynchronous", frequency=100, num_workers=2)
    given = {"epochs": 2, "batch_size": 32, "validation_split": 0.1, **options}
    return trainer.fit(rows, callbacks=list(callbacks), **given)


def test_what_a_person_sees(terminal, slow_model, rows):
    place = terminal(160)
    told = LambdaCallback(on_epoch_end=lambda epoch, logs: print(f"after {epoch}"))
    fit(slow_model, rows, [told], verbose=1)
    stays = place.closed()
    patterns = [r"Watch it at http://127\.0\.0\.1:\d+/#token=\S+"]
    patterns += [LINE.format(1), "after 0", LINE.format(2), "after 1"]
    patterns.append(r"2 epochs in \d+\.\ds - [\d,]+ samples/s, its start included")
    assert len(stays) == 6 and all(map(re.fullmatch, patterns, stays)), stays
    lines = [line for lines in place.seen for line in lines]
    assert "Starting 2 workers" in lines
    bars = [line for line in lines if "━" in line or "─" in line]
    assert bars and all(re.fullmatch(BAR, bar) for bar in bars), set(bars)
    assert len({re.search(BAR, bar)[1] for bar in bars}) > 3  # it moves
    assert any("samples/s" in bar and "loss: " in bar and "staleness" in bar for bar in bars)
    # One line at most lives, under those that stay.
    assert all(
        "Epoch" not in line or "━" not in line for lines in place.seen for line in lines[:-1]
    )


def test_a_pipe_gets_lines_and_no_control_characters(capfd, model, rows):
    fit(model, rows, verbose=1)
    out, err = capfd.readouterr()
    first, second = out.splitlines()
    values = r"\d+\.\ds - accuracy: \S+ - loss: \S+ - val_accuracy: \S+ - val_loss: \S+"
    assert re.fullmatch(f"Epoch 1/2 - {values}", first)
    assert re.fullmatch(f"Epoch 2/2 - {values}", second)
    assert err == "" and all(c.isprintable() or c == "\n" for c in out)


def test_many_workers_are_looked_at_less_often():
    shown, quiet = FitProgress(1, 32, 1), FitProgress(1, 32, 2)
    assert [shown.beat(workers) for workers in (1, 50, 200, 10_000)] == [0.5, 0.5, 2.0, 5.0]
    assert quiet.beat(1) == 5.0


def test_verbose_0_prints_nothing_at_all(terminal, capfd, model, rows):
    place = terminal()
    fit(model, rows, verbose=0, epochs=1)
    assert place.closed() == [] and place.raw == b""
    assert capfd.readouterr() == ("", "")


def test_ctrl_c_leaves_the_terminal_in_order(terminal, model, rows):
    place = terminal()
    streams = place.stream
    later = threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGINT))
    begun = LambdaCallback(on_epoch_begin=lambda epoch, logs: epoch == 1 and later.start())
    with pytest.raises(KeyboardInterrupt):
        fit(model, rows, [begun], verbose=1, epochs=50)
    assert sys.stdout is streams
    print("$ ", end="")
    stays = place.closed()
    assert stays[-1] == "$" and not any("━" in line for line in stays)


def test_warnings_come_above_the_bar(terminal, model, rows):
    place = terminal()
    warned = LambdaCallback(on_epoch_end=lambda epoch, logs: warnings.warn("odd", stacklevel=1))
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.showwarning = lambda message, *_, **__: print(f"warning: {message}")
        fit(model, rows, [warned], verbose=1, epochs=1)
    assert "warning: odd" in place.closed()


def test_a_fit_that_waits_for_slots_says_so(terminal, caplog, model, rows, spark_context):
    place, others = terminal(), ExitStack()
    others.enter_context(slots.taken(Classic(spark_context).name, 3, 4))
    threading.Timer(0.3, others.close).start()
    fit(model, rows, verbose=1, epochs=1)
    place.closed()
    lines = [line for lines in place.seen for line in lines]
    assert "Waiting for 2 of 4 slots: another fit has 3" in lines


def test_of_two_fits_at_once_one_has_the_line(terminal, model, rows):
    place, before = terminal(), sys.stdout
    inner = clone_model(model)
    inner.compile("sgd", "binary_crossentropy")
    nested = LambdaCallback(on_epoch_end=lambda *_: fit(inner, rows, verbose=1, epochs=1))
    fit(model, rows, [nested], verbose=1, epochs=1)
    assert sys.stdout is before
    stays = place.closed()
    said = ["Watch it", "Epoch 1/1", "Watch it", "Epoch 1/1", "1 epoch in", "1 epoch in"]
    assert [line[: len(start)] for line, start in zip(stays, said, strict=True)] == said
