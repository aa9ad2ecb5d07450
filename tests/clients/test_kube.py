from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from kmsched.clients.aiohttp_transport import TlsSettings
from kmsched.clients.http import Request
from kmsched.clients.kube import TOKEN_REREAD_S, KubeAccess, KubeClient, TokenSource, load_access, status_words
from kmsched.errors import (
    ConfigRefused,
    Conflict,
    Forbidden,
    Gone,
    Invalid,
    KmError,
    NotFound,
    ProtocolError,
    Unavailable,
)
from tests.clients.fakes import FakeClock, HandlerTransport, Reply, refused


def rig(
    handler: Callable[[Request], Reply], *servers: str, token: str | None = None
) -> tuple[KubeClient, HandlerTransport]:
    transport = HandlerTransport(handler)
    access = KubeAccess(servers or ("https://a:6443",), TlsSettings(), "km-user", token=token)
    return KubeClient(access, make_transport=lambda tls: transport, clock=FakeClock()), transport


def ok(body: object) -> Callable[[Request], Reply]:
    return lambda request: Reply(200, (json.dumps(body).encode(),))


def test_a_get_brings_the_object() -> None:
    kube, transport = rig(ok({"kind": "Pod"}), token="t0k")
    assert asyncio.run(kube.get("/api/v1/pods", {"limit": "5", "x": "a/b"})) == {"kind": "Pod"}
    (request,) = transport.requests
    assert (request.method, request.url) == ("GET", "https://a:6443/api/v1/pods?limit=5&x=a%2Fb")
    assert request.headers["authorization"] == "Bearer t0k"
    assert request.body is None


STATUS = json.dumps({"kind": "Status", "message": 'pods "p" is special', "reason": "R", "code": 1}).encode()


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (401, Forbidden),
        (403, Forbidden),
        (404, NotFound),
        (409, Conflict),
        (410, Gone),
        (400, Invalid),
        (405, Invalid),
        (413, Invalid),
        (422, Invalid),
        (429, Unavailable),
        (500, Unavailable),
        (503, Unavailable),
        (302, Unavailable),
    ],
)
def test_statuses_become_errors_that_quote_the_server(status: int, kind: type[KmError]) -> None:
    kube, _ = rig(lambda request: Reply(status, (STATUS,)))
    with pytest.raises(KmError) as caught:
        asyncio.run(kube.get("/api/v1/pods", {"limit": "5"}))
    assert type(caught.value) is kind
    said = f'GET https://a:6443/api/v1/pods was answered {status}: pods "p" is special'
    assert str(caught.value) == said + (" (user 'km-user')" if kind is Forbidden else "")


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"<html>bad\ngateway</html>", "<html>bad gateway</html>"),
        (b'{"reason":"R"}', "R"),
        (b'{"message":5}', '{"message":5}'),
        (b"", "(nothing)"),
        (b"[" * 100_000, "[" * 500 + "…"),
        (b"\xff", "\N{REPLACEMENT CHARACTER}"),
    ],
)
def test_whatever_came_is_put_into_words(body: bytes, words: str) -> None:
    assert status_words(body) == words


@pytest.mark.parametrize("body", [b"", b"[]", b"<html>", b'{"a":', b"[" * 100_000])
def test_an_answer_that_is_no_object_is_a_protocol_error(body: bytes) -> None:
    kube, _ = rig(lambda request: Reply(200, (body,)))
    with pytest.raises(ProtocolError, match="the answer to GET /api/v1/pods is not what the protocol allows"):
        asyncio.run(kube.get("/api/v1/pods"))


def test_servers_take_turns_when_one_fails() -> None:
    def handler(request: Request) -> Reply:
        if request.host == "a:1":
            raise refused(request)
        return Reply(503 if request.host == "b:1" else 200, (b"{}",))

    kube, transport = rig(handler, "https://a:1", "https://b:1", "https://c:1")

    async def scenario() -> None:
        for _ in range(2):
            with pytest.raises(Unavailable):
                await kube.get("/x")
        await kube.get("/x")
        await kube.get("/x")

    asyncio.run(scenario())
    assert [request.host for request in transport.requests] == ["a:1", "b:1", "c:1", "c:1"]


def test_two_failures_of_one_server_move_on_once() -> None:
    def handler(request: Request) -> Reply:
        raise refused(request)

    kube, _ = rig(handler, "https://a:1", "https://b:1", "https://c:1")

    async def scenario() -> None:
        results = await asyncio.gather(kube.get("/x"), kube.get("/y"), return_exceptions=True)
        assert [type(result) for result in results] == [Unavailable, Unavailable]

    asyncio.run(scenario())
    assert kube.server == "https://b:1"


def test_refusals_stay_with_the_server() -> None:
    kube, _ = rig(lambda request: Reply(409, (STATUS,)), "https://a:1", "https://b:1")
    with pytest.raises(Conflict):
        asyncio.run(kube.create("/x", {}))
    assert kube.server == "https://a:1"


def test_a_stream_that_is_refused_says_so() -> None:
    kube, transport = rig(lambda request: Reply(403, (STATUS,)))

    async def scenario() -> None:
        async with kube.stream("/api/v1/pods", query={"watch": "1"}, idle_s=5):
            raise AssertionError("no stream is given")

    with pytest.raises(Forbidden, match=r"answered 403: .* \(user 'km-user'\)"):
        asyncio.run(scenario())
    assert transport.open_streams == 0


def touch(path: Path, text: str, mtime_s: float) -> None:
    path.write_text(text)
    os.utime(path, (mtime_s, mtime_s))


def test_a_token_file_is_read_again_when_it_changed_or_in_time(tmp_path: Path) -> None:
    clock, file = FakeClock(), tmp_path / "token"
    touch(file, "one\n", 1)
    tokens = TokenSource(None, str(file), clock)
    assert tokens.current() == "one"
    touch(file, "two\n", 2)
    assert tokens.current() == "two"
    touch(file, "three\n", 2)
    assert tokens.current() == "two"
    clock.now_s += TOKEN_REREAD_S
    assert tokens.current() == "three"
    touch(file, "", 4)
    assert tokens.current() == "three"
    file.unlink()
    assert tokens.current() == "three"
    touch(file, "four", 5)
    assert tokens.current() == "four"


def test_a_token_file_that_never_gave_a_token_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigRefused, match="cannot read the token file /nonexistent/token"):
        TokenSource(None, "/nonexistent/token", FakeClock()).current()
    empty = tmp_path / "token"
    empty.write_text("\n")
    with pytest.raises(ConfigRefused, match="token is empty"):
        TokenSource(None, str(empty), FakeClock()).current()
    # A token given beside the file serves until the file can be read.
    assert TokenSource("given", str(tmp_path / "later"), FakeClock()).current() == "given"


def kubeconfig(folder: Path, **user: str) -> str:
    path = folder / "kubeconfig"
    document = {
        "current-context": "c",
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
        "clusters": [{"name": "c", "cluster": {"server": "https://k:6443", "certificate-authority": "ca.crt"}}],
        "users": [{"name": "u", "user": user}],
    }
    path.write_text(yaml.safe_dump(document))
    return str(path)


def test_access_looks_files_up_beside_the_kubeconfig(tmp_path: Path) -> None:
    path = kubeconfig(tmp_path, tokenFile="token", **{"client-certificate": "c", "client-key": "/abs/k"})
    access = load_access(path)
    assert access.servers == ("https://k:6443",)
    assert access.token_file == str(tmp_path / "token")
    assert (access.tls.ca_file, access.tls.cert_file, access.tls.key_file) == (
        str(tmp_path / "ca.crt"),
        str(tmp_path / "c"),
        "/abs/k",
    )


def test_api_servers_can_be_given(tmp_path: Path) -> None:
    access = load_access(kubeconfig(tmp_path, token="t"), ["https://a:1/", "https://b:2"])
    assert access.servers == ("https://a:1", "https://b:2")
    with pytest.raises(ConfigRefused, match=r"an API server must be a URL like .*, not 'a:1'"):
        load_access(kubeconfig(tmp_path, token="t"), ["a:1"])


def test_a_kubeconfig_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    for path in (str(tmp_path), str(tmp_path / "none")):
        with pytest.raises(ConfigRefused, match=f"cannot read the kubeconfig {path}"):
            load_access(path)
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigRefused, match="cannot read the kubeconfig"):
        load_access(str(tmp_path / "binary"))
