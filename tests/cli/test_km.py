"""The km command as a user meets it: exit codes, one line for each error, help, completion."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.shell_completion import ShellComplete
from click.testing import CliRunner

from kmsched import __version__, flags
from kmsched.cli import km
from kmsched.cli.command import FlagCommand
from kmsched.cli.flag_pages import markdown
from kmsched.errors import EXIT_CODES, ConfigRefused, Unavailable
from kmsched.flags import Parsed

SHA = "0123456789abcdef" * 4
NEEDED = ("--mesos-master=m:5050", f"--km-path=/opt/{SHA}/km", "--api-servers=k:6443")
ROOT = Path(__file__).resolve().parents[2]


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert km.run(["--version"]) == 0
    assert km.run(["version"]) == 0
    assert capsys.readouterr().out == f"km {__version__}\n" * 2


def test_version_needs_neither_the_daemon_nor_aiohttp() -> None:
    code = (
        "import sys; from kmsched.cli import km; km.run(['--version']); "
        "print(sorted({'aiohttp', 'msgspec', 'yaml', 'asyncio', 'hdfs', 'requests', 'google_crc32c', 'kmsched.daemon'}"
        " & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize(
    ("line", "code", "message"),
    [
        (["scheduler"], 2, "km: --mesos-master, --km-path must be given; see --help\n"),
        (["scheduler", "--port=x"], 2, "km: --port: 'x' is not a whole number; write it like 10251\n"),
        (["scheduler", *NEEDED, "--failover-timeout=1s"], 10, "km: --failover-timeout=1s is below one week"),
        (["scheduler", *NEEDED, "--kubeconfig=/none"], 10, "km: --kubeconfig: cannot read '/none'"),
        (["scheduler", *NEEDED, "--state-dir=/proc/no"], 10, "km: --state-dir: cannot write to '/proc/no'"),
        (["executor", "--port=1"], 2, "km: unknown flag --port"),
        (["bogus"], 2, "km: No such command 'bogus'."),
        (["explain", "web"], 2, "km: 'web' is no pod; write NAMESPACE/NAME"),
        (["flags"], 2, "km: km flags does --markdown, --json, --check FILE"),
        (["flags", "--check", "/none"], 2, "km: --flags-file: cannot read '/none'"),
        (["status", "--url", "http://127.0.0.1:1"], 69, "km: no scheduler answers at http://127.0.0.1:1"),
    ],
)
def test_errors_are_one_line_and_an_exit_code(
    line: list[str], code: int, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert km.run(line) == code
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith(message)
    assert said.err.count("\n") == 1


def test_no_arguments_show_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert km.run([]) == 2
    said = capsys.readouterr().err
    assert "Commands:" in said
    assert "Exit codes:" in said


@pytest.mark.parametrize("process", [flags.SCHEDULER, flags.EXECUTOR])
def test_help_shows_each_flag_and_exit_code(process: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert km.run([process, "--help"]) == 0
    shown = capsys.readouterr().out
    for flag in flags.flags_of(process):
        assert f"--{flag.name}" in shown
    for code, (meaning, _) in EXIT_CODES.items():
        assert f"{code:>3}  {meaning}" in shown


def run_raising(error: Exception) -> tuple[int, str]:
    def run(parsed: Parsed) -> int:
        raise error

    group = click.Group("km", commands=[FlagCommand("executor", run, "Fails.", flags.EXECUTOR)])
    runner = CliRunner()
    with runner.isolation() as (_, err, _):
        code = km.run(["executor"], group)
        return code, err.getvalue().decode()


def test_every_kind_of_error_has_its_exit_code() -> None:
    assert run_raising(ConfigRefused("two\nlines")) == (10, "km: two lines\n")
    assert run_raising(Unavailable("away")) == (69, "km: away\n")
    assert run_raising(click.Abort()) == (130, "km: interrupted\n")


def test_unexpected_errors_exit_70_and_leave_a_traceback(caplog: pytest.LogCaptureFixture) -> None:
    code, said = run_raising(ValueError("odd"))
    assert code == 70
    assert said.startswith("km: unexpected ValueError: odd")
    assert caplog.records[-1].exc_info is not None


def test_flags_file_check(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "flags"
    file.write_text("\n".join(NEEDED))
    assert km.run(["flags", "--check", str(file)]) == 0
    file.write_text("\n".join([*NEEDED, "--offer-ttl=1h"]))
    assert km.run(["flags", "--check", str(file)]) == 10
    assert "--offer-ttl=3600s must be shorter" in capsys.readouterr().err


def test_a_hosts_own_flags_are_checked_alone_and_together(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "all").write_text("\n".join([*NEEDED, "--executor-logv=1"]))
    (tmp_path / "own").write_text("address=10.0.0.1\n")
    assert km.run(["flags", "--check-host", f"{tmp_path}/own"]) == 0
    assert capsys.readouterr() == ("", "")
    assert km.run(["flags", "--check", f"{tmp_path}/all", "--check-host", f"{tmp_path}/own"]) == 0
    assert capsys.readouterr().err.startswith("km: --executor-logv is an old name; write --agent-log-level=debug")
    (tmp_path / "own").write_text("kubelet-v=1\n")
    for line in (["--check-host"], ["--check", f"{tmp_path}/all", "--check-host"]):
        assert km.run(["flags", *line, f"{tmp_path}/own"]) == 2
        assert f"{tmp_path}/own:1: --kubelet-v changes executors" in capsys.readouterr().err


def test_table_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert km.run(["flags", "--json"]) == 0
    table = json.loads(capsys.readouterr().out)
    by_name = {row["name"]: row for row in table["flags"]}
    assert set(by_name) == {flag.name for flag in flags.FLAGS}
    assert by_name["kubelet-root-dir"]["default"] == "/var/lib/kubelet"
    assert [by_name[name]["changes_executors"] for name in ("km-path", "port", "mesos-role")] == [True, False, True]
    assert [by_name[name]["hot"] for name in ("agent-log-level", "log-level")] == [True, False]
    assert table["aliases"]["executor-logv"] == "agent-log-level"
    assert "--proxy-v=N" in table["refused"]["proxy-logv"]


def test_docs_page_is_up_to_date() -> None:
    assert (ROOT / "docs/flags.md").read_text() == markdown(), "run: km flags --markdown > docs/flags.md"


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("km sched", "scheduler"),
        ("km scheduler --mesos-m", "--mesos-master"),
        ("km scheduler --log-format j", "json"),
        ("km scheduler --proxy-mode ipt", "iptables"),
        ("km scheduler --checkpoint f", "false"),
        ("km fingerprint --expl", "--explain"),
        ("km fingerprint d", "diff"),
        ("km completion z", "zsh"),
        ("km resi", "resign"),
        ("km resign --sch", "--scheduler"),
    ],
)
def test_shell_completion(words: str, expected: str) -> None:
    *before, incomplete = words.removeprefix("km ").split()
    completions = ShellComplete(km.km, {}, "km", "_KM_COMPLETE").get_completions(before, incomplete)
    assert expected in [each.value for each in completions]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts_ask_km_itself(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert km.run(["completion", shell]) == 0
    script = capsys.readouterr().out
    assert f"_KM_COMPLETE={shell}_complete" in script
    assert "km" in script.replace("_km_completion", "")


def test_bash_takes_the_completion_script(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    program = tmp_path / "km"
    program.write_text(f"#!{sys.executable}\nfrom kmsched.cli.km import main\nmain()\n")
    program.chmod(0o755)
    km.run(["completion", "bash"])
    asked = "COMP_WORDS=(km scheduler --mesos-mas); COMP_CWORD=2; _km_completion km; printf '%s\\n' \"${COMPREPLY[@]}\""
    done = subprocess.run(
        ["bash", "--norc", "-c", capsys.readouterr().out + asked],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT)},
    )
    assert done.stdout.split() == ["--mesos-master"]
