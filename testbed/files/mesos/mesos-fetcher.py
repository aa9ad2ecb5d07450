#!/usr/bin/env python3
"""Stand-in for Mesos' fetcher: brings a task's URIs into its sandbox.

http, https, ftp and paths are taken directly; every other scheme (hdfs) by a Hadoop client, found as the real fetcher
finds it: $HADOOP, $HADOOP_HOME/bin/hadoop (the agent's flag hadoop_home), or the PATH. No cache.
"""

import json
import os
import shutil
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

DIRECT = ("http://", "https://", "ftp://")
ARCHIVES = (".zip", ".tar", ".tgz", ".tar.gz", ".tbz2", ".tar.bz2", ".txz", ".tar.xz")
TIMEOUT_S = 60


def hadoop() -> str:
    if given := os.environ.get("HADOOP"):
        return given
    home = os.environ.get("HADOOP_HOME")
    return f"{home}/bin/hadoop" if home else "hadoop"


def copy(source: str, target: Path) -> None:
    if source.startswith(DIRECT):
        with urllib.request.urlopen(source, timeout=TIMEOUT_S) as answer, target.open("wb") as file:
            shutil.copyfileobj(answer, file)
    elif "://" in source and not source.startswith("file://"):
        subprocess.check_call([hadoop(), "version"], stdout=sys.stderr)
        subprocess.check_call([hadoop(), "fs", "-copyToLocal", source, str(target)])
    else:
        shutil.copy(source.removeprefix("file://"), target)


def fetch(uri: dict[str, Any], sandbox: Path) -> None:
    source = uri["value"]
    target = sandbox / (uri.get("output_file") or source.rpartition("/")[2])
    target.parent.mkdir(parents=True, exist_ok=True)
    copy(source, target)
    if uri.get("executable"):
        target.chmod(0o755)
    elif uri.get("extract", True) and target.name.endswith(ARCHIVES):
        shutil.unpack_archive(target, sandbox)
    print(f"fetched {source} to {target}", file=sys.stderr)


def main() -> None:
    info = json.loads(os.environ["MESOS_FETCHER_INFO"])
    for item in info.get("items", []):
        fetch(item["uri"], Path(info["sandbox_directory"]))


main()
