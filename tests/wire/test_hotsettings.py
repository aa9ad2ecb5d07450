"""Settings for running executors, and what they answer: both directions, other releases, other people's bytes."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kmsched.errors import ProtocolError
from kmsched.wire.hotsettings import HotSettings, confirm, confirmed, decode, encode, read

SETTINGS = HotSettings(settings_version=3, settings={"agent-log-level": "debug", "agent-idle-timeout": "90s"})


def test_what_is_encoded_is_decoded() -> None:
    assert decode(encode(SETTINGS)) == SETTINGS
    assert confirmed(confirm(3)) == 3


def test_the_spelling_is_the_agreed_one() -> None:
    assert json.loads(encode(SETTINGS)) == {
        "schema": 1,
        "settings_version": 3,
        "settings": {"agent-log-level": "debug", "agent-idle-timeout": "90s"},
    }
    assert json.loads(confirm(3)) == {"schema": 1, "settings_version": 3}


def test_names_and_fields_of_a_later_release_are_let_pass() -> None:
    later = {"settings_version": 9, "settings": {"agent-colour": "red"}, "more": [1]}
    assert read(later) == HotSettings(settings_version=9, settings={"agent-colour": "red"})
    assert confirmed(b'{"settings_version":9,"more":{}}') == 9


@pytest.mark.parametrize(
    "text", [b"\xff", b"", b"[]", b'{"settings_version":"3","settings":{}}', b'{"settings_version":3}', b"[" * 5000]
)
def test_other_bytes_are_no_settings(text: bytes) -> None:
    with pytest.raises(ProtocolError, match="ignored"):
        decode(text)


@pytest.mark.parametrize("text", [b"\xff", b"", b"3", b'{"settings_version":"3"}', b"[" * 5000])
def test_other_bytes_confirm_nothing(text: bytes) -> None:
    with pytest.raises(ProtocolError, match="a message of an executor is not understood"):
        confirmed(text)


def test_another_schema_is_named() -> None:
    with pytest.raises(ProtocolError, match="have schema 2, this executor reads 1; they are ignored"):
        decode(b'{"schema":2,"settings_version":3,"settings":{}}')
    with pytest.raises(ProtocolError, match="has schema 2, this scheduler reads 1"):
        confirmed(b'{"schema":2,"settings_version":3}')


@given(st.binary(max_size=60))
def test_no_bytes_raise_anything_else(text: bytes) -> None:
    for reading in (decode, confirmed):
        with pytest.raises(ProtocolError):
            reading(text)
