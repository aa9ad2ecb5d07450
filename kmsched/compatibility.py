"""Which versions of its neighbours this version was run with, and which it is expected to work with.

One table; `docs/compatibility.md` and `km doctor` read it.  It does not know how a version is found out.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

Version = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Range:
    """From `at_least`, included, to `below`, excluded; () has no end."""

    at_least: Version
    below: Version = ()

    def holds(self, version: Version) -> bool:
        return self.at_least <= version and (not self.below or version < self.below)


@dataclass(frozen=True, slots=True)
class Support:
    """`tested`: run by the scenarios, or by hand against the real thing. `why`: where the range ends, and why there."""

    name: str
    tested: tuple[str, ...]
    expected: tuple[Range, ...]
    why: str


MESOS, KUBERNETES, KUBELET, CONTAINERD = "mesos", "kubernetes", "kubelet", "containerd"
ETCD, HADOOP, SYSTEMD, PYTHON = "etcd", "hadoop", "systemd", "python"

SUPPORT: Mapping[str, Support] = MappingProxyType(
    {
        MESOS: Support(
            "Mesos master and agents",
            ("1.11.0",),
            (Range((1, 9), (2,)),),
            "1.9 is the first with the operator API's quota limits; there is no 2",
        ),
        KUBERNETES: Support(
            "Kubernetes API server",
            ("1.37.2",),
            (Range((1, 35), (1, 38)),),
            "in-place resize is on since 1.35; a later one may word refusals of a Binding in another way",
        ),
        KUBELET: Support(
            "kubelet",
            ("1.37.2",),
            (Range((1, 35), (1, 38)),),
            "as the API server, never newer than it; 1.38 needs containerd 2",
        ),
        CONTAINERD: Support(
            "containerd",
            ("1.6.20",),
            (Range((1, 6), (3,)),),
            "older ones lack the CRI version that kubelet speaks",
        ),
        ETCD: Support(
            "etcd",
            ("3.4.23", "3.7.0"),
            (Range((3, 5, 23), (3, 6)), Range((3, 6, 5), (4,))),
            "before 3.5.23, and 3.6 before 3.6.5, it may call a revoked lease alive; each renewal reads the leader's "
            "key, too, so that no two lead by it",
        ),
        HADOOP: Support(
            "Hadoop (HDFS)",
            ("3.4.1",),
            (Range((3, 1), (4,)),),
            "WebHDFS with port 9870, as since 3.0",
        ),
        SYSTEMD: Support(
            "systemd on scheduler hosts",
            ("252",),
            (Range((247,)),),
            "BARRIER=1 came with 246; 247 is the oldest in a distribution that is still kept",
        ),
        PYTHON: Support(
            "Python on scheduler and agent hosts",
            ("3.11",),
            (Range((3, 11), (3, 15)),),
            "3.11 is needed; the km file carries libraries for the one it was built with",
        ),
    }
)


def parse(text: str) -> Version | None:
    """The numbers of "v1.37.2+build", "3.4.1-SNAPSHOT" or "252.30-1~deb12u2"; None if there are none."""
    match = re.match(r"v?(\d+(?:\.\d+)*)", text.strip())
    return tuple(int(part) for part in match[1].split(".")) if match else None


def objection(part: str, text: str) -> str | None:
    """What there is to say of version `text` of `part`, a key of `SUPPORT`; None if it is expected."""
    support = SUPPORT[part]
    version = parse(text)
    if version is None:
        return f"the version {text!r} cannot be read; tested are {tested(support)}"
    if any(each.holds(version) for each in support.expected):
        return None
    if version in map(parse, support.tested):
        return f"version {text} is tested, but not of those that are expected ({expected(support)}): {support.why}"
    return f"version {text} is neither tested ({tested(support)}) nor expected ({expected(support)}): {support.why}"


def tested(support: Support) -> str:
    return ", ".join(support.tested)


def expected(support: Support) -> str:
    """The ranges in words, like "1.9 to below 2"."""
    return ", ".join(_words(each) for each in support.expected)


def _words(each: Range) -> str:
    start = ".".join(map(str, each.at_least))
    return f"{start} to below {'.'.join(map(str, each.below))}" if each.below else f"{start} and later"
