import pytest
from hypothesis import given
from hypothesis import strategies as st

from elephas_torch.keras.layers.shapes import (
    fits,
    same_padding,
    shown,
    transposed_crops,
    transposed_length,
    window_length,
)


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


@given(
    st.integers(1, 9),
    st.integers(1, 5),
    st.integers(1, 5),
    st.sampled_from(["valid", "same"]),
    st.integers(1, 3),
    st.booleans(),
)
def test_transposed_windows_reach_all_that_is_kept(n, size, stride, padding, dilation, told):
    dilation = 1 if stride > 1 else dilation
    added = stride - 1 if told else None
    length = transposed_length(n, size, stride, padding, added, dilation)
    before, after = transposed_crops(size, stride, padding, added, dilation)
    reach = dilation * (size - 1) + 1
    assert length == (n - 1) * stride + reach - before - after
    # What torch adds at the end has to be less than the stride, and it cuts the same off both ends.
    assert after > -stride
    assert before == 0 or 0 <= after - before <= 1
    if added is None:
        whole = n * stride
        assert length == (whole if padding == "same" else whole - stride + max(reach, stride))


def test_an_unknown_length_stays_unknown_the_other_way_too():
    assert transposed_length(None, 3, 2, "same") is None
