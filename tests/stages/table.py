"""The stages of `make test`, in their order.

Knows commands and budgets, in seconds; runs nothing. A stage without a budget of its own is bounded by LONGEST_S.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass

VENV = ".venv/bin"
TOOLS = ".venv/.made-from-requirements"
#: with a cold cache Kubernetes alone takes 10 to 20 minutes
LONGEST_S = 3600.0
#: simulated runs with faults, each of another seed, none of which `make check` has run
SEEDS, FIRST_SEED = 700, 100_000

Command = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Stage:
    """`commands` run one after the other; the stage fails at the first that fails, or past `budget_s`."""

    name: str
    commands: tuple[Command, ...]
    budget_s: float | None = None


PYTHON = f"{VENV}/python"
TESTBED: Command = (sys.executable, "-m", "testbed")
MAKE: Command = ("make", "--no-print-directory")

#: scenarios that need bin/km alone, a browser alone, HDFS alone, or a build alone, and those of several schedulers,
#: whose testbed grows out of the others': all others need the whole testbed with one scheduler
OF_THE_FILE = ("tests/scenarios/test_km_file.py",)
OF_THE_PAGE = ("tests/scenarios/test_page.py",)
OF_HDFS = ("tests/scenarios/test_hadoop.py", "tests/scenarios/test_uploads.py")
OF_PLACEMENT = ("tests/scenarios/test_placement_differential.py",)
OF_GROUPS = (
    "tests/scenarios/test_ansible.py",
    "tests/scenarios/test_ha_records.py",
    "tests/scenarios/test_ha.py",
    "tests/scenarios/test_ha_network.py",
    "tests/scenarios/test_upgrade.py",
)
#: only in `make test-long`: with them it takes longer than half an hour (docs/adr/0029-what-make-test-runs.md)
LONG = ("tests/scenarios/test_ha_network.py", "tests/scenarios/test_upgrade.py")
APART = (*OF_THE_FILE, *OF_THE_PAGE, *OF_HDFS, *OF_PLACEMENT, *OF_GROUPS)
#: with the longest by name: what to look at first when a stage takes too long
SCENARIOS: Command = (PYTHON, "-m", "pytest", "-v", "--durations=12")


def stages(left_out: Sequence[str] = LONG) -> tuple[Stage, ...]:
    """All of them, without the files of scenarios that are left out."""
    apart = dict.fromkeys((*APART, *left_out))
    groups = (each for each in OF_GROUPS if each not in left_out)
    return (
        Stage("tools", ((*TESTBED, "install"), (*MAKE, TOOLS))),
        Stage("check", ((*MAKE, "check"),), 90),
        Stage(
            "unit and simulation",
            (
                (*MAKE, "km"),
                (PYTHON, "-m", "tests.sim", "--seeds", str(SEEDS), "--from", str(FIRST_SEED)),
                (*SCENARIOS, *OF_THE_FILE, *OF_THE_PAGE),
            ),
            360,
        ),
        Stage("testbed build", ((*TESTBED, "build"),)),
        Stage("placement", ((*SCENARIOS, *OF_PLACEMENT),), 120),
        Stage("scenarios of HDFS", ((*SCENARIOS, *OF_HDFS),), 480),
        Stage("scenarios", ((*SCENARIOS, "tests/scenarios", *(f"--ignore={each}" for each in apart)),), 1200),
        Stage("scenarios of several schedulers", ((*SCENARIOS, *groups),), 1200),
    )


#: after the last stage and after any failure or interruption; the second one is that of a scenario of the playbook
CLEAN_UP: tuple[Command, ...] = ((*TESTBED, "down"), ("env", "KM_TESTBED_NAME=kmbare", *TESTBED, "down"))
CLEAN_UP_S = 180.0
