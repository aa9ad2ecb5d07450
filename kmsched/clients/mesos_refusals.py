"""What a Mesos master refuses us as, and what to do, in words: who we are, and which flags and ACLs decide.

Knows statuses, Mesos' own words and its reasons of task updates.  Whether a refusal is final is the caller's.
"""

from __future__ import annotations

from dataclasses import dataclass

PRINCIPAL, SECRET = "--mesos-authentication-principal", "--mesos-authentication-secret-file"
UNAUTHORIZED_REASONS = frozenset({"REASON_TASK_UNAUTHORIZED", "REASON_TASK_GROUP_UNAUTHORIZED"})
#: how Mesos calls what the ACL run_tasks is about, in lower case
OF_TASKS = ("launch", "run task", "run_task")


@dataclass(frozen=True, slots=True)
class Identity:
    """Who subscribes: what the ACLs of a master are about."""

    principal: str | None
    roles: tuple[str, ...]
    user: str

    @property
    def who(self) -> str:
        return f"principal {self.principal!r}" if self.principal else "a framework without a principal"


def unauthenticated(identity: Identity) -> str:
    """The remedy of a 401."""
    if identity.principal is None:
        return f"it wants to know who asks: give {PRINCIPAL} and {SECRET}"
    return (
        f"it does not know principal {identity.principal!r} with this secret: check {PRINCIPAL} and the file of"
        f" {SECRET} against the master's --credentials"
    )


def unauthorized(words: str, identity: Identity) -> str:
    """The remedy of a 403, or of an ERROR event, that says so in these words of Mesos."""
    if any(each in words.lower() for each in OF_TASKS):
        return of_tasks(identity)
    flag = "--mesos-role" if len(identity.roles) == 1 else "--mesos-framework-roles"
    return (
        f"the master's ACL register_frameworks does not let {identity.who} use {flag}={','.join(identity.roles)}: let"
        f" its operator allow it, or give another role, or another {PRINCIPAL}"
    )


def of_tasks(identity: Identity) -> str:
    return (
        f"the master's ACL run_tasks does not let {identity.who} run tasks as --mesos-user={identity.user}: let its"
        f" operator allow it, or give another user, or another {PRINCIPAL}"
    )


def invalid(words: str, identity: Identity) -> str:
    """The remedy of a 400."""
    if "principal" in words.lower():
        return f"it holds another principal for this framework or connection than {identity.who}: check {PRINCIPAL}"
    return f"it was asked by {identity.who}, in role {', '.join(identity.roles)}, for user {identity.user}"
