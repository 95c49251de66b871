"""The server in a process of its own: it starts, it is found, and it always goes away."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import textwrap
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from elephas_torch import optimizers
from elephas_torch.errors import ServerError, WaitTimeout
from elephas_torch.flat import Vectors
from elephas_torch.parameter import Client, Push, ServerProcess, Settings, child
from elephas_torch.parameter.child import kept
from elephas_torch.parameter.process import listen

ROOT = Path(__file__).resolve().parents[2]


def is_gone(pid, seconds=5.0):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return True
        except OSError:
            return True
        time.sleep(0.02)
    return False


def is_free(port, seconds=5.0):
    """Whether nobody listens there; the kernel closes a killed process's sockets a bit later."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            with listen("127.0.0.1", port):
                return True
        time.sleep(0.02)
    return False


def test_a_server_trains_and_leaves_nothing_behind(settings, vectors):
    initial = vectors([1.0, 2.0], [3.0], [4])
    with ServerProcess(settings("synchronous", initial, optimizers.SGD(0.5)), initial) as server:
        pid, port = server.pid, server.address[1]
        assert server.alive and server.url == f"http://127.0.0.1:{port}"
        with server.client() as client:
            assert client.health()["state"] == "ready"
            into = vectors([0.0, 0.0], [0.0], [0])
            client.join(0, 0, samples=2)
            assert client.pull(into) == 0
            assert all(a.equal(b) for a, b in zip(into, initial, strict=True))
            reply = client.exchange(
                Push(0, 0, 0, 0, 2, 0, True), vectors([2.0, 2.0], [5.0], [9]), into
            )
            assert reply.version == 1 and into.parameters.tolist() == [0.0, 1.0]
            assert into.state.tolist() == [5.0] and into.counters.tolist() == [9]
            status = client.status()
            assert status["pid"] == pid and status["cpu_seconds"] > 0
        server.check()
        # What others could see of it holds no token.
        assert server.token not in Path(f"/proc/{pid}/cmdline").read_text()
        assert server.token not in Path(f"/proc/{pid}/environ").read_text(errors="replace")
    assert is_gone(pid) and is_free(port) and not server.alive
    server.stop()


def test_it_stops_while_it_starts_and_after_an_exception(settings, vectors):
    initial = vectors([1.0])
    server = ServerProcess(settings("hogwild", initial), initial).start()
    server.stop()
    server.stop()
    assert is_gone(server.pid) and is_free(server.address[1])
    with pytest.raises(KeyboardInterrupt), ServerProcess(server.settings, initial) as server:
        raise KeyboardInterrupt
    assert is_gone(server.pid) and is_free(server.address[1])


def test_it_stops_while_large_vectors_are_on_their_way():
    size = 20_000_000
    initial = Vectors(torch.zeros(size), torch.zeros(0), torch.zeros(0, dtype=torch.int64))
    rule = optimizers.serialize(optimizers.SGD())
    server = ServerProcess(Settings("asynchronous", initial.sizes, rule), initial).start()
    server.stop()
    assert is_gone(server.pid) and is_free(server.address[1])
    assert not server._child.feeding


def test_a_client_may_come_before_the_server_is_ready(settings, vectors):
    initial = vectors([1.0])
    server = ServerProcess(settings("asynchronous", initial), initial)
    try:
        before = time.monotonic()
        server.start()
        assert time.monotonic() - before < 0.5
        with Client(server.url, server.token, timeout=60) as client:
            assert client.join(0, 0, samples=1).seq == 0
    finally:
        server.stop()


def test_a_taken_port_is_named(settings, vectors):
    initial = vectors([1.0])
    with listen("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        server = ServerProcess(settings("asynchronous", initial), initial, port=port)
        with pytest.raises(ServerError, match=rf"port {port} of 127.0.0.1 is taken.*port=0"):
            server.start()
    assert server.pid is None and is_free(port)


def test_a_foreign_address_and_a_wrong_port_are_named(settings, vectors):
    initial = vectors([1.0])
    given = settings("asynchronous", initial)
    with pytest.raises(ServerError, match=r"'192\.0\.2\.1' isn't an address of this machine"):
        ServerProcess(given, initial, host="192.0.2.1").start()
    with pytest.raises(ValueError, match="port=70000"):
        ServerProcess(given, initial, port=70000)
    with pytest.raises(ValueError, match=r"`initial` must have the lengths.*\(1, 0, 0\)"):
        ServerProcess(given, vectors([1.0, 2.0]))


def test_an_explicit_port_and_an_advertised_name_are_used(settings, vectors):
    with listen("127.0.0.1", 0) as found:
        port = found.getsockname()[1]
    initial = vectors([1.0])
    given = settings("asynchronous", initial)
    with ServerProcess(given, initial, host="0.0.0.0", port=port, advertise="driver") as server:
        assert server.url == f"http://driver:{port}"
        with server.client() as client:
            assert client.health()["state"] == "ready"


def test_a_child_that_crashes_shows_what_it_wrote(vectors):
    initial = vectors([1.0])
    rule = {"module": "no.such.module", "class_name": "Tiger", "config": {}}
    server = ServerProcess(Settings("asynchronous", initial.sizes, rule), initial)
    with pytest.raises(ServerError, match="Unknown optimizer: 'Tiger'"), server:
        pass
    assert is_gone(server.pid) and is_free(server.address[1])
    with pytest.raises(ServerError, match="ended with exit code 1"):
        server.check()


def test_a_child_that_is_killed_is_noticed(settings, vectors):
    initial = vectors([1.0])
    with ServerProcess(settings("asynchronous", initial), initial) as server:
        client = server.client()
        client.join(0, 0, samples=1)
        os.kill(server.pid, signal.SIGKILL)
        with pytest.raises(ServerError, match=f"127.0.0.1:{server.address[1]}"):
            client.exchange(Push(0, 0, 0, 0, 1, 0, False), vectors([1.0]), vectors([1.0]))
        with pytest.raises(ServerError, match="exit code -9"):
            server.check(grace=5.0)


def test_a_child_that_hangs_at_its_start_is_a_timeout(settings, vectors):
    initial = vectors([1.0])
    server = ServerProcess(settings("asynchronous", initial), initial, start_timeout=0.05)
    with pytest.raises(WaitTimeout, match=r"did not start within 0\.05 s"), server:
        pass
    assert is_gone(server.pid)


SCRIPT = """
    import sys, torch
    sys.path.insert(0, ROOT)
    from elephas_torch import optimizers
    from elephas_torch.flat import Vectors
    from elephas_torch.parameter import ServerProcess, Settings
    initial = Vectors(torch.zeros(3), torch.zeros(0), torch.zeros(0, dtype=torch.int64))
    rule = optimizers.serialize(optimizers.SGD())
    server = ServerProcess(Settings("asynchronous", initial.sizes, rule), initial).start()
    server.wait_ready()
    print(server.pid, server.address[1], flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def script(tmp_path):
    """script(text) starts it as a user would; the package is found by its sys.path alone."""
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "json.py").write_text("raise SystemExit('shadowed')")
    with contextlib.ExitStack() as stack:

        def start(text):
            path = tmp_path / "script.py"
            path.write_text(textwrap.dedent(text.replace("ROOT", repr(str(ROOT)))))
            made = subprocess.Popen(
                [sys.executable, str(path)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                cwd=tmp_path / "folder",
                env=environment,
            )
            stack.enter_context(made)
            stack.callback(made.kill)
            return made, [int(one) for one in made.stdout.readline().split()]

        yield start


@pytest.mark.parametrize("end", ["is killed", "returns"])
def test_the_server_ends_with_its_parent(script, end):
    parent, (pid, port) = script(SCRIPT)
    assert not is_gone(pid, 0.05)
    parent.kill() if end == "is killed" else parent.stdin.close()
    parent.wait(10)
    assert is_gone(pid) and is_free(port)


@pytest.mark.parametrize("when", ["in a run", "between runs"])
def test_a_fork_of_the_parent_does_not_keep_the_server(script, when):
    forking = """
    import os, time
    child = os.fork()
    if child == 0:
        time.sleep(60)
        os._exit(0)
    print(child, end=" ")
    """
    text = SCRIPT
    if when == "between runs":
        text = text.replace("initial).start()", "initial, keep=True).start()")
        forking = f"\n    server.stop(){forking}"
    parent, (child, pid, port) = script(text.replace("    print(", "    " + forking[5:] + "print("))
    try:
        parent.kill()
        parent.wait(10)
        assert is_gone(pid) and is_free(port)
    finally:
        os.kill(child, signal.SIGKILL)


def test_importing_the_package_imports_no_web_framework():
    code = (
        "import sys, elephas_torch.parameter as p; p.Client; p.InMemoryClient; p.ServerProcess;"
        "bad = {'fastapi', 'uvicorn', 'starlette', 'pydantic', 'pyspark'} & set(sys.modules);"
        "sys.exit(str(bad) if bad else 0)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


@pytest.fixture
def keeping(settings, vectors):
    """keeping(...) -> a started server whose process is kept; none is left at the end"""
    initial = vectors([0.0, 0.0])

    def start(optimizer=None, mode="asynchronous"):
        given = settings(mode, initial)
        given = given if optimizer is None else replace(given, optimizer=optimizer)
        return ServerProcess(given, initial, keep=True).start().wait_ready()

    kept.clear()
    yield start
    kept.clear()


def push_once(server, vectors, seq=0):
    with server.client(timeout=20) as client:
        client.join(0, 0, samples=1)
        into = vectors([0.0, 0.0])
        client.share(0, 0, into.sizes).exchange(
            Push(0, 0, seq, seq, 1, 0, False), vectors([1.0, 1.0]), into
        )
        return into.parameters.tolist()


def open_files(pid):
    """How many files a process has open once it has put its run away."""
    end, found = time.monotonic() + 5, []
    while time.monotonic() < end:
        links = [os.path.realpath(f"/proc/{pid}/fd/{one}") for one in os.listdir(f"/proc/{pid}/fd")]
        found.append(len(links))
        if not any("memfd" in link or "eventpoll" in link for link in links):
            return len(links)
        time.sleep(0.02)
    return found[-1]


def test_a_kept_process_serves_run_after_run(keeping, vectors, monkeypatch):
    seen = []
    for number in range(5):
        monkeypatch.setenv("PYTEST_CURRENT_TEST", f"test {number}")  # as from test to test
        before = time.monotonic()
        server = keeping(mode=("asynchronous", "hogwild")[number % 2])
        seconds = time.monotonic() - before
        assert push_once(server, vectors) == [-1.0, -1.0]
        server.stop()
        server.stop()
        assert not server.alive and is_free(server.address[1])
        with pytest.raises(ServerError, match="was stopped"):
            server.check()
        seen.append((server.pid, server.token, open_files(server.pid)))
    assert len({pid for pid, _, _ in seen}) == 1 and len({token for _, token, _ in seen}) == 5
    assert seconds < 1.0
    assert seen[-1][2] <= seen[1][2] + 1  # neither sockets nor shared memory pile up
    kept.clear()
    assert is_gone(server.pid)


def test_a_few_processes_are_kept_as_long_as_they_live(keeping, vectors, monkeypatch):
    monkeypatch.setattr(child, "_KEPT", 1)
    first, second = keeping(), keeping()
    assert first.pid != second.pid
    first.stop()
    second.stop()
    assert is_gone(second.pid) and not is_gone(first.pid, 0.05)
    third = keeping()
    assert third.pid == first.pid and push_once(third, vectors) == [-1.0, -1.0]
    os.kill(third.pid, signal.SIGKILL)
    third.stop()
    third._child.process.wait(10)
    fourth = keeping()
    assert fourth.pid != third.pid
    fourth.stop()
    os.kill(fourth.pid, signal.SIGKILL)  # while it is kept
    fourth._child.process.wait(10)
    fifth = keeping()
    assert push_once(fifth, vectors) == [-1.0, -1.0]
    fifth.stop()


def test_a_process_is_not_kept_beyond_what_it_was_started_for(keeping, monkeypatch):
    own = {"module": "torch.optim.sgd", "class_name": "SGD", "config": {"learning_rate": 1.0}}
    server = keeping(own)
    server.stop()
    assert is_gone(server.pid)
    first = keeping()
    first.stop()
    monkeypatch.setenv("ELEPHAS_TEST", "changed")
    second = keeping()
    assert second.pid != first.pid and is_gone(first.pid)
    second.stop()


def test_a_port_of_one_s_own_is_free_at_once(settings, vectors):
    initial = vectors([0.0, 0.0])
    with listen("127.0.0.1", 0) as found:
        port = found.getsockname()[1]
    for _ in range(2):
        server = ServerProcess(settings("hogwild", initial), initial, port=port, keep=True)
        server.start().wait_ready()
        server.stop()
        assert is_gone(server.pid)


def test_a_kept_process_ends_with_its_parent(script):
    text = SCRIPT.replace("initial).start()", "initial, keep=True).start()").replace(
        "    print(", "    server.stop()\n    print("
    )
    parent, (pid, port) = script(text)
    assert not is_gone(pid, 0.05) and is_free(port)
    parent.kill()
    parent.wait(10)
    assert is_gone(pid)
