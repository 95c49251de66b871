"""Answers in one write."""

import asyncio

import pytest

from elephas_torch.parameter.cork import Corked, Encrypted

BIT = 131_072


class Transport:
    """Notes the writes that reach it."""

    def __init__(self):
        self.writes, self.closed = [], False

    def writelines(self, pieces):
        self.writes.append(b"".join(pieces))

    def is_closing(self):
        return self.closed

    def close(self):
        self.closed = True

    def get_write_buffer_size(self):
        return 7


def corked(kind, use):
    """What reaches the transport of what `use` does inside a loop, and a turn of it later."""

    async def run():
        transport = Transport()
        use(kind(transport, asyncio.get_running_loop()), transport)
        await asyncio.sleep(0)
        return transport.writes

    return asyncio.run(run())


@pytest.mark.parametrize("kind", [Corked, Encrypted])
def test_pieces_leave_in_one_write_when_the_loop_goes_round(kind):
    def use(cork, transport):
        cork.write(b"one ")
        cork.write(b"two")
        assert not transport.writes and cork.get_write_buffer_size() == 7

    assert corked(kind, use) == [b"one two"]


@pytest.mark.parametrize("kind", [Corked, Encrypted])
def test_or_at_once_behind_what_waits(kind):
    def use(cork, transport):
        cork.write(b"one ")
        cork.writelines([b"two ", b"three"])
        assert transport.writes == [b"one two three"]
        cork.write(b"four")
        cork.close()
        assert transport.closed
        cork.write(b"nothing more")

    assert corked(kind, use) == [b"one two three", b"four"]


@pytest.mark.parametrize("rest", [0, 5])
def test_large_pieces_are_encrypted_bit_by_bit(rest):
    large = bytes(range(256)) * (2 * BIT // 256) + bytes(rest)
    pieces = [b"head", b"reply", memoryview(large), b"end"]
    found = corked(Encrypted, lambda cork, _: cork.writelines(list(pieces)))
    assert b"".join(found) == b"".join(pieces)
    assert [len(one) for one in found] == [9 + BIT, BIT, *([rest] if rest else []), 3]
    assert corked(Corked, lambda cork, _: cork.writelines(list(pieces))) == [b"".join(pieces)]
