"""Answers as bytes; what a connection makes of requests: test_protocol.py and test_guard.py."""

import json

from elephas_torch.parameter.http import Response, refusal


def test_an_answer_has_its_head_before_the_pieces_of_its_body():
    body = [b"abc", memoryview(b"def")]
    made = Response(200, [(b"content-length", b"6")], body)
    head = b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\n"
    assert made.pieces() == [head + b"\r\n", *body] and made.pieces()[2] is body[1]
    assert made.pieces(close=True)[0] == head + b"connection: close\r\n\r\n"


def test_a_refusal_says_why_and_ends_the_connection():
    head, body = refusal(431, "Too much.").pieces()
    assert head.startswith(b"HTTP/1.1 431 ") and b"\r\nconnection: close\r\n" in head
    assert b"\r\ncontent-length: %d\r\n" % len(body) in head
    assert json.loads(body) == {"error": "refused", "reason": "Too much."}
