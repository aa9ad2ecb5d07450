"""Checks of the Mesos masters: do they lead, take us, allow our role, and remember us as we are."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

from kmsched.doctor.findings import Found, NotChecked, Severity
from kmsched.doctor.records import FRAMEWORK_ID, stored_framework_id, where
from kmsched.doctor.subject import Subject
from kmsched.errors import KmError, ProtocolError, Unavailable
from kmsched.wire import mesos_operator as wire
from kmsched.wire.mesos_acls import parse_acls

#: a float went through JSON twice
SAME_S = 0.001
BAD_ROLE_CHARACTERS = frozenset(" \t\n\v\f\r\x7f\\")


async def masters(subject: Subject) -> list[Found]:
    """Each master by itself, and that one of them leads."""
    operator = subject.mesos()
    answers = await asyncio.gather(*(operator.version(url) for url in operator.masters), return_exceptions=True)
    away = [str(each) for each in answers if isinstance(each, KmError)]
    found = [Found(f"a Mesos master does not answer: {words}", severity=Severity.WARNING) for words in away]
    if len(away) == len(operator.masters):
        return [Found(f"no Mesos master answers: {'; '.join(away)}")]
    try:
        await subject.master_flags.answer()
    except Unavailable as error:
        found.append(Found(f"no Mesos master leads: {error}"))
    except KmError:
        pass  # it leads, and does not tell us everything: the checks that want to know say so
    return found


async def principal(subject: Subject) -> list[Found]:
    """Whether the leading master takes principal and secret."""
    operator = subject.mesos()
    refusal = await operator.refusal_of_credentials()
    if refusal is None:
        return []
    given = "no principal" if operator.principal is None else f"principal {operator.principal!r} and its secret"
    return [Found(f"{refusal}; it was given {given}")]


async def role(subject: Subject) -> list[Found]:
    """Whether the roles can be, and may be, subscribed with."""
    wanted = subject.config.mesos_roles
    if bad := [Found(f"{_flag_of(subject, each)}={each!r} {why}") for each in wanted if (why := _bad_role(each))]:
        return bad
    found = []
    flags = await subject.master_flags.answer()
    allowed = [each.strip() for each in (flags.value("roles") or "").split(",") if each.strip()]
    for each in wanted:
        if allowed and each not in [*allowed, "*"]:
            words = f"{_flag_of(subject, each)}={each} is not among the master's --roles={','.join(allowed)}"
            found.append(Found(words))
    text = flags.value("acls")
    if text is not None:
        try:
            found += _refused_by_acls(subject, text)
        except ProtocolError as error:
            raise NotChecked(str(error)) from error
    return found


def _refused_by_acls(subject: Subject, text: str) -> Iterator[Found]:
    acls, config = parse_acls(text), subject.config
    who = f"principal {config.mesos_principal!r}" if config.mesos_principal else "a framework without a principal"
    for action, words, value in (
        *(
            ("register_frameworks", f"register with {_flag_of(subject, each)}={each}", each)
            for each in config.mesos_roles
        ),
        ("run_tasks", f"run tasks as --mesos-user={config.mesos_user}", config.mesos_user),
    ):
        if not acls.allow(action, config.mesos_principal, value):
            yield Found(f"the master's ACL {action} does not let {who} {words}")


def _flag_of(subject: Subject, role: str) -> str:
    """Which flag names the role."""
    return "--mesos-role" if role == subject.config.mesos_role else "--mesos-framework-roles"


def _bad_role(name: str) -> str | None:
    """Why Mesos takes no role of this name."""
    if name == "*":
        return None
    for part in name.split("/"):
        if part in ("", ".", "..", "*") or part.startswith("-") or set(part) & BAD_ROLE_CHARACTERS:
            return f"is no name of a role: {part!r} in it is empty, a dot, a star, starts with a dash or has a blank"
    return None


async def quota(subject: Subject) -> list[Found]:
    """The role's limit: whether one executor fits, and how much that is."""
    config = subject.config
    answer = await subject.mesos().ask(wire.GetQuota)
    ours = [each for each in answer.status.configs if each.role == config.mesos_role]
    limits = {name: limit.value for each in ours for name, limit in each.limits.items()}
    needed = {"cpus": config.executor_cpus_milli / 1000, "mem": float(config.executor_mem_mib)}
    words = ", ".join(f"{name}: {limit:g}" for name, limit in sorted(limits.items()))
    short = [f"{name} {needed[name]:g}" for name in needed if limits.get(name, needed[name]) < needed[name]]
    if short:
        return [
            Found(f"role {config.mesos_role!r} is limited to {words}, and an executor alone needs {', '.join(short)}")
        ]
    if limits:
        return [
            Found(
                f"role {config.mesos_role!r} is limited to {words}, for all of its frameworks",
                "pods beyond that wait; km explain says that nothing is offered",
                Severity.NOTE,
            )
        ]
    return []


async def framework(subject: Subject) -> list[Found]:
    """What the master remembers of our framework id, and who else has our name."""
    own = await stored_framework_id(subject)
    answer = await subject.frameworks.answer()
    name = subject.config.framework_name
    found = [
        Found(f"framework id {own} is completed: Mesos has removed it", "see exit code 12 in docs/operations.md")
        for each in answer.completed_frameworks
        if own and _id(each) == own
    ]
    for each in answer.frameworks:
        if own and _id(each) == own:
            found += _differences(subject, each.framework_info)
        elif each.framework_info.name == name and (each.active or each.recovered):
            found.append(_namesake(subject, _id(each), own))
    return found


def _namesake(subject: Subject, other: str, own: str | None) -> Found:
    config = subject.config
    says = f"framework {other} has the name {config.framework_name!r}, too, and is registered"
    if own is None:
        return Found(
            f"{says}, while {where(subject)} holds no framework id",
            f"if it is this scheduler's, restore its id ({FRAMEWORK_ID} in {where(subject)}) before starting; if not,"
            " give another --framework-name",
        )
    return Found(f"{says}; this one is {own}", "give one of them another --framework-name", Severity.WARNING)


def _differences(subject: Subject, info: wire.FrameworkInfo) -> Iterator[Found]:
    """Mesos takes a new SUBSCRIBE and silently keeps some old values; a new principal it refuses."""
    config = subject.config
    kept = Severity.WARNING
    for flag, ours, theirs, severity, remedy in (
        (
            "mesos-authentication-principal",
            config.mesos_principal or "",
            info.principal or "",
            Severity.ERROR,
            f"Mesos refuses another principal: give {info.principal or 'none'!r} again, or make a new framework id",
        ),
        ("mesos-user", config.mesos_user, info.user, kept, ""),
        ("checkpoint", config.checkpoint, info.checkpoint, kept, ""),
        (
            "failover-timeout",
            config.failover_timeout_s,
            info.failover_timeout,
            Severity.NOTE,
            "the next SUBSCRIBE tells it to Mesos: restart the scheduler",
        ),
    ):
        if ours != theirs and not _are_close(ours, theirs):
            yield Found(
                f"--{flag} is {ours!r} here, and {theirs!r} in what the master has of this framework",
                remedy or f"Mesos keeps the old value: give it again, or make a new framework id ({flag})",
                severity,
            )


def _are_close(ours: object, theirs: object) -> bool:
    return isinstance(ours, float) and isinstance(theirs, float) and abs(ours - theirs) < SAME_S


def _id(framework: wire.Framework) -> str:
    return framework.framework_info.id.value if framework.framework_info.id else ""
