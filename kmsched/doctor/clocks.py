"""Check of clocks: what API servers, masters, agents and etcd hold for the time, beside this host's."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime

from kmsched.clients.http import Request, Transport
from kmsched.doctor.findings import NOT_CHECKED, Found, NotChecked, Severity
from kmsched.doctor.subject import Subject
from kmsched.errors import KmError, Unavailable

#: certificates, tokens and what people read in logs and events go wrong beyond this
WARN_S = 5.0
#: credentials are refused, or taken for expired
ERROR_S = 60.0
#: a Date header tells whole seconds
RESOLUTION_S = 1.0
DEADLINE_S = 5.0
MAX_AGENTS = 50


@dataclass(frozen=True, slots=True)
class Reading:
    """Another clock's time between two of ours, in seconds since the epoch."""

    theirs: float
    before: float
    after: float

    def skew_s(self) -> float:
        """How far theirs is ahead, negative behind; 0 where the answer allows that they agree."""
        earliest, latest = self.theirs - self.after, self.theirs + RESOLUTION_S - self.before
        if earliest > 0:
            return earliest
        return min(0.0, latest)


async def clocks(subject: Subject) -> list[Found]:
    """Everybody's Date header against this host's clock."""
    sources = [*_servers(subject), *await _agents(subject)]
    answers = await asyncio.gather(*(_read(subject, who, transport, url) for who, transport, url in sources))
    found = [each for each in answers if each is not None]
    if sources and len(found) == len(sources) and all(each.message.startswith(NOT_CHECKED) for each in found):
        raise NotChecked(found[0].message.removeprefix(NOT_CHECKED))
    return found


Source = tuple[str, Transport, str]


def _servers(subject: Subject) -> Iterator[Source]:
    for master in subject.config.mesos_masters:
        yield f"Mesos master {master}", subject.mesos_transport(), f"{master}/version"
    # whose credentials are of no use is left out: `credentials` and `etcd` tell
    with contextlib.suppress(NotChecked):
        for server in subject.kube():
            yield f"API server {server}", subject.kube_transport(), f"{server}/version"
    with contextlib.suppress(NotChecked):
        for endpoint in subject.config.ha.etcd_servers if subject.config.ha else ():
            yield f"etcd member {endpoint}", subject.etcd_transport(), f"{endpoint}/version"


async def _agents(subject: Subject) -> list[Source]:
    try:
        agents = (await subject.agents.answer()).agents[:MAX_AGENTS]
    except KmError:
        return []  # `mesos-masters` tells
    operator = subject.mesos()
    return [
        (f"Mesos agent {each.agent_info.hostname}", subject.mesos_transport(), f"{operator.agent_url(each)}/version")
        for each in agents
        if each.active
    ]


async def _read(subject: Subject, who: str, transport: Transport, url: str) -> Found | None:
    before = subject.clock.wall()
    try:
        # whatever the answer is, it has a date
        reply = await transport.call(Request("GET", url), deadline_s=DEADLINE_S)
    except Unavailable as error:
        return Found(f"{NOT_CHECKED}{who}: {error}", severity=Severity.WARNING)
    after = subject.clock.wall()
    theirs = seconds_of(reply.headers.get("date", ""))
    if theirs is None:
        return Found(f"{NOT_CHECKED}{who} tells no time", severity=Severity.NOTE)
    skew_s = Reading(theirs, before, after).skew_s()
    if abs(skew_s) < WARN_S:
        return None
    side = "ahead of" if skew_s > 0 else "behind"
    limit = WARN_S if abs(skew_s) < ERROR_S else ERROR_S
    return Found(
        f"the clock of {who} is {abs(skew_s):.0f} s {side} this host's (more than {limit:g} s)",
        severity=Severity.ERROR if abs(skew_s) >= ERROR_S else Severity.WARNING,
    )


def seconds_of(date: str) -> float | None:
    """Seconds since the epoch of an HTTP date; None if it is none."""
    try:
        parsed = parsedate_to_datetime(date)
    except ValueError:
        return None
    return (parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)).timestamp()
