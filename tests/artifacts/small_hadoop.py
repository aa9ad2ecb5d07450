"""The small `hadoop` against one fake HDFS: runs command lines, and keeps what the last one said."""

from __future__ import annotations

import contextlib
import functools
import io
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from kmsched.artifacts import hadoop
from kmsched.artifacts.hadoop import Streams
from kmsched.clients.webhdfs import WebHdfs
from tests.clients.webhdfs import Cluster, running

CONF = """<configuration>
<property><name>fs.defaultFS</name><value>hdfs://127.0.0.1</value></property>
<property><name>dfs.namenode.http-address</name><value>{address}</value></property>
{more}</configuration>"""
#: local time, as `ls` has it
THEN, EPOCH = (f"{datetime.fromtimestamp(seconds):%Y-%m-%d %H:%M}" for seconds in (1_700_000_000, 0))
ABSENT = "No such file or directory"


class Client:
    """`folder` gets its configuration."""

    def __init__(self, folder: Path, address: str, **properties: str) -> None:
        written = [f"<property name='{name}' value='{value}'/>" for name, value in properties.items()]
        (folder / "core-site.xml").write_text(CONF.format(address=address, more="".join(written)))
        self.environ = {"HADOOP_CONF_DIR": str(folder), "HADOOP_USER_NAME": "alice"}
        self.stdout, self.stderr, self.stdin = b"", "", b""

    def __call__(self, *words: str, program: str = "hadoop") -> int:
        streams = Streams(io.BytesIO(self.stdin), out := io.BytesIO(), err := io.BytesIO())
        code = hadoop.run(program, words, self.environ, streams, functools.partial(WebHdfs, pauses_s=()))
        self.stdout, self.stderr = out.getvalue(), err.getvalue().decode()
        return code

    def fs(self, *words: str) -> int:
        return self("fs", *words)


@contextlib.contextmanager
def small_tree() -> Iterator[Cluster]:
    """A fake with three files below /d."""
    with running() as cluster:
        cluster.keep("/d/a", b"one\n")
        cluster.keep("/d/b", b"")
        cluster.keep("/d/sub/c", b"three")
        cluster.modified_ms = dict.fromkeys(cluster.modified_ms, 1_700_000_000_123)
        yield cluster
