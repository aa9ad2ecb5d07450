"""One trial: playbooks/upgrade.yml takes all schedulers from one build of km to another while pods run and are created.

Used by the scenario and, there and back, by the soak. What happened to pods is read from containerd and the API, who
led from the Mesos master's log. A trial never raises for what went wrong with the product: it says so in `wrong`.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.scenarios import product, reigns
from tests.scenarios.group import Group
from tests.scenarios.group_trial import GroupTrial
from tests.scenarios.load import Load
from tests.scenarios.takeovers import EXIT_DEPOSED

PLAYBOOK = "playbooks/upgrade.yml"
#: what deploy.yml does of schedulers
OF_DEPLOY = ("playbooks/schedulers_plan.yml", "playbooks/schedulers_change.yml")
#: of the build that differs from bin/km in nothing else
NEXT = "0.1.0.post1"
#: path of a km file to take instead of that one, say of another commit
OTHER_VARIABLE = "KM_OTHER_BUILD"


@dataclass(slots=True)
class Trial(GroupTrial):
    """`play_s`: how long the play took. `back_s`: when all were ready again after its beginning."""

    from_sha256: str = ""
    to_sha256: str = ""
    terms: list[int] = field(default_factory=list)
    versions: list[str] = field(default_factory=list)
    play_s: float = 0.0
    subscriptions: int = 0
    ended: dict[str, list[int]] = field(default_factory=dict)


def builds(folder: Path) -> tuple[Path, Path]:
    """bin/km, and another that is made in `folder` or named by KM_OTHER_BUILD."""
    other = os.environ.get(OTHER_VARIABLE)
    return product.KM, Path(other) if other else product.another_build(folder, NEXT)


def source_of(build: Path) -> tuple[str, str]:
    """Options of ansible-playbook."""
    return "-e", f"km_scheduler_km_src={build}"


def trial(group: Group, load: Load, known: Sequence[Path], seed: int) -> Trial:
    """To the build after that which all schedulers have."""
    done = Trial(seed)
    done.run(load, lambda: _upgrade(group, known, done))
    return done


def _upgrade(group: Group, known: Sequence[Path], done: Trial) -> None:
    done.old = group.wait_whole()
    before, ids = group.heard(done.old), group.framework_ids()
    shas = [_sha256(each) for each in known]
    [done.from_sha256] = product.installed(group.cluster.hosts, group.hosts, [])
    number = (shas.index(done.from_sha256) + 1) % len(known)
    done.to_sha256 = shas[number]
    began, started = time.time(), time.monotonic()
    product.play(group.cluster.settings, PLAYBOOK, *source_of(known[number]))
    done.play_s = round(time.monotonic() - started, 1)
    done.new = group.wait_whole()
    done.back_s = round(time.monotonic() - started, 1)
    after = group.heard(done.new)
    done.terms = [before["term"], after["term"]]
    done.versions = [before["version"], after["version"]]
    done.ended = {host: codes for host in group.hosts if (codes := group.exit_codes(host, began))}
    acts = reigns.acts(group, began, done.old)
    done.subscriptions = acts.subscriptions
    done.note_acts(acts)
    if product.installed(group.cluster.hosts, group.hosts, []) != {done.to_sha256}:
        done.wrong.append("not all schedulers have the other build")
    if {group.told(host)["version"] for host in group.hosts} != {after["version"]}:
        done.wrong.append("not all schedulers run the other build")
    done.require_framework(group, before, ids, after)
    if after["fingerprint"] != before["fingerprint"]:
        done.wrong.append("the fingerprint is another")
    if (done.subscriptions, done.old == done.new, done.terms[0] < done.terms[1]) != (1, False, True):
        done.wrong.append(
            f"{done.subscriptions} subscriptions, not 1: {done.old} was followed by {done.new}, terms {done.terms}"
        )
    if any(set(codes) - {0, EXIT_DEPOSED} for codes in done.ended.values()):
        done.wrong.append(f"processes ended with {done.ended}")


def _sha256(build: Path) -> str:
    return hashlib.sha256(build.read_bytes()).hexdigest()
