"""Hadoop's files: what they name, and how each broken one is told."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from kmsched.clients.hadoop_conf import HadoopConf, load_hadoop_conf
from kmsched.clients.hadoop_xml import MAX_FILE_BYTES
from kmsched.errors import ConfigRefused

HA = {
    "fs.defaultFS": "hdfs://ns1",
    "dfs.nameservices": "ns1, ns2",
    "dfs.ha.namenodes.ns1": "a, b",
    "dfs.namenode.rpc-address.ns1.a": "nn1:8020",
    "dfs.namenode.rpc-address.ns1.b": "nn2:8020",
    "dfs.namenode.http-address.ns1.a": "nn1:50070",
    "dfs.namenode.http-address.ns1.b": "0.0.0.0:50071",
    "dfs.namenode.rpc-address.ns2": "nn3:9000",
}


def xml(properties: Mapping[str, str]) -> str:
    written = (
        f"<property>\n <name>{name}</name>\n <value> {value} </value></property>" for name, value in properties.items()
    )
    return "<?xml version='1.0'?>\n<!-- site -->\n<configuration>" + "\n".join(written) + "</configuration>"


def conf(folder: Path, core: str = "", hdfs: str = "", **environ: str) -> HadoopConf:
    for name, text in (("core-site.xml", core), ("hdfs-site.xml", hdfs)):
        if text:
            (folder / name).write_text(text)
    return load_hadoop_conf({"HADOOP_CONF_DIR": str(folder), **environ})


def test_without_files_only_a_host_can_be_found(tmp_path: Path) -> None:
    empty = load_hadoop_conf({"HADOOP_CONF_DIR": str(tmp_path / "none")})
    assert empty.default_fs is None
    assert empty.authority("hdfs://nn:8020/km") == "nn:8020"
    assert empty.http_addresses("nn:8020") == ("http://nn:9870",)
    assert empty.http_addresses("[::1]") == ("http://[::1]:9870",)
    with pytest.raises(ConfigRefused, match=r"hdfs:///km names no host and fs\.defaultFS is not set"):
        empty.authority("hdfs:///km")


@pytest.mark.parametrize(
    ("authority", "expected"),
    [
        ("", ("http://nn1:50070", "http://nn2:50071")),
        ("ns1", ("http://nn1:50070", "http://nn2:50071")),
        ("ns2", ("http://nn3:9870",)),
        ("nn2:8020", ("http://nn2:50071",)),
        ("nn2", ("http://nn2:50071",)),
        ("nn3:9000", ("http://nn3:9870",)),
        ("other:8020", ("http://other:9870",)),
    ],
)
def test_nameservices(tmp_path: Path, authority: str, expected: tuple[str, ...]) -> None:
    found = conf(tmp_path, hdfs=xml(HA))
    assert found.http_addresses(authority) == expected
    assert found.authority("hdfs:///km") == "ns1"


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        ("HTTP_ONLY", ("http://nn1:50070", "http://nn2:50071")),
        ("https_only", ("https://nn1:9871", "https://nn2:444")),
        ("HTTP_AND_HTTPS", ("http://nn1:50070", "http://nn2:50071")),
    ],
)
def test_the_policy_decides_on_tls(tmp_path: Path, policy: str, expected: tuple[str, ...]) -> None:
    https = {"dfs.http.policy": policy, "dfs.namenode.https-address.ns1.b": "nn2:444"}
    assert conf(tmp_path, hdfs=xml(HA | https)).http_addresses("ns1") == expected


@pytest.mark.parametrize(
    ("properties", "authority", "expected"),
    [
        ({"fs.defaultFS": "hdfs://nn:8020/", "dfs.namenode.http-address": "0.0.0.0:50070"}, "", "http://nn:50070"),
        ({"fs.default.name": "nn:8020", "dfs.http.address": "web:50070"}, "nn", "http://web:50070"),
        ({"fs.defaultFS": "hdfs://nn", "dfs.namenode.http-address": "nn:1"}, "else", "http://else:9870"),
        ({"dfs.namenode.http-address": "nn:50070"}, "nn:8020", "http://nn:50070"),
        ({"dfs.namenode.rpc-address": "nn:9000", "dfs.namenode.http-address": "w"}, "nn:9000", "http://w:9870"),
        ({"fs.defaultFS": "webhdfs://nn:50070"}, "nn:50070", "http://nn:9870"),
    ],
)
def test_one_namenode(tmp_path: Path, properties: dict[str, str], authority: str, expected: str) -> None:
    assert conf(tmp_path, core=xml(properties)).http_addresses(authority) == (expected,)


def test_the_later_file_wins_but_over_final(tmp_path: Path) -> None:
    core = (
        "<configuration><property name='a' value='core'/>"
        "<property><name>b</name><value>core</value><final>true</final></property></configuration>"
    )
    found = conf(tmp_path, core, xml({"a": "hdfs", "b": "hdfs"}))
    assert (found.get("a"), found.get("b")) == ("hdfs", "core")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("${host}:8020", "nn:8020"),
        ("${env.NN}:1", "from-env:1"),
        ("${env.NONE:-there}:1", "there:1"),
        ("${env.NONE}", "${env.NONE}"),
        ("${none}${host}", "${none}${host}"),
        ("$host", "$host"),
    ],
)
def test_variables(tmp_path: Path, value: str, expected: str) -> None:
    assert conf(tmp_path, xml({"x": value, "host": "n${n}", "n": "n"}), NN="from-env").get("x") == expected


@pytest.mark.parametrize("value", ["${x}", "a${y}", "${x}${x}"])
def test_variables_that_never_end(tmp_path: Path, value: str) -> None:
    found = conf(tmp_path, xml({"x": value, "y": "${x}"}))
    with pytest.raises(ConfigRefused, match=r"core-site\.xml: x=.* more than 20 replacements"):
        found.get("x")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"  \n", "is empty"),
        (b"<configuration><property><name>a</name>", r"line 1: no element found; write it anew"),
        (b"<configuration>\n<a></b></configuration>", "line 2: mismatched tag"),
        (b"<configuration>&lol;</configuration>", "undefined entity"),
        ("<configuration>ü</configuration>".encode("latin-1"), "is not UTF-8: byte 15 is 0xfc"),
        (b"\x00\x01\x02", "not well-formed"),
        (b"<html></html>", "starts with <html>"),
        (b"<!DOCTYPE x [<!ENTITY a 'aaaa'>]><configuration>&a;</configuration>", "entities are refused"),
        (b"<!DOCTYPE x SYSTEM 'file:///etc/passwd'><configuration/>", "document types"),
        (
            b"<configuration xmlns:xi='http://www.w3.org/2001/XInclude'><xi:include href='b.xml'/></configuration>",
            "includes 'b.xml', which is not followed",
        ),
        (b"<configuration>" + b"<a>" * 100, "more than 20 deep"),
        (b"<configuration>" + b" " * MAX_FILE_BYTES, "more than 4 MiB"),
    ],
)
def test_broken_files_are_named(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "hdfs-site.xml").write_bytes(content)
    with pytest.raises(ConfigRefused, match=rf"hdfs-site\.xml.*{message}"):
        conf(tmp_path)


def test_a_file_that_is_a_folder(tmp_path: Path) -> None:
    (tmp_path / "core-site.xml").mkdir()
    with pytest.raises(ConfigRefused, match=r"core-site\.xml cannot be read: Is a directory"):
        conf(tmp_path)


@pytest.mark.parametrize(
    ("changed", "authority", "message"),
    [
        ({"dfs.namenode.http-address.ns1.a": "nn1:port"}, "ns1", r"http-address\.ns1\.a='nn1:port': 'nn1:port' is not"),
        ({"dfs.namenode.http-address.ns1.a": "nn1:70000"}, "ns1", "is not HOST or HOST:PORT"),
        (
            {"dfs.ha.namenodes.ns1": "a, b, c"},
            "ns1",
            r"neither dfs\.namenode\.http-address\.ns1\.c nor .* names a host",
        ),
        ({"dfs.http.policy": "TLS"}, "ns1", "dfs.http.policy='TLS': it is one of HTTP_ONLY, HTTPS_ONLY"),
        ({"fs.defaultFS": "file:///"}, "", "fs.defaultFS='file:///': hdfs:/// needs hdfs://HOST"),
        ({}, "user@host", "'user@host' is not HOST or HOST:PORT"),
    ],
)
def test_values_that_cannot_work(tmp_path: Path, changed: dict[str, str], authority: str, message: str) -> None:
    found = conf(tmp_path, hdfs=xml(HA | changed))
    with pytest.raises(ConfigRefused, match=message):
        found.http_addresses(authority)


def test_what_is_no_uri_is_told() -> None:
    with pytest.raises(ConfigRefused, match="is not a URI"):
        HadoopConf().authority("hdfs://[::1/km")
