"""Vectors that needn't be looked at again."""

import pytest
import torch

from elephas_torch.parameter import wire
from elephas_torch.parameter.checked import Checked


@pytest.fixture
def looks(monkeypatch):
    """How often vectors are looked at."""
    real, seen = wire.check_vectors, []
    monkeypatch.setattr(wire, "check_vectors", lambda *given: seen.append(given) or real(*given))
    return seen


def test_the_same_vectors_are_looked_at_once(looks, vectors):
    update, into, known = vectors([1.0, 2.0], [3.0]), vectors([0.0, 0.0], [0.0]), Checked()
    for _ in range(3):
        known.check(update, into)
    assert len(looks) == 2 and known.sizes == (2, 1, 0)
    assert b"".join(known.pieces) == b"".join(wire.buffers(update))
    update.parameters.fill_(5.0)
    assert b"".join(known.pieces) == b"".join(wire.buffers(update)), "memory, not a copy"
    known.targets[0][:] = b"".join(known.pieces)[:8]
    assert into.parameters.tolist() == [5.0, 5.0]


def test_other_tensors_and_other_memory_of_theirs_are_looked_at(looks, vectors):
    update, known = vectors([1.0, 2.0]), Checked()
    known.check(update, update)
    known.check(update, update.clone())
    assert len(looks) == 4
    update.parameters.set_(torch.ones(1))
    known.check(update, update)
    assert known.sizes == (1, 0, 0) and b"".join(known.pieces) == b"\0\0\x80?"


def test_what_does_not_fit_is_never_known(vectors):
    known = Checked()
    for _ in range(2):
        with pytest.raises(ValueError, match="into"):
            known.check(vectors([1.0]), vectors([1.0, 2.0]))
        with pytest.raises(TypeError, match=r"update\.parameters"):
            known.check(vectors([1.0])._replace(parameters=torch.ones(1).double()), vectors([1.0]))
