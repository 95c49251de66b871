"""What a run tells: no clock but that of the test."""

import itertools
import json

import pytest

from elephas_torch.parameter import story as stories
from elephas_torch.parameter.state import State
from elephas_torch.parameter.story import Marks, Story
from elephas_torch.parameter.wire import Push


class Clock:
    now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def state(vectors, settings, clock):
    initial = vectors([1.0, 2.0])
    made = State(settings("asynchronous", initial, workers=2), initial, clock)
    made.story = Story(clock)
    return made


def tick(state, clock, seconds):
    for _ in range(int(4 * seconds)):
        clock.now += 0.25
        state.tick()


def test_rows_are_counted_from_batches_and_reports(state, clock):
    state.story.tell({"batch_size": 10, "first": 0}, "running", [])
    for worker in range(2):
        state.join(worker, 0, 100, {"host": f"host{worker}"})
    tick(state, clock, 1)
    for batch in (1, 2, 3, 4):
        state.beat(0, 0, {"epoch": 0, "batch": batch})
        state.beat(1, 0, {"epoch": 0, "batch": 2 * batch})
        tick(state, clock, 2)
    rows = state.story.whole(state)["workers"]
    assert [row["rate"] for row in rows] == [pytest.approx(5, rel=0.3), pytest.approx(10, rel=0.3)]
    assert state.story.moments.rows[-1][1] == 40 + 80
    state.report(0, 0, 0, {})
    tick(state, clock, 2)
    assert state.story.moments.rows[-1][1] == 100 + 80


def test_what_a_new_attempt_does_again_counts_once(state, clock):
    state.story.tell({"batch_size": 10}, "running", [])
    state.join(0, 0, 100, {})
    tick(state, clock, 1)
    state.beat(0, 0, {"epoch": 3, "batch": 5})
    tick(state, clock, 2)
    state.join(0, 7, 100, {"tries": 1})
    tick(state, clock, 1)
    state.beat(0, 7, {"epoch": 3, "batch": 2})
    tick(state, clock, 2)
    assert state.story.moments.rows[-1][1] == 350
    state.beat(0, 7, {"epoch": 3, "batch": 6})
    tick(state, clock, 2)
    assert state.story.moments.rows[-1][1] == 360
    assert state.story.whole(state)["workers"][0]["tries"] == 1


def test_moments_get_rarer_and_stay_few(state, clock):
    tick(state, clock, 2000)
    rows = state.story.moments.rows
    assert len(rows) <= stories.MOMENTS
    assert {b[0] - a[0] for a, b in itertools.pairwise(rows)} == {4.0}


def test_the_log_has_who_came_and_went_and_is_bounded(state, clock):
    state.join(0, 0, 5, {"host": "a"})
    state.join(1, 0, 5, {"host": "b"})
    state.fail(1, 0, {"message": "no more"})
    state.stop(now=False)
    tick(state, clock, 1)
    lines = [(one["kind"], one["worker"], one["text"]) for one in state.story.whole(state)["log"]]
    assert lines == [
        ("join", 0, "a"), ("join", 1, "b"), ("failure", 1, "no more"),
        ("stopping", None, "after this epoch"),
    ]  # fmt: skip
    assert state.story.state == "stopping" and not state.orders.stop
    for attempt in range(1, 500):
        state.join(0, attempt, 5, {})
    tick(state, clock, 1)
    assert len(state.story.whole(state)["log"]) == stories.LINES


def test_looking_on_leaves_events_for_the_driver(state, clock, monkeypatch):
    monkeypatch.setattr("elephas_torch.parameter.events.KEPT", 5)
    for attempt in range(20):
        state.join(0, attempt, 5, {})
        tick(state, clock, 1)
    assert len(state.events.peek(0)) == 5  # as many as are given out at once
    assert [one["number"] for one in state.events.after(0)] == [1, 2, 3, 4, 5]


def test_watchers_get_each_thing_once(state, clock):
    state.story.tell({"title": "t"}, "running", [])
    marks = Marks()
    state.join(0, 0, 5, {})
    tick(state, clock, 1)
    first = state.story.news(state, marks)
    assert first["about"] == {"title": "t"} and first["log"] and first["moments"]["from"] == 0
    state.story.tell(None, None, [{"epoch": 0, "logs": {"loss": float("nan")}}])
    second = state.story.news(state, marks)
    assert second["epochs"] == {"from": 0, "rows": [{"epoch": 0, "logs": {"loss": "NaN"}}]}
    assert not second.keys() & {"about", "log", "moments"}
    state.story.tell(None, None, [{"epoch": 1, "logs": {}}])
    assert state.story.news(state, marks)["epochs"]["from"] == 1


def test_staleness_of_a_worker_is_its_last_update_s(state, clock, vectors):
    for worker in range(2):
        state.join(worker, 0, 5, {})
    update = vectors([0.1, 0.1])
    state.push(Push(0, 0, 0, 0, 5, 0, False), update)
    state.push(Push(1, 0, 0, 0, 5, 0, False), update)
    found = state.story.whole(state)
    assert [row["stale"] for row in found["workers"]] == [0, 1]
    assert found["staleness"] == {"0": 1, "1": 1}


def test_the_loss_of_a_worker_is_told_until_it_is_done(state, clock):
    state.join(0, 0, 5, {})
    state.beat(0, 0, {"epoch": 0, "batch": 1, "logs": {"loss": 0.5}})
    assert state.story.whole(state)["workers"][0]["logs"] == {"loss": 0.5}
    state.leave(0, 0)
    assert state.story.whole(state)["workers"][0]["logs"] == {}


@pytest.mark.parametrize("odd", [10**400, -5, float("nan"), "x", None, [], True, 1e308])
def test_what_executors_say_can_be_anything(state, clock, odd):
    state.story.tell({"batch_size": odd, "first": odd}, "running", [])
    state.join(0, 0, 5, {"host": odd, "device": {"a": odd}, "tries": odd, "name": [odd]})
    state.beat(0, 0, {"epoch": odd, "batch": odd, "phase": odd, "logs": {"loss": odd}})
    tick(state, clock, 2)
    json.dumps(state.story.whole(state), allow_nan=False)


def test_a_server_that_begins_again_goes_on_telling(state, clock, vectors, settings):
    state.join(0, 0, 5, {})
    tick(state, clock, 3)
    snapshot = state.snapshot()
    initial = vectors([0.0, 0.0])
    again = State(settings("asynchronous", initial, workers=2), initial, clock)
    again.story = Story(clock)
    again.restore(type(snapshot).read(snapshot.packed()))
    found = again.story.whole(again)
    assert found["moments"] == state.story.moments.rows
    assert [one["kind"] for one in found["log"]] == ["join", "restarted"]
    again.join(0, 1, 5, {})
    tick(again, clock, 2)
    assert [one["kind"] for one in again.story.whole(again)["log"]] == ["join", "restarted", "join"]


@pytest.mark.parametrize(
    ("info", "shown"),
    [
        ({"device": "cuda:1", "name": "NVIDIA H100"}, "cuda:1 (NVIDIA H100)"),
        ({"device": "cpu"}, "cpu"),
        ({"name": "NVIDIA H100"}, "NVIDIA H100"),
        ({}, ""),
    ],
)
def test_a_device_is_shown_with_its_number_and_its_name(state, info, shown):
    state.join(0, 0, 5, info)
    assert state.story.whole(state)["workers"][0]["device"] == shown
