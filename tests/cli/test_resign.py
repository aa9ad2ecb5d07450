"""km resign: finding the leader, being refused, waiting for the next; and what it sends over a real connection."""

from __future__ import annotations

import asyncio
import json
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any, TypeVar

import pytest

from kmsched.cli import km
from kmsched.cli.ask import Credentials, exchange
from kmsched.cli.resign import Clock, Kept, Leading, NobodyLeads, await_other, hand_over, hand_over_to_leader, leader_of
from kmsched.errors import ConfigRefused, Unavailable
from tests import virtual_time
from tests.daemon.certificates import certificate
from tests.daemon.peers import Peer, play

T = TypeVar("T")

URLS = {"a": "http://a:1", "b": "http://b:1", "c": "http://c:1"}


class Schedulers:
    """A group by its /leader pages; `next` is who follows, after so many looks."""

    def __init__(self, leads: str | None = "a", following: str | None = "b", after_looks: int = 3) -> None:
        self.leads, self.term = leads, 7
        self.following, self.looks_left = following, after_looks
        self.is_going = False
        self.away: set[str] = set()
        self.posted: list[tuple[str, Any]] = []
        self.refusal: tuple[int, dict[str, Any]] | None = None

    def ask(self, method: str, url: str, path: str, body: Mapping[str, Any] | None) -> tuple[int, Mapping[str, Any]]:
        name = url.rstrip("/")[-3]
        if name in self.away:
            raise Unavailable(f"no scheduler answers at {url}")
        if method == "POST":
            self.posted.append((name, body))
            if self.refusal is None:
                self.is_going, self.leads = True, None
            return self.refusal or (200, {"leads_next": self.following})
        if self.is_going:
            self.looks_left -= 1
            if self.looks_left <= 0 and self.leads is None and self.following:
                self.leads, self.term = self.following, self.term + 1
        leads = name == self.leads
        leader = {"instance": self.leads, "url": URLS[self.leads], "boot_id": self.leads} if self.leads else None
        role, term = ("active", self.term) if leads else ("standby", 0)
        members = [{"url": each} for each in URLS.values()]
        told = {"instance": name, "boot_id": name, "role": role, "term": term, "leader": leader, "members": members}
        return (200 if leads else 503), told


class FakeTime:
    def __init__(self) -> None:
        self.now_s = 0.0

    def clock(self) -> Clock:
        return Clock(lambda: self.now_s, self.sleep)

    def sleep(self, seconds: float) -> None:
        self.now_s += seconds


def test_any_scheduler_knows_the_leader() -> None:
    group = Schedulers()
    for url in ("http://a:1", "http://b:1/", "http://c:1"):
        found, members = leader_of(group.ask, [url])
        assert (found.instance, found.url.rstrip("/"), found.term) == ("a", "http://a:1", 7)
        assert members == list(URLS.values())
    group.away = {"b"}
    assert leader_of(group.ask, ["http://b:1", "http://c:1"])[0].instance == "a"
    group.away = {"a", "b", "c"}
    with pytest.raises(Unavailable, match="no scheduler answers at http://b:1"):
        leader_of(group.ask, ["http://b:1"])


def test_a_leader_that_is_named_and_does_not_answer_is_no_leader_that_can_be_asked() -> None:
    group = Schedulers()
    group.away = {"a"}
    with pytest.raises(NobodyLeads, match="say 2 of 3"):
        leader_of(group.ask, ["http://b:1"])


def test_a_scheduler_alone_leads_before_it_is_active() -> None:
    def ask(*_: object) -> tuple[int, Mapping[str, Any]]:
        return 503, {"instance": "s", "role": "reconciling", "term": 4, "leader": None, "members": []}

    assert leader_of(ask, ["http://s:1"])[0] == Leading("s", "http://s:1", 4, "reconciling")


def test_it_waits_for_the_next_one() -> None:
    group = Schedulers()
    before, _ = leader_of(group.ask, ["http://c:1"])
    hand_over(group.ask, before, "b")
    assert group.posted == [("a", {"to": "b"})]
    after = await_other(group.ask, list(URLS.values()), before, 60, FakeTime().clock())
    assert after == Leading("b", "http://b:1", 8, "active")


def test_the_same_process_in_a_new_term_is_a_replacement() -> None:
    group = Schedulers(following="a")
    before, _ = leader_of(group.ask, ["http://a:1"])
    hand_over(group.ask, before, None)
    assert group.posted == [("a", {})]
    assert await_other(group.ask, ["http://a:1"], before, 60, FakeTime().clock()).term == 8


@pytest.mark.parametrize(
    ("refusal", "error", "words"),
    [
        ((409, {"error": "nobody could lead"}), Kept, "a: nobody could lead"),
        ((401, {"error": "this token is not known"}), ConfigRefused, "answers 401: this token is not known"),
        ((403, {"error": "--http-act-token-file"}), ConfigRefused, "answers 403: --http-act-token-file"),
        ((404, {"error": "Not Found"}), ConfigRefused, "answers 404"),
    ],
)
def test_refusals(refusal: tuple[int, dict[str, Any]], error: type[Exception], words: str) -> None:
    group = Schedulers()
    group.refusal = refusal
    with pytest.raises(error, match=words):
        hand_over(group.ask, leader_of(group.ask, ["http://a:1"])[0], None)


def test_waiting_is_bounded() -> None:
    group, before = Schedulers(following=None), Leading("a", "http://a:1", 7, "active")
    time = FakeTime()
    hand_over(group.ask, before, None)
    with pytest.raises(NobodyLeads, match="nobody leads after 5 s"):
        await_other(group.ask, ["http://b:1"], before, 5, time.clock())
    assert 5 <= time.now_s < 6
    with pytest.raises(Kept, match="still leads, in term 7"):
        await_other(Schedulers().ask, ["http://b:1"], before, 5, FakeTime().clock())


def test_an_answer_that_is_lost_is_made_up_for_by_looking(capsys: pytest.CaptureFixture[str]) -> None:
    group = Schedulers()
    group.away = {"a"}
    hand_over(group.ask, Leading("a", "http://a:1", 7, "active"), None)
    assert "a did not answer" in capsys.readouterr().err


def test_a_token_for_tls_goes_nowhere_else() -> None:
    group = Schedulers()
    with pytest.raises(ConfigRefused, match="a leads at http://a:1, and the token is for https alone"):
        hand_over_to_leader(group.ask, ["https://c:1"], None)
    assert group.posted == []


def test_a_leader_that_has_no_subscription_yet_has_its_term_all_the_same() -> None:
    """Else the same one, once it is active, would look like the next."""

    def ask(*_: object) -> tuple[int, Mapping[str, Any]]:
        leader = {"instance": "a", "url": "http://a:1", "boot_id": "b1"}
        told = {"instance": "a", "boot_id": "b1", "role": "elected", "term": 0, "leader": leader, "leader_term": 8}
        return 503, told

    assert leader_of(ask, ["http://a:1"])[0] == Leading("a", "http://a:1", 8, "elected")


def test_an_answer_that_is_none_is_no_leaders() -> None:
    for told in (
        {"term": "x"},
        {"instance": "a", "term": [1]},
        {"leader": 1, "members": 2},
        {"members": [{"url": 7}, {"url": "ftp://x"}]},
    ):
        with pytest.raises(NobodyLeads):
            leader_of(lambda *_, told=told: (503, {"boot_id": "b", **told}), ["http://a:1"])


async def beside(job: Callable[[], T]) -> T:
    """In a thread, while schedulers in virtual time go on."""
    with ThreadPoolExecutor(1) as pool:
        done = pool.submit(job)
        async with virtual_time.exchange():
            while True:
                if done.done():
                    return done.result()
                await asyncio.sleep(0.05)


def test_real_schedulers_hand_over_and_the_next_one_is_found(tmp_path: Path) -> None:
    token = tmp_path / "act"
    token.write_text("secret")

    async def story(add: Callable[..., Peer]) -> None:
        peers: dict[str, Peer] = {}
        for name in "abc":
            peers[f"http://10.0.0.{ord(name)}:10251"] = add(name, f"--http-act-token-file={token}")
            await asyncio.sleep(5)
        first, _, third = peers.values()

        def ask(method: str, url: str, path: str, body: Mapping[str, Any] | None) -> tuple[int, Mapping[str, Any]]:
            asked = peers[url].daemon.scheduler
            assert asked is not None
            shown = Credentials(token if method == "POST" else None)
            return exchange(method, asked.web.url, path, shown, body, timeout_s=10)

        before, members = await beside(lambda: hand_over_to_leader(ask, list(peers)[1:], "c"))
        assert (before.instance, before.term, members) == ("a", first.term, list(peers))
        await asyncio.sleep(2)
        after, _ = await beside(lambda: leader_of(ask, members))
        assert (after.instance, after.url, after.term) == ("c", members[2], third.term)
        assert after.term > before.term

    play(tmp_path, story)


class Replaced(BaseHTTPRequestHandler):
    """One scheduler that is replaced by another process at the same port."""

    term = 3
    seen: list[tuple[str, str | None]]

    def do_GET(self) -> None:
        self.server.shown.append(self.headers["Authorization"])  # type: ignore[attr-defined]
        self._tell({"instance": "s", "role": "active", "term": self.server.term})  # type: ignore[attr-defined]

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.server.seen.append((self.path, self.headers["Authorization"]))  # type: ignore[attr-defined]
        self.server.term += 1  # type: ignore[attr-defined]
        self._tell({"leads_next": "process 7"})

    def _tell(self, answer: object) -> None:
        body = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


class Server(HTTPServer):
    term = 3

    def __init__(self, tls: ssl.SSLContext) -> None:
        super().__init__(("127.0.0.1", 0), Replaced)
        self.seen: list[tuple[str, str | None]] = []
        self.shown: list[str | None] = []
        self.socket = tls.wrap_socket(self.socket, server_side=True)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    cert, key = certificate(tmp_path, "ca")
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(cert, key)
    with Server(tls) as made:
        thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield made
        made.shutdown()
        thread.join()


def test_the_command(
    server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"https://127.0.0.1:{server.server_port}"
    token = tmp_path / "token"
    token.write_text("abc\n")
    ca = f"--ca-file={tmp_path}/ca.crt"
    assert km.run(["resign", f"--scheduler={url}", ca, f"--token-file={token}", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["before"]["term"], told["after"]["term"]) == (3, 4)
    monkeypatch.setenv("KM_TOKEN_FILE", str(token))
    monkeypatch.setenv("KM_CA_FILE", f"{tmp_path}/ca.crt")
    assert km.run(["resign", f"--scheduler={url}"]) == 0
    assert capsys.readouterr().out.startswith(f"s leads in term 5, at {url}; before it did s in term 4")
    assert server.seen == [("/api/v1/resign", "Bearer abc")] * 2
    # who leads tells everybody, and others name whom they like
    assert set(server.shown) == {None}
    monkeypatch.delenv("KM_CA_FILE")
    assert km.run(["resign", f"--scheduler={url}"]) == 69
    assert "certificate verify failed" in capsys.readouterr().err
    assert km.run(["resign", f"--scheduler={url}", f"--ca-file={token}"]) == 10
    assert "--ca-file: cannot use" in capsys.readouterr().err
    token.write_text("")
    assert km.run(["resign", f"--scheduler={url}", ca]) == 10
    assert "--token-file" in capsys.readouterr().err
