"""What a scheduler and the process that replaces it say to each other: lines of JSON on a socket that only they have.

Knows the words and that the end of the connection is one, too: a process that has ended says nothing more.  It does not
know what either side does about them.
"""

from __future__ import annotations

import asyncio
import socket

import msgspec

from kmsched.errors import ProtocolError, Unavailable

SCHEMA = 1
MAX_LINE_BYTES = 16_384
#: characters; each may become six in a line
MAX_REASON = 2000

#: of the replacement: its copies are whole, and it could lead
READY = "ready"
#: to the replacement: nobody acts any more, it is to lead
LEAD = "lead"
#: of the replacement: Mesos has subscribed it
LEADING = "leading"
#: of the replacement: it cannot, and why
FAILED = "failed"


class Word(msgspec.Struct, frozen=True, omit_defaults=True):
    """One line. What does not belong to what is said is empty."""

    said: str
    schema: int = SCHEMA
    fingerprint: str = ""
    version: str = ""
    term: int = 0
    reason: str = ""


class Ended(Unavailable):
    """The other side has closed the connection, by ending or on purpose."""


class Channel:
    """One side of the connection; `open` it in the loop that uses it."""

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None

    async def open(self) -> None:
        self._socket.setblocking(False)
        self._reader, self._writer = await asyncio.open_unix_connection(sock=self._socket, limit=MAX_LINE_BYTES)

    async def send(self, word: Word) -> None:
        """Ended: nobody is there."""
        assert self._writer is not None, "open comes first"
        try:
            self._writer.write(msgspec.json.encode(word) + b"\n")
            await self._writer.drain()
        except ConnectionError as error:
            raise Ended(str(error)) from error

    async def receive(self) -> Word:
        """Ended: the other side is gone. ProtocolError quotes what is no word."""
        assert self._reader is not None, "open comes first"
        try:
            line = await self._reader.readline()
        except ConnectionError as error:
            raise Ended(str(error)) from error
        except ValueError as error:
            raise ProtocolError(f"it said more than {MAX_LINE_BYTES} bytes in one line") from error
        # who dies in the middle of a word has said nothing
        if not line.endswith(b"\n"):
            raise Ended("the connection was closed")
        try:
            word = msgspec.json.decode(line, type=Word)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise ProtocolError(f"it said {line[:80]!r}, which is no word of a handover") from error
        if word.schema != SCHEMA:
            raise ProtocolError(f"it speaks schema {word.schema} of the handover, and this version schema {SCHEMA}")
        return word

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()
        else:
            self._socket.close()
