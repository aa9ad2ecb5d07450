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


def test_without_a_standard_input_there_is_nothing_to_judge() -> None:
    command = [sys.executable, "-m", "kmsched.cli.km", "whatif", "--verdicts", "--json", "-"]
    asked = subprocess.run(["sh", "-c", '"$@" <&-', "sh", *command], check=False, capture_output=True, text=True)
    assert (asked.returncode, asked.stdout) == (10, "")
    assert asked.stderr == "km: standard input is closed; write JSON lines to it\n"


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    nodes, pods = tmp_path / "nodes.json", tmp_path / "pods.json"
    nodes.write_text(json.dumps({"kind": "List", "items": [node("n1", cpu="1"), node("n2", cpu="2")]}))
    there = pod("there", {"nodeName": "n2"}, cpu="1500m")
    listed = [pod("web", cpu="600m"), there, pod("big", cpu="9"), pod("lost", {"nodeName": "n3"})]
    pods.write_text(json.dumps({"kind": "PodList", "items": listed}))
    return ["whatif", "--nodes", str(nodes), "--pods", str(pods)]


def test_pods_of_a_file_are_placed_on_nodes_of_a_file(files: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert km.run(files) == 0
    said = capsys.readouterr()
    assert said.out.splitlines() == [
        "POD            NODE",
        "default/web    n1",
        "default/there  n2    was there",
        "default/big    -     0/2 agents: 2 insufficient cpu (kubelet, short by 8000m at best)",
        "default/lost   n3    was there",
        "1 placed, 1 waiting, 2 were bound",
    ]
    assert said.err == f"km: n3 has 1 of the pods, but {files[2]} lacks it: they count nowhere\n"


def test_a_node_that_says_nothing_is_told(files: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    silent = {"kind": "Node", "metadata": {"name": "n1", "annotations": {"k8s.mesosphere.io/promised": "true"}}}
    Path(files[2]).write_text(json.dumps(silent))
    assert km.run(files) == 0
    words = "km: n1 has no kubelet yet, so what it has is not known: nothing is placed there\n"
    assert words in capsys.readouterr().err


def test_a_pod_that_has_ended_does_not_wait(files: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    over = {**pod("over"), "status": {"phase": "Failed"}}
    Path(files[-1]).write_text(json.dumps([over]))
    assert km.run([*files, "--strict"]) == 0
    assert capsys.readouterr().out.splitlines()[1:] == ["default/over  -     it has ended", "1 ended"]


def test_the_same_as_json(files: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert km.run([*files, "--json", "--strict"]) == 14
    answer = json.loads(capsys.readouterr().out)
    assert {name: answer[name] for name in ("placed", "waiting", "were_bound")} == {
        "placed": 1,
        "waiting": 1,
        "were_bound": 2,
    }
    assert answer["pods"][0] == {"pod": "default/web", "node": "n1", "was_bound": False, "reason": "", "nodes": {}}
    assert answer["pods"][2] == {
        "pod": "default/big",
        "node": None,
        "was_bound": False,
        "reason": "0/2 agents: 2 insufficient cpu (kubelet, short by 8000m at best)",
        "nodes": {
            "n1": "NodeResourcesFit: insufficient cpu (kubelet, short by 8000m)",
            "n2": "NodeResourcesFit: insufficient cpu (kubelet, short by 8500m)",
        },
    }


def test_flags_of_the_scheduler_change_the_answer(files: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert km.run([*files, "--default-container-mem-limit=9Gi"]) == 0
    assert "insufficient memory (kubelet" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["--verdicts"], 2, "km: --verdicts needs SOURCE alone: a file of JSON lines, or - for standard input\n"),
        (["--verdicts", "/none"], 10, "km: cannot read '/none': No such file or directory; name a file of JSON lines"),
        (["--verdicts", "/"], 10, "km: cannot read '/': Is a directory; name a file of JSON lines"),
        ([], 2, "km: km whatif needs --nodes FILE and --pods FILE, or --verdicts SOURCE; give one of these\n"),
        (["--nodes", "x"], 2, "km: km whatif needs --nodes FILE and --pods FILE"),
        (["--nodes", "x", "--pods", "y", "z"], 2, "km: km whatif needs --nodes FILE and --pods FILE"),
        (["--verdicts", "x", "--nodes", "y"], 2, "km: --verdicts needs SOURCE alone"),
        (["--nodes", "/none", "--pods", "y"], 10, "km: cannot read '/none': No such file or directory; give what"),
        (["--placement=best"], 2, "km: --placement: 'best' is not one of spread, pack\n"),
        (["--default-container-mem-limit=lots"], 2, "km: --default-container-mem-limit: 'lots' is no"),
    ],
)
def test_what_cannot_be_asked(arguments: list[str], code: int, words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert km.run(["whatif", *arguments]) == code
    said = capsys.readouterr()
    assert (said.out, said.err.count("\n")) == ("", 1)
    assert said.err.startswith(words)
