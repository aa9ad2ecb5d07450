"""Checks of the Kubernetes API: is it there, does it know us, may we do what the scheduler does."""

from __future__ import annotations

import asyncio

from kmsched.clients.kube import KubeClient
from kmsched.clients.kube_lease import REMEDY, WORDS, living_scheduler
from kmsched.clients.kube_rights import DEFAULT_SCHEDULER_NAME, REVIEWS, Right, rights
from kmsched.doctor.findings import NOT_CHECKED, Found, NotChecked, Severity
from kmsched.doctor.subject import Subject
from kmsched.errors import Forbidden, KmError, Unavailable


async def credentials(subject: Subject) -> list[Found]:
    """Files with credentials: kubeconfig, certificates, the Mesos secret, etcd's password."""
    found = []
    for what in (subject.kube, subject.mesos, *((subject.etcd,) if subject.config.ha else ())):
        try:
            what()
        except NotChecked as error:
            found.append(Found(str(error)))
    return found


async def reachable(subject: Subject) -> list[Found]:
    """Each API server by itself: one that is away is noticed when the others are, too."""
    clients = subject.kube()
    answers = await asyncio.gather(*(_refusal(client) for client in clients.values()))
    found = [Found(words) for words in answers if words]
    if len(found) < len(clients):
        return [Found(each.message, severity=Severity.WARNING) for each in found]
    return found


async def _refusal(client: KubeClient) -> str | None:
    try:
        await client.get("/version")
    except Forbidden as error:
        return f"the API server {client.server} does not accept the credentials: {error}"
    except KmError as error:
        return f"the API server {client.server} is of no use: {error}"
    return None


async def permissions(subject: Subject) -> list[Found]:
    """Every right that the scheduler uses, asked from the API server's authorizers."""
    client = await answering(subject)
    used = rights(subject.config.scheduler_name, subject.config.registers_all)
    answers = await asyncio.gather(*(_is_granted(client, right) for right in used))
    missing = [right for right, granted in zip(used, answers, strict=True) if not granted]
    user = subject.reached.kube_access().user
    found = []
    for is_vital, severity in ((True, Severity.ERROR), (False, Severity.NOTE)):
        words = ", ".join(str(right) for right in missing if right.is_vital is is_vital)
        if words:
            found.append(Found(f"user {user!r} of the kubeconfig may not: {words}", severity=severity))
    return found


async def _is_granted(client: KubeClient, right: Right) -> bool:
    review = await client.create(REVIEWS, right.review())
    return bool(review.get("status", {}).get("allowed"))


async def rival(subject: Subject) -> list[Found]:
    """A kube-scheduler that places the same pods. Only of the name that it has by default is anything known."""
    name = subject.config.scheduler_name
    if name != DEFAULT_SCHEDULER_NAME:
        return []
    try:
        holder = await living_scheduler(await answering(subject), subject.clock.wall())
    except Forbidden as error:
        return [Found(f"{NOT_CHECKED}{error}", severity=Severity.NOTE)]
    return [Found(WORDS.format(holder=holder, name=name), REMEDY)] if holder else []


async def answering(subject: Subject) -> KubeClient:
    """A client of an API server that answers. NotChecked: there is none."""
    reasons = []
    for client in subject.kube().values():
        try:
            await client.get("/version")
        except Forbidden:
            return client
        except Unavailable as error:
            reasons.append(str(error))
            continue
        return client
    raise NotChecked(f"no API server answers: {'; '.join(reasons)}")
