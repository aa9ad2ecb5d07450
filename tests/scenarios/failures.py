"""What is kept when a scenario fails: logs and states of all parts, below build/failures/TEST.

Knows where each part leaves its words. It never fails itself: what cannot be had is named in the folder.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

from testbed import controlplane
from testbed.hdfs import Hdfs, log_file
from tests.scenarios import lab, product
from tests.scenarios.cluster import Cluster
from tests.scenarios.hosts import SCHEDULER_UNIT, Hosts

FOLDER = product.ROOT / "build/failures"
CONTROL_LOG_BYTES = 400_000
#: stdout and stderr of the newest executors and their kubelets
EXECUTOR_LOGS = (
    "find /data/mesos-agent -path '*/runs/*' -maxdepth 12 -type f"
    " \\( -name stdout -o -name stderr -o -name '*.log' \\) ! -path '*/latest/*'"
    " -printf '%T@ %p\\n' | sort -n | tail -8 | cut -d' ' -f2- | while read f; do echo \"=== $f\";"
    ' tail -n 1500 "$f"; done'
)


def collect(cluster: Cluster, test: str) -> Path:
    """The folder of everything that could be had."""
    folder = FOLDER / re.sub(r"[^A-Za-z0-9_.-]+", "_", test).strip("_")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    api, hosts = cluster.api, cluster.hosts
    sources: dict[str, Callable[[], str | bytes]] = {
        "mesos-state.json": lambda: _mesos_state(cluster),
        "pods.json": lambda: api.reply("GET", "/api/v1/pods").body,
        "nodes.json": lambda: api.reply("GET", "/api/v1/nodes").body,
        "events.json": lambda: api.reply("GET", "/api/v1/events").body,
        "scheduler-status.json": lambda: cluster.page("/api/v1/status").body,
        "scheduler-decisions.json": lambda: cluster.page("/api/v1/decisions").body,
        "scheduler-metrics.txt": lambda: cluster.page("/metrics").body,
    }
    units = [(host, SCHEDULER_UNIT) for host in cluster.plan.hosts.schedulers]
    units += [(host, "mesos-master") for host in cluster.plan.hosts.masters]
    if len(cluster.plan.hosts.schedulers) > 1:
        units += [(host, "km-etcd") for host in cluster.plan.hosts.schedulers]
    for host in cluster.agents:
        units += [(host, "mesos-agent"), (host, "containerd")]
        sources[f"{host}-executor.log"] = partial(_output, hosts, host, "sh", "-c", EXECUTOR_LOGS)
        sources[f"{host}-processes.txt"] = partial(_output, hosts, host, "ps", "axfww")
    for host, unit in units:
        sources[f"{host}-{unit}.log"] = partial(hosts.journal, host, unit)
    sources["audit.log"] = partial(_tail, controlplane.audit_log(cluster.settings))
    for part in controlplane.PARTS:
        sources[f"{part}.log"] = partial(_tail, cluster.settings.kube / f"{part}.log")
    for name, read in sources.items():
        try:
            content = read()
            file = name
        except Exception as error:
            content = f"{type(error).__name__}: {error}\n"
            file = f"{name}.missing"
        (folder / file).write_bytes(content.encode() if isinstance(content, str) else content)
    return folder


def collect_hdfs(storage: Hdfs, test: str) -> Path:
    """The folder of what the daemons of HDFS have logged."""
    folder = FOLDER / re.sub(r"[^A-Za-z0-9_.-]+", "_", test).strip("_")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for part in storage.layout.parts:
        if (log := log_file(storage.layout, part)).exists():
            (folder / log.name).write_bytes(_tail(log))
    return folder


def _output(hosts: Hosts, host: str, *command: str) -> str:
    return hosts.run(host, *command).text


def _mesos_state(cluster: Cluster) -> bytes:
    return lab.ask(cluster.settings, f"{cluster.mesos.masters[0]}/state").body


def _tail(path: Path) -> bytes:
    return path.read_bytes()[-CONTROL_LOG_BYTES:]
