"""The playbooks: a second run changes nothing, check mode works on bare hosts, artifacts go to HDFS once, and hosts
that differ are named before anything restarts."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from testbed import hdfs, hdfs_presence, lifecycle, probe, processes
from testbed.settings import Settings
from tests.scenarios import product
from tests.scenarios.cluster import Cluster
from tests.scenarios.hosts import SCHEDULER_UNIT, Hosts
from tests.scenarios.waiting import until

BARE_NAME, BARE_NET = "kmbare", "10.91.0"
SCHEDULERS = ("s1", "s2", "s3")
#: without --ha only one may run, and what is compared here is what lies on hosts
NOBODY_RUNS = ("--limit=km_schedulers,localhost", "-e", "km_scheduler_state=stopped")
FLAGS, KUBECONFIG = "/etc/kmsched/scheduler.flags", "/etc/kmsched/scheduler.kubeconfig"
ZEROS = "0" * 64
#: also where the inventory tells of HDFS
COPIED = ("-e", "km_artifact_hdfs_uri=")
EXECUTOR = "/km executor "
ENDED_S = 60.0


def changed(recap: product.Recap) -> dict[str, int]:
    return {host: counts["changed"] for host, counts in recap.items()}


def unwrapped(output: str) -> str:
    """Ansible breaks long lines, and doubles quotes in them."""
    return " ".join(output.split()).replace("''", "'")


def has_copies(cluster: Cluster) -> bool:
    """Whether executors run files that Ansible has copied onto the agents."""
    return "--km-path=file:" in cluster.hosts.must(cluster.scheduler_host, "cat", FLAGS)


def end_executors(cluster: Cluster) -> None:
    """Else their agents would take no pods under another fingerprint, until they have been idle for long."""
    for agent in cluster.agents:
        cluster.hosts.run(agent, "pkill", "-TERM", "--full", EXECUTOR)
    until(lambda: not any(map(cluster.hosts.kubelet_pid, cluster.agents)), ENDED_S, "no agent has an executor")


def test_second_run_changes_nothing(cluster: Cluster) -> None:
    more = COPIED if has_copies(cluster) else ()
    # of an earlier run; the inventory has grown since
    if more and hdfs_presence.find(cluster.settings, cluster.machine) is not None:
        product.playbook(cluster.settings, *more)
    pid = cluster.hosts.main_pid(cluster.scheduler_host, SCHEDULER_UNIT)
    recap, output = product.playbook(cluster.settings, *more)
    assert set(recap) == {*cluster.plan.hosts.schedulers, *cluster.agents, "localhost"}
    assert changed(recap) == dict.fromkeys(recap, 0), output
    assert cluster.hosts.main_pid(cluster.scheduler_host, SCHEDULER_UNIT) == pid


@pytest.fixture
def copies(cluster: Cluster) -> None:
    """Agents have files from Ansible; HDFS is up and the inventory tells of it. Afterwards they have HDFS's."""
    with processes.locked(cluster.settings.lock, f"testbed {cluster.settings.name!r}"):
        lifecycle.up_hdfs(cluster.settings)
    if not has_copies(cluster):
        end_executors(cluster)
        product.playbook(cluster.settings, *COPIED)


def test_agents_fetch_from_hdfs_what_was_published_once(cluster: Cluster, copies: None, namespace: str) -> None:
    host, pid = cluster.scheduler_host, cluster.hosts.main_pid(cluster.scheduler_host, SCHEDULER_UNIT)
    before = cluster.page("/readyz").json()["fingerprint"]
    _, output = product.play(cluster.settings, "deploy.yml", "--limit=km_schedulers,localhost", code=2)
    assert f"would change from {before} to " in unwrapped(output)
    told = rf"--km-path: 'file:/\S+' so far, 'hdfs://\w+{hdfs.ARTIFACTS}/\S+' from now on"
    assert re.search(told, unwrapped(output)), output
    assert cluster.hosts.main_pid(host, SCHEDULER_UNIT) == pid

    # what was refused was published all the same
    recap, output = product.play(cluster.settings, "playbooks/publish.yml")
    assert changed(recap) == {host: 0}, output

    product.playbook(cluster.settings)
    end_executors(cluster)
    pod = cluster.run_pod(namespace, "fetched")
    agent = pod["spec"]["nodeName"]
    assert cluster.hosts.run(agent, "which", "java").code != 0
    running = cluster.hosts.must(agent, "pgrep", "--full", "--list-full", EXECUTOR)
    assert "python3 ./km executor " in running and re.search(rf"--kubelet-path=hdfs://\w+{hdfs.ARTIFACTS}/", running)


@dataclass(frozen=True, slots=True)
class Bare:
    settings: Settings
    hosts: Hosts


@pytest.fixture(scope="module")
def bare(cluster: Cluster) -> Iterator[Bare]:
    """A second testbed, of three scheduler hosts and an agent, with nothing installed."""
    settings = dataclasses.replace(cluster.settings, name=BARE_NAME, net=BARE_NET)
    with processes.locked(settings.lock, f"testbed {settings.name!r}"):
        try:
            lifecycle.up(settings, 1, 1, len(SCHEDULERS))
            yield Bare(settings, Hosts(settings, probe.machine()))
        finally:
            lifecycle.down(settings)


def test_check_mode_on_bare_hosts(bare: Bare) -> None:
    recap, output = product.playbook(bare.settings, "--check", "--diff", "--limit=s1,h1,localhost")
    assert set(recap) == {"s1", "h1", "localhost"}
    assert recap["s1"]["changed"] > 0 and recap["h1"]["changed"] > 0, output


def test_hosts_that_differ_are_named_and_nothing_is_touched(bare: Bare, tmp_path: Path) -> None:
    product.play(bare.settings, "deploy.yml", *NOBODY_RUNS)
    check = ("playbooks/check.yml", *NOBODY_RUNS)
    product.play(bare.settings, *check)

    bare.hosts.must("s2", "sed", "-i", "s/^--state-dir=.*/&2/", FLAGS)
    bare.hosts.must("s3", "sh", "-c", f"echo >> {KUBECONFIG}")
    recap, output = product.play(bare.settings, *check, code=2)
    assert f"s2: {FLAGS}: --state-dir: '/var/lib/kmsched2' there, '/var/lib/kmsched' wanted" in unwrapped(output), (
        output
    )
    assert re.search(rf"s3: {KUBECONFIG}: sha256 \w+ there, \w+ wanted", unwrapped(output)), output
    assert "s1:" not in output.partition("TASK [Name host and drift]")[2].partition("PLAY RECAP")[0]
    assert changed(recap) == dict.fromkeys(recap, 0)

    # another digest on one host, as a variable that somebody set in the wrong place
    wrong = tmp_path / "wrong.yml"
    wrong.write_text(f"km_schedulers: {{hosts: {{s3: {{km_scheduler_artifacts_uri: 'file:///{ZEROS}'}}}}}}\n")
    _, output = product.play(bare.settings, "deploy.yml", *NOBODY_RUNS, "-i", str(wrong), code=2)
    assert re.search(
        rf"s3: --km-path: 'file:///{ZEROS}/\w+/km', but 'file:///var/lib/km/\S+' on s1", unwrapped(output)
    ), output
    assert "kmsched2" in bare.hosts.must("s2", "cat", FLAGS)
