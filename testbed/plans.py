"""What a testbed consists of: how many hosts of each kind, on which net, made from which products.

Knows where the plan is kept and how it may grow.  Whether what it names is there is for `lifecycle` to say.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace

from testbed import inventory
from testbed.errors import LabError, UsageError
from testbed.settings import Settings, names


@dataclass(frozen=True, slots=True)
class Plan:
    """Kept in STATE/plan.json from the testbed's first `up` to its `down`."""

    agents: int
    masters: int
    schedulers: int
    net: str
    products: dict[str, str]

    @property
    def hosts(self) -> inventory.Hosts:
        return inventory.Hosts(names("s", self.schedulers), names("m", self.masters), names("h", self.agents))


def find(settings: Settings) -> Plan | None:
    """The plan of the testbed, if `up` has begun."""
    try:
        return Plan(**json.loads((settings.state / "plan.json").read_text()))
    except FileNotFoundError:
        return None


def must_find(settings: Settings) -> Plan:
    """The plan of the testbed.

    Raises:
        LabError: it is down.
    """
    if (plan := find(settings)) is None:
        raise LabError(f"testbed {settings.name!r} is down; run: python3 -m testbed up")
    return plan


def write(settings: Settings, plan: Plan) -> None:
    """Whole or not at all."""
    scratch = settings.state / "plan.new"
    scratch.write_text(json.dumps(asdict(plan)))
    scratch.replace(settings.state / "plan.json")


def grow(settings: Settings, old: Plan, agents: int | None, masters: int | None, schedulers: int | None) -> Plan:
    """The old plan, with more hosts where more are asked for. There are never fewer than before.

    Raises:
        UsageError: what is asked for needs a `down` first.
    """
    if old.net != settings.net:
        raise UsageError(
            f"testbed {settings.name!r} is up on {old.net}, not on KM_TESTBED_NET={settings.net}; down first"
        )
    if masters is not None and masters != old.masters:
        raise UsageError(f"testbed {settings.name!r} has {old.masters} Mesos masters, not {masters}; down first")
    agents, schedulers = (
        have if asked is None else asked for asked, have in ((agents, old.agents), (schedulers, old.schedulers))
    )
    check(agents, old.masters, schedulers)
    return replace(old, agents=max(agents, old.agents), schedulers=max(schedulers, old.schedulers))


def check(agents: int, masters: int, schedulers: int) -> None:
    for kind, count in (("h", agents), ("m", masters), ("s", schedulers)):
        names(kind, count)
