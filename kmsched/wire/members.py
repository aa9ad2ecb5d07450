"""The records of a group of schedulers in etcd: who leads, and who is there.

Knows keys and their JSON, which carries `schema` so that one version reads what another wrote.  It does not know leases
or who may write.
"""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import quote

import msgspec

from kmsched.wire import typed
from kmsched.wire.etcd import KeyValue

SCHEMA = 1
ROOT = "/kmsched"
#: the `lease_id` of a process that is no member yet
NO_LEASE = "0"


class Member(msgspec.Struct, frozen=True, kw_only=True):
    """One scheduler process; the key lives as long as its lease. `url` is where its peers reach it directly."""

    schema: int = SCHEMA
    instance: str
    #: random, of this process alone
    boot_id: str
    url: str
    #: where its lock is, for people: hostname and state folder
    home: str
    #: the very lock that it holds; whoever has the same one knows that it is dead. "": written by an older version
    lock_id: str = ""
    role: str
    is_synced: bool
    #: whether the leading Mesos master has answered this process lately
    reaches_mesos: bool = False
    fingerprint: str
    version: str
    lease_id: str


class Leader(msgspec.Struct, frozen=True, kw_only=True):
    """The holder of the leader key. `since_s` is wall time, for people."""

    schema: int = SCHEMA
    instance: str
    boot_id: str
    url: str
    since_s: float
    #: the term is this or the key's create revision, whichever is greater
    term_at_least: int
    lease_id: str
    fingerprint: str
    version: str
    #: who shall lead next, written before a lead is given back; "": anybody
    successor: str = ""
    #: how many leaders in a row, up to the one before, gave the lead away because they could not serve
    passed_on: int = 0


class Hello(msgspec.Struct, frozen=True, kw_only=True):
    """What a process says of itself at its dead-man's connection and at /leader, while it has a lease."""

    schema: int = SCHEMA
    instance: str
    boot_id: str
    term: int
    lease_id: str


@dataclass(frozen=True, slots=True)
class Keys:
    """Where the records of one framework are."""

    framework_name: str

    @property
    def prefix(self) -> str:
        return f"{ROOT}/{quote(self.framework_name, safe='')}/"

    @property
    def leader(self) -> str:
        return f"{self.prefix}leader"

    @property
    def members(self) -> str:
        return f"{self.prefix}members/"

    def member(self, instance: str) -> str:
        return f"{self.members}{instance}"


_member = msgspec.json.Decoder(Member)
_hello = msgspec.json.Decoder(Hello)
_leader = msgspec.json.Decoder(Leader)


def decode_hello(line: bytes, origin: str) -> Hello:
    """ProtocolError names `origin`."""
    return typed.decode(_hello, line, f"what {origin} says of itself")


def decode_member(kv: KeyValue) -> Member:
    """ProtocolError names the key."""
    return typed.decode(_member, kv.value, f"the record {kv.name} in etcd")


def decode_leader(kv: KeyValue) -> Leader:
    """ProtocolError names the key."""
    return typed.decode(_leader, kv.value, f"the record {kv.name} in etcd")


def encode(record: Member | Leader | Hello) -> bytes:
    return msgspec.json.encode(record)
