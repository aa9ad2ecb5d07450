"""What every role promises: documented variables, a table of contents, own modules only, gates that gate."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from kmsched import errors, flags
from kmsched.daemon import deadman, web_access, web_peers
from plugins.modules import km_place

ROOT = Path(__file__).resolve().parents[2]
ROLES = sorted(path for path in (ROOT / "roles").iterdir() if path.is_dir())
#: files of tasks that only name others: of a role, of what playbooks/check.yml takes of it, of its changes host by host
CONTENTS = ("main.yml", "check.yml", "apply.yml")
#: what playbooks take by itself
GATES = {"km_scheduler": {"whole.yml", "rollout.yml"}}
#: what a task may have beside its module
KEYWORDS = frozenset(
    {"name", "when", "loop", "loop_control", "vars", "register", "notify", "changed_when", "failed_when", "diff"}
    | {"delegate_to", "become", "run_once", "until", "retries", "delay", "environment", "check_mode", "throttle"}
    | {"no_log"}
)

each_role = pytest.mark.parametrize("role", ROLES, ids=lambda role: role.name)


def load(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def tasks(role: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    for file in [*sorted((role / "tasks").glob("*.yml")), *sorted((role / "handlers").glob("*.yml"))]:
        for task in load(file):
            if file.parent.name == "handlers" or file.name not in CONTENTS:
                yield from ((file.name, each) for each in _flat(task))


def _flat(task: dict[str, Any]) -> list[dict[str, Any]]:
    return [*task["block"], *task.get("rescue", [])] if "block" in task else [task]


@each_role
def test_argument_specs_equal_defaults(role: Path) -> None:
    options = load(role / "meta/argument_specs.yml")["argument_specs"]["main"]["options"]
    assert {name: option["default"] for name, option in options.items()} == load(role / "defaults/main.yml")
    assert all(option["description"] and option["type"] for option in options.values())


@each_role
def test_variables_start_with_the_roles_name(role: Path) -> None:
    made = [*load(role / "defaults/main.yml")]
    for _, task in tasks(role):
        made += [task["register"]] if "register" in task else []
        made += task.get("ansible.builtin.set_fact", {})
    assert [name for name in made if not name.startswith(f"{role.name}_")] == []


@each_role
def test_main_is_a_table_of_contents(role: Path) -> None:
    tables = [role / "tasks" / name for name in CONTENTS if (role / "tasks" / name).exists()]
    imported = {task["ansible.builtin.import_tasks"] for table in tables for task in load(table)}
    named = imported | {table.name for table in tables} | GATES.get(role.name, set())
    assert named == {file.name for file in (role / "tasks").iterdir()}


@each_role
def test_what_looks_changes_nothing(role: Path) -> None:
    """playbooks/check.yml imports these files; `km_look`, `slurp` and the like are all that they may do."""
    table = role / "tasks" / "check.yml"
    files = [task["ansible.builtin.import_tasks"] for task in load(table)] if table.exists() else []
    for file, task in tasks(role):
        if file not in files:
            continue
        [module] = set(task) - KEYWORDS
        looks = module.rpartition(".")[2] in ("assert", "set_fact", "stat", "slurp", "uri", "km_look")
        assert looks or task["changed_when"] is False, f"{file}: {task['name']}"
        assert module != "km_place" or task["check_mode"] is True, f"{file}: {task['name']}"


@each_role
def test_only_builtin_modules_and_our_own_and_no_blind_eye(role: Path) -> None:
    for file, task in tasks(role):
        words = set(task) - KEYWORDS
        assert len(words) == 1, f"{file}: {task['name']}: {sorted(words)}"
        [module] = words
        assert module.startswith("ansible.builtin.") or module in ("km_look", "km_place"), (
            f"{file}: {task['name']}: {module}"
        )
        assert module != "ansible.builtin.pause"


@each_role
def test_every_handler_is_notified_and_every_notice_heard(role: Path) -> None:
    notified = {task["notify"] for _, task in tasks(role) if "notify" in task}
    handlers = role / "handlers/main.yml"
    assert notified == {task["name"] for task in load(handlers)} if handlers.exists() else not notified


def mappings(value: Any) -> Iterator[dict[str, Any]]:
    """All that are in it."""
    if isinstance(value, dict):
        yield value
        value = list(value.values())
    if isinstance(value, list):
        for each in value:
            yield from mappings(each)


def places(role: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each file that `km_place` gets, of all that has the form of one in tasks: the file of tasks, and it."""
    for file, task in tasks(role):
        for each in [] if "km_look" in task else mappings(task):
            if {"path"} <= each.keys() <= set(km_place.OPTIONS):
                yield file, each


@each_role
def test_what_is_placed_is_a_file_a_link_or_a_folder(role: Path) -> None:
    for file, place in places(role):
        assert len({"src", "text", "target", "folder"} & place.keys()) == 1, f"{file}: {place}"


@each_role
def test_secrets_are_for_their_reader_alone_and_never_shown(role: Path) -> None:
    """By `secret`, which makes the mode 0600 and keeps contents out of what is shown."""
    secret = re.compile(r"kubeconfig$|\.key$|token|password")
    found = [place for _, place in places(role) if secret.search(place["path"])]
    assert bool(found) == (role.name in ("etcd", "km_agent", "km_scheduler"))
    assert [(place["secret"], place.get("mode")) for place in found] == [(True, None)] * len(found)
    for _, task in tasks(role):
        assert not {"ansible.builtin.copy", "ansible.builtin.template"} & task.keys(), task["name"]


def test_tokens_are_shown_neither_when_they_are_brought_nor_when_they_are_sent() -> None:
    role = ROOT / "roles/km_scheduler"
    [named] = [task for _, task in tasks(role) if "km_scheduler_places" in task.get("ansible.builtin.set_fact", {})]
    assert "'secret': true" in named["vars"]["http"]
    [etcd] = [task for _, task in tasks(role) if "km_placed_at('/etc/kmsched/etcd')" in str(task)]
    assert "'secret': true" in etcd["ansible.builtin.set_fact"]["km_scheduler_wanted"]
    [sent] = [task for _, task in tasks(role) if "Bearer" in str(task)]
    assert sent["no_log"] == "{{ km_scheduler_http_read_token_src | length > 0 }}"
    for _, task in tasks(role):
        reads = f"{task.get('ansible.builtin.slurp', '')}{task.get('km_look', {}).get('contents', '')}"
        assert "http" not in reads, "their content stays on the hosts"


def test_other_tokens_are_read_anew_and_restart_nothing() -> None:
    role = ROOT / "roles/km_scheduler"
    [reload] = [task for _, task in tasks(role) if "reloaded" in str(task.get("ansible.builtin.systemd_service", ""))]
    assert "km_scheduler_need == 'nothing'" in reload["when"][0]
    assert "km_scheduler_placed.placed | intersect(km_scheduler_http_files" in reload["changed_when"]
    [named] = [
        task["ansible.builtin.set_fact"]
        for _, task in tasks(role)
        if "km_scheduler_wanted" in task.get("ansible.builtin.set_fact", {})
    ]
    assert "http" not in str(named), "what is named there restarts the process when it differs"


def test_nothing_that_runs_is_touched_before_the_plan() -> None:
    order = [task["ansible.builtin.import_tasks"] for task in load(ROOT / "roles/km_scheduler/tasks/main.yml")]
    assert order[-1] == "plan.yml"
    for file, task in tasks(ROOT / "roles/km_scheduler"):
        if file in order:
            assert "notify" not in task, f"{file}: {task['name']}"
            assert task.get("km_place", {}).get("files", "km_scheduler_wanted[:1]").count("[:1]"), file


def test_the_flags_that_the_role_takes_are_those_of_the_table() -> None:
    specs = load(ROOT / "roles/km_scheduler/meta/argument_specs.yml")["argument_specs"]["main"]["options"]
    taken = set(specs["km_scheduler_flags"]["options"])
    elsewhere = {"kubeconfig", "state_dir", "address", "port", "hostname_override", "ha_instance", "ha_url"}
    assert taken | elsewhere == {flag.key for flag in flags.flags_of(flags.SCHEDULER)}
    assert not taken & elsewhere


def test_systemd_leaves_a_scheduler_down_when_a_person_must_act() -> None:
    """The codes of the error tree that say "do not start again"; 14 and 20 never come from a running scheduler."""
    fatal = {error.exit_code for error in errors.Fatal.__subclasses__() if error.__module__ == errors.__name__}
    codes = sorted(
        code for code in fatal - {errors.EXIT_ARTIFACT, errors.EXIT_MISMATCH} if not errors.EXIT_CODES[code][1]
    )
    assert load(ROOT / "roles/km_scheduler/defaults/main.yml")["km_scheduler_no_restart_exit_codes"] == codes


def test_the_deploy_gate_is_a_url() -> None:
    gates = [
        task
        for file, task in tasks(ROOT / "roles/km_scheduler")
        if file == "ready.yml" and "ansible.builtin.uri" in task
    ]
    assert [gate["ansible.builtin.uri"]["url"].rpartition("/")[2] for gate in gates] == ["readyz", "leader"]
    assert re.search(r"status == 200", gates[0]["until"])


def test_root_playbook_imports_the_one_in_playbooks() -> None:
    [play] = load(ROOT / "deploy.yml")
    assert (ROOT / play["ansible.builtin.import_playbook"]).is_file()


def test_who_leads_is_asked_at_a_page_that_wants_no_token() -> None:
    """The order of changes and the fingerprint that runs come from it."""
    [asked] = [task for _, task in tasks(ROOT / "roles/km_scheduler") if task.get("register") == "km_scheduler_answer"]
    route = web_peers.leader_route(dict, bool)
    assert asked["ansible.builtin.uri"]["url"].removeprefix("{{ km_scheduler_url }}") == route.path == deadman.WHO_PATH
    assert "headers" not in asked["ansible.builtin.uri"]
    assert route.right is web_access.Right.OPEN
    assert {200, 503} <= set(asked["ansible.builtin.uri"]["status_code"])
