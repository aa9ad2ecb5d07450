"""The executor that each test runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from kmsched.executor.settings import ExecutorSettings
from tests.executor.runs import KUBECONFIG, Run
from tests.executor.world import AGENT, World


@pytest.fixture
def run(tmp_path: Path) -> Run:
    kubelet = tmp_path / "kubelet"
    kubelet.write_text("#!/bin/sh\necho start $$ $*\nexec sleep 1000\n")
    kubelet.chmod(0o755)
    (tmp_path / "kubeconfig").write_text(KUBECONFIG)
    (tmp_path / "ca.crt").write_text("CERTIFICATE")
    settings = ExecutorSettings(
        kubelet_path=str(kubelet),
        kubelet_kubeconfig=tmp_path / "kubeconfig",
        kubelet_root_dir=tmp_path / "root",
        artifacts_dir=tmp_path / "artifacts",
    )
    environ = {
        "MESOS_FRAMEWORK_ID": "f",
        "MESOS_EXECUTOR_ID": "km-1",
        "MESOS_SLAVE_ID": "agent-1",
        "MESOS_SLAVE_PID": AGENT.removeprefix("http://").split("/")[1] + "@10.0.0.7:5051",
        "MESOS_SANDBOX": str(tmp_path),
        "MESOS_CHECKPOINT": "1",
        "MESOS_RECOVERY_TIMEOUT": "60secs",
    }
    return Run(World(), tmp_path, settings, environ)
