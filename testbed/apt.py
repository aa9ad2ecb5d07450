"""Packages of the machine itself. Knows which ones the testbed calls, and how to add the missing ones."""

from __future__ import annotations

import os
import subprocess

from testbed import processes
from testbed.errors import LabError

#: package -> what the testbed wants of it
PACKAGES = {
    "binutils": "nm, for the stand-ins of OpenSSL 1.0",
    "busybox-static": "the test image",
    "ca-certificates": "downloads",
    "chromium-headless-shell": "the test of the scheduler's page",
    "curl": "looking at things by hand",
    "g++": "the Mesos starter",
    "iproute2": "namespaces, bridge, cables",
    "libapr1": "libmesos",
    "libcurl4": "libmesos",
    "libsasl2-2": "libmesos",
    "libsasl2-modules": "libmesos",
    "libsvn1": "libmesos",
    "maven": "the jars of HDFS",
    "mmdebstrap": "the hosts' disks",
    "nftables": "partitions and packet loss",
    "openssh-client": "Ansible, and the hosts' keys",
    "openjdk-17-jre-headless": "HDFS",
    "openssl": "certificates",
    "python3-venv": "the index client that still takes eggs",
    "systemd-container": "systemd-nspawn",
    "util-linux": "nsenter, unshare",
}
APT_TIMEOUT_S = 900.0


def missing(packages: list[str] | None = None) -> list[str]:
    """Those of the packages (default: all that the testbed needs) that are not installed."""
    wanted = sorted(PACKAGES) if packages is None else packages
    done = subprocess.run(
        ["dpkg-query", "-W", "-f", "${Package} ${db:Status-Abbrev}\n", *wanted],
        check=False,
        capture_output=True,
        text=True,
    )
    installed = {words[0] for line in done.stdout.splitlines() if (words := line.split())[1:2] == ["ii"]}
    return [name for name in wanted if name not in installed]


def install() -> None:
    """Installs what is missing; nothing is asked and nothing happens when all is there.

    Raises:
        LabError: apt cannot.
    """
    if not (absent := missing()):
        return
    print(f"apt: installing {' '.join(absent)}", flush=True)
    environ = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for command in (
        ["apt-get", "update", "-q"],
        ["apt-get", "install", "-y", "-q", "--no-install-recommends", *absent],
    ):
        try:
            done = subprocess.run(
                command, check=False, capture_output=True, text=True, env=environ, timeout=APT_TIMEOUT_S
            )
        except (FileNotFoundError, subprocess.TimeoutExpired) as error:
            raise LabError(f"{' '.join(command)}: {error}; the testbed needs a Debian 12 machine") from None
        if done.returncode != 0:
            raise LabError(f"{' '.join(command)}: exit code {done.returncode}\n{processes.tail(done.stderr)}")
