"""A server's process as its parent sees it, and those that are kept for the next run."""

from __future__ import annotations

import atexit
import contextlib
import logging
import os
import re
import socket
import subprocess
import sys
import threading
from collections import deque
from pathlib import Path

from elephas_torch.parameter import serving

log = logging.getLogger("elephas_torch.parameter")

_TAIL_LINES = 200
#: Lines of `loglevel.SERVER_FORMAT`, and those of uvicorn.
_LINE = re.compile(r"(DEBUG|INFO|WARNING|ERROR|CRITICAL):? +(?:elephas_torch[.\w]*: )?(.*)")
#: As many processes wait at once: the shards of a run, or the runs of a search.
_KEPT = 4


class Child:
    """A process that serves one run after the other; starts at once.

    Attributes:
        process: the process.
        environment: what it was started with.
    """

    def __init__(self) -> None:
        self.environment = _environment()
        self._tail: deque[bytes] = deque(maxlen=_TAIL_LINES)
        self._control, theirs = socket.socketpair()
        with theirs:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "elephas_torch.parameter", str(os.getpid())],
                bufsize=0,
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                env=self.environment,
                cwd=os.path.sep,
                start_new_session=True,
            )
        self._feeder: threading.Thread | None = None
        self._reader = _thread(self._read)

    @property
    def alive(self) -> bool:
        """Whether the process runs."""
        return self.process.poll() is None

    @property
    def feeding(self) -> bool:
        """Whether what it was told of a run isn't all sent yet."""
        return self._feeder is not None and self._feeder.is_alive()

    def tell(self, listener: socket.socket, message: list[bytes]) -> bool:
        """Tells it of a run, in a thread, as it may still be starting; returns whether it could
        be told."""
        self._tail.clear()
        try:
            socket.send_fds(self._control, [b"s"], [listener.fileno()])
        except OSError:
            return False
        self._feeder = _thread(self._feed, message)
        return True

    def end_run(self) -> bool:
        """Asks it to end its run; returns whether it could be told."""
        if self.feeding or not self.alive:
            return False
        try:
            self._control.sendall(serving.END)
        except OSError:
            return False
        return True

    def serves_again(self) -> bool:
        """Whether it can be told of another run: it reads that when it is done with the last."""
        return self.alive and self.environment == _environment()

    def kill(self) -> None:
        """Ends it; leaves nothing."""
        # It keeps nothing that it would have to put away, and may be in the middle of a start.
        self.process.kill()
        self.process.wait()
        for thread in (self._feeder, self._reader):
            if thread is not None:
                thread.join(2)
        self._control.close()
        assert self.process.stderr is not None
        self.process.stderr.close()

    def said(self) -> str:
        """The end of what it wrote."""
        if not self.alive:
            self._reader.join(1)
        text = b"".join(self._tail).decode(errors="replace").strip()
        return f"It wrote:\n{text}" if text else "It wrote nothing."

    def _feed(self, message: list[bytes]) -> None:
        with contextlib.suppress(OSError, ValueError):  # it has ended; who waits for it sees that
            for part in message:
                self._control.sendall(part)

    def _read(self) -> None:
        assert self.process.stderr is not None
        level: int = logging.INFO
        for line in self.process.stderr:
            self._tail.append(line[:2000])
            text = line[:2000].decode(errors="replace").rstrip()
            if found := _LINE.match(text):
                level, text = getattr(logging, found[1]), found[2]
            log.log(level, "%s", text)  # lines without a level belong to the one before them


class Kept:
    """Processes that have served a run and wait for another: their imports are done."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._children: list[Child] = []

    def take(self, listener: socket.socket, message: list[bytes]) -> Child:
        """A kept process, or a new one, that was told of a run."""
        while (child := self._popped()) is not None:
            if child.serves_again() and child.tell(listener, message):
                return child
            child.kill()
        child = Child()
        child.tell(listener, message)
        return child

    def keep(self, child: Child) -> None:
        """Ends a process's run and keeps it; or ends it, where there are enough already."""
        with self._lock:
            if len(self._children) < _KEPT and child.end_run():
                self._children.append(child)
                return
        child.kill()

    def clear(self) -> None:
        """Ends what is kept."""
        while (child := self._popped()) is not None:
            child.kill()

    def _popped(self) -> Child | None:
        with self._lock:
            return self._children.pop() if self._children else None


kept = Kept()
atexit.register(kept.clear)


def _environment() -> dict[str, str]:
    """The child finds every module where this process finds it, however that was arranged."""
    package = str(Path(__file__).resolve().parents[2])
    paths = [package, *(os.path.abspath(one) for one in sys.path)]
    # pytest changes it with each test, and no server is another for it
    given = {name: value for name, value in os.environ.items() if name != "PYTEST_CURRENT_TEST"}
    return {
        **given,
        "PYTHONPATH": os.pathsep.join(dict.fromkeys(paths)),
        "PYTHONSAFEPATH": "1",
        "OMP_NUM_THREADS": "1",
    }


def _thread(function: object, *arguments: object) -> threading.Thread:
    made = threading.Thread(target=function, args=arguments, daemon=True)  # type: ignore[arg-type]
    made.start()
    return made
