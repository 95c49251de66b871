"""What a task sees, and how it fails to reach a server."""

import http.server
import os
import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch

from elephas_torch import optimizers
from elephas_torch._version import __version__
from elephas_torch.cli.doctor import probe
from elephas_torch.flat import Vectors
from elephas_torch.parameter import ServerProcess, Settings


def asked(address, token="", certificate=None, size=1000):
    return {
        "address": address, "token": token, "certificate": certificate, "sizes": (size, 0, 0),
        "version": __version__, "connect_seconds": 0.5, "hold": 0.0,
    }  # fmt: skip


@pytest.mark.parametrize("ssl", [False, True])
def test_a_server_is_reached(ssl):
    initial = Vectors(torch.zeros(1000), torch.zeros(0), torch.zeros(0, dtype=torch.int64))
    rule = optimizers.serialize(optimizers.SGD(0.1))
    with ServerProcess(Settings("asynchronous", initial.sizes, rule), initial, ssl=ssl) as server:
        known = asked(server.address, server.token, server.certificate)
        found = probe.look(known, 0)
        assert found["missing"] == {}
        assert found["server"]["trouble"] is None, found["server"]
        assert 0 < found["server"]["latency"] < 5
        assert found["server"]["rate"] > 0
        assert probe.server(known, 0, False)["rate"] is None


@contextmanager
def refusing():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        yield one.getsockname()  # bound, and doesn't listen


@contextmanager
def silent():
    """Takes no connection: its queue is full, so that the kernel drops what comes."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        one.listen(0)
        waiting = []
        for _ in range(4):
            caller = socket.socket()
            caller.setblocking(False)
            caller.connect_ex(one.getsockname())
            waiting.append(caller)
        try:
            yield one.getsockname()
        finally:
            for caller in waiting:
                caller.close()


@contextmanager
def somebody_else():
    class Answer(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"It works!")

        def log_message(self, *_):
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Answer) as made:
        threading.Thread(target=made.serve_forever, daemon=True).start()
        yield made.server_address
        made.shutdown()


@contextmanager
def unknown_name():
    yield "no.such.host.invalid", 80


@pytest.mark.parametrize(
    ("place", "trouble"),
    [
        (refusing, "refused"),
        (silent, "silence"),
        (somebody_else, "stranger"),
        (unknown_name, "name"),
    ],
)
def test_why_a_server_is_not_reached(place, trouble):
    started = time.monotonic()
    with place() as address:
        found = probe.server(asked(address), 0, True)
    assert found["trouble"] == trouble, found
    assert found["latency"] is None and found["error"]
    assert time.monotonic() - started < 20


def test_without_a_server_none_is_asked_for():
    assert probe.server(asked(None), 0, True) is None


def test_it_needs_nothing_but_python(tmp_path):
    """Executors may have neither this package nor any other."""
    source = Path(probe.__file__).read_text()
    code = "import json, sys\nprint(json.dumps([software(), machine(), task(), temporary()]))"
    (tmp_path / "alone.py").write_text(f"{source}\n{code}\n")
    done = subprocess.run(
        [sys.executable, "-I", "-S", tmp_path / "alone.py"], capture_output=True, text=True,
        check=True,
    )  # fmt: skip
    assert '"missing": {"elephas_torch": "ModuleNotFoundError' in done.stdout
    assert '"package": null' in done.stdout


def test_code_tells_versions_apart(tmp_path):
    (tmp_path / "one.py").write_text("x = 1")
    (tmp_path / "notes.txt").write_text("x")
    before = probe._code(tmp_path)
    (tmp_path / "notes.txt").write_text("y")
    assert probe._code(tmp_path) == before
    (tmp_path / "one.py").write_text("x = 2")
    assert probe._code(tmp_path) != before


def test_gpus_with_their_addresses(monkeypatch, tmp_path):
    """By a program that plays nvidia-smi."""
    tool = tmp_path / "nvidia-smi"
    lines = "0, GPU-ab12, NVIDIA H100 80GB HBM3\\n1, GPU-cd34, NVIDIA H100 80GB HBM3\\n"
    tool.write_text(f"#!/bin/sh\n[ $1 = --query-gpu=index,uuid,name ] && printf '{lines}'\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    found = probe.machine()
    assert found["gpus"] == ["NVIDIA H100 80GB HBM3"] * 2
    assert [one["uuid"] for one in found["gpu_addresses"]] == ["GPU-ab12", "GPU-cd34"]
    assert [one["index"] for one in found["gpu_addresses"]] == ["0", "1"]
    tool.write_text("#!/bin/sh\nexit 9\n")
    assert probe.machine()["gpu_addresses"] == []
