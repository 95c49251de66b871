import os
import pty
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from elephas_torch.keras.progress import Progress, line, resolve_verbose

ROOT = Path(__file__).parent.parent.parent
SCRIPT = """
import numpy as np, time
from elephas_torch.keras import Sequential
from elephas_torch.keras.callbacks import LambdaCallback
from elephas_torch.keras.layers import Dense
model = Sequential([Dense(2, input_dim=3)])
model.compile("sgd", "mse", metrics=["mae"])
slow = LambdaCallback(on_train_batch_end=lambda batch, logs: time.sleep(0.03))
x, y = np.ones((32, 3)), np.ones((32, 2))
model.fit(x, y, epochs=2, batch_size=4, validation_split=0.25, callbacks=[slow], VERBOSE)
"""
EVALUATE = "\nmodel.evaluate(x, y, VERBOSE)\nmodel.predict(x, VERBOSE)\n"


def environment(columns=120):
    return {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": str(columns), "TERM": "xterm"}


def script(verbose):
    return (SCRIPT + EVALUATE).replace("VERBOSE", verbose)


@pytest.fixture(scope="module")
def in_a_pipe():
    """What each way of `verbose` writes into a pipe; one process does them all."""
    ways = ["verbose='auto'", "verbose=1", "verbose=2", "verbose=0"]
    text = "".join(f'print("==")\n{script(way)}' for way in ways)
    done = subprocess.run(
        [sys.executable, "-c", text], capture_output=True, text=True, env=environment()
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return dict(zip(ways, done.stdout.split("==\n")[1:], strict=True))


def in_a_terminal(verbose, columns=120):
    mine, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", script(verbose)],
        stdout=theirs,
        stderr=theirs,
        env=environment(columns),
    )
    os.close(theirs)
    content = b""
    while True:
        try:
            part = os.read(mine, 4096)
        except OSError:
            break
        if not part:
            break
        content += part
    os.close(mine)
    assert process.wait() == 0, content
    return content.decode()


@pytest.mark.parametrize("verbose", ["verbose='auto'", "verbose=1", "verbose=2"])
def test_in_a_pipe_there_is_a_line_an_epoch(in_a_pipe, verbose):
    lines = in_a_pipe[verbose].splitlines()
    values = r"loss: \S+ - mae: \S+"
    pattern = rf"- 6/6 - \d+\.\ds - {values} - val_loss: \S+ - val_mae: \S+$"
    assert len(lines) == 4
    assert re.match("Epoch 1/2 " + pattern, lines[0])
    assert re.match("Epoch 2/2 " + pattern, lines[1])
    assert re.match(rf"1/1 - \d+\.\ds - {values}$", lines[2])
    assert re.match(r"1/1 - \d+\.\ds$", lines[3])
    assert all(text.isprintable() for text in lines)


def test_silence(in_a_pipe):
    assert in_a_pipe["verbose=0"] == ""


def test_in_a_terminal_there_is_a_bar_an_epoch():
    text = in_a_terminal("verbose=1")
    assert text.count("Epoch 1/2") == text.count("Epoch 2/2") == 1
    first, second = text.split("Epoch 2/2")
    for part in (first, second):
        drawn = [piece for piece in re.split("[\r\n]", part) if "━" in piece or "/6 " in piece]
        assert 3 <= len(drawn) <= 10
        assert drawn[0].startswith("0/6 ")
        done = [int(piece.split("/")[0]) for piece in drawn]
        assert done == sorted(done) and done[-1] == 6
        assert re.search(r"6/6 - \S+s - loss: \S+ - mae: \S+ - val_loss: \S+ - val_mae", drawn[-1])
        assert not any("val_loss" in piece for piece in drawn[:-2])


def test_a_bar_fits_a_narrow_terminal():
    text = in_a_terminal("verbose=1", columns=50)
    bars = [piece for piece in re.split("[\r\n]", text) if "━" in piece]
    assert bars and all(len(piece) < 50 for piece in bars)


def test_a_terminal_shows_lines_if_asked():
    text = in_a_terminal("verbose=2")
    assert "━" not in text
    assert len(text.splitlines()) == 4


@pytest.mark.parametrize(("verbose", "result"), [(0, 0), (2, 2), (False, 0), (1, 2), ("auto", 2)])
def test_verbose_without_a_terminal(verbose, result):
    assert resolve_verbose(verbose) == result
    assert resolve_verbose(True) == 2


def test_verbose_in_a_terminal(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    assert [resolve_verbose(v) for v in (0, 1, 2, "auto", True)] == [0, 1, 2, 1, 1]
    monkeypatch.setenv("TERM", "dumb")  # which can't go back in a line
    assert [resolve_verbose(v) for v in (0, 1, 2, "auto", True)] == [0, 2, 2, 2, 2]


@pytest.mark.parametrize("verbose", [3, -1, "1", None, "loud", 1.5, [1]])
def test_other_values_are_named(verbose):
    with pytest.raises(ValueError, match=r"Unknown verbose: .*Known: 0, 1, 2, auto"):
        resolve_verbose(verbose)


def test_lines_show_small_numbers_too():
    logs = {"loss": 0.123456, "rate": 1e-5, "zero": 0.0, "large": 1234.5, "negative": -0.5}
    assert line(logs) == (
        "loss: 0.1235 - rate: 1.0000e-05 - zero: 0.0000 - large: 1234.5000 - negative: -0.5000"
    )
    assert line({"loss": float("nan")}) == "loss: nan"


class Logs:
    def logs(self):
        return {"loss": 1.0}


def test_a_bar_that_is_not_finished_can_be_closed(capsys):
    progress = Progress(2, 100, 1)
    progress.begin(0)
    time.sleep(0.11)
    progress.advance(Logs(), 50)
    progress.close()
    progress.close()
    assert "50/100" in capsys.readouterr().out


def test_nothing_is_shown_before_the_beginning(capsys):
    progress = Progress(1, 10, 1)
    progress.advance(Logs())
    progress.close()
    Progress(1, 10, 0).begin(0)
    Progress(1, 10, 0).end({"loss": 1.0})
    Progress(1, 10, 0).result({"loss": 1.0})
    assert capsys.readouterr().out == ""
