"""What scenarios read out of a host about its containers, by which they judge: none may be overlooked."""

from __future__ import annotations

import pytest

from tests.scenarios.hosts import Container, seen

TABLE = """TASK    PID    STATUS
aa11    100    RUNNING
bb22    101    STOPPED
cc33    102    RUNNING
"""
NOTES = r"""aa11/config.json:{
aa11/config.json:"io.kubernetes.cri.container-type":"sandbox"
aa11/config.json:"io.kubernetes.cri.sandbox-namespace": "apart"
aa11/config.json:"io.kubernetes.cri.sandbox-uid":"u-1"
bb22/config.json:"io.kubernetes.cri.container-type":"container"
bb22/config.json:"io.kubernetes.cri.sandbox-namespace":"default"
bb22/config.json:"io.kubernetes.cri.sandbox-uid":"u-2"
dd44/config.json:"io.kubernetes.cri.container-type":"container"
"""


def test_tasks_get_what_cri_noted_and_those_that_have_just_ended_are_left_out() -> None:
    assert seen(TABLE + NOTES, "h1") == [
        Container("aa11", "RUNNING", "sandbox", "u-1", "apart", "h1"),
        Container("bb22", "STOPPED", "container", "u-2", "default", "h1"),
    ]


def test_one_that_is_there_and_of_which_nothing_is_known_is_not_overlooked() -> None:
    with pytest.raises(KeyError, match="container-type"):
        seen(TABLE + "cc33/config.json:{\n", "h1")


def test_a_host_without_containers() -> None:
    assert seen("TASK    PID    STATUS\n", "h1") == []
