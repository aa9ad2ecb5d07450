"""What `km executor` is told on its command line. Nothing here is looked up or checked on the machine."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

ARTIFACTS_DIR = Path("/var/lib/km/artifacts")
DEFAULT_CONTAINERD = "unix:///run/containerd/containerd.sock"


@dataclass(frozen=True, slots=True)
class ExecutorSettings:
    """Durations in seconds, 0 turns the limit off."""

    #: URLs; empty: those of the kubeconfig
    api_servers: tuple[str, ...] = ()
    #: a URI with its digest; without one a path, file:///path, or the URI of what Mesos fetched into the sandbox
    kubelet_path: str = "/usr/local/lib/kmsched/kubelet"
    #: the node's own credential, for kubelet and for this executor
    kubelet_kubeconfig: Path = Path("/etc/kmsched/kubelet.kubeconfig")
    #: must never change while pods run on the agent: a kubelet with another folder does not find them
    kubelet_root_dir: Path = Path("/var/lib/kubelet")
    #: flags that go to kubelet as they are: "--v=2"
    kubelet_extra_args: tuple[str, ...] = ()
    #: like kubelet_path; empty: no kube-proxy
    proxy_path: str = ""
    #: a credential of its own: kubelet's may not list EndpointSlices
    proxy_kubeconfig: Path = Path("/etc/kmsched/kube-proxy.kubeconfig")
    #: flags that go to kube-proxy as they are
    proxy_extra_args: tuple[str, ...] = ()
    #: programs that were fetched, by their SHA-256
    artifacts_dir: Path = ARTIFACTS_DIR
    containerd_endpoint: str = DEFAULT_CONTAINERD
    cluster_dns: tuple[str, ...] = ()
    cluster_domain: str = ""
    launch_grace_s: float = 300.0
    idle_timeout_s: float = 1200.0
