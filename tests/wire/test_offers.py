"""Mesos' messages become the core's values, and launches become TaskInfos."""

from __future__ import annotations

import base64
import json
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kmsched.core import events
from kmsched.core.effects import Launch
from kmsched.core.events import TaskState
from kmsched.core.model import InverseOffer, Offer, Window
from kmsched.core.resources import Resources
from kmsched.core.shares import Flavour, Share
from kmsched.errors import ProtocolError
from kmsched.wire import hotsettings, taskdata
from kmsched.wire.mesos import OfferedResource, Scalar, scheduler_event
from kmsched.wire.offers import (
    REMEMBERED_BYTES,
    core_event,
    decode_shares,
    executor_info_of,
    reservation,
    static_reservations,
    task_info,
)


def scalar(name: str, value: float, **more: Any) -> dict[str, Any]:
    return {"name": name, "type": "SCALAR", "scalar": {"value": value}, **more}


def told(event: dict[str, Any]) -> events.Event | None:
    return core_event(scheduler_event(json.dumps(event).encode()))


def offer(**more: Any) -> dict[str, Any]:
    return {
        "id": {"value": "O1"},
        "framework_id": {"value": "F"},
        "agent_id": {"value": "S1"},
        "hostname": "Agent-1",
        **more,
    }


def test_an_offer() -> None:
    resources = [
        scalar("cpus", 3.5, role="*", allocation_info={"role": "*"}),
        scalar("mem", 1024.25),
        scalar("disk", 100),
        scalar("gpus", 1),
        {"name": "ports", "type": "RANGES", "ranges": {"range": [{"begin": 31000, "end": 32000}]}},
        scalar("bananas", 4),
    ]
    attributes = [
        {"name": "rack", "type": "TEXT", "text": {"value": "r1"}},
        {"name": "rack", "type": "TEXT", "text": {"value": "r2"}},
        {"name": "slots", "type": "SCALAR", "scalar": {"value": 8}},
        {"name": "speed", "type": "SCALAR", "scalar": {"value": 2.5}},
        {"name": "hundred", "type": "SCALAR", "scalar": {"value": 100}},
        {"name": "span", "type": "RANGES", "ranges": {"range": [{"begin": 1, "end": 5}]}},
    ]
    one = offer(resources=resources, attributes=attributes, executor_ids=[{"value": "km-1"}])
    assert told({"type": "OFFERS", "offers": {"offers": [one]}}) == events.OffersArrived(
        (
            Offer(
                offer_id="O1",
                agent_id="S1",
                hostname="Agent-1",
                resources=Resources(cpus=3500, mem=1024250, disk=100000, gpus=1000),
                attributes={"rack": "r1", "slots": "8", "speed": "2.5", "hundred": "100"},
                executor_ids=frozenset({"km-1"}),
                ports=((31000, 32000),),
            ),
        )
    )


@pytest.mark.parametrize(
    "special",
    [
        {"role": "web"},
        {"reservation": {"principal": "p"}},
        {"revocable": {}},
        {"shared": {}},
        {"disk": {"source": {"type": "PATH"}}},
        {"provider_id": {"value": "p"}},
    ],
)
def test_what_is_not_free_to_use_is_not_counted(special: dict[str, Any]) -> None:
    one = offer(resources=[scalar("disk", 5, **special), scalar("disk", 2)])
    found = told({"type": "OFFERS", "offers": {"offers": [one]}})
    assert isinstance(found, events.OffersArrived)
    assert found.offers[0].resources == Resources(disk=2000)


WEB = [{"type": "STATIC", "role": "web"}]
MINE = [{"type": "DYNAMIC", "role": "web", "principal": "p", "labels": {"labels": [{"key": "k", "value": "v"}]}}]


def ports(*ranges: tuple[int, int], **more: Any) -> dict[str, Any]:
    found = [{"begin": first, "end": last} for first, last in ranges]
    return {"name": "ports", "type": "RANGES", "ranges": {"range": found}, **more}


def test_what_is_reserved_is_told_apart_and_all_together_is_what_is_offered() -> None:
    resources = [
        scalar("cpus", 1, reservations=WEB),
        scalar("cpus", 2, reservations=MINE),
        scalar("cpus", 4),
        scalar("cpus", 8, reservations=[{"role": "web", "type": "STATIC"}]),
        ports((31005, 31009), (31000, 31001), reservations=WEB),
        ports((80, 80)),
    ]
    found = told(
        {"type": "OFFERS", "offers": {"offers": [offer(resources=resources, allocation_info={"role": "web"})]}}
    )
    assert isinstance(found, events.OffersArrived)
    (one,) = found.offers
    assert (one.role, one.resources, one.ports) == ("web", Resources(cpus=15000), ((80, 80),))
    assert one.reserved == (
        Share(reservation(WEB), Resources(cpus=9000), ((31000, 31001), (31005, 31009))),
        Share(reservation(MINE), Resources(cpus=2000)),
    )
    assert one.shares[-1] == Share("", Resources(cpus=4000), ((80, 80),))


def test_static_reservations_are_those_of_the_role_and_of_the_ones_above() -> None:
    assert static_reservations("*") == ()
    assert static_reservations("web") == (reservation(WEB),)
    assert [json.loads(each)[0]["role"] for each in static_reservations("eng/web/a")] == ["eng/web/a", "eng/web", "eng"]


@pytest.mark.parametrize(
    ("unavailability", "window"),
    [
        (None, None),
        ({"start": {"nanoseconds": 5 * 10**9}}, Window(5.0, None)),
        ({"start": {"nanoseconds": 5 * 10**9}, "duration": {"nanoseconds": 10**9}}, Window(5.0, 6.0)),
    ],
)
def test_maintenance(unavailability: dict[str, Any] | None, window: Window | None) -> None:
    found = told({"type": "OFFERS", "offers": {"offers": [offer(unavailability=unavailability)]}})
    assert isinstance(found, events.OffersArrived)
    assert found.offers[0].unavailable == window


@pytest.mark.parametrize("told_so", [{"duration": 5}, {"start": {"nanoseconds": 10**400}}, {"start": 5}])
def test_maintenance_without_a_beginning_is_named(told_so: dict[str, Any]) -> None:
    with pytest.raises(ProtocolError, match=r"an offer of Agent-1: an unavailability is \{.*\}, which tells no time"):
        told({"type": "OFFERS", "offers": {"offers": [offer(unavailability=told_so)]}})


@pytest.mark.parametrize(
    ("value", "thousandths"),
    [(0.1 + 0.2, 300), (0.29999999999999998, 300), (0.0019, 1), (0.0009, 0), (1.9999, 1999), (1e6, 10**9)],
)
def test_scalars_are_rounded_down_except_for_noise(value: float, thousandths: int) -> None:
    found = decode_shares([OfferedResource("cpus", Scalar(value))])
    assert found[""].amount.cpus == thousandths


@given(st.integers(1, 10**12))
def test_thousandths_survive_the_way_out_and_back(amount: int) -> None:
    launch = Launch("uid.1.0", "ns/web", "uid", "bind", Resources(), (Share("", Resources(mem=amount)),))
    (sent,) = json.loads(json.dumps(task_info(launch, "S1", "*", {})["resources"]))
    assert Fraction(str(sent["scalar"]["value"])) == Fraction(amount, 1000)
    back = decode_shares([OfferedResource("mem", Scalar(sent["scalar"]["value"]))])
    assert back[""].amount.mem == amount


@pytest.mark.parametrize("value", [-1.0, float("nan"), float("inf"), 1e306])
def test_no_amount_is_refused(value: float) -> None:
    with pytest.raises(ProtocolError, match=r"cpus is .* no amount of a resource"):
        decode_shares([OfferedResource("cpus", Scalar(value))])


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"resources": [scalar("cpus", -1)]}, "an offer of Agent-1: cpus is -1.0, which is no amount of a resource"),
        ({"resources": [scalar("cpus", 1), {"name": 5}]}, r"an offer of Agent-1: what is offered .*`\$\[1\]\.name`"),
        ({"resources": 5}, "an offer of Agent-1: what is offered .*Expected `array`, got `int`"),
        (
            {"attributes": [{"name": "rack"}]},
            "an offer of Agent-1: the list of attributes .*missing required field `type`",
        ),
    ],
)
def test_what_is_wrong_in_an_offer_is_named_with_its_host_each_time(more: dict[str, Any], words: str) -> None:
    for _ in range(2):
        with pytest.raises(ProtocolError, match=words):
            told({"type": "OFFERS", "offers": {"offers": [offer(**more)]}})


def test_what_was_read_once_is_not_read_again() -> None:
    alike = {
        "resources": [scalar("cpus", 3.5)],
        "attributes": [{"name": "rack", "type": "TEXT", "text": {"value": "r"}}],
    }
    others = {"resources": [scalar("cpus", 3.4)], "attributes": []}
    found = told({"type": "OFFERS", "offers": {"offers": [offer(**alike), offer(**alike), offer(**others)]}})
    assert isinstance(found, events.OffersArrived)
    first, second, third = found.offers
    assert first == second
    assert first.attributes is second.attributes
    assert first.resources is second.resources
    assert (third.resources, third.attributes) == (Resources(cpus=3400), {})


def test_long_lists_are_read_each_time() -> None:
    pieces = [(31000 + 20 * number, 31009 + 20 * number) for number in range(40)]
    known = {"type": "OFFERS", "offers": {"offers": [offer(resources=[ports(*pieces)])]}}
    first, second = told(known), told(known)
    assert isinstance(first, events.OffersArrived) and isinstance(second, events.OffersArrived)
    assert len(json.dumps([ports(*pieces)])) > REMEMBERED_BYTES
    assert first.offers[0].ports == second.offers[0].ports == tuple(pieces)
    assert first.offers[0].ports is not second.offers[0].ports


def test_an_update_with_all_that_it_can_carry() -> None:
    status = {
        "task_id": {"value": "T"},
        "state": "TASK_FAILED",
        "source": "SOURCE_EXECUTOR",
        "reason": "REASON_COMMAND_EXECUTOR_FAILED",
        "message": "why",
        "agent_id": {"value": "S1"},
        "executor_id": {"value": "km-1"},
        "uuid": "AAEC",
    }
    assert told({"type": "UPDATE", "update": {"status": status}}) == events.TaskUpdated(
        task_id="T",
        state=TaskState.FAILED,
        source="SOURCE_EXECUTOR",
        reason="REASON_COMMAND_EXECUTOR_FAILED",
        message="why",
        agent_id="S1",
        executor_id="km-1",
        update_id="AAEC",
    )


def test_an_update_with_little() -> None:
    status = {"task_id": {"value": "T"}, "state": "TASK_UNKNOWN"}
    assert told({"type": "UPDATE", "update": {"status": status}}) == events.TaskUpdated("T", TaskState.UNKNOWN)


def test_an_unknown_state_is_named() -> None:
    status = {"task_id": {"value": "T"}, "state": "TASK_DREAMING"}
    with pytest.raises(ProtocolError, match="task T is said to be 'TASK_DREAMING'"):
        told({"type": "UPDATE", "update": {"status": status}})


@pytest.mark.parametrize(
    ("event", "known"),
    [
        ({"type": "SUBSCRIBED", "subscribed": {"framework_id": {"value": "F"}}}, events.Subscribed("F")),
        ({"type": "RESCIND", "rescind": {"offer_id": {"value": "O1"}}}, events.OfferRescinded("O1")),
        ({"type": "FAILURE", "failure": {"agent_id": {"value": "S1"}}}, events.AgentFailed("S1")),
        (
            {
                "type": "INVERSE_OFFERS",
                "inverse_offers": {
                    "inverse_offers": [
                        {
                            "id": {"value": "I1"},
                            "framework_id": {"value": "F"},
                            "agent_id": {"value": "S1"},
                            "unavailability": {"start": {"nanoseconds": 5 * 10**9}},
                        }
                    ]
                },
            },
            events.InverseOffersArrived((InverseOffer("I1", "S1", Window(5.0, None)),)),
        ),
        (
            {"type": "RESCIND_INVERSE_OFFER", "rescind_inverse_offer": {"inverse_offer_id": {"value": "I1"}}},
            None,
        ),
        (
            {"type": "FAILURE", "failure": {"agent_id": {"value": "S1"}, "executor_id": {"value": "km-1"}}},
            events.ExecutorFailed("S1", "km-1"),
        ),
        (
            {
                "type": "MESSAGE",
                "message": {
                    "agent_id": {"value": "S1"},
                    "executor_id": {"value": "km-1"},
                    "data": base64.b64encode(hotsettings.confirm(7)).decode(),
                },
            },
            events.SettingsConfirmed("S1", "km-1", 7),
        ),
        ({"type": "FAILURE", "failure": {}}, None),
        ({"type": "HEARTBEAT"}, None),
        ({"type": "ERROR", "error": {"message": "x"}}, None),
        ({"type": "SOMETHING_NEW"}, None),
    ],
)
def test_other_events(event: dict[str, Any], known: events.Event | None) -> None:
    assert told(event) == known


def test_a_task_takes_what_it_takes_of_each_part_of_the_offers() -> None:
    shares = (
        Share(reservation(WEB), Resources(cpus=250, disk=0), ((31000, 31000), (31002, 31002))),
        Share("", Resources(cpus=250, mem=64001)),
    )
    executor = {"executor_id": {"value": "km-1"}}
    info = task_info(Launch("uid.1.0", "ns/web", "uid", "bind", Resources(), shares), "S1", "web", executor)
    data = info.pop("data")
    allocated = {"allocation_info": {"role": "web"}}
    assert info == {
        "name": "ns/web",
        "task_id": {"value": "uid.1.0"},
        "agent_id": {"value": "S1"},
        "resources": [
            scalar("cpus", 0.25, **allocated, reservations=WEB),
            ports((31000, 31000), (31002, 31002), **allocated, reservations=WEB),
            scalar("cpus", 0.25, **allocated),
            scalar("mem", 64.001, **allocated),
        ],
        "executor": executor,
    }
    assert taskdata.decode(data) == taskdata.TaskData(mode="bind", pod="ns/web", uid="uid")


def test_an_executors_own_resources_are_of_one_part() -> None:
    info = {"executor_id": {"value": "km-1"}, "name": "km", "resources": [scalar("cpus", 1), scalar("mem", 2)]}
    marks = {"allocation_info": {"role": "web"}, "reservations": WEB}
    assert executor_info_of(info, "km-1.abc", Flavour("web", reservation(WEB))) == {
        "executor_id": {"value": "km-1.abc"},
        "name": "km",
        "resources": [scalar("cpus", 1, **marks), scalar("mem", 2, **marks)],
    }
    assert executor_info_of(info, "km-1", Flavour("*"))["resources"][0] == scalar(
        "cpus", 1, allocation_info={"role": "*"}
    )
    assert info["resources"] == [scalar("cpus", 1), scalar("mem", 2)]


def test_hot_settings_ride_along_with_a_launch() -> None:
    hot = hotsettings.HotSettings(settings_version=7, settings={"agent-log-level": "debug"})
    info = task_info(Launch("uid.1.0", "ns/web", "uid", "bind", Resources(cpus=1)), "S1", "*", {}, hot)
    assert hotsettings.read(taskdata.decode(info["data"]).settings) == hot


def test_no_task_has_a_kill_policy_which_a_drained_agent_would_keep_instead_of_its_operators() -> None:
    info = task_info(Launch("uid.1.0", "ns/web", "uid", "bind", Resources(cpus=1)), "S1", "*", {})
    assert "kill_policy" not in info


def test_a_task_that_adopts_says_so() -> None:
    info = task_info(Launch("uid.1.0", "ns/web", "uid", "adopt", Resources(cpus=1)), "S1", "*", {})
    assert taskdata.decode(info["data"]).mode == "adopt"


def test_a_mode_that_no_executor_knows_is_a_fault_of_ours() -> None:
    with pytest.raises(ValueError, match="mode 'seize', not bind or adopt"):
        task_info(Launch("uid.1.0", "ns/web", "uid", "seize", Resources(cpus=1)), "S1", "*", {})
