"""Settings that reach running executors beside their spec: with each launch, and in Mesos' framework messages.

Knows the JSON in both directions and its schema number.  What the settings mean is the executor's; names that it does
not know are let pass, so that a scheduler of one release works with executors of the one before and the one after.
"""

from __future__ import annotations

from typing import Any

import msgspec

from kmsched.errors import ProtocolError

SCHEMA = 1


class HotSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Flag name -> normal form of its value. Of two the one with the higher version counts, whichever comes last."""

    schema: int = SCHEMA
    settings_version: int
    settings: dict[str, str]


class _Confirmed(msgspec.Struct, frozen=True, kw_only=True):
    schema: int = SCHEMA
    settings_version: int


def encode(settings: HotSettings) -> bytes:
    return msgspec.json.encode(settings)


def decode(text: bytes) -> HotSettings:
    """A framework message. ProtocolError: something else, or of a schema that is not known here."""
    try:
        value = msgspec.json.decode(text)
    except (UnicodeDecodeError, msgspec.MsgspecError, RecursionError) as error:
        raise ProtocolError(f"a message of the scheduler is not understood ({error}), and ignored") from error
    return read(value)


def read(value: Any) -> HotSettings:
    """The same, as it lies in a launch's data."""
    try:
        settings = msgspec.convert(value, type=HotSettings)
    except msgspec.ValidationError as error:
        raise ProtocolError(f"settings of the scheduler are not understood ({error}), and ignored") from error
    if settings.schema != SCHEMA:
        raise ProtocolError(
            f"settings of the scheduler have schema {settings.schema}, this executor reads {SCHEMA}; they are ignored"
        )
    return settings


def confirm(settings_version: int) -> bytes:
    """What an executor answers: the version that it has now."""
    return msgspec.json.encode(_Confirmed(settings_version=settings_version))


def confirmed(text: bytes) -> int:
    """The inverse of `confirm`. ProtocolError: an executor of another kind or release."""
    try:
        answer = msgspec.json.decode(text, type=_Confirmed)
    except (UnicodeDecodeError, msgspec.MsgspecError, RecursionError) as error:
        raise ProtocolError(f"a message of an executor is not understood: {error}") from error
    if answer.schema != SCHEMA:
        raise ProtocolError(f"a message of an executor has schema {answer.schema}, this scheduler reads {SCHEMA}")
    return answer.settings_version
