"""Log lines on stderr, as text or JSON: one line for each decision.

Knows formats and levels.  It does not know where lines end up: systemd or Mesos keep stderr.
"""

from __future__ import annotations

import json
import logging
import sys
import time
from typing import TextIO

#: attributes that every record has; what is passed as `extra=` comes on top
_PLAIN = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
#: fields that the words of the line tell already, as `extra={PARTS: {...}}`: text leaves them out, JSON has them
PARTS = "parts"
#: what came from elsewhere may neither begin a line nor move a terminal's cursor
_ESCAPED = {code: repr(chr(code))[1:-1] for code in (*range(32), 127, 0x85, 0x2028, 0x2029) if code != ord("\t")}


class TextFormat(logging.Formatter):
    """`2026-01-31T12:00:00.123Z INFO core: words key=value`, in UTC and on one line but for tracebacks."""

    default_time_format = "%Y-%m-%dT%H:%M:%S"
    default_msec_format = "%s.%03dZ"

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s")
        self.converter = time.gmtime

    def formatMessage(self, record: logging.LogRecord) -> str:
        fields = "".join(f" {name}={value}" for name, value in _extra(record).items())
        return (super().formatMessage(record) + fields).translate(_ESCAPED)


class JsonFormat(logging.Formatter):
    """One JSON object a line: ts, level, logger, msg, then the record's own fields."""

    default_time_format = TextFormat.default_time_format
    default_msec_format = TextFormat.default_msec_format

    def __init__(self) -> None:
        super().__init__()
        self.converter = time.gmtime

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "ts": self.formatTime(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "msg": record.getMessage(),
            **_extra(record),
            **getattr(record, PARTS, {}),
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


def setup(form: str, level: str, stream: TextIO | None = None) -> None:
    """Send all logging to `stream` (stderr). `form` is text or json, `level` one of the flag's choices."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonFormat() if form == "json" else TextFormat())
    root = logging.getLogger()
    for old in root.handlers[:]:
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(level.upper())


def _extra(record: logging.LogRecord) -> dict[str, object]:
    return {name: value for name, value in vars(record).items() if name not in _PLAIN and name != PARTS}
