"""WebHDFS's answers as values: what a file's status says, what a refusal is.

An answer may come from anything that listens there, so whatever is not of the known form is refused in words.  Nothing
is sent here.
"""

from __future__ import annotations

import http.client
import json
from dataclasses import dataclass
from typing import Any

from kmsched.errors import ArtifactError, StorageUnreachable

MAX_REFUSAL_BYTES = 1 << 20


class HdfsRefusal(ArtifactError):
    """HDFS's own exception: `name` is its class, the text its first line (the rest is a Java stack)."""

    def __init__(self, name: str, message: str) -> None:
        super().__init__((message.strip().splitlines() or [name])[0].strip())
        self.name = name


class NotThere(HdfsRefusal):
    """HDFS knows no such path."""


@dataclass(frozen=True, slots=True)
class Status:
    """A file or folder; `name` is its last part in a listing and "" otherwise, times are milliseconds since 1970."""

    name: str
    is_folder: bool
    length: int
    owner: str
    group: str
    permission: int
    has_acl: bool
    replication: int
    block_bytes: int
    modified_ms: int
    accessed_ms: int
    file_id: int

    def is_same_file(self, other: Status) -> bool:
        """Whether nobody has written in between."""
        mine, others = ((each.file_id, each.length, each.modified_ms) for each in (self, other))
        return mine == others


def raise_refusal(answer: http.client.HTTPResponse) -> None:
    """Raise what an answer that is no success says."""
    if answer.status < http.HTTPStatus.BAD_REQUEST:
        return
    body = answer.read(MAX_REFUSAL_BYTES)
    try:
        told = json.loads(body)["RemoteException"]
        name, message = str(told["exception"]), str(told["message"])
    except (ValueError, KeyError, TypeError, RecursionError):
        if answer.status >= http.HTTPStatus.INTERNAL_SERVER_ERROR:
            raise ConnectionError(0, f"{answer.status} {answer.reason}") from None
        name = "AuthenticationException" if answer.status == http.HTTPStatus.UNAUTHORIZED else "error"
        message = f"{answer.status} {answer.reason}"
    raise (NotThere if name == "FileNotFoundException" else HdfsRefusal)(name, message)


def get(answer: Any, *names: str) -> Any:
    for name in names:
        if not isinstance(answer, dict) or name not in answer:
            raise StorageUnreachable(f"the answer has no {name}: it does not come from WebHDFS")
        answer = answer[name]
    return answer


def decoded(body: bytes, address: str) -> Any:
    """The JSON of an answer; nothing at all is an empty object."""
    try:
        return json.loads(body) if body else {}
    except (ValueError, RecursionError) as error:
        raise StorageUnreachable(f"{address} does not answer as WebHDFS does") from error


def listed(told: Any) -> list[Status]:
    """What is in a folder, by name; of a file, itself under the name "".

    ArtifactError: a name is no name, and who copies the folder would write elsewhere.
    """
    if not isinstance(told, list):
        raise StorageUnreachable("the answer has no list of files: it does not come from WebHDFS")
    found = [status_of(each) for each in told]
    for each in found:
        is_itself = each.name == "" and len(found) == 1 and not each.is_folder
        if not is_itself and (each.name in ("", ".", "..") or {"/", "\0"} & set(each.name)):
            raise ArtifactError(
                f"the NameNode lists a file of the name {each.name!r}, which is none; look at that server"
            )
    return found


def status_of(told: Any) -> Status:
    try:
        return _status(told)
    except (ValueError, TypeError, OverflowError) as error:
        raise StorageUnreachable(f"the answer does not come from WebHDFS: {error}") from error


def _status(told: Any) -> Status:
    return Status(
        name=str(get(told, "pathSuffix")),
        is_folder=get(told, "type") == "DIRECTORY",
        length=int(get(told, "length")),
        owner=str(told.get("owner", "")),
        group=str(told.get("group", "")),
        permission=int(str(told.get("permission", "0")), 8),
        has_acl=told.get("aclBit") is True,
        replication=int(told.get("replication", 0)),
        block_bytes=int(told.get("blockSize", 0)),
        modified_ms=int(told.get("modificationTime", 0)),
        accessed_ms=int(told.get("accessTime", 0)),
        file_id=int(told.get("fileId", 0)),
    )
