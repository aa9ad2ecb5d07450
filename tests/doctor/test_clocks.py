"""Clocks that differ by more than a Date header can hide."""

from __future__ import annotations

from dataclasses import replace
from email.utils import formatdate
from pathlib import Path

import pytest

from kmsched.clients.kube import KubeAccess
from kmsched.doctor.clocks import ERROR_S, WARN_S, Reading, clocks, seconds_of
from kmsched.doctor.findings import NotChecked, Severity
from kmsched.errors import ConfigRefused
from tests.clients.fakes import Reply
from tests.doctor.patients import PEER, World, found, said
from tests.virtual_time import WALL_S


@pytest.mark.parametrize(
    ("theirs", "before", "after", "skew_s"),
    [
        (1000, 1000.0, 1000.1, 0),
        (1000, 1000.9, 1001.2, 0),  # a whole second was cut off
        (1010, 1000.0, 1000.5, 9.5),
        (990, 1000.0, 1000.5, -9),
        (1010, 1000.0, 1020.0, 0),  # the answer took long enough for anything
    ],
)
def test_how_far_two_clocks_are_apart_at_least(theirs: float, before: float, after: float, skew_s: float) -> None:
    assert Reading(theirs, before, after).skew_s() == skew_s


@pytest.mark.parametrize(
    ("ahead_s", "severity"), [(WARN_S + 1, Severity.WARNING), (-ERROR_S - 5, Severity.ERROR), (ERROR_S, Severity.ERROR)]
)
def test_everybody_whose_clock_is_off_is_named(tmp_path: Path, ahead_s: float, severity: Severity) -> None:
    made = found(clocks, World(tmp_path, date_s=WALL_S + ahead_s).subject())
    assert {each.severity for each in made} == {severity}
    whose = [each.message.partition(" is ")[0] for each in made]
    assert whose == [
        "the clock of Mesos master http://m1:5050",
        "the clock of API server https://api:6443",
        "the clock of Mesos agent h1",
    ]
    side = "ahead of" if ahead_s > 0 else "behind"
    assert all(f"s {side} this host's (more than" in each.message for each in made)


def test_one_that_cannot_be_asked_is_told(tmp_path: Path) -> None:
    world = World(tmp_path, {"GET https://api": Reply(200, [b"{}"])})
    assert said(clocks, world.subject()) == ["not checked: API server https://api:6443 tells no time"]


def test_etcd_is_asked_though_kubernetes_cannot_be(tmp_path: Path) -> None:
    def refused() -> KubeAccess:
        raise ConfigRefused("no kubeconfig")

    subject = World(tmp_path, date_s=WALL_S + 1000).subject(*PEER)
    subject.reached = replace(subject.reached, kube_access=refused)
    assert len([words for words in said(clocks, subject) if "of etcd member" in words]) == 3


def test_when_nobody_tells_the_time_nothing_is_known(tmp_path: Path) -> None:
    world = World(tmp_path, {"http": Reply(503, [b"away"])})
    with pytest.raises(NotChecked, match="tells no time"):
        said(clocks, world.subject())


@pytest.mark.parametrize("text", ["", "soon", "Mon, 99 Nov 2026 00:00:00 GMT"])
def test_what_is_no_date(text: str) -> None:
    assert seconds_of(text) is None


def test_dates_are_seconds_since_the_epoch() -> None:
    assert seconds_of(formatdate(1_700_000_000, usegmt=True)) == 1_700_000_000
