"""Asking again."""

import pytest

from elephas_torch.errors import Refused, Unreachable
from elephas_torch.parameter import patience
from elephas_torch.parameter.patience import patiently


@pytest.fixture
def time(monkeypatch):
    """A clock that sleeping puts forward; the waits."""

    class Time:
        now, waits = 0.0, []

        def monotonic(self):
            return self.now

        def sleep(self, seconds):
            self.now += seconds
            self.waits.append(seconds)

    made = Time()
    made.waits = []
    monkeypatch.setattr(patience, "time", made)
    return made


def failing(times, error=Unreachable):
    left = [times]

    def ask():
        left[0] -= 1
        if left[0] >= 0:
            raise error(f"no, {left[0]} left.")
        return "found"

    return ask


def test_waits_grow_and_no_two_are_alike(time):
    assert patiently(failing(12), 60.0) == "found"
    assert len({*time.waits}) == 12
    longest = [min(patience.FIRST_WAIT * 2**n, patience.LONGEST_WAIT) for n in range(12)]
    assert all(most / 2 <= wait <= most for wait, most in zip(time.waits, longest, strict=True))


def test_it_has_an_end_and_the_last_error_is_told(time):
    with pytest.raises(Unreachable, match=r"^no, 9\d+ left\. It was tried for 5 s\.$"):
        patiently(failing(1000), 5.0)
    assert time.now == pytest.approx(5.0)


@pytest.mark.parametrize(("seconds", "error"), [(0.0, Unreachable), (9.0, Refused)])
def test_without_patience_or_for_another_error_it_is_asked_once(time, seconds, error):
    with pytest.raises(error, match=r"^no, 4 left\.$"):
        patiently(failing(5, error), seconds)
    assert not time.waits
