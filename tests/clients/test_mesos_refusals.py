"""What a master refuses us as, in words with principal, role, user and flag."""

from __future__ import annotations

from kmsched.clients.mesos_refusals import Identity, invalid, of_tasks, unauthenticated, unauthorized

KM = Identity("km", ("prod",), "root")
NOBODY = Identity(None, ("*",), "nobody")


def test_a_secret_that_is_not_known_and_one_that_is_missing() -> None:
    assert unauthenticated(KM) == (
        "it does not know principal 'km' with this secret: check --mesos-authentication-principal and the file of"
        " --mesos-authentication-secret-file against the master's --credentials"
    )
    assert unauthenticated(NOBODY) == (
        "it wants to know who asks: give --mesos-authentication-principal and --mesos-authentication-secret-file"
    )


def test_a_role_that_is_not_allowed() -> None:
    assert unauthorized("Not authorized to register framework with roles { prod }", KM) == (
        "the master's ACL register_frameworks does not let principal 'km' use --mesos-role=prod: let its operator allow"
        " it, or give another role, or another --mesos-authentication-principal"
    )
    several = Identity("km", ("prod", "dev"), "root")
    assert "principal 'km' use --mesos-framework-roles=prod,dev: let" in unauthorized("no", several)
    assert "does not let a framework without a principal use --mesos-role=*" in unauthorized("no", NOBODY)


def test_a_user_that_is_not_allowed() -> None:
    words = "Not authorized to launch task u.1.1 of framework F under user 'root'"
    assert unauthorized(words, KM) == of_tasks(KM)
    assert of_tasks(KM) == (
        "the master's ACL run_tasks does not let principal 'km' run tasks as --mesos-user=root: let its operator allow"
        " it, or give another user, or another --mesos-authentication-principal"
    )


def test_a_request_that_is_refused() -> None:
    assert invalid("Authenticated principal 'x' does not match principal 'km' set in `FrameworkInfo`", KM) == (
        "it holds another principal for this framework or connection than principal 'km': check"
        " --mesos-authentication-principal"
    )
    assert invalid("Failed to parse", KM) == "it was asked by principal 'km', in role prod, for user root"
