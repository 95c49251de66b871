"""What a worker and a driver see; each test in memory, over HTTP, and by shared memory."""

import math
import socket
import struct
import threading

import pytest
import torch

from elephas_torch import optimizers
from elephas_torch.errors import Fenced, Refused, ServerError, WaitTimeout
from elephas_torch.parameter import Client, Push, Reply
from elephas_torch.parameter.process import listen
from elephas_torch.parameter.state import State

MODES = ["synchronous", "asynchronous", "hogwild"]


def train(client, worker, lengths, *, gradient=None, size=4, attempt=0):
    """A worker's whole life: epochs of so many pushes; returns its last vectors."""
    joined = client.join(worker, attempt, samples=10)
    update, into = (torch_vectors(size) for _ in range(2))
    version, seq = client.pull(into), joined.seq
    for epoch, length in enumerate(lengths):
        for batch in range(length):
            update.parameters.copy_(gradient(worker, seq, into.parameters))
            header = Push(worker, attempt, seq, version, worker + 1, epoch, batch == length - 1)
            version, seq = client.exchange(header, update, into).version, seq + 1
        client.report(worker, attempt, epoch, {"loss": float(epoch)})
    client.leave(worker, attempt)
    return into


def torch_vectors(size):
    from elephas_torch.flat import Vectors

    return Vectors(torch.zeros(size), torch.zeros(0), torch.zeros(0, dtype=torch.int64))


def pull_to_goal(worker, seq, weights):
    return 0.1 * (weights - torch.arange(4.0) - worker)


def pull_to_one_goal(worker, seq, weights):
    return pull_to_goal(0, seq, weights)


@pytest.mark.parametrize("mode", MODES)
def test_workers_train_in_every_mode(served, settings, together, vectors, mode):
    initial = vectors([0.0] * 4)
    client = served(settings(mode, initial, workers=3), initial)
    together(
        *(lambda w=w: train(client(), w, [20, 20], gradient=pull_to_one_goal) for w in range(3))
    )
    status = client().status()
    assert status["counts"]["pushes"] == 120 and status["mode"] == mode
    assert {one["state"] for one in status["workers"].values()} == {"left"}
    into = vectors([0.0] * 4)
    assert client().pull(into) == status["version"] == (40 if mode == "synchronous" else 120)
    assert torch.allclose(into.parameters, torch.arange(4.0), atol=0.5)


@pytest.mark.parametrize(
    "optimizer",
    [lambda: optimizers.SGD(0.1, momentum=0.9), lambda: optimizers.Adam(0.01)],
    ids=["momentum", "adam"],
)
def test_synchronous_workers_equal_one_process(served, settings, together, vectors, optimizer):
    initial = vectors([0.5, -1.0, 2.0, 0.0])
    client = served(settings("synchronous", initial, optimizer(), workers=3), initial)
    ends = together(
        *(lambda w=w: train(client(), w, [5, 7], gradient=pull_to_goal) for w in range(3))
    )
    alone, rule = initial.parameters.clone(), optimizer()
    for seq in range(12):
        parts = [(w + 1) * pull_to_goal(w, seq, alone) for w in range(3)]
        rule.step(alone, sum(parts) / 6)
    for end in ends:
        torch.testing.assert_close(end.parameters, alone, rtol=1e-6, atol=1e-7)
        assert end.parameters.equal(ends[0].parameters)


def test_uneven_workers_finish_together(served, settings, together, vectors):
    initial = vectors([0.0] * 4)
    client = served(settings("synchronous", initial, workers=3), initial)
    together(
        *(lambda w=w: train(client(), w, [1 + w, 4 - w], gradient=pull_to_goal) for w in range(3))
    )
    status = client().status()
    assert status["counts"] == {**status["counts"], "pushes": 15, "rounds": 3 + 4}


def test_all_three_vectors_travel_both_ways(served, settings, vectors):
    initial = vectors([1.0, 2.0, 3.0], [4.0], [5, 6])
    client = served(settings("asynchronous", initial), initial)()
    assert client.join(0, 0, samples=1) == (0, 0, 0, 0, False, None)
    into = vectors([0.0] * 3, [0.0], [0, 0])
    assert client.pull(into) == 0
    assert all(a.equal(b) for a, b in zip(into, initial, strict=True))
    update = vectors([1.0, 1.0, -1.0], [7.0], [9, 1])
    assert client.exchange(Push(0, 0, 0, 0, 1, 0, False), update, into) == Reply(1, False, None)
    expected = vectors([0.0, 1.0, 4.0], [7.0], [9, 6])
    assert all(a.equal(b) for a, b in zip(into, expected, strict=True))


def test_update_and_into_may_be_the_same(served, settings, vectors):
    initial = vectors([1.0, 2.0])
    client = served(settings("asynchronous", initial), initial)()
    client.join(0, 0, samples=1)
    both = vectors([0.5, 0.5])
    client.exchange(Push(0, 0, 0, 0, 1, 0, False), both, both)
    assert both.parameters.tolist() == [0.5, 1.5]


def test_an_unchanged_version_is_not_sent(served, settings, vectors):
    initial = vectors([1.0])
    client = served(settings("asynchronous", initial), initial)()
    into = vectors([77.0])
    assert client.pull(into, 0) == 0 and into.parameters.tolist() == [77.0]
    assert client.pull(into, 3) == 0 and into.parameters.tolist() == [1.0]


@pytest.mark.parametrize("mode", MODES)
def test_refusals_name_the_reason_and_change_nothing(served, settings, vectors, mode):
    initial = vectors([1.0, 2.0])
    client = served(settings(mode, initial), initial)()
    client.join(0, 3, samples=1)
    update, into = vectors([1.0, math.nan]), vectors([5.0, 5.0])
    good = vectors([1.0, 1.0])
    link = getattr(client, "link", None)
    by_itself = link is not None and link.parameters is not None
    for header, sent, error, reason in [
        (Push(0, 3, 0, 0, 1, 0, False), update, Refused, "non-finite.*learning rate"),
        (Push(0, 3, 1, 0, 1, 0, False), good, Refused, "skips ahead"),
        (Push(0, 2, 0, 0, 1, 0, False), good, Fenced, "must stop"),
        (Push(0, 3, 0, 9, 1, 0, False), good, Refused, "version 9"),
        # A worker that steps by itself says nothing to the server that it could refuse.
        *([] if by_itself else [
            (Push(1, 0, 0, 0, 1, 0, False), good, Refused, "hasn't joined"),
            (Push(0, 3, 0, 0, 0, 0, False), good, Refused, "samples of 1"),
        ]),
    ]:  # fmt: skip
        with pytest.raises(error, match=reason) as caught:
            client.exchange(header, sent, into)
        assert caught.value.status == (409 if error is Fenced else 400)
        assert (type(caught.value) is Fenced) == (error is Fenced)
    assert into.parameters.tolist() == [5.0, 5.0]
    assert client.pull(into) == 0 and into.parameters.tolist() == [1.0, 2.0]


def test_vectors_of_another_length_are_refused(served, settings, vectors):
    initial = vectors([1.0, 2.0])
    client = served(settings("asynchronous", initial), initial)()
    client.join(0, 0, samples=1)
    three = vectors([1.0, 1.0, 1.0])
    with pytest.raises((Refused, ValueError), match=r"\(2, 0, 0\)"):
        client.exchange(Push(0, 0, 0, 0, 1, 0, False), three, three.clone())
    with pytest.raises((ServerError, ValueError), match=r"\(2, 0, 0\)"):
        client.pull(three)
    with pytest.raises(ValueError, match="must have the lengths"):
        client.exchange(Push(0, 0, 0, 0, 1, 0, False), three, vectors([1.0]))
    with pytest.raises(TypeError, match=r"into\.parameters"):
        client.pull(vectors([1.0])._replace(parameters=torch.zeros(2).double()))
    assert client.status()["version"] == 0


def test_a_duplicate_is_answered_with_the_fresh_vectors(served, settings, vectors):
    initial = vectors([0.0])
    client = served(settings("asynchronous", initial), initial)()
    client.join(0, 0, samples=1)
    into = vectors([0.0])
    for seq in (0, 0, 1, 0):
        client.exchange(Push(0, 0, seq, 0, 1, 0, False), vectors([2.0]), into)
    assert into.parameters.tolist() == [-3.0] and client.status()["counts"]["duplicates"] == 2


def test_a_newer_attempt_fences_the_one_that_waits(served, settings, vectors):
    initial = vectors([0.0])
    client = served(settings("synchronous", initial, workers=2), initial)
    old, new, other = client(), client(), client()
    old.join(0, 0, samples=1)
    other.join(1, 0, samples=1)
    found = []

    def push_and_wait():
        try:
            old.exchange(Push(0, 0, 0, 0, 1, 0, False), vectors([1.0]), vectors([0.0]))
        except Fenced as error:
            found.append(error)

    thread = threading.Thread(target=push_and_wait)
    thread.start()
    while not new.status()["workers"]["0"]["waiting"]:
        pass
    assert new.join(0, 1, samples=1).seq == 0
    thread.join(10)
    assert len(found) == 1 and found[0].status == 409


def test_too_few_joined_reaches_the_client(served, settings, vectors):
    initial = vectors([0.0])
    client = served(settings("synchronous", initial, workers=2, join_timeout=0.3), initial)()
    client.join(0, 0, samples=1)
    with pytest.raises(WaitTimeout, match="Only 1 of 2 workers joined"):
        client.exchange(Push(0, 0, 0, 0, 1, 0, False), vectors([1.0]), vectors([0.0]))


def test_gated_reports_wait_for_the_driver(served, settings, together, vectors):
    initial = vectors([0.0] * 4)
    client = served(settings("synchronous", initial, workers=2, gated=True), initial)
    versions = []

    def drive():
        driver, seen, reports = client(), 0, {0: 0, 1: 0}
        while min(reports.values()) < 2:
            for event in driver.events(seen, 5.0):
                seen = event["number"]
                if event["kind"] == "report":
                    reports[event["epoch"]] += 1
                    if reports[event["epoch"]] == 2:
                        versions.append(driver.status()["version"])
                        driver.control(learning_rate=0.5, release_epoch=event["epoch"])

    together(
        drive, *(lambda w=w: train(client(), w, [3, 3], gradient=pull_to_goal) for w in range(2))
    )
    assert versions == [3, 6]


def test_beats_reports_and_failures_are_seen_by_the_driver(served, settings, vectors):
    initial = vectors([0.0])
    client = served(settings("asynchronous", initial, workers=2), initial)()
    client.join(3, 1, samples=50, info={"gpu": "none"})
    assert client.beat(3, 1, {"epoch": 2, "batch": 17}) == Reply(0, False, None)
    client.report(3, 1, 0, {"loss": math.nan, "accuracy": 0.5})
    client.fail(3, 1, {"traceback": "ValueError: müsli"})
    worker = client.status()["workers"]["3"]
    assert worker["host"] == socket.gethostname() and worker["gpu"] == "none"
    assert worker["progress"] == {"epoch": 2, "batch": 17} and worker["state"] == "failed"
    events = client.events()
    assert [event["kind"] for event in events] == ["join", "report", "failure"]
    assert math.isnan(events[1]["summary"]["loss"]) and events[1]["summary"]["accuracy"] == 0.5
    assert events[2]["error"] == {"traceback": "ValueError: müsli"}
    assert client.events(3, 0.05) == []
    assert client.health()["state"] == "ready"


def test_an_event_ends_the_poll(served, settings, together, vectors):
    initial = vectors([0.0])
    client = served(settings("asynchronous", initial), initial)
    found, _ = together(lambda: client().events(0, 10.0), lambda: client().join(0, 0, samples=1))
    assert [event["kind"] for event in found] == ["join"]


def test_stop_and_rate_come_with_every_reply(served, settings, vectors):
    initial = vectors([0.0])
    client = served(settings("asynchronous", initial), initial)()
    client.join(0, 0, samples=1)
    client.control(learning_rate=0.125)
    into = vectors([0.0])
    assert client.beat(0, 0).learning_rate == 0.125
    assert client.exchange(Push(0, 0, 0, 0, 1, 0, True), vectors([1.0]), into) == (1, False, 0.125)
    client.control(stop=True)
    assert client.report(0, 0, 0, {}).stop
    assert client.join(0, 1, samples=1) == (1, 1, 0, 1, True, 0.125)
    with pytest.raises(Refused, match="learning_rate"):
        client.control(learning_rate=-2.0)


# Over HTTP alone


def test_a_server_that_is_not_there_is_named_with_both_hosts():
    with listen("127.0.0.1", 0) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(ServerError) as caught:
        Client(f"http://127.0.0.1:{port}", "token").health()
    for part in (f"127.0.0.1:{port}", socket.gethostname(), "spark.driver.host"):
        assert part in str(caught.value)


@pytest.mark.parametrize("answer", [b"SSH-2.0-OpenSSH_9.2\r\n\r\n", b"HTTP/1.1 200 OK\r\n\r\n"])
def test_something_else_that_listens_there_is_an_error(answer):
    with listen("127.0.0.1", 0) as listener:

        def once():
            taken, _ = listener.accept()
            with taken:
                taken.recv(1000)
                taken.sendall(answer)
                taken.recv(1000)

        thread = threading.Thread(target=once, daemon=True)
        thread.start()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        with Client(url, "token") as client, pytest.raises(ServerError, match=r"isn't|needs"):
            client.health()
        thread.join(5)


def test_a_server_that_dies_in_an_answer_is_an_error(vectors):
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer():
            made, _ = listener.accept()
            made.recv(4096)
            made.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 4048\r\n\r\n" + b"x" * 10)
            # Ended hard: what comes next is a reset, not an end.
            made.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            made.close()

        thread = threading.Thread(target=answer)
        thread.start()
        client = Client("http://{}:{}".format(*listener.getsockname()), "token", timeout=5)
        with pytest.raises(ServerError, match=r"cut the connection|went away"):
            client.pull(vectors([0.0] * 1000))
        thread.join(5)


def test_a_server_that_says_nothing_is_a_timeout():
    with listen("127.0.0.1", 0) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        with pytest.raises(WaitTimeout, match=r"0\.2 s for the answer"):
            Client(url, "token", timeout=0.2).health()


@pytest.mark.parametrize("url", ["127.0.0.1:80", "ftp://a:1", "http://a", ""])
def test_a_wrong_url_is_a_value_error(url):
    with pytest.raises(ValueError, match="must look like"):
        Client(url, "token")


def test_a_cut_connection_is_made_anew_and_nothing_counts_twice(local_server, settings, vectors):
    initial = vectors([0.0])
    server = local_server(State(settings("asynchronous", initial), initial))
    with server.client() as client:
        client.join(0, 0, samples=1)
        into = vectors([0.0])
        for seq in range(5):
            client._connection._socket.shutdown(socket.SHUT_RDWR)
            client.exchange(Push(0, 0, seq, seq, 1, 0, False), vectors([1.0]), into)
        assert into.parameters.tolist() == [-5.0]


def test_vectors_that_are_put_there_are_a_new_version(served, settings, vectors):
    initial = vectors([1.0, 2.0], [0.5], [7])
    server = served(settings("synchronous", initial, workers=2), initial)
    client, into = server(), initial.clone()
    client.join(1, 3, samples=5)
    sent = vectors([3.0, 4.0], [0.25], [9])
    reply = client.put(Push(1, 3, 0, 0, 1, 4, True), sent)
    assert (reply.version, reply.stop) == (1, False)
    assert client.pull(into) == 1
    assert [one.tolist() for one in into] == [[3.0, 4.0], [0.25], [9]]
    assert client.status()["epoch"] == 5
    client.join(1, 4, samples=5)
    for bad in (vectors([float("nan"), 0.0], [0.0], [0]), sent):
        with pytest.raises(Refused):
            client.put(Push(1, 3, 0, 0, 1, 4, True), bad)
    assert client.pull(into, 1) == 1
