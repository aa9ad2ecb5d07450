"""Command lines of `km scheduler` for tests of the executor spec, and how to make the spec of one.

Run as a program it prints the fingerprint of the line in its arguments, in whatever Python runs it.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

from kmsched import config, fingerprint, flags
from kmsched.artifacts.digests import named

SHA, OTHER = "0123456789abcdef" * 4, "fedcba9876543210" * 4
#: nothing but what must be given
REQUIRED = ("--mesos-master=m:5050", f"--km-path=hdfs://nn:8020/{SHA}/km", "--api-servers=k:6443")
#: every kind of flag, in forms that are not the normal ones
FULL = (
    "--mesos_master=m1:5050,http://m2:5050/",
    f"--km_path=HDFS://NN:8020/km#sha256={SHA.upper()}",
    f"--kubelet-path=/opt//{OTHER}/kubelet",
    f"--proxy-path=http://H:80/{SHA}/kube-proxy",
    "--api-servers=https://B:443/,a:6443,b:443",
    "--allow-privileged",
    "--profiling=yes",
    "--auth-path=/etc/auth",
    "--cluster-dns=10.32.0.11,10.32.0.10,FD00::000A",
    "--cluster-domain=cluster.local",
    "--executor-cpus=250m",
    "--executor_mem=1Gi",
    "--executor-launch-grace-period=1h30m",
    "--executor-idle-timeout=90m",
    "--kubelet-sync_frequency=10s",
    "--kubelet-feature-gates=B=true,A=false",
    "--kubelet-enforce-node-allocatable=",
    "--proxy-mode=nftables",
    "--proxy-v=2",
    "--mesos-role=kube",
    "--agent-log-level=debug",
    "--port=1",
)
GATE = "a gate\n"


def spec_of(tokens: Sequence[str]) -> dict[str, Any]:
    built = config.build(flags.parse(tokens, flags.SCHEDULER))
    return fingerprint.executor_spec(built, named(built.artifacts), GATE)


if __name__ == "__main__":
    print(fingerprint.fingerprint(spec_of(sys.argv[1:])))
