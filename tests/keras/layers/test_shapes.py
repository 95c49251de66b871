import pytest
from hypothesis import given
from hypothesis import strategies as st

from elephas_torch.keras.layers.shapes import fits, same_padding, shown, window_length


@pytest.mark.parametrize(
    ("spec", "shape", "expected"),
    [
        ((None, ...), (None,), True),
        ((None, ...), (), False),
        ((None, ..., None), (2,), False),
        ((None, ..., 4), (None, 4), True),
        ((None, ..., 4), (None, 7, 8, 4), True),
        ((None, ..., 4), (None, 4, 5), False),
        ((None, ..., 4), (None, None), True),
        ((None, 3, None), (None, 3, 9), True),
        ((None, 3, None), (None, 4, 9), False),
        ((None, 3), (None, 3, 1), False),
        ((None, ...), [(None, 3), (None, 4)], False),
        ((None, ...), 3, False),
    ],
)
def test_fits(spec, shape, expected):
    assert fits(spec, shape) is expected


def test_shown():
    assert shown((None, ..., 4)) == "(None, …, 4)"
    assert shown((3,)) == "(3,)"


@given(st.integers(1, 30), st.integers(1, 6), st.integers(1, 5), st.integers(1, 3))
def test_windows_are_those_that_can_be_counted(length, size, stride, dilation):
    reach = dilation * (size - 1) + 1
    starts = range(0, length - reach + 1, stride)
    assert window_length(length, size, stride, "valid", dilation) == len(starts)
    before, after = same_padding(length, size, stride, dilation)
    padded = range(0, before + length + after - reach + 1, stride)
    outputs = window_length(length, size, stride, "same", dilation)
    assert len(padded) >= outputs == -(-length // stride)
    assert 0 <= after - before <= 1


def test_an_unknown_length_stays_unknown():
    assert window_length(None, 3, 2, "valid") is None
