"""Mesos with TLS, principal and ACLs: a proxy that wants client certificates, in front of a real master that knows one
principal, and lets it register in one role and run tasks as nobody that we are."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from kmsched.errors import EXIT_CONFIG, EXIT_MISMATCH
from tests.clients import pki
from tests.clients.pki import Pki
from tests.scenarios import workloads
from tests.scenarios.cluster import Cluster
from tests.scenarios.second import SECOND_PAGES, TOLD_S, UNIT, Second
from tests.scenarios.strict import PRINCIPAL, SECRET, Proxy, one_agent, strict_master
from tests.scenarios.waiting import until

MASTER_PORT, PROXY_PORT = 5061, 5062
ROLE = "free"
ACLS = {
    "register_frameworks": [
        {"principals": {"values": [PRINCIPAL]}, "roles": {"values": [ROLE]}},
        {"principals": {"type": "NONE"}, "roles": {"type": "ANY"}},
    ],
    "run_tasks": [
        {"principals": {"values": [PRINCIPAL]}, "users": {"values": ["somebody"]}},
        {"principals": {"type": "NONE"}, "users": {"type": "ANY"}},
    ],
}


@dataclass(frozen=True)
class Guarded:
    """`url` of the proxy; `plain` is the master's own."""

    certificates: Pki
    proxy: Proxy
    plain: str

    @property
    def url(self) -> str:
        return self.proxy.url

    def speaks_as(self, name: str) -> None:
        text = self.certificates.text
        self.proxy.start(text(f"{name}.crt"), text(f"{name}.key"), text("ca.crt"))


@pytest.fixture(scope="module")
def guarded(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    host = cluster.plan.hosts.masters[0]
    address = cluster.settings.address(host)
    proxy = Proxy(cluster, host, "tls-proxy", PROXY_PORT, f"{address}:{MASTER_PORT}")
    with strict_master(cluster, "guarded-master", MASTER_PORT, ACLS, **one_agent()) as plain:
        made = Guarded(pki.make(tmp_path_factory.mktemp("pki"), f"IP:{address}"), proxy, plain)
        made.speaks_as("server")
        try:
            yield made
        finally:
            proxy.stop()


@pytest.fixture
def second(guarded: Guarded, second: Second) -> Second:
    """With certificates and secret in its folder."""
    for name in ("ca", "other", "client", "old", "stranger"):
        for kind in ("crt", "key"):
            second.write(f"{name}.{kind}", guarded.certificates.text(f"{name}.{kind}"))
    second.write("secret", SECRET)
    return second


def flags(second: Second, guarded: Guarded, *, ca: str = "ca", client: str = "client", role: str = ROLE) -> list[str]:
    given = {
        "mesos-master": guarded.url,
        "mesos-role": role,
        "mesos-ca-file": f"{second.folder}/{ca}.crt",
        "mesos-authentication-principal": PRINCIPAL,
        "mesos-authentication-secret-file": f"{second.folder}/secret",
    }
    if client:
        given |= {
            f"mesos-{kind}-file": f"{second.folder}/{client}.{end}" for kind, end in (("cert", "crt"), ("key", "key"))
        }
    return [f"--{name}={value}" for name, value in given.items()]


def test_it_works_under_tls_and_a_task_that_the_acls_refuse_is_explained(
    cluster: Cluster, namespace: str, guarded: Guarded, second: Second
) -> None:
    second.start(*flags(second, guarded))
    second.wait_ready()
    cluster.api.create(workloads.pod("refused", workloads.spec(schedulerName=second.name)), namespace)
    words = f"the master's ACL run_tasks does not let principal '{PRINCIPAL}' run tasks as --mesos-user=root: let its"

    def told() -> bool:
        messages = cluster.api.events(namespace, "refused", "FailedLaunch")
        reason = cluster.page(f"/api/v1/pods/{namespace}/refused", SECOND_PAGES).json()["reason"]
        if not any(words in message for message in messages) or words not in reason:
            raise ValueError(f"Events: {messages}, explained: {reason}")
        return True

    until(told, TOLD_S, "the pod's Event and its explanation name ACL, principal, user and flag")
    offers = cluster.page("/api/v1/offers", SECOND_PAGES).json()["agents"]
    assert [agent["last"]["fate"] for agent in offers if agent["last"]] == ["accepted"], offers


def test_an_upstream_with_a_wrong_certificate_never_ends_it_and_a_reload_helps(
    cluster: Cluster, guarded: Guarded, second: Second
) -> None:
    second.start(*flags(second, guarded))
    second.wait_ready()
    pid = cluster.hosts.main_pid(cluster.scheduler_host, UNIT)
    guarded.speaks_as("imposter")
    try:
        second.wait_told("its certificate is not accepted: ")
        second.wait_told("check --mesos-ca-file, which must hold the authority that signed it")
        certificates = guarded.certificates
        second.write("ca.crt", certificates.text("ca.crt") + certificates.text("other.crt"))
        cluster.hosts.must(cluster.scheduler_host, "systemctl", "kill", "--signal=HUP", UNIT)
        second.wait_ready()
    finally:
        guarded.speaks_as("server")
    assert cluster.hosts.main_pid(cluster.scheduler_host, UNIT) == pid
    assert "tokens, passwords and certificates are read anew" in second.log()


@pytest.mark.parametrize(
    ("ca", "client", "words"),
    [
        pytest.param("ca", "", "give --mesos-cert-file and --mesos-key-file", id="no-client-certificate"),
        pytest.param("ca", "old", "our client certificate has expired; check --mesos-cert-file", id="expired"),
        pytest.param("ca", "stranger", "it does not accept our client certificate (unknown ca)", id="unknown"),
        pytest.param("other", "client", "check --mesos-ca-file, which must hold the authority", id="wrong-authority"),
    ],
)
def test_the_doctor_names_what_is_wrong_with_certificates(
    second: Second, guarded: Guarded, ca: str, client: str, words: str
) -> None:
    ended = second.km(
        "doctor", "--flags-file=/etc/kmsched/scheduler.flags", *flags(second, guarded, ca=ca, client=client)
    )
    assert ended.code == EXIT_MISMATCH, ended.text
    assert words in ended.text


def test_a_role_that_the_acls_refuse(cluster: Cluster, guarded: Guarded, second: Second) -> None:
    second.start(*flags(second, guarded, role="forbidden"))
    second.wait_told(
        f"the master's ACL register_frameworks does not let principal '{PRINCIPAL}' use --mesos-role=forbidden",
    )
    assert second.is_active()


def test_a_secret_that_is_wrong_ends_the_start(guarded: Guarded, second: Second) -> None:
    second.write("secret", "wrong")
    ended = second.run(*flags(second, guarded))
    assert ended.code == EXIT_CONFIG, ended.text
    assert f"it does not know principal '{PRINCIPAL}' with this secret: check" in ended.text.splitlines()[-1]
    assert "wrong" not in ended.text.replace("does not know", "")


def test_flags_that_would_send_the_secret_in_the_clear(guarded: Guarded, second: Second) -> None:
    ended = second.run(*flags(second, guarded), f"--mesos-master={guarded.plain}")
    assert ended.code == EXIT_CONFIG, ended.text
    assert f"--mesos-master={guarded.plain} is asked without TLS, and --mesos-ca-file is given" in ended.text
