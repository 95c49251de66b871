"""What these tests share: scripts, and a driver on a Spark that runs lost tasks again."""

import json
import os
import subprocess
import sys
import time
import uuid
from dataclasses import asdict
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[2]
# Spark's workers, and drivers of their own, need what stands beside this file by these names.
sys.path.insert(0, str(HERE))


@pytest.fixture(scope="session")
def long():
    """Whether the long versions are asked for: ELEPHAS_TORCH_LONG=1."""
    return os.environ.get("ELEPHAS_TORCH_LONG", "") not in ("", "0")


class Script:
    """A script of this folder that runs in a process of its own, with a folder for temporary
    files, and a mark by which its children are known."""

    def __init__(self, folder, name, *arguments):
        self.mark, self.temporary = f"elephas-fault-{uuid.uuid4().hex}", folder / "temporary"
        self.temporary.mkdir(parents=True)
        self.errors = (folder / "errors.txt").open("w+b")
        paths = os.pathsep.join(map(str, (ROOT, ROOT / "tests", HERE)))
        environment = {
            **os.environ, "PYTHONPATH": paths, "TMPDIR": str(self.temporary), "FAULTS": self.mark,
            "PYTHONWARNINGS": "ignore",
        }  # fmt: skip
        self.process = subprocess.Popen(
            [sys.executable, str(HERE / name), *map(str, arguments)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.errors,
            text=True, env=environment, cwd=folder,
        )  # fmt: skip

    def ask(self, told):
        """Sends a line, and returns the answer to it."""
        print(json.dumps(told), file=self.process.stdin, flush=True)
        return self.answer()

    def answer(self):
        line = self.process.stdout.readline()
        assert line, self.said()
        return json.loads(line)

    def said(self):
        self.errors.seek(0)
        return self.errors.read().decode(errors="replace")[-5000:]

    def end(self):
        """Lets it end; returns what it leaves: processes and files."""
        self.process.stdin.close()
        code = self.process.wait(60)
        assert code == 0, self.said()
        self.process.stdout.close()
        self.errors.close()
        end = time.monotonic() + 10
        while (found := self.left()) and time.monotonic() < end:
            time.sleep(0.1)
        return found

    def left(self):
        mark, found = f"FAULTS={self.mark}".encode(), []
        for path in Path("/proc").glob("[0-9]*/environ"):
            try:
                if mark in path.read_bytes().split(b"\0"):
                    found.append((path.parent / "cmdline").read_text())
            except OSError:
                continue
        return found + [one.name for one in self.temporary.iterdir() if "elephas" in one.name]


@pytest.fixture
def script_in():
    """script_in(folder, name, *arguments) -> Script; ended after the test, whatever happens"""
    made = []

    def start(*arguments):
        made.append(Script(*arguments))
        return made[-1]

    yield start
    for one in made:
        one.process.kill()
        one.process.wait()


@pytest.fixture
def script(tmp_path, script_in):
    """script(name, *arguments) -> Script"""
    return lambda name, *arguments: script_in(tmp_path, name, *arguments)


@pytest.fixture(scope="module")
def driver(tmp_path_factory):
    """driver(case) -> what came of that fit, by a driver of its own on local[2,4]."""
    made = Script(tmp_path_factory.mktemp("driver"), "faulty_fits.py", "local[2,4]")
    try:
        yield lambda case: made.ask(asdict(case))
        assert made.end() == []
    finally:
        made.process.kill()
