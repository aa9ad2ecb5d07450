#!/usr/bin/env python3
"""Stand-in for Mesos' fetcher: brings a task's URIs into its sandbox, step by step as the real one does.

Paths and file: are copied, http, https, ftp and ftps taken directly; every other scheme by a Hadoop client:
$HADOOP_HOME/bin/hadoop (the agent's flag hadoop_home), else `hadoop` on the agent's own PATH. It must answer `version`
first. Everything is done as the task's user.
"""

import json
import os
import pwd
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any

NET = ("http://", "https://", "ftp://", "ftps://")
ARCHIVES = (".tar", ".tgz", ".tar.gz", ".tbz2", ".tar.bz2", ".txz", ".tar.xz", ".zip")
#: the real one waits for ever unless fetcher_stall_timeout (60 s) passes without a byte; it has none for Hadoop
STALL_S = 60


class Failed(Exception):
    pass


def local_path(uri: str, frameworks_home: str | None) -> str | None:
    """None: the URI is not of this host."""
    if not uri.startswith("file://") and "://" in uri:
        return None
    path = uri.removeprefix("file://localhost") if uri.startswith("file://localhost") else uri.removeprefix("file://")
    if path.startswith("/"):
        return path
    if path != uri:
        raise Failed("File URI only supports absolute paths")
    if not frameworks_home:
        raise Failed("A relative path was passed for the resource but the Mesos framework home was not specified")
    return f"{frameworks_home}/{path}"


def by_hadoop(uri: str, target: Path, environ: Mapping[str, str]) -> None:
    home = environ.get("HADOOP_HOME")
    hadoop = f"{home}/bin/hadoop" if home is not None else "hadoop"
    asked = subprocess.run(f"{hadoop} version 2>&1", shell=True, env=environ, check=False, stdout=subprocess.PIPE)
    if asked.returncode != 0:
        raise Failed(
            f"Failed to create HDFS client: Failed to execute '{hadoop} version 2>&1'; the command was either not "
            f"found or exited with a non-zero exit status: {asked.returncode}"
        )
    source = uri if uri.startswith(("hdfs://", "/")) else f"/{uri}"
    print(f"Downloading resource with Hadoop client from '{source}' to '{target}'", file=sys.stderr)
    done = subprocess.run(
        ["hadoop", "fs", "-copyToLocal", source, str(target)],
        executable=hadoop,
        env=environ,
        check=False,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
    )
    if done.returncode != 0:
        raise Failed(
            f"HDFS copyToLocal failed: Unexpected result from the subprocess: status='{done.returncode << 8}', "
            f"stdout='{done.stdout}', stderr='{done.stderr}'"
        )


def download(given: str, target: Path, frameworks_home: str | None, environ: Mapping[str, str]) -> None:
    uri = given.lstrip()
    if set("\\'\0") & set(uri):
        raise Failed("Illegal characters in URI")
    if (path := local_path(uri, frameworks_home)) is not None:
        shutil.copyfile(path, target)
        shutil.copymode(path, target)
    elif uri.startswith(NET):
        with urllib.request.urlopen(uri, timeout=STALL_S) as answer, target.open("wb") as file:
            shutil.copyfileobj(answer, file)
    else:
        by_hadoop(uri, target, environ)


def extract(source: Path, into: Path) -> bool:
    """Whether it was an archive."""
    if source.name.endswith(ARCHIVES):
        shutil.unpack_archive(source, into)
    elif source.name.endswith(".gz"):
        with (into / source.name.removesuffix(".gz")).open("wb") as file:
            subprocess.run(["gunzip", "-d", "-c", source], check=True, stdout=file)
    else:
        return False
    return True


def fetch(item: dict[str, Any], info: dict[str, Any], environ: Mapping[str, str]) -> None:
    uri, sandbox, home = item["uri"], Path(info["sandbox_directory"]), info.get("frameworks_home")
    target = sandbox / (uri.get("output_file") or uri["value"].rpartition("/")[2])
    target.parent.mkdir(parents=True, exist_ok=True)
    action = item.get("action", "BYPASS_CACHE")
    source = target
    if action != "BYPASS_CACHE":
        source = Path(info["cache_directory"]) / item["cache_filename"]
    if action != "RETRIEVE_FROM_CACHE":
        download(uri["value"], source, home, environ)
    is_extracted = not uri.get("executable") and uri.get("extract", True) and extract(source, sandbox)
    if source != target and not is_extracted:
        shutil.copyfile(source, target)
    if uri.get("executable"):
        target.chmod(0o755)


def become(user: str | None) -> None:
    if user is None or user == pwd.getpwuid(os.getuid()).pw_name:
        return
    found = pwd.getpwnam(user)
    os.initgroups(user, found.pw_gid)
    os.setgid(found.pw_gid)
    os.setuid(found.pw_uid)


def main(environ: Mapping[str, str]) -> int:
    info = json.loads(environ["MESOS_FETCHER_INFO"])
    items = info.get("items", [])
    if any(item.get("action", "BYPASS_CACHE") != "BYPASS_CACHE" for item in items):
        cache = Path(info["cache_directory"])
        cache.mkdir(parents=True, exist_ok=True)
        if info.get("user"):
            shutil.chown(cache, info["user"])
    become(info.get("user"))
    for item in items:
        value = item["uri"]["value"]
        try:
            fetch(item, info, environ)
        except (Failed, OSError, subprocess.SubprocessError, shutil.ReadError) as error:
            print(f"Failed to fetch '{value}': {error}", file=sys.stderr)
            return 1
        print(f"Fetched '{value}'", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main(os.environ))
