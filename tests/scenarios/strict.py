"""A Mesos master beside the cluster's own, that authenticates and has ACLs; and a TLS proxy in front of it.

Knows the environment of the real master, and how both are started on a host and ended.  What they allow is given.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.scenarios import lab, tls_proxy
from tests.scenarios.cluster import Cluster
from tests.scenarios.waiting import until

LEADS_S = 30.0
PRINCIPAL, SECRET = "km", "right"


@contextlib.contextmanager
def strict_master(cluster: Cluster, unit: str, port: int, acls: Mapping[str, Any], **more: str) -> Iterator[str]:
    """Its URL. It knows one principal. `more`: of its environment."""
    host = cluster.plan.hosts.masters[0]
    address = cluster.settings.address(host)
    folder = f"/run/{unit}"
    variables = {
        "LD_LIBRARY_PATH": "/opt/mesos/lib",
        "LIBPROCESS_IP": address,
        "LIBPROCESS_PORT": str(port),
        "MESOS_NUM_SLAVES": "0",
        "MESOS_WORK_DIR": f"{folder}/work",
        "MESOS_RUNTIME_DIR": f"{folder}/runtime",
        "MESOS_AUTHENTICATE_HTTP_FRAMEWORKS": "true",
        "MESOS_HTTP_FRAMEWORK_AUTHENTICATORS": "basic",
        "MESOS_CREDENTIALS": f"file://{folder}/credentials.json",
        "MESOS_ACLS": json.dumps(acls),
        **more,
    }
    known = {"credentials": [{"principal": PRINCIPAL, "secret": SECRET}]}
    cluster.hosts.write(host, f"{folder}/credentials.json", json.dumps(known))
    cluster.hosts.write(host, f"{folder}/env", "".join(f"{name}={value}\n" for name, value in variables.items()))
    try:
        command = ["systemd-run", f"--unit={unit}", f"--property=EnvironmentFile={folder}/env"]
        cluster.hosts.must(host, *command, "/opt/mesos/starter", "/opt/mesos/libmesos.so")
        url = f"http://{address}:{port}"
        until(lambda: lab.ask(cluster.settings, f"{url}/flags").status == 200, LEADS_S, "the strict master leads", 0.1)
        yield url
    finally:
        _stop(cluster, host, unit, folder)


def one_agent() -> dict[str, str]:
    """For the environment of a master: an agent in its process, whose offers it has."""
    return {
        "MESOS_NUM_SLAVES": "1",
        "MESOS_LAUNCHER_DIR": "/opt/mesos",
        "MESOS_LAUNCHER": "posix",
        "MESOS_ISOLATION": "posix/cpu,posix/mem",
        "MESOS_SYSTEMD_ENABLE_SUPPORT": "false",
        "MESOS_RESOURCES": "cpus:2;mem:1024;disk:1024",
        "MESOS_ALLOCATION_INTERVAL": "200ms",
    }


@dataclass(frozen=True, slots=True)
class Proxy:
    """In front of `server` (host:port), on the same host. Clients must be signed by the authority of `ca`."""

    cluster: Cluster
    host: str
    unit: str
    port: int
    server: str

    @property
    def url(self) -> str:
        return f"https://{self.cluster.settings.address(self.host)}:{self.port}"

    def start(self, cert: str, key: str, ca: str) -> None:
        """All three are PEM texts."""
        self.stop()
        folder = f"/run/{self.unit}"
        files = {"cert": cert, "key": key, "ca": ca, "tls_proxy.py": Path(tls_proxy.__file__).read_text()}
        for name, text in files.items():
            self.cluster.hosts.write(self.host, f"{folder}/{name}", text, mode="0600")
        where = f"{self.cluster.settings.address(self.host)}:{self.port}"
        arguments = [where, self.server, *(f"{folder}/{name}" for name in ("cert", "key", "ca"))]
        command = ["systemd-run", f"--unit={self.unit}", "python3", f"{folder}/tls_proxy.py", *arguments]
        self.cluster.hosts.must(self.host, *command)

    def stop(self) -> None:
        _stop(self.cluster, self.host, self.unit, f"/run/{self.unit}")


def _stop(cluster: Cluster, host: str, unit: str, folder: str) -> None:
    cluster.hosts.run(host, "systemctl", "stop", unit)
    cluster.hosts.run(host, "systemctl", "reset-failed", unit)
    cluster.hosts.must(host, "rm", "-rf", folder)
