"""Mesos' messages as the core's values, and the core's launches as Mesos' TaskInfo.

Knows Mesos' fixed point (thousandths) and which resources are anyone's to use.  Only unreserved, unrevocable resources
count: those reserved for a role, shared or lent out cannot be mixed with them in one task, and are left in the offer.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Iterable, Sequence
from typing import Literal

import msgspec

from kmsched.core import events
from kmsched.core.effects import Launch
from kmsched.core.events import TaskState
from kmsched.core.model import Offer
from kmsched.core.resources import MILLI, Resources
from kmsched.errors import ProtocolError
from kmsched.wire import hotsettings, mesos, taskdata
from kmsched.wire.hotsettings import HotSettings
from kmsched.wire.mesos import Json

#: what Mesos calls them and how many thousandths we count them in; pods are not Mesos'
KINDS = ("cpus", "mem", "disk", "gpus")
#: 0.1 + 0.2 arrives as 0.30000000000000004, and 0.3 may as 0.29999999999999998: this many thousandths are noise
_NOISE = 0.001
_STATES = {state.value: state for state in TaskState}


def core_event(event: mesos.SchedulerEvent) -> events.Event | None:
    """The event as the core knows it; None for those that are the client's alone (heartbeats, errors)."""
    match event:
        case mesos.Subscribed():
            return events.Subscribed(event.framework_id.value)
        case mesos.Offers():
            return events.OffersArrived(tuple(decode_offer(one) for one in event.offers))
        case mesos.Rescind():
            return events.OfferRescinded(event.offer_id.value)
        case mesos.Update():
            return decode_update(event.status)
        case mesos.Failure():
            if event.agent_id is None:
                return None
            if event.executor_id is None:
                return events.AgentFailed(event.agent_id.value)
            return events.ExecutorFailed(event.agent_id.value, event.executor_id.value)
        case mesos.Message():
            version = hotsettings.confirmed(event.data)
            return events.SettingsConfirmed(event.agent_id.value, event.executor_id.value, version)
        case _:
            return None


def decode_offer(offer: mesos.Offer) -> Offer:
    """ProtocolError names the offer, the resource and its value."""
    return Offer(
        offer_id=offer.id.value,
        agent_id=offer.agent_id.value,
        hostname=offer.hostname,
        resources=decode_resources(offer.resources, f"offer {offer.id.value}"),
        attributes=decode_attributes(offer.attributes),
        executor_ids=frozenset(one.value for one in offer.executor_ids),
    )


def decode_resources(resources: Iterable[mesos.Resource], where: str) -> Resources:
    """The sum of what may be used freely, each scalar rounded down to thousandths; `where` is told in errors."""
    total = dict.fromkeys(KINDS, 0)
    for one in resources:
        if one.name in total and one.scalar is not None and is_free(one):
            total[one.name] += _thousandths(one.scalar.value, f"{where}: {one.name}")
    return Resources(**total)


def is_free(resource: mesos.Resource) -> bool:
    """Neither reserved, lent, shared, nor a volume or disk of its own."""
    is_reserved = bool(resource.reservations) or resource.reservation is not None or resource.role not in (None, "*")
    is_special = resource.revocable is not None or resource.shared is not None or bool(resource.disk)
    return not is_reserved and not is_special and resource.provider_id is None


def decode_attributes(attributes: Iterable[mesos.Attribute]) -> dict[str, str]:
    """Text and scalar attributes; of several with one name the first counts.  Ranges and sets have no label's form."""
    found: dict[str, str] = {}
    for one in attributes:
        if one.text is not None:
            found.setdefault(one.name, one.text.value)
        elif one.scalar is not None and math.isfinite(one.scalar.value):
            found.setdefault(one.name, f"{one.scalar.value:.3f}".rstrip("0").rstrip("."))
    return found


def decode_update(status: mesos.TaskStatus) -> events.TaskUpdated:
    """ProtocolError: a state that Mesos has not had so far."""
    state = _STATES.get(status.state)
    if state is None:
        raise ProtocolError(
            f"task {status.task_id.value} is said to be {status.state!r}, a state that this release does not know:"
            " use a Mesos that it supports"
        )
    return events.TaskUpdated(
        task_id=status.task_id.value,
        state=state,
        source=status.source or "",
        reason=status.reason or "",
        message=status.message or "",
        agent_id=status.agent_id.value if status.agent_id else "",
        executor_id=status.executor_id.value if status.executor_id else "",
        update_id=base64.b64encode(status.uuid).decode("ascii") if status.uuid else "",
    )


def task_info(launch: Launch, agent_id: str, executor_info: Json, settings: HotSettings | None = None) -> Json:
    """The TaskInfo of one launch; `executor_info` as Mesos compares it, the same for every task of the agent."""
    data = taskdata.TaskData(
        mode=_mode(launch), pod=launch.pod_key, uid=launch.pod_uid, settings=settings or msgspec.UNSET
    )
    return {
        "name": launch.pod_key,
        "task_id": {"value": launch.task_id},
        "agent_id": {"value": agent_id},
        "resources": scalars(launch.resources),
        "executor": executor_info,
        "data": taskdata.encode(data),
    }


def scalars(resources: Resources) -> list[Json]:
    """As Mesos takes them: no kind of which there is nothing, and never pods."""
    amounts: Sequence[tuple[str, int]] = [(kind, getattr(resources, kind)) for kind in KINDS]
    return [
        {"name": kind, "type": "SCALAR", "scalar": {"value": amount / MILLI}} for kind, amount in amounts if amount > 0
    ]


def _mode(launch: Launch) -> Literal["bind", "adopt"]:
    if launch.mode == "bind":
        return "bind"
    if launch.mode == "adopt":
        return "adopt"
    raise ValueError(f"launch {launch.task_id} has mode {launch.mode!r}, not bind or adopt")


def _thousandths(value: float, where: str) -> int:
    if not math.isfinite(value) or value < 0:
        raise ProtocolError(f"{where} is {value}, which is no amount of a resource")
    return math.floor(value * MILLI + _NOISE)
