from __future__ import annotations

import json

import pytest

from kmsched.errors import ProtocolError
from kmsched.wire import members as records
from kmsched.wire.etcd import KeyValue

#: as the version before wrote it
BEFORE = {
    "schema": 1,
    "instance": "a",
    "boot_id": "b1",
    "url": "http://a:10251",
    "home": "a:/var/lib/kmsched",
    "role": "standby",
    "is_synced": True,
    "fingerprint": "f",
    "version": "0",
    "lease_id": "77",
}


def kv(record: object) -> KeyValue:
    return KeyValue(b"/kmsched/Kubernetes/members/a", json.dumps(record).encode())


def test_members_of_the_version_before_and_of_the_one_after_are_read() -> None:
    assert records.decode_member(kv(BEFORE)).lock_id == ""
    later = records.decode_member(kv({**BEFORE, "lock_id": "l", "something_else": 1}))
    assert (later.instance, later.lock_id) == ("a", "l")


def test_what_is_no_member_is_refused_by_its_key() -> None:
    with pytest.raises(ProtocolError, match="the record /kmsched/Kubernetes/members/a in etcd"):
        records.decode_member(kv({**BEFORE, "is_synced": "perhaps"}))
