"""The small `hadoop` and `hdfs`: Hadoop's file commands for hosts without Java, over WebHDFS.

Knows the programs' command lines and their exit codes: 0, 1 for an error, 255 for a wrong command line, as Hadoop's
own.  It is what Mesos' fetcher runs for an hdfs: URI (`hadoop version`, `hadoop fs -copyToLocal`), so it imports
little before it must.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO

from kmsched import __version__

if TYPE_CHECKING:
    from kmsched.artifacts.hadoop_call import Call, Command
    from kmsched.artifacts.hadoop_paths import Files
    from kmsched.clients.webhdfs import WebHdfs

EXIT_OK, EXIT_ERROR, EXIT_MISUSE, EXIT_INTERRUPTED = 0, 1, 255, 130
VERSION = f"Hadoop client of km {__version__}\nFile commands over WebHDFS, without Java.\n"
#: program -> the words that start file commands
PROGRAMS = {"hadoop": ("fs", "dfs"), "hdfs": ("dfs",)}


@dataclass(frozen=True, slots=True)
class Streams:
    """Standard streams, as bytes: names of files may be any."""

    stdin: BinaryIO
    stdout: BinaryIO
    stderr: BinaryIO

    def say(self, text: str) -> None:
        self.stderr.write(text.encode(errors="surrogateescape"))
        self.stderr.flush()


def main(program: str) -> None:
    """Run as `hadoop` or `hdfs`."""
    streams = Streams(sys.stdin.buffer, sys.stdout.buffer, sys.stderr.buffer)
    code = run(program, sys.argv[1:], dict(os.environ), streams)
    try:
        streams.stdout.flush()
    except BrokenPipeError:
        # nobody reads; Python would say so again while it ends
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = code or EXIT_ERROR
    sys.exit(code)


def run(
    program: str,
    words: Sequence[str],
    environ: Mapping[str, str],
    streams: Streams,
    connect: Callable[..., WebHdfs] | None = None,
) -> int:
    """The exit code. `connect`: as `WebHdfs`."""
    rest, environ = list(words), dict(environ)
    while len(rest) > 1 and rest[0] == "--config":
        environ["HADOOP_CONF_DIR"], rest = rest[1], rest[2:]
    match rest[:1]:
        case ["version" | "-version" | "--version"]:
            streams.stdout.write(VERSION.encode())
            return EXIT_OK
        case [word] if word in PROGRAMS[program]:
            return _shell(f"{program} {word}", rest[1:], environ, streams, connect)
        case ["-help" | "--help" | "-h" | "help"]:
            streams.stdout.write(_programs_usage(program).encode())
            return EXIT_OK
        case [word]:
            streams.say(f"ERROR: {word} is not a command of this small client; install Hadoop for it.\n")
    streams.say(_programs_usage(program))
    return EXIT_ERROR


def _programs_usage(program: str) -> str:
    words = " | ".join(f"{word} COMMAND..." for word in PROGRAMS[program])
    return f"Usage: {program} [--config DIR] version | {words}\n{VERSION}"


def _files(environ: Mapping[str, str], properties: Mapping[str, str], connect: Callable[..., WebHdfs] | None) -> Files:
    from pathlib import Path

    from kmsched.artifacts.hadoop_paths import Files
    from kmsched.clients.hadoop_conf import HadoopConf, load_hadoop_conf
    from kmsched.clients.hadoop_xml import Property
    from kmsched.clients.webhdfs import WebHdfs

    conf = load_hadoop_conf(environ)
    given = {name: Property(name, value, True, Path("-D")) for name, value in properties.items()}
    return Files(HadoopConf({**conf.properties, **given}, conf.variables), environ, connect or WebHdfs)


def _shell(
    called: str,
    words: list[str],
    environ: Mapping[str, str],
    streams: Streams,
    connect: Callable[..., WebHdfs] | None,
) -> int:
    from kmsched.artifacts.hadoop_call import Call
    from kmsched.artifacts.hadoop_paths import Misuse
    from kmsched.errors import KmError

    table = commands()
    properties, words = _generic(words)
    usage = f"Usage: {called} [-D NAME=VALUE] [-fs URI]"
    everything = "".join([f"{usage}\n", *(f"\t[-{name} {each.usage}]\n" for name, each in table.items())])
    if not words:
        streams.say(everything)
        return EXIT_MISUSE
    word = words[0]
    command = table.get(word.removeprefix("-")) if word.startswith("-") else None
    if word in ("-help", "-usage"):
        return _help(called, words[1:], table, streams, everything)
    if command is None:
        streams.say(f"{word}: Unknown command\n")
        if word in table:
            streams.say(f"Did you mean -{word}?  This command begins with a dash.\n")
        streams.say(everything)
        return EXIT_MISUSE
    name = word.removeprefix("-")
    try:
        files = _files(environ, properties, connect)
        call = Call(name, command, files, streams.stdin, streams.stdout, streams.stderr)
        call.parse(words[1:])
        return _finish(call)
    except Misuse as error:
        streams.say(f"{word}: {error}\n{usage} {word} {command.usage}\n")
        return EXIT_MISUSE
    except KmError as error:
        streams.say(f"{name}: {error}\n")
        return EXIT_ERROR
    except KeyboardInterrupt:
        streams.say(f"{name}: Interrupted\n")
        return EXIT_INTERRUPTED


def _finish(call: Call) -> int:
    try:
        with call.complaining():
            call.command.run(call)
        call.stdout.flush()
    except BrokenPipeError:
        call.complain("Unable to write to output stream.")
    return EXIT_ERROR if call.errors else EXIT_OK


def _generic(words: list[str]) -> tuple[dict[str, str], list[str]]:
    """Properties that stand before the command, and the rest."""
    properties: dict[str, str] = {}
    rest = list(words)
    while rest:
        word = rest[0]
        if word == "-fs" and len(rest) > 1:
            properties["fs.defaultFS"], rest = rest[1], rest[2:]
        elif word.startswith("-D") and (word != "-D" or len(rest) > 1):
            given, rest = (rest[1], rest[2:]) if word == "-D" else (word[2:], rest[1:])
            name, _, value = given.partition("=")
            properties[name] = value
        else:
            break
    return properties, rest


def _help(called: str, names: list[str], table: Mapping[str, Command], streams: Streams, everything: str) -> int:
    wanted = [name.removeprefix("-") for name in names]
    for name in (name for name in wanted if name not in table):
        streams.say(f"help: {name}: Unknown command\n")
        return EXIT_ERROR
    if not wanted:
        streams.stdout.write(everything.encode())
    for name in wanted or table:
        streams.stdout.write(f"-{name} {table[name].usage} :\n  {table[name].says}\n\n".encode())
    return EXIT_OK


def commands() -> dict[str, Command]:
    from kmsched.artifacts import hadoop_read as read
    from kmsched.artifacts import hadoop_write as write
    from kmsched.artifacts.hadoop_call import Command

    get = Command(
        write.get,
        "[-f] [-ignoreCrc] <src> ... <localdst>",
        "Copy files to this host; each appears whole or not at all. -f: over files that are there.",
        options=frozenset({"f", "ignoreCrc"}),
    )
    put = Command(
        write.put,
        "[-f] <localsrc> ... <dst>",
        "Copy files of this host, or standard input (-), to HDFS; each appears whole. -f: over files that are there.",
        options=frozenset({"f", "l", "d"}),
        valued=frozenset({"t", "q"}),
    )
    return {
        "cat": Command(read.cat, "[-ignoreCrc] <src> ...", "Print files.", options=frozenset({"ignoreCrc"})),
        "copyFromLocal": put,
        "copyToLocal": get,
        "du": Command(
            read.du,
            "[-s] [-h] [-v] [-x] <path> ...",
            "Bytes, bytes on disks with all replicas, name.",
            options=frozenset("shvx"),
            least=0,
        ),
        "get": get,
        "ls": Command(
            read.ls,
            "[-C] [-d] [-h] [-q] [-R] [-t] [-S] [-r] [-u] [<path> ...]",
            "List files and what is in folders.",
            options=frozenset("CdhqRtSru"),
            least=0,
        ),
        "mkdir": Command(
            write.mkdir, "[-p] <path> ...", "Make folders; -p: with their parents.", options=frozenset("p")
        ),
        "put": put,
        "rm": Command(
            write.rm,
            "[-f] [-r|-R] [-skipTrash] <src> ...",
            "Delete files; -r: folders, too; -f: what is not there is no error.",
            options=frozenset({"f", "r", "R", "skipTrash"}),
        ),
        "stat": Command(
            read.stat,
            "[format] <path> ...",
            "Print facts: %a %A rights, %b bytes, %F type, %g group, %n name, %o block size, %r replicas, %u owner, "
            "%x %X last access, %y %Y last change.",
            options=frozenset("R"),
        ),
        "test": Command(
            read.test,
            "-[defsrwz] <path>",
            "Exit code 0 if it is a folder, is there, is a file, is not empty, may be read, be written, is empty.",
            options=frozenset("defsrwz"),
            most=1,
        ),
    }
