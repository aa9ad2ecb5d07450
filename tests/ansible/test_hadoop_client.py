"""The small hadoop goes only onto hosts that have no other on the PATH: the role's own words, by Ansible's engine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar

TASKS = Path(__file__).resolve().parents[2] / "roles/km_hadoop/tasks"
OURS = f"/usr/local/lib/kmsched/{'a' * 64}/km"


def task(file: str, name: str) -> dict[str, Any]:
    found: list[dict[str, Any]] = DataLoader().load_from_file(str(TASKS / file), trusted_as_template=True)
    return next(each for each in found if each["name"] == name)


def looked_at(path: str, link: str = "", exists: bool = True) -> dict[str, Any]:
    """What ansible.builtin.stat says."""
    stat: dict[str, Any] = {"exists": exists}
    if exists:
        stat |= {"path": path} | ({"lnk_source": link} if link else {})
    return {"stat": stat}


@pytest.mark.parametrize(
    ("there", "is_linked"),
    [
        pytest.param([], True, id="none"),
        pytest.param([looked_at("/usr/local/bin/hadoop", OURS)], True, id="ours, of an earlier km"),
        pytest.param([looked_at("/usr/bin/hadoop")], False, id="another's"),
        pytest.param([looked_at("/usr/bin/hadoop", "/opt/hadoop/bin/hadoop")], False, id="another's link"),
        pytest.param(
            [looked_at("/usr/local/bin/hadoop", OURS), looked_at("/usr/bin/hadoop")], False, id="another's beside ours"
        ),
    ],
)
def test_where_it_is_linked(there: list[dict[str, Any]], is_linked: bool) -> None:
    told = task("wanted.yml", "Tell another's hadoop from ours")
    results = [*there, looked_at("/bin/hadoop", exists=False)]
    variables: dict[str, Any] = {"km_hadoop_client": True, "km_hadoop_found": {"results": results}, **told["vars"]}
    ours = Templar(loader=DataLoader(), variables=variables).template(
        told["ansible.builtin.set_fact"]["km_hadoop_is_ours"]
    )
    assert ours is is_linked
