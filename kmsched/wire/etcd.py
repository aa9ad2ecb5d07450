"""etcd's v3 JSON gateway: the bodies of calls, and what comes back.

Knows that keys and values are base64, that 64-bit numbers are strings, and that whatever is zero is left out.  It
refuses to know endpoints, deadlines, and what keys mean.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import msgspec

from kmsched.wire import typed

Json = dict[str, Any]
T = TypeVar("T")

RANGE, TXN, WATCH = "/v3/kv/range", "/v3/kv/txn", "/v3/watch"
GRANT, KEEPALIVE, REVOKE = "/v3/lease/grant", "/v3/lease/keepalive", "/v3/lease/revoke"
AUTHENTICATE, STATUS = "/v3/auth/authenticate", "/v3/maintenance/status"


# --- what is asked


@dataclass(frozen=True, slots=True)
class Created:
    """True when the key was created at `revision`; 0: when it does not exist."""

    key: str
    revision: int


@dataclass(frozen=True, slots=True)
class Modified:
    """True when the key was last written at `revision`."""

    key: str
    revision: int


Compare = Created | Modified


@dataclass(frozen=True, slots=True)
class Put:
    """`lease_id` 0: the key stays until it is deleted."""

    key: str
    value: bytes
    lease_id: int = 0


@dataclass(frozen=True, slots=True)
class Get:
    key: str


@dataclass(frozen=True, slots=True)
class Delete:
    key: str


Operation = Put | Get | Delete


def range_body(key: str, *, is_prefix: bool = False, limit: int = 0) -> Json:
    """Linearizable, as etcd reads by default."""
    body: Json = {"key": _text(key)}
    if is_prefix:
        body["range_end"] = _bytes(prefix_end(key.encode()))
    if limit:
        body["limit"] = str(limit)
    return body


def txn_body(compares: Sequence[Compare], then: Sequence[Operation], otherwise: Sequence[Operation] = ()) -> Json:
    return {
        "compare": [_compare(each) for each in compares],
        "success": [_operation(each) for each in then],
        "failure": [_operation(each) for each in otherwise],
    }


def watch_body(prefix: str, start_revision: int) -> Json:
    """Changes of all keys below `prefix`, from `start_revision` on; progress is told when nothing changes."""
    return {
        "create_request": {
            "key": _text(prefix),
            "range_end": _bytes(prefix_end(prefix.encode())),
            "start_revision": str(start_revision),
            "progress_notify": True,
        }
    }


def grant_body(lease_id: int, ttl_s: int) -> Json:
    return {"ID": str(lease_id), "TTL": str(ttl_s)}


def lease_body(lease_id: int) -> Json:
    return {"ID": str(lease_id)}


def prefix_end(prefix: bytes) -> bytes:
    """The first key behind all that begin with `prefix`; the zero byte means "to the end"."""
    for place in range(len(prefix) - 1, -1, -1):
        if prefix[place] < 0xFF:
            return prefix[:place] + bytes([prefix[place] + 1])
    return b"\0"


# --- what is answered


class KeyValue(msgspec.Struct, frozen=True):
    """One key as it is stored; `value` is empty in the news of a deletion."""

    key: bytes
    value: bytes = b""
    create_revision: int = 0
    mod_revision: int = 0
    lease: int = 0

    @property
    def name(self) -> str:
        return self.key.decode("utf-8", "replace")


class Header(msgspec.Struct, frozen=True):
    revision: int = 0


class RangeAnswer(msgspec.Struct, frozen=True):
    header: Header = Header()
    kvs: list[KeyValue] = []
    more: bool = False


class _One(msgspec.Struct, frozen=True):
    response_range: RangeAnswer | None = None


class TxnAnswer(msgspec.Struct, frozen=True):
    """`header.revision` is that of the writes, when `succeeded`."""

    header: Header = Header()
    succeeded: bool = False
    responses: list[_One] = []

    def found(self, place: int) -> KeyValue | None:
        """What the Get at this place of the branch that ran has found."""
        answer = self.responses[place].response_range if place < len(self.responses) else None
        return answer.kvs[0] if answer is not None and answer.kvs else None


class LeaseAnswer(msgspec.Struct, frozen=True):
    """`TTL` 0: there is no such lease."""

    ID: int = 0
    TTL: int = 0


class KeepaliveAnswer(msgspec.Struct, frozen=True):
    """`result` is always there, also for a lease that is gone; without one, nothing is known of the lease."""

    result: LeaseAnswer


class TokenAnswer(msgspec.Struct, frozen=True):
    token: str = ""


class StatusAnswer(msgspec.Struct, frozen=True):
    """`leader` 0: this member knows none."""

    version: str = ""
    leader: int = 0


class Change(msgspec.Struct, frozen=True):
    kv: KeyValue
    type: str = "PUT"

    @property
    def is_deletion(self) -> bool:
        return self.type == "DELETE"


class News(msgspec.Struct, frozen=True):
    """One message of a watch. `canceled`: no more will come; with `compact_revision` the past is gone: read again."""

    header: Header = Header()
    events: list[Change] = []
    created: bool = False
    canceled: bool = False
    compact_revision: int = 0
    cancel_reason: str = ""


class _Refusal(msgspec.Struct, frozen=True):
    code: int = 0
    message: str = ""
    error: str | Any = ""


class WatchLine(msgspec.Struct, frozen=True):
    result: News | None = None
    error: _Refusal | None = None


class Refusal(msgspec.Struct, frozen=True):
    """An error's gRPC code and text."""

    code: int
    message: str


def decode_refusal(body: bytes) -> Refusal | None:
    """None: the body is no error of the gateway."""
    try:
        refusal = msgspec.json.decode(body, type=_Refusal)
    except typed.UNDECODABLE:
        return None
    words = refusal.message or (refusal.error if isinstance(refusal.error, str) else "")
    return Refusal(refusal.code, words) if refusal.code and words else None


def decoder(kind: type[T]) -> msgspec.json.Decoder[T]:
    """For `typed.decode`; numbers may come as strings."""
    return msgspec.json.Decoder(kind, strict=False)


def _compare(compare: Compare) -> Json:
    match compare:
        case Created():
            target, field = "CREATE", "create_revision"
        case Modified():
            target, field = "MOD", "mod_revision"
    return {"key": _text(compare.key), "target": target, "result": "EQUAL", field: str(compare.revision)}


def _operation(operation: Operation) -> Json:
    match operation:
        case Put(key, value, lease_id):
            return {"request_put": {"key": _text(key), "value": _bytes(value), "lease": str(lease_id)}}
        case Get(key):
            return {"request_range": {"key": _text(key)}}
        case Delete(key):
            return {"request_delete_range": {"key": _text(key)}}


def _text(text: str) -> str:
    return _bytes(text.encode())


def _bytes(raw: bytes) -> str:
    return base64.b64encode(raw).decode("ascii")
