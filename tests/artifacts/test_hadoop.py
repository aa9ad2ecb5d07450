"""The small `hadoop`: what it prints and with which code it ends. Beside the real one it is tried in a scenario."""

from __future__ import annotations

import io
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from kmsched.artifacts import hadoop
from kmsched.artifacts.hadoop import Streams
from kmsched.artifacts.hadoop_paths import MAX_ALTERNATIVES, Complaint, alternatives
from kmsched.artifacts.hadoop_read import human
from tests.artifacts.small_hadoop import ABSENT, EPOCH, THEN, Client, small_tree
from tests.clients.webhdfs import Cluster


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    with small_tree() as cluster:
        yield cluster


@pytest.fixture
def client(cluster: Cluster, tmp_path: Path) -> Client:
    (tmp_path / "conf").mkdir()
    return Client(tmp_path / "conf", cluster.url.removeprefix("http://"))


@pytest.mark.parametrize("program", ["hadoop", "hdfs"])
def test_version_is_what_fetchers_ask_first(client: Client, program: str) -> None:
    assert client("version", program=program) == 0
    assert client.stdout.startswith(b"Hadoop client of km ")


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        ((), 1, "Usage: hadoop"),
        (("jar", "x.jar"), 1, "ERROR: jar is not a command of this small client"),
        (("fs",), 255, "Usage: hadoop fs"),
        (("fs", "-mv", "/a", "/b"), 255, "-mv: Unknown command"),
        (("fs", "ls"), 255, "ls: Unknown command\nDid you mean -ls?  This command begins with a dash."),
        (("fs", "-ls", "-x"), 255, "-ls: Illegal option -x\nUsage: hadoop fs [-D NAME=VALUE] [-fs URI] -ls [-C]"),
        (("fs", "-cat"), 255, "-cat: Not enough arguments: expected 1 but got 0"),
        (("fs", "-test", "-e", "/a", "/b"), 255, "-test: Too many arguments: expected 1 but got 2"),
        (("fs", "-test", "/d"), 255, "-test: No test flag given"),
        (("fs", "-test", "-e", "-d", "/d"), 255, "-test: Only one test flag is allowed"),
        (("fs", "-stat", "%n"), 255, "-stat: Not enough arguments"),
        (("fs", "-ls", "s3a://b/x"), 1, 'ls: No FileSystem for scheme "s3a"'),
        (("fs", "-ls", "//h/x"), 1, 'ls: No FileSystem for scheme "null"'),
        (("fs", "-ls", ""), 255, "-ls: Can not create a Path from an empty string"),
        (("fs", "-help", "mv"), 1, "help: mv: Unknown command"),
        (("fs", "-ls", "hdfs://a b/"), 1, "ls: the authority of hdfs://a b"),
    ],
)
def test_command_lines_that_are_wrong(client: Client, words: tuple[str, ...], code: int, said: str) -> None:
    assert client(*words) == code
    assert client.stderr.startswith(said)
    assert client.stdout == b""


def test_help(client: Client) -> None:
    assert client.fs("-help") == 0
    assert client.stdout.count(b"\n-") == len(hadoop.commands())
    assert client.fs("-help", "ls") == 0
    assert client.stdout.startswith(b"-ls [-C]")
    assert client("--help") == 0


@pytest.mark.parametrize("words", [("fs",), ("dfs",), ("--config", "CONF", "fs"), ("fs", "-D", "x=y", "-Dz=1")])
def test_ways_to_call_it(client: Client, words: tuple[str, ...]) -> None:
    folder = client.environ.pop("HADOOP_CONF_DIR") if "--config" in words else ""
    assert client(*(folder if word == "CONF" else word for word in words), "-cat", "/d/a") == 0
    assert client.stdout == b"one\n"


def test_another_default_file_system(client: Client) -> None:
    assert client.fs("-fs", "file:///", "-cat", "/d/a") == 1
    assert client.stderr == "cat: /d/a: the default file system is file:; write hdfs://HOST/PATH\n"


def test_ls(client: Client, cluster: Cluster) -> None:
    cluster.keep("/d/sub/" + "x" * 3, b"1" * 1536)
    cluster.modified_ms["/d/sub/xxx"] = 1_700_000_000_123
    assert client.fs("-ls", "/d") == 0
    assert client.stdout.decode().splitlines() == [
        "Found 3 items",
        f"-rw-r--r--   3 alice staff          4 {THEN} /d/a",
        f"-rw-r--r--   3 alice staff          0 {THEN} /d/b",
        f"drwxr-xr-x   - alice staff          0 {EPOCH} /d/sub",
    ]
    client.fs("-ls", "-h", "hdfs:///d/sub/xxx")
    assert client.stdout.decode() == f"-rw-r--r--   3 alice staff      1.5 K {THEN} hdfs:///d/sub/xxx\n"


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("/d",), "/d/a /d/b /d/sub"),
        (("-r", "/d"), "/d/sub /d/b /d/a"),
        (("-S", "/d"), "/d/a /d/b /d/sub"),
        (("-R", "/d"), "/d/a /d/b /d/sub /d/sub/c"),
        (("-d", "/d/"), "/d"),
        (("/d/a", "/d/sub/../b"), "/d/a /d/b"),
        (("/d/[ab]",), "/d/a /d/b"),
        (("/d/[!a]",), "/d/b"),
        (("/?/s*/c",), "/d/sub/c"),
        (("hdfs://127.0.0.1/d/{a,sub/c}",), "hdfs://127.0.0.1/d/a hdfs://127.0.0.1/d/sub/c"),
        (("hdfs:///d/a",), "hdfs:///d/a"),
    ],
)
def test_names_are_shown_as_they_were_typed(client: Client, words: tuple[str, ...], expected: str) -> None:
    assert client.fs("-ls", "-C", *words) == 0
    assert client.stdout.decode().split() == expected.split()


def test_relative_names_are_in_the_home_folder(client: Client, cluster: Cluster) -> None:
    cluster.files["/user/alice/x/y"] = b"1"
    for words, expected in (((), b"x\n"), (("x",), b"x/y\n"), (("x/*",), b"x/y\n"), (("../alice/x/y",), b"x/y\n")):
        assert client.fs("-ls", "-C", *words) == 0
        assert client.stdout == expected


@pytest.mark.parametrize("command", ["ls", "cat", "get", "copyToLocal", "stat", "du", "rm"])
@pytest.mark.parametrize("path", ["/none", "/d/none*", "hdfs:///none"])
def test_what_is_not_there(client: Client, command: str, path: str) -> None:
    assert client.fs(f"-{command}", path) == 1
    assert client.stderr == f"{command}: `{path}': {ABSENT}\n"
    assert client.stdout == b""


def test_one_error_does_not_end_the_others(client: Client) -> None:
    assert client.fs("-cat", "/none", "/d", "/d/a") == 1
    assert client.stderr == f"cat: `/none': {ABSENT}\ncat: `/d': Is a directory\n"
    assert client.stdout == b"one\n"


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("-e", "/d/a"), 0),
        (("-e", "/none"), 1),
        (("-d", "/d"), 0),
        (("-d", "/d/a"), 1),
        (("-f", "/d/a"), 0),
        (("-f", "/d"), 1),
        (("-s", "/d/a"), 0),
        (("-s", "/d/b"), 1),
        (("-z", "/d/b"), 0),
        (("-z", "/d/a"), 1),
        (("-r", "/d/a"), 0),
        (("-w", "/d/a"), 1),
    ],
)
def test_test_says_nothing(client: Client, words: tuple[str, ...], code: int) -> None:
    assert client.fs("-test", *words) == code
    assert (client.stdout, client.stderr) == (b"", "")


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("/d/a",), "2023-11-14 22:13:20"),
        (("%F %n %b %r %u:%g %o %a %A%%", "/d/a"), "regular file a 4 3 alice:staff 134217728 644 rw-r--r--%"),
        (("%Y%q%", "/d/a"), "1700000000123q"),
        (("%F", "/d"), "directory"),
        (("-R", "%n", "/d"), "d\na\nb\nsub\nc"),
    ],
)
def test_stat(client: Client, words: tuple[str, ...], expected: str) -> None:
    assert client.fs("-stat", *words) == 0
    assert client.stdout.decode() == f"{expected}\n"


def test_du(client: Client) -> None:
    assert client.fs("-du", "/d") == 0
    assert client.stdout.decode().splitlines() == ["4  12  /d/a", "0  0   /d/b", "5  15  /d/sub"]
    client.fs("-du", "-s", "-v", "/d")
    assert client.stdout.decode().splitlines() == [
        "SIZE  DISK_SPACE_CONSUMED_WITH_ALL_REPLICAS  FULL_PATH_NAME",
        "9     27                                     /d",
    ]


@pytest.mark.parametrize(
    ("size", "shown"), [(0, "0"), (1023, "1023"), (1024, "1 K"), (1536, "1.5 K"), (3 << 30, "3 G")]
)
def test_human_sizes(size: int, shown: str) -> None:
    assert human(size) == shown


def test_mkdir(client: Client, cluster: Cluster) -> None:
    assert client.fs("-mkdir", "/new", "/d", "/d/a", "/x/y") == 1
    assert client.stderr == (
        f"mkdir: `/d': File exists\nmkdir: `/d/a': Is not a directory\nmkdir: `hdfs://127.0.0.1/x': {ABSENT}\n"
    )
    assert client.fs("-mkdir", "-p", "/d", "/x/y") == 0
    assert cluster.folders == {"/new", "/x/y"}


def test_rm(client: Client, cluster: Cluster) -> None:
    assert client.fs("-rm", "/d/a", "/d/sub") == 1
    assert (client.stdout, client.stderr) == (b"Deleted /d/a\n", "rm: `/d/sub': Is a directory\n")
    assert client.fs("-rm", "-f", "/none", "/none*") == 0
    assert (client.stdout, client.stderr) == (b"", "")
    assert client.fs("-rm", "-r", "-f", "/d") == 0
    assert client.stdout == b"Deleted /d\n"
    assert cluster.files == {}
    assert client.fs("-rm", "-r", "/") == 1
    assert client.stderr == "rm: `/': Input/output error\n"


def test_a_trash_is_not_passed_by(client: Client, cluster: Cluster) -> None:
    assert client.fs("-D", "fs.trash.interval=60", "-rm", "/d/a") == 1
    assert client.stderr.startswith("rm: fs.trash.interval=60, and this small client has no trash; say -skipTrash")
    assert client.fs("-D", "fs.trash.interval=60", "-rm", "-skipTrash", "/d/a") == 0
    assert "/d/a" not in cluster.files


def test_kerberos_is_refused(client: Client) -> None:
    assert client.fs("-D", "hadoop.security.authentication=kerberos", "-ls", "/") == 1
    assert client.stderr.startswith("ls: hadoop.security.authentication=kerberos: this small client only knows simple")


def test_nobody_there(client: Client, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as once:
        port = once.getsockname()[1]
    assert client.fs("-D", f"dfs.namenode.http-address=127.0.0.1:{port}", "-ls", "/") == 1
    assert client.stderr == f"ls: http://127.0.0.1:{port}: Connection refused\n"


def test_without_configuration(client: Client, tmp_path: Path) -> None:
    client.environ["HADOOP_CONF_DIR"] = str(tmp_path / "none")
    assert client.fs("-ls", "/") == 1
    assert client.stderr.startswith("ls: hdfs:/// names no host and fs.defaultFS is not set")


def test_a_broken_configuration(client: Client) -> None:
    (Path(client.environ["HADOOP_CONF_DIR"]) / "core-site.xml").write_text("<configuration>")
    assert client.fs("-ls", "/") == 1
    assert client.stderr.startswith("ls: ")
    assert "core-site.xml is not whole XML" in client.stderr


def test_who_asks(client: Client, cluster: Cluster) -> None:
    client.fs("-cat", "/d/a")
    assert cluster.users == {"alice"}


def test_braces() -> None:
    assert set(alternatives("/{a,b{c,d}}/x")) == {"/a/x", "/bc/x", "/bd/x"}
    with pytest.raises(Complaint, match=f"More than {MAX_ALTERNATIVES} alternatives"):
        list(alternatives("{a,b}" * 20))


class Deaf(io.BytesIO):
    """A pipe that nobody reads."""

    def write(self, content: object) -> int:
        raise BrokenPipeError


def test_output_that_nobody_reads(client: Client) -> None:
    streams = Streams(io.BytesIO(), Deaf(), err := io.BytesIO())
    assert hadoop.run("hadoop", ["fs", "-cat", "/d/a"], client.environ, streams) == 1
    assert err.getvalue() == b"cat: Unable to write to output stream.\n"
