from __future__ import annotations

from pathlib import Path
from typing import Any

from demo import objects, report
from demo.cluster import Sight, note
from demo.deployed import digest
from demo.schedulers import Succession


def pod(name: str, phase: str = "Pending", node: str = "", address: str = "") -> dict[str, Any]:
    status = {"phase": phase} | ({"podIP": address} if address else {})
    return {"metadata": {"name": name, "uid": "u"}, "spec": {"nodeName": node} if node else {}, "status": status}


def test_times_are_those_of_the_first_sight_of_each_change() -> None:
    sights: dict[str, Sight] = {}
    for now, seen in (
        (1.0, pod("web")),
        (1.2, pod("web", node="h1")),
        (2.0, pod("web", "Running", "h1", "10.0.0.1")),
        (9.0, pod("web", "Running", "h1", "10.0.0.1")),
    ):
        note(sights, seen, now)
    table = list(report.pods(list(sights.values())))
    assert table[1].split() == ["web", "h1", "10.0.0.1", "200", "ms", "1000", "ms", "Running"]
    assert "1 pods" in table[2]
    assert "1000 ms median" in table[2]


def test_a_pod_that_has_ended_has_run() -> None:
    sights: dict[str, Sight] = {}
    note(sights, pod("sum"), 1.0)
    note(sights, pod("sum", "Succeeded", "h1"), 3.0)
    assert (sights["sum"].running, sights["sum"].ended) == (3.0, 3.0)


def test_a_pod_that_waits_has_no_times_and_no_summary() -> None:
    assert [line.split() for line in report.pods([Sight("big", 1.0, phase="Pending")])][1:] == [
        ["big", "-", "-", "-", "-", "Pending"]
    ]


def test_the_end_of_a_leader_is_told_with_its_successor() -> None:
    lines = list(report.succession(Succession("s1", "s3", (7, 19), 0.412), 6, 1.25))
    assert lines[0].strip() == "s1 led in term 7; 412 ms after its end s3 led in term 19"
    assert "6 containers ran on" in lines[1]
    assert "s3 has placed a pod: Running 1.2 s" in lines[2]


def test_how_to_go_on_names_the_testbed_only_if_it_is_not_the_usual_one() -> None:
    usual = "\n".join(report.how_to_go_on(Path("/s"), {}, "10.0.0.1", 12.0))
    other = "\n".join(report.how_to_go_on(Path("/s"), {"KM_TESTBED_NAME": "t2"}, "10.0.0.1", 12.0))
    assert "export" not in usual
    assert "export KM_TESTBED_NAME=t2" in other
    for words in ("KUBECONFIG=/s/kube/admin.kubeconfig", "http://10.0.0.1:8080/", "python3 -m testbed down"):
        assert words in usual


def test_every_pod_of_the_demo_is_found_by_its_label() -> None:
    deployment, job, too_big = objects.all_objects()["items"]
    for labels in (
        deployment["spec"]["template"]["metadata"]["labels"],
        job["spec"]["template"]["metadata"]["labels"],
        too_big["metadata"]["labels"],
    ):
        assert labels[objects.LABEL] == objects.PART_OF


def test_a_deploy_is_asked_for_when_any_of_its_inputs_changes(tmp_path: Path) -> None:
    for name in ("deploy.yml", "ansible.cfg", "inventory.yml", "bin/km", "roles/r/tasks/main.yml", "playbooks/p.yml"):
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(name)
    inventory = tmp_path / "inventory.yml"
    seen = {digest(tmp_path, inventory), digest(tmp_path, inventory)}
    assert len(seen) == 1
    for name in ("bin/km", "roles/r/tasks/main.yml", "inventory.yml"):
        (tmp_path / name).write_text("changed")
        seen.add(digest(tmp_path, inventory))
    (tmp_path / "roles/r/tasks/more.yml").write_text("new")
    seen.add(digest(tmp_path, inventory))
    assert len(seen) == 5
