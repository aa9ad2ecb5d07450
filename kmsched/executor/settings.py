"""What `km executor` is told on its command line. Nothing here is looked up or checked on the machine."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

DEFAULT_CONTAINERD = "unix:///run/containerd/containerd.sock"


@dataclass(frozen=True, slots=True)
class ExecutorSettings:
    """Durations in seconds, 0 turns the limit off."""

    #: URLs; empty: those of the kubeconfig
    api_servers: tuple[str, ...] = ()
    #: a path, file:///path, or the URI of a file that Mesos fetched into the sandbox
    kubelet_path: str = "/usr/local/lib/kmsched/kubelet"
    #: the node's own credential, for kubelet and for this executor
    kubelet_kubeconfig: Path = Path("/etc/kmsched/kubelet.kubeconfig")
    #: must never change while pods run on the agent: a kubelet with another folder does not find them
    kubelet_root_dir: Path = Path("/var/lib/kubelet")
    #: flags that go to kubelet as they are: "--v=2"
    kubelet_extra_args: tuple[str, ...] = ()
    containerd_endpoint: str = DEFAULT_CONTAINERD
    cluster_dns: tuple[str, ...] = ()
    cluster_domain: str = ""
    launch_grace_s: float = 300.0
    idle_timeout_s: float = 1200.0
