"""A kube-scheduler beside us: told when it appears, and when it has gone."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Sequence

import pytest

from kmsched.clients.aiohttp_transport import TlsSettings
from kmsched.clients.http import Request
from kmsched.clients.kube import KubeAccess, KubeClient
from kmsched.daemon.rival import watch_for_rival
from tests.clients.fakes import FakeClock, HandlerTransport, Reply

HELD = Reply(200, [json.dumps({"spec": {"holderIdentity": "cp-1", "renewTime": "2100-01-01T00:00:00Z"}}).encode()])
NONE = Reply(404, [b"{}"])
REFUSED = Reply(403, [b'{"message":"leases is forbidden"}'])
AWAY = Reply(503, [b"away"])


class NoMoreAnswers(Exception):
    """Ends the watch."""


def told(*answers: Reply) -> list[str]:
    """What is told, look by look."""
    left = list(answers)

    def answer(_: Request) -> Reply:
        if not left:
            raise NoMoreAnswers
        return left.pop(0)

    words: list[str] = []
    clock = FakeClock()
    access = KubeAccess(("https://a:6443",), TlsSettings(), "km")
    kube = KubeClient(access, make_transport=lambda _: HandlerTransport(answer), clock=clock)
    with pytest.raises(NoMoreAnswers):
        asyncio.run(watch_for_rival(kube, "default-scheduler", words.append, clock))
    return words


def logged(caplog: pytest.LogCaptureFixture) -> Sequence[tuple[str, str]]:
    return [(record.levelname, record.getMessage().partition(" (")[0]) for record in caplog.records]


def test_one_that_appears_later_is_told_once_in_the_log_and_all_the_time_elsewhere(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    words = told(NONE, HELD, HELD, NONE)
    assert words[0] == words[3] == ""
    assert words[1] == words[2]
    assert words[1].startswith("a kube-scheduler is alive (cp-1) and places pods with schedulerName default-scheduler")
    assert words[1].endswith("; stop it, or give --scheduler-name another name and the pods that schedulerName")
    assert logged(caplog) == [
        ("WARNING", "a kube-scheduler is alive"),
        ("INFO", "no kube-scheduler is alive any more"),
    ]


def test_a_refusal_is_no_error_and_told_once(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    assert told(REFUSED, REFUSED) == ["", ""]
    [(level, words)] = logged(caplog)
    assert level == "INFO"
    assert words.startswith("whether a kube-scheduler is alive cannot be seen: GET https://a:6443/apis/coordination")


def test_while_the_api_server_is_away_what_was_told_stands() -> None:
    assert len(told(HELD, AWAY, HELD)) == 2
