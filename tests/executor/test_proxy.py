"""kube-proxy's command line, its mode, its health, and what is told of it."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from kmsched.clients.aiohttp_transport import TlsSettings
from kmsched.clients.http import Request, Response
from kmsched.clients.kube import KubeAccess, KubeClient
from kmsched.errors import ConfigRefused
from kmsched.executor.node_events import MAX_WAITING, ProxyEvents
from kmsched.executor.proxy import ask_kernel, choose_mode
from kmsched.executor.proxy_config import MODES, Mode, command, given, healthz_address
from tests.executor.world import FastClock, World, until


def test_what_is_given_comes_last_and_wins() -> None:
    extra = ("--proxy-mode=ipvs", "--conntrack-min=5")
    argv = command(Path("/p"), kubeconfig=Path("/k"), node_name="h1", mode="", extra_args=extra)
    assert argv[:3] == ("/p", "--kubeconfig=/k", "--hostname-override=h1")
    assert argv[-2:] == extra
    assert given("conntrack-min", argv) == "5"
    assert given("proxy-mode", argv) == "ipvs"
    assert given("config", argv) is None
    assert "--proxy-mode=nftables" in command(Path("/p"), kubeconfig=Path("/k"), node_name="h1", mode="nftables")


@pytest.mark.parametrize(
    ("args", "address"),
    [
        ([], "127.0.0.1:10256"),
        (["--healthz-bind-address=0.0.0.0:7"], "127.0.0.1:7"),
        (["--healthz-bind-address=[::]:7"], "127.0.0.1:7"),
        (["--healthz-bind-address=10.0.0.1:7"], "10.0.0.1:7"),
        (["--healthz-bind-address=10.0.0.1"], "10.0.0.1:10256"),
        (["--healthz-port=8"], "127.0.0.1:8"),
        (["--healthz-port=0"], ""),
        (["--healthz-bind-address="], ""),
    ],
)
def test_its_health_is_asked_where_its_flags_put_it(args: list[str], address: str) -> None:
    assert healthz_address(args) == address


@pytest.mark.parametrize(("lacks", "mode"), [((), "nftables"), (("nftables",), "iptables")])
def test_the_first_mode_that_the_kernel_has_is_taken(lacks: tuple[str, ...], mode: str) -> None:
    async def ask(mode: Mode) -> str:
        return "not built in" if mode.name in lacks else ""

    assert asyncio.run(choose_mode(ask)) == mode


def test_a_kernel_that_has_none_is_told_with_what_it_lacks() -> None:
    async def ask(mode: Mode) -> str:
        return f"{mode.name} not built in"

    words = r"nftables needs nf_tables with NAT .*: nftables not built in; iptables needs .*: iptables not built in"
    with pytest.raises(ConfigRefused, match=words):
        asyncio.run(choose_mode(ask))


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("cat >/dev/null", ""),
        ("grep -q '^rules$'", ""),
        ("echo 'Operation not  supported' >&2; exit 1", "Operation not supported"),
        ("exit 3", "sh ended with 3"),
        ("exec sleep 100", "sh gave no answer in 0.2 s"),
    ],
)
def test_the_kernel_is_asked_by_a_program(script: str, words: str) -> None:
    deadline_s = 0.2 if "sleep" in script else 20.0
    mode = Mode("m", "x", ("sh", "-c", script), "rules\n")
    assert asyncio.run(ask_kernel(mode, deadline_s)) == words


def test_a_program_that_is_not_installed_is_named() -> None:
    words = asyncio.run(ask_kernel(Mode("m", "x", ("no-such-program",))))
    assert words == "cannot run no-such-program: No such file or directory"
    assert [mode.name for mode in MODES] == ["nftables", "iptables"]


class Api(World):
    """Its Events; `existing` of them were there before."""

    def __init__(self, existing: bool = False) -> None:
        super().__init__()
        self.existing = existing
        self.repeated: list[Any] = []

    async def call(self, request: Request, *, deadline_s: float) -> Response:
        if request.method == "PATCH":
            self.repeated.append(request.body)
            return Response(200, {}, b"{}")
        reply = await super().call(request, deadline_s=deadline_s)
        return Response(409, {}, b"{}") if self.existing else reply


async def told(api: Api, *troubles: str) -> None:
    clock = FastClock()
    kube = KubeClient(KubeAccess(("http://api",), TlsSettings(), "u"), make_transport=lambda _: api, clock=clock)
    events = ProxyEvents(kube, clock, "h1")
    for trouble in troubles:
        events.put(trouble)
    running = asyncio.create_task(events.run())
    await until(events._waiting.empty)
    await asyncio.sleep(0.02)
    running.cancel()
    await kube.close()


def test_being_well_is_news_only_after_it_was_not_and_repeats_are_rare() -> None:
    api = Api()
    asyncio.run(told(api, "", "", "broken", "broken", ""))
    assert [(event["type"], event["message"]) for event in api.node_events] == [
        ("Warning", "broken"),
        ("Normal", "kube-proxy is healthy"),
    ]


def test_an_event_that_exists_is_counted_up() -> None:
    api = Api(existing=True)
    asyncio.run(told(api, "broken"))
    assert len(api.node_events) == 1
    assert b'"count":2' in api.repeated[0].replace(b" ", b"")


def test_news_that_nobody_writes_are_bounded() -> None:
    api = Api()
    asyncio.run(told(api, *(f"broken {n}" for n in range(3 * MAX_WAITING))))
    assert len(api.node_events) == MAX_WAITING
