"""What Mesos tells by its environment."""

from __future__ import annotations

from pathlib import Path

import pytest

from kmsched.errors import ConfigRefused
from kmsched.executor.environment import MesosEnvironment, agent_tls, read_environment

ENVIRON = {
    "MESOS_FRAMEWORK_ID": "f",
    "MESOS_EXECUTOR_ID": "km-1",
    "MESOS_SLAVE_PID": "slave(1)@10.0.0.7:5051",
    "MESOS_SLAVE_ID": "agent-1",
    "MESOS_SANDBOX": "/s",
    "MESOS_CHECKPOINT": "1",
    "MESOS_RECOVERY_TIMEOUT": "1.5mins",
}


def test_a_whole_environment() -> None:
    assert read_environment(ENVIRON) == MesosEnvironment(
        "f", "km-1", "agent-1", "http://10.0.0.7:5051/slave(1)", "10.0.0.7", Path("/s"), 90.0, 2.0, None
    )


@pytest.mark.parametrize(
    ("change", "field", "value"),
    [
        ({"MESOS_CHECKPOINT": "0"}, "recovery_s", 0.0),
        ({"LIBPROCESS_IP": "10.0.0.8"}, "agent_ip", "10.0.0.8"),
        ({"LIBPROCESS_IP": "0.0.0.0"}, "agent_ip", "10.0.0.7"),
        ({"MESOS_SLAVE_PID": "slave(1)@127.0.0.1:5051"}, "agent_ip", ""),
        ({"MESOS_SLAVE_PID": "slave(1)@h1:5051"}, "agent_ip", ""),
        ({"MESOS_SUBSCRIPTION_BACKOFF_MAX": "250ms"}, "pause_max_s", 0.25),
    ],
)
def test_variants(change: dict[str, str], field: str, value: object) -> None:
    assert getattr(read_environment({**ENVIRON, **change}), field) == value


TLS = {"LIBPROCESS_SSL_ENABLED": "true", "LIBPROCESS_SSL_CA_FILE": "/ca", "LIBPROCESS_SSL_CERT_FILE": "/c"}


def test_without_a_word_of_tls_there_is_none() -> None:
    assert agent_tls({**TLS, "LIBPROCESS_SSL_ENABLED": "false"}) is None
    assert agent_tls({"LIBPROCESS_SSL_CA_FILE": "/ca"}) is None


def test_an_agent_that_speaks_tls_is_asked_so_and_believed_like_libprocess_does() -> None:
    """libprocess checks nobody unless it is told to."""
    found = read_environment({**ENVIRON, **TLS, "LIBPROCESS_SSL_KEY_FILE": "/k"})
    assert found.agent_url == "https://10.0.0.7:5051/slave(1)"
    assert found.agent_tls is not None
    assert (found.agent_tls.cert_file, found.agent_tls.key_file) == ("/c", "/k")
    assert (found.agent_tls.insecure, found.agent_tls.ca_file) == (True, None)


@pytest.mark.parametrize("name", ["VERIFY_SERVER_CERT", "VERIFY_CERT"])
def test_an_agents_certificate_is_checked_if_the_environment_says_so(name: str) -> None:
    found = agent_tls({**TLS, f"LIBPROCESS_SSL_{name}": "1"})
    assert found is not None
    assert (found.insecure, found.ca_file, found.checks_names) == (False, "/ca", False)
    found = agent_tls({**TLS, f"LIBPROCESS_SSL_{name}": "1", "LIBPROCESS_SSL_VERIFY_IPADD": "true"})
    assert found is not None
    assert found.checks_names
    assert found.names.ca == "LIBPROCESS_SSL_CA_FILE"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"MESOS_FRAMEWORK_ID": ""}, "MESOS_FRAMEWORK_ID is not set: km executor is started by a Mesos agent"),
        ({"MESOS_SLAVE_PID": "10.0.0.7:5051"}, "MESOS_SLAVE_PID must look like"),
        (
            {
                "LIBPROCESS_SSL_ENABLED": "1",
                "LIBPROCESS_SSL_VERIFY_SERVER_CERT": "1",
                "LIBPROCESS_SSL_CA_DIR": "/etc/ssl",
            },
            "LIBPROCESS_SSL_CA_DIR=/etc/ssl is not read: name a file of authorities as LIBPROCESS_SSL_CA_FILE",
        ),
        ({"MESOS_RECOVERY_TIMEOUT": "soon"}, "MESOS_RECOVERY_TIMEOUT='soon' is no duration"),
    ],
)
def test_what_is_missing_is_named(change: dict[str, str], words: str) -> None:
    with pytest.raises(ConfigRefused, match=words):
        read_environment({**ENVIRON, **change})
