"""The table of flags: each row is readable and refuses what is wrong, and the document's list is kept name by name."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from kmsched import flags, values
from kmsched.errors import UsageError
from kmsched.flag import EXECUTOR, SCHEDULER, Flag, is_in_spec
from kmsched.flag_table import BY_NAME, FLAGS, GROUPS
from kmsched.values import LISTS, Kind

#: the document's list of what affects the hash, as it spells them -> examples of names that must match
DOCUMENTED = {
    "--allow-privileged": ("allow-privileged",),
    "--api-servers": ("api-servers",),
    "--auth-path": ("auth-path",),
    "--cluster_*": ("cluster-dns", "cluster-domain"),
    "--executor_*": (
        "executor-path",
        "executor-cpus",
        "executor-mem",
        "executor-logv",
        "executor-bindall",
        "executor-suicide-timeout",
        "executor-idle-timeout",
        "executor-launch-grace-period",
        "executor-shutdown-grace-period",
    ),
    "--kubelet_*": (
        "kubelet-path",
        "kubelet-root-dir",
        "kubelet-kubeconfig",
        "kubelet-api-servers",
        "kubelet-container-runtime-endpoint",
        "kubelet-sync-frequency",
        "kubelet-v",
    ),
    "--km-path": ("km-path",),
    "--profiling": ("profiling",),
    "--proxy_path": ("proxy-path", "proxy-mode", "proxy-kubeconfig", "proxy-bindall", "proxy-logv", "proxy-v"),
}
#: what is wrong for every flag of a kind
WRONG = {
    Kind.TEXT: ("a\nb",),
    Kind.INT: ("", "x", "1.5"),
    Kind.BOOL: ("", "maybe"),
    Kind.DURATION: ("", "soon", "-1s", "1000y", "0.01ms"),
    Kind.CPUS: ("", "many", "-1", "nan"),
    Kind.MIB: ("", "1.5Gi", "64MB", "-1"),
    Kind.LIST: ("a\nb",),
    Kind.ADDRESSES: ("x", "10.0.0.300", "10.0.0.1 10.0.0.2"),
    Kind.PATH: ("", "relative", "/a/../b"),
    Kind.URI: ("", "ftp://h/x", "http:///x", "http://h:x/"),
    Kind.ARTIFACT: ("", "km", "s3://b/km", "http:///km", "hdfs:///dir/", "file://host/km", "hdfs:///km#sha256=1"),
}
#: what is wrong for one flag, beside its kind, choices and bounds
WRONG_BY_NAME = {
    "mesos-user": ("a b",),
    "mesos-role": ("-role", "a b", ".."),
    "mesos-framework-roles": ("web,-role", "a b", ".."),
    "mesos-default-pod-roles": ("web,-role", "a b", ".."),
    "scheduler-name": ("A", "-a", "a_b"),
    "cluster-domain": ("-x", "a..b", "a b"),
    "kubelet-container-runtime-endpoint": ("", "/run/containerd.sock", "tcp://h:1"),
    "address": ("10.0.0.1/24", "a b"),
    "hostname-override": ("", "a/b"),
}


def wrong_values(flag: Flag) -> Iterator[str]:
    yield from WRONG[flag.kind]
    yield from WRONG_BY_NAME.get(flag.name, ())
    if flag.choices:
        yield from ("", "none-of-them")
    if flag.at_least is not None and flag.at_least > 0:
        yield values.write(flag.kind, flag.at_least * 0.9 if flag.kind is not Kind.MIB else flag.at_least - 1)
    if flag.at_most is not None:
        yield values.write(flag.kind, int(flag.at_most) + 1)


@pytest.mark.parametrize("flag", FLAGS, ids=lambda flag: flag.name)
def test_wrong_values_are_refused_by_the_flags_name(flag: Flag) -> None:
    for text in wrong_values(flag):
        with pytest.raises(UsageError, match=rf"^--{flag.name}: .*\S;? \S"):
            flags.parse([f"--{flag.name}={text}"], min(flag.commands), complete=False)


def test_each_pattern_has_a_wrong_value_of_its_own() -> None:
    assert {flag.name for flag in FLAGS if flag.pattern} == set(WRONG_BY_NAME)


def test_each_flag_is_defined_once_and_its_default_is_readable() -> None:
    names = [flag.name for flag in FLAGS]
    assert len(names) == len(set(names))
    for flag in FLAGS:
        if flag.default is not None:
            value = flags.value_of(flag, flag.default)
            assert flags.value_of(flag, flag.normal(value)) == value


@pytest.mark.parametrize("flag", FLAGS, ids=lambda flag: flag.name)
def test_spec_membership_follows_the_documented_patterns(flag: Flag) -> None:
    pattern = r"allow-privileged|api-servers|auth-path|km-path|profiling|(cluster|executor|kubelet|proxy)-.*"
    assert flag.in_spec == bool(re.fullmatch(pattern, flag.name))
    assert not (flag.is_hot and flag.changes_executors)


@pytest.mark.parametrize(("documented", "examples"), DOCUMENTED.items())
def test_the_documents_list_is_kept_in_both_spellings(documented: str, examples: tuple[str, ...]) -> None:
    stem = documented.removeprefix("--").replace("_", "-")
    for name in examples:
        assert name == stem or name.startswith(stem.rstrip("*")) or name.startswith("proxy-")
        assert is_in_spec(name)
        spelt = name.replace("-", "_")
        [(canonical, _)] = flags._pairs([f"--{spelt}=x"], BY_NAME)
        assert canonical == name


def test_what_executors_take_is_in_the_spec_or_hot_or_about_their_log() -> None:
    strange = [flag.name for flag in FLAGS if EXECUTOR in flag.commands and not (flag.in_spec or flag.is_hot)]
    assert strange == ["log-format"]


def test_only_the_role_changes_executors_without_being_on_the_documents_list() -> None:
    assert [flag.name for flag in FLAGS if flag.changes_executors and not flag.in_spec] == ["mesos-role"]


def test_order_is_declared_where_it_means_nothing() -> None:
    lists = {flag.name: flag.is_ordered for flag in FLAGS if flag.kind in LISTS and flag.in_spec}
    assert lists == {"api-servers": False, "kubelet-api-servers": False, "cluster-dns": True}


def test_groups_hold_each_flag_once() -> None:
    assert [flag.name for group in GROUPS.values() for flag in group] == [flag.name for flag in FLAGS]
    assert {command for flag in FLAGS for command in flag.commands} == {SCHEDULER, EXECUTOR}
