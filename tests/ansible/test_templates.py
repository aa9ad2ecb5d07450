"""What the roles write, rendered by Ansible itself, is what km, containerd, CNI and systemd read."""

from __future__ import annotations

import configparser
import json
import tomllib
from pathlib import Path
from typing import Any

import pytest
from ansible.parsing.dataloader import DataLoader
from ansible.plugins.loader import filter_loader
from ansible.template import Templar, trust_as_template

from kmsched import config, flags
from kmsched.clients.hadoop_conf import load_hadoop_conf

ROOT = Path(__file__).resolve().parents[2]
ARTIFACTS = f"file:///var/lib/km/artifacts/{'0123456789abcdef' * 4}"
TEMPLATES = {
    "scheduler.flags": "km_scheduler",
    "host.flags": "km_scheduler",
    "km-scheduler.service": "km_scheduler",
    "10-km.conflist": "km_agent",
    "containerd.toml": "km_agent",
    "km-pod-routes.service": "km_agent",
    "site.xml": "km_hadoop",
}
FLAGS_FILES = ("scheduler.flags", "host.flags")
FILES_BY_FLAG = dict(zip(flags.FILES, FLAGS_FILES, strict=True))
VARIABLES: dict[str, Any] = {
    "km_scheduler_flags": {
        "mesos_master": ["m1:5050", "m2:5050"],
        "api_servers": "https://k:6443",
        "executor_mem": 512,
        "allow_privileged": True,
    },
    "km_scheduler_kubelet_flags": {"enforce-node-allocatable": ""},
    "km_scheduler_program_flags": {"km-path": f"{ARTIFACTS}/km", "kubelet-path": f"{ARTIFACTS}/kubelet"}
    | {"proxy-path": f"{ARTIFACTS}/kube-proxy"},
    "km_scheduler_http_flags": {},
    "km_scheduler_host_flags": {"hostname_override": "s1.example"},
    "km_scheduler_kubeconfig_src": "/k",
    "km_agent_pod_cidr": "10.1.1.0/24",
    "km_agent_pod_routes": [{"cidr": "10.1.2.0/24", "via": "10.0.0.2"}],
    "km_agent_sandbox_image": "localhost/pause:1",
    "km_scheduler_scheme": "http",
    "groups": {},
    "hostvars": {},
    "properties": {"dfs.nameservices": "ns", "dfs.ha.namenodes.ns": "a,b & c", "dfs.x": True},
    "role_path": "roles/km_agent",
    "ansible_managed": "Ansible managed",
}


#: what makes one scheduler one of several
SHARED: dict[str, Any] = {
    "km_scheduler_flags": VARIABLES["km_scheduler_flags"] | {"ha": True},
    "groups": {"km_etcd": ["e1", "e2"]},
    "hostvars": {"e1": {"inventory_hostname": "e1"}, "e2": {"inventory_hostname": "e2", "ansible_host": "10.0.0.2"}},
    "inventory_dir": "/i",
    "inventory_hostname": "s1",
    "ansible_host": "10.0.0.11",
}


@pytest.fixture(scope="module")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with each template, rendered by Ansible's own engine with the roles' defaults and VARIABLES."""
    return render(tmp_path_factory.mktemp("rendered"), {})


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same for one of several schedulers."""
    return render(tmp_path_factory.mktemp("shared"), SHARED)


def render(folder: Path, more: dict[str, Any]) -> Path:
    filter_loader.add_directory(str(ROOT / "plugins" / "filter"))
    variables: dict[str, Any] = {}
    for role in sorted(set(TEMPLATES.values())):
        variables |= DataLoader().load_from_file(
            str(ROOT / f"roles/{role}/defaults/main.yml"), trusted_as_template=True
        )
    templar = Templar(loader=DataLoader(), variables=variables | VARIABLES | more)
    for name, role in TEMPLATES.items():
        source = (ROOT / f"roles/{role}/templates/{name}.j2").read_text(encoding="utf-8")
        (folder / name).write_text(templar.template(trust_as_template(source)), encoding="utf-8")
    return folder


def unit(path: Path) -> configparser.ConfigParser:
    read = configparser.ConfigParser(strict=False, interpolation=None)
    read.optionxform = str  # type: ignore[assignment,method-assign]
    read.read_string(path.read_text())
    return read


def test_flags_files_are_what_km_accepts(rendered: Path) -> None:
    files = [f"--{name}={rendered / file}" for name, file in FILES_BY_FLAG.items()]
    built = config.build(flags.parse(files, flags.SCHEDULER))
    assert built.mesos_masters == ("http://m1:5050", "http://m2:5050")
    assert built.api_servers == ("https://k:6443",)
    assert built.kubeconfig == "/etc/kmsched/scheduler.kubeconfig"
    assert built.artifacts == {"km-path": f"{ARTIFACTS}/km", "kubelet-path": f"{ARTIFACTS}/kubelet"} | {
        "proxy-path": f"{ARTIFACTS}/kube-proxy"
    }
    assert built.executor_mem_mib == 512
    assert built.spec_flags["allow-privileged"] == "true"
    assert built.spec_flags["kubelet-enforce-node-allocatable"] == ""
    assert (built.address, built.port) == ("127.0.0.1", 10251)


def test_several_schedulers_are_told_of_etcd_and_of_themselves(shared: Path, rendered: Path) -> None:
    files = [f"--{name}={shared / file}" for name, file in FILES_BY_FLAG.items()]
    group = config.build(flags.parse(files, flags.SCHEDULER)).ha
    assert group is not None
    assert group.etcd_servers == ("https://e1:2379", "https://10.0.0.2:2379")
    assert (group.etcd_user, group.etcd_password_file) == ("kmsched", "/etc/kmsched/etcd/password")
    assert (group.instance, group.url) == ("s1", "http://10.0.0.11:10251")
    assert "etcd" not in (rendered / "scheduler.flags").read_text()
    assert "ha-" not in (rendered / "host.flags").read_text()


def test_tokens_and_certificates_are_where_the_role_puts_them(tmp_path: Path) -> None:
    http = {"http-act-token-file": "/etc/kmsched/http/act.token", "http-tls-ca-file": "/etc/kmsched/http/ca.crt"}
    own = VARIABLES["km_scheduler_flags"] | {"http_tls_ca_file": "/own/ca.crt"}
    folder = render(tmp_path, {"km_scheduler_http_flags": http, "km_scheduler_flags": own})
    built = config.build(
        flags.parse([f"--{name}={folder / file}" for name, file in FILES_BY_FLAG.items()], flags.SCHEDULER)
    )
    assert built.http.act_token_file == "/etc/kmsched/http/act.token"
    assert built.http.ca_file == "/own/ca.crt", "a flag that was given wins"
    assert built.http.read_token_file is None


def test_what_is_a_hosts_own_is_not_in_the_file_of_all(rendered: Path) -> None:
    everywhere, here = ((rendered / file).read_text() for file in FLAGS_FILES)
    for name in ("address", "port", "hostname-override"):
        assert f"--{name}=" in here
        assert f"--{name}=" not in everywhere


def test_credentials_are_where_executors_look(rendered: Path) -> None:
    """The role of the agents writes paths that flags name."""
    written = flags.parse_file(rendered / "scheduler.flags", flags.SCHEDULER)
    files = (ROOT / "roles/km_agent/tasks/wanted.yml").read_text()
    assert f"path: {written['kubelet-kubeconfig']}," in files
    assert f"path: {written['proxy-kubeconfig']}," in files
    programs = "km_agent_digests.results | km_placed_at('/var/lib/km/artifacts', under_digest=true)"
    assert programs in files and ARTIFACTS.startswith("file:///var/lib/km/artifacts/")


def test_hadoops_configuration_is_what_km_reads(rendered: Path, tmp_path: Path) -> None:
    (tmp_path / "hdfs-site.xml").write_text((rendered / "site.xml").read_text())
    conf = load_hadoop_conf({"HADOOP_CONF_DIR": str(tmp_path)})
    assert conf.get("dfs.nameservices") == "ns"
    assert conf.get("dfs.ha.namenodes.ns") == "a,b & c"
    assert conf.get("dfs.x") == "true"


def test_unit_notifies_and_comes_back(rendered: Path) -> None:
    service = unit(rendered / "km-scheduler.service")
    assert service["Service"]["Type"] == "notify"
    assert service["Service"]["Restart"] == "always"
    assert service["Service"]["RestartPreventExitStatus"] == "2 10 12 13"
    assert service["Service"]["StateDirectory"] == "kmsched"
    assert service["Unit"]["StartLimitIntervalSec"] == "0"
    command, *arguments = service["Service"]["ExecStart"].split()
    assert command == "/usr/local/bin/km"
    assert arguments == ["scheduler", *(f"--{name}=/etc/kmsched/{file}" for name, file in FILES_BY_FLAG.items())]


def test_routes(rendered: Path) -> None:
    text = (rendered / "km-pod-routes.service").read_text()
    assert "ExecStart=ip route replace 10.1.2.0/24 via 10.0.0.2\n" in text
    assert unit(rendered / "km-pod-routes.service")["Service"]["RemainAfterExit"] == "yes"


def test_cni_configuration(rendered: Path) -> None:
    bridge = json.loads((rendered / "10-km.conflist").read_text())["plugins"][0]
    assert bridge["ipam"]["ranges"] == [[{"subnet": "10.1.1.0/24"}]]
    assert bridge["ipMasq"] is False


def test_containerd_settings(rendered: Path) -> None:
    cri = tomllib.loads((rendered / "containerd.toml").read_text())["plugins"]["io.containerd.grpc.v1.cri"]
    assert cri["sandbox_image"] == "localhost/pause:1"
    runc = cri["containerd"]["runtimes"]["runc"]
    assert runc["options"] == {"BinaryName": "/usr/sbin/runc", "SystemdCgroup": False}
