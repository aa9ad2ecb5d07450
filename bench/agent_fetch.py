"""`python -m bench.agent_fetch`: how long an agent of the testbed takes to fetch km, kubelet and kube-proxy from HDFS.

The agent has no Java: the small hadoop does it, as Mesos' fetcher calls it, start of the program included. The product
must have been deployed from HDFS. Seconds belong to the machine's load.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import statistics
import sys
import time
from pathlib import Path
from typing import Any

from kmsched import __version__
from testbed import plans, probe
from testbed.hdfs_layout import MIB
from testbed.settings import from_environment
from tests.scenarios.hosts import Hosts

RESULT = Path(__file__).resolve().parents[1] / "bench/results/agent-fetch.json"
FLAGS = "/etc/kmsched/scheduler.flags"
NAMED = re.compile(r"^--(km|kubelet|proxy)-path=(hdfs://\S+)", re.MULTILINE)
REPEATS = 5
#: prints seconds, bytes and SHA-256
FETCH = """
set -e
began=$(date +%s.%N)
hadoop fs -copyToLocal "$1" /tmp/fetched
ended=$(date +%s.%N)
echo "$began $ended $(stat --format=%s /tmp/fetched) $(sha256sum /tmp/fetched | cut -d' ' -f1)"
rm /tmp/fetched
"""


def fetched(hosts: Hosts, agent: str, uri: str, repeats: int) -> dict[str, Any]:
    """Of one file; the first turn is not counted, because it warms caches."""
    taken, size_bytes = [], 0
    for _ in range(repeats + 1):
        words = hosts.must(agent, "sh", "-c", FETCH, "sh", uri.partition("#")[0]).split()
        began, ended, size_bytes = float(words[0]), float(words[1]), int(words[2])
        if words[3] not in uri:
            raise SystemExit(f"{agent} fetched sha256 {words[3]} from {uri}")
        taken.append(ended - began)
    counted = taken[1:]
    median_s, least_s = round(statistics.median(counted), 3), round(min(counted), 3)
    return {"size_mib": round(size_bytes / MIB, 1), "median_s": median_s, "least_s": least_s}


def main() -> int:
    parser = argparse.ArgumentParser(prog="bench.agent_fetch", description=__doc__)
    parser.add_argument("--repeats", type=int, default=REPEATS)
    options = parser.parse_args()
    settings = from_environment(os.environ)
    plan, hosts = plans.must_find(settings), Hosts(settings, probe.machine())
    scheduler, agent = next(iter(plan.hosts.schedulers)), next(iter(plan.hosts.agents))
    named = dict(NAMED.findall(hosts.must(scheduler, "cat", FLAGS)))
    if "km" not in named:
        raise SystemExit(f"{scheduler}: {FLAGS} names no km in HDFS; deploy from HDFS first")
    record: dict[str, Any] = {
        "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "version": __version__,
        "cores": os.cpu_count(),
        "load_1min_before": round(os.getloadavg()[0], 2),
        "repeats": options.repeats,
    }
    record["fetch"] = {name: fetched(hosts, agent, uri, options.repeats) for name, uri in sorted(named.items())}
    print(json.dumps(record, indent=2))
    RESULT.write_text(json.dumps(record, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
