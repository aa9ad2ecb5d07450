"""`python -m bench.upload`: km-upload against `curl -T` and the `hdfs` library's own upload, on the testbed's HDFS.

All send the same file in turns; what is compared is the sending. km-upload also takes the file's digests first and
compares HDFS's checksum afterwards, which the others do not, so its whole run is told apart. Then km and kubelet are
fetched by Hadoop's own client and by the small one. The numbers to look at are ratios: seconds belong to the machine's
load.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.metadata
import json
import os
import platform
import secrets
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kmsched import __version__
from testbed import hdfs, lifecycle
from testbed.hadoop import SOURCE, version
from testbed.hdfs import SUPERUSER, Hdfs, entered
from testbed.hdfs_layout import MIB, NAMESERVICE
from testbed.settings import from_environment

ROOT = Path(__file__).resolve().parents[1]
RESULT = ROOT / "bench/results/upload.json"
KM = ROOT / "bin/km"
SIZE_MIB, REPEATS = 150, 5
FOLDER = "/bench"
#: curl -T is to be reached to this part
AIM = 0.9
LOOK_S = 0.01
#: what a child of this program runs; each prints the seconds of the sending alone
OURS = """
import sys, time
from pathlib import Path
from kmsched.artifacts.upload import chunks_of
from kmsched.clients.hdfs import HdfsStorage
source, target, user, *addresses = sys.argv[1:]
storage = HdfsStorage(addresses, user=user)
began = time.monotonic()
storage.write(target, chunks_of(Path(source), "sending", lambda *_: None))
print(time.monotonic() - began)
"""
LIBRARY = """
import sys, time
import hdfs
source, target, user, *addresses = sys.argv[1:]
client = hdfs.InsecureClient(";".join(addresses), user=user)
began = time.monotonic()
client.upload(target, source)
print(time.monotonic() - began)
"""
#: URL of the NameNode, file
CURL = """
set -e
to=$(curl -sS -X PUT -o /dev/null -w '%{redirect_url}' "$1")
exec curl -sSf -o /dev/null -T "$2" "$to"
"""


@dataclass(frozen=True, slots=True)
class Run:
    """One program's run. `sending_s`: without start and end of the process, where it tells."""

    whole_s: float
    sending_s: float
    peak_mib: float


def measured(command: Sequence[str], environ: dict[str, str]) -> tuple[Run, str]:
    """Runs a command that must succeed; and what it printed."""
    began = time.monotonic()
    with tempfile.TemporaryFile("w+") as out:
        child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, env=environ)
        peak_kib = 0
        # not wait4's ru_maxrss: that of a child is never less than ours
        while child.poll() is None:
            peak_kib = max(peak_kib, _peak_kib(child.pid))
            time.sleep(LOOK_S)
        took = time.monotonic() - began
        out.seek(0)
        printed = out.read().strip()
    if child.returncode != 0:
        raise SystemExit(f"{' '.join(command)}: exit code {child.returncode}")
    return Run(took, took, peak_kib / 1024), printed


def _peak_kib(pid: int) -> int:
    """The most memory that the process has held so far."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("VmHWM:")), 0)


@dataclass(frozen=True, slots=True)
class Bench:
    storage: Hdfs
    source: Path

    @property
    def inside(self) -> list[str]:
        return entered(self.storage.settings)

    @property
    def environ(self) -> dict[str, str]:
        mine = {"HADOOP_CONF_DIR": str(self.storage.layout.client), "HADOOP_USER_NAME": SUPERUSER}
        return {**hdfs.own_environment(), **mine, "PYTHONPATH": str(ROOT)}

    @property
    def namenodes(self) -> list[str]:
        """The active one first, so that nobody asks the wrong one."""
        leader = self.storage.active()
        return sorted(
            self.storage.layout.namenode_urls(),
            key=lambda url: leader is None or url != self.storage.layout.http(leader),
        )

    def python(self, program: str) -> Run:
        target = f"{FOLDER}/{secrets.token_hex(8)}"
        words = [sys.executable, "-c", program, str(self.source), target, SUPERUSER, *self.namenodes]
        run, printed = measured([*self.inside, *words], self.environ)
        self.check(target)
        return Run(run.whole_s, float(printed), run.peak_mib)

    def km_upload(self) -> Run:
        folder = f"{FOLDER}/{secrets.token_hex(8)}"
        command = [str(KM), "artifacts", "upload", str(self.source), f"hdfs://{NAMESERVICE}{folder}"]
        run, printed = measured([*self.inside, *command], self.environ)
        self.check(printed.removeprefix(f"hdfs://{NAMESERVICE}"))
        return run

    def curl(self) -> Run:
        """As WebHDFS has it: ask the NameNode, then send to the DataNode that it names."""
        target = f"{FOLDER}/{secrets.token_hex(8)}"
        asked = f"{self.namenodes[0]}/webhdfs/v1{target}?op=CREATE&overwrite=true&user.name={SUPERUSER}"
        run, _ = measured([*self.inside, "sh", "-c", CURL, "sh", asked, str(self.source)], self.environ)
        self.check(target)
        return run

    def check(self, path: str) -> None:
        """The file is there; and it goes, so that disks stay empty."""
        found = self.storage.call("GET", path, "GETFILESTATUS")["FileStatus"]["length"]
        if found != self.source.stat().st_size:
            raise SystemExit(f"{path}: {found} bytes were stored")
        self.storage.call("DELETE", path, "DELETE")

    def fetched(self, hadoop: Path, uri: str, wanted: str) -> Run:
        with tempfile.TemporaryDirectory() as scratch:
            target = Path(scratch) / "file"
            run, _ = measured([*self.inside, str(hadoop), "fs", "-copyToLocal", uri, str(target)], self.environ)
            with target.open("rb") as file:
                found = hashlib.file_digest(file, "sha256").hexdigest()
        if found != wanted:
            raise SystemExit(f"{hadoop} fetched sha256 {found} from {uri}, not {wanted}")
        return run


def summary(runs: Sequence[Run]) -> dict[str, float]:
    return {
        "sending_s": round(statistics.median(run.sending_s for run in runs), 3),
        "whole_s": round(statistics.median(run.whole_s for run in runs), 3),
        "least_sending_s": round(min(run.sending_s for run in runs), 3),
        "peak_mib": round(max(run.peak_mib for run in runs), 1),
    }


def sent(bench: Bench, repeats: int) -> dict[str, list[Run]]:
    """All ways in turns; the first turn is not counted, because it warms caches."""
    ways: dict[str, Callable[[], Run]] = {
        "curl -T": bench.curl,
        "km-upload, sending": lambda: bench.python(OURS),
        "km-upload, whole": bench.km_upload,
        "library's upload": lambda: bench.python(LIBRARY),
    }
    found: dict[str, list[Run]] = {name: [] for name in ways}
    for turn in range(repeats + 1):
        for name, way in ways.items():
            run = way()
            print(f"{turn} {name}: {run.sending_s:.2f} s of {run.whole_s:.2f} s, {run.peak_mib:.0f} MiB", flush=True)
            if turn:
                found[name].append(run)
    return found


def fetches(bench: Bench, kubelet: Path, repeats: int) -> dict[str, Any]:
    """km and kubelet by Hadoop's client and by ours, in turns."""
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as scratch:
        small = Path(scratch) / "hadoop"
        small.symlink_to(KM)
        clients = {"Hadoop's client": bench.storage.settings.state / "bin/hadoop", "small hadoop": small}
        for file in (KM, kubelet):
            command = [str(KM), "artifacts", "upload", str(file), f"hdfs://{NAMESERVICE}{FOLDER}"]
            _, uri = measured([*bench.inside, *command], bench.environ)
            wanted = hashlib.sha256(file.read_bytes()).hexdigest()
            runs: dict[str, list[Run]] = {name: [] for name in clients}
            for turn in range(repeats + 1):
                for name, client in clients.items():
                    run = bench.fetched(client, uri, wanted)
                    if turn:
                        runs[name].append(run)
            found[file.name] = {"size_mib": round(file.stat().st_size / MIB, 1)}
            found[file.name] |= {name: summary(each) for name, each in runs.items()}
    return found


def versions(bench: Bench) -> dict[str, Any]:
    curl = subprocess.run(["curl", "--version"], check=True, capture_output=True, text=True).stdout.split()[1]
    return {
        "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "version": __version__,
        "hadoop": version((SOURCE / "pom.xml").read_text()),
        "hdfs": importlib.metadata.version("hdfs"),
        "requests": importlib.metadata.version("requests"),
        "curl": curl,
        "python": platform.python_version(),
        "cores": os.cpu_count(),
        "load_1min_before": round(os.getloadavg()[0], 2),
    }


def main() -> int:
    parser = argparse.ArgumentParser(prog="bench.upload", description=__doc__)
    parser.add_argument("--repeats", type=int, default=REPEATS)
    parser.add_argument("--size-mib", type=int, default=SIZE_MIB)
    parser.add_argument("--kubelet", type=Path, help="a kubelet to fetch (default: the one of the build cache)")
    options = parser.parse_args()
    settings = from_environment(os.environ)
    storage = lifecycle.up_hdfs(settings)
    kubelet = options.kubelet or max(settings.cache.glob("kubernetes-*/kubelet"), key=lambda file: file.stat().st_mtime)
    with tempfile.TemporaryDirectory() as scratch:
        source = Path(scratch) / "file"
        source.write_bytes(secrets.token_bytes(MIB) * options.size_mib)
        bench = Bench(storage, source)
        storage.call("PUT", FOLDER, "MKDIRS")
        try:
            record: dict[str, Any] = {**versions(bench), "size_mib": options.size_mib, "repeats": options.repeats}
            ways = {name: summary(runs) for name, runs in sent(bench, options.repeats).items()}
            record["ways"] = ways
            record["aim"] = AIM
            record["sending_to_curl"] = round(ways["curl -T"]["sending_s"] / ways["km-upload, sending"]["sending_s"], 2)
            record["sending_to_library"] = round(
                ways["library's upload"]["sending_s"] / ways["km-upload, sending"]["sending_s"], 2
            )
            record["fetch"] = fetches(bench, kubelet, options.repeats)
        finally:
            storage.call("DELETE", FOLDER, "DELETE", recursive="true")
    print(json.dumps(record, indent=2))
    RESULT.write_text(json.dumps(record, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
