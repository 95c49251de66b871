"""A network between workers and their parameter server in which things go wrong, as a plan says.

`Proxy` stands between: it knows where a request and its answer begin and end, and who sent it.
`Wire` stands there too, and understands nothing, as TLS wants it.
"""

import contextlib
import json
import os
import random
import re
import select
import signal
import socket
import struct
import threading
import time
from collections import Counter
from typing import NamedTuple

_HEAD = struct.Struct("<4sHH3q")  # magic, protocol, flags, worker, attempt, seq
_KINDS = {
    "POST /update": "push", "GET /parameters": "pull", "POST /events": "report",
    "GET /health": "health",
}  # fmt: skip
_TCP_REPAIR = 19
_WORKER = re.compile(r"(\w+) /workers/(\d+)(/\w+)?")
_OF_WORKERS = {("POST", None): "join", ("DELETE", None): "leave", ("POST", "/beat"): "beat"}


class Request(NamedTuple):
    """A request: what it is, and whose; `seq` of a push, else -1."""

    kind: str
    worker: int
    seq: int
    head: bytes
    body: bytes

    @property
    def whole(self):
        return self.head + self.body


class Cut(Exception):
    """The connection is to end here."""


# What may happen to a request. Each is told of a `Passage`.


def twice(passage):
    """The request comes twice at once; one answer arrives."""
    with passage.proxy.far() as other:
        other.sendall(passage.request.whole)
        answer = passage.ask()
        passage.wait(other)
        passage.give(answer)


def again(passage):
    """The request comes once more, a while after it was answered. (A joining doesn't: one that
    comes when its worker has left enters it anew, until its lease is over.)"""
    passage.give(passage.ask())
    if passage.request.kind != "join":
        passage.proxy.later(0.05, passage.request.whole)


def delayed(passage):
    time.sleep(0.03)
    answer = passage.ask()
    time.sleep(0.03)
    passage.give(answer)


def cut_before(passage):
    raise Cut


def cut_inside(passage):
    """In the middle of the body, or of the head where there is none."""
    whole = passage.request.whole
    passage.link.sendall(whole[: max(len(whole) - 1 - len(passage.request.body) // 2, 1)])
    raise Cut


def cut_after(passage):
    """The whole request comes, and the connection is gone."""
    passage.link.sendall(passage.request.whole)
    raise Cut


def cut_answer(passage):
    """The request is answered; nobody gets that."""
    passage.ask()
    raise Cut


def cut_in_answer(passage):
    answer = passage.ask()
    passage.give(answer[: len(answer) * 2 // 3])
    raise Cut


def overtaken(passage):
    """The push waits until one of another worker has gone through, or for half a second."""
    passage.proxy.wait_for_others(passage.request.worker, 0.5)
    passage.give(passage.ask())


HARMLESS = (twice, again, delayed, overtaken)
CUTS = (cut_before, cut_inside, cut_after, cut_answer, cut_in_answer)


def vanished(passage):
    """The request is answered, and the connection is gone without a word, as of a machine that
    has lost its power. For this the system wants a right (CAP_NET_ADMIN)."""
    passage.ask()
    time.sleep(0.1)  # what it sent is acknowledged, or it would be sent again, and nobody be there
    passage.near.setsockopt(socket.IPPROTO_TCP, _TCP_REPAIR, 1)
    passage.near.close()
    raise Cut


def stalled(passage):
    """Half of the body comes, and nothing more until the server has lost its patience."""
    whole = passage.request.whole
    passage.link.sendall(whole[: len(whole) - len(passage.request.body) // 2])
    passage.give(passage.wait(passage.link))
    raise Cut


# What kills the worker; for where its process is one of its own.


def kill_in_push(passage):
    """Half of the push has come, and the worker is gone."""
    with contextlib.suppress(Cut):
        cut_inside(passage)
    passage.kill_worker()
    raise Cut


def kill_before_answer(passage):
    """The push is applied, or waits for its round, and who sent it is gone."""
    passage.link.sendall(passage.request.whole)
    passage.proxy.pause(passage.link, 0.05)
    passage.kill_worker()
    raise Cut


def kill_at_answer(passage):
    """The push is answered, and who sent it is gone before it hears that."""
    passage.ask()
    passage.kill_worker()
    raise Cut


def kill_in_batch(passage):
    """The worker has its answer, and goes on to the next batch; its next push never comes."""
    passage.give(passage.ask())
    time.sleep(0.002)
    passage.kill_worker()
    raise Cut


def kill_and_refuse(passage):
    """The worker is gone, and so is the way to the server: who comes is turned away for 2 s."""
    passage.kill_worker()
    passage.proxy.refuse(2.0)
    raise Cut


def server_killed_in_push(passage):
    passage.link.sendall(passage.request.whole[:-20])
    passage.proxy.kill_server()
    raise Cut


def server_killed_before_answer(passage):
    """The push may have been applied; nobody has been told so."""
    passage.link.sendall(passage.request.whole)
    passage.proxy.pause(passage.link, 0.05)
    passage.proxy.kill_server()
    raise Cut


def partition(seconds, forgotten=False):
    """From this request on nothing comes through for some seconds.

    Args:
        forgotten: connections are cut when it is over; else they go on where they were.
    """

    def parted(passage):
        passage.proxy.part(seconds, forgotten)
        passage.give(passage.ask())

    parted.__name__ = f"partition of {seconds:g} s"
    return parted


# Plans: what happens to which request.


class Nothing:
    def __call__(self, request):
        return None


class Once:
    """Faults at chosen pushes, once each: {(worker, seq): fault}."""

    def __init__(self, faults):
        self._faults, self._lock = dict(faults), threading.Lock()

    def __call__(self, request):
        with self._lock:
            return self._faults.pop((request.worker, request.seq), None)


class Chance:
    """Faults by chance: the n-th request of a kind by a worker has the same fate in each run.

    Args:
        seed: of the chance.
        share: of the requests to which something happens.
        faults: to choose from.
    """

    def __init__(self, seed, share, faults):
        self._seed, self._share, self._faults = seed, share, faults
        self._seen, self._lock = Counter(), threading.Lock()

    def __call__(self, request):
        key = (request.kind, request.worker)
        with self._lock:
            self._seen[key] += 1
            number = self._seen[key]
        chance = random.Random(f"{self._seed} {key} {number}")
        return chance.choice(self._faults) if chance.random() < self._share else None


# What stands between.


class _Between:
    """Listens, and has a thread for each connection.

    Args:
        target: the server's (host, port).
        kill_server: kills its process.

    Attributes:
        tried: how often each fault happened.
        errors: what went wrong in here.
    """

    def __init__(self, target, kill_server=None):
        self.target, self.kill_server = target, kill_server
        self.tried, self.errors = Counter(), []
        self._lock = threading.Lock()
        self._refusing = 0.0
        self._through = threading.Event()
        self._through.set()
        self._ended = threading.Event()
        self._open, self._threads = set(), []
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=512)
        self.port = self._listener.getsockname()[1]
        self._start(self._accept)

    def part(self, seconds, forgotten=False):
        """Nothing comes through for some seconds."""
        self._through.clear()
        before = set(self._open)
        self._start(self._heal, seconds, before if forgotten else ())

    def refuse(self, seconds):
        """Cuts all connections, and each new one for some seconds."""
        self._refusing = time.monotonic() + seconds
        for one in set(self._open):
            _end(one)

    def close(self):
        """Ends all connections and threads; raises what went wrong."""
        self._ended.set()
        self._through.set()
        for one in [self._listener, *self._open]:
            _end(one)
        self._listener.close()
        for thread in self._threads:
            thread.join(10)
            assert not thread.is_alive(), "a thread of the proxy hangs"
        assert not self.errors, self.errors

    @contextlib.contextmanager
    def far(self):
        """A connection to the server."""
        made = socket.create_connection(self.target, 15)
        made.settimeout(None)
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with self._known(made):
            yield made

    def _heal(self, seconds, forgotten):
        self._ended.wait(seconds)
        for one in forgotten:
            _end(one)
        self._through.set()

    @contextlib.contextmanager
    def _known(self, one):
        self._open.add(one)
        try:
            yield one
        finally:
            self._open.discard(one)
            one.close()

    def _start(self, function, *arguments):
        thread = threading.Thread(target=function, args=arguments, daemon=True)
        with self._lock:
            self._threads = [one for one in self._threads if one.is_alive()]
            thread.start()
            self._threads.append(thread)

    def _accept(self):
        while not self._ended.is_set():
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            near.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._start(self._serve, near)

    def _serve(self, near):
        with self._known(near):
            if time.monotonic() < self._refusing:
                return
            try:
                self._through.wait()
                with self.far() as link:
                    self._carry(near, link)
            except (OSError, Cut):
                pass
            except Exception as error:
                self.errors.append(repr(error))


class Wire(_Between):
    """Carries bytes, and understands none.

    Args:
        cut_after: cuts a connection when so many bytes went through it, chosen anew each time
            between this and its double; None: never.
        cuts: so often at most.
        part_after: from so many bytes of all connections on nothing comes through for `seconds`.
    """

    def __init__(self, target, kill_server=None, cut_after=None, cuts=0, part_after=0, seconds=0.0):
        self._cut_after, self._cuts, self._chance = cut_after, cuts, random.Random(0)
        self._part_after, self._seconds, self._carried = part_after, seconds, 0
        super().__init__(target, kill_server)

    def _carry(self, near, link):
        others, limit, done = {near: link, link: near}, self._limit(), 0
        while True:
            for one in select.select([near, link], [], [])[0]:
                data = one.recv(65536)
                self._through.wait()
                if limit is not None and done + len(data) > limit and self._may_cut():
                    others[one].sendall(data[: limit - done])
                    raise Cut
                if not data:
                    return
                others[one].sendall(data)
                done += len(data)
                self._count(len(data))

    def _count(self, length):
        with self._lock:
            before, self._carried = self._carried, self._carried + length
        if before <= self._part_after < self._carried and self._seconds:
            self.tried["partition"] += 1
            self.part(self._seconds, forgotten=True)

    def _limit(self):
        with self._lock:
            if not self._cut_after:
                return None
            return int(self._cut_after * self._chance.uniform(1, 2))

    def _may_cut(self):
        with self._lock:
            self._cuts -= 1
            self.tried["cut"] += self._cuts >= 0
            return self._cuts >= 0


class Proxy(_Between):
    """Carries requests and answers, and lets happen to them what the plan says.

    Args:
        plan: called with each `Request`; gives a fault, or None.

    Attributes:
        pids: worker -> process id, as it told when it joined.
    """

    def __init__(self, target, plan, kill_server=None):
        self.plan, self.pids = plan, {}
        self._pushed, self._push = Counter(), threading.Condition()
        super().__init__(target, kill_server)

    def wait_for_others(self, worker, seconds):
        """Waits until a push of another worker has been answered or sent."""
        with self._push:
            before = self._others(worker)
            self._push.wait_for(lambda: self._others(worker) > before, seconds)

    def later(self, seconds, whole):
        """Sends a copy of a request after a while."""

        def send():
            self._ended.wait(seconds)
            with contextlib.suppress(OSError, Cut), self.far() as link:
                link.sendall(whole)
                _message(link)

        self._start(send)

    def pause(self, link, seconds):
        """Waits for the first byte of an answer, or for so long."""
        select.select([link], [], [], seconds)

    def note_push(self, worker):
        with self._push:
            self._pushed[worker] += 1
            self._push.notify_all()

    def _others(self, worker):
        return sum(number for one, number in self._pushed.items() if one != worker)

    def _carry(self, near, link):
        while (found := _message(near)) is not None:
            request = _request(*found)
            if request.kind == "join":
                info = json.loads(request.body)["info"]
                self.pids[request.worker] = info["pid"]
            fault = self.plan(request)
            passage = Passage(self, near, link, request)
            if fault is None:
                passage.give(passage.ask())
                continue
            with self._lock:
                self.tried[fault.__name__] += 1
            fault(passage)


class Passage(NamedTuple):
    """A request on its way: from `near`, by `link` to the server."""

    proxy: Proxy
    near: socket.socket
    link: socket.socket
    request: Request

    def ask(self):
        """Sends the request; returns the answer."""
        self.proxy._through.wait()
        self.link.sendall(self.request.whole)
        if self.request.kind == "push":
            self.proxy.note_push(self.request.worker)
        return self.wait(self.link)

    def wait(self, link):
        """An answer; ends with the one who waits for it."""
        # Nobody sends anything while it waits: what can be read there is its end.
        if self.near in select.select([link, self.near], [], [])[0]:
            raise Cut
        found = _message(link)
        if found is None:
            raise Cut
        self.proxy._through.wait()
        return b"".join(found)

    def give(self, answer):
        """Sends an answer back."""
        self.near.sendall(answer)

    def kill_worker(self):
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.proxy.pids[self.request.worker], signal.SIGKILL)


def _request(head, body):
    line = head.split(b" HTTP/", 1)[0].decode()
    path = line.split("?")[0]
    if path == "POST /update":
        worker, _, seq = _HEAD.unpack_from(body)[3:]
        return Request("push", worker, seq, head, body)
    if found := _WORKER.fullmatch(path):
        kind = _OF_WORKERS.get((found[1], found[3]), "other")
        return Request(kind, int(found[2]), -1, head, body)
    worker = json.loads(body)["worker"] if path == "POST /events" else -1
    return Request(_KINDS.get(path, "other"), worker, -1, head, body)


def _message(link):
    """Head and body of the next request or answer; None where there is none."""
    head = b""
    while b"\r\n\r\n" not in head:
        if not (data := link.recv(65536)):
            return None
        head += data
    head, rest = head[: (end := head.index(b"\r\n\r\n") + 4)], head[end:]
    found = re.search(rb"\r\ncontent-length: *(\d+)", head, re.IGNORECASE)
    length = 0 if b" 304 " in head[:20] or found is None else int(found[1])
    pieces = [rest]
    while (have := sum(map(len, pieces))) < length:
        if not (data := link.recv(min(length - have, 1 << 20))):
            return None
        pieces.append(data)
    return head, b"".join(pieces)


def _end(one):
    with contextlib.suppress(OSError):
        one.shutdown(socket.SHUT_RDWR)
