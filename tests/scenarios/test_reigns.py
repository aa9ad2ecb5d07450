"""The judge of who acted when: it must find what it is there to find."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.scenarios.reigns import Acts, read

UID = "b75e1ef7-a0b7-4fd0-bf4e-ef21708474d2"
HOSTS = {"10.0.0.1": "s1", "10.0.0.2": "s2"}
REVIVED = "Processing REVIVE call for framework f-0000 (Kubernetes)"
SUBSCRIBED = "Subscribing framework 'Kubernetes' with checkpointing enabled and capabilities [ MULTI_ROLE ]"


def asked(number: int) -> str:
    return f"HTTP POST for /master/api/v1/scheduler from 10.0.0.{number}:33344 with User-Agent='Python/3.11'"


KILLED = "Processing KILL call for task 'b75e1ef7-a0b7-4fd0-bf4e-ef21708474d2.a.1' of framework f-0000 (Kubernetes)"
RECONCILED = "Performing explicit task state reconciliation for 1 tasks of framework f-0000 (Kubernetes)"


def launched(term: str) -> str:
    return f"Launching task {UID}.{term}.8 of framework f-0000 (Kubernetes) with resources [] on agent f-S1"


def bound(number: int, second: int, code: int = 201) -> str:
    event = {
        "verb": "create",
        "sourceIPs": [f"10.0.0.{number}"],
        "requestReceivedTimestamp": f"1970-01-01T00:00:{second:02}.000000Z",
        "objectRef": {"resource": "pods", "subresource": "binding", "namespace": "d", "name": "p"},
        "responseStatus": {"code": code},
    }
    return json.dumps(event)


def acts(*log: str, writes: tuple[str, ...] = ()) -> Acts:
    """One line of the master's log each second, from second 1 on; s1 reigns."""
    timed: Iterator[tuple[float, str]] = enumerate(log, 1)
    return read(timed, writes, HOSTS, 0.0, "s1")


CHANGE = (asked(1), REVIVED, launched("a"), asked(2), SUBSCRIBED, asked(2), REVIVED, launched("b"))


def test_a_change_without_a_fault() -> None:
    found = acts(*CHANGE, asked(2), KILLED, RECONCILED, asked(1), writes=(bound(1, 2), bound(2, 9), bound(1, 9, 409)))
    assert found.faults() == []
    assert (found.subscriptions, found.refused) == (1, 1)
    assert (found.between("s1", 0, 60), found.between("s2", 0, 60)) == (2, 3)


@pytest.mark.parametrize(
    ("log", "writes", "words"),
    [
        ((*CHANGE, asked(1), REVIVED), (), "1 calls of deposed schedulers took effect while s2 was subscribed"),
        ((*CHANGE, launched("a")), (), "tasks of the terms [10, 11] were launched while s2 was subscribed"),
        ((*CHANGE, asked(1), SUBSCRIBED, launched("a")), (), "tasks of term 10 were launched after those of term 11"),
        (CHANGE, (bound(1, 9),), "s1: create of pods/binding d/p after 9.000 s, while s2 was subscribed"),
    ],
)
def test_what_a_deposed_scheduler_gets_done_is_found(log: tuple[str, ...], writes: tuple[str, ...], words: str) -> None:
    assert acts(*log, writes=writes).faults() == [words]
