"""etcd, kube-apiserver and kube-controller-manager as processes on the lab's own address.

TLS, RBAC, Node authorizer and NodeRestriction are on. Knows their flags and how to tell that one serves; nothing of
hosts. Data and certificates are kept until the testbed goes down.
"""

from __future__ import annotations

import os
import signal
import ssl
import urllib.request
from collections.abc import Callable
from pathlib import Path

from testbed import cgroups, network, pki, processes
from testbed.errors import LabError, UsageError
from testbed.probe import Machine
from testbed.settings import API_PORT, DATA, Settings

ETCD_URL, ETCD_PEER_URL = "http://127.0.0.1:2379", "http://127.0.0.1:2380"
SERVICE_CIDR, SERVICE_IP = "10.96.0.0/16", "10.96.0.1"
ISSUER = "https://kubernetes.default.svc.cluster.local"
READY_S = 90.0
ANSWER_S = 2.0
END_S = 10.0
#: in the order of their start
PARTS = ("etcd", "kube-apiserver", "kube-controller-manager")
KUBERNETES_NAMES = (
    "kubernetes",
    "kubernetes.default",
    "kubernetes.default.svc",
    "kubernetes.default.svc.cluster.local",
)


def server(settings: Settings) -> str:
    return f"https://{settings.gateway}:{API_PORT}"


def admin(settings: Settings) -> Path:
    """The kubeconfig of group system:masters."""
    return settings.kube / "admin.kubeconfig"


def audit_log(settings: Settings) -> Path:
    """Who has asked for which change of a pod, from where, and what became of it: a JSON line each."""
    return settings.kube / "audit.log"


def make_certificates(settings: Settings) -> None:
    folder = settings.kube / "pki"
    pki.make_authority(folder)
    names = ",".join(
        [
            *(f"DNS:{name}" for name in ("localhost", *KUBERNETES_NAMES)),
            *(f"IP:{address}" for address in ("127.0.0.1", settings.gateway, SERVICE_IP)),
        ]
    )
    pki.certify(
        folder,
        "apiserver",
        "kube-apiserver",
        extensions=f"extendedKeyUsage=serverAuth\nsubjectAltName={names}",
    )
    pki.certify(folder, "kubelet-client", "kube-apiserver-kubelet-client", ["system:masters"])
    pki.certify(folder, "admin", "admin", ["system:masters"])
    pki.kubeconfig(folder, "admin", server(settings), admin(settings))
    manager = "kube-controller-manager"
    pki.certify(folder, manager, f"system:{manager}")
    pki.kubeconfig(folder, manager, server(settings), settings.kube / f"{manager}.kubeconfig")


def command(settings: Settings, programs: Path, name: str) -> list[str]:
    """The command line of one part.

    Raises:
        UsageError: there is no such part.
    """
    if name not in PARTS:
        raise UsageError(f"no such part of the control plane: {name!r} (there are: {', '.join(PARTS)})")
    keys = settings.kube / "pki"
    flags = {
        "etcd": {
            "data-dir": settings.kube / "etcd",
            "listen-client-urls": ETCD_URL,
            "advertise-client-urls": ETCD_URL,
            "listen-peer-urls": ETCD_PEER_URL,
            "initial-advertise-peer-urls": ETCD_PEER_URL,
            "initial-cluster": f"default={ETCD_PEER_URL}",
            "log-level": "warn",
            # the machine's disk is not what is tested, and SIGKILL loses nothing that was written
            "unsafe-no-fsync": "true",
        },
        "kube-apiserver": {
            "etcd-servers": ETCD_URL,
            "bind-address": settings.gateway,
            "advertise-address": settings.gateway,
            "secure-port": API_PORT,
            "client-ca-file": keys / "ca.crt",
            "tls-cert-file": keys / "apiserver.crt",
            "tls-private-key-file": keys / "apiserver.key",
            "authorization-mode": "Node,RBAC",
            "enable-admission-plugins": "NodeRestriction",
            "allow-privileged": "true",
            "service-account-issuer": ISSUER,
            "service-account-signing-key-file": keys / "sa.key",
            "service-account-key-file": keys / "sa.key",
            "service-cluster-ip-range": SERVICE_CIDR,
            "kubelet-preferred-address-types": "InternalIP,Hostname",
            "kubelet-client-certificate": keys / "kubelet-client.crt",
            "kubelet-client-key": keys / "kubelet-client.key",
            "profiling": "false",
            "audit-policy-file": DATA / "kubernetes/audit.yml",
            "audit-log-path": audit_log(settings),
        },
        "kube-controller-manager": {
            "kubeconfig": settings.kube / f"{name}.kubeconfig",
            "leader-elect": "false",
            "secure-port": 0,
            "use-service-account-credentials": "true",
            "service-account-private-key-file": keys / "sa.key",
            "root-ca-file": keys / "ca.crt",
            "cluster-signing-cert-file": keys / "ca.crt",
            "cluster-signing-key-file": keys / "ca.key",
            "node-monitor-period": "1s",
            "node-monitor-grace-period": f"{settings.node_grace_s}s",
        },
    }[name]
    more = settings.api_flags if name == "kube-apiserver" else ()
    return [str(programs / name), *(f"--{flag}={value}" for flag, value in flags.items()), *more]


def pid_file(settings: Settings, name: str) -> Path:
    return settings.kube / f"{name}.pid"


def is_on(settings: Settings, name: str) -> bool:
    return processes.noted(pid_file(settings, name)) is not None


def start(settings: Settings, machine: Machine, programs: Path, name: str) -> None:
    """Starts one part, if it is off, and waits until it serves.

    Raises:
        LabError: it ends, or does not serve within READY_S; with the end of its log.
    """
    file, log = pid_file(settings, name), settings.kube / f"{name}.log"
    if not is_on(settings, name):
        group = cgroups.make(machine, settings, cgroups.CONTROL)
        enter = ["nsenter", f"--net={network.NETNS / network.lab(settings)}"]
        whole = cgroups.into(group, [*enter, *command(settings, programs, name)])
        pid = processes.spawn(whole, log, {**os.environ, **processes.GO_GARBAGE})
        processes.note(file, pid)

    question = _question(settings, name)

    def serves() -> bool:
        if not is_on(settings, name):
            raise LabError(f"{name} ended while it started:\n{_complaints(log)}")
        return network.inside(settings, question)

    if not processes.wait_until(serves, READY_S, 0.1):
        raise LabError(f"{name}: does not serve after {READY_S:.0f} s:\n{_complaints(log)}")


def kill(settings: Settings, name: str, number: signal.Signals = signal.SIGKILL) -> None:
    """Ends one part, as a crash does."""
    if name not in PARTS:
        raise UsageError(f"no such part of the control plane: {name!r} (there are: {', '.join(PARTS)})")
    processes.end(pid_file(settings, name), number, END_S)


def _complaints(log: Path) -> str:
    lines = log.read_text(errors="replace").splitlines() if log.exists() else []
    return processes.tail("\n".join(line for line in lines if not line.startswith("I")))


def _ok(url: str, context: ssl.SSLContext | None = None) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=ANSWER_S, context=context) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def _tls(settings: Settings) -> ssl.SSLContext:
    keys = settings.kube / "pki"
    context = ssl.create_default_context(cafile=str(keys / "ca.crt"))
    context.load_cert_chain(keys / "admin.crt", keys / "admin.key")
    return context


#: what shows that a part serves: etcd is healthy, the API server ready; the controller manager has made the service
#: account without which there are no pods
ANSWERS = {
    "etcd": "/health",
    "kube-apiserver": "/readyz",
    "kube-controller-manager": "/api/v1/namespaces/default/serviceaccounts/default",
}


def _question(settings: Settings, name: str) -> Callable[[], bool]:
    if name == "etcd":
        return lambda: _ok(f"{ETCD_URL}{ANSWERS[name]}")
    context = _tls(settings)
    return lambda: _ok(f"{server(settings)}{ANSWERS[name]}", context)
