"""The executor spec: equal settings give equal bytes, and only what Mesos compares changes it."""

from __future__ import annotations

import json

import pytest

from kmsched import config, fingerprint, flags
from kmsched.config import SchedulerConfig

SHA = "0123456789abcdef" * 4
NEEDED = ("--mesos-master=m:5050", f"--km-path=file:///opt/{SHA}/km", "--api-servers=k:6443")


def build(*tokens: str) -> SchedulerConfig:
    return config.build(flags.parse([*NEEDED, *tokens], flags.SCHEDULER))


def digest(*tokens: str) -> str:
    return fingerprint.fingerprint(fingerprint.executor_spec(build(*tokens)))


def test_canonical_bytes_are_pinned() -> None:
    """Running executors carry this id: a change here declines every agent until a rollout."""
    spec = fingerprint.executor_spec(build())
    assert fingerprint.canonical({"b": [1, "ä"], "a": {}}) == b'{"a":{},"b":[1,"\\u00e4"]}'
    assert fingerprint.canonical(json.loads(fingerprint.canonical(spec))) == fingerprint.canonical(spec)
    assert spec["schema"] == 1
    assert fingerprint.executor_id(spec) == "km-520fc827bcaa4c18"


@pytest.mark.parametrize(
    "tokens",
    [
        ["--executor-idle-timeout=1200"],
        ["--executor-mem=256Mi"],
        ["--executor-cpus=250m"],
        [f"--km_path=/opt/{SHA}/km"],
        ["--api-servers=https://k:6443/"],
        ["--mesos-master=other:5050", "--port=1", "--state-dir=/x", "--log-level=debug"],
        ["--launch-timeout=90s", "--framework-name=Other", "--checkpoint=true"],
    ],
)
def test_spellings_and_flags_outside_the_spec_change_nothing(tokens: list[str]) -> None:
    assert digest(*tokens) == digest()


@pytest.mark.parametrize(
    ("token", "words"),
    [
        ("--executor-mem=300", "--executor-mem: '256' here, '300' there"),
        ("--kubelet-v=4", "--kubelet-v: not set here, '4' there"),
        ("--cluster-domain=x", "--cluster-domain: not set here, 'x' there"),
        (f"--km-path=/other/{SHA}/km", "--km-path: "),
        ("--mesos-role=kube", "executor role"),
    ],
)
def test_each_part_of_the_spec_changes_it_and_is_named(token: str, words: str) -> None:
    ours, theirs = fingerprint.executor_spec(build()), fingerprint.executor_spec(build(token))
    assert fingerprint.fingerprint(ours) != fingerprint.fingerprint(theirs)
    assert any(found.startswith(words) for found in fingerprint.differences(ours, theirs))


def test_equal_specs_do_not_differ() -> None:
    spec = fingerprint.executor_spec(build())
    assert fingerprint.differences(spec, spec) == ()


def test_executor_info_of_a_file_on_the_agent() -> None:
    info = fingerprint.executor_info(build("--kubelet-v=4", "--cluster-dns=10.0.0.10"), "f-1")
    path = f"/opt/{SHA}/km"
    assert info["framework_id"] == {"value": "f-1"}
    assert info["type"] == "CUSTOM"
    assert info["command"] == {
        "shell": False,
        "value": path,
        "arguments": [
            path,
            "executor",
            "--api-servers=https://k:6443",
            "--cluster-dns=10.0.0.10",
            "--executor-idle-timeout=1200s",
            "--executor-launch-grace-period=300s",
            "--kubelet-container-runtime-endpoint=unix:///run/containerd/containerd.sock",
            "--kubelet-kubeconfig=/etc/kmsched/kubelet.kubeconfig",
            "--kubelet-path=file:///usr/local/lib/kmsched/kubelet",
            "--kubelet-root-dir=/var/lib/kubelet",
            "--kubelet-v=4",
        ],
    }
    assert [resource["scalar"]["value"] for resource in info["resources"]] == [0.25, 256.0]
    assert info["shutdown_grace_period"] == {"nanoseconds": 30_000_000_000}


def test_executor_info_of_fetched_files() -> None:
    km, kubelet = f"https://h/{SHA}/km-1", f"https://h/{SHA}/kubelet"
    command = fingerprint.executor_info(build(f"--km-path={km}", f"--kubelet-path={kubelet}"), "f")["command"]
    assert (command["value"], command["arguments"][0]) == ("./km", "./km")
    assert command["uris"] == [
        {"value": km, "executable": True, "extract": False, "output_file": "km"},
        {"value": kubelet, "executable": True, "extract": False},
    ]


def test_the_executor_parses_the_command_line_it_is_given() -> None:
    tokens = ("--kubelet-v=4", "--cluster-dns=10.0.0.10,10.0.0.11", "--executor-idle-timeout=1500ms")
    arguments = fingerprint.executor_info(build(*tokens, "--launch-timeout=1s", "--offer-ttl=500ms"), "f")["command"][
        "arguments"
    ]
    parsed = flags.parse(arguments[2:], flags.EXECUTOR)
    assert parsed["cluster-dns"] == ("10.0.0.10", "10.0.0.11")
    assert parsed["executor-idle-timeout"] == 1.5
    assert parsed.kubelet_extra == (("kubelet-v", "4"),)
