"""Names of flags of other times: those of Kubernetes on Mesos' first scheduler, and those that we have renamed.

Knows for each what is written instead.  An alias still works and says so; a name that is refused has no meaning here,
and its message tells the way.  A name that the document lists stays in the executor spec even as an alias: what it was
given is cold, and only the new name is hot.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from kmsched.flag import is_in_spec


@dataclass(frozen=True, slots=True)
class Alias:
    """An old name and the flag that it sets; `translate` turns its text into the new one's (ValueError)."""

    name: str
    target: str
    translate: Callable[[str], str] = str

    @property
    def in_spec(self) -> bool:
        return is_in_spec(self.name)


def level_of(verbosity: str) -> str:
    """The log level of a verbosity, 0 to 10."""
    if not verbosity.isdecimal() or int(verbosity) > 10:
        raise ValueError("is no verbosity; give 0 to 10")
    return "info" if int(verbosity) == 0 else "debug"


ALIASES: tuple[Alias, ...] = (
    Alias("auth-path", "kubeconfig"),
    Alias("executor-idle-timeout", "agent-idle-timeout"),
    Alias("executor-suicide-timeout", "agent-idle-timeout"),
    Alias("executor-log-level", "agent-log-level"),
    Alias("executor-logv", "agent-log-level", level_of),
    Alias("mesos-launch-grace-period", "executor-launch-grace-period"),
    Alias("mesos-executor-cpus", "executor-cpus"),
    Alias("mesos-executor-mem", "executor-mem"),
    Alias("v", "log-level", level_of),
)
ALIAS_BY_NAME: Mapping[str, Alias] = MappingProxyType({alias.name: alias for alias in ALIASES})

_LOGGING = "log lines go to stderr, where systemd keeps them; see --log-format and --log-level"
_PUBLISH = "agents fetch from HDFS or any web server: km-upload publishes a file and prints what to give as --km-path"
_ROTATED = "executors write to their sandbox, which Mesos' container logger rotates"
_WRITTEN = "the executor writes it for each agent"
_NAMED = "a Node has its agent's hostname, in lower case"
_AGENT = "set it on the agents, with the role km_agent"

#: name -> what to do instead, completing "--name is not taken: ..."
REFUSED: Mapping[str, str] = MappingProxyType(
    {
        # service, API, etcd
        "advertised-address": _PUBLISH,
        "allow-mutable-km-path": "a --km-path that names no SHA-256 is read once, with a warning; leave this flag out",
        "kube-api-qps": "requests are few: the scheduler watches, and writes once for each pod; leave it out",
        "kube-api-burst": "requests are few: the scheduler watches, and writes once for each pod; leave it out",
        "etcd-config": "write --etcd-servers, and --etcd-ca-file, --etcd-cert-file, --etcd-key-file",
        "service-address": "no Service is made for the scheduler; it is reached at --address and --port",
        "node-monitor-period": "nodes are watched; leave it out",
        "scheduler-config": "its settings are flags: --offer-ttl, --refuse-seconds, --launch-timeout,"
        " --reconcile-interval",
        "vmodule": _LOGGING,
        "logtostderr": _LOGGING,
        "alsologtostderr": _LOGGING,
        "stderrthreshold": _LOGGING,
        "log-dir": _LOGGING,
        "log-flush-frequency": _LOGGING,
        "log-backtrace-at": _LOGGING,
        "version": "ask `km version`",
        # Mesos
        "mesos-authentication-provider": "the v1 API knows HTTP basic authentication only:"
        " --mesos-authentication-principal and --mesos-authentication-secret-file",
        "framework-store-uri": "the framework id lies in --state-dir",
        "mesos-generate-task-discovery": "Services find pods; leave it out",
        "driver-port": "the scheduler connects to Mesos, and Mesos never to it; leave it out",
        "ha-domain": _PUBLISH,
        "graceful": "it was the scheduler's own mark; leave it out",
        "reconcile-cooldown": "pauses are built in, and grow by themselves; see --reconcile-interval",
        # executor and minion
        "executor-bindall": "the executor listens on nothing; for kubelet give --kubelet-address=0.0.0.0",
        "executor-cgroup-prefix": "containers' groups are kubelet's: --kubelet-cgroup-root=PATH",
        "mesos-cgroup-prefix": "containers' groups are kubelet's: --kubelet-cgroup-root=PATH",
        "contain-pod-resources": "kubelet limits pods by their groups; leave it out",
        "mesos-sandbox-overlay": f"executors bring no files; {_AGENT}",
        "dockercfg-path": "give pods imagePullSecrets, or containerd credentials with the role km_agent",
        "static-pods-config": "run a DaemonSet",
        "minion-path-override": f"executors have the PATH of the Mesos agent; {_AGENT}",
        "minion-max-log-size": _ROTATED,
        "minion-max-log-backups": _ROTATED,
        "minion-max-log-age": _ROTATED,
        # kubelet and kube-proxy
        "kubelet-config": f"{_WRITTEN}; single settings are given as --kubelet-NAME=VALUE",
        "kubelet-hostname-override": _NAMED,
        "proxy-config": f"{_WRITTEN}; single settings are given as --proxy-NAME=VALUE",
        "proxy-hostname-override": _NAMED,
        "kubelet-docker-endpoint": "write --kubelet-container-runtime-endpoint=unix:///...",
        "kubelet-pod-infra-container-image": "it is containerd's sandbox_image; set it with the role km_agent",
        "kubelet-cadvisor-port": "kubelet serves these figures at its own port, under /metrics/cadvisor",
        "kubelet-host-network-sources": "label namespaces for Pod Security admission",
        "kubelet-network-plugin": "networks are containerd's, through CNI; set them with the role km_agent",
        "housekeeping-interval": "write --kubelet-housekeeping-interval=DURATION",
        "global-housekeeping-interval": "write --kubelet-housekeeping-interval=DURATION",
        "run-proxy": "kube-proxy runs if --proxy-path is given",
        "proxy-bindall": "write --proxy-bind-address=0.0.0.0",
        "proxy-logv": "write --proxy-v=N",
        "conntrack-max": "write --proxy-conntrack-max-per-core=N, and --proxy-conntrack-min=N",
        "conntrack-max-per-core": "write --proxy-conntrack-max-per-core=N",
        "conntrack-tcp-timeout-established": "write --proxy-conntrack-tcp-timeout-established=DURATION",
    }
)
