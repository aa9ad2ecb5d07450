"""The table of checks, and the one loop that makes them.

A check is a row: a new one needs a function in one of the modules beside this one, and nothing else.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace

from kmsched.clients.http import within
from kmsched.clients.kube_lease import REMEDY
from kmsched.doctor import addresses, agents, artifacts, clocks, etcd, kubernetes, mesos, records, statefolder, versions
from kmsched.doctor.findings import FLAGS, Check, Result, Severity, finding, unchecked
from kmsched.doctor.subject import Subject
from kmsched.errors import KmError

#: for each check; all of them are made at once
CHECK_S = 60.0
#: at the start nobody waits for them, but they should not trail after it either
START_CHECK_S = 20.0

ERROR, WARNING, NOTE = Severity.ERROR, Severity.WARNING, Severity.NOTE

CHECKS: tuple[Check, ...] = (
    FLAGS,
    Check(
        "credentials",
        "kubeconfig and the certificates in it, the file of the Mesos secret",
        ERROR,
        "correct the file that is named, or let the scheduler's user read it",
        kubernetes.credentials,
    ),
    Check(
        "artifact-only-here",
        "`file:` paths that this host has while agents are other hosts",
        WARNING,
        "publish it (km-upload FILE hdfs://...) and give its hdfs: URI, or see to it that every agent has the file",
        artifacts.only_here,
        at_start=True,
    ),
    Check(
        "artifact-mutable",
        "URIs of artifacts that name no SHA-256 (a note, a warning with --ha) or two of them",
        ERROR,
        "give .../<sha256>/name as km-upload prints it, or put #sha256=<hex> behind the URI",
        artifacts.mutable,
        at_start=True,
    ),
    Check(
        "artifact-readable",
        "every artifact that can be read from here, whole; at the start its first bytes",
        ERROR,
        "publish the file (km-upload FILE hdfs://...) or correct the URI; agents cannot fetch it either",
        artifacts.readable,
        at_start=True,
        run_at_start=artifacts.beginning,
    ),
    Check(
        "artifact-digest",
        "the content of each artifact against the SHA-256 in its URI",
        ERROR,
        "publish the right file under its own digest (km-upload); agents refuse this one",
        artifacts.digest,
    ),
    Check(
        "loopback",
        "loopback addresses of API servers, artifacts and the scheduler, that other hosts would need",
        ERROR,
        "give the address by which the agents reach it",
        addresses.loopback,
        at_start=True,
    ),
    Check(
        "kubernetes-api",
        "each API server: does it answer, does it accept the credentials",
        ERROR,
        "check --api-servers or the kubeconfig's server, and that the credentials are current",
        kubernetes.reachable,
    ),
    Check(
        "kubernetes-rights",
        "every right that the scheduler uses, by SelfSubjectAccessReview",
        ERROR,
        "grant it: kubectl apply what km manifests --user=USER prints",
        kubernetes.permissions,
        at_start=True,
    ),
    Check(
        "kubernetes-rival",
        "with --scheduler-name=default-scheduler, the Lease of kube-scheduler: is one alive",
        WARNING,
        REMEDY,
        kubernetes.rival,
    ),
    Check(
        "mesos-masters",
        "each master: does it answer, does one of them lead",
        ERROR,
        "check --mesos-master, and that a majority of the masters and ZooKeeper is up",
        mesos.masters,
    ),
    Check(
        "mesos-principal",
        "principal and secret, at the leading master's door",
        ERROR,
        "give --mesos-authentication-principal and its secret as they are in the master's credentials",
        mesos.principal,
    ),
    Check(
        "mesos-role",
        "the role's name, the master's --roles, its ACLs register_frameworks and run_tasks",
        ERROR,
        "give another --mesos-role, --mesos-user or principal, or let the master allow this one",
        mesos.role,
        at_start=True,
    ),
    Check(
        "mesos-quota",
        "the limits of the role's quota against what one executor needs",
        ERROR,
        "raise the limit (UPDATE_QUOTA), or give --executor-cpus and --executor-mem less",
        mesos.quota,
        at_start=True,
    ),
    Check(
        "mesos-framework",
        "what the master has of our framework id, and other frameworks of our name",
        ERROR,
        "give the flags their old values, or make a new framework id",
        mesos.framework,
        at_start=True,
    ),
    Check(
        "mesos-agents",
        "isolators of the agents that hide pods from the host's containerd",
        ERROR,
        "take it out of the agent's --isolation",
        agents.isolators,
    ),
    Check(
        "agents-unseen",
        "what can only be seen on the agents",
        NOTE,
        "look there",
        agents.unseen,
    ),
    Check(
        "state-folder",
        "the state folder: may this user write there, is there room, can its records be read",
        ERROR,
        "make the folder and let the scheduler's user write there, or give another --state-dir",
        statefolder.folder,
    ),
    Check(
        "state-lock",
        "who holds the state folder's lock",
        NOTE,
        "in order if that is this scheduler, running; a second one needs a folder and a framework name of its own",
        statefolder.lock,
    ),
    Check(
        "state-framework-id",
        "pods that are bound while no framework id is stored",
        ERROR,
        "restore the state folder, see exit code 13 in docs/operations.md",
        records.framework_id,
    ),
    Check(
        "etcd",
        "with --ha: whether a quorum answers, and each member",
        ERROR,
        "bring the members back, or correct --etcd-servers, user, password and certificates",
        etcd.etcd,
        at_start=True,
    ),
    Check(
        "clocks",
        "Date headers of API servers, masters, agents and etcd against this host's clock: 5 s a warning, 60 s an error",
        ERROR,
        "set both clocks by NTP",
        clocks.clocks,
        at_start=True,
    ),
    Check(
        "versions",
        "Mesos, Kubernetes, containerd, etcd, Hadoop, systemd, Python against docs/compatibility.md",
        WARNING,
        "see docs/compatibility.md; what is not expected may work, and nobody has tried",
        versions.versions,
        at_start=True,
    ),
)


START_CHECKS = tuple(replace(check, run=check.run_at_start or check.run) for check in CHECKS if check.at_start)


async def examine(subject: Subject, checks: Sequence[Check] = CHECKS, *, limit_s: float = CHECK_S) -> list[Result]:
    """All checks at once, each within `limit_s` seconds; results in the table's order."""
    return list(await asyncio.gather(*(_made(subject, check, limit_s) for check in checks)))


async def _made(subject: Subject, check: Check, limit_s: float) -> Result:
    try:
        found = await within(subject.clock, limit_s, check.run(subject), f"not done within {limit_s:g} s")
    except KmError as error:
        return Result(check, (unchecked(check, str(error)),))
    except PermissionError as error:
        why = f"{error.filename} cannot be seen by this user; run the doctor as the scheduler's user"
        return Result(check, (unchecked(check, why),))
    except Exception as error:  # a defect of one check must not hide what the others found
        return Result(check, (unchecked(check, f"a defect of km: {type(error).__name__}: {error}"),))
    return Result(check, tuple(finding(check, each) for each in found))
