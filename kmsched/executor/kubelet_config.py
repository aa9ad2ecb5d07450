"""kubelet's configuration and command line: pure renderings of what is known of the agent and its machine.

Knows the arithmetic that makes Node allocatable what the agent has for pods.  It reads nothing from the machine and
starts nothing: `executor.machine` and `executor.kubelet` do.

Allocatable is, for kubelet, capacity less systemReserved less the hard eviction threshold, so both are explicit
here.  ephemeral-storage is left as kubelet counts it: Mesos' disk is about sandboxes, not about kubelet's folder.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kmsched.core.model import ATTRIBUTE_LABEL_PREFIX
from kmsched.core.resources import Resources
from kmsched.errors import ConfigRefused

MAX_PODS = 110
MIB = 1024 * 1024
#: kubelet ends pods when less memory than this is left, if the agent leaves that much to it
EVICTION_MEMORY_BYTES = 100 * MIB
STATUS_FREQUENCY = "4s"


@dataclass(frozen=True, slots=True)
class Machine:
    """What kubelet will find. `has_controllers`: cgroups can hold cpu, memory and pids limits."""

    cpu_cores: int
    memory_bytes: int
    has_controllers: bool


@dataclass(frozen=True, slots=True)
class KubeletSetup:
    """Everything that the rendered configuration depends on."""

    machine: Machine
    allocatable: Resources
    client_ca_file: Path
    healthz_port: int
    containerd_endpoint: str
    cluster_dns: tuple[str, ...] = ()
    cluster_domain: str = ""


def check_fits(allocatable: Resources, machine: Machine, agent: Resources) -> None:
    """ConfigRefused if kubelet would have to promise pods more than the machine has."""
    for what, wanted, there in (
        ("cpu", f"{allocatable.cpus}m", machine.cpu_cores * 1000 - allocatable.cpus),
        ("memory", f"{allocatable.mem // 1000} MiB", machine.memory_bytes - _bytes(allocatable.mem)),
    ):
        if there < 0:
            raise ConfigRefused(
                f"pods on this node are to have {wanted} of {what}, but the machine has only {machine.cpu_cores} cores"
                f" and {machine.memory_bytes // MIB} MiB (the Mesos agent offers {agent.cpus}m and"
                f" {agent.mem // 1000} MiB for pods): give the agent resources that the machine has"
            )


def render_config(setup: KubeletSetup) -> dict[str, Any]:
    """A KubeletConfiguration, kubelet.config.k8s.io/v1beta1."""
    spare_bytes = setup.machine.memory_bytes - _bytes(setup.allocatable.mem)
    eviction_bytes = min(EVICTION_MEMORY_BYTES, spare_bytes)
    eviction = {"nodefs.available": "1%", "imagefs.available": "1%"}
    if eviction_bytes > 0:
        eviction["memory.available"] = str(eviction_bytes)
    has_controllers = setup.machine.has_controllers
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": str(setup.client_ca_file)},
        },
        "authorization": {"mode": "Webhook"},
        "containerRuntimeEndpoint": setup.containerd_endpoint,
        "cgroupDriver": "cgroupfs",
        "cgroupsPerQOS": has_controllers,
        "enforceNodeAllocatable": ["pods"] if has_controllers else [],
        "failSwapOn": False,
        "maxPods": MAX_PODS,
        "nodeStatusUpdateFrequency": STATUS_FREQUENCY,
        "healthzBindAddress": "127.0.0.1",
        "healthzPort": setup.healthz_port,
        "evictionHard": eviction,
        "systemReserved": {
            "cpu": f"{setup.machine.cpu_cores * 1000 - setup.allocatable.cpus}m",
            "memory": str(spare_bytes - eviction_bytes),
        },
        **({"clusterDNS": list(setup.cluster_dns)} if setup.cluster_dns else {}),
        **({"clusterDomain": setup.cluster_domain} if setup.cluster_domain else {}),
    }


def settle_labels(
    wanted: Mapping[str, str], existing: Mapping[str, str], has_pods: bool
) -> tuple[dict[str, str], dict[str, str | None]]:
    """The Node's attribute labels from now on, and the merge patch that makes an existing Node have them.

    kubelet labels a Node only when it makes it.  While pods are bound nothing is taken away or changed: a kubelet
    that starts again fails running pods whose selectors no longer match.
    """
    ours = {key: value for key, value in existing.items() if key.startswith(ATTRIBUTE_LABEL_PREFIX)}
    labels = {**wanted, **ours} if has_pods else dict(wanted)
    patch: dict[str, str | None] = {key: value for key, value in labels.items() if existing.get(key) != value}
    patch.update({key: None for key in ours if key not in labels})
    return labels, patch


def command(
    kubelet: Path,
    *,
    config_file: Path,
    kubeconfig: Path,
    root_dir: Path,
    node_name: str,
    node_ip: str,
    labels: Mapping[str, str],
    extra_args: Iterable[str] = (),
) -> list[str]:
    """kubelet's argv; extra arguments come last, so that they win. `node_ip` "" lets kubelet find it."""
    argv = [
        str(kubelet),
        f"--config={config_file}",
        f"--kubeconfig={kubeconfig}",
        f"--root-dir={root_dir}",
        f"--hostname-override={node_name}",
    ]
    if node_ip:
        argv.append(f"--node-ip={node_ip}")
    if labels:
        argv.append("--node-labels=" + ",".join(f"{key}={value}" for key, value in sorted(labels.items())))
    return [*argv, *extra_args]


def _bytes(milli_mib: int) -> int:
    return -(-milli_mib * MIB // 1000)
