"""JSON bytes into typed values, with one kind of error for everything that can be wrong with them."""

from __future__ import annotations

from typing import TypeVar

import msgspec

from kmsched.errors import ProtocolError

T = TypeVar("T")

#: What msgspec raises for bytes that are not what a decoder wants; the last one for JSON nested too deep.
UNDECODABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)

SHOWN_BYTES = 100


def decode(decoder: msgspec.json.Decoder[T], body: bytes, what: str) -> T:
    """What `decoder` makes of `body`; ProtocolError says what it was meant to be, and where it is not."""
    try:
        return decoder.decode(body)
    except UNDECODABLE as error:
        start = body[:SHOWN_BYTES].decode("utf-8", "replace")
        raise ProtocolError(f"{what} is not what the protocol allows: {error}; it begins {start!r}") from error
