"""The playbooks, on a group of three schedulers whose agents fetch from HDFS: a second run changes nothing, artifacts
are published once, and hosts that differ are named before anything restarts."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from testbed import hdfs
from tests.scenarios import product
from tests.scenarios.group import Group
from tests.scenarios.product import EXECUTOR, unwrapped

FLAGS, KUBECONFIG = "/etc/kmsched/scheduler.flags", "/etc/kmsched/scheduler.kubeconfig"
SCHEDULERS_ONLY = "--limit=km_schedulers,localhost"
ZEROS = "0" * 64


def changed(recap: product.Recap) -> dict[str, int]:
    return {host: counts["changed"] for host, counts in recap.items()}


def test_a_second_run_changes_nothing(group: Group) -> None:
    cluster = group.cluster
    leader = group.wait_whole()
    before = {host: group.pid(host) for host in group.hosts}
    recap, output = product.playbook(cluster.settings)
    assert set(recap) == {*group.hosts, *cluster.agents, "localhost"}
    assert changed(recap) == dict.fromkeys(recap, 0), output
    assert {host: group.pid(host) for host in group.hosts} == before
    assert group.leader() == leader


def test_agents_fetch_from_hdfs_what_was_published(group: Group) -> None:
    # that a second run publishes nothing, the test of the second run has seen
    cluster = group.cluster
    with cluster.namespace("fetched") as namespace:
        agent = cluster.run_pod(namespace, "fetched")["spec"]["nodeName"]
        assert cluster.hosts.run(agent, "which", "java").code != 0
        running = cluster.hosts.must(agent, "pgrep", "--full", "--list-full", EXECUTOR)
    assert "python3 ./km executor " in running and re.search(rf"--kubelet-path=hdfs://\w+{hdfs.ARTIFACTS}/", running)


def test_another_fingerprint_is_told_and_refused_before_anything_changes(group: Group) -> None:
    leader = group.wait_whole()
    before = {host: group.pid(host) for host in group.hosts}
    fingerprint = group.told(leader)["fingerprint"]
    # deploy.yml has this very play before anything of the schedulers changes
    _, output = product.play(group.cluster.settings, "playbooks/schedulers_plan.yml", *product.COPIED, code=2)
    assert f"would change from {fingerprint} to " in unwrapped(output)
    told = rf"--km-path: 'hdfs://\w+{hdfs.ARTIFACTS}/\S+' so far, 'file:/\S+' from now on"
    assert re.search(told, unwrapped(output)), output
    assert {host: group.pid(host) for host in group.hosts} == before


@contextmanager
def planted(group: Group, host: str, path: str, command: str) -> Iterator[None]:
    """The file, changed by a shell command there and put back afterwards."""
    hosts = group.cluster.hosts
    hosts.must(host, "cp", "--preserve", path, f"{path}.aside")
    try:
        hosts.must(host, "sh", "-c", command)
        yield
    finally:
        hosts.must(host, "mv", f"{path}.aside", path)


def test_hosts_that_differ_are_named_and_nothing_is_touched(group: Group, tmp_path: Path) -> None:
    settings, hosts = group.cluster.settings, group.cluster.hosts
    check = ("playbooks/check.yml", SCHEDULERS_ONLY)
    with (
        planted(group, "s2", FLAGS, f"sed -i 's/^--state-dir=.*/&2/' {FLAGS}"),
        planted(group, "s3", KUBECONFIG, f"echo >> {KUBECONFIG}; chmod 0644 {KUBECONFIG}"),
    ):
        recap, output = product.play(settings, *check, code=2)
        assert f"s2: {FLAGS}: --state-dir: '/var/lib/kmsched2' there, '/var/lib/kmsched' wanted" in unwrapped(output), (
            output
        )
        assert re.search(rf"s3: {KUBECONFIG}: sha256 \w+ there, \w+ wanted", unwrapped(output)), output
        assert f"s3: {KUBECONFIG}: mode 0644 there, 0600 wanted" in unwrapped(output), output
        assert "s1:" not in output.partition("TASK [Name host and drift]")[2].partition("PLAY RECAP")[0]
        assert changed(recap) == dict.fromkeys(recap, 0)

        # another digest on one host, as a variable that somebody set in the wrong place; deploy.yml has this very play
        wrong = tmp_path / "wrong.yml"
        wrong.write_text(f"km_schedulers: {{hosts: {{s3: {{km_scheduler_artifacts_uri: 'file:///{ZEROS}'}}}}}}\n")
        _, output = product.play(settings, "playbooks/schedulers_plan.yml", "-i", str(wrong), code=2)
        told = rf"s3: --km-path: 'file:///{ZEROS}/\w+/km', but 'hdfs://\S+' on s1"
        assert re.search(told, unwrapped(output)), output
        assert "kmsched2" in hosts.must("s2", "cat", FLAGS)
