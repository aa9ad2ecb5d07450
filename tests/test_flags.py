"""The one parser of command lines and flags files."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kmsched import flags
from kmsched.errors import UsageError
from kmsched.flags import EXECUTOR, SCHEDULER, Flag, Parsed
from kmsched.values import Kind

NEEDED = ["--mesos-master=m:5050", "--km-path=/opt/km"]


def scheduler(*tokens: str) -> Parsed:
    return flags.parse([*NEEDED, *tokens], SCHEDULER)


def test_both_spellings_parse() -> None:
    assert flags.parse(["--mesos_master=m:1", "--km_path=/opt/km"], SCHEDULER)["km-path"] == "file:///opt/km"


@pytest.mark.parametrize(
    ("tokens", "expected"),
    [
        ([], True),
        (["--checkpoint"], True),
        (["--checkpoint=false"], False),
        (["--no-checkpoint"], False),
        (["--no_checkpoint"], False),
        (["--no-checkpoint", "--checkpoint=yes"], True),
    ],
)
def test_booleans(tokens: list[str], expected: bool) -> None:
    assert scheduler(*tokens)["checkpoint"] is expected


def test_value_may_follow_as_the_next_word() -> None:
    assert scheduler("--port", "1", "--launch-timeout", "90s").values["launch-timeout"] == 90.0
    assert scheduler("--executor-idle-timeout", "90s").values["agent-idle-timeout"] == 90.0


def test_unknown_flags_of_kubelet_and_kube_proxy_pass_through_sorted_and_the_last_wins() -> None:
    parsed = scheduler("--kubelet-v=2", "--kubelet_max_pods=5", "--proxy_v=3", "--kubelet-v=4", "--kubelet-enforce=")
    assert parsed.kubelet_extra == (("kubelet-enforce", ""), ("kubelet-max-pods", "5"), ("kubelet-v", "4"))
    assert parsed.proxy_extra == (("proxy-v", "3"),)


@pytest.mark.parametrize(
    ("tokens", "words"),
    [
        (["--port=x"], "--port: 'x' is not a whole number"),
        (["--port=70000"], "--port: '70000' is too large; give at most 65535"),
        (["--executor-mem=1"], "--executor-mem: '1' is too small; give at least 32"),
        (["--log-format=xml"], "--log-format: 'xml' is not one of text, json"),
        (["--cluster-domain=A B"], "--cluster-domain: 'A B' cannot be right; write a domain, like cluster.local"),
        (["--mesos-mastr=x"], "unknown flag --mesos-mastr; did you mean --mesos-master?"),
        (["--no-port"], "unknown flag --no-port"),
        (["--kubelet-v"], "write --kubelet-v=VALUE"),
        (["--proxy-v"], "--proxy-v goes to kube-proxy and needs its value with '='"),
        (["--kubelet-=1"], "--kubelet-"),
        (["--kubelet-v =4"], "--'kubelet-v ' is no name of a flag; write --kubelet-NAME=VALUE, without blanks"),
        (["--proxy-ä=4"], "is no name of a flag; write --proxy-NAME=VALUE"),
        (["--kubelet-x=a\0b"], "--kubelet-x: 'a\\x00b' holds control characters"),
        (["--kubelet-x=a\nproxy-y=1"], "--kubelet-x: 'a\\nproxy-y=1' holds control characters"),
        (["--kubelet-x=\udcff"], "--kubelet-x: '\\udcff' holds bytes that are no UTF-8"),
        (["--v=2", "--log-level=info"], "--v and --log-level set the same, and to different values; give --log-level"),
        (["--executor-idle-timeout=1h", "--executor-suicide-timeout=2h"], "give --agent-idle-timeout only"),
        (["--flags-file=/dev/zero"], "--flags-file: cannot read '/dev/zero': it has more than 1 MiB"),
        (["--port"], "--port needs a value; write --port=VALUE"),
        (["--port", "--checkpoint"], "--port needs a value"),
        (["start"], "'start' is not a flag"),
        (["--"], "'--' is not a flag"),
        (["--flags-file=/nonexistent/flags"], "--flags-file: cannot read '/nonexistent/flags'"),
        (["--host-flags-file=/nonexistent/flags"], "--host-flags-file: cannot read '/nonexistent/flags'"),
    ],
)
def test_wrong_lines_are_refused_by_name_value_and_remedy(tokens: list[str], words: str) -> None:
    with pytest.raises(UsageError, match=re.escape(words)):
        scheduler(*tokens)


def test_required_flags_are_named_together() -> None:
    with pytest.raises(UsageError, match="--mesos-master, --km-path must be given"):
        flags.parse([], SCHEDULER)
    parsed = flags.parse(["--mesos-master=m:1", "--executor-path=hdfs:///km"], SCHEDULER)
    assert (parsed["km-path"], parsed["executor-path"]) == (None, "hdfs:///km")


def test_executor_knows_no_scheduler_flags() -> None:
    with pytest.raises(UsageError, match="unknown flag --mesos-master"):
        flags.parse(["--mesos-master=m:1"], EXECUTOR)
    with pytest.raises(UsageError, match="unknown flag --auth-path"):
        flags.parse(["--auth-path=/a"], EXECUTOR)


def test_a_command_may_have_flags_of_its_own() -> None:
    parsed = flags.parse(["--expect=1"], EXECUTOR, also=(Flag("expect", Kind.TEXT, None, "A hash."),))
    assert parsed["expect"] == "1"


def test_flags_file_is_read_first_and_the_command_line_wins(tmp_path: Path) -> None:
    file = tmp_path / "flags"
    file.write_text(
        "---\n# comment\n--mesos_master=m:1\nkm-path: /opt/km\n  port: '1'\n\nlaunch-timeout=60s\n--no-checkpoint\n"
        "--framework-weburi=http://h/?a=b\nframework-name: a: b\nkubelet-v: 3\n"
    )
    parsed = flags.parse(["--port=2", f"--flags-file={file}"], SCHEDULER)
    assert (parsed["port"], parsed["launch-timeout"], parsed["checkpoint"]) == (2, 60.0, False)
    assert (parsed["framework-weburi"], parsed["framework-name"]) == ("http://h/?a=b", "a: b")
    assert parsed.kubelet_extra == (("kubelet-v", "3"),)
    assert "km-path" in parsed.given
    assert "state-dir" not in parsed.given


def test_an_old_name_may_say_the_same_as_the_new_one_and_a_later_place_wins(tmp_path: Path) -> None:
    (tmp_path / "flags").write_text("\ufeff--v=2\n--log-level=debug\n", encoding="utf-8")
    (tmp_path / "host").write_text("--v=0\n")
    read = [f"--flags-file={tmp_path}/flags"]
    assert scheduler(*read)["log-level"] == "debug"
    assert scheduler(*read, f"--host-flags-file={tmp_path}/host")["log-level"] == "info"
    assert scheduler(*read, "--log-level=warning")["log-level"] == "warning"


def test_the_hosts_own_file_comes_second(tmp_path: Path) -> None:
    (tmp_path / "all").write_text("address=10.0.0.1\nport=1\nkubelet-v=3\n")
    (tmp_path / "own").write_text("address=10.0.0.2\nport=2\nhostname-override=s2\n")
    files = (f"--host-flags-file={tmp_path}/own", f"--flags-file={tmp_path}/all")
    parsed = scheduler(*files, "--port=3")
    assert (parsed["address"], parsed["port"], parsed["hostname-override"]) == ("10.0.0.2", 3, "s2")


@pytest.mark.parametrize(
    "name", ["api-servers", "kubelet_v", "proxy-v", "executor-idle-timeout", "mesos-executor-cpus", "mesos-role"]
)
def test_what_changes_executors_is_refused_in_a_hosts_own_file(tmp_path: Path, name: str) -> None:
    file = tmp_path / "own"
    file.write_text(f"# of this host\n{name}=1\n")
    words = f"{file}:2: --{name.replace('_', '-')} changes executors, so it must be the same on all hosts"
    with pytest.raises(UsageError, match=re.escape(words)):
        scheduler(f"--host-flags-file={file}")


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("--port=x", ":2: --port: 'x'"),
        ("port 5", ":2: unknown flag --port 5"),
        ("--port", ":2: --port needs a value"),
        ("kubelet-v = 4", ":2: --'kubelet-v ' is no name of a flag"),
        ("--flags-file=/x", ":2: --flags-file cannot stand in a flags file"),
        ("--host-flags-file=/x", ":2: --host-flags-file cannot stand in a flags file"),
    ],
)
def test_wrong_lines_of_a_flags_file_are_named(tmp_path: Path, line: str, words: str) -> None:
    file = tmp_path / "flags"
    file.write_text(f"# first\n{line}\n")
    with pytest.raises(UsageError, match=re.escape(f"{file}{words}")):
        flags.parse_file(file, SCHEDULER)


@given(st.lists(st.text(max_size=30), max_size=5), st.sampled_from([SCHEDULER, EXECUTOR]))
def test_any_line_parses_or_is_refused(tokens: list[str], command: str) -> None:
    safe = [token for token in tokens if not token.replace("_", "-").startswith(("--flags-file", "--host-flags-file"))]
    try:
        parsed = flags.parse(safe, command, complete=False)
    except UsageError as refusal:
        assert str(refusal)
    else:
        assert set(parsed.values) == {flag.name for flag in flags.flags_of(command)}
