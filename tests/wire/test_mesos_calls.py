from __future__ import annotations

import json

import pytest

from kmsched.wire import mesos_calls as calls
from kmsched.wire.mesos_calls import Call, FrameworkInfo

FRAMEWORK = FrameworkInfo("km", "root", roles=("kube",), failover_timeout_s=60.0, principal="me", webui_url="http://u")


def sent(call: Call, framework_id: str | None = "F") -> object:
    return json.loads(call.encode(framework_id))


def test_the_first_subscribe_has_no_id() -> None:
    assert sent(calls.subscribe(FRAMEWORK, None), None) == {
        "type": "SUBSCRIBE",
        "subscribe": {
            "framework_info": {
                "name": "km",
                "user": "root",
                "roles": ["kube"],
                "failover_timeout": 60.0,
                "checkpoint": True,
                "principal": "me",
                "webui_url": "http://u",
                "capabilities": [
                    {"type": "MULTI_ROLE"},
                    {"type": "PARTITION_AWARE"},
                    {"type": "TASK_KILLING_STATE"},
                    {"type": "RESERVATION_REFINEMENT"},
                ],
            }
        },
    }


def test_a_later_subscribe_has_the_id_inside_and_outside() -> None:
    encoded = json.loads(calls.subscribe(FRAMEWORK, "F").encode("F"))
    assert encoded["framework_id"] == {"value": "F"}
    assert encoded["subscribe"]["framework_info"]["id"] == {"value": "F"}


F = {"framework_id": {"value": "F"}}


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        (
            calls.accept(["o1", "o2"], [{"name": "t"}], refuse_s=3),
            {
                "type": "ACCEPT",
                "accept": {
                    "offer_ids": [{"value": "o1"}, {"value": "o2"}],
                    "operations": [{"type": "LAUNCH", "launch": {"task_infos": [{"name": "t"}]}}],
                    "filters": {"refuse_seconds": 3},
                },
            },
        ),
        (
            calls.decline(["o1"]),
            {"type": "DECLINE", "decline": {"offer_ids": [{"value": "o1"}], "filters": {"refuse_seconds": 5.0}}},
        ),
        (
            calls.answer_inverse_offer("i1", may_go=True, refuse_s=60),
            {
                "type": "ACCEPT_INVERSE_OFFERS",
                "accept_inverse_offers": {"inverse_offer_ids": [{"value": "i1"}], "filters": {"refuse_seconds": 60}},
            },
        ),
        (
            calls.answer_inverse_offer("i1", may_go=False, refuse_s=5),
            {
                "type": "DECLINE_INVERSE_OFFERS",
                "decline_inverse_offers": {"inverse_offer_ids": [{"value": "i1"}], "filters": {"refuse_seconds": 5}},
            },
        ),
        (calls.revive(), {"type": "REVIVE"}),
        (calls.revive(["r"]), {"type": "REVIVE", "revive": {"roles": ["r"]}}),
        (calls.suppress(), {"type": "SUPPRESS"}),
        (calls.suppress(["r"]), {"type": "SUPPRESS", "suppress": {"roles": ["r"]}}),
        (
            calls.acknowledge("S", "t", b"\x00\x01"),
            {
                "type": "ACKNOWLEDGE",
                "acknowledge": {"agent_id": {"value": "S"}, "task_id": {"value": "t"}, "uuid": "AAE="},
            },
        ),
        (calls.reconcile(), {"type": "RECONCILE", "reconcile": {"tasks": []}}),
        (
            calls.reconcile([("t", "S"), ("u", None)]),
            {
                "type": "RECONCILE",
                "reconcile": {
                    "tasks": [{"task_id": {"value": "t"}, "agent_id": {"value": "S"}}, {"task_id": {"value": "u"}}]
                },
            },
        ),
        (calls.kill("t"), {"type": "KILL", "kill": {"task_id": {"value": "t"}}}),
        (
            calls.kill("t", "S"),
            {
                "type": "KILL",
                "kill": {
                    "task_id": {"value": "t"},
                    "agent_id": {"value": "S"},
                },
            },
        ),
        (
            calls.shutdown("E", "S"),
            {"type": "SHUTDOWN", "shutdown": {"executor_id": {"value": "E"}, "agent_id": {"value": "S"}}},
        ),
        (
            calls.message("S", "E", b"hi"),
            {
                "type": "MESSAGE",
                "message": {"agent_id": {"value": "S"}, "executor_id": {"value": "E"}, "data": "aGk="},
            },
        ),
        (calls.teardown(), {"type": "TEARDOWN"}),
    ],
    ids=lambda value: value.kind if isinstance(value, Call) else "",
)
def test_calls(call: Call, expected: dict[str, object]) -> None:
    assert sent(call) == expected | F
