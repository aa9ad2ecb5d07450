"""The version that a km file carries, read from its own archive without running it.

Knows how `kmsched.artifacts.bundle` nests a km file.  Any other file has no version, and is not an error.
"""

from __future__ import annotations

import re
import zipfile
import zlib
from pathlib import Path

MAX_BYTES = 1 << 16
_VERSION = re.compile(rb"""^__version__ = ["']([0-9A-Za-z.+!_-]{1,64})["']""", re.MULTILINE)


def version_of(file: Path) -> str:
    """What `km version` says, as 0.1.0; "" if it is no km file."""
    try:
        with (
            zipfile.ZipFile(file) as outer,
            outer.open("payload.zip") as payload,
            zipfile.ZipFile(payload) as inner,
            inner.open("kmsched/__init__.py") as source,
        ):
            found = _VERSION.search(source.read(MAX_BYTES))
    except (OSError, KeyError, ValueError, RuntimeError, NotImplementedError, zlib.error, zipfile.BadZipFile):
        return ""
    return found[1].decode() if found else ""
