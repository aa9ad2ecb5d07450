from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kmsched.errors import ProtocolError
from kmsched.wire import mesos
from kmsched.wire.mesos import Id, Json, scheduler_event

PORTS = {"ranges": {"range": [{"begin": 31000, "end": 32000}]}, "name": "ports", "type": "RANGES", "role": "*"}
OFFER: Json = {
    "id": {"value": "O1"},
    "framework_id": {"value": "F"},
    "agent_id": {"value": "S0"},
    "hostname": "Agent1",
    "resources": [
        {"name": "cpus", "type": "SCALAR", "scalar": {"value": 3.9}, "reservations": [{"type": "DYNAMIC"}]},
        {"name": "mem", "type": "SCALAR", "scalar": {"value": 4096}, "allocation_info": {"role": "kube"}},
        PORTS,
    ],
    "attributes": [{"name": "zone", "type": "TEXT", "text": {"value": "a"}}],
    "executor_ids": [{"value": "E"}],
    "allocation_info": {"role": "kube"},
    "some_new_field": 1,
}


def event(type_: str, **body: object) -> bytes:
    return json.dumps({"type": type_, **body}).encode()


def test_offers_are_read() -> None:
    got = scheduler_event(event("OFFERS", offers={"offers": [OFFER]}))
    assert isinstance(got, mesos.Offers)
    (offer,) = got.offers
    assert (offer.id, offer.agent_id, offer.hostname) == (Id("O1"), Id("S0"), "Agent1")
    assert offer.executor_ids == (Id("E"),)
    assert offer.allocation_info.role == "kube"
    assert mesos.attributes(bytes(offer.attributes))[0].text == mesos.Text("a")
    assert [(one.name, one.scalar, one.role) for one in mesos.offered_resources(bytes(offer.resources))] == [
        (one["name"], one.get("scalar") and mesos.Scalar(one["scalar"]["value"]), one.get("role"))
        for one in OFFER["resources"]
    ]


def test_an_update_has_its_bytes_decoded() -> None:
    status = {
        "task_id": {"value": "t"},
        "state": "TASK_RUNNING",
        "uuid": "AAECAw==",
        "data": "aGk=",
        "agent_id": {"value": "S0"},
        "timestamp": 1.5,
    }
    got = scheduler_event(event("UPDATE", update={"status": status}))
    assert got == mesos.Update(
        mesos.TaskStatus(
            Id("t"), "TASK_RUNNING", data=b"hi", agent_id=Id("S0"), timestamp=1.5, uuid=b"\x00\x01\x02\x03"
        )
    )


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        (event("HEARTBEAT"), mesos.Heartbeat()),
        (event("RESCIND", rescind={"offer_id": {"value": "O1"}}), mesos.Rescind(Id("O1"))),
        (
            event("MESSAGE", message={"agent_id": {"value": "S"}, "executor_id": {"value": "E"}, "data": "aGk="}),
            mesos.Message(Id("S"), Id("E"), b"hi"),
        ),
        (event("FAILURE", failure={"agent_id": {"value": "S"}}), mesos.Failure(Id("S"))),
        (
            event("FAILURE", failure={"agent_id": {"value": "S"}, "executor_id": {"value": "E"}, "status": 9}),
            mesos.Failure(Id("S"), Id("E"), 9),
        ),
        (event("ERROR", error={"message": "Framework failed over"}), mesos.ErrorEvent("Framework failed over")),
        (
            event("SUBSCRIBED", subscribed={"framework_id": {"value": "F"}, "heartbeat_interval_seconds": 15}),
            mesos.Subscribed(Id("F"), 15.0),
        ),
        (event("INVERSE_OFFERS", inverse_offers={}), mesos.InverseOffers()),
        (event("OFFERS_OF_TOMORROW", offers=None), mesos.UnknownEvent("OFFERS_OF_TOMORROW")),
    ],
)
def test_events(record: bytes, expected: mesos.SchedulerEvent) -> None:
    assert scheduler_event(record) == expected


@pytest.mark.parametrize(
    ("record", "words"),
    [
        (b"", "Input data was truncated"),
        (b"[]", "Expected `object`, got `array`"),
        (b"{}", "missing required field `type`"),
        (b'{"type": 5}', "Expected `str`, got `int` - at `$.type`"),
        (event("OFFERS"), "of type OFFERS comes without its field `offers`"),
        (event("OFFERS", offers={"offers": 3}), "at `$.offers.offers`"),
        (event("OFFERS", offers={"offers": [{**OFFER, "id": None}]}), "at `$.offers.offers[0].id`"),
        (event("RESCIND", rescind={}), "missing required field `offer_id` - at `$.rescind`"),
        (
            event("UPDATE", update={"status": {"task_id": {"value": "t"}, "state": "X", "uuid": "§"}}),
            "Invalid base64 encoded string - at `$.update.status.uuid`",
        ),
        (event("SUBSCRIBED", subscribed={"framework_id": "F"}), "at `$.subscribed.framework_id`"),
        (b'{"type": "\xff"}', "'utf-8' codec can't decode byte 0xff"),
        (b'{"type": "HEARTBEAT"} trailing', "trailing characters"),
        (
            b'{"type": "SUBSCRIBED", "subscribed": {"framework_id": {"value": "F"}, "master_info": '
            + b'{"a":' * 100_000,
            "maximum recursion depth",
        ),
    ],
)
def test_wrong_types_name_the_field(record: bytes, words: str) -> None:
    with pytest.raises(ProtocolError) as caught:
        scheduler_event(record)
    assert words.lower() in str(caught.value).lower()
    assert "a Mesos scheduler event" in str(caught.value)
    assert len(str(caught.value)) < 400


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=10,
)


@given(st.sampled_from(["SUBSCRIBED", "OFFERS", "RESCIND", "UPDATE", "MESSAGE", "FAILURE", "ERROR"]), json_values)
def test_any_json_is_an_event_or_a_protocol_error(type_: str, body: object) -> None:
    try:
        got = scheduler_event(event(type_, **{type_.lower(): body}))
    except ProtocolError:
        return
    assert not isinstance(got, mesos.UnknownEvent)
