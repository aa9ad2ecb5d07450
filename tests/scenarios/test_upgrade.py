"""playbooks/upgrade.yml under load: another build of the schedulers' km, one change of the leader and no pod that
notices; and a build that does not run, which stops the play while the leader leads on."""

from __future__ import annotations

from pathlib import Path

from kmsched import __version__
from tests.scenarios import product, upgrades
from tests.scenarios.group import Group
from tests.scenarios.load import Load
from tests.scenarios.product import unwrapped

BROKEN = """#!/bin/sh
[ "$1" != scheduler ] || { echo this build is broken >&2; exit 70; }
exec /usr/local/lib/kmsched/%s/km "$@"
"""


def test_a_build_that_does_not_run_stops_the_play_and_the_leader_leads_on(
    group: Group, load: Load, tmp_path: Path
) -> None:
    leader = group.wait_whole()
    pid, first = group.pid(leader), next(host for host in group.hosts if host != leader)
    broken = tmp_path / "km"
    broken.write_text(BROKEN % product.sha256())
    broken.chmod(0o755)
    limit = ("-e", "km_scheduler_ready_timeout_s=5")
    _, output = product.play(group.cluster.settings, upgrades.PLAYBOOK, *upgrades.source_of(broken), *limit, code=2)
    assert f"{first}: not ready after 5 s with the new files: no answer" in unwrapped(output), output
    assert group.leader() == leader and group.pid(leader) == pid
    assert load.faults() == []
    # a group that is not whole is not upgraded, but one that has the old files again is
    product.play(group.cluster.settings, *upgrades.OF_DEPLOY)
    assert group.wait_whole() == leader


def test_another_build_takes_one_change_of_the_leader(group: Group, load: Load, tmp_path: Path) -> None:
    known = upgrades.builds(tmp_path)
    trial = upgrades.trial(group, load, known, 0)
    print(trial.record())
    assert trial.wrong == []
    assert trial.versions == [__version__, upgrades.NEXT]
