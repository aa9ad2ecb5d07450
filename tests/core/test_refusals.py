"""A pod that kubelet refused keeps its owner's next pods from that node for a while, and says why."""

from __future__ import annotations

from dataclasses import replace

from kmsched.core.model import Phase, Pod
from kmsched.core.refusals import PAUSE_S, Refusals, is_refused
from kmsched.core.resources import Counts, Resources

POD = Pod(
    key="default/web-1",
    uid="u1",
    resource_version="1",
    scheduler_name="default-scheduler",
    node_name="h1",
    phase=Phase.FAILED,
    is_terminating=False,
    is_static=False,
    is_gated=False,
    priority=0,
    created_s=0.0,
    requests=Resources(cpus=100, pods=1),
    counts=Counts(cpu=100, pods=1),
    owner_uid="owner",
    reason="OutOfcpu",
)


def test_only_an_admission_that_failed_counts_as_refused() -> None:
    assert is_refused(POD)
    assert is_refused(replace(POD, reason="NodeAffinity"))
    assert not is_refused(replace(POD, reason="Evicted"))
    assert not is_refused(replace(POD, phase=Phase.RUNNING))


def test_the_owner_waits_on_that_node_only_and_not_for_ever() -> None:
    refusals = Refusals()
    refusals.add(POD, now=10.0)
    again = replace(POD, uid="u2", node_name="", phase=Phase.PENDING, reason="")
    objection = refusals.veto(again, "h1")
    assert objection is not None
    assert objection.reason == "kubelet refused a pod of the same owner (OutOfcpu), which is tried later"
    assert refusals.veto(again, "h2") is None
    assert refusals.veto(replace(again, owner_uid="other"), "h1") is None
    assert not refusals.expire(10.0 + PAUSE_S - 1)
    assert refusals.expire(10.0 + PAUSE_S)
    assert refusals.veto(again, "h1") is None


def test_a_pod_without_an_owner_blocks_nobody() -> None:
    refusals = Refusals()
    refusals.add(replace(POD, owner_uid=""), now=0.0)
    assert refusals.veto(replace(POD, owner_uid=""), "h1") is None
