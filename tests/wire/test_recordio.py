from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kmsched.errors import ProtocolError
from kmsched.wire.recordio import Decoder, encode

RECORDS = [b'{"type":"HEARTBEAT"}', b"", b"x" * 120, b"7\nseven\n", "ünïcödé".encode()]
STREAM = b"".join(encode(record) for record in RECORDS)


@pytest.mark.parametrize("cut", range(len(STREAM) + 1))
def test_a_stream_cut_anywhere_gives_the_same_records(cut: int) -> None:
    decoder = Decoder()
    assert decoder.feed(STREAM[:cut]) + decoder.feed(STREAM[cut:]) == RECORDS
    assert decoder.is_between_records()


def test_single_bytes_give_the_same_records() -> None:
    decoder = Decoder()
    assert [record for byte in STREAM for record in decoder.feed(bytes([byte]))] == RECORDS


@given(st.lists(st.binary(max_size=50), max_size=8), st.lists(st.integers(0, 400), max_size=8))
def test_any_records_in_any_pieces(records: list[bytes], cuts: list[int]) -> None:
    stream = b"".join(encode(record) for record in records)
    edges = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    decoder = Decoder()
    pieces = [stream[a:b] for a, b in pairwise(edges)]
    assert [record for piece in pieces for record in decoder.feed(piece)] == records


@given(st.binary(max_size=200))
def test_garbage_is_records_or_a_protocol_error(garbage: bytes) -> None:
    decoder = Decoder(max_record_bytes=1000)
    try:
        records = decoder.feed(garbage)
    except ProtocolError as error:
        assert "RecordIO" in str(error)
    else:
        assert sum(len(record) for record in records) <= len(garbage)


@pytest.mark.parametrize(
    ("chunk", "words"),
    [
        (b"<html>", "must be decimal digits and a newline, not b'<html>'"),
        (b"-5\nabcde", "not b'-5"),
        (b"\n", "must be decimal digits, not b''"),
        (b"12 \n", "not b'12 '"),
        (b"123456789", "not b'123456789'"),
        (b"99999999\n", "a RecordIO record of 99999999 bytes is above the limit of 67108864"),
        (b'{"type":"SUBSCRIBED"}', 'not b\'{"type":"\''),
    ],
)
def test_what_is_no_record_is_named(chunk: bytes, words: str) -> None:
    with pytest.raises(ProtocolError) as caught:
        Decoder().feed(chunk)
    assert words in str(caught.value)


def test_an_oversized_record_is_refused_before_it_is_read() -> None:
    with pytest.raises(ProtocolError, match="record of 11 bytes is above the limit of 10"):
        Decoder(max_record_bytes=10).feed(b"11\n")


def test_an_unfinished_record_is_told() -> None:
    decoder = Decoder()
    assert decoder.feed(b"5\nab") == []
    assert not decoder.is_between_records()
    assert decoder.feed(b"cde") == [b"abcde"]
