"""What a server says of itself."""

import sys
import threading

import pytest

from elephas_torch.parameter import account
from elephas_torch.parameter.board import Board
from elephas_torch.parameter.state import State


@pytest.fixture
def quick_switches():
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def test_staleness_is_counted_while_updates_come(vectors, settings, quick_switches):
    initial = vectors([1.0, 2.0])
    state = State(settings("hogwild", initial, workers=2), initial)
    state.weights.board = Board.create(initial.parameters, 2)
    state.updates.staleness[0] = 7
    over = threading.Event()

    def push():
        while not over.is_set():
            for number in range(1, 50):
                state.updates.staleness[number] += 1
            for number in range(1, 50):
                del state.updates.staleness[number]

    thread = threading.Thread(target=push, daemon=True)
    thread.start()
    try:
        for _ in range(20_000):
            _, staleness = account.counted(state)
            assert staleness[0] == 7 and len(staleness) <= 50
    finally:
        over.set()
        thread.join(10)
