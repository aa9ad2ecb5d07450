"""The executor spec: equal settings give equal bytes, and only what Mesos compares changes it."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest

from kmsched import config, fingerprint, flags
from kmsched.artifacts.digests import named
from kmsched.config import SchedulerConfig
from kmsched.executor.gate import gate_source

SHA = "0123456789abcdef" * 4
OTHER = "f" * 64
NEEDED = ("--mesos-master=m:5050", f"--km-path=file:///opt/{SHA}/km", "--api-servers=k:6443")


def build(*tokens: str) -> SchedulerConfig:
    return config.build(flags.parse([*NEEDED, *tokens], flags.SCHEDULER))


def spec_of(*tokens: str) -> dict[str, Any]:
    built = build(*tokens)
    return fingerprint.executor_spec(built, named(built.artifacts), "the gate")


def info_of(*tokens: str) -> dict[str, Any]:
    built = build(*tokens)
    return fingerprint.executor_info(built, named(built.artifacts), "f-1")


def test_canonical_bytes_are_pinned() -> None:
    spec = spec_of()
    assert fingerprint.canonical({"b": [1, "ä"], "a": {}}) == b'{"a":{},"b":[1,"\\u00e4"]}'
    assert fingerprint.canonical(json.loads(fingerprint.canonical(spec))) == fingerprint.canonical(spec)
    assert spec["schema"] == 2
    assert fingerprint.executor_id(spec) == f"km-{fingerprint.fingerprint(spec)[:16]}"


@pytest.mark.parametrize(
    "tokens",
    [
        ["--executor-launch-grace-period=300"],
        ["--agent-idle-timeout=1h", "--agent-log-level=debug"],
        ["--executor-mem=256Mi"],
        ["--executor-cpus=250m"],
        [f"--km_path=/opt/{SHA}/km"],
        [f"--km-path=/opt/{SHA}/km#sha256={SHA}"],
        ["--api-servers=https://k:6443/"],
        ["--mesos-master=other:5050", "--port=1", "--state-dir=/x", "--log-level=debug"],
        ["--launch-timeout=90s", "--framework-name=Other", "--checkpoint=true"],
    ],
)
def test_spellings_and_flags_outside_the_spec_change_nothing(tokens: list[str]) -> None:
    assert spec_of(*tokens) == spec_of()


@pytest.mark.parametrize(
    ("token", "words"),
    [
        ("--executor-mem=300", "--executor-mem: 256 here, 300 there"),
        ("--kubelet-v=4", "--kubelet-v: not set here, '4' there"),
        ("--cluster-domain=x", "--cluster-domain: not set here, 'x' there"),
        ("--cluster-dns=1.1.1.1,2.2.2.2", "--cluster-dns: not set here, '1.1.1.1,2.2.2.2' there"),
        (f"--km-path=/other/{SHA}/km", "--km-path: "),
        (f"--kubelet-path=/usr/local/lib/kmsched/kubelet#sha256={OTHER}", "digest of --kubelet-path: not set here"),
        ("--mesos-role=kube", "--mesos-role: '*' here, 'kube' there"),
    ],
)
def test_each_part_of_the_spec_changes_it_and_is_named_alone(token: str, words: str) -> None:
    ours, theirs = spec_of(), spec_of(token)
    assert fingerprint.fingerprint(ours) != fingerprint.fingerprint(theirs)
    [found] = fingerprint.differences(ours, theirs)
    assert found.startswith(words)


def test_what_is_no_flag_is_named_too() -> None:
    spec, built = spec_of(), build()
    assert fingerprint.differences(spec, spec) == ()
    other_gate = fingerprint.executor_spec(built, named(built.artifacts), "another gate")
    [gate] = fingerprint.differences(spec, other_gate)
    assert gate.startswith("executor gate: 'sha256:")
    assert fingerprint.differences(spec, {**spec, "schema": 1}) == ("schema: 2 here, 1 there",)
    executor = {**spec["executor"], "resources": {"cpus_milli": 1}}
    [resources] = fingerprint.differences(spec, {**spec, "executor": executor})
    assert resources.startswith("executor resources: ")


def test_executor_info_of_a_file_on_the_agent() -> None:
    info = info_of("--kubelet-v=4", "--cluster-dns=10.0.0.10", f"--kubelet-path=/kubelet#sha256={OTHER}")
    assert info["framework_id"] == {"value": "f-1"}
    assert info["type"] == "CUSTOM"
    assert info["command"] == {
        "shell": False,
        "value": "python3",
        "arguments": [
            "python3",
            "-c",
            gate_source(),
            SHA,
            f"/opt/{SHA}/km",
            "executor",
            "--api-servers=https://k:6443",
            "--cluster-dns=10.0.0.10",
            "--executor-launch-grace-period=300s",
            "--kubelet-container-runtime-endpoint=unix:///run/containerd/containerd.sock",
            "--kubelet-kubeconfig=/etc/kmsched/kubelet.kubeconfig",
            f"--kubelet-path=file:///kubelet#sha256={OTHER}",
            "--kubelet-root-dir=/var/lib/kubelet",
            "--kubelet-v=4",
        ],
    }
    assert [resource["scalar"]["value"] for resource in info["resources"]] == [0.25, 256.0]
    assert info["shutdown_grace_period"] == {"nanoseconds": 30_000_000_000}


@pytest.mark.parametrize("km", [f"https://h/{SHA}/km-1", f"hdfs:///km#sha256={SHA}"])
def test_executor_info_of_a_fetched_file(km: str) -> None:
    command = info_of(f"--km-path={km}")["command"]
    assert command["arguments"][3:6] == [SHA, "./km", "executor"]
    assert command["uris"] == [
        {"value": km.partition("#")[0], "executable": True, "extract": False, "output_file": "km"},
    ]


def test_what_is_compared_by_mesos_is_what_the_spec_says() -> None:
    spec = fingerprint.executor_spec(build(), {"km-path": SHA})
    info = fingerprint.executor_info(build(), {"km-path": SHA}, "f-1")
    assert info["executor_id"] == {"value": fingerprint.executor_id(spec)}
    gate = f"sha256:{hashlib.sha256(gate_source().encode()).hexdigest()}"
    arguments = [gate if each == gate_source() else each for each in info["command"]["arguments"]]
    assert spec["executor"]["command"] == {**info["command"], "arguments": arguments}


def test_roles_of_the_framework_are_not_the_executors() -> None:
    several = ("--mesos-framework-roles=*,web", "--mesos-default-pod-roles=web", "--host-port-endpoints")
    digests = {"km-path": SHA}
    assert fingerprint.executor_spec(build(*several), digests) == fingerprint.executor_spec(build(), digests)


def test_the_same_executor_with_resources_of_another_part_has_an_id_of_its_own() -> None:
    ids = {fingerprint.flavoured_id("km-1", *each) for each in (("web", ""), ("web", "x"), ("db", ""), ("db", "x"))}
    assert len(ids) == 4
    assert {each.partition(".")[0] for each in ids} == {"km-1"}


def test_the_executor_parses_the_command_line_it_is_given() -> None:
    arguments = info_of(
        "--kubelet-v=4",
        "--cluster-dns=10.0.0.10,10.0.0.11",
        "--executor-launch-grace-period=1500ms",
        "--executor-idle-timeout=1h",
        "--proxy-mode=ipvs",
        "--proxy-v=2",
        "--launch-timeout=1s",
        "--offer-ttl=500ms",
    )["command"]["arguments"]
    parsed = flags.parse(arguments[6:], flags.EXECUTOR)
    assert parsed["cluster-dns"] == ("10.0.0.10", "10.0.0.11")
    assert parsed["executor-launch-grace-period"] == 1.5
    assert parsed["proxy-mode"] == "ipvs"
    assert (parsed.kubelet_extra, parsed.proxy_extra) == ((("kubelet-v", "4"),), (("proxy-v", "2"),))
    assert parsed.warnings == ()
