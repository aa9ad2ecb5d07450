"""When the role `etcd` restarts a member: its script, rendered by Ansible's own engine, beside a program that says who
is healthy."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from ansible.parsing.dataloader import DataLoader
from ansible.plugins.loader import filter_loader
from ansible.template import Templar, trust_as_template

ROOT = Path(__file__).resolve().parents[2]
ROLE = ROOT / "roles/etcd"
#: healthy if its endpoint is in this file
ETCDCTL = """#!/bin/sh
for each; do
  case $each in --endpoints=*) exec grep -qxF "${each#--endpoints=}" "$HEALTHY";; esac
done
exit 2
"""


def templar(members: int) -> Templar:
    filter_loader.add_directory(str(ROOT / "plugins" / "filter"))
    names = [f"e{number}" for number in range(1, members + 1)]
    hosts = {name: {"inventory_hostname": name, "etcd_client_port": 2379} for name in names}
    variables: dict[str, Any] = {}
    for file in ("defaults", "vars"):
        variables |= DataLoader().load_from_file(str(ROLE / file / "main.yml"), trusted_as_template=True)
    etcd_ctl = ["etcdctl", "--endpoints=https://e1:2379", "--cacert=/etc/km-etcd/ca.crt"]
    variables |= {"groups": {"km_etcd": names}, "hostvars": hosts, "inventory_hostname": "e1", "etcd_ctl": etcd_ctl}
    return Templar(loader=DataLoader(), variables=variables)


def may_restart(folder: Path, members: int, healthy: str) -> subprocess.CompletedProcess[str]:
    """Of e1, which is one of so many."""
    (folder / "etcdctl").write_text(ETCDCTL)
    (folder / "etcdctl").chmod(0o755)
    (folder / "healthy").write_text("".join(f"https://{name}:2379\n" for name in healthy.split()))
    script = templar(members).template(trust_as_template("{{ etcd_guard }}"))
    environment = {"PATH": f"{folder}:{os.environ['PATH']}", "HEALTHY": str(folder / "healthy")}
    return subprocess.run(
        ["/bin/bash", "-c", f"{script}\nmay_restart 0"], env=environment, text=True, capture_output=True, check=False
    )


@pytest.mark.parametrize(
    ("members", "healthy"),
    [
        (3, "e1 e2 e3"),
        (5, "e1 e2 e3 e5"),
        (1, "e1"),
        # it is down itself, as with settings that the play mends; or none has a quorum
        (3, "e2 e3"),
        (3, ""),
    ],
)
def test_a_member_is_restarted_while_the_others_keep_the_quorum(tmp_path: Path, members: int, healthy: str) -> None:
    done = may_restart(tmp_path, members, healthy)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize(("members", "healthy", "sick"), [(3, "e1 e2", "e3"), (5, "e1 e3 e4", "e2, e5")])
def test_a_member_is_not_restarted_when_the_quorum_would_go(
    tmp_path: Path, members: int, healthy: str, sick: str
) -> None:
    done = may_restart(tmp_path, members, healthy)
    assert done.returncode == 1
    assert f"km-etcd is not restarted: of the other members these are not healthy: {sick}; without" in done.stderr


def test_the_others_are_asked_before_any_file_is_written() -> None:
    tables = DataLoader().load_from_file(str(ROLE / "tasks/main.yml"))
    order = [task["ansible.builtin.import_tasks"] for task in tables]
    looks, guard, writes = order.index("files.yml"), order.index("guard.yml"), order.index("files.yml", 4)
    assert looks < guard < writes
    assert tables[looks]["check_mode"] is True
    assert "check_mode" not in tables[writes]
