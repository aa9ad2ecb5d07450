"""The codec that scheduler and executor share."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kmsched.errors import ProtocolError
from kmsched.wire import hotsettings
from kmsched.wire.taskdata import TaskData, decode, encode


@pytest.mark.parametrize("mode", ["bind", "adopt"])
def test_what_is_encoded_is_decoded(mode: str) -> None:
    data = TaskData(mode="bind" if mode == "bind" else "adopt", pod="ns/name", uid="u-1")
    assert decode(encode(data)) == data


def test_the_spelling_is_the_agreed_one() -> None:
    text = encode(TaskData(mode="adopt", pod="ns/name", uid="u-1"))
    assert json.loads(text) == {"schema": 1, "mode": "adopt", "pod": "ns/name", "uid": "u-1"}


def test_settings_ride_along_and_whatever_they_are_the_launch_is_good() -> None:
    settings = hotsettings.HotSettings(settings_version=7, settings={"agent-log-level": "debug"})
    again = decode(encode(TaskData(mode="bind", pod="ns/name", uid="u-1", settings=settings)))
    assert hotsettings.read(again.settings) == settings
    assert decode(_raw({**GOOD, "settings": ["of", "a", "later", "release"]})).settings == [
        "of",
        "a",
        "later",
        "release",
    ]


def _raw(value: object) -> bytes:
    return json.dumps(value).encode()


GOOD = {"schema": 1, "mode": "bind", "pod": "ns/name", "uid": "u"}


def test_fields_of_a_later_release_are_let_pass() -> None:
    assert decode(_raw({**GOOD, "new": [1]})).pod == "ns/name"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"\xff{", "not a task of kmsched"),
        (b"", "not a task of kmsched"),
        (_raw({**GOOD, "mode": "steal"}), "not a task of kmsched"),
        (_raw({**GOOD, "schema": 2}), "has schema 2"),
        (_raw({**GOOD, "pod": "name"}), "names no pod"),
        (_raw({**GOOD, "uid": ""}), "names no pod"),
        (_raw([]), "not a task of kmsched"),
    ],
)
def test_anything_else_is_refused_in_words(text: bytes, words: str) -> None:
    with pytest.raises(ProtocolError, match=words):
        decode(text)


@given(st.binary(max_size=60))
def test_no_bytes_raise_anything_else(text: bytes) -> None:
    with pytest.raises(ProtocolError):
        decode(text)
