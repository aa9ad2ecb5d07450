"""The table of flags and the one parser of command lines and flags files."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kmsched import flags, values
from kmsched.errors import UsageError
from kmsched.flags import EXECUTOR, FLAGS, SCHEDULER, Flag, Parsed

NEEDED = ["--mesos-master=m:5050", "--km-path=/opt/km"]


def scheduler(*tokens: str) -> Parsed:
    return flags.parse([*NEEDED, *tokens], SCHEDULER)


def test_each_flag_is_defined_once_and_its_default_is_readable() -> None:
    names = [flag.name for flag in FLAGS]
    assert len(names) == len(set(names))
    for flag in FLAGS:
        if flag.default is not None:
            value = flags.value_of(flag, flag.default)
            assert flags.value_of(flag, values.write(flag.kind, value)) == value


@pytest.mark.parametrize("flag", FLAGS, ids=lambda flag: flag.name)
def test_spec_membership_follows_the_documented_patterns(flag: Flag) -> None:
    pattern = r"allow-privileged|api-servers|auth-path|km-path|profiling|(cluster|executor|kubelet|proxy)-.*"
    assert flag.in_spec == bool(re.fullmatch(pattern, flag.name))


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


def test_unknown_kubelet_flags_pass_through_sorted_and_the_last_wins() -> None:
    parsed = scheduler("--kubelet-v=2", "--kubelet_max_pods=5", "--kubelet-v=4", "--kubelet-enforce=")
    assert parsed.kubelet_extra == (("kubelet-enforce", ""), ("kubelet-max-pods", "5"), ("kubelet-v", "4"))


@pytest.mark.parametrize(
    ("tokens", "words"),
    [
        (["--port=x"], "--port: 'x' is not a whole number"),
        (["--port=70000"], "--port: '70000' is too large; give at most 65535"),
        (["--executor-mem=1"], "--executor-mem: '1' is too small; give at least 32"),
        (["--log-format=xml"], "--log-format: 'xml' is not one of text, json"),
        (["--mesos-mastr=x"], "unknown flag --mesos-mastr; did you mean --mesos-master?"),
        (["--ha"], "unknown flag --ha; see --help"),
        (["--no-port"], "unknown flag --no-port"),
        (["--kubelet-v"], "write --kubelet-v=VALUE"),
        (["--kubelet-=1"], "--kubelet-"),
        (["--port"], "--port needs a value; write --port=VALUE"),
        (["--port", "--checkpoint"], "--port needs a value"),
        (["start"], "'start' is not a flag"),
        (["--"], "'--' is not a flag"),
        (["--flags-file=/nonexistent/flags"], "cannot read '/nonexistent/flags'"),
    ],
)
def test_wrong_lines_are_refused_by_name_value_and_remedy(tokens: list[str], words: str) -> None:
    with pytest.raises(UsageError, match=re.escape(words)):
        scheduler(*tokens)


def test_required_flags_are_named_together() -> None:
    with pytest.raises(UsageError, match="--mesos-master, --km-path must be given"):
        flags.parse([], SCHEDULER)


def test_executor_knows_no_scheduler_flags() -> None:
    with pytest.raises(UsageError, match="unknown flag --mesos-master"):
        flags.parse(["--mesos-master=m:1"], EXECUTOR)


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


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("--port=x", ":2: --port: 'x'"),
        ("port 5", ":2: unknown flag --port 5"),
        ("--port", ":2: --port needs a value"),
        ("--flags-file=/x", ":2: --flags-file cannot stand in a flags file"),
    ],
)
def test_wrong_lines_of_a_flags_file_are_named(tmp_path: Path, line: str, words: str) -> None:
    file = tmp_path / "flags"
    file.write_text(f"# first\n{line}\n")
    with pytest.raises(UsageError, match=re.escape(f"{file}{words}")):
        flags.parse_file(file, SCHEDULER)


@given(st.lists(st.text(max_size=30), max_size=5), st.sampled_from([SCHEDULER, EXECUTOR]))
def test_any_line_parses_or_is_refused(tokens: list[str], command: str) -> None:
    safe = [token for token in tokens if not token.replace("_", "-").startswith("--flags-file")]
    try:
        parsed = flags.parse(safe, command, complete=False)
    except UsageError as refusal:
        assert str(refusal)
    else:
        assert set(parsed.values) == {flag.name for flag in flags.flags_of(command)}
