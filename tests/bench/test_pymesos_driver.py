"""The stream that pymesos is given in place of a socket: one chunked answer, in pieces as they are asked for."""

from __future__ import annotations

from bench.pymesos_driver import HEAD, Bytes


def test_the_stream_is_one_chunked_answer_and_ends() -> None:
    stream = Bytes([b"a" * 17, b"bc"])
    found = b""
    while stream:
        piece = stream.recv(5)
        assert 0 < len(piece) <= 5
        found += piece
    assert found == HEAD + b"11\r\n" + b"a" * 17 + b"\r\n2\r\nbc\r\n"
    assert stream.recv(5) == b""
