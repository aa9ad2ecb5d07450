"""km status, and how every command asks, against a real HTTP server, with whole, partial and broken answers."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from kmsched.cli import km
from kmsched.cli.ask import at_time, lasting

ANSWERS: dict[str, tuple[int, bytes]] = {
    "/api/v1/status": (
        200,
        json.dumps(
            {"phase": "ACTIVE", "agents": [{"node": "h1", "cpus": 2}], "pods": {"RUNNING": 3}, "offers": [], "x": None}
        ).encode(),
    ),
    "/api/v1/agents": (200, b'{"fingerprint": "05", "agents": [{"hostname": "h1", "compatible": true}]}'),
    "/api/v1/pods/default/list": (200, b"[1]"),
    "/api/v1/pods/default/text": (200, b"hello"),
    "/api/v1/pods/default/broken": (500, b"no\nidea"),
}


class Answering(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        code, body = ANSWERS.get(self.path, (404, b"no such pod"))
        self.send_response(code)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with HTTPServer(("127.0.0.1", 0), Answering) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_status_says_all_that_is_there(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert km.run(["status", "--url", url + "/"]) == 0
    assert capsys.readouterr().out == (
        "phase: ACTIVE\nagents:\n  node=h1 cpus=2\npods:\n  RUNNING: 3\noffers: none\nx: -\n"
    )


def test_status_as_json(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert km.run(["status", "--json", "--url", url]) == 0
    assert json.loads(capsys.readouterr().out)["phase"] == "ACTIVE"


def test_agents(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert km.run(["agents", "--url", url]) == 0
    assert capsys.readouterr().out.splitlines()[1].startswith("h1    yes")
    assert km.run(["agents", "--json", "--url", url]) == 0
    assert json.loads(capsys.readouterr().out)["fingerprint"] == "05"


@pytest.mark.parametrize(
    ("pod", "code", "words"),
    [
        ("default/none", 10, "answers 404: no such pod"),
        ("default/broken", 69, "answers 500: no idea"),
        ("default/list", 69, "answers no JSON object"),
        ("default/text", 69, "no scheduler answers"),
        ("a/b/c", 2, "is no pod"),
    ],
)
def test_refusals(url: str, pod: str, code: int, words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert km.run(["explain", "--url", url, pod]) == code
    assert words in capsys.readouterr().err


def test_only_http_is_asked(capsys: pytest.CaptureFixture[str]) -> None:
    assert km.run(["status", "--url", "file:///etc"]) == 2
    assert "is no http(s) URL" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0, "0s"),
        (0.4, "0s"),
        (59.6, "1m"),
        (192, "3m12s"),
        (3600, "1h"),
        (18_190, "5h3m"),
        (190_000, "2d4h"),
        (-3, "0s"),
        (None, "-"),
    ],
)
def test_lengths_of_time_are_told_in_two_units(seconds: float | None, said: str) -> None:
    assert lasting(seconds) == said


def test_times_are_told_in_utc() -> None:
    assert at_time(1_790_000_000) == "2026-09-21 14:13:20Z"
    assert [at_time(each) for each in (None, 1e20, "now")] == ["-", "-", "-"]
