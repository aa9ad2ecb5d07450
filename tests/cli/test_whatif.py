"""km whatif as a user meets it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from kmsched.cli import km
from tests.whatif.objects import line, node, pod


def test_verdicts_of_a_file(tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    file = tmp_path / "cases.jsonl"
    file.write_bytes(line([node()], [pod()]) + line([node(pods="0")], [pod()]))
    assert km.run(["whatif", "--verdicts", "--json", str(file)]) == 0
    assert [json.loads(answer) for answer in capfdbinary.readouterr().out.splitlines()] == [
        [{"n1": ""}],
        [{"n1": "NodeResourcesFit: too many pods on the node"}],
    ]


def test_an_answer_comes_before_the_next_line_is_read() -> None:
    command = [sys.executable, "-m", "kmsched.cli.km", "whatif", "--verdicts", "--json", "-"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as asked:
        assert asked.stdin is not None and asked.stdout is not None and asked.stderr is not None
        asked.stdin.write(line([node()], [pod()]))
        asked.stdin.flush()
        assert json.loads(asked.stdout.readline()) == [{"n1": ""}]
        asked.stdin.write(b"nonsense\n")
        asked.stdin.close()
        assert asked.stdout.read() == b""
        assert asked.stderr.read().startswith(b"km: standard input, line 2: JSON is malformed")
    assert asked.returncode == 10


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["--verdicts"], 2, "km: --verdicts needs SOURCE: a file of JSON lines, or - for standard input\n"),
        (["--verdicts", "/none"], 10, "km: cannot read '/none': No such file or directory; name a file of JSON lines"),
        (["--verdicts", "/"], 10, "km: cannot read '/': Is a directory; name a file of JSON lines"),
        ([], 2, "km: km whatif does --verdicts SOURCE"),
    ],
)
def test_what_cannot_be_asked(arguments: list[str], code: int, words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert km.run(["whatif", *arguments]) == code
    said = capsys.readouterr()
    assert (said.out, said.err.count("\n")) == ("", 1)
    assert said.err.startswith(words)
