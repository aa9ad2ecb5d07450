"""HDFS's own checksum of a file, computed from the file's bytes here, to be compared with what HDFS says of its copy.

Knows the one form that HDFS 3 has by default: MD5 over the blocks' MD5s, each over the CRC32C of every 512 bytes.  The
last DataNode of each write has checked these CRCs against the data, and every reader checks them again, so equal sums
prove the bytes without reading them back.  A file may have another form (encrypted, other settings, a file that was
appended to): then there is nothing to compare, and nobody may take that for a difference.
"""

from __future__ import annotations

import hashlib
import re
import struct
from typing import Protocol

CRC_EVERY_BYTES = 512
_CRC_BYTES = 4
#: HDFS hashes its whole buffer, which is filled with zeros to this or the next power of two
_BUFFER_BYTES = 32
_ALGORITHM = re.compile(r"MD5-of-\d+MD5-of-512CRC32C")
#: in its hexadecimal digits: bytes for each CRC, CRCs in each block, then this
_MD5 = slice(24, 56)


class Checksum(Protocol):
    """What HDFS says of a file."""

    @property
    def algorithm(self) -> str: ...

    @property
    def digits(self) -> str:
        """Hexadecimal."""
        ...

    @property
    def block_bytes(self) -> int:
        """Of the file's blocks."""
        ...


def crcs_of(chunk: bytes) -> bytes:
    """The CRC32C of every 512 bytes, 4 bytes each. Only the last chunk of a file may end between two."""
    # 150 MB take 0.1 s; in plain Python it would be a minute
    from google_crc32c import value

    crcs = [value(chunk[start : start + CRC_EVERY_BYTES]) for start in range(0, len(chunk), CRC_EVERY_BYTES)]
    return struct.pack(f">{len(crcs)}I", *crcs)


def proves(checksum: Checksum, crcs: bytes) -> bool:
    """Whether the stored file has these CRCs. False proves nothing."""
    if not _ALGORITHM.fullmatch(checksum.algorithm) or checksum.block_bytes % CRC_EVERY_BYTES:
        return False
    step = checksum.block_bytes // CRC_EVERY_BYTES * _CRC_BYTES
    if step <= 0:
        return False
    joined = b"".join(hashlib.md5(crcs[start : start + step]).digest() for start in range(0, len(crcs), step))
    size = _BUFFER_BYTES
    while size < len(joined):
        size *= 2
    return hashlib.md5(joined.ljust(size, b"\0")).hexdigest() == checksum.digits[_MD5].lower()
