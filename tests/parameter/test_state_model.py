"""Joins, pushes, repeats, restarts, silences and departures in any order, against a plain model.

`Model` says for one thread, in few lines, what the server is to do. A `World` does each thing to
the server and to the model, and compares: the weights' bits, every answer, positions, the account.
What is done is chosen in two ways: hypothesis draws long histories, and `explore` goes through all
the short ones.
"""

import functools
import math
from collections import Counter
from dataclasses import dataclass
from fractions import Fraction

import pytest
import torch
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from elephas_torch import optimizers
from elephas_torch.errors import Fenced, Refused, WaitTimeout
from elephas_torch.flat import Vectors
from elephas_torch.parameter import Push
from elephas_torch.parameter.state import State
from elephas_torch.parameter.wire import Settings

SIZE = 5
LEASE, PATIENCE = 10.0, 1000.0
RULE = optimizers.serialize(optimizers.SGD(1.0))
SAMPLES = (3, 7, 5)
NONE, NO_COUNTS = torch.zeros(0), torch.zeros(0, dtype=torch.int64)


@functools.cache
def update(number, seq):
    return torch.randn(SIZE, generator=torch.Generator().manual_seed(100 * number + seq))


@dataclass
class Record:
    """A worker in the model.

    Attributes:
        sent: its push that isn't answered: None, "open" (in a round), "applying", "counted".
        base: the version that this push was computed at.
        gate: the epoch whose release its report waits for.
        clock: its pushes, or more where it came late.
        answer: to its last push: the version and the vector that came with it.
    """

    attempt: int
    state: str
    seen: float
    seq: int = 0
    done: int = -1
    sent: str | None = None
    base: int = 0
    reported: int = -1
    gate: int | None = None
    clock: int = 0
    answer: tuple | None = None


class Model:
    """What a server does, one thing after the other.

    Args:
        batches: how many pushes an epoch of each worker has; 0: it has no samples.

    Attributes:
        slow: the next update, or round, that may be applied is "applying" until `resume`.
    """

    def __init__(
        self, mode, batches, gated=False, staleness="scale", quorum=1, staleness_bound=None
    ):
        self.bound = staleness_bound
        self.rounds, self.batches, self.gated = mode == "synchronous", batches, gated
        self.looks_late = mode == "asynchronous"
        self.scales, self.quorum, self.stale = staleness is not None, quorum, Counter()
        self.workers = {}
        self.vector, self.version, self.now = torch.zeros(SIZE), 0, 0.0
        self.stop, self.released, self.closed, self.slow = False, -1, -1, False
        self.counts = {"pushes": 0, "rounds": 0, "duplicates": 0, "refused": 0}
        self.applied, self.reports = [], []

    @property
    def complete(self):
        return len(self.workers) == len(self.batches)

    def active(self):
        return [one for _, one in sorted(self.workers.items()) if one.state == "active"]

    def place(self, number, seq):
        """Epoch and batch of a push."""
        return divmod(seq, self.batches[number]) if self.batches[number] else (0, 0)

    def position(self, number):
        one = self.workers[number]
        seq = one.seq - (one.sent == "counted")
        return seq, *self.place(number, seq)

    def join(self, number, attempt):
        state = "active" if self.batches[number] else "empty"
        one = self.workers.setdefault(number, Record(attempt, "new", self.now))
        if one.attempt < attempt:
            one.gate = None
        self.enter(one, state)
        one.attempt, one.seen = attempt, self.now
        found = (*self.position(number), self.version)
        self.settle()
        return found

    def enter(self, one, state="active"):
        if one.state != "active" and state == "active":
            one.clock = max([one.clock, *sorted(other.clock for other in self.active())[:1]])
        one.state = state

    def seen(self, number, attempt):
        """Who speaks; raises as the server does."""
        one = self.workers.get(number)
        if one is None or attempt > one.attempt or one.state in ("left", "failed"):
            raise Refused("")
        if attempt < one.attempt:
            raise Fenced("")
        one.seen = self.now
        return one

    def push(self, number, attempt, seq, base, finite):
        if not finite and not self.looks_late:
            raise Refused("")
        one = self.seen(number, attempt)
        if one.state == "empty" or seq > one.seq:
            raise Refused("")
        self.enter(one)
        waits_for = one.seq - (one.sent == "counted") if one.sent else None
        if self.stop or seq == waits_for or seq < one.seq:
            self.counts["duplicates"] += 1
            one.answer = self.version, self.vector
        elif one.sent or not finite:
            raise Refused("")
        else:
            one.sent, one.base = "open", base
            if self.slow and not self.rounds:
                one.sent, self.slow = "applying", False
            self.settle()

    def sent(self, what):
        return [number for number, one in sorted(self.workers.items()) if one.sent == what]

    def settle(self):
        while self.complete and not self.stop and self.ready():
            if self.slow:
                self.slow = False
                for number in self.sent("open"):
                    self.workers[number].sent = "applying"
                break
            self.close(self.sent("open"))
            self.release()
        self.release()

    def resume(self):
        """What is "applying" is applied."""
        numbers = self.sent("applying")
        if self.rounds and numbers:
            self.close(numbers)
        elif numbers:
            self.workers[numbers[0]].sent = "open"
        self.release()
        self.settle()

    def ready(self):
        """Whether the open round may close."""
        if not self.rounds or not self.sent("open") or self.sent("applying"):
            return False
        waited_for = [one for one in self.active() if one.sent != "counted"]
        return self.are_enough([one.sent == "open" for one in waited_for])

    def are_enough(self, so):
        return sum(so) >= math.ceil(Fraction(str(self.quorum)) * len(so))

    def close(self, numbers):
        total, mean = sum(SAMPLES[n] for n in numbers), None
        for number in numbers:
            one = self.workers[number]
            share = SAMPLES[number] / total
            entry, late = update(number, one.seq), self.version - one.base
            if self.quorum < 1:
                self.stale[late] += 1
                entry = entry * (1 / (late * self.scales + 1))
            if mean is not None:
                mean = torch.add(mean, entry, alpha=share)
            else:
                mean = entry if len(numbers) == 1 else entry * share
        for number in numbers:
            self.commit(number)
        self.vector, self.version = self.vector - mean, self.version + 1
        self.counts["rounds"] += 1

    def commit(self, number):
        one = self.workers[number]
        self.applied.append((number, one.seq))
        one.clock += 1
        epoch, batch = self.place(number, one.seq)
        if batch + 1 == self.batches[number]:
            one.done = epoch
        one.seq, one.sent, one.seen = one.seq + 1, "counted", self.now
        self.counts["pushes"] += 1

    def close_epochs(self):
        if self.complete and self.active():
            self.closed = max(self.closed, min(one.done for one in self.active()))

    def release(self):
        """Answers pushes that have nothing more to wait for."""
        if not self.rounds:
            for number, one in self.workers.items():
                if one.sent == "open":
                    self.stale[self.version - one.base] += 1
                    late = 1 + (self.version - one.base) * self.scales
                    entry = update(number, one.seq)
                    self.vector = torch.add(self.vector, entry, alpha=-1 / late)
                    self.version += 1
                    self.commit(number)
        for number, one in self.workers.items():
            if one.sent == "counted" and not self.waits(number, one):
                one.sent, one.seen = None, self.now
                one.answer = self.version, self.vector

    def waits(self, number, one):
        if self.stop:
            return False
        if self.bound is not None:
            return any(one.clock - other.clock > self.bound for other in self.active())
        epoch, batch = self.place(number, one.seq - 1)
        last = batch + 1 == self.batches[number]
        done = [other.done >= epoch for other in self.active()]
        return self.rounds and last and not self.are_enough(done)

    def report(self, number, attempt, epoch):
        """Whether it is answered at once."""
        one = self.seen(number, attempt)
        self.enter(one)
        if epoch > one.reported:
            self.reports.append((number, epoch))
        one.reported = max(one.reported, epoch)
        shut = self.gated and epoch > self.released and not self.stop
        one.gate = epoch if shut else None

    def open(self, epoch):
        self.released = max(self.released, epoch)
        for one in self.workers.values():
            if one.gate is not None and one.gate <= self.released:
                one.gate = None

    def tick(self):
        for one in self.workers.values():
            one.seen = self.now if one.gate is not None else one.seen
        for one in self.active():
            if one.seen < self.now - LEASE and one.sent is None:
                one.state = "expired"
        self.settle()

    def part(self, number, state):
        self.workers[number].state = state
        self.settle()

    def end(self):
        """The driver stops the training."""
        self.stop = True
        for one in self.workers.values():
            one.gate = None
            if one.sent in ("open", "counted"):
                one.sent, one.answer = None, (self.version, self.vector)


class Client:
    """A worker as it sees itself.

    Attributes:
        attempt: its run; None before the first.
        seq: what it pushes next, or has pushed and waits for.
        version: of the weights that it has.
        waits: futures of that push, first and repeated; empty while it computes.
        unheard: it has pushed, and given up waiting: it has to ask again.
        owes: the epoch that it has to report on before it goes on.
        report: the future of that.
        gone: it has left, or failed.
    """

    def __init__(self):
        self.attempt, self.seq, self.version, self.waits = None, 0, 0, []
        self.unheard, self.owes, self.report, self.gone = False, None, None, False

    @property
    def there(self):
        return self.attempt is not None and not self.gone


class Between:
    """Takes the place of what is held while updates are applied: something comes in between.

    Attributes:
        then: what is done when an update, or round, was let in and isn't applied yet; once.
    """

    def __init__(self, held):
        self.held, self.then = held, None

    def __enter__(self):
        then, self.then = self.then, None
        if then is not None:
            then()
        self.held.__enter__()

    def __exit__(self, *error):
        self.held.__exit__(*error)


class World:
    """A server, a model of it, and workers."""

    def __init__(self, mode, batches, staleness="scale", gated=False, epochs=2, **more):
        self.model = Model(mode, batches, gated, staleness, **more)
        zeros = Vectors(torch.zeros(SIZE), NONE, NO_COUNTS)
        how = Settings(
            mode, zeros.sizes, RULE, workers=len(batches), staleness=staleness, lease=LEASE,
            join_timeout=1e9, round_timeout=PATIENCE, gated=gated, **more,
        )  # fmt: skip
        self.state = State(how, zeros, lambda: self.model.now)
        self.between = self.state.updates.whole = Between(self.state.updates.whole)
        self.clients = [Client() for _ in batches]
        self.attempts, self.batches, self.epochs = 0, batches, epochs

    def total(self, number):
        return self.epochs * self.batches[number]

    def send(self, number, attempt, seq, finite=True):
        """Pushes to both; returns the server's future, where neither refuses."""
        client, model, errors = self.clients[number], self.model, []
        epoch, batch = model.place(number, seq)
        last = batch + 1 == self.batches[number]
        head = Push(number, attempt, seq, client.version, SAMPLES[number], epoch, last)
        sent = update(number, seq) if finite else torch.full((SIZE,), math.nan)
        future = None
        for push in (
            lambda: model.push(number, attempt, seq, client.version, finite),
            lambda: self.state.push(head, Vectors(sent.clone(), NONE, NO_COUNTS)),
        ):
            try:
                future = push()
            except Refused as error:
                errors.append(type(error))
        if not errors:
            return future
        model.counts["refused"] += 1
        assert len(errors) == 2 and errors[0] is errors[1]
        raise errors[0]("")

    # What workers do.

    def join(self, number, again=False):
        """A task is run, or run again while the one before may still be there; or (`again`) the
        answer to its joining was lost."""
        client = self.clients[number]
        self.attempts += not again
        attempt = client.attempt if again else self.attempts
        expected = self.model.join(number, attempt)
        joined = self.state.join(number, attempt, SAMPLES[number] * bool(self.batches[number]), {})
        assert joined[:4] == expected
        if again:
            return
        for future in [*client.waits, client.report]:
            if future is not None and not future.done():
                raise AssertionError("the attempt before still waits")
            if future is not None and future.exception() is not None:
                assert isinstance(future.exception(), Fenced)
        client.attempt, client.seq, client.version = attempt, joined.seq, joined.version
        client.waits, client.report, client.unheard, client.owes = [], None, False, None
        client.gone = not self.batches[number]
        if joined.batch == 0 and joined.epoch > 0:
            client.owes = joined.epoch - 1

    def push(self, number):
        client = self.clients[number]
        attempt, client.unheard = client.attempt, True
        future = self.send(number, attempt, client.seq)
        if client.attempt != attempt:
            assert isinstance(future.exception(0), Fenced)
            return
        client.waits.append(future)
        client.unheard = False

    def push_while(self, number, *meanwhile):
        """A push, and what happens while what it brings about is being applied."""
        self.model.slow, self.between.then = True, lambda: self.do(*meanwhile)
        self.push(number)
        assert self.model.slow == (self.between.then is not None)
        self.model.slow, self.between.then = False, None
        self.model.resume()

    def push_again(self, number):
        """An answer was lost on its way, or takes long."""
        client = self.clients[number]
        if client.waits or client.unheard:
            self.push(number)
        else:
            version, body = self.model.version, bytes(self.model.vector.numpy())
            answer = self.send(number, client.attempt, client.seq - 1).result(0)
            assert answer.reply.version == version and bytes(answer.body) == body

    def refused(self, number, attempt, seq, finite=True, error=Refused):
        with pytest.raises(error):
            self.send(number, attempt, seq, finite)

    def push_ahead(self, number):
        one = self.model.workers[number]
        for ahead in (1, 2):
            self.refused(number, one.attempt, one.seq + ahead)
        if one.sent == "counted":
            self.refused(number, one.attempt, one.seq)

    def push_what_is_not_finite(self, number):
        client, one = self.clients[number], self.model.workers[number]
        if one.sent is None and client.seq == one.seq:
            self.refused(number, client.attempt, client.seq, finite=False)

    def lost_attempt(self, number):
        """The run before the present one isn't dead, and goes on."""
        client = self.clients[number]
        self.refused(number, client.attempt - 1, client.seq, error=Fenced)
        with pytest.raises(Fenced):
            self.state.leave(number, client.attempt - 1)
        with pytest.raises(Fenced):
            self.state.beat(number, client.attempt - 1, None)
        self.state.fail(number, client.attempt - 1, {})

    def report(self, number):
        client = self.clients[number]
        self.model.report(number, client.attempt, client.owes)
        client.report = self.state.report(number, client.attempt, client.owes, {})

    def beat(self, number):
        self.model.enter(self.model.seen(number, self.clients[number].attempt))
        self.state.beat(number, self.clients[number].attempt, None)

    def part(self, number, how):
        """A worker leaves, or fails; also while it waits, having lost patience."""
        client = self.clients[number]
        if how == "left":
            self.model.seen(number, client.attempt)
            self.state.leave(number, client.attempt)
        else:
            self.state.fail(number, client.attempt, {"message": "?"})
        self.model.part(number, how)
        client.gone = True
        self.refused(number, client.attempt, client.seq)

    # What happens to them.

    def pass_time(self, seconds, silent=()):
        """Those that aren't silent and don't wait give signs of life at the end of it."""
        self.model.now += seconds
        for number, client in enumerate(self.clients):
            if client.there and number not in silent and self.batches[number]:
                self.beat(number)
        self.model.tick()
        self.state.tick()

    def silence(self, *silent):
        """Some, or all, aren't heard of beyond their lease."""
        self.pass_time(2 * LEASE, silent or range(len(self.clients)))

    def run_out_of_patience(self):
        """All that wait give up; what they have pushed stays."""
        waiting = [c for c in self.clients if c.waits]
        reports = [c for c in self.clients if c.report is not None]
        for one in self.model.workers.values():
            one.gate = None
        self.pass_time(PATIENCE + 1)
        for client in waiting:
            assert all(isinstance(f.exception(0), WaitTimeout) for f in client.waits)
            client.waits, client.unheard = [], True
        for client in reports:
            assert isinstance(client.report.exception(0), WaitTimeout)
            client.report = None

    def open_gate(self):
        epoch = self.model.released + 1
        self.model.open(epoch)
        self.state.control(release_epoch=epoch)

    def end(self):
        self.model.end()
        self.state.control(stop=True)

    # What must hold, whatever has happened.

    def check(self):
        """Compares; clients take in the answers that have come."""
        state, model = self.state, self.model
        assert state.weights.vectors.parameters.equal(model.vector)
        self.check_account(state.status())
        self.look_all()
        going = model.active()
        if model.complete and going and not model.stop:
            waiting = all(one.sent not in (None, "applying") for one in going)
            assert not waiting or model.sent("applying"), "all wait, for nobody"

    def check_account(self, status):
        model = self.model
        model.close_epochs()
        assert status["version"] == model.version and status["epoch"] == model.closed + 1
        assert {name: status["counts"].get(name, 0) for name in model.counts} == model.counts
        assert status["staleness"] == {str(key): model.stale[key] for key in sorted(model.stale)}
        for number, one in model.workers.items():
            found, record = status["workers"][str(number)], self.state.ledger.workers[number]
            assert (found["attempt"], found["state"]) == (one.attempt, one.state)
            assert (found["seq"], record.done, record.clock) == (one.seq, one.done, one.clock)
            assert (found["epoch"], found["batch"]) == model.place(number, one.seq)
            assert found["waiting"] == (one.sent is not None)

    def look_all(self):
        for number, client in enumerate(self.clients):
            self.look(number, client)

    def look(self, number, client):
        one = self.model.workers.get(number)
        for future in client.waits:
            assert future.done() == (one.sent is None)
        if client.waits and one.sent is None:
            slowest = min([other.clock for other in self.model.active()], default=one.clock)
            free = self.model.bound is None or self.model.stop
            assert free or one.clock - slowest <= self.model.bound
            for future in client.waits:
                answer = future.result(0)
                assert answer.reply.version == one.answer[0]
                assert bytes(answer.body) == bytes(one.answer[1].numpy())
            client.waits, client.version = [], one.answer[0]
            if not self.model.stop:
                client.seq += 1
                epoch, batch = self.model.place(number, client.seq)
                client.owes = epoch - 1 if batch == 0 else None
        if client.report is not None:
            assert client.report.done() == (one.gate is None)
            if one.gate is None:
                client.report.result(0)
                client.owes = client.report = None

    def goes_on(self, number):
        """Whether it doesn't wait, and isn't gone."""
        client = self.clients[number]
        return not (client.gone or client.waits or client.report is not None)

    def pushes(self, number):
        """Whether the next thing that a worker does of itself is a push."""
        client = self.clients[number]
        waits = client.attempt is None or client.owes is not None or not self.goes_on(number)
        return not waits and client.seq < self.total(number)

    def step(self, number):
        """The next thing that a worker does of itself."""
        client = self.clients[number]
        if client.attempt is None:
            self.join(number)
        elif client.owes is not None:
            self.report(number)
        elif client.seq == self.total(number):
            self.part(number, "left")
        else:
            self.push(number)

    def finish(self):
        """All that are there go on to the end, and come there; each update has counted once."""
        for _ in range(0 if self.model.stop else 20 * len(self.clients)):
            for number in range(len(self.clients)):
                if self.goes_on(number):
                    self.do("step", number)
            if self.model.gated and self.model.released < self.epochs:
                self.do("open_gate")
        gone = [client.gone and not client.waits for client in self.clients]
        assert all(gone) or self.model.stop
        for number in range(len(self.clients)):
            mine = [seq for worker, seq in self.model.applied if worker == number]
            assert mine == list(range(len(mine)))
            assert len(mine) >= self.clients[number].seq
        events = self.state.events.after(0)
        told = [(e["worker"], e["epoch"]) for e in events if e["kind"] == "report"]
        assert told == self.model.reports
        epochs = [e["epoch"] for e in events if e["kind"] == "epoch"]
        assert epochs == list(range(self.model.closed + 1))

    def summary(self):
        """What decides how it goes on."""
        model = self.model
        workers = [
            (
                one.state,
                one.seq,
                one.done,
                one.sent,
                one.reported,
                one.gate,
                one.clock,
                model.now - one.seen,
            )
            for _, one in sorted(model.workers.items())
        ]
        clients = [
            (c.attempt is None, c.seq, len(c.waits), c.unheard, c.owes, bool(c.report), c.gone)
            for c in self.clients
        ]
        return tuple(model.workers), tuple(workers), tuple(clients), model.released, model.closed

    # What may happen next.

    def do(self, name, *args):
        getattr(self, name)(*args)
        self.check()

    def steps(self):
        """What happens of itself."""
        found = [("step", n) for n in range(len(self.clients)) if self.goes_on(n)]
        gate = any(client.report is not None for client in self.clients)
        return found + [("open_gate",)] * gate

    def troubles(self):
        """What comes between."""
        found = []
        for number, client in enumerate(self.clients):
            if client.attempt is None or not self.batches[number]:
                continue
            if not client.gone or client.seq < self.total(number):
                found.append(("join", number))
            if client.there:
                found += [("silence", number), ("part", number, "failed")]
                if client.owes is None and not client.waits and client.seq < self.total(number):
                    found.append(("part", number, "left"))
                if client.seq or client.waits:
                    found.append(("push_again", number))
        return found

    def races(self):
        """What comes between an update's being let in and its being applied."""
        found = []
        for number in range(len(self.clients)):
            if self.pushes(number):
                others = [one for one in self.steps() if one != ("step", number)]
                leaves = ("part", number, "left")
                troubles = [one for one in self.troubles() if one != leaves] + [("end",)]
                found += [("push_while", number, *one) for one in others + troubles]
        return found

    def oddities(self):
        """What is more rare, or changes nothing."""
        found = [("silence",), ("pass_time", LEASE / 3)]
        waits = any(client.waits or client.report for client in self.clients)
        found += [("run_out_of_patience",)] * waits
        if self.model.stop:
            return found
        for number, client in enumerate(self.clients):
            if client.there and self.batches[number]:
                found += [("push_ahead", number), ("join", number, True), ("part", number, "left")]
                if client.attempt > 1:
                    found.append(("lost_attempt", number))
                if self.goes_on(number) and client.owes is None and not client.unheard:
                    found.append(("push_what_is_not_finite", number))
        return found


# Long histories, drawn.

MODES = {
    "synchronous": [{"mode": "synchronous"}],
    "asynchronous": [
        {"mode": "asynchronous"},
        {"mode": "asynchronous", "staleness": None},
        {"mode": "hogwild"},
    ],
    "quorum": [
        {"mode": "synchronous", "quorum": 0.6},
        {"mode": "synchronous", "quorum": 0.5},
        {"mode": "synchronous", "quorum": 0.3, "staleness": None},
    ],
    "bound": [
        {"mode": "asynchronous", "staleness_bound": 1},
        {"mode": "hogwild", "staleness_bound": 0},
        {"mode": "asynchronous", "staleness_bound": 2, "staleness": None},
    ],
}


def drawn(name, count, length):
    """Goes through histories that hypothesis draws: numbers choose among what may happen."""

    @examples(max_examples=count)
    @given(
        how=st.sampled_from(MODES[name]),
        batches=st.lists(st.sampled_from([2, 1, 3, 2, 3, 0]), min_size=1, max_size=3),
        late=st.sampled_from([0, 0, 1, 2]),
        gated=st.sampled_from([False, False, True]),
        chosen=st.binary(min_size=length, max_size=length),
    )
    def through(how, batches, late, gated, chosen):
        world = World(batches=batches, gated=gated, **how)
        for number in range(len(batches) - late):
            world.do("join", number)
        for one in chosen:
            steps, troubles = world.steps(), world.troubles()
            several = [steps, steps, steps, steps, troubles, troubles, world.oddities()]
            found = several[one % 7] or steps or troubles
            if one > 252 and world.model.counts["pushes"] > 3:
                world.do("end")
            elif found:
                world.do(*found[one // 7 % len(found)])
        world.finish()

    through()


@pytest.mark.parametrize("name", MODES)
def test_drawn_histories(name):
    drawn(name, 30, 40)


@pytest.mark.slow
@pytest.mark.parametrize("name", MODES)
def test_many_drawn_histories(name):
    drawn(name, 1000, 60)


# Short histories, all of them.


def explore(troubles, **how):
    """Goes through all orders of what two workers do, with up to so many troubles in between; one
    trouble comes in the middle of a push, too.

    Histories that lead to the same (whatever the weights are) go on as one. Returns how many
    different things were tried.
    """
    todo, met, tried, few = [((), troubles)], set(), 0, troubles == 1
    while todo:
        path, left = todo.pop()
        world = World(**how)
        for one in path:
            world.do(*one)
        while True:
            tried += 1
            if (world.summary(), left) in met:
                break
            met.add((world.summary(), left))
            steps = [] if world.model.stop else world.steps()
            troubles = [*world.troubles(), ("end",)] if left else []
            troubles += world.races() if left and few else []
            if not steps:
                todo += [((*path, one), left - 1) for one in troubles]
                world.finish()
                break
            first, *others = steps
            todo += [((*path, one), left) for one in others]
            todo += [((*path, one), left - 1) for one in troubles]
            path = (*path, first)
            world.do(*first)
    return tried


SHORT = {
    "synchronous": {"mode": "synchronous", "batches": [2, 1]},
    "asynchronous": {"mode": "asynchronous", "batches": [2, 1], "epochs": 1},
    "quorum": {"mode": "synchronous", "batches": [2, 1], "quorum": 0.5, "epochs": 1},
    "bound": {"mode": "asynchronous", "batches": [2, 1], "staleness_bound": 0, "epochs": 1},
    "sitting out": {"mode": "synchronous", "batches": [3, 2], "epochs": 1, "gated": True},
}


@pytest.mark.parametrize("name", SHORT)
def test_all_short_histories(name):
    assert explore(1, **SHORT[name]) > 300


@pytest.mark.slow
@pytest.mark.parametrize("name", SHORT)
def test_all_longer_histories(name):
    assert explore(2, **SHORT[name]) > 3000
    assert explore(1, **{**SHORT[name], "batches": [2, 1, 1]}) > 5000
