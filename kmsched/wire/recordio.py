"""RecordIO, the framing of Mesos' event streams: `<length in decimal>\\n<bytes>`, again and again.

Knows where records begin and end, whatever way the network cut them.  Refuses to know what is in them.
"""

from __future__ import annotations

from kmsched.errors import ProtocolError

#: An OFFERS event of 10,000 agents has some 11 MB.
MAX_RECORD_BYTES = 64 * 1024 * 1024
#: A length has as many digits as the largest record allowed.
MAX_LENGTH_DIGITS = len(str(MAX_RECORD_BYTES))


class Decoder:
    """Records from chunks of any size, in time linear in the bytes fed."""

    def __init__(self, max_record_bytes: int = MAX_RECORD_BYTES) -> None:
        self._max_record_bytes = max_record_bytes
        self._buffer = bytearray()
        self._expected: int | None = None

    def feed(self, chunk: bytes) -> list[bytes]:
        """The records that `chunk` completes.

        ProtocolError: a length that is no number or too large.  The decoder is of no use after it.
        """
        self._buffer += chunk
        buffer, held, expected = self._buffer, len(self._buffer), self._expected
        records = []
        position = 0
        # a slice of the view is copied once, one of the buffer twice
        with memoryview(buffer) as view:
            while True:
                if expected is None:
                    end = buffer.find(b"\n", position, position + MAX_LENGTH_DIGITS + 1)
                    if end < 0:
                        self._check_unfinished_length(position)
                        break
                    expected = self._length(buffer[position:end])
                    position = end + 1
                beyond = position + expected
                if beyond > held:
                    break
                records.append(bytes(view[position:beyond]))
                position, expected = beyond, None
        # Once per feed: cutting after each record would copy the rest as often as there are records.
        del buffer[:position]
        self._expected = expected
        return records

    def is_between_records(self) -> bool:
        """Whether nothing of an unfinished record is held: only there may a stream end well."""
        return self._expected is None and not self._buffer

    def _length(self, digits: bytearray) -> int:
        if not digits.isdigit():
            raise ProtocolError(f"a RecordIO length must be decimal digits, not {bytes(digits)!r}")
        length = int(digits)
        if length > self._max_record_bytes:
            raise ProtocolError(f"a RecordIO record of {length} bytes is above the limit of {self._max_record_bytes}")
        return length

    def _check_unfinished_length(self, position: int) -> None:
        start = bytes(self._buffer[position : position + MAX_LENGTH_DIGITS + 1])
        if len(start) > MAX_LENGTH_DIGITS or (start and not start.isdigit()):
            raise ProtocolError(f"a RecordIO length must be decimal digits and a newline, not {start!r}")


def encode(record: bytes) -> bytes:
    """`record` with its length before it."""
    return b"%d\n%s" % (len(record), record)
