"""The table of versions and how it is read."""

from __future__ import annotations

import pytest

from kmsched import compatibility
from kmsched.compatibility import ETCD, KUBERNETES, MESOS, PYTHON, SUPPORT, SYSTEMD, objection, parse


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("v1.37.2+build", (1, 37, 2)),
        ("1.6.20~ds1", (1, 6, 20)),
        ("252.30-1~deb12u2", (252, 30)),
        ("3.11.2", (3, 11, 2)),
        ("dev", None),
        ("", None),
    ],
)
def test_versions_as_people_write_them(text: str, version: tuple[int, ...] | None) -> None:
    assert parse(text) == version


def test_what_was_tested_is_expected_but_for_the_etcd_of_debian_12() -> None:
    objections = {
        (part, each): words
        for part, support in SUPPORT.items()
        for each in support.tested
        if (words := objection(part, each)) is not None
    }
    why = "is tested, but not of those that are expected (3.5.23 to below 3.6, 3.6.5 to below 4): "
    assert objections == {(ETCD, "3.4.23"): f"version 3.4.23 {why}{SUPPORT[ETCD].why}"}


@pytest.mark.parametrize(
    ("part", "text"),
    [(MESOS, "1.8.1"), (MESOS, "2.0.0"), (KUBERNETES, "v1.34.9"), (KUBERNETES, "v1.38.0"), (SYSTEMD, "241"),
     (ETCD, "3.5.22"), (ETCD, "3.6.4"), (ETCD, "3.4.22"), (PYTHON, "3.10.1")],
)  # fmt: skip
def test_what_is_outside_is_said_with_the_reason(part: str, text: str) -> None:
    words = objection(part, text)
    assert words is not None
    assert words.startswith(f"version {text} is neither tested (")
    assert words.endswith(SUPPORT[part].why)


@pytest.mark.parametrize(("part", "text"), [(ETCD, "3.5.23"), (ETCD, "3.6.5"), (SYSTEMD, "260"), (PYTHON, "3.14.0")])
def test_what_is_inside(part: str, text: str) -> None:
    assert objection(part, text) is None


def test_a_version_that_cannot_be_read_is_not_passed_over() -> None:
    assert objection(MESOS, "devel") == "the version 'devel' cannot be read; tested are 1.11.0"


def test_ranges_in_words() -> None:
    assert compatibility.expected(SUPPORT[ETCD]) == "3.5.23 to below 3.6, 3.6.5 to below 4"
    assert compatibility.expected(SUPPORT[SYSTEMD]) == "247 and later"
