"""Secrets are planted in all files that flags name, things go wrong, and what the process says is searched for them."""

from __future__ import annotations

import asyncio
import base64
import logging
import socket
import traceback
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from urllib.parse import quote

import aiohttp
import pytest
import yaml

from kmsched.clients.http import Request, Response, StreamResponse
from kmsched.config import SchedulerConfig
from kmsched.core.effects import Effect
from kmsched.core.events import Event
from kmsched.core.state import State
from kmsched.core.step import step
from kmsched.daemon import settings as daemon_settings
from kmsched.daemon.main import Daemon
from kmsched.daemon.respawn import Child
from kmsched.daemon.surroundings import Surroundings
from kmsched.daemon.web_access import Access
from kmsched.errors import ConfigRefused, InternalError, KmError, NotHandedOver, Unavailable
from kmsched.ha import read_password
from kmsched.wire import members as records
from tests import virtual_time
from tests.clients.etcd_model import AUTHENTICATE, EtcdModel, EtcdWays, Way
from tests.clients.fakes import HandlerTransport, Reply
from tests.daemon.peers import ETCD, Both
from tests.daemon.processes import World, settings
from tests.daemon.values import pod_json
from tests.virtual_time import VirtualClock

SECRETS = {name: f"{name}-Planted0Secret" for name in ("etcd", "mesos", "read", "act", "kube", "kubekey")}
#: host of an upstream -> the one secret that it is shown
SHOWN_TO = {"etcd:2379": "etcd", "m:5050": "mesos", "api:8080": "kube"}


def forms(name: str) -> list[str]:
    """How a secret may look."""
    plain = SECRETS[name]
    coded = [base64.b64encode(each.encode()).decode().rstrip("=") for each in (plain, f"km:{plain}", f"any:{plain}")]
    return [plain, quote(plain), plain.encode().hex(), *coded]


def found_in(text: str) -> set[str]:
    return {name for name in SECRETS if any(each in text for each in forms(name))}


def test_what_is_searched_for_would_be_found() -> None:
    basic = base64.b64encode(f"km:{SECRETS['mesos']}".encode()).decode()
    assert found_in(f"Basic {basic} {SECRETS['kubekey']}") == {"mesos", "kubekey"}


class Failing(World):
    """Kubernetes and Mesos that refuse, break and talk nonsense for a while; then they serve."""

    def __init__(self) -> None:
        super().__init__(pod_json())
        self.faults: dict[str, list[Reply | KmError]] = {
            "scheduler": [Reply(401, [b"HTTP Basic: denied"]), Reply(503), Reply(200, [b"9\nnonsense!"])],
            "pods": [Unavailable("api:8080: the connection broke"), Reply(500, [b"etcd is away"]), Reply(200, [b"{"])],
            "nodes": [Reply(403, [b'{"message":"nodes is forbidden"}'])],
        }
        self.transport = HandlerTransport(self._answer_or_fail)

    def _answer_or_fail(self, request: Request) -> Reply:
        for word, faults in self.faults.items():
            if word in request.url and faults:
                fault = faults.pop(0)
                if isinstance(fault, KmError):
                    raise fault
                return fault
        return self.answer(request)


class Recorded:
    """Keeps all requests that leave the process."""

    def __init__(self, transport: Both, sent: list[Request]) -> None:
        self._transport, self._sent = transport, sent

    async def call(self, request: Request, *, deadline_s: float) -> Response:
        self._sent.append(request)
        return await self._transport.call(request, deadline_s=deadline_s)

    def stream(
        self, request: Request, *, connect_s: float, idle_s: float
    ) -> AbstractAsyncContextManager[StreamResponse]:
        self._sent.append(request)
        return self._transport.stream(request, connect_s=connect_s, idle_s=idle_s)

    async def close(self) -> None:
        await self._transport.close()


def kubeconfig(**user: str) -> str:
    user = user or {"token": SECRETS["kube"], "client-certificate-data": base64.b64encode(b"CERT").decode()}
    return yaml.safe_dump(
        {
            "current-context": "main",
            "contexts": [{"name": "main", "context": {"cluster": "c", "user": "u"}}],
            "clusters": [{"name": "c", "cluster": {"server": "http://api:8080"}}],
            "users": [{"name": "u", "user": user}],
        }
    )


def planted(folder: Path) -> list[str]:
    """Flags that name files with all secrets."""
    key = base64.b64encode(f"-----BEGIN PRIVATE KEY-----\n{SECRETS['kubekey']}\n".encode()).decode()
    cert = base64.b64encode(b"-----BEGIN CERTIFICATE-----\n").decode()
    user = {"token": SECRETS["kube"], "client-certificate-data": cert, "client-key-data": key}
    contents = {name: f"{secret}\n" for name, secret in SECRETS.items()} | {"kubeconfig": kubeconfig(**user)}
    for name, content in contents.items():
        (folder / name).write_text(content)
    return [
        f"--kubeconfig={folder}/kubeconfig",
        "--mesos-authentication-principal=km",
        f"--mesos-authentication-secret-file={folder}/mesos",
        f"--http-read-token-file={folder}/read",
        f"--http-act-token-file={folder}/act",
        "--ha",
        f"--etcd-servers={ETCD}",
        "--etcd-user=kmsched",
        f"--etcd-password-file={folder}/etcd",
        "--ha-instance=a",
        "--ha-url=http://10.0.0.1:10251",
        "--log-level=debug",
    ]


@dataclass
class Process:
    """A daemon, and what it says: by where it says it."""

    folder: Path
    caplog: pytest.LogCaptureFixture
    sent: list[Request] = field(default_factory=list)
    said: dict[str, list[str]] = field(default_factory=dict)
    is_broken: bool = False

    def __post_init__(self) -> None:
        self.flags = planted(self.folder)
        self.model = EtcdModel(VirtualClock())
        self.model.set_password("kmsched", "another for now")
        self.way = Way()
        self.world = Failing()
        self.receiver = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self.receiver.bind(str(self.folder / "notify"))
        surroundings = Surroundings(
            clock=VirtualClock(),
            rng=Random(1),
            make_transport=lambda _: Recorded(Both(self.world, EtcdWays(self.model, {ETCD: self.way})), self.sent),
            environment={"NOTIFY_SOCKET": str(self.folder / "notify"), "WATCHDOG_USEC": "3000000"},
            hostname="s1",
            step=self._step,
            read_artifact=self.world.read,
        )
        self.daemon = Daemon(settings(self.folder, *self.flags), surroundings, launch=self._launch)

    def _step(self, state: State, event: Event, now: float) -> Sequence[Effect]:
        if self.is_broken:
            raise KeyError("a defect")
        return step(state, event, now)

    async def _launch(self, environment: Mapping[str, str], listening: socket.socket, lock_fd: int) -> Child:
        self.say("environment of a replacement", *environment, *environment.values())
        raise NotHandedOver("km: no such file; this process leads on")

    def say(self, where: str, *words: str) -> None:
        self.said.setdefault(where, []).extend(words)

    async def hear_notices(self) -> None:
        while True:
            with suppress(BlockingIOError):
                while True:
                    self.say("systemd", self.receiver.recv(4096).decode())
            await asyncio.sleep(0.5)

    async def pages(self, token: str) -> AsyncIterator[tuple[str, int, str]]:
        scheduler = self.daemon.scheduler
        assert scheduler is not None
        fingerprint = scheduler.fingerprint
        async with virtual_time.exchange(), aiohttp.ClientSession(headers={"Authorization": token}) as session:
            for route in scheduler.web._runner.app.router.routes():
                path = route.resource.canonical if route.resource is not None else ""
                if path == "/deadman":  # never ends; what it says is `hello`
                    continue
                filled = path.replace("{namespace}/{name}", "default/web").replace("{name}", fingerprint)
                async with session.request(route.method, scheduler.web.url + filled) as reply:
                    yield f"{route.method} {path}", reply.status, f"{reply.headers} {await reply.text()}"

    async def live(self) -> None:
        """Trouble with all upstreams, files that are no good, pages for everybody, a handover; then a defect."""
        await asyncio.sleep(10)
        self.model.set_password("kmsched", SECRETS["etcd"])
        await asyncio.sleep(60)
        for token in ("", "Bearer wrong", f"Bearer {SECRETS['read']}", f"Basic {_basic('any', SECRETS['act'])}"):
            async for page, status, text in self.pages(token):
                self.say("pages", f"{page} {status} {text}")
        (self.folder / "read").write_text(f"{SECRETS['read']} {SECRETS['act']}")
        (self.folder / "etcd").write_bytes(SECRETS["etcd"].encode() + b"\xff")
        await self.daemon.reload()
        (self.folder / "etcd").write_text(f"{SECRETS['etcd']} of tomorrow")
        await self.daemon.reload()
        with pytest.raises(NotHandedOver) as refused:
            await self.daemon.hand_over("SIGUSR1")
        self.say("errors", str(refused.value))
        async for page, status, text in self.pages(f"Bearer {SECRETS['act']}"):
            self.say("pages", f"{page} {status} {text}")
        self.way.is_cut = True
        await asyncio.sleep(10)
        self.is_broken = True
        await asyncio.sleep(10)

    async def run(self) -> None:
        hearing = asyncio.create_task(self.hear_notices())
        running = asyncio.create_task(self.daemon.run())
        try:
            await self.live()
            group = self.daemon._group
            assert group is not None
            self.say("what peers are told", records.encode(group.hello()).decode())
            self.say("etcd", *(base64.b64decode(each.value).decode() for each in self.model.keys.values()))
            with pytest.raises(InternalError) as ended:
                await running
            self.say("errors", str(ended.value), *traceback.format_exception(ended.value))
        finally:
            for each in (hearing, running):
                each.cancel()
            await asyncio.gather(hearing, running, return_exceptions=True)
            self.receiver.close()


def _basic(user: str, password: str) -> str:
    return base64.b64encode(f"{user}:{password}".encode()).decode()


def shown(sent: Sequence[Request]) -> set[str]:
    """The secrets in these requests, each of which goes to its own upstream, and to its own place there."""
    seen = set()
    for request in sent:
        assert found_in(request.url) == set()
        in_headers, in_body = found_in(str(request.headers)), found_in((request.body or b"").decode())
        assert in_headers | in_body <= {SHOWN_TO[request.host]}
        if in_body:
            assert request.url == ETCD + AUTHENTICATE, "no message of Mesos or Kubernetes has one"
        seen |= in_headers | in_body
    return seen


def test_no_secret_is_told_whatever_goes_wrong(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    made: list[Process] = []

    async def main() -> None:
        made.append(Process(tmp_path, caplog))
        await made[0].run()

    virtual_time.run(main())
    process = made[0]
    assert shown(process.sent) == set(SHOWN_TO.values())
    process.say("logs", caplog.text, *(repr(vars(each)) for each in caplog.records))
    process.say("command line", *process.flags)
    told = {where: "\n".join(words) for where, words in process.said.items()}
    assert {where: found_in(text) for where, text in told.items()} == {where: set() for where in told}
    # the search was where things were said
    assert "authentication failed, invalid user ID or password" in told["logs"]
    assert "HTTP Basic: denied" in told["logs"] and "nodes is forbidden" in told["logs"]
    assert "is no token: one word of printable ASCII" in told["logs"]
    assert "the core cannot take" in told["logs"] and "KeyError: 'a defect'" in told["errors"]
    assert "STATUS=" in told["systemd"] and "READY=1" in told["systemd"]
    assert told["pages"].count("GET /metrics 200") == 3 and told["pages"].count("GET /metrics 401") == 2
    assert "GET /api/v1/decisions 200" in told["pages"] and "POST /api/v1/resign 409" in told["pages"]


@dataclass(frozen=True)
class Slip:
    """A file that holds a secret, and is no good. `read` is who reads it at the start."""

    name: str
    content: bytes
    read: Callable[[SchedulerConfig], object]


def _ha_password(made: SchedulerConfig) -> object:
    assert made.ha is not None
    return read_password(made.ha)


def _access(made: SchedulerConfig) -> object:
    return Access(made.http)


SLIPS = [
    Slip("kubeconfig", f'users:\n- user:\n    token: "{SECRETS["kube"]}\n'.encode(), daemon_settings.kube_access),
    Slip("kubeconfig", f"users: [{{token: *{SECRETS['kube']}}}]".encode(), daemon_settings.kube_access),
    Slip("kubeconfig", kubeconfig(**{"client-key-data": SECRETS["kubekey"]}).encode(), daemon_settings.kube_access),
    Slip("mesos", SECRETS["mesos"].encode() + b"\xff", daemon_settings.credentials),
    Slip("etcd", SECRETS["etcd"].encode() + b"\xff", _ha_password),
    Slip("read", f"{SECRETS['read']} x".encode(), _access),
    Slip("read", SECRETS["act"].encode(), _access),
    Slip("act", SECRETS["act"].encode() + b"\xff", _access),
]


@pytest.mark.parametrize("slip", SLIPS, ids=lambda slip: f"{slip.name}-{SLIPS.index(slip)}")
def test_a_file_that_is_no_good_is_refused_without_its_content(tmp_path: Path, slip: Slip) -> None:
    made = settings(tmp_path, *planted(tmp_path))
    (tmp_path / slip.name).write_bytes(slip.content)
    with pytest.raises(ConfigRefused) as refused:
        slip.read(made)
    assert found_in("".join(traceback.format_exception(refused.value))) == set()
    assert slip.name in str(refused.value)


def test_what_holds_a_secret_does_not_show_it(tmp_path: Path) -> None:
    made = settings(tmp_path, *planted(tmp_path))
    credentials, access = daemon_settings.credentials(made), daemon_settings.kube_access(made)
    assert credentials is not None
    assert found_in(f"{credentials.header()} {access.token} {access.tls.key_data}") == {"mesos", "kube", "kubekey"}
    assert found_in(f"{made!r} {credentials!r} {access!r} {Access(made.http)!r}") == set()
