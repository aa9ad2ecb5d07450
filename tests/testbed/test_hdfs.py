"""The pure parts of HDFS: daemons and ports, configuration, command lines, checksums."""

from __future__ import annotations

import hashlib
import subprocess
from pathlib import Path
from xml.etree import ElementTree

import pytest

from testbed import hadoop, hdfs_layout, hdfs_presence, hdfs_tls
from testbed.errors import LabError, UsageError
from testbed.hadoop import Release
from testbed.hdfs_layout import Layout, http_port, https_port, rpc_port
from testbed.probe import Machine
from testbed.settings import from_environment


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return Layout("10.88.0.1", tmp_path)


@pytest.fixture
def release(tmp_path: Path) -> Release:
    (tmp_path / "lib").mkdir()
    for name in ("b.jar", "a.jar"):
        (tmp_path / "lib" / name).write_text(name)
    return Release(Path("/bin/echo"), tmp_path, tmp_path / "classes")


def read(folder: Path, name: str) -> dict[str, str]:
    rows = ElementTree.parse(folder / name).getroot().findall("property")
    return {str(row.findtext("name")): str(row.findtext("value")) for row in rows}


def test_daemons_are_named_and_found(layout: Layout) -> None:
    names = [part.name for part in layout.parts]
    assert names == ["jn1", "jn2", "jn3", "nn1", "nn2", "dn1", "dn2", "dn3"]
    assert layout.part("dn2").program == "datanode"
    with pytest.raises(UsageError, match=r"no such daemon of HDFS: 'dn4' \(there are: jn1, .*dn3\)"):
        layout.part("dn4")


def test_no_two_daemons_share_a_port(layout: Layout) -> None:
    ports = [port(part) for part in layout.parts for port in (http_port, rpc_port)]
    ports += [rpc_port(part) + 1 for part in layout.of("datanode")]
    ports += [https_port(part) for part in layout.parts if part.program != "journalnode"]
    assert len(set(ports)) == len(ports)
    assert layout.namenode_urls() == ["http://10.88.0.1:9870", "http://10.88.0.1:9871"]


def test_clients_find_both_namenodes_by_the_name_of_the_service(layout: Layout) -> None:
    hdfs_layout.write(layout)
    assert read(layout.client, "core-site.xml")["fs.defaultFS"] == "hdfs://lab"
    found = read(layout.client, "hdfs-site.xml")
    assert found["dfs.ha.namenodes.lab"] == "nn1,nn2"
    assert found["dfs.namenode.rpc-address.lab.nn2"] == "10.88.0.1:8021"
    assert found["dfs.namenode.http-address.lab.nn1"] == "10.88.0.1:9870"


def test_each_daemon_has_a_folder_and_knows_who_it_is(layout: Layout) -> None:
    hdfs_layout.write(layout)
    second = read(layout.configuration(layout.part("nn2")), "hdfs-site.xml")
    assert second["dfs.ha.namenode.id"] == "nn2"
    assert second["dfs.namenode.name.dir"] == f"file://{layout.folder}/data/nn2"
    assert second["dfs.namenode.shared.edits.dir"] == "qjournal://10.88.0.1:8485;10.88.0.1:8487;10.88.0.1:8489/lab"
    third = read(layout.configuration(layout.part("dn3")), "hdfs-site.xml")
    assert third["dfs.datanode.http.address"] == "10.88.0.1:9930"
    assert (
        third["dfs.datanode.data.dir"]
        != read(layout.configuration(layout.part("dn1")), "hdfs-site.xml")["dfs.datanode.data.dir"]
    )


def test_daemons_speak_tls_where_there_is_a_keystore(layout: Layout) -> None:
    hdfs_layout.write(layout)
    first = layout.configuration(layout.part("nn1"))
    assert "dfs.http.policy" not in read(first, "hdfs-site.xml")
    hdfs_tls.make(layout.tls, layout.address)
    hdfs_layout.write(layout)
    assert read(first, "hdfs-site.xml")["dfs.http.policy"] == "HTTP_AND_HTTPS"
    assert "dfs.http.policy" not in read(layout.configuration(layout.part("jn1")), "hdfs-site.xml")
    assert Path(read(first, "ssl-server.xml")["ssl.server.keystore.location"]).exists()
    assert read(layout.client, "hdfs-site.xml")["dfs.namenode.https-address.lab.nn2"] == "10.88.0.1:9876"


def test_values_are_quoted_for_xml() -> None:
    text = hdfs_layout.xml({"a": "<b> & c"})
    assert "<b>" not in text
    assert ElementTree.fromstring(text).findtext("property/value") == "<b> & c"


def test_a_command_names_jars_in_order_then_the_configuration(release: Release) -> None:
    command = release.command("namenode", Path("/conf"), "-format")
    lib = release.jars / "lib"
    assert command[command.index("-cp") + 1] == f"{lib}/a.jar:{lib}/b.jar:/conf:{release.jars}/share"
    assert command[-2:] == [hadoop.PROGRAMS["namenode"], "-format"]
    assert f"-XX:SharedArchiveFile={release.classes}/namenode.jsa" in command
    assert "--add-opens=java.base/java.lang=ALL-UNNAMED" in command


def test_the_launcher_starts_the_clients_class_with_the_configuration_it_is_told(
    release: Release, tmp_path: Path
) -> None:
    script = tmp_path / "hadoop"
    script.write_text(hadoop.launcher(release, ["env", "MARK=1"], Path("/lab/client")))

    def said(*words: str, **environ: str) -> str:
        command = ["sh", str(script), *words]
        return subprocess.run(command, capture_output=True, text=True, env=environ, check=True).stdout

    assert f":/lab/client:{release.jars}/share {hadoop.PROGRAMS['fs']} -ls /" in said("dfs", "-ls", "/")
    assert ":/own:" in said("fs", "-ls", "/", HADOOP_CONF_DIR="/own")
    assert ":/said:" in said("--config", "/said", "version", HADOOP_CONF_DIR="/own")
    assert said("org.apache.Thing", "a b").endswith(" org.apache.Thing a b\n")
    assert subprocess.run(["sh", str(script), "format"], capture_output=True, check=False).returncode == 1


def test_jars_must_be_those_of_the_list(release: Release) -> None:
    digests = {name: hashlib.sha256(name.encode()).hexdigest() for name in ("a.jar", "b.jar")}
    listed = "# a comment\n" + "".join(f"{digest}  {name}\n" for name, digest in digests.items())
    found = hadoop.sums(release.jars / "lib")
    hadoop.check(found, listed)
    with pytest.raises(LabError, match=r"1 jars are not .*; c\.jar has SHA-256 none: it is not there, 12 was expected"):
        hadoop.check(found, f"{listed}12  c.jar\n")
    with pytest.raises(LabError, match=r"b\.jar has SHA-256 00, [0-9a-f]{64} was expected"):
        hadoop.check({**found, "b.jar": "00"}, listed)


def test_every_listed_jar_has_one_digest_and_hadoop_is_among_them() -> None:
    version = hadoop.version((hadoop.SOURCE / "pom.xml").read_text())
    rows = [line.split() for line in (hadoop.SOURCE / "jars.sha256").read_text().splitlines() if line[0] != "#"]
    assert all(len(digest) == 64 for digest, _ in rows)
    names = [name for _, name in rows]
    assert len(set(names)) == len(names)
    assert {f"hadoop-hdfs-{version}.jar", f"hadoop-common-{version}.jar"} <= set(names)
    assert not any(hadoop.NATIVE.search(name) for name in names)


def test_a_pom_without_a_version_and_a_machine_without_java_are_refused(tmp_path: Path) -> None:
    with pytest.raises(LabError, match=r"no hadoop\.version"):
        hadoop.version("<project/>")
    with pytest.raises(LabError, match="run: python3 -m testbed install"):
        hadoop.java(tmp_path)


def test_a_testbed_has_hdfs_only_when_it_was_asked_for(tmp_path: Path) -> None:
    settings = from_environment({"KM_TESTBED_DIR": str(tmp_path)})
    machine = Machine(tmp_path, frozenset())
    assert hdfs_presence.find(settings, machine) is None
    with pytest.raises(LabError, match="has no HDFS; run: python3 -m testbed up --hdfs"):
        hdfs_presence.must_find(settings, machine)
