"""km explain against a real HTTP server: one pod, and all that wait."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from kmsched.cli import km
from tests.cli.servers import serving

WEB = {
    "pod": "default/web",
    "state": "pending",
    "reason": "0/3 agents: 2 low cpu",
    "for_s": 192.4,
    "vetoes": {"h1": "low cpu", "h2": "taint dedicated=db:NoSchedule"},
    "vetoes_left_out": 7,
    "history": [{"time_s": 1_790_000_000, "ago_s": 192.4, "after_s": 0.0, "state": "pending", "reason": "seen"}],
}
#: as another release may tell them
OTHERS = {
    "default/old": {"state": "PENDING", "history": ["queued", {"at": 1, "w": "b"}]},
    "default/run": {"state": "RUNNING", "node": "h1", "task_id": "u.1.1", "reason": None},
    "default/bare": {},
    "default/rude": {"state": "pending", "reason": "the pod wants ä\x1b[2J\n\u202edb"},
}
WAITING = [{**WEB, "pod": f"default/web-{n}"} for n in range(5)]


def answer(path: str, _: bytes) -> tuple[int, bytes]:
    split = urlsplit(path)
    if split.path == "/api/v1/pods":
        return 200, json.dumps(listed({name: values[0] for name, values in parse_qs(split.query).items()})).encode()
    key = split.path.removeprefix("/api/v1/pods/")
    known = {"default/web": WEB, **OTHERS, **{str(each["pod"]): each for each in WAITING[:4]}}
    return (200, json.dumps(known[key]).encode()) if key in known else (404, b'{"error": "no pod is known"}')


def listed(query: dict[str, str]) -> dict[str, Any]:
    """Two pods at a time, whatever is asked for."""
    assert query["state"] == "pending,orphaned"
    rest = [each for each in WAITING if str(each["pod"]) > query.get("after", "") and "namespace" not in query]
    found = rest[: min(2, int(query["limit"]))]
    return {"pods": found, "next": found[-1]["pod"] if len(rest) > len(found) else None}


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with serving(answer) as found:
        yield found


@pytest.mark.parametrize(
    ("pod", "said"),
    [
        (
            "default/web",
            "default/web: pending: 0/3 agents: 2 low cpu\n  2026-09-21 14:13:20Z   3m12s ago  pending: seen\n",
        ),
        ("default/old", "default/old: PENDING\n  queued\n  at=1 w=b\n"),
        ("default/run", "default/run: RUNNING\n  node: h1\n  task_id: u.1.1\n"),
        ("default/bare", "default/bare: unknown\n"),
        ("default/rude", "default/rude: pending: the pod wants ä\\x1b[2J\\n\\u202edb\n"),
    ],
)
def test_one_pod(url: str, pod: str, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert km.run(["explain", "--url", url, pod]) == 0
    assert capsys.readouterr().out == said


def test_what_each_agent_objects_to(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert km.run(["explain", "-v", "--url", url, "default/web"]) == 0
    assert capsys.readouterr().out.splitlines()[1:5] == [
        "  agents:",
        "    h1: low cpu",
        "    h2: taint dedicated=db:NoSchedule",
        "    and 7 more",
    ]


def test_all_pods_that_wait_are_a_table(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert km.run(["explain", "--all", "--url", url]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "POD            STATE    FOR    REASON"
    assert lines[1] == "default/web-0  pending  3m12s  0/3 agents: 2 low cpu"
    assert len(lines) == 1 + len(WAITING)


def test_as_many_as_are_asked_for(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert km.run(["explain", "--all", "--limit", "3", "--url", url]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[1:4]] == ["default/web-0", "default/web-1", "default/web-2"]
    assert lines[4:] == ["and more: these are the first 3; --limit says how many are told"]


def test_all_of_them_with_what_each_agent_objects_to(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    """One of them is deleted while the others are asked for."""
    assert km.run(["explain", "--all", "-v", "--json", "--url", url]) == 0
    assert [each["pod"] for each in json.loads(capsys.readouterr().out)["pods"]] == [each["pod"] for each in WAITING]
    assert km.run(["explain", "--all", "-v", "--url", url]) == 0
    assert capsys.readouterr().out.count("    h1: low cpu\n") == len(WAITING)


def test_no_pod_waits(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert km.run(["explain", "--all", "--namespace", "empty", "--url", url]) == 0
    assert capsys.readouterr().out == "no pod waits\n"


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["default/none"], 10, "answers 404: no pod is known"),
        (["a/b/c"], 2, "'a/b/c' is no pod; write NAMESPACE/NAME"),
        (["web"], 2, "'web' is no pod"),
        ([], 2, "name one pod, as NAMESPACE/NAME, or give --all"),
        (["--all", "default/web"], 2, "name one pod, as NAMESPACE/NAME, or give --all"),
        (["--all", "--limit", "0"], 2, "--limit"),
    ],
)
def test_refusals(url: str, arguments: list[str], code: int, words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert km.run(["explain", "--url", url, *arguments]) == code
    assert words in capsys.readouterr().err
