import logging
import os
import sys

import pytest

from elephas_torch.progress.terminal import Terminal
from elephas_torch.progress.view import View

VIEW = View(epochs=2, done=5, total=10, alive=2, workers=2)
BAR = "Epoch 1/2 5/10 ━━━━━━━━━━━━──────────── · 2/2 workers"


def test_one_line_is_painted_over_and_vanishes(terminal):
    place = terminal(100)
    shown = Terminal()
    for done in range(1, 11):
        shown.show(View(epochs=2, done=done, total=10, alive=2, workers=2))
    shown.close()
    assert place.closed() == []
    assert all(len(lines) <= 1 for lines in place.seen)
    assert b"\n" not in place.raw


def test_what_is_printed_comes_above_the_line_which_goes_on(terminal):
    place = terminal(100)
    shown = Terminal()
    shown.show(VIEW)
    print("one")
    print("two", file=sys.stderr)
    place.wait_for(["one", "two", BAR])
    print("thr", end="")
    shown.show(VIEW)  # nobody's line is broken
    print("ee")
    shown.hide()
    print("four")
    shown.close()
    print("five")
    assert place.closed() == ["one", "two", "three", "four", "five"]
    assert not any("thr" in line and "Epoch" in line for lines in place.seen for line in lines)


def test_the_streams_come_back_unless_somebody_has_others(terminal, monkeypatch):
    place = terminal()
    before = sys.stdout, sys.stderr
    shown = Terminal()
    assert sys.stdout is not before[0] and sys.stdout.isatty()
    assert sys.stdout.encoding == "utf-8"
    other = open(os.devnull, "w")  # noqa: SIM115
    sys.stderr = other
    shown.close()
    shown.close()
    assert sys.stdout is before[0] and sys.stderr is other
    other.close()
    place.closed()


@pytest.mark.parametrize("name", [None, "elephas_torch"])
def test_logs_of_handlers_that_were_there_before_come_above_it(terminal, name):
    place = terminal(100)
    handler, logger = logging.StreamHandler(), logging.getLogger(name)
    before = handler.stream
    logger.addHandler(handler)
    try:
        shown = Terminal()
        shown.show(VIEW)
        logging.getLogger("elephas_torch.run").warning("hello")
        place.wait_for(["hello", BAR])
        shown.close()
    finally:
        logger.removeHandler(handler)
    assert handler.stream is before
    assert place.closed() == ["hello"]


@pytest.mark.parametrize("columns", [10, 30, 61])
def test_a_narrow_terminal_cuts_the_line(terminal, columns):
    place = terminal(columns)
    shown = Terminal()
    shown.show(VIEW)
    shown.show(VIEW)
    shown.close()
    place.closed()
    assert max(len(lines) for lines in place.seen) == 1
    widest = max(len(line) for lines in place.seen for line in lines)
    assert widest == min(columns - 1, len(BAR))


def test_another_size_counts_from_the_next_time_on(terminal):
    place = terminal(100)
    shown = Terminal()
    shown.show(VIEW)
    place.resize(20)
    shown.show(VIEW)
    shown.close()
    place.closed()
    assert place.raw.decode().split("\r")[1:3] == [f"{BAR}\033[K", "Epoch 1/2 5/10 ━━━━\033[K"]


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_a_terminal_without_utf_8_gets_ascii(terminal, encoding):
    place = terminal(100, encoding)
    shown = Terminal()
    shown.show(VIEW)
    shown.close()
    place.closed()
    assert place.raw.isascii() and b"============------------ | 2/2" in place.raw


def test_there_are_no_colors(terminal):
    place = terminal()
    shown = Terminal()
    shown.show(VIEW)
    shown.close()
    place.closed()
    assert place.raw.decode() == f"\r{BAR}\033[K\r\033[K"
