"""Codecs against plain formulas: torch's own bfloat16, NumPy for the others."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from elephas_torch.errors import Refused
from elephas_torch.parameter import codec
from elephas_torch.parameter.codec import Bf16, Int8, TopK

CODECS = [Bf16(), Int8(), Int8(block=8), TopK(), TopK(0.3)]
vectors = st.lists(
    st.floats(-(2.0**100), 2.0**100, width=32) | st.sampled_from([0.0, -0.0, 1e-42, 2.0**-126]),
    max_size=70,
).map(lambda numbers: torch.tensor(numbers, dtype=torch.float32))


def sent(used, vector):
    """A vector as it arrives, and the payload."""
    payload = torch.full((used.length(len(vector)),), 77, dtype=torch.uint8)
    used.encode(vector, payload)
    used.check(payload, len(vector))
    out = torch.full_like(vector, math.nan)
    used.decode(payload, out)
    return out, payload


def drawn(n, seed=0):
    return torch.randn(n, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(
    ("used", "size"),
    [(Bf16(), 2_000_000), (Int8(), 1_003_908), (TopK(), 80_000), (TopK(0.001), 8_000)],
)
def test_a_million_parameters_take_as_many_bytes_as_the_page_says(used, size):
    assert used.length(1_000_000) == size


@given(vectors)
def test_bf16_is_torchs(vector):
    out, payload = sent(Bf16(), vector)
    assert out.equal(vector.to(torch.bfloat16).float())
    assert (
        payload.view(torch.bfloat16)
        .view(torch.int16)
        .equal(vector.to(torch.bfloat16).view(torch.int16))
    )


@given(vectors, st.sampled_from([1, 3, 8, 1024]))
def test_int8_is_the_formula(vector, block):
    out, payload = sent(Int8(block), vector)
    scales = payload[: 4 * -(-len(vector) // block)].view(torch.float32).numpy()
    multiples = payload[4 * len(scales) :].view(torch.int8).numpy()
    x = vector.numpy()
    for number, scale in enumerate(scales):
        part = slice(number * block, (number + 1) * block)
        largest = np.abs(x[part]).max() / np.float32(127)
        assert scale == (largest if largest >= np.finfo(np.float32).tiny else 0)
        expected = np.rint(x[part] / scale) if scale else np.zeros(len(x[part]))
        assert (multiples[part] == expected).all()
        assert (out.numpy()[part] == multiples[part].astype(np.float32) * scale).all()
        assert (np.abs(out.numpy()[part] - x[part]) <= 0.5001 * scale + 127 * 2.0**-126).all()


@given(vectors, st.sampled_from([0.01, 0.1, 0.49]))
def test_topk_sends_the_largest_as_they_are(vector, share):
    out, payload = sent(TopK(share), vector)
    k = math.ceil(share * len(vector))
    assert len(payload) == 8 * k
    places = payload[: 4 * k].view(torch.int32).long()
    assert out[places].equal(vector[places])
    assert sorted(vector.abs().tolist())[len(vector) - k :] == sorted(out[places].abs().tolist())
    assert int((out != 0).sum()) <= k


@pytest.mark.parametrize("n", [65_536, 65_537, 200_000, 1_000_003])
@pytest.mark.parametrize("share", [0.0001, 0.01, 0.4])
def test_the_sampled_threshold_finds_the_exact_places(n, share):
    vector = drawn(n) * torch.linspace(0.1, 9, n) ** 3
    k = TopK(share).count(n)
    expected = torch.topk(vector.abs(), k).indices.sort().values
    assert codec.largest(vector, k).equal(expected)


@pytest.mark.parametrize("filled", [0, 10, 1_000, 1_001, 30_000])
def test_topk_of_a_vector_of_mostly_zeros_or_equals(filled):
    vector = torch.zeros(100_000)
    vector[torch.arange(filled) * 3] = -2.0
    out, payload = sent(TopK(), vector)
    assert len(payload) == 8_000 and int((out == -2.0).sum()) == min(filled, 1_000)


def test_topk_of_large_magnitudes_where_no_sample_falls():
    vector = torch.full((100_000,), 1e-3)
    vector[1:1_000:7] = 5.0
    assert vector[codec.largest(vector, 143)].eq(5.0).all()
    spiky = torch.zeros(100_000)
    spiky[::6] = 1.0  # every sixth, as the sample goes: it sees nothing else
    assert spiky[codec.largest(spiky, 16_000)].eq(1.0).all()


@given(vectors, st.sampled_from(CODECS))
def test_what_is_added_is_what_is_decoded(vector, used):
    out, payload = sent(used, vector)
    other = drawn(len(vector))
    for sign in (1, -1):
        total = other.clone()
        used.add(payload, total, sign)
        assert total.equal(other + sign * out)


@pytest.mark.parametrize("used", [Bf16(), Int8(), TopK()])
def test_large_vectors_are_as_the_sum_of_their_parts(used):
    vector = drawn(150_001)
    out, payload = sent(used, vector)
    total = vector.clone()
    used.add(payload, total, -1)
    assert total.equal(vector - out)


@given(st.binary(min_size=400, max_size=400), st.sampled_from(CODECS))
def test_any_bytes_are_refused_or_decoded_without_harm(data, used):
    n = 50
    payload = torch.frombuffer(bytearray(data[: used.length(n)]), dtype=torch.uint8)
    guarded = torch.zeros(n + 2)
    try:
        used.check(payload, n)
    except Refused:
        return
    used.decode(payload, guarded[1:-1])
    assert guarded[0] == guarded[-1] == 0


def bytes_of(*parts):
    return torch.cat([torch.tensor(one, dtype=kind).view(torch.uint8) for one, kind in parts])


@pytest.mark.parametrize(
    ("used", "payload", "reason"),
    [
        (Int8(), bytes_of(([math.nan], torch.float32), ([1] * 8, torch.int8)), "Scales.*finite"),
        (Int8(), bytes_of(([math.inf], torch.float32), ([1] * 8, torch.int8)), "Scales.*finite"),
        (Int8(), bytes_of(([-1.0], torch.float32), ([1] * 8, torch.int8)), "0 or more"),
        (TopK(0.2), bytes_of(([1, 8], torch.int32), ([1.0, 1.0], torch.float32)), "0 to 7"),
        (TopK(0.2), bytes_of(([-1, 3], torch.int32), ([1.0, 1.0], torch.float32)), "0 to 7"),
        (TopK(0.2), bytes_of(([3, 3], torch.int32), ([1.0, 1.0], torch.float32)), "above the one"),
        (TopK(0.2), bytes_of(([3, 1], torch.int32), ([1.0, 1.0], torch.float32)), "above the one"),
        (TopK(0.2), bytes_of(([1, 3], torch.int32), ([1.0, math.nan], torch.float32)), "non-fin"),
    ],
)
def test_payloads_that_cannot_be_are_refused(used, payload, reason):
    assert len(payload) == used.length(8)
    with pytest.raises(Refused, match=reason):
        used.check(payload, 8)


def test_descriptions_have_one_form():
    assert codec.checked("topk") == codec.checked(["topk", 0.01]) == ("topk", 0.01)
    assert [codec.checked(one) for one in (None, "bf16", "int8")] == [None, "bf16", "int8"]


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("int4", "Unknown compression: 'int4'. Did you mean 'int8'"),
        (True, "Unknown compression: True"),
        (("int8", 0.1), "Unknown compression"),
        (("topk", 0), "above 0 and below 0.5"),
        (("topk", 0.5), "above 0 and below 0.5"),
        (("topk", math.nan), "above 0 and below 0.5"),
        (("topk", True), "above 0 and below 0.5"),
        (("topk", "1%"), "above 0 and below 0.5"),
    ],
)
def test_other_descriptions_are_value_errors(value, message):
    with pytest.raises(ValueError, match=message):
        codec.checked(value)


def test_vectors_too_short_to_gain_travel_as_they_are():
    assert codec.of(None, 1000) is None
    for spec, used in [("bf16", Bf16()), ("int8", Int8()), (("topk", 0.01), TopK())]:
        assert [codec.of(spec, n) for n in (0, 4, 5)] == [None, None, used]
