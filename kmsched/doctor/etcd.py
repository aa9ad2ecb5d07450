"""Checks of etcd, where several schedulers share one framework: a quorum, and each member by itself."""

from __future__ import annotations

import asyncio

from kmsched.doctor.findings import Found, Severity
from kmsched.doctor.subject import Subject
from kmsched.errors import KmError
from kmsched.ha import HaConfig
from kmsched.wire.members import Keys


async def etcd(subject: Subject) -> list[Found]:
    """A linearizable read, which only a quorum can answer; and what each member says of itself."""
    ha = subject.config.ha
    if ha is None:
        return []
    quorum, *members = await asyncio.gather(
        _refusal_of_read(subject), *(_complaint(subject, endpoint) for endpoint in ha.etcd_servers)
    )
    found = [Found(f"etcd cannot be read: {quorum}")] if quorum else []
    found += [Found(words, severity=Severity.WARNING) for words in members if words]
    return found + _too_few(ha)


def _too_few(ha: HaConfig) -> list[Found]:
    count = len(ha.etcd_servers)
    if count >= 3:
        return []
    return [
        Found(
            f"--etcd-servers names {count}: what is not named is not asked when that one is away",
            "name all members; three or five of them bear the loss of one or two",
            Severity.NOTE,
        )
    ]


async def _refusal_of_read(subject: Subject) -> str | None:
    try:
        await subject.etcd().range(Keys(subject.config.framework_name).leader)
    except KmError as error:
        return str(error)
    return None


async def _complaint(subject: Subject, endpoint: str) -> str | None:
    try:
        status = await subject.etcd(endpoint).status()
    except KmError as error:
        return f"the etcd member {endpoint} is of no use: {error}"
    if not status.leader:
        return f"the etcd member {endpoint} knows no leader"
    return None
