"""Mesos' messages as the core's values, and the core's launches as Mesos' TaskInfo.

Knows Mesos' fixed point (thousandths) and which resources a task may hold for good: those that are lent out, shared,
or are a volume or disk of their own are left in the offer.  What is reserved is only offered to its role, and is told
apart by Mesos' own words for the reservation, which go back with the task.
"""

from __future__ import annotations

import base64
import json
import math
import sys
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Literal, NamedTuple

import msgspec

from kmsched.core import events
from kmsched.core.effects import Launch
from kmsched.core.events import TaskState
from kmsched.core.model import InverseOffer, Offer, Window
from kmsched.core.ports import NO_PORTS, Ports, merged
from kmsched.core.resources import MILLI, ZERO, Resources
from kmsched.core.shares import ANYBODYS, UNRESERVED, Flavour, Share
from kmsched.errors import ProtocolError
from kmsched.wire import hotsettings, mesos, taskdata
from kmsched.wire.hotsettings import HotSettings
from kmsched.wire.mesos import Json
from kmsched.wire.remembered import Remembered

#: what Mesos calls them and how many thousandths we count them in; pods are not Mesos'
KINDS = ("cpus", "mem", "disk", "gpus")
PORTS = "ports"
#: 0.1 + 0.2 arrives as 0.30000000000000004, and 0.3 may as 0.29999999999999998: this many thousandths are noise
_NOISE = 0.001
NONE_FREE = Share(UNRESERVED, ZERO)
NOBODY: frozenset[str] = frozenset()
#: lists of resources, and of attributes, that are not read again: one of each agent of a large cluster
REMEMBERED = 10_240
#: longer ones are read each time: ports in hundreds of pieces are hardly ever told again, and take a lot of room
REMEMBERED_BYTES = 1024
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
        case mesos.InverseOffers():
            return events.InverseOffersArrived(
                tuple(
                    InverseOffer(one.id.value, one.agent_id.value if one.agent_id else "", _window(one.unavailability))
                    for one in event.inverse_offers
                )
            )
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


class Offered(NamedTuple):
    """What the resources of one offer come to."""

    total: Resources
    reserved: tuple[Share, ...]
    ports: Ports  # that are not reserved


def decode_offer(offer: mesos.Offer) -> Offer:
    """ProtocolError names the host, the resource and its value: the same words when the host offers it again."""
    try:
        offered, attributes = _offered[bytes(offer.resources)], _attributes[bytes(offer.attributes)]
        unavailable = _window(offer.unavailability) if offer.unavailability is not None else None
    except ProtocolError as error:
        raise ProtocolError(f"an offer of {offer.hostname}: {error}") from error
    return Offer(
        offer_id=offer.id.value,
        agent_id=offer.agent_id.value,
        hostname=offer.hostname,
        resources=offered.total,
        attributes=attributes,
        executor_ids=frozenset([one.value for one in offer.executor_ids]) if offer.executor_ids else NOBODY,
        role=sys.intern(offer.allocation_info.role),
        reserved=offered.reserved,
        ports=offered.ports,
        unavailable=unavailable,
    )


def _offered_of(resources: bytes) -> Offered:
    shares = decode_shares(mesos.offered_resources(resources))
    free = shares.pop(UNRESERVED, NONE_FREE)
    total = free.amount
    for share in shares.values():
        total = total.plus(share.amount)
    return Offered(total, tuple(shares.values()), free.ports)


def _attributes_of(told: bytes) -> Mapping[str, str]:
    return MappingProxyType(decode_attributes(mesos.attributes(told)))


_offered = Remembered(_offered_of, REMEMBERED, REMEMBERED_BYTES)
_attributes = Remembered(_attributes_of, REMEMBERED, REMEMBERED_BYTES)


def decode_shares(resources: Iterable[mesos.OfferedResource]) -> dict[str, Share]:
    """By reservation; each scalar is rounded down to thousandths.  ProtocolError: one that is no amount."""
    amounts: dict[str, dict[str, int]] = {}
    ports: dict[str, list[tuple[int, int]]] = {}
    for one in resources:
        if not _is_kept(one):
            continue
        key = reservation(one.reservations) if one.reservations else UNRESERVED
        if one.scalar is not None and one.name in KINDS:
            found = amounts.setdefault(key, {})
            found[one.name] = found.get(one.name, 0) + _thousandths(one.scalar.value, one.name)
        elif one.ranges is not None and one.name == PORTS:
            ports.setdefault(key, []).extend([(each.begin, each.end) for each in one.ranges.range])
    return {
        each: Share(each, Resources(**amounts.get(each, {})), merged(ports[each]) if each in ports else NO_PORTS)
        for each in dict.fromkeys((*amounts, *ports))
    }


def _is_kept(one: mesos.OfferedResource) -> bool:
    """Neither lent, shared, nor a volume or disk of its own, nor reserved in the form that Mesos had before 1.4."""
    if one.revocable is not None or one.shared is not None or one.disk or one.provider_id is not None:
        return False
    return bool(one.reservations) or (one.reservation is None and one.role in (None, ANYBODYS.role))


def reservation(stack: Sequence[Json]) -> str:
    return sys.intern(json.dumps(stack, sort_keys=True, separators=(",", ":")))


def static_reservations(role: str) -> tuple[str, ...]:
    """What agents may be started with for this role, or for one above it."""
    parts = role.split("/")
    above = ["/".join(parts[:count]) for count in range(len(parts), 0, -1)]
    return () if role == ANYBODYS.role else tuple(reservation([{"type": "STATIC", "role": each}]) for each in above)


def _window(unavailability: Json) -> Window:
    """ProtocolError: it has no beginning."""
    try:
        start = unavailability["start"]["nanoseconds"]
        lasts = unavailability.get("duration")
        return Window(start / 1e9, None if lasts is None else (start + lasts["nanoseconds"]) / 1e9)
    except (KeyError, TypeError, OverflowError) as error:
        raise ProtocolError(f"an unavailability is {unavailability!r}, which tells no time") from error


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


def task_info(
    launch: Launch, agent_id: str, role: str, executor_info: Json, settings: HotSettings | None = None
) -> Json:
    """The TaskInfo of one launch on offers of `role`; `executor_info` as Mesos compares it, the same for every task of
    the agent.
    """
    data = taskdata.TaskData(
        mode=_mode(launch), pod=launch.pod_key, uid=launch.pod_uid, settings=settings or msgspec.UNSET
    )
    return {
        "name": launch.pod_key,
        "task_id": {"value": launch.task_id},
        "agent_id": {"value": agent_id},
        "resources": [each for share in launch.shares for each in _resources(role, share)],
        "executor": executor_info,
        "data": taskdata.encode(data),
    }


def executor_info_of(info: Json, executor_id: str, flavour: Flavour) -> Json:
    """The ExecutorInfo with its resources out of one part of the offers: Mesos compares that with the one that runs."""
    marks = _marks(flavour.role, flavour.reservation)
    resources = [each | marks for each in info["resources"]]
    return info | {"executor_id": {"value": executor_id}, "resources": resources}


def _resources(role: str, share: Share) -> list[Json]:
    """As Mesos takes them: no kind of which there is nothing, and never pods."""
    marks = _marks(role, share.reservation)
    found: list[Json] = [
        {"name": kind, "type": "SCALAR", "scalar": {"value": amount / MILLI}} | marks
        for kind in KINDS
        if (amount := getattr(share.amount, kind)) > 0
    ]
    if share.ports:
        ranges = [{"begin": first, "end": last} for first, last in share.ports]
        found.append({"name": PORTS, "type": "RANGES", "ranges": {"range": ranges}} | marks)
    return found


def _marks(role: str, reservation: str) -> Json:
    """What tells a resource from others of its name."""
    allocated: Json = {"allocation_info": {"role": role}}
    return allocated if reservation == UNRESERVED else allocated | {"reservations": json.loads(reservation)}


def _mode(launch: Launch) -> Literal["bind", "adopt"]:
    if launch.mode == "bind":
        return "bind"
    if launch.mode == "adopt":
        return "adopt"
    raise ValueError(f"launch {launch.task_id} has mode {launch.mode!r}, not bind or adopt")


def _thousandths(value: float, name: str) -> int:
    if not 0 <= value * MILLI < math.inf:
        raise ProtocolError(f"{name} is {value}, which is no amount of a resource")
    return math.floor(value * MILLI + _NOISE)
