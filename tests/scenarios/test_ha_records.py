"""Three schedulers share a framework through an etcd of three: what becomes of them when its id is deleted or Mesos
removes it, and when whoever leads has to be replaced and all others are away."""

from __future__ import annotations

import json
import time
from typing import Any

from tests.scenarios.group import Group
from tests.scenarios.hosts import SCHEDULER_UNIT, Ended
from tests.scenarios.load import Load
from tests.scenarios.waiting import until

CONFIG, REMOVED, ID_MISSING, MISMATCH = 10, 12, 13, 14
FLAGS = ("--flags-file=/etc/kmsched/scheduler.flags", "--host-flags-file=/etc/kmsched/host.flags")
GONE_S, REPLACED_S = 60.0, 60.0


def framework(group: Group, *words: str) -> Ended:
    """`km framework …` on the first host."""
    return group.km(group.hosts[0], "framework", *words, *FLAGS)


def refused(ended: Ended, code: int, words: str) -> None:
    assert (ended.code, words in ended.text) == (code, True), ended


def shown(group: Group) -> dict[str, Any]:
    ended = framework(group, "show", "--json")
    assert ended.code == 0, ended.text
    found: dict[str, Any] = json.loads(ended.text)
    return found


def test_a_leader_whose_standbys_are_away_is_replaced_on_its_own_host(group: Group, load: Load) -> None:
    hosts, leader = group.cluster.hosts, group.wait_whole()
    standbys = [host for host in group.hosts if host != leader]
    group.units("stop", standbys)
    until(lambda: len(group.told(leader)["members"]) == 1, GONE_S, "only the leader is left")
    before, old, restarts = group.told(leader), hosts.main_pid(leader, SCHEDULER_UNIT), _restarts(group)
    began, pids = time.time(), {old}

    def is_replaced() -> bool:
        pids.add(hosts.main_pid(leader, SCHEDULER_UNIT))
        return pids > {old} and group.leaders() == [leader]

    hosts.must(leader, "kill", "-USR1", str(old))
    until(is_replaced, REPLACED_S, "another process leads there", 0.02)
    assert 0 not in pids and len(pids) == 2, "there was a moment without a main process"
    after = group.told(leader)
    assert after["term"] > before["term"] and after["framework_id"] == before["framework_id"]
    assert group.subscriptions(began) == 1
    assert _restarts(group) == restarts
    group.units("start", standbys)
    assert group.wait_whole() == leader
    assert load.faults() == []


def _restarts(group: Group) -> dict[str, int]:
    return {host: group.cluster.hosts.restarts(host, SCHEDULER_UNIT) for host in group.hosts}


def test_a_framework_id_that_was_deleted_stops_who_would_lead_until_it_is_adopted(group: Group, load: Load) -> None:
    leader = group.wait_whole()
    framework_id, ids = group.told(leader)["framework_id"], group.framework_ids()
    group.etcd.delete("framework-id")
    # whoever leads has it, and leads on
    group.cluster.run_pod(load.namespace, "led-without-a-record")
    found = shown(group)
    assert found["framework_id"] is None and framework_id in found["mesos"], found
    refused(framework(group, "adopt", framework_id), CONFIG, f"{leader} at ")
    began = time.time()
    group.units("restart")
    group.wait_ended(ID_MISSING, began)
    for host in group.hosts:
        words = group.journal(host, began)
        assert "pods are bound by this scheduler (" in words
        assert "but etcd under /kmsched/Kubernetes/ holds no framework id" in words
        assert "km framework adopt ID" in words
    assert group.framework_ids() == ids and group.subscriptions(began) == 0
    adopted = framework(group, "adopt", framework_id)
    assert adopted.code == 0 and f"framework id {framework_id} is stored now" in adopted.text, adopted
    refused(framework(group, "adopt", "another-id"), MISMATCH, f"framework id {framework_id} is stored")
    group.units("start")
    assert group.told(group.wait_whole())["framework_id"] == framework_id
    assert group.framework_ids() == ids


def test_a_framework_that_was_removed_stops_all_until_its_id_is_forgotten(group: Group, load: Load) -> None:
    leader = group.wait_whole()
    framework_id, term = (group.told(leader)[each] for each in ("framework_id", "term"))
    refused(framework(group, "reset", f"--confirm={framework_id}"), CONFIG, f"{leader} at ")
    began = time.time()
    group.cluster.mesos.teardown(framework_id)
    group.wait_ended(REMOVED, began)
    for host in group.hosts:
        words = group.journal(host, began)
        assert framework_id in words and f"km framework reset --confirm {framework_id}" in words, words
    assert load.steady.items() <= group.cluster.app_containers(load.namespace).items(), "containers went with it"
    assert shown(group)["mesos"].startswith("removed: it never can be subscribed again")
    refused(
        framework(group, "reset", "--confirm=another"), MISMATCH, f"the framework id that is stored is {framework_id}"
    )
    reset = framework(group, "reset", f"--confirm={framework_id}")
    assert reset.code == 0 and f"framework id {framework_id} is forgotten" in reset.text, reset
    group.units("start")
    after = group.told(group.wait_whole())
    assert group.framework_ids() == {after["framework_id"]} != {framework_id}
    assert after["term"] > term
