"""The inventory as Ansible reads it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from testbed import inventory
from testbed.hdfs_layout import Layout
from testbed.probe import Machine
from testbed.settings import from_environment, names

POOR = Machine(Path("/sys/fs/cgroup/unified"), frozenset({"hugetlb"}))
RICH = Machine(Path("/sys/fs/cgroup"), frozenset({"cpu", "memory", "pids"}))
HOSTS = inventory.Hosts(names("s", 1), names("m", 3), names("h", 3))
FILES = inventory.Files(
    scheduler_kubeconfig=Path("/k/kmsched"),
    proxy_kubeconfig=Path("/k/kube-proxy"),
    agents={name: Path(f"/k/{name}") for name in HOSTS.agents},
    kubelet=Path("/b/kubelet"),
    proxy=Path("/b/kube-proxy"),
    image=Path("/b/tiny.tar"),
)


def read(machine: Machine) -> dict[str, Any]:
    text = inventory.render(inventory.build(from_environment({}), machine, HOSTS, FILES))
    found: dict[str, Any] = yaml.safe_load(text)
    return found["all"]  # type: ignore[no-any-return]


def test_text_reads_back_as_the_values() -> None:
    values = inventory.build(from_environment({}), POOR, HOSTS, FILES)
    assert yaml.safe_load(inventory.render(values)) == values


def test_groups_and_addresses() -> None:
    children = read(POOR)["children"]
    assert {group: list(found["hosts"]) for group, found in children.items()} == {
        "km_schedulers": ["s1"],
        "km_agents": ["h1", "h2", "h3"],
        "mesos_masters": ["m1", "m2", "m3"],
    }
    assert children["km_agents"]["hosts"]["h2"]["ansible_host"] == "10.88.0.32"


@pytest.mark.parametrize(
    ("count", "members"), [(1, None), (2, ["s1"]), (3, ["s1", "s2", "s3"]), (4, ["s1", "s2", "s3"])]
)
def test_several_schedulers_share_a_framework_and_have_etcd(count: int, members: list[str] | None) -> None:
    hosts = inventory.Hosts(names("s", count), HOSTS.masters, HOSTS.agents)
    text = inventory.render(inventory.build(from_environment({}), POOR, hosts, FILES))
    children = yaml.safe_load(text)["all"]["children"]
    assert children["km_schedulers"]["vars"]["km_scheduler_flags"].get("ha", False) is (members is not None)
    assert (list(children["km_etcd"]["hosts"]) if members else children.get("km_etcd")) == members


def test_the_scheduler_is_told_masters_and_api_server() -> None:
    found = read(POOR)["children"]["km_schedulers"]["vars"]
    flags = found["km_scheduler_flags"]
    assert flags["mesos_master"] == "http://10.88.0.21:5050,http://10.88.0.22:5050,http://10.88.0.23:5050"
    assert flags["api_servers"] == "https://10.88.0.1:6443"
    assert found["km_scheduler_kubeconfig_src"] == "/k/kmsched"


def test_each_agent_has_its_credential_its_pods_and_routes_to_the_others() -> None:
    agent = read(POOR)["children"]["km_agents"]["hosts"]["h1"]
    assert agent["km_agent_kubeconfig_src"] == "/k/h1"
    assert agent["km_agent_pod_cidr"] == "10.88.101.0/24"
    assert agent["km_agent_pod_routes"] == [
        {"cidr": "10.88.102.0/24", "via": "10.88.0.32"},
        {"cidr": "10.88.103.0/24", "via": "10.88.0.33"},
    ]


@pytest.mark.parametrize(("machine", "flags", "runc"), [(POOR, 2, "/usr/local/sbin/runc-nolimits"), (RICH, 0, None)])
def test_wrappers_are_named_only_where_they_are_needed(machine: Machine, flags: int, runc: str | None) -> None:
    children = read(machine)["children"]
    assert len(children["km_schedulers"]["vars"]["km_scheduler_kubelet_flags"]) == flags
    assert children["km_agents"]["vars"].get("km_agent_runc_binary") == runc


def test_a_ssh_that_starts_outside_finds_the_lab() -> None:
    arguments = read(POOR)["vars"]["ansible_ssh_common_args"]
    assert f"ProxyCommand='nsenter --net=/run/netns/km python3 -IS {from_environment({}).connector} %h %p'" in arguments
    assert "ProxyUseFdpass=yes" in arguments
    assert "StrictHostKeyChecking=yes" in arguments


def test_ssh_connections_are_shared_within_one_testbed_only() -> None:
    assert read(POOR)["vars"]["ansible_control_path_dir"].endswith("/km/ssh/sockets")


def test_hdfs_is_told_to_all_hosts_if_there_is_one() -> None:
    settings = from_environment({})
    storage = Layout(settings.gateway, Path("/state/hdfs"))
    everything = inventory.build(settings, RICH, HOSTS, FILES, storage)["all"]
    found = everything["vars"]
    assert found["km_artifact_hdfs_uri"] == "hdfs://lab/artifacts"
    assert found["km_artifact_namenodes"] == ["http://10.88.0.1:9870", "http://10.88.0.1:9871"]
    assert found["km_hadoop_core_site"]["fs.defaultFS"] == "hdfs://lab"
    assert found["km_hadoop_hdfs_site"]["dfs.namenode.rpc-address.lab.nn1"] == "10.88.0.1:8020"
    assert not [name for name in read(RICH)["vars"] if "hdfs" in name]
