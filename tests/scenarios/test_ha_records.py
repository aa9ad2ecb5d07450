"""What three schedulers store in the etcd that they share: what becomes of them and of pods when it is not there yet,
deleted, older than it was, or taken back by Mesos; and the commands that put it right, or give the lead away."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.scenarios import reigns
from tests.scenarios.group import Group
from tests.scenarios.hosts import SCHEDULER_UNIT, Ended
from tests.scenarios.load import Load
from tests.scenarios.waiting import until

DEPOSED, REMOVED, ID_MISSING = 11, 12, 13
CONFIG, MISMATCH, KEPT = 10, 14, 15
FLAGS = ("--flags-file=/etc/kmsched/scheduler.flags", "--host-flags-file=/etc/kmsched/host.flags")
TOKEN_FILE = "/etc/kmsched/act-of-a-scenario.token"
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


def value(group: Group, key: str) -> str:
    """Of a record, as it is stored."""
    return str(json.loads(group.etcd.stored(key)[key]["value"])["value"])


def test_three_that_start_at_once_make_one_framework_id(group: Group) -> None:
    cluster = group.cluster
    group.stop_all()
    for framework_id in group.framework_ids():
        cluster.mesos.teardown(framework_id)
    until(lambda: not any(map(cluster.hosts.kubelet_pid, cluster.agents)), GONE_S, "no agent has an executor")
    group.etcd.delete("")
    began = time.time()
    group.units("start")
    leader = group.wait_whole()
    show = ("systemctl", "show", "-P", "ExecMainStartTimestampMonotonic", SCHEDULER_UNIT)
    starts = sorted(int(cluster.hosts.must(host, *show)) for host in group.hosts)
    print(f"started within {(starts[-1] - starts[0]) / 1000:.1f} ms")
    [framework_id] = group.framework_ids()
    record = group.etcd.stored("framework-id")["framework-id"]
    assert (json.loads(record["value"])["value"], record["version"]) == (framework_id, 1)
    assert group.subscriptions(began) == 1
    assert not any(group.exit_codes(host, began) for host in group.hosts)
    assert {group.told(host)["leader"]["instance"] for host in group.hosts} == {leader}


@pytest.fixture
def token(group: Group) -> Iterator[str]:
    """The option of km that lets it act; afterwards nobody may."""
    for host in group.hosts:
        group.cluster.hosts.write(host, TOKEN_FILE, "of-this-test\n", "0600", "kmsched")
    group.set_flags(f"--http-act-token-file={TOKEN_FILE}")
    yield f"--token-file={TOKEN_FILE}"
    group.set_flags()
    for host in group.hosts:
        group.cluster.hosts.must(host, "rm", TOKEN_FILE)


def test_km_resign_gives_the_lead_to_any_or_to_the_one_that_is_named(group: Group, load: Load, token: str) -> None:
    first, began = group.wait_whole(), time.time()

    def resign(at: str, *words: str) -> Ended:
        return group.km(at, "resign", token, "--json", *words)

    refused(resign(first, "--to", "nobody"), KEPT, "nobody could not lead now")
    assert group.leader() == first
    any_ended = resign(first)
    assert any_ended.code == 0, any_ended.text
    second = json.loads(any_ended.text)
    assert second["after"]["instance"] == group.wait_whole() != first
    # asked at the one that is neither, and back to the first, which another would precede by chance
    third = next(host for host in group.hosts if host not in (first, second["after"]["instance"]))
    named_ended = resign(third, "--to", first)
    assert named_ended.code == 0, named_ended.text
    assert json.loads(named_ended.text)["after"]["instance"] == first == group.wait_whole()
    ends = {host: group.exit_codes(host, began) for host in group.hosts}
    assert ends == {first: [DEPOSED], second["after"]["instance"]: [DEPOSED], third: []}
    assert reigns.acts(group, began, first).faults() == []
    assert load.faults() == []


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


def test_an_etcd_from_an_old_backup_repeats_neither_term_nor_framework_id(group: Group, load: Load) -> None:
    group.wait_whole()
    backup, saved = group.etcd.save(), int(value(group, "term"))
    for _ in range(2):
        group.cluster.hosts.must(leader := group.wait_whole(), "systemctl", "kill", "-s", "USR1", SCHEDULER_UNIT)
        group.wait_successor(leader, GONE_S)
    leader = group.wait_whole()
    group.cluster.run_pod(load.namespace, "of-the-last-term")
    before, ids = group.told(leader), group.framework_ids()
    assert before["term"] > saved
    began = time.time()
    group.etcd.restore(backup)
    new = group.wait_whole()
    after = group.told(new)
    assert after["term"] > before["term"] and int(value(group, "term")) == after["term"]
    assert after["framework_id"] == before["framework_id"] and group.framework_ids() == ids
    assert group.exit_codes(leader, began) == [DEPOSED]
    assert f"terms up to {before['term']} are known: it was restored from a backup" in group.journal(new, began)
    assert reigns.acts(group, began, leader).faults() == []
    assert load.faults() == []


def test_a_framework_id_that_was_deleted_stops_who_would_lead_until_it_is_adopted(group: Group, load: Load) -> None:
    leader = group.wait_whole()
    framework_id, ids = group.told(leader)["framework_id"], group.framework_ids()
    group.etcd.delete("framework-id")
    # whoever leads has it, and leads on
    group.cluster.run_pod(load.namespace, "led-without-a-record")
    found = shown(group)
    assert found["framework_id"] is None and framework_id in found["mesos"], found
    refused(framework(group, "adopt", framework_id), CONFIG, f"{leader} at ")
    # one that is asked to stop may lead for a moment first, as those before it give the lead away
    group.stop_all()
    began = time.time()
    group.units("start")
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
    assert load.faults() == []


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
    group.cluster.wait_settled(load.namespace)
    assert load.faults() == []
