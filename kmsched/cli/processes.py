"""`km scheduler` and `km executor`: from a command line to the running process.

Knows the way from flags to settings.  What the processes do is in `daemon` and `executor`, imported when they run.
"""

from __future__ import annotations

import logging
import os
from pathlib import Path

from kmsched import config, flags, log
from kmsched.cli.command import FlagCommand
from kmsched.executor.settings import ExecutorSettings
from kmsched.flags import KUBELET_PREFIX, PROXY_PREFIX, Parsed

#: not the table's default: a flag of the spec that was added later has none
PROXY_KUBECONFIG = "/etc/kmsched/kube-proxy.kubeconfig"


def start_scheduler(parsed: Parsed) -> int:
    log.setup(parsed["log-format"], parsed["log-level"])
    _warn(parsed)
    settings = config.build(parsed)
    config.check_host(settings)
    from kmsched.daemon.main import run_scheduler

    return run_scheduler(settings)


def start_executor(parsed: Parsed) -> int:
    log.setup(parsed["log-format"], parsed["agent-log-level"])
    _warn(parsed)
    settings = executor_settings(parsed)
    from kmsched.executor.main import run_executor

    return run_executor(settings, os.environ)


def executor_settings(parsed: Parsed) -> ExecutorSettings:
    """What the executor is told; kubelet's and kube-proxy's own flags lose their prefix."""
    proxy_mode = (f"--proxy-mode={parsed['proxy-mode']}",) if parsed["proxy-mode"] else ()
    return ExecutorSettings(
        api_servers=config.api_servers(parsed, "kubelet-api-servers") or config.api_servers(parsed),
        kubelet_path=parsed["kubelet-path"],
        kubelet_kubeconfig=Path(parsed["kubelet-kubeconfig"]),
        kubelet_root_dir=Path(parsed["kubelet-root-dir"]),
        kubelet_extra_args=_without(KUBELET_PREFIX, parsed.kubelet_extra),
        proxy_path=parsed["proxy-path"] or "",
        proxy_kubeconfig=Path(parsed["proxy-kubeconfig"] or PROXY_KUBECONFIG),
        proxy_extra_args=(*proxy_mode, *_without(PROXY_PREFIX, parsed.proxy_extra)),
        containerd_endpoint=parsed["kubelet-container-runtime-endpoint"],
        cluster_dns=parsed["cluster-dns"],
        cluster_domain=parsed["cluster-domain"] or "",
        launch_grace_s=parsed["executor-launch-grace-period"],
        idle_timeout_s=parsed["agent-idle-timeout"],
    )


def _without(prefix: str, extra: tuple[tuple[str, str], ...]) -> tuple[str, ...]:
    return tuple(f"--{name.removeprefix(prefix)}={value}" for name, value in extra)


def _warn(parsed: Parsed) -> None:
    for warning in parsed.warnings:
        logging.getLogger(__name__).warning("%s", warning)


scheduler = FlagCommand("scheduler", start_scheduler, "Run the scheduler: place pods on Mesos agents.", flags.SCHEDULER)
executor = FlagCommand(
    "executor", start_executor, "Run the executor; the Mesos agent starts it, not a person.", flags.EXECUTOR
)
