"""Log lines: one for each record, as text or JSON."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import pytest

from kmsched import log


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    yield io.StringIO()
    root.handlers[:] = before
    root.setLevel(level)


def test_text_is_one_line_with_fields(stream: io.StringIO) -> None:
    log.setup("text", "info", stream)
    logging.getLogger("core").info("bound\n%s", "web", extra={"pod": "default/web"})
    logging.getLogger("core").debug("not shown")
    line = stream.getvalue()
    assert line.endswith("Z INFO core: bound\\nweb pod=default/web\n")
    assert line.count("\n") == 1


def test_json_is_one_object_a_line(stream: io.StringIO) -> None:
    log.setup("json", "debug", stream)
    try:
        raise ValueError("odd")
    except ValueError:
        logging.getLogger("core").exception("failed", extra={"pod": "default/web"})
    [line] = stream.getvalue().splitlines()
    record = json.loads(line)
    assert (record["level"], record["logger"], record["msg"]) == ("error", "core", "failed")
    assert record["pod"] == "default/web"
    assert record["ts"].endswith("Z")
    assert "ValueError: odd" in record["traceback"]


def test_parts_of_the_words_are_fields_of_json_alone(stream: io.StringIO) -> None:
    for form in ("text", "json"):
        log.setup(form, "info", stream)
        parts = {"effect": "KillTask", "reason": "its pod is gone"}
        logging.getLogger("x").info("KillTask t-1: its pod is gone", extra={log.PARTS: parts, "pod": "a/b"})
    text, line = stream.getvalue().splitlines()
    assert text.endswith("INFO x: KillTask t-1: its pod is gone pod=a/b")
    record = json.loads(line)
    assert (record["effect"], record["reason"], record["pod"]) == ("KillTask", "its pod is gone", "a/b")
    assert "parts" not in record


def test_what_came_from_elsewhere_neither_begins_a_line_nor_moves_the_cursor(stream: io.StringIO) -> None:
    log.setup("text", "info", stream)
    logging.getLogger("x").info("said %s", "a\r\nb\x1b[2J\x85\u2028\tc")
    assert stream.getvalue().endswith("said a\\r\\nb\\x1b[2J\\x85\\u2028\tc\n")


def test_setting_up_twice_writes_once(stream: io.StringIO) -> None:
    log.setup("text", "info", stream)
    log.setup("text", "info", stream)
    logging.getLogger("x").info("once")
    assert stream.getvalue().count("once") == 1
