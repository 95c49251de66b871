import fcntl
import io
import os
import pty
import re
import struct
import sys
import termios
import threading
import time

import numpy as np
import pyte
import pytest

from elephas_torch.keras import Sequential, layers
from elephas_torch.utils.rdd_utils import to_simple_rdd


class Terminal:
    """A real pseudo-terminal as this process's standard output and error, and what it shows.

    Attributes:
        seen: the lines of the screen each time that something came, without those that are empty.
        raw: all that came.
    """

    def __init__(self, columns, encoding):
        mine, theirs = pty.openpty()
        self._mine, self._theirs = mine, theirs
        self.resize(columns)
        self.screen = pyte.Screen(columns, 50)
        self._stream = pyte.ByteStream(self.screen)
        self.seen, self.raw = [], b""
        self.stream = io.TextIOWrapper(io.FileIO(os.dup(theirs), "w"), encoding, write_through=True)
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def resize(self, columns):
        fcntl.ioctl(self._theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))

    def _read(self):
        while True:
            try:
                found = os.read(self._mine, 65536)
            except OSError:
                return
            if not found:
                return
            self.raw += found
            for piece in re.split(b"(?=\r)", found):  # however much is read at once
                self._stream.feed(piece)
                self.seen.append([line.rstrip() for line in self.screen.display if line.strip()])

    def wait_for(self, lines):
        """Waits until the screen shows these."""
        end = time.monotonic() + 10
        while self.seen[-1:] != [lines] and time.monotonic() < end:
            time.sleep(0.01)
        assert self.seen[-1] == lines

    def closed(self):
        """The lines that stay."""
        self.stream.close()
        os.close(self._theirs)
        self._thread.join(10)
        os.close(self._mine)
        return self.seen[-1] if self.seen else []


@pytest.fixture
def terminal(monkeypatch):
    """terminal(columns, encoding) makes one that `sys.stdout` and `sys.stderr` go to."""
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("COLUMNS", raising=False)

    def made(columns=120, encoding="utf-8"):
        found = Terminal(columns, encoding)
        monkeypatch.setattr(sys, "stdout", found.stream)
        monkeypatch.setattr(sys, "stderr", found.stream)
        return found

    return made


ROWS = 40_000


@pytest.fixture(scope="session")
def rows(spark_context):
    """(features, label) pairs in two partitions: 563 batches of 32 rows each, without
    a tenth of them."""
    generator = np.random.default_rng(0)
    x = generator.random((ROWS, 20), dtype=np.float32)
    return to_simple_rdd(spark_context, x, x[:, :1] > 0.5, 2).persist()


def network(*more):
    first, last = layers.Dense(8, activation="relu", input_dim=20), layers.Dense(1, "sigmoid")
    found = Sequential([first, *more, last], name="small")
    found.compile("sgd", "binary_crossentropy", metrics=["accuracy"])
    return found


@pytest.fixture
def model():
    """A small compiled classifier called "small"."""
    return network()


@pytest.fixture
def slow_model():
    """The same, whose batches take 2 ms."""
    return network(layers.Lambda(lambda x: time.sleep(0.002) or x))
