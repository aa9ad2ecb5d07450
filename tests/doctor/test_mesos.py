"""Masters, principal, role, quota, and what the master remembers of us."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from kmsched.clients.mesos import Credentials
from kmsched.doctor import agents, mesos
from kmsched.doctor.findings import NotChecked, Severity
from kmsched.doctor.subject import Subject
from tests.clients.fakes import Reply
from tests.doctor.patients import FRAMEWORK_ID, World, agent, flag_answer, found, framework, frameworks, said

ACLS = """register_frameworks {
  principals {
    values: "spark"
  }
  roles {
    type: ANY
  }
}
register_frameworks {
  principals {
    type: ANY
  }
  roles {
    values: "free"
  }
}
register_frameworks {
  principals {
    type: NONE
  }
  roles {
    type: ANY
  }
}
"""


def stored(folder: Path, framework_id: str = FRAMEWORK_ID) -> None:
    (folder / "framework-id").write_text(f'{{"schema":1,"revision":1,"value":"{framework_id}"}}')


def test_one_of_two_masters_is_away(tmp_path: Path) -> None:
    world = World(tmp_path, {"http://m2": Reply(503, [b"no"])})
    [only] = found(mesos.masters, world.subject("--mesos-master=m2:5050,m1:5050"))
    assert (only.severity, only.message) == (
        Severity.WARNING,
        "a Mesos master does not answer: m2:5050 answered 503: no",
    )


def test_masters_of_which_none_leads(tmp_path: Path) -> None:
    world = World(tmp_path, {"GET_FLAGS": Reply(503, [b"No leader elected"])})
    assert said(mesos.masters, world.subject()) == ["no Mesos master leads: m1:5050 answered 503: No leader elected"]


def test_a_master_that_hides_its_flags_leads_all_the_same(tmp_path: Path) -> None:
    world = World(tmp_path, {"GET_FLAGS": Reply(403, [b"Forbidden"])})
    assert said(mesos.masters, world.subject()) == []


def test_a_secret_that_is_refused(tmp_path: Path) -> None:
    world = World(tmp_path, {"/api/v1/scheduler": Reply(401, [b"Unauthorized"])})
    subject = world.subject(credentials=Credentials("km", "wrong"))
    assert said(mesos.principal, subject) == [
        "the Mesos master m1:5050 answered 401: Unauthorized; it was given principal 'km' and its secret"
    ]
    assert "wrong" not in str(found(mesos.principal, subject))


def test_credentials_that_are_needed_and_not_given(tmp_path: Path) -> None:
    world = World(tmp_path, {"/api/v1/scheduler": Reply(401, [b"Unauthorized"])})
    [words] = said(mesos.principal, world.subject())
    assert words.endswith("it was given no principal")


@pytest.mark.parametrize("name", ["a/../b", "a//b", "a/*", "a/-b"])
def test_names_that_no_role_has(tmp_path: Path, name: str) -> None:
    [words] = said(mesos.role, World(tmp_path).subject(f"--mesos-role={name}"))
    assert words.startswith(f"--mesos-role={name!r} is no name of a role")


def test_a_role_that_is_not_on_the_masters_list(tmp_path: Path) -> None:
    world = World(tmp_path, {"GET_FLAGS": flag_answer(roles="spark, web")})
    assert said(mesos.role, world.subject("--mesos-role=kube")) == [
        "--mesos-role=kube is not among the master's --roles=spark,web"
    ]
    assert said(mesos.role, world.subject("--mesos-role=web")) == []
    assert said(mesos.role, world.subject()) == []


def test_each_of_several_roles_is_asked_for(tmp_path: Path) -> None:
    several = "--mesos-framework-roles=*,web,kube"
    world = World(tmp_path, {"GET_FLAGS": flag_answer(roles="web")})
    assert said(mesos.role, world.subject(several)) == [
        "--mesos-framework-roles=kube is not among the master's --roles=web"
    ]
    [words] = said(mesos.role, world.subject("--mesos-framework-roles=*,a/../b"))
    assert words.startswith("--mesos-framework-roles='a/../b' is no name of a role")


def test_a_role_that_the_acls_refuse(tmp_path: Path) -> None:
    world = World(tmp_path, {"GET_FLAGS": flag_answer(acls=ACLS)})
    flags = ("--mesos-authentication-principal=km", "--mesos-authentication-secret-file=/s")
    assert said(mesos.role, world.subject("--mesos-role=kube", *flags)) == [
        "the master's ACL register_frameworks does not let principal 'km' register with --mesos-role=kube"
    ]
    assert said(mesos.role, world.subject("--mesos-role=free", *flags)) == []


def test_acls_that_cannot_be_read_are_not_taken_for_consent(tmp_path: Path) -> None:
    world = World(tmp_path, {"GET_FLAGS": flag_answer(acls="register_frameworks {")})
    with pytest.raises(NotChecked, match="the master's ACLs cannot be read"):
        said(mesos.role, world.subject())


def quota(role: str = "*", **limits: float) -> Mapping[str, Any]:
    config = {"role": role, "limits": {name: {"value": value} for name, value in limits.items()}}
    return {"type": "GET_QUOTA", "get_quota": {"status": {"configs": [config]}}}


def test_a_limit_below_what_an_executor_needs(tmp_path: Path) -> None:
    world = World(tmp_path, {"GET_QUOTA": dict(quota(cpus=0.1, mem=1024))})
    [only] = found(mesos.quota, world.subject())
    assert (only.severity, only.message) == (
        None,
        "role '*' is limited to cpus: 0.1, mem: 1024, and an executor alone needs cpus 0.25",
    )


def test_a_limit_with_room_is_a_note(tmp_path: Path) -> None:
    world = World(tmp_path, {"GET_QUOTA": dict(quota(cpus=10))})
    [only] = found(mesos.quota, world.subject())
    assert (only.severity, only.message) == (
        Severity.NOTE,
        "role '*' is limited to cpus: 10, for all of its frameworks",
    )
    assert said(mesos.quota, World(tmp_path, {"GET_QUOTA": dict(quota("other", cpus=0.1))}).subject()) == []


def test_a_namesake_while_we_have_no_id(tmp_path: Path) -> None:
    world = World(tmp_path, {"GET_FRAMEWORKS": frameworks(framework("f-2"))})
    [only] = found(mesos.framework, world.subject())
    assert only.severity is None
    assert only.message == (
        f"framework f-2 has the name 'Kubernetes', too, and is registered, while {tmp_path} holds no framework id"
    )
    assert f"restore its id (framework-id in {tmp_path})" in only.remedy


def test_a_namesake_beside_us_is_a_warning(tmp_path: Path) -> None:
    stored(tmp_path)
    world = World(tmp_path, {"GET_FRAMEWORKS": frameworks(framework(), framework("f-2"))})
    [only] = found(mesos.framework, world.subject())
    assert only.severity is Severity.WARNING
    assert only.message == "framework f-2 has the name 'Kubernetes', too, and is registered; this one is f-1"


def test_namesakes_that_have_gone_do_not_count(tmp_path: Path) -> None:
    stored(tmp_path)
    world = World(tmp_path, {"GET_FRAMEWORKS": frameworks(framework("f-2", active=False))})
    assert said(mesos.framework, world.subject()) == []


def test_what_the_master_remembers_otherwise(tmp_path: Path) -> None:
    stored(tmp_path)
    old = framework(user="nobody", checkpoint=False, failover_timeout=604800.0, principal="old")
    made = found(mesos.framework, World(tmp_path, {"GET_FRAMEWORKS": frameworks(old)}).subject())
    assert [(each.message.partition(" is ")[0], each.severity) for each in made] == [
        ("--mesos-authentication-principal", Severity.ERROR),
        ("--mesos-user", Severity.WARNING),
        ("--checkpoint", Severity.WARNING),
        ("--failover-timeout", Severity.NOTE),
    ]
    assert made[1].message == "--mesos-user is 'root' here, and 'nobody' in what the master has of this framework"
    assert "restart the scheduler" in made[3].remedy


def test_a_framework_that_mesos_has_removed(tmp_path: Path) -> None:
    stored(tmp_path)
    world = World(tmp_path, {"GET_FRAMEWORKS": frameworks(completed=[framework()])})
    [only] = found(mesos.framework, world.subject())
    assert only.message == "framework id f-1 is completed: Mesos has removed it"
    assert "exit code 12" in only.remedy


def isolation(*isolators: str) -> dict[str, Any]:
    return {"flags": {"isolation": ",".join(isolators)}}


def test_isolators_that_hide_pods(tmp_path: Path) -> None:
    world = World(
        tmp_path,
        {
            "GET_AGENTS": {"get_agents": {"agents": [agent("h1"), agent("h2", "10.0.0.2"), agent("h3", "10.0.0.3")]}},
            "10.0.0.2:5051/slave(1)/flags": isolation("cgroups/cpu", "filesystem/linux"),
            "10.0.0.3:5051/slave(1)/flags": isolation("filesystem/linux", "namespaces/pid"),
        },
    )
    assert sorted(said(agents.isolators, world.subject())) == [
        "h2, h3: --isolation has filesystem/linux",
        "h3: --isolation has namespaces/pid",
    ]


def test_agents_that_do_not_tell_are_named(tmp_path: Path) -> None:
    world = World(tmp_path, {"/slave(1)/flags": Reply(401, [b"Unauthorized"])})
    [only] = found(agents.isolators, world.subject())
    assert (only.severity, only.message) == (
        Severity.WARNING,
        "not checked: h1: 10.0.0.1:5051 answered 401: Unauthorized",
    )


def test_of_many_agents_the_rest_is_told(tmp_path: Path) -> None:
    many = [agent(f"h{number}") for number in range(agents.MAX_ASKED + 5)]
    world = World(tmp_path, {"GET_AGENTS": {"get_agents": {"agents": many}}})
    [only] = found(agents.isolators, world.subject())
    assert (only.severity, only.message) == (Severity.NOTE, "not checked: 5 more agents")
    asked = [each for each in world.requests if each.url.endswith("/flags")]
    assert len(asked) == agents.MAX_ASKED


def test_what_is_not_seen_from_here_is_said(tmp_path: Path) -> None:
    async def run(subject: Subject) -> list[Any]:
        return list(await agents.unseen(subject))

    [words] = said(run, World(tmp_path).subject())
    assert words.startswith("not checked: containerd's socket and CRI")
