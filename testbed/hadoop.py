"""Hadoop's release from Maven: jars, archives of its classes for quicker starts, command lines of its programs.

Knows versions, checksums and Java's flags; nothing of clusters. `python3 -m testbed.hadoop` writes the checksums of the
jars that pom.xml asks for to files/hdfs/jars.sha256.
"""

from __future__ import annotations

import hashlib
import os
import re
import shlex
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from testbed import cache, processes, progress
from testbed.errors import LabError
from testbed.settings import DATA

SOURCE = DATA / "hdfs"
PRODUCT, CLASSES_PRODUCT = "hadoop", "hadoop-classes"
#: younger ones are refused by this Hadoop
JAVA_PATTERN = "java-17-openjdk-*/bin/java"
JAVA_FOLDER = Path("/usr/lib/jvm")
#: of netty, for systems and machines: HDFS does without
NATIVE = re.compile(r"-(osx|linux|windows)-[a-z0-9_]+\.jar$")
#: the daemons want these folders in the class path; the pages that a release has in them are not among the jars
WEBAPPS = ("hdfs", "datanode", "journal")
WEB_XML = '<web-app version="2.4" xmlns="http://java.sun.com/xml/ns/j2ee"></web-app>\n'
MAVEN_LIMIT_S, TRAINING_LIMIT_S = 1800.0, 300.0
NEEDS_MIB, CLASSES_MIB = 300, 400

_PACKAGE = "org.apache.hadoop"
#: command -> its class
PROGRAMS = {
    "version": f"{_PACKAGE}.util.VersionInfo",
    "fs": f"{_PACKAGE}.fs.FsShell",
    "dfs": f"{_PACKAGE}.fs.FsShell",
    "dfsadmin": f"{_PACKAGE}.hdfs.tools.DFSAdmin",
    "haadmin": f"{_PACKAGE}.hdfs.tools.DFSHAAdmin",
    "fsck": f"{_PACKAGE}.hdfs.tools.DFSck",
    "getconf": f"{_PACKAGE}.hdfs.tools.GetConf",
    "namenode": f"{_PACKAGE}.hdfs.server.namenode.NameNode",
    "datanode": f"{_PACKAGE}.hdfs.server.datanode.DataNode",
    "journalnode": f"{_PACKAGE}.hdfs.qjournal.server.JournalNode",
}
#: program -> archive of classes that it starts with; those not named: CLIENT
ARCHIVES = {"namenode": "namenode", "journalnode": "namenode", "datanode": "datanode"}
CLIENT = "client"
JAVA_FLAGS = (
    "-Xmx128m",
    "-Xss512k",
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-XX:-UsePerfData",
    "-Djava.net.preferIPv4Stack=true",
)
DAEMON_FLAGS = (
    "-XX:MaxDirectMemorySize=64m",
    "-XX:ReservedCodeCacheSize=48m",
    # without it WebHDFS answers every call with 500
    "--add-opens=java.base/java.lang=ALL-UNNAMED",
)


@dataclass(frozen=True, slots=True)
class Release:
    """`jars`: the product of Maven; `classes`: folder of the archives, None to start without."""

    java: Path
    jars: Path
    classes: Path | None = None

    def class_path(self, configuration: str) -> str:
        """Always in the same order: archives of classes are tied to it."""
        return ":".join(
            [*(str(jar) for jar in sorted(self.jars.glob("lib/*.jar"))), configuration, f"{self.jars}/share"]
        )

    def java_command(self, program: str, flags: Sequence[str] = ()) -> list[str]:
        """Java with the flags for `program`; class path and class are still to come."""
        archive = [] if self.classes is None else [archive_flag(self.classes, program)]
        daemon = DAEMON_FLAGS if program in ARCHIVES else ()
        # an archive that does not fit is passed over, and Java's word about it would be in what clients print
        return [str(self.java), *JAVA_FLAGS, "-Xlog:disable", *daemon, *archive, *flags]

    def command(self, program: str, configuration: Path, *arguments: str, flags: Sequence[str] = ()) -> list[str]:
        """The whole command of one program of PROGRAMS with this folder of configuration."""
        return [
            *self.java_command(program, [f"-Dhadoop.root.logger={_level(program)},console", *flags]),
            "-cp",
            self.class_path(str(configuration)),
            PROGRAMS[program],
            *arguments,
        ]


def _level(program: str) -> str:
    return "INFO" if program in ARCHIVES else "WARN"


def archive_flag(folder: Path, program: str, write: bool = False) -> str:
    """Java's flag to start with the program's archive, or to write it at its end."""
    name = "-XX:ArchiveClassesAtExit" if write else "-XX:SharedArchiveFile"
    return f"{name}={folder / ARCHIVES.get(program, CLIENT)}.jsa"


def launcher(release: Release, enter: Sequence[str], configuration: Path) -> str:
    """A shell script that is `hadoop` and `hdfs`: this release's own client, started behind the words of `enter`."""
    cases = "".join(f"  {name}) class={PROGRAMS[name]} ;;\n" for name in PROGRAMS if name not in ARCHIVES)
    java = shlex.join([*enter, *release.java_command("fs")])
    return f"""#!/bin/sh
# hadoop|hdfs [--config FOLDER] COMMAND|CLASS [ARGUMENT...]
conf=${{HADOOP_CONF_DIR:-{shlex.quote(str(configuration))}}}
if [ "${{1:-}}" = --config ]; then conf=$2; shift 2; fi
case "${{1:-}}" in
{cases}  [a-z]*.*) class=$1 ;;
  *) echo "usage: hadoop|hdfs [--config FOLDER] fs|dfs|... [ARGUMENT...]" >&2; exit 1 ;;
esac
shift
exec {java} -Dhadoop.root.logger="${{HADOOP_ROOT_LOGGER:-WARN,console}}" ${{HADOOP_CLIENT_OPTS:-}} \\
  -cp "{release.class_path("$conf")}" "$class" "$@"
"""


def java(folder: Path = JAVA_FOLDER) -> Path:
    """The Java that Hadoop runs with.

    Raises:
        LabError: there is none.
    """
    found = sorted(folder.glob(JAVA_PATTERN))
    if not found:
        raise LabError(f"no {folder}/{JAVA_PATTERN}; run: python3 -m testbed install")
    return found[0]


def version(pom: str) -> str:
    """X.Y.Z of Hadoop.

    Raises:
        LabError: pom.xml does not name it.
    """
    if (match := re.search(r"<hadoop\.version>([^<]+)<", pom)) is None:
        raise LabError(f"{SOURCE / 'pom.xml'}: no hadoop.version")
    return match[1]


def build(root: Path) -> Release:
    """The jars, verified, and the archives; about a minute and another half when nothing is cached."""
    jars = cache.produce(root, PRODUCT, inputs(), lambda part: _make(root, part), NEEDS_MIB)
    program = java()
    trained: dict[str, str | bytes] = {
        "java": processes.output([str(program), "--version"]),
        # an archive is tied to the jars' place
        "jars": str(jars),
        "flags": " ".join([*JAVA_FLAGS, *DAEMON_FLAGS]),
        "training": Path(__file__).with_name("hdfs_training.py").read_bytes(),
    }
    classes = cache.produce(root, CLASSES_PRODUCT, trained, lambda part: _train(root, jars, part), CLASSES_MIB)
    return Release(program, jars, classes)


def inputs() -> dict[str, str | bytes]:
    """All that decides which files there will be."""
    names = ("pom.xml", "jars.sha256", "log4j.properties")
    files: dict[str, str | bytes] = {name: (SOURCE / name).read_bytes() for name in names}
    return {**files, "native": NATIVE.pattern, "webapps": f"{WEBAPPS} {WEB_XML}"}


def _make(root: Path, part: Path) -> None:
    _fetch(root, part)
    check(sums(part / "lib"), (SOURCE / "jars.sha256").read_text())
    for name in WEBAPPS:
        folder = part / "share/webapps" / name / "WEB-INF"
        folder.mkdir(parents=True)
        (folder / "web.xml").write_text(WEB_XML)
    (part / "share/log4j.properties").write_bytes((SOURCE / "log4j.properties").read_bytes())


def _fetch(root: Path, part: Path) -> None:
    """The jars into `part`/lib, by Maven as this machine is set up for it."""
    pom = part / "pom.xml"  # Maven may leave things beside it
    pom.write_bytes((SOURCE / "pom.xml").read_bytes())
    command = ["mvn", "-B", "-ntp", "--strict-checksums", "-Dstyle.color=never", "dependency:copy-dependencies"]
    command += ["-DincludeScope=runtime", f"-DoutputDirectory={part / 'lib'}"]
    label = f"{PRODUCT} {version(pom.read_text())}"
    progress.run(command, root / f".{PRODUCT}.log", label, "fetching jars", MAVEN_LIMIT_S, os.environ, part)
    for left in (pom, *(part / "lib").iterdir()):
        if left == pom or NATIVE.search(left.name):
            left.unlink()


def _train(root: Path, jars: Path, part: Path) -> None:
    """On a network and in a pid namespace of its own, so that nothing is in its way and nothing of it stays."""
    command = ["unshare", "--net", "--pid", "--fork", "--kill-child", "--mount-proc"]
    command += [sys.executable, "-m", "testbed.hdfs_training", str(jars), str(part)]
    project = Path(__file__).resolve().parents[1]
    log = root / f".{CLASSES_PRODUCT}.log"
    progress.run(command, log, CLASSES_PRODUCT, "trial run", TRAINING_LIMIT_S, os.environ, project)


def sums(folder: Path) -> dict[str, str]:
    """Name -> SHA-256 of each jar."""
    return {jar.name: hashlib.sha256(jar.read_bytes()).hexdigest() for jar in sorted(folder.glob("*.jar"))}


def check(found: dict[str, str], listed: str) -> None:
    """Compares jars with the lines of jars.sha256.

    Raises:
        LabError: one is not as listed, missing or not listed.
    """
    wanted = {line.split()[1]: line.split()[0] for line in listed.splitlines() if not line.startswith("#")}
    wrong = sorted(name for name in found.keys() | wanted.keys() if found.get(name) != wanted.get(name))
    if wrong:
        name = wrong[0]
        raise LabError(
            f"{len(wrong)} jars are not as {SOURCE / 'jars.sha256'} says; {name} has SHA-256 "
            f"{found.get(name, 'none: it is not there')}, {wanted.get(name, 'none')} was expected; do not use them"
        )


def main() -> int:
    with tempfile.TemporaryDirectory() as scratch:
        _fetch(Path(scratch), Path(scratch))
        lines = [f"{digest}  {name}\n" for name, digest in sums(Path(scratch) / "lib").items()]
    head = f"# jars of Hadoop {version((SOURCE / 'pom.xml').read_text())}, written by: python3 -m testbed.hadoop\n"
    (SOURCE / "jars.sha256").write_text("".join([head, *lines]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
