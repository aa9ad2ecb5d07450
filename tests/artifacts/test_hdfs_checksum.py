"""HDFS's checksum, computed here: the digits are those that HDFS 3.4.1 gave for these bytes."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest

from kmsched.artifacts.hdfs_checksum import crcs_of, proves


@dataclass(frozen=True)
class Told:
    algorithm: str
    digits: str
    block_bytes: int


def content(size: int) -> bytes:
    return bytes(number % 251 for number in range(size))


ONE_BLOCK = Told("MD5-of-0MD5-of-512CRC32C", "0000020000000000000000005398e0bf4dd7d043de555fd13485c7ab00000000", 65536)
SIX_BLOCKS = replace(
    ONE_BLOCK,
    algorithm="MD5-of-128MD5-of-512CRC32C",
    digits="00000200000000000000008074ddc6880a2b82d8b6f2a2dc49ab9f9900000000",
)


@pytest.mark.parametrize(("told", "size"), [(ONE_BLOCK, 1000), (SIX_BLOCKS, 5 * 65536 + 777)])
def test_what_hdfs_said(told: Told, size: int) -> None:
    assert proves(told, crcs_of(content(size)))
    assert not proves(told, crcs_of(content(size)[:-1]))
    assert not proves(told, crcs_of(b"?" + content(size)[1:]))


def test_chunks_add_up() -> None:
    whole = content(5 * 65536 + 777)
    pieces = [whole[start : start + 2048] for start in range(0, len(whole), 2048)]
    assert b"".join(map(crcs_of, pieces)) == crcs_of(whole)


@pytest.mark.parametrize(
    "told",
    [
        replace(ONE_BLOCK, algorithm="COMPOSITE-CRC32C"),
        replace(ONE_BLOCK, algorithm="MD5-of-0MD5-of-512CRC32"),
        replace(ONE_BLOCK, algorithm="MD5-of-0MD5-of-4096CRC32C"),
        replace(ONE_BLOCK, block_bytes=0),
        replace(ONE_BLOCK, block_bytes=1000),
        replace(ONE_BLOCK, digits=""),
    ],
)
def test_another_form_proves_nothing(told: Told) -> None:
    assert not proves(told, crcs_of(content(1000)))
