"""What workers leave with the server."""

from elephas_torch.parameter import kept
from elephas_torch.parameter.kept import NOTHING, Kept


def test_what_was_left_for_the_epoch_a_worker_goes_on_in_or_before():
    found = Kept()
    assert found.of(0, 3) == NOTHING
    assert found.keep(0, 0, 1, b"first") and found.keep(0, 1, 2, b"second")
    assert [found.of(0, now) for now in (1, 2, 5)] == [
        (1, b"first"), (2, b"second"), (2, b"second"),
    ]  # fmt: skip
    assert found.of(0, 0) == (2, b"second"), "nobody's epoch is known by all-reduce"
    assert found.of(1, 2) == NOTHING


def test_no_more_than_two_are_there_and_one_once_its_epoch_is_reached():
    found = Kept()
    for epoch in range(1, 4):
        found.keep(0, epoch - 1, epoch, b"%d" % epoch)
    assert found.left == {0: [(2, b"2"), (3, b"3")]}
    found.tidy(0, 3)
    assert found.left == {0: [(3, b"3")]}
    found.keep(0, 3, 3, b"again")
    found.tidy(1, 0)
    assert found.left == {0: [(3, b"again")]}


def test_the_older_makes_room_and_who_finds_none_keeps_nothing(monkeypatch):
    assert kept.MOST == 4 << 30
    monkeypatch.setattr(kept, "MOST", 10)
    found = Kept()
    assert found.keep(0, 0, 1, b"123") and found.keep(1, 0, 1, b"1234")
    assert found.keep(0, 1, 2, b"12345"), "in place of the first"
    assert found.left == {0: [(2, b"12345")], 1: [(1, b"1234")]}
    assert not found.keep(1, 1, 2, b"123456")
    assert found.left == {0: [(2, b"12345")]}, "what is out of date is of no use"
