import dataclasses
import json
import math
import struct

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from elephas_torch.errors import Refused
from elephas_torch.flat import Vectors
from elephas_torch.parameter import Push, Reply, Settings, wire

SIZES = (3, 2, 1)
whole = st.integers(0, 2**63 - 1)


@given(whole, whole, whole, whole, st.integers(1, 2**63 - 1), whole, st.booleans())
def test_a_push_comes_back_as_it_went(worker, attempt, seq, base, samples, epoch, last):
    push = Push(worker, attempt, seq, base, samples, epoch, last)
    assert wire.unpack_push(wire.pack_push(push, SIZES), SIZES) == push


@given(whole, st.booleans(), st.none() | st.floats(allow_nan=False))
def test_a_reply_comes_back_as_it_went(version, stop, rate):
    reply = Reply(version, stop, rate)
    assert wire.unpack_reply(wire.pack_reply(reply, SIZES), SIZES) == reply


@given(st.binary(max_size=200))
def test_garbage_is_refused_and_nothing_else(data):
    for unpack in (wire.unpack_push, wire.unpack_reply):
        with pytest.raises(Refused):
            unpack(data, SIZES)


@given(st.integers(0, wire.PUSH_BYTES - 1), st.integers(0, 255))
def test_a_changed_byte_is_refused_or_gives_a_valid_push(where, byte):
    data = bytearray(wire.pack_push(Push(1, 0, 2, 3, 4, 5, False), SIZES))
    data[where] = byte
    try:
        push = wire.unpack_push(bytes(data), SIZES)
    except Refused:
        return
    assert min(push[:6]) >= 0 and push.samples >= 1


def test_the_bytes_of_a_push_are_those_of_the_page():
    data = wire.pack_push(Push(1, 2, 3, 4, 5, 6, True), SIZES)
    assert data == b"ELPH" + struct.pack("<HH6q3Q", 1, 1, 1, 2, 3, 4, 5, 6, *SIZES)
    assert len(data) == wire.PUSH_BYTES == 80


def test_the_bytes_of_a_reply_are_those_of_the_page():
    data = wire.pack_reply(Reply(7, True, 0.5), SIZES)
    assert data == b"ELPH" + struct.pack("<HHqd3Q", 1, 3, 7, 0.5, *SIZES)
    assert len(data) == wire.REPLY_BYTES == 48


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: b"HTTP" + d[4:], "Not a message"),
        (lambda d: d[:4] + b"\x02\x00" + d[6:], r"protocol 2; this side speaks 1.*same version"),
        (lambda d: d[:6] + b"\x08\x00" + d[8:], "flags"),
        (lambda d: d[:40] + bytes(8) + d[48:], "samples of 1 or more"),
        (lambda d: d[:20] + b"\xff" * 4 + d[24:], "0 or more"),
        (lambda d: d[:79], "at least 80"),
    ],
)
def test_a_wrong_push_is_refused_with_the_reason(change, message):
    data = wire.pack_push(Push(1, 2, 3, 4, 5, 6, False), SIZES)
    with pytest.raises(Refused, match=message):
        wire.unpack_push(change(data), SIZES)


def test_vectors_of_other_lengths_are_refused():
    data = wire.pack_push(Push(1, 2, 3, 4, 5, 6, False), SIZES)
    with pytest.raises(Refused, match=r"\(3, 2, 1\); this side has \(4, 2, 1\)"):
        wire.unpack_push(data, (4, 2, 1))


@pytest.mark.parametrize("sizes", [(3, 2, 1), (0, 0, 0), (5, 0, 0), (0, 0, 2), (1, 1, 1)])
def test_an_allocated_body_holds_what_the_buffers_hold(sizes):
    sent = Vectors(torch.randn(sizes[0]), torch.randn(sizes[1]), torch.randint(0, 99, (sizes[2],)))
    body = wire.allocate(sizes, wire.PUSH_BYTES)
    data = b"".join(wire.buffers(sent))
    assert len(data) == wire.vector_bytes(sizes)
    body.buffer[wire.PUSH_BYTES :] = data
    assert all(a.equal(b) for a, b in zip(body.vectors, sent, strict=True))


def test_vectors_lie_in_the_order_of_the_page(vectors):
    data = b"".join(wire.buffers(vectors([1.0, 2.0], [3.0], [4])))
    assert data == struct.pack("<q3f", 4, 1.0, 2.0, 3.0)


@pytest.mark.parametrize(
    "wrong",
    [torch.zeros(3).double(), torch.zeros(3, 1), torch.zeros(6)[::2], [0.0, 0.0, 0.0]],
)
def test_tensors_of_another_kind_are_type_errors(vectors, wrong):
    with pytest.raises(TypeError, match=r"update.parameters.*contiguous 1-D.*Received"):
        wire.check_vectors(vectors([1.0])._replace(parameters=wrong), None, "update")


def test_settings_travel_as_json():
    settings = Settings("hogwild", SIZES, {"class_name": "SGD"}, [1, 2], 4, None, gated=True)
    settings = dataclasses.replace(settings, compression="topk", embeddings=[(0, 1, 3)])
    data = json.loads(json.dumps(wire.settings_to_json(settings)))
    assert wire.settings_from_json(data) == settings


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"mode": "asynchron"}, "Did you mean 'asynchronous'"),
        ({"staleness": "scaled"}, "staleness='scaled'"),
        ({"sizes": (1, 2)}, "three lengths"),
        ({"workers": 0}, "workers=0"),
        ({"lease": 0}, "lease=0"),
        ({"compression": "zip"}, "Unknown compression: 'zip'"),
        ({"embeddings": [(0, 2, 2)]}, "beyond the 3 parameters"),
        ({"compression": "topk", "sizes": (2**31, 0, 0)}, "use 'int8'"),
        ({"round_timeout": math.nan}, "round_timeout=nan"),
    ],
)
def test_wrong_settings_are_value_errors(change, message):
    given = {"mode": "synchronous", "sizes": SIZES, "optimizer": {}, **change}
    with pytest.raises(ValueError, match=message):
        Settings(**given)


def test_json_keeps_nan_and_takes_scalars():
    data = wire.dumps({"loss": math.nan, "n": torch.tensor(3), "x": torch.tensor(0.5)})
    assert data == b'{"loss":NaN,"n":3,"x":0.5}'


def test_json_of_anything_else_is_a_type_error():
    with pytest.raises(TypeError, match="Only numbers"):
        wire.dumps({"model": object()})
