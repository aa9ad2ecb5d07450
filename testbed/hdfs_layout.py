"""The daemons of one HDFS, their ports, folders and configuration files.

Two NameNodes share their edits through JournalNodes; which one is active is decided by hand. Renders text from values;
starts nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from xml.sax.saxutils import escape

from testbed import hdfs_tls
from testbed.errors import UsageError

NAMESERVICE = "lab"
NAMENODES = 2
#: how long a DataNode waits for the next one; shorter than usual (60 s), so that uploads past a hung one end in time
REPLICA_TIMEOUT_MS = 10_000
MIB = 1 << 20
BLOCK_MIB, REPLICAS = 32, 2


@dataclass(frozen=True, slots=True)
class Part:
    """A daemon. `program` is its name for `hadoop`, `name` such as nn1 is ours."""

    program: str
    number: int

    @property
    def name(self) -> str:
        return f"{self.program[0]}n{self.number}"


@dataclass(frozen=True, slots=True)
class Layout:
    """`address` is what all daemons bind and advertise; all that they write is below `folder`."""

    address: str
    folder: Path
    journalnodes: int = 3
    datanodes: int = 3

    @property
    def parts(self) -> tuple[Part, ...]:
        """In the order of their start."""
        counts = {"journalnode": self.journalnodes, "namenode": NAMENODES, "datanode": self.datanodes}
        return tuple(Part(program, number) for program, count in counts.items() for number in range(1, count + 1))

    def of(self, program: str) -> list[Part]:
        return [part for part in self.parts if part.program == program]

    def part(self, name: str) -> Part:
        """Raises UsageError: there is no such daemon."""
        found = next((part for part in self.parts if part.name == name), None)
        if found is None:
            raise UsageError(f"no such daemon of HDFS: {name!r} (there are: {', '.join(p.name for p in self.parts)})")
        return found

    @property
    def client(self) -> Path:
        """Configuration of clients."""
        return self.folder / "client"

    def configuration(self, part: Part) -> Path:
        return self.folder / "conf" / part.name

    def data(self, part: Part) -> Path:
        return self.folder / "data" / part.name

    @property
    def tls(self) -> Path:
        """Certificates; without a keystore there, nobody speaks TLS."""
        return self.folder / "tls"

    @property
    def has_tls(self) -> bool:
        return hdfs_tls.keystore(self.tls).exists()

    def http(self, part: Part) -> str:
        """Where its HTTP server is; of NameNodes and DataNodes that is WebHDFS."""
        return f"http://{self.address}:{http_port(part)}"

    def namenode_urls(self) -> list[str]:
        return [self.http(part) for part in self.of("namenode")]


def rpc_port(part: Part) -> int:
    """Where its own protocol is: for clients of NameNodes, block data of DataNodes, edits of JournalNodes."""
    first, step = {"namenode": (8020, 1), "datanode": (9911, 10), "journalnode": (8485, 2)}[part.program]
    return first + step * (part.number - 1)


def http_port(part: Part) -> int:
    first, step = {"namenode": (9870, 1), "datanode": (9910, 10), "journalnode": (8486, 2)}[part.program]
    return first + step * (part.number - 1)


def https_port(part: Part) -> int:
    """The same with TLS, of NameNodes and DataNodes."""
    first, step = {"namenode": (9875, 1), "datanode": (9913, 10)}[part.program]
    return first + step * (part.number - 1)


def core() -> dict[str, str]:
    """core-site.xml of all."""
    return {
        "fs.defaultFS": f"hdfs://{NAMESERVICE}",
        "ipc.client.connect.max.retries": "3",
        "ipc.client.connect.retry.interval": "500",
    }


def client(layout: Layout) -> dict[str, str]:
    """hdfs-site.xml of clients: how the nameservice is found."""
    found = {
        "dfs.nameservices": NAMESERVICE,
        f"dfs.ha.namenodes.{NAMESERVICE}": ",".join(part.name for part in layout.of("namenode")),
        f"dfs.client.failover.proxy.provider.{NAMESERVICE}": (
            "org.apache.hadoop.hdfs.server.namenode.ha.ConfiguredFailoverProxyProvider"
        ),
    }
    for part in layout.of("namenode"):
        of_part = f"{NAMESERVICE}.{part.name}"
        found[f"dfs.namenode.rpc-address.{of_part}"] = f"{layout.address}:{rpc_port(part)}"
        found[f"dfs.namenode.http-address.{of_part}"] = f"{layout.address}:{http_port(part)}"
        found[f"dfs.namenode.https-address.{of_part}"] = f"{layout.address}:{https_port(part)}"
    return found


def daemon(layout: Layout, part: Part) -> dict[str, str]:
    """hdfs-site.xml of one daemon."""
    return {**client(layout), **_shared(layout), **_OWN[part.program](layout, part), **_tls(layout, part)}


def _shared(layout: Layout) -> dict[str, str]:
    journal = ";".join(f"{layout.address}:{rpc_port(part)}" for part in layout.of("journalnode"))
    return {
        "hadoop.tmp.dir": str(layout.folder / "tmp"),
        "dfs.namenode.shared.edits.dir": f"qjournal://{journal}/{NAMESERVICE}",
        # the journal lets only one NameNode write; there is nobody to be shot
        "dfs.ha.fencing.methods": "shell(/bin/true)",
        "dfs.ha.automatic-failover.enabled": "false",
        "dfs.replication": str(min(REPLICAS, layout.datanodes)),
        "dfs.blocksize": str(BLOCK_MIB * MIB),
        "dfs.permissions.enabled": "true",
        # one address, no DNS
        "dfs.namenode.datanode.registration.ip-hostname-check": "false",
        "dfs.datanode.hostname": layout.address,
        # a DataNode is dead after 2 x 3 + 10 x 1 = 16 s, usually 10.5 min; clients must help themselves before that,
        # so nothing is avoided for being stale, as it is by default
        "dfs.heartbeat.interval": "1",
        "dfs.namenode.heartbeat.recheck-interval": "3000",
        "dfs.blockreport.initialDelay": "0",
        "dfs.namenode.safemode.extension": "0",
        "dfs.namenode.safemode.min.datanodes": "1",
        "dfs.ha.tail-edits.period": "1",
        "dfs.ha.log-roll.period": "10",
        "dfs.namenode.handler.count": "10",
        "dfs.datanode.handler.count": "4",
        "dfs.datanode.du.reserved": "0",
        "dfs.namenode.resource.du.reserved": str(10 * MIB),
    }


def _tls(layout: Layout, part: Part) -> dict[str, str]:
    """JournalNodes have no HTTPS ports of their own here."""
    if not layout.has_tls or part.program == "journalnode":
        return {}
    return {"dfs.http.policy": "HTTP_AND_HTTPS"}


def _namenode(layout: Layout, part: Part) -> dict[str, str]:
    data = layout.data(part)
    return {
        "dfs.ha.namenode.id": part.name,
        "dfs.namenode.name.dir": data.as_uri(),
        "dfs.namenode.checkpoint.dir": data.with_name(f"{data.name}-checkpoint").as_uri(),
    }


def _datanode(layout: Layout, part: Part) -> dict[str, str]:
    return {
        "dfs.datanode.data.dir": layout.data(part).as_uri(),
        "dfs.datanode.http.address": f"{layout.address}:{http_port(part)}",
        "dfs.datanode.https.address": f"{layout.address}:{https_port(part)}",
        "dfs.datanode.address": f"{layout.address}:{rpc_port(part)}",
        "dfs.datanode.ipc.address": f"{layout.address}:{rpc_port(part) + 1}",
        # it is the client of the others for what comes by WebHDFS
        "dfs.client.socket-timeout": str(REPLICA_TIMEOUT_MS),
    }


def _journalnode(layout: Layout, part: Part) -> dict[str, str]:
    return {
        "dfs.journalnode.edits.dir": str(layout.data(part)),
        "dfs.journalnode.rpc-address": f"{layout.address}:{rpc_port(part)}",
        "dfs.journalnode.http-address": f"{layout.address}:{http_port(part)}",
    }


_OWN = {"namenode": _namenode, "datanode": _datanode, "journalnode": _journalnode}


def xml(properties: Mapping[str, str]) -> str:
    """A configuration file of Hadoop."""
    rows = "".join(
        f"  <property><name>{escape(name)}</name><value>{escape(value)}</value></property>\n"
        for name, value in properties.items()
    )
    return f'<?xml version="1.0"?>\n<configuration>\n{rows}</configuration>\n'


def write(layout: Layout) -> None:
    """Writes all configuration files; daemons read theirs when they start."""
    wanted = {layout.client: client(layout)}
    wanted |= {layout.configuration(part): daemon(layout, part) for part in layout.parts}
    for folder, properties in wanted.items():
        folder.mkdir(parents=True, exist_ok=True)
        files = {"core-site.xml": core(), "hdfs-site.xml": properties}
        if layout.has_tls:
            files["ssl-server.xml"] = hdfs_tls.server(layout.tls)
        for name, values in files.items():
            scratch = folder / f"{name}.new"
            scratch.write_text(xml(values))
            scratch.replace(folder / name)
