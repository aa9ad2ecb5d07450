"""Settings that contradict each other or the machine are refused in words, and never adjusted."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from kmsched import config, flags
from kmsched.config import SchedulerConfig
from kmsched.errors import ConfigRefused, UsageError

SHA = "0123456789abcdef" * 4
NEEDED = ("--mesos-master=m1:5050,http://m2:5050/", f"--km-path=/opt/{SHA}/km", "--api-servers=k:6443")


def build(*tokens: str) -> SchedulerConfig:
    return config.build(flags.parse([*NEEDED, *tokens], flags.SCHEDULER))


def test_servers_become_urls() -> None:
    built = build()
    assert built.mesos_masters == ("http://m1:5050", "http://m2:5050")
    assert built.api_servers == ("https://k:6443",)


def test_defaults() -> None:
    built = build()
    assert built.checkpoint
    assert built.failover_timeout_s == 4 * config.WEEK_S
    assert (built.executor_cpus_milli, built.executor_mem_mib) == (250, 256)
    assert (built.default_cpus_milli, built.default_mem_mib) == (250, 64)
    assert built.address == "127.0.0.1"


@pytest.mark.parametrize(
    ("tokens", "roles", "pod_roles"),
    [
        ([], ("*",), ("*",)),
        (["--mesos-role=web"], ("web",), ("web",)),
        (["--mesos-framework-roles=db,*,db"], ("db", "*"), ("*",)),
        (["--mesos-framework-roles=*,db", "--mesos-default-pod-roles=db,*"], ("*", "db"), ("db", "*")),
    ],
)
def test_roles(tokens: list[str], roles: tuple[str, ...], pod_roles: tuple[str, ...]) -> None:
    built = build(*tokens)
    assert (built.mesos_roles, built.mesos_pod_roles) == (roles, pod_roles)


@pytest.mark.parametrize(
    ("tokens", "words"),
    [
        (["--failover-timeout=6d"], "--failover-timeout=518400s is below one week"),
        (["--failover-timeout=0"], "--allow-short-failover-timeout"),
        (["--api-servers="], "neither --kubeconfig nor --api-servers"),
        (["--mesos-authentication-principal=p"], "give both or none"),
        (["--mesos-authentication-secret-file=/s"], "give both or none"),
        (["--mesos-cert-file=/c", "--mesos-master=https://m:1"], "--mesos-cert-file and --mesos-key-file go together"),
        (["--mesos-key-file=/k", "--mesos-master=https://m:1"], "give both or none"),
        (
            ["--mesos-ca-file=/ca", "--mesos-master=m1:5050"],
            "--mesos-master=http://m1:5050 is asked without TLS, and --mesos-ca-file is given; write https://m1:5050",
        ),
        (
            ["--mesos-master=https://m1:5050,m2:5050"],
            "--mesos-master=http://m2:5050 is asked without TLS, and another master is asked with TLS; write https://",
        ),
        (["--launch-timeout=5m"], "--launch-timeout=300s must be shorter than --executor-launch-grace-period=300s"),
        (["--offer-ttl=3m"], "--offer-ttl=180s must be shorter than --launch-timeout=120s"),
        (["--agent-idle-timeout=90s"], "must be shorter than --agent-idle-timeout=90s"),
        (
            ["--mesos-framework-roles=web"],
            "--mesos-role: * is not in --mesos-framework-roles=web, so",
        ),
        (
            ["--mesos-framework-roles=*,web", "--mesos-default-pod-roles=db,*"],
            "--mesos-default-pod-roles: db is not in --mesos-framework-roles=*,web",
        ),
        (["--executor-path=hdfs:///km"], "--km-path and --executor-path name the same file; give one"),
    ],
)
def test_contradictions_are_refused(tokens: list[str], words: str) -> None:
    with pytest.raises(ConfigRefused, match=re.escape(words)):
        build(*tokens)


@pytest.mark.parametrize(
    ("tokens", "words"),
    [
        (["--mesos-master=zk://z:2181/mesos"], "list the masters"),
        (["--mesos-master=m1"], "has no port"),
        (["--mesos-master=m1:x"], "no valid port"),
        (["--mesos-master=ftp://m1:1"], "is no server"),
        (["--mesos-master="], "--mesos-master is empty"),
        (["--mesos-role="], "--mesos-role is empty"),
        (["--api-servers=https://u@h:1"], "holds a user"),
        (["--api-servers=https://:pw@h:1"], "holds a user"),
        (["--mesos-master=http://m:5050/master"], "has something behind the server"),
        (["--mesos-master=http://m:5050#x"], "has something behind the server"),
        (["--mesos-master=m:5050?x"], "has something behind the server"),
        (["--mesos-master=m:0"], "no valid port"),
        (["--mesos-master=a b:1"], "is no server"),
        (["--mesos-master=[::1"], "--mesos-master: '[::1' is no server: Invalid IPv6 URL; write host:port"),
        (["--api-servers=[::1"], "--api-servers: '[::1' is no server"),
        (["--kubelet-api-servers=[::1"], "--kubelet-api-servers: '[::1' is no server"),
    ],
)
def test_unusable_values_are_usage_errors(tokens: list[str], words: str) -> None:
    with pytest.raises(UsageError, match=re.escape(words)):
        build(*tokens)


@pytest.mark.parametrize(
    "tokens",
    [
        ["--failover-timeout=1h", "--allow-short-failover-timeout"],
        ["--km-path=hdfs:///km"],
        ["--agent-idle-timeout=0"],
    ],
)
def test_what_is_allowed_on_purpose(tokens: list[str]) -> None:
    assert build(*tokens).mesos_role == "*"


def test_spec_flags_are_normal_forms_of_the_documented_flags_only() -> None:
    spec = build("--executor-launch-grace-period=2h", "--kubelet-v=4", "--port=1").spec_flags
    assert spec["executor-launch-grace-period"] == "7200s"
    assert spec["api-servers"] == "https://k:6443"
    assert spec["kubelet-v"] == "4"
    assert "cluster-dns" not in spec
    assert all(flags.is_in_spec(name) for name in spec)


def test_artifacts_keep_their_digests_and_the_spec_says_them_apart() -> None:
    built = build(f"--kubelet-path=hdfs:///kubelet#sha256={SHA}")
    assert built.artifacts == {
        "km-path": f"file:///opt/{SHA}/km",
        "kubelet-path": f"hdfs:///kubelet#sha256={SHA}",
    }
    assert built.spec_flags["kubelet-path"] == "hdfs:///kubelet"


def test_hot_settings_are_beside_the_spec() -> None:
    built = build("--agent-idle-timeout=1h", "--agent-log-level=debug")
    assert built.hot_settings == {"agent-idle-timeout": "3600s", "agent-log-level": "debug"}
    assert built.spec_flags == build().spec_flags


def test_an_old_name_that_the_document_lists_is_hot_by_its_new_name_and_cold_by_its_old() -> None:
    built = build("--executor-idle-timeout=1h")
    assert built.hot_settings["agent-idle-timeout"] == "3600s"
    assert built.agent_idle_timeout_s == 3600.0
    assert built.spec_flags == {**build().spec_flags, "executor-idle-timeout": "3600s"}
    assert built.executor_flags == build().executor_flags


def test_servers_have_one_form_and_no_order() -> None:
    one = build("--api-servers=https://B:443/,a:6443", "--kubelet-api-servers=b:1,a:1")
    other = build("--api-servers=https://a:6443,b:443,https://b", "--kubelet-api-servers=a:1,b:1,a:1")
    assert one.spec_flags["api-servers"] == other.spec_flags["api-servers"] == "https://a:6443,https://b"
    assert one.spec_flags == other.spec_flags


def test_host_with_all_in_place_is_accepted(tmp_path: Path) -> None:
    (tmp_path / "kubeconfig").write_text("x")
    (tmp_path / "secret").write_text("s3cret\r\n")
    built = build(
        f"--kubeconfig={tmp_path}/kubeconfig",
        f"--state-dir={tmp_path}/state",
        "--mesos-authentication-principal=p",
        f"--mesos-authentication-secret-file={tmp_path}/secret",
    )
    config.check_host(built)
    assert (tmp_path / "state").is_dir()
    assert config.read_secret(built) == "s3cret"


@pytest.mark.parametrize("name", ["mesos-ca-file", "mesos-cert-file", "mesos-key-file"])
def test_a_certificate_for_mesos_that_cannot_be_read_is_refused(tmp_path: Path, name: str) -> None:
    files = {each: tmp_path / each for each in ("mesos-ca-file", "mesos-cert-file", "mesos-key-file")}
    for each, path in files.items():
        if each != name:
            path.write_text("PEM")
    flags = [f"--{each}={path}" for each, path in files.items()]
    (tmp_path / "kubeconfig").write_text("x")
    built = build("--mesos-master=https://m1:5050", f"--kubeconfig={tmp_path}/kubeconfig", *flags)
    with pytest.raises(ConfigRefused, match=f"--{name}: cannot read .*No such file or directory; put the PEM file"):
        config.check_host(built)


def test_no_secret_without_principal() -> None:
    assert config.read_secret(build()) is None


def test_missing_kubeconfig_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigRefused, match=re.escape("--kubeconfig: cannot read") + ".*No such file"):
        config.check_host(build(f"--kubeconfig={tmp_path}/none", f"--state-dir={tmp_path}"))


def test_empty_secret_is_refused(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("\n")
    built = build("--mesos-authentication-principal=p", f"--mesos-authentication-secret-file={tmp_path}/secret")
    with pytest.raises(ConfigRefused, match="is empty; put the secret there"):
        config.check_host(built)


@pytest.mark.parametrize(("content", "words"), [(b"\xff\xfe", "it is not UTF-8"), (None, "it has more than 1 MiB")])
def test_a_secret_that_is_no_text_is_refused(tmp_path: Path, content: bytes | None, words: str) -> None:
    secret = Path("/dev/zero")
    if content is not None:
        secret = tmp_path / "secret"
        secret.write_bytes(content)
    built = build("--mesos-authentication-principal=p", f"--mesos-authentication-secret-file={secret}")
    with pytest.raises(ConfigRefused, match=f"cannot read '{secret}': {words}; put the secret there"):
        config.check_host(built)


def test_state_folder_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("")
    with pytest.raises(ConfigRefused, match="--state-dir: cannot write to"):
        config.check_host(build(f"--state-dir={tmp_path}/state"))
