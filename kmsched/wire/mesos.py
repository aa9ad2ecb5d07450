"""What the Mesos v1 scheduler API sends and takes, as JSON.

Knows the messages' shapes and nothing of what to do about them.  Event types that a newer Mesos may add become
`UnknownEvent`; a known field of the wrong type is a ProtocolError that names it.  The executor's side is in
`mesos_executor`, the calls are in `mesos_calls`.
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Raw, Struct

from kmsched.errors import ProtocolError
from kmsched.wire.typed import decode

Json = dict[str, Any]
EMPTY_LIST = Raw(b"[]")


class Id(Struct, frozen=True, gc=False):
    """The shape of every Mesos id."""

    value: str


class Scalar(Struct, frozen=True, gc=False):
    value: float


class Range(Struct, frozen=True, gc=False):
    begin: int
    end: int


class Ranges(Struct, frozen=True, gc=False):
    range: list[Range] = []


class StringSet(Struct, frozen=True, gc=False):
    item: list[str] = []


class Text(Struct, frozen=True, gc=False):
    value: str


class Resource(Struct, frozen=True, omit_defaults=True):
    """One resource of an offer, task or executor; `encode` gives back what was decoded."""

    name: str
    type: str
    scalar: Scalar | None = None
    ranges: Ranges | None = None
    set: StringSet | None = None
    role: str | None = None
    allocation_info: Json | None = None
    reservation: Json | None = None
    reservations: list[Json] | None = None
    disk: Json | None = None
    revocable: Json | None = None
    shared: Json | None = None
    provider_id: Json | None = None


class Attribute(Struct, frozen=True, omit_defaults=True, gc=False):
    name: str
    type: str
    scalar: Scalar | None = None
    ranges: Ranges | None = None
    set: StringSet | None = None
    text: Text | None = None


class AllocationInfo(Struct, frozen=True, gc=False):
    role: str = "*"


class OfferedResource(Struct, frozen=True, gc=False):
    """What is read of a resource in an offer; thousands may come at once, so the rest of it is not decoded."""

    name: str
    scalar: Scalar | None = None
    ranges: Ranges | None = None
    role: str | None = None
    reservation: Json | None = None
    reservations: list[Json] | None = None
    disk: Json | None = None
    revocable: Json | None = None
    shared: Json | None = None
    provider_id: Json | None = None


class Offer(Struct, frozen=True, gc=False):
    """Likewise.  What agents of one kind tell alike, and each agent again and again, stays as it came: `wire.offers`
    reads the same bytes only once.
    """

    id: Id
    agent_id: Id
    hostname: str
    resources: Raw = EMPTY_LIST  # of OfferedResource
    attributes: Raw = EMPTY_LIST  # of Attribute
    executor_ids: tuple[Id, ...] = ()
    allocation_info: AllocationInfo = AllocationInfo()
    unavailability: Json | None = None


class TaskStatus(Struct, frozen=True, omit_defaults=True):
    """One status of one task; only one with a `uuid` wants to be acknowledged."""

    task_id: Id
    state: str
    message: str | None = None
    source: str | None = None
    reason: str | None = None
    data: bytes | None = None
    agent_id: Id | None = None
    executor_id: Id | None = None
    timestamp: float | None = None
    uuid: bytes | None = None
    healthy: bool | None = None
    unreachable_time: Json | None = None


class Subscribed(Struct, frozen=True):
    framework_id: Id
    heartbeat_interval_seconds: float = 15.0
    master_info: Json | None = None


class Offers(Struct, frozen=True):
    offers: list[Offer] = []


class Rescind(Struct, frozen=True):
    offer_id: Id


class InverseOffer(Struct, frozen=True):
    id: Id
    unavailability: Json
    agent_id: Id | None = None


class InverseOffers(Struct, frozen=True):
    """Whether agents may go down; each waits for an answer until it is rescinded."""

    inverse_offers: list[InverseOffer] = []


class RescindInverseOffer(Struct, frozen=True):
    """Nothing is lost by answering it all the same."""

    inverse_offer_id: Id


class Update(Struct, frozen=True):
    status: TaskStatus


class Message(Struct, frozen=True):
    agent_id: Id
    executor_id: Id
    data: bytes = b""


class Failure(Struct, frozen=True):
    """An agent was removed (no `executor_id`), or an executor ended with the wait status `status`."""

    agent_id: Id | None = None
    executor_id: Id | None = None
    status: int | None = None


class ErrorEvent(Struct, frozen=True):
    """Mesos closes the stream after it."""

    message: str = ""


class Heartbeat(Struct, frozen=True):
    pass


class UnknownEvent(Struct, frozen=True):
    """A type that this code does not know; to be told once and ignored."""

    type: str


SchedulerEvent = (
    Subscribed
    | Offers
    | Rescind
    | InverseOffers
    | RescindInverseOffer
    | Update
    | Message
    | Failure
    | ErrorEvent
    | Heartbeat
    | UnknownEvent
)


class _Envelope(Struct):
    type: str
    subscribed: Subscribed | None = None
    offers: Offers | None = None
    rescind: Rescind | None = None
    inverse_offers: InverseOffers | None = None
    rescind_inverse_offer: RescindInverseOffer | None = None
    update: Update | None = None
    message: Message | None = None
    failure: Failure | None = None
    error: ErrorEvent | None = None


_BODY_OF = {
    "SUBSCRIBED": "subscribed",
    "OFFERS": "offers",
    "RESCIND": "rescind",
    "INVERSE_OFFERS": "inverse_offers",
    "RESCIND_INVERSE_OFFER": "rescind_inverse_offer",
    "UPDATE": "update",
    "MESSAGE": "message",
    "FAILURE": "failure",
    "ERROR": "error",
}

_decoder = msgspec.json.Decoder(_Envelope)
_resources = msgspec.json.Decoder(list[OfferedResource])
_attributes = msgspec.json.Decoder(list[Attribute])


def scheduler_event(record: bytes) -> SchedulerEvent:
    """The event in one record of the scheduler's stream.  ProtocolError names the field at fault."""
    envelope = decode(_decoder, record, "a Mesos scheduler event")
    if envelope.type == "HEARTBEAT":
        return Heartbeat()
    if envelope.type not in _BODY_OF:
        return UnknownEvent(envelope.type)
    event: SchedulerEvent | None = getattr(envelope, _BODY_OF[envelope.type])
    if event is None:
        raise missing_body("a Mesos scheduler event", envelope.type, _BODY_OF[envelope.type])
    return event


def offered_resources(told: bytes) -> list[OfferedResource]:
    """Of an offer.  ProtocolError names the field at fault."""
    return decode(_resources, told, "what is offered")


def attributes(told: bytes) -> list[Attribute]:
    """Of an agent.  ProtocolError names the field at fault."""
    return decode(_attributes, told, "the list of attributes")


def missing_body(what: str, type_: str, field: str) -> ProtocolError:
    return ProtocolError(f"{what} of type {type_} comes without its field `{field}`")
