"""The stages of `make test`, in their order.

Knows commands and budgets, in seconds; runs nothing. A stage without a budget of its own is bounded by LONGEST_S.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass

VENV = ".venv/bin"
TOOLS = ".venv/.made-from-requirements"
#: with a cold cache Kubernetes alone takes 10 to 20 minutes
LONGEST_S = 3600.0
#: all scenarios where they were measured, and how much longer a machine may take that others use, too
SCENARIOS_S, MARGIN = 1200.0, 1.25
#: simulated runs with faults, each of another seed, none of which `make check` has run
SEEDS, FIRST_SEED = 700, 100_000

Command = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Lane:
    """`commands` run one after the other, up to the first that fails; with the variables of `environ` set."""

    name: str
    commands: tuple[Command, ...]
    environ: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Stage:
    """`lanes` run side by side; the stage fails when one of them has failed, or past `budget_s`."""

    name: str
    lanes: tuple[Lane, ...]
    budget_s: float | None = None


def in_a_row(name: str, *commands: Command, budget_s: float | None = None) -> Stage:
    """A stage that does one thing at a time."""
    return Stage(name, (Lane(name, commands),), budget_s)


PYTHON = f"{VENV}/python"
TESTBED: Command = (sys.executable, "-m", "testbed")
DOWN: Command = (*TESTBED, "down")
MAKE: Command = ("make", "--no-print-directory")

#: scenarios that need bin/km alone, a browser alone, or a build alone
OF_THE_FILE = ("tests/scenarios/test_km_file.py",)
OF_THE_PAGE = ("tests/scenarios/test_page.py",)
OF_PLACEMENT = ("tests/scenarios/test_placement_differential.py",)
#: those that need HDFS alone
OF_HDFS = ("tests/scenarios/test_hadoop.py", "tests/scenarios/test_uploads.py")
#: those of one scheduler whose agents fetch from HDFS
OF_ONE_WITH_HDFS = ("tests/scenarios/test_programs_on_agents.py", "tests/scenarios/test_document.py")
#: those that could be in any lane
ANYWHERE = ("tests/scenarios/test_bare_hosts.py", "tests/scenarios/test_cron.py")
#: those of several schedulers; all others need one, and no HDFS
OF_GROUPS = (
    "tests/scenarios/test_ansible.py",
    "tests/scenarios/test_ha_records.py",
    "tests/scenarios/test_ha.py",
    "tests/scenarios/test_ha_network.py",
    "tests/scenarios/test_upgrade.py",
)
APART = (*OF_THE_FILE, *OF_THE_PAGE, *OF_HDFS, *OF_ONE_WITH_HDFS, *ANYWHERE, *OF_PLACEMENT, *OF_GROUPS)
#: with the longest by name: what to look at first when a stage takes too long
SCENARIOS: Command = (PYTHON, "-m", "pytest", "-v", "--durations=12")
OWN_TESTBEDS = {
    "HDFS": (("KM_TESTBED_NAME", "kmhdfs"), ("KM_TESTBED_NET", "10.94.0")),
    "several": (("KM_TESTBED_NAME", "kmgroup"), ("KM_TESTBED_NET", "10.92.0")),
}

STAGES = (
    in_a_row("tools", (*TESTBED, "install"), (*MAKE, TOOLS)),
    in_a_row("check", (*MAKE, "check"), budget_s=90),
    in_a_row(
        "unit and simulation",
        (*MAKE, "km"),
        (PYTHON, "-m", "tests.sim", "--seeds", str(SEEDS), "--from", str(FIRST_SEED)),
        (*SCENARIOS, *OF_THE_FILE, *OF_THE_PAGE),
        budget_s=360,
    ),
    in_a_row("testbed build", (*TESTBED, "build")),
    # side by side, since much of it waits for clocks, that of a lease, say; who is done leaves the processors to others
    Stage(
        "scenarios",
        (
            Lane("one", ((*SCENARIOS, "tests/scenarios", *(f"--ignore={each}" for each in APART)), DOWN)),
            Lane(
                "HDFS",
                ((*SCENARIOS, *OF_PLACEMENT, *OF_HDFS, *OF_ONE_WITH_HDFS, *ANYWHERE), DOWN),
                OWN_TESTBEDS["HDFS"],
            ),
            Lane("several", ((*SCENARIOS, *OF_GROUPS), DOWN), OWN_TESTBEDS["several"]),
        ),
        SCENARIOS_S * MARGIN,
    ),
)


def _down(*environ: tuple[str, str]) -> Command:
    return ("env", *(f"{name}={value}" for name, value in environ), *DOWN)


#: after the last stage and after any failure or interruption; the last one is that of a scenario of the playbook
CLEAN_UP: tuple[Command, ...] = (
    _down(),
    *(_down(*environ) for environ in OWN_TESTBEDS.values()),
    _down(("KM_TESTBED_NAME", "kmbare")),
)
CLEAN_UP_S = 180.0
