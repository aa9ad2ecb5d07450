"""The one table of flags of `km scheduler` and `km executor`.

Knows names, kinds, defaults, bounds, who takes a flag, and which flags belong to the executor spec.  Parser, help,
docs page, completion and the roles' check all read it; how text becomes values is in `flags`, names of other times are
in `flag_history`, and whether values fit each other is `config`'s.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from kmsched.flag import BOTH, Flag
from kmsched.values import Kind

_NAME = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*"

_ROLES = (r"\*|[^\s.*-]\S*", "write * or names of roles, with commas between them")

MESOS = (
    Flag("mesos-master", Kind.LIST, None, "Mesos masters, as host:port or URL.", required=True),
    Flag(
        "mesos-user",
        Kind.TEXT,
        "root",
        "User that executors run as on the agents.",
        pattern=(r"[^\s:/]*", "write a user's name, like root"),
    ),
    Flag(
        "mesos-role",
        Kind.TEXT,
        "*",
        "Mesos role whose offers are taken, and whose resources executors have, unless pods name others.",
        pattern=(r"\*|[^\s.*-]\S*|", "write * or the name of a role"),
        is_compared=True,
    ),
    Flag(
        "mesos-framework-roles",
        Kind.LIST,
        None,
        "All Mesos roles whose offers are taken, the best liked first; without it --mesos-role alone.",
        pattern=_ROLES,
    ),
    Flag(
        "mesos-default-pod-roles",
        Kind.LIST,
        None,
        "Roles whose offers pods are placed on that name none, the best liked first; without it --mesos-role.",
        pattern=_ROLES,
    ),
    Flag("mesos-authentication-principal", Kind.TEXT, None, "Principal to register with."),
    Flag("mesos-authentication-secret-file", Kind.PATH, None, "File that holds the principal's secret."),
    Flag("mesos-ca-file", Kind.PATH, None, "Authority that signed the masters' certificates; else the system's."),
    Flag("mesos-cert-file", Kind.PATH, None, "Client certificate for the masters; PEM."),
    Flag("mesos-key-file", Kind.PATH, None, "Key of --mesos-cert-file; PEM without passphrase."),
    Flag("checkpoint", Kind.BOOL, "true", "Agents keep executors when the agent process restarts."),
    Flag("failover-timeout", Kind.DURATION, "4w", "How long Mesos keeps tasks without a scheduler.", at_least=0),
    Flag("allow-short-failover-timeout", Kind.BOOL, "false", "Accept a failover timeout below one week."),
    Flag("framework-name", Kind.TEXT, "Kubernetes", "Name of the framework in Mesos."),
    Flag("framework-weburi", Kind.URI, None, "Link that Mesos shows for the framework."),
)
KUBERNETES = (
    Flag(
        "api-servers",
        Kind.LIST,
        None,
        "Kubernetes API servers; override the kubeconfig's. Any of them will do, in any order.",
        BOTH,
        is_ordered=False,
    ),
    Flag("kubeconfig", Kind.PATH, None, "The scheduler's own credentials for the Kubernetes API."),
    Flag(
        "scheduler-name",
        Kind.TEXT,
        "default-scheduler",
        "Pods with this schedulerName are placed.",
        pattern=(rf"({_NAME})?", "write lower case letters, digits, - and ."),
    ),
    Flag(
        "register-nodes",
        Kind.TEXT,
        "lazy",
        "Which agents have a Node: those with an executor, or all, as DaemonSets need it.",
        choices=("lazy", "all"),
    ),
    Flag("allow-privileged", Kind.BOOL, "false", "Place pods with privileged containers."),
    Flag(
        "cluster-dns",
        Kind.ADDRESSES,
        None,
        "Addresses of the cluster's DNS, given to pods in this order.",
        BOTH,
    ),
    Flag(
        "cluster-domain",
        Kind.TEXT,
        None,
        "Domain of the cluster, given to pods.",
        BOTH,
        pattern=(rf"({_NAME}\.?)?", "write a domain, like cluster.local"),
    ),
)
PROGRAMS = (
    Flag(
        "km-path",
        Kind.ARTIFACT,
        None,
        "The km file that agents run: file:///path on the agent, or an hdfs or http(s) URI that agents fetch.",
        required=True,
        unless="executor-path",
    ),
    Flag("executor-path", Kind.ARTIFACT, None, "The same file, if --km-path is not given."),
    Flag(
        "kubelet-path",
        Kind.ARTIFACT,
        "file:///usr/local/lib/kmsched/kubelet",
        "kubelet: a file on the agent, or a URI that the executor fetches.",
        BOTH,
    ),
    Flag(
        "proxy-path",
        Kind.ARTIFACT,
        None,
        "kube-proxy, likewise; without it the executor runs none.",
        BOTH,
    ),
)
ON_AGENTS = (
    Flag("executor-cpus", Kind.CPUS, "0.25", "CPUs charged once per agent for executor and kubelet.", at_least=0.01),
    Flag("executor-mem", Kind.MIB, "256", "Memory charged once per agent, MiB.", at_least=32),
    Flag(
        "executor-launch-grace-period",
        Kind.DURATION,
        "5m",
        "How long a task may wait on the agent for its pod to be bound and to run.",
        BOTH,
        at_least=1,
    ),
    Flag(
        "executor-shutdown-grace-period",
        Kind.DURATION,
        "30s",
        "How long Mesos waits for an executor that was told to end.",
        at_least=1,
    ),
    Flag(
        "agent-idle-timeout",
        Kind.DURATION,
        "20m",
        "An executor without tasks ends after this; 0 means never.",
        BOTH,
        at_least=0,
    ),
    Flag(
        "agent-log-level",
        Kind.TEXT,
        "info",
        "The least severe lines that executors write.",
        BOTH,
        choices=("debug", "info", "warning", "error"),
    ),
    Flag(
        "kubelet-api-servers",
        Kind.LIST,
        None,
        "Kubernetes API servers for agents, if they are not those of --api-servers.",
        BOTH,
        is_ordered=False,
    ),
    Flag(
        "kubelet-kubeconfig",
        Kind.PATH,
        "/etc/kmsched/kubelet.kubeconfig",
        "The node's own credentials, a file on the agent.",
        BOTH,
    ),
    Flag("kubelet-root-dir", Kind.PATH, "/var/lib/kubelet", "kubelet's folder on the agent; never change it.", BOTH),
    Flag(
        "kubelet-container-runtime-endpoint",
        Kind.TEXT,
        "unix:///run/containerd/containerd.sock",
        "containerd's socket on the agent.",
        BOTH,
        pattern=(r"unix:///\S+", "write the socket, like unix:///run/containerd/containerd.sock"),
    ),
    Flag(
        "proxy-kubeconfig",
        Kind.PATH,
        None,
        "kube-proxy's credentials, a file on the agent; without it /etc/kmsched/kube-proxy.kubeconfig.",
        BOTH,
    ),
    Flag(
        "proxy-mode",
        Kind.TEXT,
        None,
        "How kube-proxy writes its rules; without it as kube-proxy likes.",
        BOTH,
        choices=("iptables", "ipvs", "nftables"),
    ),
)
SCHEDULING = (
    Flag(
        "placement",
        Kind.TEXT,
        "spread",
        "Among agents that are equal to a pod: the emptiest, or one with an executor and then the fullest.",
        choices=("spread", "pack"),
    ),
    Flag("offer-ttl", Kind.DURATION, "5s", "Unused offers are declined after this.", at_least=0.1),
    Flag("refuse-seconds", Kind.DURATION, "5s", "How long Mesos withholds what was declined.", at_least=0),
    Flag("launch-timeout", Kind.DURATION, "2m", "A launch silent for this long is dropped.", at_least=1),
    Flag("reconcile-interval", Kind.DURATION, "5m", "Pause between reconciliations of all tasks.", at_least=10),
    Flag(
        "host-port-endpoints",
        Kind.BOOL,
        "false",
        "Find offered host ports for containerPorts without a hostPort, unless a pod's label portMapping says fixed.",
    ),
    Flag(
        "default-container-cpu-limit",
        Kind.CPUS,
        "0.25",
        "CPUs counted for a container that requests none.",
        at_least=0,
    ),
    Flag(
        "default-container-mem-limit",
        Kind.MIB,
        "64",
        "Memory counted for a container that requests none, MiB.",
        at_least=0,
    ),
)
PROCESS = (
    Flag("state-dir", Kind.PATH, "/var/lib/kmsched", "Folder for framework id, term and lock."),
    Flag(
        "address",
        Kind.TEXT,
        "127.0.0.1",
        "Address that the HTTP server binds to.",
        pattern=(r"[A-Za-z0-9.:-]*", "write an address or a host's name"),
    ),
    Flag("port", Kind.INT, "10251", "Port of the HTTP server; 0 takes any free one.", at_least=0, at_most=65535),
    Flag(
        "handover-timeout",
        Kind.DURATION,
        "1m",
        "How long a process that replaces this one may take, from its start until Mesos has subscribed it.",
        at_least=1,
    ),
    Flag(
        "hostname-override",
        Kind.TEXT,
        None,
        "Name of this host for Mesos; without it the one that the host has.",
        pattern=(r"[A-Za-z0-9.:-]+", "write a host's name"),
    ),
    Flag("profiling", Kind.BOOL, "false", "Open /debug/stacks and /debug/memory on the HTTP server."),
    Flag("log-format", Kind.TEXT, "text", "How log lines are written.", BOTH, choices=("text", "json")),
    Flag(
        "log-level",
        Kind.TEXT,
        "info",
        "The least severe lines that the scheduler writes.",
        choices=("debug", "info", "warning", "error"),
    ),
)

HTTP = (
    Flag("http-read-token-file", Kind.PATH, None, "Reading the pages needs the token in this file; else nothing."),
    Flag("http-act-token-file", Kind.PATH, None, "Acting over HTTP needs the token in this file; else it is off."),
    Flag("http-tls-cert-file", Kind.PATH, None, "Certificate of the HTTP server, which then speaks TLS only; PEM."),
    Flag("http-tls-key-file", Kind.PATH, None, "Key of --http-tls-cert-file; PEM."),
    Flag("http-tls-ca-file", Kind.PATH, None, "Authority that signed the certificates of peers' HTTP servers."),
)

HA = (
    Flag("ha", Kind.BOOL, "false", "Share the framework with other schedulers: one leads, the others stand by."),
    Flag("etcd-servers", Kind.LIST, None, "Members of etcd, as host:port or URL; with --ha.", is_ordered=False),
    Flag("etcd-user", Kind.TEXT, None, "User in etcd."),
    Flag("etcd-password-file", Kind.PATH, None, "File with the password of --etcd-user."),
    Flag("etcd-ca-file", Kind.PATH, None, "Authority that signed the certificates of etcd."),
    Flag("etcd-cert-file", Kind.PATH, None, "Client certificate for etcd; one without a CommonName."),
    Flag("etcd-key-file", Kind.PATH, None, "Key of --etcd-cert-file."),
    Flag("ha-lease-ttl", Kind.DURATION, "5s", "After this a leader whose host is gone is followed.", at_least=2),
    Flag("ha-renew-interval", Kind.DURATION, None, "Pause between renewals; else 0.2 of the TTL.", at_least=0.1),
    Flag("ha-request-deadline", Kind.DURATION, None, "For each call to etcd; else 0.32 of the TTL.", at_least=0.1),
    Flag(
        "ha-renew-deadline",
        Kind.DURATION,
        None,
        "A leader without a renewal for so long stops acting; else 0.68 of the TTL.",
        at_least=0.1,
    ),
    Flag(
        "ha-call-deadline",
        Kind.DURATION,
        None,
        "For each call of a leader that changes something; else 0.2 of the TTL.",
        at_least=0.1,
    ),
    Flag("ha-instance", Kind.TEXT, None, "Name of this scheduler among its peers; else the host's name."),
    Flag("ha-url", Kind.URI, None, "Where peers reach this scheduler; else --address and --port."),
)

#: in the order of the help and the docs page
GROUPS: Mapping[str, tuple[Flag, ...]] = MappingProxyType(
    {
        "Mesos": MESOS,
        "Kubernetes": KUBERNETES,
        "Programs on agents": PROGRAMS,
        "Executors, kubelet, kube-proxy": ON_AGENTS,
        "Scheduling": SCHEDULING,
        "The process": PROCESS,
        "Its HTTP server": HTTP,
        "Several schedulers": HA,
    }
)
FLAGS: tuple[Flag, ...] = tuple(flag for group in GROUPS.values() for flag in group)
BY_NAME: Mapping[str, Flag] = MappingProxyType({flag.name: flag for flag in FLAGS})


def flags_of(command: str) -> tuple[Flag, ...]:
    return tuple(flag for flag in FLAGS if command in flag.commands)
