"""Settings that reach this executor while it runs, beside its command line: which are known here, what they mean.

Knows names, forms and the log's level.  Which of two settings is the newer one is `executor.core`'s.  A name that is
not known here, or a value that cannot be read, comes from a scheduler of another release: it is told and left out.
"""

from __future__ import annotations

import logging
from typing import Any

from kmsched import values
from kmsched.errors import ProtocolError
from kmsched.executor import events as ev
from kmsched.values import Kind
from kmsched.wire import hotsettings
from kmsched.wire.hotsettings import HotSettings

LOG_LEVEL = "agent-log-level"
IDLE_TIMEOUT = "agent-idle-timeout"
LEVELS = frozenset({"debug", "info", "warning", "error"})

log = logging.getLogger(__name__)


def from_message(data: bytes) -> ev.SettingsReceived | None:
    """None: the message is something else, which is told."""
    try:
        return received(hotsettings.decode(data), wants_answer=True)
    except ProtocolError as error:
        log.warning("%s", error)
        return None


def from_launch(settings: Any) -> ev.SettingsReceived | None:
    """The same of a launch's data; the launch itself is good in any case."""
    try:
        return received(hotsettings.read(settings), wants_answer=False)
    except ProtocolError as error:
        log.warning("%s", error)
        return None


def received(told: HotSettings, *, wants_answer: bool) -> ev.SettingsReceived:
    level, idle_timeout_s = "", None
    for name, text in sorted(told.settings.items()):
        if name == LOG_LEVEL and text in LEVELS:
            level = text
        elif name == IDLE_TIMEOUT:
            idle_timeout_s = _seconds(text)
        else:
            log.warning("the setting %s=%r is not known to this executor, and left out", name, text)
    return ev.SettingsReceived(told.settings_version, level, idle_timeout_s, wants_answer)


def set_log_level(level: str) -> None:
    """One of `LEVELS`, for all of this process."""
    logging.getLogger().setLevel(level.upper())


def _seconds(text: str) -> float | None:
    try:
        seconds: float = values.read(Kind.DURATION, text)
    except ValueError as error:
        log.warning("the setting %s: %r %s; it is left out", IDLE_TIMEOUT, text, error)
        return None
    return seconds
