"""Reading a file that a flag names, and that somebody may have named by mistake.

Knows that such a file is small, and text.  It does not know what the text is for.
"""

from __future__ import annotations

from pathlib import Path

#: no flags file, secret or password is longer; a device never ends
MAX_BYTES = 1 << 20


def small_text(path: Path, encoding: str = "utf-8") -> str:
    """What the file holds. ValueError completes "cannot read 'path': ..."; nothing of the content is told."""
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
        if len(content) > MAX_BYTES:
            raise ValueError(f"it has more than {MAX_BYTES >> 20} MiB")
        return content.decode(encoding)
    except OSError as error:
        raise ValueError(error.strerror or str(error)) from error
    except UnicodeDecodeError:
        raise ValueError("it is not UTF-8") from None
