"""Slots that fits of one driver share."""

import logging
import threading
import time

import pytest

from elephas_torch import slots
from elephas_torch.errors import WaitTimeout


def test_a_fit_waits_for_another_and_goes_on_when_that_has_ended(caplog):
    order = []

    def other():
        with slots.taken("app", 2, 4):
            order.append("other")

    with slots.taken("app", 3, 4), caplog.at_level(logging.WARNING):
        thread = threading.Thread(target=other)
        thread.start()
        thread.join(0.3)
        assert order == [] and "Waiting for 2 of 4 slots" in caplog.text
        order.append("first")
    thread.join(10)
    assert order == ["first", "other"]


def test_it_waits_no_longer_than_it_is_told():
    with slots.taken("app", 3, 4):
        began = time.monotonic()
        with (
            pytest.raises(WaitTimeout, match=r"Waited 0\.2 s for 2 of 4 slots.*slots_timeout=0\.2"),
            slots.taken("app", 2, 4, 0.2),
        ):
            pass
        assert 0.2 <= time.monotonic() - began < 5
        with slots.taken("app", 1, 4, 0.2), slots.taken("another app", 4, 4, 0.2):
            pass
    with slots.taken("app", 4, 4, 0.2):
        pass


def test_one_larger_than_the_cluster_runs_alone():
    with slots.taken("app", 9, 4, 0.2):
        pass
    with slots.taken("app", 9, None), slots.taken("app", 9, None):
        pass
