"""Rows of embeddings: the same gradient, bit by bit, in fewer bytes."""

import struct

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from elephas_torch import optimizers
from elephas_torch.errors import Refused
from elephas_torch.flat import Vectors
from elephas_torch.parameter import InMemoryClient, Push, rows, wire
from elephas_torch.parameter.packing import Layout, Packer
from elephas_torch.parameter.rows import Rows
from elephas_torch.parameter.state import State

#: 3 dense elements, 40 rows of 6, 5 dense, 20 rows of 3, nothing behind.
SPANS, N = [(3, 40, 6), (248, 20, 3)], 308
SIZES = (N, 2, 1)


def gradient(first=(), second=(), seed=0):
    """A gradient that touches these rows."""
    vector = torch.randn(N, generator=torch.Generator().manual_seed(seed))
    keep = torch.zeros(N, dtype=torch.bool)
    keep[:3], keep[243:248] = True, True
    keep[3:243].view(40, 6)[list(first)] = True
    keep[248:].view(20, 3)[list(second)] = True
    return vector.where(keep, 0.0)  # a product would have negative zeros


def vectors_of(parameters):
    return Vectors(parameters, torch.tensor([0.5, 0.25]), torch.tensor([7]))


def push_of(seq=0):
    return Push(0, 0, seq, 0, 1, 0, False)


def unpacked(layout, data):
    """What a server makes of a push, over rubbish of the one before."""
    into = wire.allocate(SIZES).vectors
    into.parameters.fill_(9.0)
    assert layout.allows(len(data))
    layout.unpack(memoryview(bytearray(data)), into)
    return into


row_numbers = st.sets(st.integers(0, 19), max_size=20).map(sorted)


@given(row_numbers, row_numbers)
def test_any_rows_come_as_they_went(first, second):
    sent = gradient(first, second)
    sent[3:243].view(40, 6)[first[:1]] = -0.0
    packer, layout = Packer(SIZES, None, SPANS), Layout(SIZES, None, SPANS)
    data = b"".join(packer.pieces(push_of(), vectors_of(sent)))
    if wire.form(data):
        assert len(data) < layout.plain
        found = unpacked(layout, data)
        assert found.parameters.view(torch.int32).equal(sent.view(torch.int32))
        assert found.state.tolist() == [0.5, 0.25] and found.counters.tolist() == [7]
    else:
        assert len(data) == layout.plain


def test_the_bytes_are_those_of_the_page():
    sent = gradient([7, 30], [0])
    data = b"".join(Packer(SIZES, None, SPANS).pieces(push_of(), vectors_of(sent)))
    table, other = sent[3:243].view(40, 6), sent[248:].view(20, 3)
    picked = [*sent[:3], *table[7], *table[30], *sent[243:248], *other[0]]
    expected = struct.pack("<q2f2i3i23f", 7, 0.5, 0.25, 2, 1, 7, 30, 0, *picked)
    assert data == wire.pack_push(push_of(), SIZES, wire.BY_ROWS) + expected
    assert len(data) == 80 + 8 * 1 + 4 * 2 + 4 * 2 + 4 * 3 + 4 * (8 + 2 * 6 + 1 * 3)


def test_rows_are_sent_only_where_that_is_shorter():
    packer = Packer(SIZES, None, SPANS)
    lengths = []
    for count in (0, 31, 32, 40):
        pieces = packer.pieces(push_of(), vectors_of(gradient(range(count), range(20))))
        lengths.append(sum(len(piece) for piece in pieces))
    plain = 80 + 16 + 4 * N
    assert lengths == [96 + 4 * 90, 96 + 4 * 307, plain, plain]


def test_a_row_of_negative_zeros_is_sent():
    sent = gradient()
    sent[3:243].view(40, 6)[11] = -0.0
    assert [one.tolist() for one in Rows(SPANS, N).touched(sent)] == [[11], []]


@pytest.mark.parametrize(
    "rule",
    [
        optimizers.SGD(0.1), optimizers.SGD(0.1, momentum=0.9, nesterov=True),
        optimizers.Adagrad(0.1), optimizers.Adam(0.01), optimizers.RMSprop(0.01),
        optimizers.Adadelta(1.0), optimizers.AdamW(0.01), optimizers.SGD(0.1, clipnorm=0.5),
    ],
    ids=lambda rule: type(rule).__name__,
)  # fmt: skip
@pytest.mark.parametrize("mode", ["synchronous", "asynchronous", "hogwild"])
def test_each_optimizer_steps_bit_by_bit_as_with_all_rows(settings, mode, rule):
    ends, bytes_ = [], []
    for embeddings in ([], SPANS):
        first = vectors_of(torch.randn(N, generator=torch.Generator().manual_seed(9)))
        chosen = settings(mode, first, rule, embeddings=embeddings, weight_sizes=[3, 240, 5, 60])
        state = State(chosen, first)
        client, into = InMemoryClient(state), first.clone()
        client.join(0, 0, samples=1)
        client.pull(into)
        for seq in range(12):
            update = gradient([seq, 2 * seq], [seq % 4], seed=seq)
            client.exchange(push_of(seq)._replace(base_version=seq), vectors_of(update), into)
        ends.append(into)
        bytes_.append(state.bytes["received"])
    assert ends[0].parameters.view(torch.int32).equal(ends[1].parameters.view(torch.int32))
    assert bytes_[1] < bytes_[0] / 3


@pytest.mark.parametrize("spec", ["bf16", "int8"])
def test_a_codec_packs_the_rows_and_keeps_what_it_drops_of_each(spec):
    packer, layout = Packer(SIZES, spec, SPANS), Layout(SIZES, spec, SPANS)
    total, expected = torch.zeros(N), torch.zeros(N)
    for seq in range(30):
        update = gradient([1, seq], [seq % 5], seed=seq)
        data = b"".join(packer.pieces(push_of(seq), vectors_of(update)))
        assert wire.form(data) == wire.BY_CODEC | wire.BY_ROWS
        assert len(data) < layout.whole
        total += unpacked(layout, data).parameters
        expected += update
    # What isn't there yet is less than a single rounding: it is kept, and not piled up.
    assert 0 < float((total - expected).abs().max()) < 0.03
    torch.testing.assert_close(total + packer._left, expected, rtol=1e-5, atol=1e-5)


def body(counts, numbers, elements):
    return struct.pack(
        f"<q2f{len(counts)}i{len(numbers)}i", 7, 0.5, 0.25, *counts, *numbers
    ) + bytes(4 * elements)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (body([1, 0], [40], 14), "Rows must be 0 to 39"),
        (body([1, 0], [-1], 14), "Rows must be 0 to 39"),
        (body([2, 0], [3, 3], 20), "above the one before"),
        (body([0, 2], [5, 4], 14), "above the one before"),
        (body([-1, 2], [5], 8), "0 or more"),
        (body([2, 0], [1], 14), "of this form has 192 bytes"),
        (body([2**31 - 1, 2**31 - 1], [1], 14), "of this form has"),
        (body([0, 0], [], 8)[:-4], "of this form has 136 bytes"),
        (body([], [], 0)[:-8], "at least"),
    ],
)
def test_rows_that_cannot_be_are_refused(data, reason):
    layout, into = Layout(SIZES, None, SPANS), wire.allocate(SIZES).vectors
    with pytest.raises(Refused, match=reason):
        layout.unpack(memoryview(bytearray(wire.pack_push(push_of(), SIZES, 32) + data)), into)


@given(st.binary(min_size=60, max_size=60))
def test_any_bytes_are_refused_or_unpacked_without_harm(data):
    layout, into = Layout(SIZES, None, SPANS), wire.allocate(SIZES).vectors
    head = wire.pack_push(push_of(), SIZES, wire.BY_ROWS)
    try:
        layout.unpack(memoryview(bytearray(head + data)), into)
    except Refused:
        return
    raise AssertionError("60 bytes are no push of this form")


def test_lengths_are_known_before_a_body_is_read():
    layout = Layout(SIZES, None, SPANS)
    least, plain = 80 + 16 + 8 + 4 * 8, 80 + 16 + 4 * N
    assert [layout.allows(one) for one in (least - 1, least, plain - 1, plain, plain + 1)] == [
        False, True, True, True, False
    ]  # fmt: skip
    by_places = Layout(SIZES, ("topk", 0.1), SPANS)
    assert [one for one in range(2000) if by_places.allows(one)] == [80, 104 + 8 * 31, plain]


@pytest.mark.parametrize(
    "spans",
    [
        [(0, 10, 31)], [(0, 10, 3), (29, 1, 1)], [(-1, 2, 2)], [(0, 0, 5)], [(0, 2)],
        [(0, 2.0, 2)], [(0, 2**31, 1)],
    ],
)  # fmt: skip
def test_embeddings_that_do_not_fit_are_value_errors(spans):
    with pytest.raises(ValueError, match=r"`embeddings`.*Received"):
        rows.checked(spans, N)


@given(st.integers(0, N), st.integers(0, N))
def test_a_piece_of_the_vector_has_the_rows_that_lie_in_it_whole(start, stop):
    start, stop = min(start, stop), max(start, stop)
    found = rows.checked(rows.cut(SPANS, start, stop), stop - start)
    expected = {
        offset + row * width - start
        for offset, count, width in SPANS
        for row in range(count)
        if start <= offset + row * width and offset + (row + 1) * width <= stop
    }
    assert {o + row * w for o, count, w in found for row in range(count)} == expected
