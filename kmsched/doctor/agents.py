"""Checks of the Mesos agents, by what they tell of themselves: a sample where there are many."""

from __future__ import annotations

import asyncio
from collections import defaultdict

from kmsched.doctor.findings import NOT_CHECKED, Found, Severity
from kmsched.doctor.subject import Subject, named
from kmsched.errors import KmError
from kmsched.wire import mesos_operator as wire

#: isolators that hide from the host's containerd what kubelet mounts and starts
HIDING = ("filesystem/linux", "namespaces/pid")
MAX_ASKED = 200
MAX_AT_ONCE = 20


async def isolators(subject: Subject) -> list[Found]:
    """What each agent isolates executors by."""
    agents = [each for each in (await subject.agents.answer()).agents if each.active]
    operator = subject.mesos()
    turn = asyncio.Semaphore(MAX_AT_ONCE)

    async def ask(agent: wire.Agent) -> dict[str, str] | KmError:
        async with turn:
            try:
                return await operator.agent_flags(agent)
            except KmError as error:
                return error

    answers = await asyncio.gather(*(ask(agent) for agent in agents[:MAX_ASKED]))
    hiding: defaultdict[str, list[str]] = defaultdict(list)
    silent: list[str] = []
    why = ""
    for agent, flags in zip(agents, answers, strict=False):
        if isinstance(flags, KmError):
            silent.append(agent.agent_info.hostname)
            why = why or str(flags)
            continue
        for isolator in set(HIDING) & set(flags.get("isolation", "").split(",")):
            hiding[isolator].append(agent.agent_info.hostname)
    found = [Found(f"{named(sorted(hosts))}: --isolation has {isolator}") for isolator, hosts in hiding.items()]
    if silent:
        found.append(Found(f"{NOT_CHECKED}{named(sorted(silent))}: {why}", severity=Severity.WARNING))
    if len(agents) > MAX_ASKED:
        found.append(Found(f"{NOT_CHECKED}{len(agents) - MAX_ASKED} more agents", "", Severity.NOTE))
    return found


async def unseen(subject: Subject) -> list[Found]:
    """What no check from here can see, so that nobody takes silence for health."""
    return [
        Found(
            f"{NOT_CHECKED}containerd's socket and CRI, kubelet's folder and lock, free memory and disks of the agents;"
            " they are not reached from here",
            "deploy.yml --check shows the hosts' state; an executor that cannot work fails its tasks and says why",
        )
    ]
