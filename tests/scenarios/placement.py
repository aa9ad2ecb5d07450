"""bin/km beside kube-scheduler's own plugins: the same cases, and where the verdicts differ.

Compared is what decides: whether a pod fits a Node, and which plugin objects first.  The words are ours.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from testbed import verdicts
from testbed.settings import Settings
from tests.scenarios import failures, product
from tests.scenarios.outcome import Outcome
from tests.scenarios.placement_cases import case

CASES = 250  # of one trial
ANSWER_S = 300.0
#: differences that are told in full
SHOWN = 5


@dataclass(slots=True)
class Trial(Outcome):
    """`verdicts`: how often each plugin objected first, as kube-scheduler has it; "" for pods that fit."""

    cases: int
    judged: int = 0
    differ: int = 0
    verdicts: dict[str, int] = field(default_factory=dict)
    took_s: dict[str, float] = field(default_factory=dict)


def bring_up(settings: Settings) -> Path:
    """The program that asks kube-scheduler's plugins."""
    return verdicts.build(settings)


def heal(_: Path) -> None:
    """Neither of the two keeps anything."""


def trial(program: Path, seed: int, cases: int = CASES) -> Trial:
    done = Trial(seed, cases)
    lines = _lines(seed, cases)
    answers = {}
    for name, command in (("kube-scheduler", [str(program)]), ("km", _km())):
        began = time.monotonic()
        ended = subprocess.run(command, check=False, input=lines, capture_output=True, timeout=ANSWER_S)
        done.took_s[name] = round(time.monotonic() - began, 3)
        answers[name] = [json.loads(line) for line in ended.stdout.splitlines()]
        if ended.returncode != 0 or len(answers[name]) != cases:
            said = ended.stderr.decode(errors="replace").strip()[-1000:]
            done.wrong.append(f"{name}: {len(answers[name])} answers, exit code {ended.returncode}: {said}")
    counted: Counter[str] = Counter()
    for line, theirs, ours in zip(lines.splitlines(), answers["kube-scheduler"], answers["km"], strict=False):
        given = json.loads(line)
        if [list(each) for each in ours] != [[node["metadata"]["name"] for node in given["nodes"]]] * len(theirs):
            done.wrong.append(f"other pods or nodes: {line.decode()}")
            continue
        for number, (their, our) in enumerate(zip(theirs, ours, strict=True)):
            for node, reason in their.items():
                counted[_plugin(reason)] += 1
                if _plugin(reason) != _plugin(our[node]):
                    done.differ += 1
                    if done.differ <= SHOWN:
                        done.wrong.append(f"{node}: {reason!r}, ours {our[node]!r}: {_shown(given, number, node)}")
    done.judged, done.verdicts = counted.total(), dict(counted.most_common())
    if done.differ:
        done.wrong.append(f"{done.differ} of {done.judged} verdicts differ")
    return done


def collect(_: Path, name: str) -> Path:
    """The cases of the trial that failed."""
    folder = failures.FOLDER / name
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "cases.jsonl").write_bytes(_lines(int(name.rpartition("-")[2]), CASES))
    return folder


def _lines(seed: int, cases: int) -> bytes:
    return b"".join(json.dumps(case(seed * CASES + number)).encode() + b"\n" for number in range(cases))


def _km() -> list[str]:
    return [sys.executable, str(product.KM), "whatif", "--verdicts", "--json", "-"]


def _plugin(reason: str) -> str:
    return reason.partition(":")[0]


def _shown(given: dict[str, Any], number: int, node: str) -> str:
    there = [each for each in given["pods"] if each["spec"].get("nodeName") == node]
    nodes = [each for each in given["nodes"] if each["metadata"]["name"] == node]
    return json.dumps({"nodes": nodes, "pods": there, "pending": [given["pending"][number]]})
