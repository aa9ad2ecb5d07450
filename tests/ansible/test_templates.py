"""What the roles write, rendered by Ansible itself, is what km, containerd, CNI and systemd read."""

from __future__ import annotations

import configparser
import json
import tomllib
from pathlib import Path
from typing import Any

import pytest
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar, trust_as_template

from kmsched import config, flags

ROOT = Path(__file__).resolve().parents[2]
SHA = "0123456789abcdef" * 4
TEMPLATES = {
    "scheduler.flags": "km_scheduler",
    "km-scheduler.service": "km_scheduler",
    "10-km.conflist": "km_agent",
    "containerd.toml": "km_agent",
    "km-pod-routes.service": "km_agent",
}
VARIABLES = {
    "km_scheduler_mesos_master": ["m1:5050", "m2:5050"],
    "km_scheduler_api_servers": "https://k:6443",
    "km_scheduler_kubeconfig_src": "/k",
    "km_scheduler_agent_km": f"/var/lib/km/artifacts/{SHA}/km",
    "km_scheduler_extra_flags": ["--kubelet-enforce-node-allocatable=", "--executor-mem=512"],
    "km_agent_pod_cidr": "10.1.1.0/24",
    "km_agent_pod_routes": [{"cidr": "10.1.2.0/24", "via": "10.0.0.2"}],
    "km_agent_sandbox_image": "localhost/pause:1",
    "role_path": "roles/km_agent",
    "ansible_managed": "Ansible managed",
}


@pytest.fixture(scope="module")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with each template, rendered by Ansible's own engine with the roles' defaults and VARIABLES."""
    folder = tmp_path_factory.mktemp("rendered")
    variables: dict[str, Any] = {}
    for role in sorted(set(TEMPLATES.values())):
        variables |= DataLoader().load_from_file(
            str(ROOT / f"roles/{role}/defaults/main.yml"), trusted_as_template=True
        )
    templar = Templar(loader=DataLoader(), variables=variables | VARIABLES)
    for name, role in TEMPLATES.items():
        source = (ROOT / f"roles/{role}/templates/{name}.j2").read_text(encoding="utf-8")
        (folder / name).write_text(templar.template(trust_as_template(source)), encoding="utf-8")
    return folder


def unit(path: Path) -> configparser.ConfigParser:
    read = configparser.ConfigParser(strict=False, interpolation=None)
    read.optionxform = str  # type: ignore[assignment,method-assign]
    read.read_string(path.read_text())
    return read


def test_flags_file_is_what_km_accepts(rendered: Path) -> None:
    built = config.build(flags.parse_file(rendered / "scheduler.flags", flags.SCHEDULER))
    assert built.mesos_masters == ("http://m1:5050", "http://m2:5050")
    assert built.api_servers == ("https://k:6443",)
    assert built.kubeconfig == "/etc/kmsched/scheduler.kubeconfig"
    assert built.artifacts["km-path"] == f"file:///var/lib/km/artifacts/{SHA}/km"
    assert built.executor_mem_mib == 512
    assert built.spec_flags["kubelet-enforce-node-allocatable"] == ""


def test_flags_defaults_are_those_of_the_role(rendered: Path) -> None:
    """The role writes paths that `km executor` takes for granted on the agent."""
    written = flags.parse_file(rendered / "scheduler.flags", flags.SCHEDULER)
    files = (ROOT / "roles/km_agent/tasks/files.yml").read_text()
    assert f"dest: {written['kubelet-kubeconfig']}\n" in files
    assert f"dest: {written['kubelet-path'].removeprefix('file://')}\n" in files


def test_unit_notifies_and_comes_back(rendered: Path) -> None:
    service = unit(rendered / "km-scheduler.service")
    assert service["Service"]["Type"] == "notify"
    assert service["Service"]["Restart"] == "always"
    assert service["Service"]["RestartPreventExitStatus"] == "2 10 12 13"
    assert service["Service"]["StateDirectory"] == "kmsched"
    assert service["Unit"]["StartLimitIntervalSec"] == "0"


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
