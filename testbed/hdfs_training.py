"""`python3 -m testbed.hdfs_training JARS FOLDER`: a trial run of HDFS that writes archives of Java's classes to FOLDER.

Wants a network and a pid namespace of its own, with nothing in them. One daemon of each kind and a client do what they
do every day, so the archives hold the classes of a usual start; and jars that do not fit together fail here.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

from testbed import hadoop, hdfs, hdfs_layout, processes
from testbed.errors import LabError
from testbed.hadoop import Release
from testbed.hdfs_layout import Layout, Part

ADDRESS = "127.0.0.1"
END_S = 60.0
TRIES_S = 60.0


def train(jars: Path, folder: Path, scratch: Path) -> None:
    processes.output(["ip", "link", "set", "lo", "up"])
    layout = Layout(ADDRESS, scratch, journalnodes=1, datanodes=1)
    release = Release(hadoop.java(), jars)
    hdfs_layout.write(layout)
    journal, first, data = layout.of("journalnode")[0], layout.of("namenode")[0], layout.of("datanode")[0]
    with ExitStack() as stack:
        _start(stack, release, layout, journal)
        _listening(layout, journal)
        _client(release, layout.configuration(first), "namenode", "-format", "-nonInteractive")
        daemons = [_start(stack, release, layout, part, folder) for part in (first, data)]
        _listening(layout, first)
        _client(release, layout.client, "haadmin", "-transitionToActive", "--forceactive", first.name)
        source, target = scratch / "source", scratch / "target"
        source.write_text("x")
        if not processes.wait_until(lambda: _written(release, layout, source), TRIES_S, 0.5):
            raise LabError(f"the trial HDFS takes no file; its logs:\n{_logs(layout)}")
        flags = [hadoop.archive_flag(folder, "fs", write=True)]
        words = ["-copyToLocal", f"hdfs://{hdfs_layout.NAMESERVICE}/source", str(target)]
        processes.output(release.command("fs", layout.client, *words, flags=flags))
        for daemon in daemons:
            daemon.send_signal(signal.SIGTERM)
        for daemon in daemons:
            daemon.wait(END_S)
    absent = [name for name in ("namenode", "datanode", "client") if not (folder / f"{name}.jsa").exists()]
    if absent:
        raise LabError(f"Java wrote no archive of classes for {', '.join(absent)}")


def _start(
    stack: ExitStack, release: Release, layout: Layout, part: Part, archives: Path | None = None
) -> subprocess.Popen[bytes]:
    flags = [] if archives is None else [hadoop.archive_flag(archives, part.program, write=True)]
    log = hdfs.log_file(layout, part)
    log.parent.mkdir(parents=True, exist_ok=True)
    sink = stack.enter_context(log.open("wb"))
    command = release.command(part.program, layout.configuration(part), flags=flags)
    daemon = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=sink, stderr=sink, env=hdfs.own_environment())
    stack.callback(daemon.wait)
    stack.callback(daemon.kill)
    return daemon


def _client(release: Release, configuration: Path, program: str, *words: str) -> None:
    processes.output(release.command(program, configuration, *words), TRIES_S, hdfs.own_environment())


def _written(release: Release, layout: Layout, source: Path) -> bool:
    return processes.succeeds(release.command("fs", layout.client, "-put", "-f", str(source), "/source"))


def _listening(layout: Layout, part: Part) -> None:
    if not processes.wait_until(lambda: hdfs.listens(layout.address, hdfs_layout.rpc_port(part)), TRIES_S):
        raise LabError(f"{part.name} does not listen; its log:\n{_logs(layout)}")


def _logs(layout: Layout) -> str:
    return "\n".join(processes.tail(file.read_text(errors="replace")) for file in layout.folder.glob("log/*.log"))


def main() -> int:
    jars, folder = map(Path, sys.argv[1:])
    with tempfile.TemporaryDirectory() as scratch:
        train(jars, folder, Path(scratch))
    return 0


if __name__ == "__main__":
    sys.exit(main())
