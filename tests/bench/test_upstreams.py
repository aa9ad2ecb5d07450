"""The benchmarks around whole schedulers and real messages, in small."""

from __future__ import annotations

import asyncio
import itertools
from random import Random

from bench import ingest, latency, memory, messages, timer
from kmsched.wire.kube import decode_node, decode_pod
from kmsched.wire.mesos import Offers, scheduler_event
from kmsched.wire.recordio import Decoder


def test_every_pod_that_is_created_is_accepted_and_takes_some_time() -> None:
    took = asyncio.run(latency.measure(3, 4, 0.0, (), Random(1)))
    assert len(took) == 4
    assert all(each > 0.0 for each in took)


def test_a_timer_runs_while_pods_are_placed() -> None:
    lateness, took_s = asyncio.run(timer.measure(4, 40))
    assert took_s > 0.0
    assert all(each >= 0.0 for each in lateness)


def test_all_ways_take_in_the_same_offers() -> None:
    for size, kind in itertools.product((1, 7), (ingest.ALIKE, ingest.UNHEARD, ingest.AGAIN)):
        chunks = ingest.stream(size, kind, turn=1, offers=21)
        assert ingest.ours(chunks) == ingest.dicts(chunks) == ingest.json_loads(chunks) == 21


def test_offers_of_agents_that_were_never_heard_of_share_nothing_and_those_heard_of_all_but_their_ids() -> None:
    def told(kind: str, turn: int) -> set[tuple[bytes, bytes]]:
        (record,) = (record for chunk in ingest.stream(21, kind, turn, offers=21) for record in Decoder().feed(chunk))
        event = scheduler_event(record)
        assert isinstance(event, Offers)
        return {(bytes(each.resources), bytes(each.attributes)) for each in event.offers}

    assert len(told(ingest.ALIKE, 1)) == 1
    assert len(told(ingest.UNHEARD, 1) | told(ingest.UNHEARD, 2)) == 42
    assert told(ingest.AGAIN, 1) == told(ingest.AGAIN, 2)


def test_the_state_that_is_weighed_holds_what_it_says() -> None:
    found = memory.grown_bytes(agents=3, pods=20)
    assert list(found) == ["imports", "nodes", "pods", "offers", "all"]
    assert found["all"] >= found["imports"]


def test_messages_are_what_the_scheduler_reads() -> None:
    pod = decode_pod(messages.pod(81, node="agent-1", task_id="t"))
    assert (pod.key, pod.uid, pod.node_name, pod.task_id) == (
        "team-02/web-00002-000081",
        messages.uid(81),
        "agent-1",
        "t",
    )
    assert decode_node(messages.node("agent-1")).allocatable.pods == 110
