"""Kinds of values: what is read, what is refused, and that the normal form is one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kmsched import values
from kmsched.values import Kind

SHA = "0123456789abcdef" * 4
GOOD = [
    (Kind.DURATION, "30s", 30.0),
    (Kind.DURATION, "30", 30.0),
    (Kind.DURATION, "500ms", 0.5),
    (Kind.DURATION, "1h30m", 5400.0),
    (Kind.DURATION, "4w", 2419200.0),
    (Kind.DURATION, "0", 0.0),
    (Kind.DURATION, "1.5", 1.5),
    (Kind.MIB, "256", 256),
    (Kind.MIB, "1Gi", 1024),
    (Kind.MIB, "64MiB", 64),
    (Kind.CPUS, "250m", 0.25),
    (Kind.CPUS, "2", 2.0),
    (Kind.CPUS, "1234.567", 1234.567),
    (Kind.CPUS, "9999999m", 9999.999),
    (Kind.BOOL, "Yes", True),
    (Kind.BOOL, "0", False),
    (Kind.INT, "-3", -3),
    (Kind.LIST, "a, b,,a", ("a", "b")),
    (Kind.LIST, "", ()),
    (Kind.PATH, "//var//lib/./km/", "/var/lib/km"),
    (Kind.URI, "/opt/km", "file:///opt/km"),
    (Kind.URI, "file:///opt/km", "file:///opt/km"),
    (Kind.URI, "https://h:1/km", "https://h:1/km"),
    (Kind.URI, "HTTPS://H:443/Km?A=b#c", "https://h/Km?A=b#c"),
    (Kind.URI, "http://h:443/", "http://h:443/"),
    (Kind.ARTIFACT, "/opt/km", "file:///opt/km"),
    (Kind.ARTIFACT, "hdfs:///km", "hdfs:///km"),
    (Kind.ARTIFACT, "HDFS://NN:8020/km", "hdfs://nn:8020/km"),
    (Kind.ARTIFACT, f"file:///opt//km#sha256={SHA.upper()}", f"file:///opt/km#sha256={SHA}"),
    (Kind.ARTIFACT, f"/opt/{SHA}/km#sha256={SHA}", f"file:///opt/{SHA}/km"),
    (Kind.ARTIFACT, f"http://h:80/km?x#sha256={SHA}", f"http://h/km?x#sha256={SHA}"),
]
BAD = [
    (Kind.DURATION, "", "is empty"),
    (Kind.DURATION, "5x", "write it like 30s"),
    (Kind.DURATION, "-1s", "write it like 30s"),
    (Kind.DURATION, "0.1ms", "too short"),
    (Kind.DURATION, "99999999w", "at most 100 years"),
    (Kind.MIB, "256MB", "whole number"),
    (Kind.MIB, "1.5Gi", "whole number"),
    (Kind.CPUS, "nan", "out of range"),
    (Kind.CPUS, "-1", "out of range"),
    (Kind.CPUS, "many", "not a number of CPUs"),
    (Kind.CPUS, "1_0", "not a number of CPUs"),
    (Kind.CPUS, "\u0661", "not a number of CPUs"),
    (Kind.DURATION, "\u0661s", "write it like 30s"),
    (Kind.DURATION, "\u0661", "write it like 30s"),
    (Kind.MIB, "\u0661", "whole number"),
    (Kind.INT, "\u0661", "not a whole number"),
    (Kind.BOOL, "maybe", "neither true nor false"),
    (Kind.INT, "1.0", "not a whole number"),
    (Kind.PATH, "etc/km", "absolute path"),
    (Kind.PATH, "/a/../b", "absolute path"),
    (Kind.URI, "file://host/km", "three slashes"),
    (Kind.URI, "hdfs:///km", "no usable scheme"),
    (Kind.URI, "http:///km", "names no host"),
    (Kind.URI, "http://h:x/km", "is not a URI"),
    (Kind.ARTIFACT, "ftp://h/km", "no usable scheme"),
    (Kind.ARTIFACT, "https:///km", "names no host"),
    (Kind.ARTIFACT, "hdfs:///dir/", "names no file"),
    (Kind.ARTIFACT, "hdfs:km", "names no file"),
    (Kind.ARTIFACT, "http://u:secret@h/km", "holds a user"),
    (Kind.ARTIFACT, "hdfs:///km#km", "is no digest"),
    (Kind.ARTIFACT, f"hdfs:///{SHA}/km#sha256={'f' * 64}", "names two digests"),
    (Kind.ARTIFACT, "http://h/ä/km", "write them as %XX, like %C3%A4 for ä"),
    (Kind.URI, "https://h/a b", "write them as %XX"),
    (Kind.TEXT, "a\nb", "control characters"),
    (Kind.TEXT, "a\udcff", "no UTF-8"),
]


@pytest.mark.parametrize(("kind", "text", "value"), GOOD)
def test_text_becomes_its_value(kind: Kind, text: str, value: object) -> None:
    assert values.read(kind, text) == value


@pytest.mark.parametrize(("kind", "text", "words"), BAD)
def test_wrong_text_is_refused_with_a_remedy(kind: Kind, text: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        values.read(kind, text)


@pytest.mark.parametrize(("kind", "text", "value"), GOOD)
def test_normal_form_reads_as_the_same_value(kind: Kind, text: str, value: object) -> None:
    assert values.read(kind, values.write(kind, value)) == value


@given(st.integers(0, 10**10))
def test_durations_have_one_normal_form(milliseconds: int) -> None:
    text = values.write(Kind.DURATION, milliseconds / 1000)
    assert values.read_duration(text) == milliseconds / 1000
    assert values.write(Kind.DURATION, values.read_duration(f"{milliseconds}ms")) == text
