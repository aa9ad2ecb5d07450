"""The km command as a user meets it: exit codes, one line for each error, help, completion."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import click
import pytest
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
        "print(sorted({'aiohttp', 'msgspec', 'yaml', 'asyncio', 'kmsched.daemon'} & set(sys.modules)))"
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
        (["flags"], 2, "km: km flags does --markdown or --check FILE"),
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


def test_fingerprint_and_its_explanation(capsys: pytest.CaptureFixture[str]) -> None:
    assert km.run(["fingerprint", *NEEDED]) == 0
    digest = capsys.readouterr().out
    assert len(digest) == 65
    assert km.run(["fingerprint", "--explain", *NEEDED]) == 0
    explained = capsys.readouterr().out
    assert explained.startswith(digest)
    assert '"kubelet-root-dir": "/var/lib/kubelet"' in explained


def test_flags_file_check(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "flags"
    file.write_text("\n".join(NEEDED))
    assert km.run(["flags", "--check", str(file)]) == 0
    file.write_text("\n".join([*NEEDED, "--offer-ttl=1h"]))
    assert km.run(["flags", "--check", str(file)]) == 10
    assert "--offer-ttl=3600s must be shorter" in capsys.readouterr().err


def test_docs_page_is_up_to_date() -> None:
    assert (ROOT / "docs/flags.md").read_text() == markdown(), "run: km flags --markdown > docs/flags.md"


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("km sched", "scheduler"),
        ("km scheduler --mesos-m", "--mesos-master"),
        ("km scheduler --log-format j", "json"),
    ],
)
def test_shell_completion(words: str, expected: str) -> None:
    environ = os.environ | {
        "_KM_COMPLETE": "bash_complete",
        "COMP_WORDS": words,
        "COMP_CWORD": str(len(words.split()) - 1),
    }
    done = subprocess.run(
        [sys.executable, "-c", "from kmsched.cli.km import main; main()"],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
        env=environ,
    )
    assert f"plain,{expected}" in done.stdout.splitlines()
