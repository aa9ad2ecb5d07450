"""What Kubernetes and Mesos say becomes events of the core; what ends the process says why."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import TypeVar

import msgspec
import pytest

from kmsched.clients.mesos import Disconnected, Item
from kmsched.clients.mesos_refusals import Identity
from kmsched.clients.reflector import Changed, Interrupted, Listed, Undecodable
from kmsched.clients.store import FolderStore
from kmsched.core import events
from kmsched.core.events import Event
from kmsched.core.model import Node, Pod
from kmsched.core.resources import NO_COUNTS
from kmsched.daemon.from_kube import LONG_LIST, FromKube
from kmsched.daemon.from_mesos import OFFERS_TOGETHER, FromMesos
from kmsched.daemon.identity import FrameworkId
from kmsched.daemon.inbox import Inbox
from kmsched.daemon.lead import SoleLead
from kmsched.daemon.metrics import Metrics
from kmsched.daemon.readiness import Readiness
from kmsched.daemon.repeats import AGAIN_S, Repeats
from kmsched.errors import ConfigRefused, Deposed, FrameworkRemoved
from kmsched.wire import mesos as wire
from kmsched.wire.kube import decode_pod
from tests.clients.fakes import FakeClock
from tests.daemon.values import pod_json

T = TypeVar("T")
NODE = Node("node-1", NO_COUNTS)


async def said(items: Sequence[T], error: Exception | None = None) -> AsyncGenerator[T, None]:
    for item in items:
        yield item
    if error is not None:
        raise error


class Scene:
    def __init__(self) -> None:
        self.clock = FakeClock()
        self.inbox = Inbox()
        self.readiness = Readiness(self.clock)
        self.metrics = Metrics()
        self.repeats = Repeats(self.clock)

    async def events(self) -> list[Event]:
        self.inbox.put_now(events.Ticked())
        return (await self.inbox.drain(100))[:-1]

    def from_kube(self) -> FromKube:
        return FromKube(self.inbox, self.readiness, self.metrics, self.repeats)


def test_the_pods_of_a_long_list_are_told_one_by_one_before_it() -> None:
    """The core takes one event at a time, and nobody else has a turn meanwhile."""

    async def scenario() -> None:
        scene = Scene()
        pod = decode_pod(pod_json())
        pods = tuple(replace(pod, uid=f"uid-{number}") for number in range(LONG_LIST + 1))
        listed: list[Listed[Pod] | Changed[Pod] | Interrupted | Undecodable] = [Listed(pods, "10")]
        await scene.from_kube().pods(said(listed))
        heard = await scene.inbox.drain(2 * LONG_LIST)
        assert heard == [*map(events.PodChanged, pods), events.PodsListed(pods, "10")]

    asyncio.run(scenario())


async def no_term() -> int:
    raise AssertionError("no term is made here")


def test_lists_and_changes_become_events_and_the_first_list_makes_a_kind_known() -> None:
    async def scenario() -> None:
        scene = Scene()
        pod = decode_pod(pod_json())
        pods: list[Listed[Pod] | Changed[Pod] | Interrupted | Undecodable] = [
            Interrupted("/api/v1/pods: no connection"),
            Listed((pod,), "10"),
            Changed("ADDED", pod),
            Changed("MODIFIED", pod),
            Changed("DELETED", pod),
            Interrupted("/api/v1/pods: the watch broke"),
        ]
        await scene.from_kube().pods(said(pods))
        assert await scene.events() == [
            events.PodsListed((pod,), "10"),
            events.PodChanged(pod),
            events.PodChanged(pod),
            events.PodDeleted("default/web", "uid-web"),
        ]
        assert list(scene.readiness.unlisted) == ["nodes"]
        nodes: list[Listed[Node] | Changed[Node] | Interrupted | Undecodable] = [
            Listed((NODE,), "11"),
            Changed("MODIFIED", NODE),
            Changed("DELETED", NODE),
        ]
        await scene.from_kube().nodes(said(nodes))
        assert await scene.events() == [
            events.NodesListed((NODE,)),
            events.NodeChanged(NODE),
            events.NodeDeleted("node-1"),
        ]
        assert not scene.readiness.unlisted

    asyncio.run(scenario())


def test_a_bad_object_is_told_once_and_an_absent_server_now_and_then(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        scene = Scene()
        bad = Undecodable("default/bad is left out: cpu is 'x'")
        away = Interrupted("/api/v1/pods: no connection")
        items: list[Listed[Pod] | Changed[Pod] | Interrupted | Undecodable] = [bad, bad, away, away]
        await scene.from_kube().pods(said(items))
        scene.clock.now_s += AGAIN_S
        await scene.from_kube().pods(said(items))
        assert await scene.events() == []
        assert scene.readiness.unlisted["pods"] == away.reason
        assert 'kmsched_bad_objects_total{kind="pods"} 4.0' in scene.metrics.rendered().decode()

    asyncio.run(scenario())
    lines = [record.getMessage() for record in caplog.records]
    assert lines.count("pods: default/bad is left out: cpu is 'x'") == 1
    assert lines.count("pods: /api/v1/pods: no connection") == 2


def test_a_task_that_mesos_does_not_allow_is_told_with_principal_user_and_flag(tmp_path: Path) -> None:
    words = "Not authorized to launch task t1 of framework f-1 under user 'root'"
    status = wire.TaskStatus(
        wire.Id("t1"), "TASK_ERROR", source="SOURCE_MASTER", reason="REASON_TASK_UNAUTHORIZED", message=words
    )
    _, heard = hear(tmp_path, [SUBSCRIBED, wire.Update(status)])
    refused = heard[-1]
    assert isinstance(refused, events.TaskUpdated)
    assert refused.message.startswith(
        f"{words}; the master's ACL run_tasks does not let principal 'km' run tasks as --mesos-user=root: let its"
    )
    other = wire.TaskStatus(wire.Id("t1"), "TASK_ERROR", source="SOURCE_MASTER", reason="REASON_TASK_INVALID")
    _, heard = hear(tmp_path, [SUBSCRIBED, wire.Update(other)])
    assert isinstance(heard[-1], events.TaskUpdated)
    assert heard[-1].message == ""


SUBSCRIBED = wire.Subscribed(wire.Id("f-1"))


def offer(number: int, cpus: float = 1.0, hostname: str = "") -> wire.Offer:
    return wire.Offer(
        id=wire.Id(f"o{number}"),
        agent_id=wire.Id(f"a{number}"),
        hostname=hostname or f"h{number}",
        resources=msgspec.Raw(msgspec.json.encode([{"name": "cpus", "scalar": {"value": cpus}}])),
    )


def update(state: str) -> wire.Update:
    return wire.Update(wire.TaskStatus(wire.Id("t1"), state, source="SOURCE_MASTER", reason="REASON_RECONCILIATION"))


def hear(
    tmp_path: Path,
    items: list[Item],
    error: Exception | None = None,
    go: Callable[[FromMesos], Awaitable[None]] = FromMesos.run_once,
    scene: Scene | None = None,
) -> tuple[Scene, list[Event]]:
    """The events of one conversation with the master, or of what `go` does."""
    scene = scene or Scene()

    async def scenario() -> list[Event]:
        store = FolderStore(tmp_path)
        try:
            framework_id = FrameworkId(store, "Kubernetes", str(tmp_path))
            await framework_id.load()
            source = FromMesos(
                lambda: said(items, error),
                scene.inbox,
                framework_id=framework_id,
                readiness=scene.readiness,
                metrics=scene.metrics,
                repeats=scene.repeats,
                clock=scene.clock,
                rng=Random(1),
                overtaken=SoleLead(no_term).was_overtaken,
                identity=Identity("km", ("prod",), "root"),
            )
            await go(source)
        finally:
            store.close()
        return await scene.events()

    return scene, asyncio.run(scenario())


def test_the_framework_id_is_stored_and_everything_becomes_events(tmp_path: Path) -> None:
    scene, heard = hear(
        tmp_path,
        [
            SUBSCRIBED,
            wire.Heartbeat(),
            wire.UnknownEvent("NEWS"),
            wire.Offers([offer(1), offer(2)]),
            wire.Rescind(wire.Id("o1")),
            update("TASK_UNKNOWN"),
            wire.Failure(agent_id=wire.Id("a1")),
            Disconnected("the stream ended", was_subscribed=True),
        ],
    )
    kinds = [type(each) for each in heard]
    assert kinds == [
        events.Subscribed,
        events.OffersArrived,
        events.OfferRescinded,
        events.TaskUpdated,
        events.AgentFailed,
        events.Disconnected,
    ]
    assert b'"f-1"' in (tmp_path / "framework-id").read_bytes()
    assert scene.readiness.unsubscribed == "the stream ended"
    text = scene.metrics.rendered().decode()
    assert (
        'mesos_scheduler_status_updates{reason="REASON_RECONCILIATION",source="SOURCE_MASTER",state="TASK_UNKNOWN"} 1.0'
        in text
    )


def test_an_attempt_that_failed_is_no_event(tmp_path: Path) -> None:
    scene, heard = hear(tmp_path, [Disconnected("connection refused", was_subscribed=False)])
    assert heard == []
    assert scene.readiness.unsubscribed == "connection refused"


def test_thousands_of_offers_are_taken_in_parts(tmp_path: Path) -> None:
    count = 2 * OFFERS_TOGETHER + 1
    _, heard = hear(tmp_path, [SUBSCRIBED, wire.Offers([offer(number) for number in range(count)])])
    parts = [each.offers for each in heard if isinstance(each, events.OffersArrived)]
    assert [len(part) for part in parts] == [OFFERS_TOGETHER, OFFERS_TOGETHER, 1]
    assert [each.offer_id for part in parts for each in part] == [f"o{number}" for number in range(count)]


def test_one_bad_offer_or_update_does_not_hide_the_others(tmp_path: Path) -> None:
    _, heard = hear(
        tmp_path,
        [SUBSCRIBED, wire.Offers([offer(1, cpus=-1.0), offer(2)]), update("TASK_DREAMING"), update("TASK_LOST")],
    )
    assert isinstance(heard[1], events.OffersArrived)
    assert [each.offer_id for each in heard[1].offers] == ["o2"]
    assert isinstance(heard[2], events.OffersArrived)
    assert (heard[2].offers, heard[2].unreadable) == ((), ("o1",))
    assert [type(each) for each in heard[3:]] == [events.TaskUpdated]


def test_an_agent_whose_offers_cannot_be_read_is_told_of_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    again = [wire.Offers([offer(number, cpus=-1.0, hostname="h")]) for number in range(3)]
    _, heard = hear(tmp_path, [SUBSCRIBED, *again])
    assert [each.unreadable for each in heard if isinstance(each, events.OffersArrived)] == [("o0",), ("o1",), ("o2",)]
    assert len([line for line in caplog.messages if "cpus is -1.0" in line]) == 1


def test_failed_over_ends_the_process_as_deposed(tmp_path: Path) -> None:
    with pytest.raises(Deposed, match="another scheduler subscribed as framework f-1"):
        hear(tmp_path, [SUBSCRIBED, wire.ErrorEvent("Framework failed over")])


def test_an_error_instead_of_subscribed_is_a_refused_configuration_when_it_stays(tmp_path: Path) -> None:
    invalid: list[Item] = [wire.ErrorEvent("'FrameworkInfo.roles' contains invalid role")]
    scene, heard = hear(tmp_path, invalid)
    assert heard == []
    assert "contains invalid role" in scene.readiness.unsubscribed
    with pytest.raises(ConfigRefused, match="check --mesos-role"):
        hear(tmp_path, invalid, go=FromMesos.run)


def test_an_error_on_a_stream_that_stood_only_ends_the_stream(tmp_path: Path) -> None:
    scene, heard = hear(tmp_path, [SUBSCRIBED, wire.ErrorEvent("something new")])
    assert [type(each) for each in heard] == [events.Subscribed, events.Disconnected]
    assert "something new" in scene.readiness.unsubscribed


def test_a_removed_framework_ends_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(FrameworkRemoved, match=r"framework id f-1.*km framework reset"):
        hear(tmp_path, [SUBSCRIBED], FrameworkRemoved("Mesos says 'Framework has been removed'"))


def test_a_refused_subscription_is_borne_for_a_moment_and_then_is_the_configurations_fault(tmp_path: Path) -> None:
    refused = ConfigRefused("10.0.0.1:5050 answers 401: check principal and secret")
    scene, heard = hear(tmp_path, [], refused)
    assert heard == []
    assert "answers 401" in scene.readiness.unsubscribed
    with pytest.raises(ConfigRefused, match="check principal and secret"):
        hear(tmp_path, [], refused, go=FromMesos.run)


def test_a_scheduler_that_was_accepted_once_goes_on_trying_when_it_is_refused(tmp_path: Path) -> None:
    refused = ConfigRefused("10.0.0.1:5050 answers 403: check principal and secret")
    scene, heard = hear(tmp_path, [SUBSCRIBED], refused)
    assert [type(each) for each in heard] == [events.Subscribed, events.Disconnected]
    assert "answers 403" in scene.readiness.unsubscribed

    items: list[Item] = [SUBSCRIBED]
    rounds = 0

    async def refused_for_long(source: FromMesos) -> None:
        nonlocal rounds
        while rounds < 100:
            rounds += 1
            await source.run_once()
            items.clear()
            await scene.clock.sleep(1.0)

    hear(tmp_path, items, refused, refused_for_long, scene)
    assert rounds == 100
