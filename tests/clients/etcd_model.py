"""etcd as its gateway shows it, in memory: revisions, leases that run out, transactions, watches; and its faults.

A model for speed and for faults that a real etcd cannot make on demand; what it answers was compared with etcd 3.4 and
3.7.  Endpoints are ways into one store: each may be frozen, cut off, or lose its answers.
"""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from kmsched.clients.http import Request, Response
from kmsched.clock import Clock
from kmsched.errors import Unavailable

Json = dict[str, Any]
OK = 200
AUTHENTICATE = "/v3/auth/authenticate"


@dataclass
class Key:
    value: str
    create_revision: int
    mod_revision: int
    lease: int

    def shown(self, key: str) -> Json:
        shown = {
            "key": key,
            "value": self.value,
            "create_revision": str(self.create_revision),
            "mod_revision": str(self.mod_revision),
        }
        return shown | ({"lease": str(self.lease)} if self.lease else {})


@dataclass
class Lease:
    ttl_s: int
    ends_at: float


@dataclass
class Watcher:
    start: bytes
    end: bytes
    lines: asyncio.Queue[Json | None] = field(default_factory=asyncio.Queue)


@dataclass
class EtcdModel:
    clock: Clock
    revision: int = 1
    keys: dict[str, Key] = field(default_factory=dict)
    leases: dict[int, Lease] = field(default_factory=dict)
    watchers: list[Watcher] = field(default_factory=list)
    history: list[tuple[int, Json]] = field(default_factory=list)
    has_quorum: bool = True
    #: by user; empty: users are switched off
    passwords: dict[str, str] = field(default_factory=dict)
    #: token -> user
    tokens: dict[str, str] = field(default_factory=dict)

    def set_password(self, user: str, password: str) -> None:
        """As etcd does it: tokens of that user end."""
        self.passwords[user] = password
        self.tokens = {token: owner for token, owner in self.tokens.items() if owner != user}

    def expire(self) -> None:
        """What the lessor does: without a quorum, nothing."""
        if self.has_quorum:
            now = self.clock.monotonic()
            for lease_id in [each for each, lease in self.leases.items() if lease.ends_at <= now]:
                self._end(lease_id)

    def lose_quorum(self) -> None:
        self.expire()
        self.has_quorum = False

    def regain_quorum(self) -> None:
        """A new leader of etcd gives every lease its whole time anew."""
        self.has_quorum = True
        now = self.clock.monotonic()
        for lease in self.leases.values():
            lease.ends_at = now + lease.ttl_s

    def answer(self, path: str, body: Json, token: str = "") -> Response:
        self.expire()
        if not self.has_quorum:
            return _refusal(503, 14, "etcdserver: request timed out")
        if self.passwords and path != AUTHENTICATE and token not in self.tokens:
            return _refusal(401, 16, "etcdserver: invalid auth token")
        match path:
            case "/v3/auth/authenticate" if self.passwords:
                if self.passwords.get(body["name"]) != body["password"]:
                    return _refusal(400, 3, "etcdserver: authentication failed, invalid user ID or password")
                made = f"token-{len(self.tokens)}-{self.passwords[body['name']]}"
                self.tokens[made] = body["name"]
                return self._reply({"token": made})
            case "/v3/kv/range":
                return self._reply(self._range(body))
            case "/v3/kv/txn":
                return self._txn(body)
            case "/v3/lease/grant":
                lease_id, ttl_s = int(body["ID"]), int(body["TTL"])
                if lease_id in self.leases:
                    return _refusal(400, 9, "etcdserver: lease already exists")
                self.leases[lease_id] = Lease(ttl_s, self.clock.monotonic() + ttl_s)
                return self._reply({"ID": body["ID"], "TTL": str(ttl_s)})
            case "/v3/lease/keepalive":
                lease = self.leases.get(int(body["ID"]))
                if lease is None:
                    return self._reply({"result": {"ID": body["ID"]}})
                lease.ends_at = self.clock.monotonic() + lease.ttl_s
                return self._reply({"result": {"ID": body["ID"], "TTL": str(lease.ttl_s)}})
            case "/v3/lease/revoke":
                if int(body["ID"]) not in self.leases:
                    return _refusal(404, 5, "etcdserver: requested lease not found")
                self._end(int(body["ID"]))
                return self._reply({})
        return _refusal(404, 5, "Not Found")

    def watch(self, request: Json) -> Watcher:
        watcher = Watcher(_raw(request["key"]), _raw(request["range_end"]))
        watcher.lines.put_nowait({"result": {"header": {"revision": str(self.revision)}, "created": True}})
        for revision, event in self.history:
            if revision >= int(request["start_revision"]) and _within(event, watcher):
                watcher.lines.put_nowait(_line(revision, event))
        self.watchers.append(watcher)
        return watcher

    def _txn(self, body: Json) -> Response:
        holds = all(self._holds(each) for each in body["compare"])
        operations = body["success" if holds else "failure"]
        for each in operations:
            put = each.get("request_put")
            if put and int(put["lease"]) and int(put["lease"]) not in self.leases:
                return _refusal(404, 5, "etcdserver: requested lease not found")
        if any("request_range" not in each for each in operations):
            self.revision += 1
        answers = [self._operate(each) for each in operations]
        return self._reply(({"succeeded": True} if holds else {}) | {"responses": answers})

    def _holds(self, compare: Json) -> bool:
        key = self.keys.get(compare["key"])
        if compare["target"] == "CREATE":
            return (key.create_revision if key else 0) == int(compare["create_revision"])
        return (key.mod_revision if key else 0) == int(compare["mod_revision"])

    def _operate(self, operation: Json) -> Json:
        if (put := operation.get("request_put")) is not None:
            old = self.keys.get(put["key"])
            created = old.create_revision if old else self.revision
            key = self.keys[put["key"]] = Key(put["value"], created, self.revision, int(put["lease"]))
            self._tell({"kv": key.shown(put["key"])})
            return {"response_put": {}}
        if (delete := operation.get("request_delete_range")) is not None:
            self._delete(delete["key"])
            return {"response_delete_range": {}}
        return {"response_range": self._range(operation["request_range"])}

    def revoke(self, lease_id: int) -> None:
        """What an operator or another process may do."""
        self._end(lease_id)

    def delete(self, key: str) -> None:
        """Likewise, of a key by hand."""
        self.revision += 1
        self._delete(key)

    def restore(self, revision: int) -> None:
        """From a backup that knows no key and no lease; every connection breaks."""
        self.revision, self.keys, self.leases, self.history = revision, {}, {}, []
        self.break_watches()

    def break_watches(self) -> None:
        """As when connections break; what is watched from an older revision on is told later."""
        for watcher in self.watchers:
            watcher.lines.put_nowait(None)

    def _range(self, body: Json) -> Json:
        start, end = _raw(body["key"]), _raw(body.get("range_end", ""))
        chosen = sorted(key for key in self.keys if _raw(key) == start or (end and start <= _raw(key) < end))
        return {"kvs": [self.keys[key].shown(key) for key in chosen], "count": str(len(chosen))}

    def _end(self, lease_id: int) -> None:
        del self.leases[lease_id]
        attached = [key for key, stored in self.keys.items() if stored.lease == lease_id]
        if attached:
            self.revision += 1
        for key in attached:
            self._delete(key)

    def _delete(self, key: str) -> None:
        if self.keys.pop(key, None) is not None:
            self._tell({"type": "DELETE", "kv": {"key": key, "mod_revision": str(self.revision)}})

    def _tell(self, event: Json) -> None:
        self.history.append((self.revision, event))
        for watcher in self.watchers:
            if _within(event, watcher):
                watcher.lines.put_nowait(_line(self.revision, event))

    def _reply(self, body: Json) -> Response:
        return Response(OK, body=json.dumps({"header": {"revision": str(self.revision)}, **body}).encode())


@dataclass
class Way:
    """One endpoint as one client reaches it. `delay_s` is the whole exchange's, half before and half after."""

    delay_s: float = 0.001
    is_frozen: bool = False
    is_cut: bool = False
    #: so many of the next calls happen, and their answers never come
    lost_answers: int = 0
    #: path -> what the next call there gets with status 200, as from a proxy, instead of being made
    spoiled: dict[str, bytes] = field(default_factory=dict)
    #: told the path of each call that has happened, before its answer goes back
    happened: Callable[[str], Awaitable[None]] | None = None

    async def opened(self) -> None:
        while self.is_frozen or self.is_cut:  # noqa: ASYNC110  plain fields are easier to play with
            await asyncio.sleep(0.1)


class EtcdWays:
    """`Transport` into an `EtcdModel`, by endpoint."""

    def __init__(self, model: EtcdModel, endpoints: Mapping[str, Way]) -> None:
        self.model = model
        self.ways = dict(endpoints)
        self.calls: list[tuple[str, str]] = []

    async def call(self, request: Request, *, deadline_s: float) -> Response:
        way, path = self._way(request)
        self.calls.append((request.host, path))
        try:
            async with asyncio.timeout(deadline_s):
                await self._pass(way, request)
                await asyncio.sleep(way.delay_s / 2)
                if path in way.spoiled:
                    return Response(OK, body=way.spoiled.pop(path))
                token = request.headers.get("authorization", "")
                answer = self.model.answer(path, json.loads(request.body or b"{}"), token)
                if way.happened is not None:
                    await way.happened(path)
                if way.lost_answers:
                    way.lost_answers -= 1
                    await asyncio.Event().wait()
                await asyncio.sleep(way.delay_s / 2)
                return answer
        except TimeoutError:
            raise Unavailable(f"{request.host} did not answer within {deadline_s:g} s") from None

    @asynccontextmanager
    async def stream(self, request: Request, *, connect_s: float, idle_s: float) -> AsyncIterator[_Stream]:
        way, _ = self._way(request)
        try:
            async with asyncio.timeout(connect_s):
                await self._pass(way, request)
        except TimeoutError:
            raise Unavailable(f"{request.host} did not answer within {connect_s:g} s") from None
        watcher = self.model.watch(json.loads(request.body or b"{}")["create_request"])
        try:
            yield _Stream(way, watcher)
        finally:
            self.model.watchers.remove(watcher)

    async def close(self) -> None:
        pass

    def _way(self, request: Request) -> tuple[Way, str]:
        endpoint = request.url[: request.url.index("/v3/")]
        return self.ways[endpoint], request.url[len(endpoint) :]

    async def _pass(self, way: Way, request: Request) -> None:
        if way.is_cut:
            raise Unavailable(f"{request.host}: no connection: Connection refused")
        if way.is_frozen:
            await asyncio.Event().wait()


class _Stream:
    status = OK
    headers: Mapping[str, str] = {}

    def __init__(self, way: Way, watcher: Watcher) -> None:
        self._way, self._watcher = way, watcher

    async def chunks(self) -> AsyncIterator[bytes]:
        while (line := await self._watcher.lines.get()) is not None:
            await asyncio.sleep(self._way.delay_s / 2)
            await self._way.opened()
            yield json.dumps(line).encode() + b"\n"

    async def read(self, limit: int) -> bytes:
        return b""


def _within(event: Json, watcher: Watcher) -> bool:
    return watcher.start <= _raw(event["kv"]["key"]) < watcher.end


def _line(revision: int, event: Json) -> Json:
    return {"result": {"header": {"revision": str(revision)}, "events": [event]}}


def _raw(key: str) -> bytes:
    return base64.b64decode(key)


def _refusal(status: int, code: int, message: str) -> Response:
    return Response(status, body=json.dumps({"code": code, "message": message}).encode())
