"""The lines of the documentation that operators know, word for word: put km into HDFS, start a scheduler with its path.

The path names no digest, so the scheduler warns, keeps the digest that it has read, and agents run nothing else.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from kmsched.artifacts.digests import KEY
from kmsched.clients.hadoop_conf import FILES
from testbed import hdfs, hdfs_presence, lifecycle, processes
from testbed.hdfs import Hdfs
from testbed.hdfs_layout import NAMESERVICE
from tests.scenarios import product, stored, workloads
from tests.scenarios.cluster import Cluster
from tests.scenarios.hosts import SCHEDULER_UNIT
from tests.scenarios.reflagged import reflagged
from tests.scenarios.waiting import until

PUT = "hdfs dfs -put -f bin/km hdfs:///km"
KM_PATH = "--km-path=hdfs:///km"
CONF_DIR, PROGRAM = "/etc/hadoop/conf", "/usr/local/bin/hadoop"
STATE_DIR = "/var/lib/kmsched"
COMMAND_S, TOLD_S, GONE_S, RUNNING_S = 120, 90.0, 60.0, 180.0


@pytest.fixture(scope="module")
def storage(cluster: Cluster) -> Hdfs:
    """HDFS, and every host knows where it is, as the role km_hadoop would have it.

    The role itself is not run: with HDFS there, a deployment would also move kubelet and kube-proxy into it.
    """
    with processes.locked(cluster.settings.lock, f"testbed {cluster.settings.name!r}"):
        found = lifecycle.up_hdfs(cluster.settings)
    for host in (*cluster.agents, cluster.scheduler_host):
        if cluster.hosts.run(host, "grep", "-q", NAMESERVICE, f"{CONF_DIR}/core-site.xml").code:
            cluster.hosts.must(host, "mkdir", "-p", CONF_DIR)
            for name in FILES:
                cluster.hosts.write(host, f"{CONF_DIR}/{name}", (found.layout.client / name).read_text())
    for host in cluster.agents:
        if cluster.hosts.run(host, "test", "-e", PROGRAM).code:
            km = cluster.hosts.must(host, "find", "/var/lib/km/artifacts", "-name", "km").split()[0]
            cluster.hosts.must(host, "ln", "-s", km, PROGRAM)
    return found


def put(storage: Hdfs, programs: Path, folder: Path = product.ROOT) -> None:
    """The document's line, with the `hdfs` of this folder."""
    environ = {
        "PATH": f"{programs}:{os.environ['PATH']}",
        "HADOOP_CONF_DIR": str(storage.layout.client),
        "HADOOP_USER_NAME": hdfs.SUPERUSER,
        "KM_CACHE": str(programs / "cache"),
    }
    command = [*hdfs.entered(storage.settings), *PUT.split()]
    done = subprocess.run(command, cwd=folder, env=environ, check=False, capture_output=True, timeout=COMMAND_S)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


def end_executors(cluster: Cluster) -> None:
    for host in cluster.agents:
        if pid := cluster.hosts.executor_pid(host):
            cluster.hosts.kill(host, pid)
    for host in cluster.agents:
        until(lambda host=host: cluster.hosts.kubelet_pid(host) == 0, GONE_S, f"{host} has no executor")  # type: ignore[misc]


@pytest.fixture
def scheduler_of_the_document(cluster: Cluster) -> Iterator[None]:
    """What the scenario leaves would be in the way of others: executors of its fingerprint, and the digest that was
    kept for a path that gets other files."""
    record = f"{STATE_DIR}/{KEY}"
    cluster.hosts.must(cluster.scheduler_host, "rm", "-f", record)
    end_executors(cluster)
    yield
    end_executors(cluster)
    cluster.hosts.must(cluster.scheduler_host, "rm", "-f", record)


def test_word_for_word(
    storage: Hdfs, cluster: Cluster, namespace: str, scheduler_of_the_document: None, tmp_path: Path
) -> None:
    theirs, ours = tmp_path / "theirs", tmp_path / "ours"
    hdfs_presence.make_launchers(storage, theirs)
    ours.mkdir()
    (ours / "hdfs").symlink_to(product.KM)
    expected = product.sha256()
    for programs in (theirs, ours):
        put(storage, programs)
        assert stored.by_hadoop(storage, "hdfs:///km", tmp_path) == expected

    first, second, *_ = cluster.agents
    with reflagged(cluster) as scheduler:
        fingerprint = scheduler.restart(KM_PATH)
        assert f"{KM_PATH} names no SHA-256. Its file was read once, as sha256 {expected}," in warnings(cluster)
        spec = cluster.page(f"/api/v1/executors/{fingerprint[:16]}").json()["spec"]
        assert spec["artifacts"]["km-path"] == expected
        cluster.run_pod(namespace, "first", **workloads.on(first))

        # somebody puts another there
        another = tmp_path / "another"
        (another / "bin").mkdir(parents=True)
        (another / "bin/km").write_bytes(product.KM.read_bytes() + b"another")
        found = hashlib.sha256((another / "bin/km").read_bytes()).hexdigest()
        put(storage, ours, another)
        assert scheduler.restart(KM_PATH) == fingerprint
        cluster.api.create(workloads.pod("second", workloads.spec(**workloads.on(second))), namespace)

        def is_told() -> bool:
            events = cluster.api.events(namespace, "second", "FailedLaunch")
            if not any(expected in each and found in each for each in events):
                raise ValueError(f"Events say {events}")
            return True

        until(is_told, TOLD_S, f"an Event names {expected} and {found}")
        put(storage, ours)
        cluster.wait_phase(namespace, "second", "Running", RUNNING_S)
        cluster.api.delete_all("Pod", namespace)
        until(lambda: not cluster.api.listed("Pod", namespace), GONE_S, "its pods are gone")


def warnings(cluster: Cluster) -> list[str]:
    """Of the process that runs now, up to the digest."""
    host = cluster.scheduler_host
    pid = cluster.hosts.main_pid(host, SCHEDULER_UNIT)
    journal = cluster.hosts.must(host, "journalctl", "--no-pager", "-o", "cat", f"_PID={pid}")
    return [
        f"--km-path={line.partition('--km-path=')[2].partition(' and agents')[0]}"
        for line in journal.splitlines()
        if "names no SHA-256" in line and "--km-path=" in line
    ]
