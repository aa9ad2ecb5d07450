"""The Ansible inventory of a testbed: what the roles must be told about these hosts and this machine.

Several scheduler hosts share one framework, and etcd is on them, too. Renders text from values; looks at nothing.
Variables start with their role's name.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from testbed import controlplane, hdfs, hdfs_layout, network, peers, probe
from testbed.hdfs_layout import Layout
from testbed.probe import Machine
from testbed.settings import Settings

SANDBOX_IMAGE = "localhost/pause:1"


@dataclass(frozen=True, slots=True)
class Hosts:
    """Names of the hosts by what they are."""

    schedulers: Sequence[str]
    masters: Sequence[str]
    agents: Sequence[str]

    def __iter__(self) -> Any:
        return iter([*self.schedulers, *self.masters, *self.agents])


@dataclass(frozen=True, slots=True)
class Files:
    """Files on this machine that the roles carry to hosts. `agents`: host -> its node's kubeconfig."""

    scheduler_kubeconfig: Path
    proxy_kubeconfig: Path
    agents: Mapping[str, Path]
    kubelet: Path
    proxy: Path
    image: Path


def path(settings: Settings) -> Path:
    return settings.state / "inventory.yml"


def build(
    settings: Settings, machine: Machine, hosts: Hosts, files: Files, storage: Layout | None = None
) -> dict[str, Any]:
    """The inventory as nested mappings. `storage`: HDFS, if there is one."""
    return {
        "all": {
            "vars": {
                **_connection(settings),
                "km_artifact_kubelet_src": str(files.kubelet),
                "km_artifact_proxy_src": str(files.proxy),
                **({} if storage is None else _storage(storage)),
            },
            "children": {
                "km_schedulers": {
                    "hosts": {name: _address(settings, name) for name in hosts.schedulers},
                    "vars": _scheduler(settings, machine, hosts, files),
                },
                "km_agents": {
                    "hosts": {name: _agent_host(settings, hosts, name, files) for name in hosts.agents},
                    "vars": _agent(machine, files),
                },
                **_etcd(hosts),
                "mesos_masters": {"hosts": {name: _address(settings, name) for name in hosts.masters}},
            },
        }
    }


def _connection(settings: Settings) -> dict[str, Any]:
    # ssh reaches the lab from the machine's own network, too
    proxy = f"nsenter --net={network.NETNS / network.lab(settings)} python3 -IS {settings.connector} %h %p"
    options = [
        f"-o UserKnownHostsFile={settings.known_hosts}",
        "-o StrictHostKeyChecking=yes",
        f"-o ProxyCommand='{proxy}'",
        "-o ProxyUseFdpass=yes",
    ]
    return {
        "ansible_user": "root",
        "ansible_python_interpreter": "/usr/bin/python3",
        "ansible_ssh_private_key_file": str(settings.key),
        "ansible_ssh_common_args": " ".join(options),
        # the sockets' usual names are made of addresses, which another testbed may have, too
        "ansible_control_path_dir": str(settings.key.parent / "sockets"),
    }


def _storage(layout: Layout) -> dict[str, Any]:
    return {
        "km_artifact_hdfs_uri": f"hdfs://{hdfs_layout.NAMESERVICE}{hdfs.ARTIFACTS}",
        "km_artifact_namenodes": layout.namenode_urls(),
        "km_artifact_hdfs_user": hdfs.PUBLISHER,
        "km_hadoop_core_site": hdfs_layout.core(),
        "km_hadoop_hdfs_site": hdfs_layout.client(layout),
    }


def _address(settings: Settings, name: str) -> dict[str, Any]:
    return {"ansible_host": settings.address(name)}


def _scheduler(settings: Settings, machine: Machine, hosts: Hosts, files: Files) -> dict[str, Any]:
    return {
        "km_scheduler_flags": {
            "mesos_master": peers.master_urls(settings, hosts.masters),
            "api_servers": controlplane.server(settings),
            **({"ha": True} if len(hosts.schedulers) > 1 else {}),
        },
        "km_scheduler_kubelet_flags": probe.kubelet_flags(machine),
        "km_scheduler_kubeconfig_src": str(files.scheduler_kubeconfig),
    }


def _etcd(hosts: Hosts) -> dict[str, Any]:
    """Members beside several schedulers: as many as make an odd number."""
    if (count := len(hosts.schedulers)) == 1:
        return {}
    return {"km_etcd": {"hosts": {name: {} for name in hosts.schedulers[: count - 1 + count % 2]}}}


def _agent(machine: Machine, files: Files) -> dict[str, Any]:
    found: dict[str, Any] = {
        "km_agent_proxy_kubeconfig_src": str(files.proxy_kubeconfig),
        "km_agent_image_archives": [str(files.image)],
        "km_agent_sandbox_image": SANDBOX_IMAGE,
    }
    if (runc := probe.runc_binary(machine)) is not None:
        found["km_agent_runc_binary"] = runc
    return found


def _agent_host(settings: Settings, hosts: Hosts, name: str, files: Files) -> dict[str, Any]:
    routes = [
        {"cidr": settings.pod_cidr(other), "via": settings.address(other)} for other in hosts.agents if other != name
    ]
    return {
        **_address(settings, name),
        "km_agent_kubeconfig_src": str(files.agents[name]),
        "km_agent_pod_cidr": settings.pod_cidr(name),
        "km_agent_pod_routes": routes,
    }


def render(value: Mapping[str, Any], depth: int = 0) -> str:
    """YAML of nested mappings; everything else is written as JSON, which YAML takes."""
    lines = []
    for name, entry in value.items():
        if isinstance(entry, Mapping) and entry:
            lines.append(f"{'  ' * depth}{name}:\n{render(entry, depth + 1)}")
        else:
            lines.append(f"{'  ' * depth}{name}: {json.dumps(entry)}\n")
    return "".join(lines)
