"""The gate as a real process; the agent is a real HTTP server that speaks the v1 executor API."""

from __future__ import annotations

import ast
import hashlib
import json
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from kmsched.errors import EXIT_VERIFICATION_FAILED
from kmsched.executor.gate import gate_source, without_words

KM = b'#!/bin/sh\necho "$$ $0 $*"\nenv\n'
EXPECTED = hashlib.sha256(KM).hexdigest()
PATIENCE_S = 20
Json = dict[str, Any]


@dataclass
class Agent:
    """`answers`: statuses for SUBSCRIBE, the last one for ever; None keeps silent. `calls`: all that came."""

    answers: list[int | None] = field(default_factory=lambda: [200])
    tasks: tuple[str, ...] = ("t1", "t2")
    acknowledges: bool = True
    group: bool = False
    calls: list[Json] = field(default_factory=list)
    paths: set[str] = field(default_factory=set)
    tokens: set[str] = field(default_factory=set)
    events: queue.Queue[Json | None] = field(default_factory=queue.Queue)
    address: str = ""

    def acknowledge(self, status: Json) -> None:
        self.event("ACKNOWLEDGED", acknowledged={"task_id": status["task_id"], "uuid": status["uuid"]})

    def event(self, type_: str, **body: object) -> None:
        self.events.put({"type": type_, **body})

    def statuses(self) -> list[Json]:
        return [call["update"]["status"] for call in self.calls if call["type"] == "UPDATE"]

    def subscriptions(self) -> list[Json]:
        return [call["subscribe"] for call in self.calls if call["type"] == "SUBSCRIBE"]


def handler(agent: Agent) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            call = json.loads(self.rfile.read(int(self.headers["content-length"])))
            agent.calls.append(call)
            agent.paths.add(self.path)
            agent.tokens.add(self.headers.get("authorization", ""))
            if call["type"] == "SUBSCRIBE":
                self._stream(agent.answers.pop(0) if len(agent.answers) > 1 else agent.answers[0])
                return
            self._plain(202)
            if agent.acknowledges:
                agent.acknowledge(call["update"]["status"])

        def _plain(self, status: int) -> None:
            self.send_response(status)
            self.send_header("content-length", "0")
            self.end_headers()

        def _stream(self, status: int | None) -> None:
            if status is None:
                agent.events.get(timeout=PATIENCE_S)
                return
            if status != 200:
                self._plain(status)
                return
            self.send_response(200)
            self.send_header("transfer-encoding", "chunked")
            self.end_headers()
            agent.event("SUBSCRIBED", subscribed={})
            tasks = [{"task_id": {"value": name}, "later": [name]} for name in agent.tasks]
            if agent.group:
                agent.event("LAUNCH_GROUP", launch_group={"task_group": {"tasks": tasks}})
            elif not agent.statuses():
                for task in tasks:
                    agent.event("LAUNCH", launch={"task": task})
            while (event := agent.events.get(timeout=PATIENCE_S)) is not None:
                record = json.dumps(event).encode()
                framed = f"{len(record)}\n".encode() + record
                try:
                    for piece in (framed[:1], framed[1:9], framed[9:]):
                        self.wfile.write(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
                except OSError:
                    return
            self.wfile.write(b"0\r\n\r\n")

        def log_message(self, format: str, *args: object) -> None:
            pass

    return Handler


@pytest.fixture
def agent() -> Iterator[Agent]:
    agent = Agent()
    with ThreadingHTTPServer(("127.0.0.1", 0), handler(agent)) as server:
        serving = threading.Thread(target=server.serve_forever, args=(0.02,))
        serving.start()
        agent.address = f"127.0.0.1:{server.server_port}"
        yield agent
        for _ in range(10):
            agent.events.put(None)
        server.shutdown()
        serving.join()


def hurried(**constants: str) -> str:
    """The program with other constants, so that no test waits for long."""
    text = gate_source()
    for name, value in {"QUIET_S": "0.05", "AGAIN_S": "0.01", **constants}.items():
        lines = [line for line in text.splitlines() if line.startswith(f"{name} = ")]
        assert len(lines) == 1
        text = text.replace(lines[0], f"{name} = {value}")
    return text


def start(agent: Agent, sandbox: Path, program: str = "", km: str = "./km") -> subprocess.Popen[str]:
    environ = {
        "PATH": "/usr/bin:/bin",
        "LC_ALL": "C.UTF-8",
        "MESOS_SLAVE_PID": f"slave(1)@{agent.address}",
        "MESOS_EXECUTOR_ID": "km-1",
        "MESOS_FRAMEWORK_ID": "f-1",
        "MESOS_EXECUTOR_AUTHENTICATION_TOKEN": "secret",
        "OF_THE_AGENT": "kept",
    }
    argv = [sys.executable, "-c", program or hurried(), EXPECTED, km, "executor", "--a=b c"]
    return subprocess.Popen(
        argv, env=environ, cwd=sandbox, stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8"
    )


def ended(gate: subprocess.Popen[str]) -> int:
    gate.communicate(timeout=PATIENCE_S)
    return gate.returncode


def meanwhile(gate: subprocess.Popen[str], lasts: Callable[[], bool]) -> None:
    while lasts():
        assert gate.poll() is None
        time.sleep(0.01)


def put(sandbox: Path, content: bytes = KM, mode: int = 0o755) -> Path:
    path = sandbox / "km"
    path.write_bytes(content)
    path.chmod(mode)
    return path


def test_the_right_file_is_run_in_its_place_with_its_arguments_and_the_agents_environment(
    agent: Agent, tmp_path: Path
) -> None:
    put(tmp_path)
    gate = start(agent, tmp_path)
    said, errors = gate.communicate(timeout=PATIENCE_S)
    assert (gate.returncode, errors, agent.calls) == (0, "", [])
    first, *environ = said.splitlines()
    assert first == f"{gate.pid} ./km executor --a=b c"
    assert {"MESOS_EXECUTOR_ID=km-1", "OF_THE_AGENT=kept"} <= set(environ)


def fetch_wrong(sandbox: Path) -> str:
    put(sandbox, b"other")
    return f"sha256 {hashlib.sha256(b'other').hexdigest()} fetched, {EXPECTED} expected (5 bytes are there); publish"


def fetch_short(sandbox: Path) -> str:
    put(sandbox, KM[:-3])
    return f"sha256 {hashlib.sha256(KM[:-3]).hexdigest()} fetched, {EXPECTED} expected ({len(KM) - 3} bytes are there)"


def fetch_nothing(sandbox: Path) -> str:
    return f"cannot be read (No such file or directory), sha256 {EXPECTED} expected; publish"


def fetch_unreadable(sandbox: Path) -> str:
    (sandbox / "km").mkdir()  # to root every file is readable
    return f"cannot be read (Is a directory), sha256 {EXPECTED} expected"


def fetch_not_executable(sandbox: Path) -> str:
    put(sandbox, mode=0o644)
    return "cannot be run: Permission denied"


@pytest.mark.parametrize("fetch", [fetch_wrong, fetch_short, fetch_nothing, fetch_unreadable, fetch_not_executable])
def test_what_was_not_expected_fails_every_task_with_both_digests(agent: Agent, tmp_path: Path, fetch: Any) -> None:
    words = f"{tmp_path}/km: {fetch(tmp_path)}"
    gate = start(agent, tmp_path)
    said, errors = gate.communicate(timeout=PATIENCE_S)
    assert (gate.returncode, said) == (EXIT_VERIFICATION_FAILED, "")
    assert words in errors
    assert [(s["task_id"]["value"], s["state"], s["source"]) for s in agent.statuses()] == [
        (name, "TASK_FAILED", "SOURCE_EXECUTOR") for name in agent.tasks
    ]
    assert all(s["message"].startswith(words) for s in agent.statuses())
    assert {call["executor_id"]["value"] for call in agent.calls} == {"km-1"}
    assert {call["framework_id"]["value"] for call in agent.calls} == {"f-1"}
    assert (agent.paths, agent.tokens) == ({"/slave(1)/api/v1/executor"}, {"Bearer secret"})


def test_a_group_of_tasks_fails_too(agent: Agent, tmp_path: Path) -> None:
    agent.group = True
    assert ended(start(agent, tmp_path)) == EXIT_VERIFICATION_FAILED
    assert [status["task_id"]["value"] for status in agent.statuses()] == ["t1", "t2"]


def test_after_a_cut_the_unacknowledged_goes_with_the_next_subscription(agent: Agent, tmp_path: Path) -> None:
    agent.answers = [503, 200]
    agent.acknowledges = False
    gate = start(agent, tmp_path)
    meanwhile(gate, lambda: len(agent.statuses()) < 2)
    agent.events.put(None)
    meanwhile(gate, lambda: len(agent.subscriptions()) < 3)
    sent = agent.statuses()
    again = agent.subscriptions()[-1]
    assert [update["status"] for update in again["unacknowledged_updates"]] == sent
    assert [task["later"] for task in again["unacknowledged_tasks"]] == [["t1"], ["t2"]]
    for status in sent:
        agent.acknowledge(status)
    assert ended(gate) == EXIT_VERIFICATION_FAILED
    assert agent.statuses() == sent


@pytest.mark.parametrize("answer", [None, 503])
def test_an_agent_that_does_not_answer_is_tried_for_a_bounded_time(
    agent: Agent, tmp_path: Path, answer: int | None
) -> None:
    agent.answers = [answer]
    gate = start(agent, tmp_path, hurried(REPORT_S="0.2"))
    _, errors = gate.communicate(timeout=PATIENCE_S)
    assert (gate.returncode, agent.statuses()) == (EXIT_VERIFICATION_FAILED, [])
    assert EXPECTED in errors


def test_an_agent_that_does_not_know_the_executor_is_the_end_as_is_shutdown(agent: Agent, tmp_path: Path) -> None:
    agent.tasks = ()
    agent.event("SHUTDOWN")
    assert ended(start(agent, tmp_path)) == EXIT_VERIFICATION_FAILED
    assert len(agent.subscriptions()) == 1


def test_outside_of_mesos_it_says_what_is_missing(agent: Agent, tmp_path: Path) -> None:
    argv = [sys.executable, "-c", gate_source(), EXPECTED, "./km"]
    done = subprocess.run(
        argv, env={}, cwd=tmp_path, capture_output=True, encoding="utf-8", timeout=PATIENCE_S, check=False
    )
    assert done.returncode == EXIT_VERIFICATION_FAILED
    assert "'MESOS_SLAVE_PID' is not set" in done.stderr


def test_the_text_is_short_parses_on_old_pythons_and_is_the_program_itself() -> None:
    text = gate_source()
    assert len(text) < 8 * 1024
    assert text.isascii()
    ast.parse(text, feature_version=(3, 9))
    assert "import kmsched" not in text
    assert "#" not in text
    assert '"""' not in text


def test_its_text_is_the_one_that_every_fingerprint_was_made_with() -> None:
    # another text is another fingerprint: agents take no new pods until their executors have left. Change it knowingly,
    # and say so in CHANGELOG.md
    pinned = "84c719f119f20e7ce55e56dea2b1f78e55eb8d4da6ae7ced1e2f30ef301e4c56"
    assert hashlib.sha256(gate_source().encode()).hexdigest() == pinned


def test_words_are_left_out_and_nothing_else() -> None:
    text = '"""One\n\nmore."""\n\nimport a\n\n#: why\ndef f():\n    """Say."""\n    return "x"  \n'
    assert without_words(text) == 'import a\ndef f():\n    return "x"  \n'
