"""`km scheduler` and `km executor`: from a command line to the running process.

Knows the way from flags to settings.  What the processes do is in `daemon` and `executor`, imported when they run.
"""

from __future__ import annotations

from kmsched import config, flags, log
from kmsched.cli.command import FlagCommand
from kmsched.flags import Parsed


def _run_scheduler(parsed: Parsed) -> int:
    log.setup(parsed["log-format"], parsed["log-level"])
    settings = config.build(parsed)
    config.check_host(settings)
    from kmsched.daemon.main import run_scheduler

    return run_scheduler(settings)


scheduler = FlagCommand("scheduler", _run_scheduler, "Run the scheduler: place pods on Mesos agents.", flags.SCHEDULER)
