"""A subject for the doctor whose upstreams are one handler: healthy, until a test replaces an answer."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from email.utils import formatdate
from pathlib import Path
from typing import Any

from kmsched import config, flags
from kmsched.clients.aiohttp_transport import TlsSettings
from kmsched.clients.http import Request
from kmsched.clients.kube import KubeAccess
from kmsched.clients.mesos import Credentials
from kmsched.doctor.findings import Found
from kmsched.doctor.subject import Here, Reached, Subject
from kmsched.errors import ArtifactError, LocalFileUnreadable
from tests import virtual_time
from tests.clients.fakes import HandlerTransport, Reply

Json = dict[str, Any]
Run = Callable[[Subject], Awaitable[Sequence[Found]]]

KM = b"the km file"
SHA256 = hashlib.sha256(KM).hexdigest()
KM_URI = f"hdfs://nn:8020/km/{SHA256}/km"
FRAMEWORK_ID = "f-1"
#: flags of one scheduler of several
PEER = ("--ha", "--etcd-servers=http://e1:2379,http://e2:2379,http://e3:2379", "--ha-url=http://10.0.0.9:10251")


def agent(name: str = "h1", address: str = "10.0.0.1", *, version: str = "1.11.0") -> Json:
    return {
        "agent_info": {"hostname": name, "id": {"value": f"agent-{name}"}},
        "active": True,
        "version": version,
        "pid": f"slave(1)@{address}:5051",
    }


def framework(framework_id: str = FRAMEWORK_ID, *, active: bool = True, **more: Any) -> Json:
    info = {
        "id": {"value": framework_id},
        "name": "Kubernetes",
        "user": "root",
        "checkpoint": True,
        "failover_timeout": 2419200.0,
        "roles": ["*"],
    }
    return {"framework_info": info | more, "active": active, "connected": active, "recovered": False}


@dataclass
class World:
    """`answers`: part of "METHOD url" or the type of an operator's call -> what comes back; the first that fits."""

    folder: Path
    answers: dict[str, Reply | Json] = field(default_factory=dict)
    date_s: float = virtual_time.WALL_S
    missing: frozenset[str] = frozenset()  # rights that are not granted, like "patch pods"
    files: dict[str, bytes] = field(default_factory=lambda: {KM_URI: KM})
    local: frozenset[str] = frozenset()
    requests: list[Request] = field(default_factory=list)
    reads: list[str] = field(default_factory=list)

    def subject(self, *given: str, credentials: Credentials | None = None) -> Subject:
        tokens = {
            "mesos-master": "m1:5050",
            "api-servers": "https://api:6443",
            "km-path": KM_URI,
            "kubelet-path": f"{KM_URI}let#sha256={SHA256}",
            "state-dir": str(self.folder),
            "address": "10.0.0.9",
        }
        names = {each.removeprefix("--").partition("=")[0] for each in given}
        defaults = [f"--{name}={value}" for name, value in tokens.items() if name not in names]
        settings = config.build(flags.parse([*defaults, *given], flags.SCHEDULER))
        self.files.setdefault(f"{KM_URI}let", KM)
        return Subject(
            settings,
            Reached(
                kube_access=lambda: KubeAccess(settings.api_servers, TlsSettings(), "km"),
                credentials=lambda: credentials,
                make_transport=lambda _: HandlerTransport(self.handle),
            ),
            Here(
                read=self.read,
                namenodes=lambda uri: ("http://nn:9870",),
                is_local=lambda address: address in self.local,
                systemd_version=lambda: "252",
                python_version="3.11.2",
                locks=self.folder / "locks",
            ),
            virtual_time.VirtualClock(),
        )

    def read(self, uri: str) -> Iterator[bytes]:
        self.reads.append(uri)
        if uri.startswith("file:"):
            path = Path(uri.removeprefix("file://"))
            if not path.exists():
                raise LocalFileUnreadable(f"{path}: No such file or directory")
            yield path.read_bytes()
        elif uri in self.files:
            yield self.files[uri]
        else:
            raise ArtifactError(f"{uri}: there is no such file in HDFS at nn:8020")

    def handle(self, request: Request) -> Reply:
        self.requests.append(request)
        called = json.loads(request.body)["type"] if request.body and b'"GET_' in request.body else ""
        what = f"{request.method} {request.url} {called}"
        for part, given in [*self.answers.items(), *self.healthy().items()]:
            if part in what:
                return given if isinstance(given, Reply) else self._json(given)
        if "selfsubjectaccessreviews" in request.url:
            return self._json(self._reviewed(json.loads(request.body or b"")))
        return Reply(404, [b"not here"], {"date": formatdate(self.date_s, usegmt=True)})

    def healthy(self) -> dict[str, Reply | Json]:
        return {
            "GET https://api:6443/version": {"gitVersion": "v1.37.2"},
            "GET https://api:6443/api/v1/nodes": {"items": [node()]},
            "GET https://api:6443/api/v1/pods": {"items": []},
            "/api/v1/scheduler": Reply(405, [b"Expecting one of { 'POST' }, but received 'GET'"]),
            "GET_AGENTS": {"type": "GET_AGENTS", "get_agents": {"agents": [agent()]}},
            "GET_FRAMEWORKS": {"type": "GET_FRAMEWORKS", "get_frameworks": {}},
            "GET_FLAGS": {"type": "GET_FLAGS", "get_flags": {"flags": [{"name": "port", "value": "5050"}]}},
            "GET_QUOTA": {"type": "GET_QUOTA", "get_quota": {"status": {}}},
            "/slave(1)/flags": {"flags": {"isolation": "posix/cpu,posix/mem"}},
            "5050/version": {"version": "1.11.0"},
            "/slave(1)/version": {"version": "1.11.0"},
            "/v3/maintenance/status": {"version": "3.7.0", "leader": "1"},
            "/v3/kv/range": {"header": {"revision": "5"}},
            ":2379/version": {"etcdserver": "3.7.0"},
            "/jmx": {"beans": [{"SoftwareVersion": "3.4.1"}]},
        }

    def _json(self, content: Json) -> Reply:
        return Reply(200, [json.dumps(content).encode()], {"date": formatdate(self.date_s, usegmt=True)})

    def _reviewed(self, review: Json) -> Json:
        asked = review["spec"]["resourceAttributes"]
        sub = f"/{asked['subresource']}" if "subresource" in asked else ""
        return {"status": {"allowed": f"{asked['verb']} {asked['resource']}{sub}" not in self.missing}}


def node(kubelet: str = "v1.37.2", runtime: str = "containerd://1.6.20~ds1") -> Json:
    info = {"kubeletVersion": kubelet, "containerRuntimeVersion": runtime}
    return {"metadata": {"name": "h1"}, "status": {"nodeInfo": info}}


def flag_answer(**values: str) -> Json:
    listed = [{"name": name, "value": value} for name, value in values.items()]
    return {"type": "GET_FLAGS", "get_flags": {"flags": listed}}


def frameworks(*listed: Mapping[str, Any], completed: Sequence[Mapping[str, Any]] = ()) -> Json:
    return {
        "type": "GET_FRAMEWORKS",
        "get_frameworks": {"frameworks": list(listed), "completed_frameworks": list(completed)},
    }


def said(run: Run, subject: Subject) -> list[str]:
    """The messages of one check."""
    return [each.message for each in found(run, subject)]


def found(run: Run, subject: Subject) -> list[Found]:
    async def made() -> list[Found]:
        return list(await run(subject))

    return virtual_time.run(made())
