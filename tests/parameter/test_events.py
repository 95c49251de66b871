"""The log of events: what is kept for whom."""

from elephas_torch.parameter import events
from elephas_torch.parameter.events import EventLog


def numbers(found):
    return [event["number"] for event in found]


def test_events_are_kept_until_somebody_has_had_them(monkeypatch):
    monkeypatch.setattr(events, "KEPT", 3)
    monkeypatch.setattr(events, "MOST", 8)
    log = EventLog()
    for number in range(6):
        log.add("report", epoch=number)
    assert numbers(log.after(0)) == [1, 2, 3], "so many at once"
    assert numbers(log.after(3)) == [4, 5, 6]
    log.add("report", epoch=6)
    assert numbers(log.after(0)) == [4, 5, 6], "those before were had"
    for number in range(7, 20):
        log.add("report", epoch=number)
    assert numbers(log.after(6)) == [13, 14, 15], "there is an end to it"
    assert log.after(20) == log.after(99) == log.after(2**63 - 2) == []


def test_numbers_go_on_where_a_log_before_had_come_to():
    log = EventLog()
    log.number = 40
    log.add("join", worker=0)
    assert numbers(log.after(40)) == [41] == numbers(log.wait(0).result(0))
