"""km offers: a table of what is held and of how the last offers went, and answers of other releases."""

from __future__ import annotations

import json
from typing import Any

import pytest

from kmsched.cli import km
from kmsched.cli.offers import describe_offers
from tests.cli.servers import serving

HELD = {
    "hostname": "h1",
    "agent_id": "S1",
    "offers": [{"offer_id": "o1"}, {"offer_id": "o2"}],
    "resources": {"cpus": 4.5, "mem_mib": 4064.0},
    "age_s": 2.0,
    "expires_in_s": 3.0,
    "why": "no pod waits",
    "rescinded": 4,
    "last": None,
}
GONE: dict[str, Any] = {
    "hostname": "host-2",
    "offers": [],
    "resources": {"cpus": 0.0, "mem_mib": 0.0},
    "age_s": None,
    "expires_in_s": None,
    "why": "",
    "rescinded": 0,
    "last": {"fate": "declined", "reason": "not needed", "ago_s": 61.0},
}
ANSWER = {"held": 2, "link": "active", "suppressed": False, "ttl_s": 5.0, "refuse_s": 5.0, "agents": [HELD, GONE]}


def test_offers_are_a_table() -> None:
    assert list(describe_offers(ANSWER)) == [
        "2 offers held, link to Mesos active; offers are wanted; unused ones are declined after 5s, and not offered"
        " again for 5s",
        "HOST    OFFERS  CPUS  MEM      AGE  LEFT  TAKEN BACK  WHY HELD, OR HOW THE LAST ONES WENT",
        "h1      2       4.5   4064MiB  2s   3s    4           no pod waits",
        "host-2  0       0     0MiB     -    -     0           declined 1m1s ago: not needed",
    ]


def test_what_is_suppressed_and_what_is_left_out_is_said() -> None:
    lines = list(describe_offers({**ANSWER, "suppressed": True, "next": "h1/S1"}))
    assert "no offers are wanted now (suppressed)" in lines[0]
    assert lines[-1] == "and more: these are the first 2; --limit says how many are told"


def test_an_answer_of_another_release_is_printed_as_far_as_it_goes() -> None:
    assert list(describe_offers({}))[1:] == ["no agent has offered anything yet"]
    assert list(describe_offers({"agents": [{}]}))[2].split() == ["-", "0", "0", "0MiB", "-", "-", "-", "-"]


def test_a_scheduler_is_asked(capsys: pytest.CaptureFixture[str]) -> None:
    asked = []

    def answer(path: str, _: bytes) -> tuple[int, bytes]:
        asked.append(path)
        return 200, json.dumps({**ANSWER, "next": None}).encode()

    with serving(answer) as url:
        assert km.run(["offers", "--url", url, "--limit", "7"]) == 0
        assert "not needed" in capsys.readouterr().out
        assert km.run(["offers", "--url", url, "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["held"] == 2
    assert asked == ["/api/v1/offers?limit=7&after=", "/api/v1/offers?limit=1000&after="]
