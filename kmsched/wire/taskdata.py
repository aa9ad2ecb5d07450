"""TaskInfo.data: what a launch tells the executor about the pod that its task reserves resources for.

Knows the JSON and its schema number; the base64 around it is how Mesos' JSON spells bytes (`wire.mesos`).  It does
not know what the executor does with it.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from kmsched.errors import ProtocolError

SCHEMA = 1


class TaskData(msgspec.Struct, frozen=True, kw_only=True):
    """`mode` "bind" waits for the pod to be bound to this node, "adopt" takes over one that already is."""

    schema: int = SCHEMA
    mode: Literal["bind", "adopt"]
    pod: str  # "namespace/name"
    uid: str
    #: `wire.hotsettings.HotSettings`, not looked into here: a launch must not fail by them
    settings: Any = msgspec.UNSET


def encode(data: TaskData) -> bytes:
    return msgspec.json.encode(data)


def decode(text: bytes) -> TaskData:
    """The inverse of `encode`. Unknown fields are let pass; raises ProtocolError for anything else."""
    try:
        data = msgspec.json.decode(text, type=TaskData)
    except (UnicodeDecodeError, msgspec.MsgspecError) as error:
        raise ProtocolError(
            f"TaskInfo.data is not a task of kmsched ({error}): launch it with a km scheduler of this release"
        ) from error
    if data.schema != SCHEMA:
        raise ProtocolError(
            f"TaskInfo.data has schema {data.schema}, this executor reads {SCHEMA}: use executors of the"
            " same or the next release"
        )
    if data.pod.count("/") != 1 or not all(data.pod.split("/")) or not data.uid:
        raise ProtocolError(f"TaskInfo.data names no pod: pod {data.pod!r}, uid {data.uid!r}")
    return data
