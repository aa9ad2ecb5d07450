"""`km scheduler` and `km executor`: from a command line to the running process.

Knows the way from flags to settings.  What the processes do is in `daemon` and `executor`, imported when they run.
"""

from __future__ import annotations

import os
from pathlib import Path

from kmsched import config, flags, log
from kmsched.cli.command import FlagCommand
from kmsched.executor.settings import ExecutorSettings
from kmsched.flags import PASS_THROUGH_PREFIX, Parsed


def start_scheduler(parsed: Parsed) -> int:
    log.setup(parsed["log-format"], parsed["log-level"])
    settings = config.build(parsed)
    config.check_host(settings)
    from kmsched.daemon.main import run_scheduler

    return run_scheduler(settings)


def start_executor(parsed: Parsed) -> int:
    log.setup(parsed["log-format"], parsed["log-level"])
    settings = executor_settings(parsed)
    from kmsched.executor.main import run_executor

    return run_executor(settings, os.environ)


def executor_settings(parsed: Parsed) -> ExecutorSettings:
    """What the executor is told; kubelet's own flags lose their prefix."""
    return ExecutorSettings(
        api_servers=config.api_servers(parsed),
        kubelet_path=parsed["kubelet-path"],
        kubelet_kubeconfig=Path(parsed["kubelet-kubeconfig"]),
        kubelet_root_dir=Path(parsed["kubelet-root-dir"]),
        kubelet_extra_args=tuple(
            f"--{name.removeprefix(PASS_THROUGH_PREFIX)}={value}" for name, value in parsed.kubelet_extra
        ),
        containerd_endpoint=parsed["kubelet-container-runtime-endpoint"],
        cluster_dns=parsed["cluster-dns"],
        cluster_domain=parsed["cluster-domain"] or "",
        launch_grace_s=parsed["executor-launch-grace-period"],
        idle_timeout_s=parsed["executor-idle-timeout"],
    )


scheduler = FlagCommand("scheduler", start_scheduler, "Run the scheduler: place pods on Mesos agents.", flags.SCHEDULER)
executor = FlagCommand(
    "executor", start_executor, "Run the executor; the Mesos agent starts it, not a person.", flags.EXECUTOR
)
