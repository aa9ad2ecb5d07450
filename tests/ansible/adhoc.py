"""One task, run by Ansible itself on this machine with the project's ansible.cfg: what it tells, and what it logs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
TASK_S = 60
#: stands where the library of the journal would; modules log through it
JOURNAL = """
import os

def send(**fields):
    with open(os.environ["KM_TEST_LOG"], "a") as log:
        log.write(f"{fields}\\n")

sendv = send
"""


@dataclass(frozen=True)
class Done:
    told: dict[str, Any]  # the result, as later tasks would have it
    output: str  # all that was printed
    log: str  # all that modules have written into the log of their host
    left: list[Path]  # files and folders in the temporary folder of their host


def task(folder: Path, module: str, /, *options: str, **arguments: Any) -> Done:
    """`folder`: one that may be written to; `options`: of the command `ansible`."""
    library, log, temporary = folder / "library", folder / "log", folder / "temporary"
    (library / "systemd").mkdir(parents=True, exist_ok=True)
    (library / "systemd/__init__.py").touch()
    (library / "systemd/journal.py").write_text(JOURNAL)
    (library / "systemd/daemon.py").write_text("def booted():\n    return True\n")
    log.write_text("")
    done = subprocess.run(
        [
            *(Path(sys.executable).parent / "ansible", "localhost", "--inventory=localhost,", "--connection=local"),
            *(f"--extra-vars=ansible_python_interpreter={sys.executable}", f"--module-name={module}"),
            *(f"--args={json.dumps(arguments)}", *options),
        ],
        check=False,
        cwd="/",
        env={
            **{name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")},
            "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
            "ANSIBLE_CALLBACK_RESULT_FORMAT": "json",
            "ANSIBLE_NOCOLOR": "1",
            "ANSIBLE_REMOTE_TEMP": str(temporary),
            "ANSIBLE_LOCAL_TEMP": str(folder / "local"),
            "KM_TEST_LOG": str(log),
            "PYTHONPATH": str(library),
        },
        capture_output=True,
        text=True,
        timeout=TASK_S,
    )
    _, found, result = done.stdout.partition("localhost | ")
    assert found, done.stdout + done.stderr
    told: dict[str, Any] = json.JSONDecoder().raw_decode(result[result.index("{") :])[0]
    left = sorted(temporary.rglob("*")) if temporary.exists() else []
    return Done(told, done.stdout + done.stderr, log.read_text(), left)
