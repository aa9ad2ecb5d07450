"""What Mesos tells by its environment."""

from __future__ import annotations

from pathlib import Path

import pytest

from kmsched.errors import ConfigRefused
from kmsched.executor.environment import MesosEnvironment, read_environment

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


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"MESOS_FRAMEWORK_ID": ""}, "MESOS_FRAMEWORK_ID is not set: km executor is started by a Mesos agent"),
        ({"MESOS_SLAVE_PID": "10.0.0.7:5051"}, "MESOS_SLAVE_PID must look like"),
        ({"MESOS_RECOVERY_TIMEOUT": "soon"}, "MESOS_RECOVERY_TIMEOUT='soon' is no duration"),
    ],
)
def test_what_is_missing_is_named(change: dict[str, str], words: str) -> None:
    with pytest.raises(ConfigRefused, match=words):
        read_environment({**ENVIRON, **change})
