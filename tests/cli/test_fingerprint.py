"""`km fingerprint` and `km fingerprint diff`: where specs come from, what is said of their differences, exit codes."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from kmsched import fingerprint as specs
from kmsched.cli import km
from tests.cli.servers import serving

SHA = "0123456789abcdef" * 4
NEEDED = (
    "--mesos-master=m:5050",
    f"--km-path=/opt/{SHA}/km",
    f"--kubelet-path=/opt/{SHA}/kubelet",
    "--api-servers=k:6443",
)


class Said:
    """One run of km: exit code, stdout, stderr."""

    def __init__(self, capsys: pytest.CaptureFixture[str], *line: str) -> None:
        self.code = km.run(["fingerprint", *line])
        self.out, self.err = capsys.readouterr()

    @property
    def json(self) -> Any:
        return json.loads(self.out)


def spec_of(capsys: pytest.CaptureFixture[str], *tokens: str) -> Any:
    return Said(capsys, "--json", "--explain", *NEEDED, *tokens).json["spec"]


def store(folder: Path, *stored: Mapping[str, Any]) -> None:
    for spec in stored:
        text = specs.canonical(spec).decode()
        path = folder / "executors" / hashlib.sha256(text.encode()).hexdigest()
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({"schema": 1, "revision": 1, "value": text}))


@pytest.fixture
def scheduler() -> Iterator[tuple[str, dict[str, Any]]]:
    """URL of a server that answers with what is put into the mapping, by path; else 404."""
    answers: dict[str, Any] = {}

    def answer(path: str, _: bytes) -> tuple[int, bytes]:
        return (200 if path in answers else 404), json.dumps(answers.get(path, {"error": "no"})).encode()

    with serving(answer) as url:
        yield url, answers


def test_the_fingerprint_alone_is_on_stdout(capsys: pytest.CaptureFixture[str]) -> None:
    said = Said(capsys, *NEEDED)
    assert (said.code, len(said.out), said.err) == (0, 65, "")
    explained = Said(capsys, "--explain", *NEEDED)
    assert explained.out.startswith(said.out)
    assert json.loads(explained.out.removeprefix(said.out))["flags"]["kubelet-root-dir"] == "/var/lib/kubelet"
    as_json = Said(capsys, "--json", *NEEDED).json
    assert as_json == {"fingerprint": said.out.strip(), "executor_id": f"km-{said.out[:16]}"}


def test_old_names_are_told_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    said = Said(capsys, *NEEDED, "--executor-idle-timeout=1h")
    assert said.err.startswith("km: --executor-idle-timeout is an old name; write --agent-idle-timeout=3600s")


def test_flags_may_come_from_a_file(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "flags").write_text("\n".join(NEEDED))
    (tmp_path / "own").write_text("address: 10.0.0.1\n")
    files = (f"--flags-file={tmp_path}/flags", f"--host-flags-file={tmp_path}/own")
    assert Said(capsys, *files).out == Said(capsys, *NEEDED).out


@pytest.mark.parametrize("form", ["{}", "km-{:.16}", "km-{:.16}.0123ab", "{:.8}"])
def test_what_is_expected_and_found(capsys: pytest.CaptureFixture[str], form: str) -> None:
    ours = Said(capsys, *NEEDED).out.strip()
    said = Said(capsys, f"--expect={form.format(ours)}", *NEEDED)
    assert (said.code, said.out.strip(), said.err) == (0, ours, "")
    assert Said(capsys, "--json", f"--expect={ours}", *NEEDED).json["matches"] is True


def test_what_is_expected_and_not_found_is_named_where_it_is_known(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, scheduler: tuple[str, dict[str, Any]]
) -> None:
    url, answers = scheduler
    theirs = spec_of(capsys, "--executor-mem=512", "--kubelet-v=4")
    expected = specs.fingerprint(theirs)
    line = (f"--expect={expected}", f"--state-dir={tmp_path}", *NEEDED)
    words = ["km:   --executor-mem: 256 here, 512 there", "km:   --kubelet-v: not set here, '4' there"]
    unknown = Said(capsys, *line)
    assert unknown.code == 14
    assert unknown.err.splitlines()[0] == f"km: {expected} was expected"
    assert "known neither to the store nor to --url" in unknown.err
    assert Said(capsys, "--json", *line).json["differences"] is None
    assert "known neither" in Said(capsys, *line, f"--url={url}").err
    answers[f"/api/v1/executors/{expected}"] = {"fingerprint": expected, "spec": theirs}
    asked = Said(capsys, *line, f"--url={url}")
    assert (asked.code, asked.err.splitlines()[1:]) == (14, words)
    store(tmp_path, theirs)
    stored = Said(capsys, *line)
    assert (stored.code, stored.err.splitlines()[1:]) == (14, words)
    assert Said(capsys, "--json", *line).json["differences"] == [
        {"name": "--executor-mem", "ours": 256, "theirs": 512},
        {"name": "--kubelet-v", "ours": None, "theirs": "4"},
    ]


def test_diff_of_everything_with_everything(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, scheduler: tuple[str, dict[str, Any]]
) -> None:
    url, answers = scheduler
    one, other = spec_of(capsys), spec_of(capsys, "--cluster-dns=10.0.0.10,10.0.0.11")
    store(tmp_path, one, other)
    (tmp_path / "flags").write_text("\n".join(NEEDED))
    (tmp_path / "spec.json").write_text(json.dumps(one))
    answers["/api/v1/status"] = {"fingerprint": specs.fingerprint(other)}
    answers[f"/api/v1/executors/{specs.fingerprint(other)}"] = {"spec": other}
    same = [f"{tmp_path}/flags", f"{tmp_path}/spec.json", specs.fingerprint(one), specs.executor_id(one)]
    for a in same:
        assert Said(capsys, "diff", f"--state-dir={tmp_path}", a, same[0]).code == 0
        for b in (url, specs.fingerprint(other)[:12]):
            said = Said(capsys, "diff", f"--state-dir={tmp_path}", a, b)
            assert (said.code, said.out) == (14, f"--cluster-dns: not set in {a}, '10.0.0.10,10.0.0.11' in {b}\n")
    as_json = Said(capsys, "diff", "--json", same[1], url)
    assert as_json.code == 14
    assert as_json.json == {
        "a": {"source": same[1], "fingerprint": specs.fingerprint(one)},
        "b": {"source": url, "fingerprint": specs.fingerprint(other)},
        "differences": [{"name": "--cluster-dns", "ours": None, "theirs": ["10.0.0.10", "10.0.0.11"]}],
    }


def test_a_pipe_is_read_once(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "flags").write_text("\n".join(NEEDED))
    reading, writing = os.pipe()
    os.write(writing, "\n".join(NEEDED).encode())
    os.close(writing)
    assert Said(capsys, "diff", f"/dev/fd/{reading}", f"{tmp_path}/flags").code == 0
    os.close(reading)


def test_a_spec_that_is_nested_without_end(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "spec").write_text('{"x":' + "[" * 100_000)
    said = Said(capsys, "diff", f"{tmp_path}/spec", f"{tmp_path}/spec")
    assert (said.code, "no executor spec" in said.err) == (10, True)


def test_a_kept_digest_is_believed_and_a_readable_file_is_read(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    km_file = tmp_path / "km"
    km_file.write_bytes(b"the km file")
    digest = hashlib.sha256(b"the km file").hexdigest()
    line = ("--json", "--explain", *NEEDED, f"--state-dir={tmp_path}", f"--km-path={km_file}")
    read = Said(capsys, *line)
    assert read.json["spec"]["artifacts"]["km-path"] == digest
    assert f"names no SHA-256. Its file was read once, as sha256 {digest}" in read.err
    value = json.dumps({"schema": 1, "digests": {f"file://{km_file}": SHA}})
    (tmp_path / "artifacts").write_text(json.dumps({"schema": 1, "revision": 1, "value": value}))
    assert Said(capsys, *line).json["spec"]["artifacts"]["km-path"] == SHA


@pytest.mark.parametrize(
    ("line", "code", "words"),
    [
        (["--expect=zz", *NEEDED], 2, "km: --expect: 'zz' cannot be right; give a fingerprint"),
        (["--km-path=/none/km", *NEEDED[:1], *NEEDED[2:]], 10, "km: --km-path=file:///none/km names no SHA-256"),
        (["diff", "/none", "/none"], 2, "km: '/none' is no hash, no URL, and no file that can be read"),
        (["diff", "km-12345678", "/none"], 10, "km: no executor spec km-12345678 in /var/lib/kmsched/executors"),
        (["diff", "http://127.0.0.1:1", "/none"], 69, "km: no scheduler answers at http://127.0.0.1:1"),
        (["diff", "one"], 2, "km: Missing argument 'B'."),
    ],
)
def test_refusals(capsys: pytest.CaptureFixture[str], line: list[str], code: int, words: str) -> None:
    said = Said(capsys, *line)
    assert (said.code, said.out) == (code, "")
    assert said.err.splitlines()[-1].startswith(words)


def test_what_is_no_spec_is_refused(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, scheduler: tuple[str, dict[str, Any]]
) -> None:
    url, answers = scheduler
    (tmp_path / "x.json").write_text("{")
    (tmp_path / "y.json").write_text('{"flags": []}')
    for name in ("x", "y"):
        said = Said(capsys, "diff", f"{tmp_path}/{name}.json", url)
        assert (said.code, said.err.startswith(f"km: {tmp_path}/{name}.json: no executor spec")) == (10, True)
    answers["/api/v1/status"] = {}
    said = Said(capsys, "diff", url, url)
    assert (said.code, "tells no fingerprint" in said.err) == (10, True)
    spec = spec_of(capsys)
    store(tmp_path, spec, {**spec, "more": 1})
    folder = tmp_path / "executors"
    for path in folder.iterdir():
        path.rename(folder / f"{'0' * 8}{path.name[8:]}")
    ambiguous = Said(capsys, "diff", f"--state-dir={tmp_path}", "00000000", url)
    assert (ambiguous.code, "is the beginning of 2 specs" in ambiguous.err) == (2, True)
    for path in folder.iterdir():
        path.write_text("garbage")
    broken = Said(capsys, "diff", f"--state-dir={tmp_path}", next(folder.iterdir()).name, url)
    assert (broken.code, "no record of a store" in broken.err) == (10, True)


def test_help_names_flags_and_the_subcommand(capsys: pytest.CaptureFixture[str]) -> None:
    said = Said(capsys, "--help")
    assert said.code == 0
    for words in ("--expect HASH", "--cluster-dns", "diff", "Exit codes:"):
        assert words in said.out
