"""The page's routes over a real socket: who gets in, and what they may."""

import http.client
import json
import logging
import socket
import ssl
import threading
import time

import pytest

from elephas_torch.errors import Refused
from elephas_torch.parameter import ServerProcess, watching
from elephas_torch.parameter.state import State

PAGE = "the-token-of-a-page"


@pytest.fixture
def server(local_server, vectors, settings):
    initial = vectors([1.0, 2.0])
    return local_server(
        State(settings("asynchronous", initial, workers=2), initial), None, None, PAGE
    )


def asked(server, method, path, token=None, body=None, **headers):
    made = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    if token is not None:
        headers["Authorization"] = f"Bearer {token}"
    made.request(method, path, body, headers)
    answer = made.getresponse()
    found = answer.status, dict(answer.getheaders()), answer.read()
    made.close()
    return found


class Watcher:
    """Reads /watch as a browser does."""

    def __init__(self, server, token=PAGE):
        self.connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
        self.connection.request("GET", "/watch", headers={"Authorization": f"Bearer {token}"})
        self.answer = self.connection.getresponse()
        self.status = self.answer.status

    def news(self):
        line = self.answer.readline()
        assert self.answer.readline() == b"\n"
        assert line.startswith(b"data: ")
        return json.loads(line[6:])

    def close(self):
        self.connection.close()
        self.answer.close()


def test_the_page_needs_no_token_and_has_no_data(server):
    server.state.story.tell({"title": "secretive"}, "running", [])
    status, headers, body = asked(server, "GET", "/")
    assert status == 200 and b"secretive" not in body and PAGE.encode() not in body
    assert headers["content-type"] == "text/html; charset=utf-8"
    assert headers["content-security-policy"].startswith("default-src 'none'")
    assert headers["referrer-policy"] == "no-referrer"


@pytest.mark.parametrize("token", [None, "", "wrong", PAGE[:-1], PAGE + "x"])
def test_without_the_token_nothing_is_told_and_nothing_stops(server, token):
    for method, path, body in (("GET", "/watch", None), ("POST", "/stop", '{"now": true}')):
        status, _, said = asked(server, method, path, token, body)
        assert status == 401 and b"by the link of this run" in said
    # Not in the address either: that is what proxies and histories keep.
    assert asked(server, "GET", f"/watch?token={PAGE}")[0] == 401
    assert not server.state.orders.stop and server.state.events.number == 0


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/status"), ("GET", "/metrics"), ("GET", "/parameters"), ("GET", "/story"),
     ("POST", "/control"), ("GET", "/events"), ("GET", "/checkpoint"), ("GET", "/openapi.json"),
     ("POST", "/workers/0"), ("POST", "/story"), ("POST", "/update")],
)  # fmt: skip
def test_the_page_s_token_opens_nothing_else(server, method, path):
    assert asked(server, method, path, PAGE, "{}" if method == "POST" else None)[0] == 401


def test_a_watcher_hears_what_happens_until_the_end(server):
    watcher = Watcher(server)
    assert watcher.news()["state"] == "starting"
    with server.client() as client:
        client.join(0, 0, samples=5)
        assert client.tell({"title": "t"}, "running") == 1
        client.tell(epochs=[{"epoch": 0, "time": 1.0, "logs": {"loss": 0.5}}])
        seen = {}
        while not seen.keys() >= {"about", "epochs", "log"}:
            seen |= watcher.news()
        assert seen["about"] == {"title": "t"} and seen["epochs"]["rows"][0]["logs"]["loss"] == 0.5
        assert seen["log"][0]["kind"] == "join" and seen["workers"][0]["worker"] == 0
        began = time.monotonic()
        client.tell(state="finished")
        assert time.monotonic() - began < watching.FAREWELL  # it heard it, and is gone
        while seen["state"] != "finished":
            seen |= watcher.news()
        assert watcher.answer.readline() == b""
        assert client.tell() == 0
    watcher.close()


def test_the_end_waits_for_nobody_who_doesn_t_read(server, monkeypatch):
    monkeypatch.setattr(watching, "FAREWELL", 0.2)
    server.state.story.tell({"summary": "x" * 100_000, "more": ["y" * 99_000] * 300}, None, [])
    watcher = Watcher(server)
    with server.client() as client:
        assert client.tell() == 1
        began = time.monotonic()
        client.tell(state="finished")
        assert 0.2 <= time.monotonic() - began < 2
        # It waits for its reader alone; everybody else is answered meanwhile.
        assert client.health()["state"] == "ready"
    watcher.close()


def test_strangers_cost_no_page_each():
    assert watching._page() is watching._page()


def test_watchers_are_few_and_make_room_when_they_go(server, monkeypatch):
    monkeypatch.setattr(watching, "MOST", 2)
    watchers = [Watcher(server), Watcher(server)]
    status, _, said = asked(server, "GET", "/watch", PAGE)
    assert status == 429 and b"2 pages look on" in said
    watchers[0].close()
    end = time.monotonic() + 10
    while server.application.watching.watchers == 2 and time.monotonic() < end:
        time.sleep(0.02)
    late = Watcher(server)
    assert late.status == 200
    for one in (late, watchers[1]):
        one.close()


def test_stop_at_once_and_with_the_epoch(server):
    assert asked(server, "POST", "/stop", PAGE, '{"now": false}')[0] == 200
    assert not server.state.orders.stop and server.state.story.state == "stopping"
    with server.client() as client:
        assert [(one["kind"], one["now"]) for one in client.events()] == [("stopping", False)]
        client.stop(now=True)
        assert client.status()["stop"] and client.events()[-1]["now"]


@pytest.mark.parametrize(
    "body", ["", "{}", "[]", '{"now": 1}', '{"now": true, "x": 1}', "nul", "[" * 900, "x" * 5000]
)
def test_other_stops_are_refused(server, body):
    assert asked(server, "POST", "/stop", PAGE, body)[0] in (400, 413)
    assert not server.state.orders.stop and server.state.events.number == 0


@pytest.mark.parametrize(("stops", "now"), [("none", False), ("none", True), ("after", True)])
def test_runs_that_cannot_be_stopped_say_so(server, stops, now):
    server.state.story.tell({"stops": stops}, None, [])
    with server.client() as client, pytest.raises(Refused, match="exchange among themselves"):
        client.stop(now)
    assert not server.state.orders.stop


def test_other_methods_and_lying_lengths_are_refused(server):
    assert asked(server, "POST", "/", PAGE, "{}")[0] in (401, 405)
    assert asked(server, "HEAD", "/watch", PAGE)[0] == 401
    with socket.create_connection(("127.0.0.1", server.port), 10) as made:
        made.sendall(b"POST /stop HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n")
        assert made.recv(100).startswith(b"HTTP/1.1 411")


def test_the_token_is_in_no_log(server, caplog):
    with caplog.at_level(logging.DEBUG):
        asked(server, "GET", "/watch", PAGE + "x")
        watcher = Watcher(server)
        watcher.news()
        watcher.close()
        asked(server, "POST", "/stop", PAGE, '{"now": true}')
    assert PAGE not in caplog.text


def test_a_process_has_a_link_of_its_own_with_tls_as_well(vectors, settings):
    initial = vectors([1.0])
    with ServerProcess(settings("asynchronous", initial), initial, ssl=True) as server:
        url, _, token = server.link.partition("#token=")
        assert url == f"{server.url}/" and token == server.page_token != server.token
        assert token not in repr(server) and len(token) >= 40
        context = ssl.create_default_context(cadata=server.certificate)
        context.check_hostname = False
        made = http.client.HTTPSConnection(*server.address, timeout=10, context=context)
        made.request("GET", "/watch", headers={"Authorization": f"Bearer {token}"})
        answer = made.getresponse()
        assert answer.status == 200 and answer.readline().startswith(b"data: ")
        with server.client() as client:
            checkpoint = client.checkpoint(fresh=True)
        server.restart(checkpoint).wait_ready()
        made = http.client.HTTPSConnection(*server.address, timeout=10, context=context)
        made.request("GET", "/watch", headers={"Authorization": f"Bearer {token}"})
        assert made.getresponse().status == 200  # the same link goes on


def test_many_come_and_go_while_a_run_ends(server):
    ended = threading.Event()

    def come_and_go():
        while not ended.is_set():
            watcher = Watcher(server)
            if watcher.status == 200:
                watcher.answer.readline()
            watcher.close()

    threads = [threading.Thread(target=come_and_go, daemon=True) for _ in range(4)]
    for thread in threads:
        thread.start()
    with server.client() as client:
        for number in range(50):
            client.tell(epochs=[{"epoch": number, "time": 1.0, "logs": {}}])
        client.tell(state="stopped")
    ended.set()
    for thread in threads:
        thread.join(10)
    assert not any(thread.is_alive() for thread in threads)
    assert len(server.state.story.epochs.rows) == 50
