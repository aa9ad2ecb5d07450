"""Who acted when, as the Mesos master and the API server have written it down.

Knows the master's log lines and the API server's audit log. A reign lasts from one subscription to the next. Whatever
another host than the reigning one gets done meanwhile was done by a scheduler that must not act any more. What
schedulers say of themselves counts for nothing here.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from testbed import controlplane
from tests.scenarios.group import Group

REQUEST = re.compile(r"HTTP POST for /master/api/v1/scheduler from ([\d.]+):\d+ with")
SUBSCRIBED = re.compile(r"Subscribing framework ")
DONE = re.compile(r"Processing [A-Z_]+ call|Performing (im|ex)plicit task state reconciliation")
KILL, EXPLICIT = re.compile(r"Processing KILL call"), re.compile(r"Performing explicit task state")
LAUNCHED = re.compile(r"Launching task [0-9a-f-]{36}\.([0-9a-z]+)\.")


@dataclass(frozen=True, slots=True)
class Write:
    """A change of a pod that the API server was asked for, in seconds after the moment that counts."""

    at_s: float
    host: str
    what: str
    code: int


@dataclass(slots=True)
class Reign:
    """`requests`: host -> how many calls it sent. `done`: when calls took effect, whoever sent them."""

    host: str
    began_s: float
    requests: Counter[str] = field(default_factory=Counter)
    done: list[float] = field(default_factory=list)
    terms: set[int] = field(default_factory=set)

    @property
    def refused(self) -> int:
        """Calls of others, which the master has not taken."""
        return sum(self.requests.values()) - self.requests[self.host]

    def faults(self) -> Iterator[str]:
        # a call that the master takes was requested once, and those who reign are not refused
        if (stale := min(self.refused, len(self.done) - self.requests[self.host])) > 0:
            yield f"{stale} calls of deposed schedulers took effect while {self.host} was subscribed"
        if len(self.terms) > 1:
            yield f"tasks of the terms {sorted(self.terms)} were launched while {self.host} was subscribed"


@dataclass(frozen=True, slots=True)
class Acts:
    reigns: list[Reign]
    writes: list[Write]

    @property
    def subscriptions(self) -> int:
        return len(self.reigns) - 1

    @property
    def refused(self) -> int:
        """What schedulers that were deposed have tried."""
        return sum(each.refused for each in self.reigns)

    def faults(self) -> list[str]:
        """Everything that a scheduler did which must not act any more."""
        found = [words for reign in self.reigns for words in reign.faults()]
        highest = 0
        for reign in self.reigns:
            if reign.terms and min(reign.terms) < highest:
                found.append(f"tasks of term {min(reign.terms)} were launched after those of term {highest}")
            highest = max([highest, *reign.terms])
        for write in self.writes:
            reigning = [each.host for each in self.reigns if each.began_s <= write.at_s][-1]
            if write.host != reigning and write.code < 300:
                found.append(f"{write.host}: {write.what} after {write.at_s:.3f} s, while {reigning} was subscribed")
        return found

    def between(self, host: str, from_s: float, to_s: float) -> int:
        """How much of what the scheduler there sent took effect in that time."""
        moments = [at for reign in self.reigns if reign.host == host for at in reign.done]
        moments += [write.at_s for write in self.writes if write.host == host and write.code < 300]
        return sum(from_s < at < to_s for at in moments)


def acts(group: Group, since_s: float, reigning: str) -> Acts:
    """Since that moment of wall time, at which the scheduler on host `reigning` was subscribed."""
    settings = group.cluster.settings
    audit = controlplane.audit_log(settings)
    lines = audit.read_text().splitlines() if audit.exists() else []
    named = {settings.address(host): host for host in group.hosts}
    return read(group.master_log(since_s), lines, named, since_s, reigning)


def read(
    log: Iterable[tuple[float, str]], audit: Iterable[str], named: Mapping[str, str], since_s: float, reigning: str
) -> Acts:
    """`log`: of the master, with seconds after `since_s`. `named`: address -> host of a scheduler."""
    return Acts(_reigns(log, named, reigning), list(_writes(audit, named, since_s)))


def _reigns(log: Iterable[tuple[float, str]], named: Mapping[str, str], reigning: str) -> list[Reign]:
    reign = Reign(reigning, float("-inf"))
    found, asked, is_kill = [reign], reigning, False
    for at, words in log:
        if match := REQUEST.search(words):
            asked = named.get(match[1], match[1])
            reign.requests[asked] += 1
        elif SUBSCRIBED.search(words):
            reign.requests[asked] -= 1
            reign = Reign(asked, at)
            found.append(reign)
        elif DONE.search(words):
            # of a task that it does not know the master tells by a reconciliation of its own
            if not (is_kill and EXPLICIT.search(words)):
                reign.done.append(at)
            is_kill = bool(KILL.search(words))
        elif match := LAUNCHED.search(words):
            reign.terms.add(int(match[1], 36))
    return found


def _writes(lines: Iterable[str], named: Mapping[str, str], since_s: float) -> Iterator[Write]:
    """Those of schedulers."""
    for line in lines:
        try:
            event = json.loads(line)
        except ValueError:
            continue  # the last one may be torn
        host = next((named[each] for each in event["sourceIPs"] if each in named), "")
        at = datetime.fromisoformat(event["requestReceivedTimestamp"]).timestamp() - since_s
        if not host or at < 0:
            continue
        thing = event["objectRef"]
        part = f"/{thing['subresource']}" if "subresource" in thing else ""
        what = f"{event['verb']} of {thing['resource']}{part} {thing.get('namespace')}/{thing.get('name')}"
        yield Write(at, host, what, event["responseStatus"]["code"])
