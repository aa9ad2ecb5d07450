"""`python3 -m demo` in the project's root folder, as root: one command from nothing to running pods."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import FrameType

from demo import cluster, deployed, objects, report, schedulers
from demo.cluster import Kubectl, Sight, Watch
from demo.steps import REPORT_EVERY_S, StepFailed, Steps, elapsed, screen
from testbed import inventory, plans
from testbed.errors import LabError
from testbed.errors import UsageError as TestbedUsageError
from testbed.settings import Settings, from_environment

ROOT = Path(__file__).resolve().parent.parent
VENV = ".venv/bin"
EXIT_FAILED, EXIT_USAGE, EXIT_INTERRUPTED = 1, 2, 130
#: step -> seconds after which it is given up; some three times what a slow machine was seen to need
INSTALL_S, TOOLS_S, BUILD_S, KM_S, UP_S, DEPLOY_S = 900.0, 900.0, 3600.0, 300.0, 600.0, 900.0
RUNNING_S = 180.0
EVENT_S = 30.0
TESTBED_VARIABLES = ("KM_TESTBED_NAME", "KM_TESTBED_NET", "KM_TESTBED_DIR", "KM_CACHE_DIR")


def demo(settings: Settings, environ: Mapping[str, str]) -> None:
    """Raises StepFailed."""
    steps = Steps(screen(), ROOT, ROOT / "build" / "demo" / settings.name, count=8)
    testbed = [sys.executable, "-m", "testbed"]
    kubectl = Kubectl(settings.state / "bin" / "kubectl")
    steps.run("Packages of this machine", [*testbed, "install"], INSTALL_S)
    steps.run("Tools into .venv", ["make", "--no-print-directory", ".venv/.made-from-requirements"], TOOLS_S)
    steps.run("Build Mesos, Kubernetes, Hadoop and the hosts' disks", [*testbed, "build"], BUILD_S)
    steps.run("The km file", ["make", "--no-print-directory", "km"], KM_S)
    _refuse_another_testbed(settings)
    count = str(len(schedulers.NAMES))
    steps.run("Up: hosts, Mesos, Kubernetes, HDFS", [*testbed, "up", "--hdfs", "--schedulers", count], UP_S)
    _deploy(steps, settings)
    sights, address = _place(steps, settings, kubectl)
    say = steps.screen.line
    say("")
    for line in report.pods(sights):
        say(line)
    _tell_the_rest(steps, settings, kubectl, sights)
    say("")
    _kill_the_leader(steps, settings, kubectl)
    exports = {name: environ[name] for name in TESTBED_VARIABLES if environ.get(name)}
    say("")
    for line in report.how_to_go_on(settings.state, exports, address, steps.total_s()):
        say(line)


def _refuse_another_testbed(settings: Settings) -> None:
    """One scheduler keeps the framework's id on its disk, several in etcd: nothing of the one becomes the other."""
    plan = plans.find(settings)
    if plan is not None and plan.schedulers != len(schedulers.NAMES):
        raise StepFailed(
            f"testbed {settings.name!r} is up with {plan.schedulers} schedulers, and the demo wants "
            f"{len(schedulers.NAMES)}: end it with `python3 -m testbed down`"
        )


def _deploy(steps: Steps, settings: Settings) -> None:
    title = "Publish to HDFS and deploy with Ansible"
    listed = inventory.path(settings)
    wanted = deployed.digest(ROOT, listed)
    if deployed.is_stamped(settings.state, wanted) and not schedulers.not_ready(settings):
        steps.begin(title)
        steps.end(title, 0.0, "nothing has changed since the last deploy, and all schedulers are ready")
        return
    deployed.unstamp(settings.state)
    # another km is another executor; an operator would read the plan first
    allowed = ["-e", "km_scheduler_rollout_policy=manual"]
    steps.run(title, [f"{VENV}/ansible-playbook", "-i", str(listed), *allowed, "deploy.yml"], DEPLOY_S)
    schedulers.wait_ready(settings)
    if old := deployed.end_old_executors(ROOT, settings, plans.must_find(settings).hosts.agents):
        steps.screen.line(f"      executors of another fingerprint end on {', '.join(old)}; their containers run on")
    deployed.stamp(settings.state, wanted)


def _place(steps: Steps, settings: Settings, kubectl: Kubectl) -> tuple[list[Sight], str]:
    """The demo's pods once all that can run do, those that ran first; and the address of one that serves."""
    title = "A Deployment, a Job and a pod that cannot fit"
    head, began = steps.begin(title), time.monotonic()
    cluster.remove_old(kubectl)
    with Watch(kubectl) as watch:
        cluster.create(kubectl)
        told = [began]

        def tell() -> None:
            if time.monotonic() - told[0] >= REPORT_EVERY_S:
                told[0] = time.monotonic()
                running = sum(1 for each in watch.sights.values() if each.running is not None)
                steps.screen.passing(f"{head}  {elapsed(time.monotonic() - began)}  {running} pods have run")

        if not watch.until(_is_enough, RUNNING_S, tell):
            raise StepFailed(
                f"not all pods run after {RUNNING_S:.0f} s:\n{_why_not(settings, list(watch.sights.values()))}"
            )
        sights = sorted(watch.sights.values(), key=lambda each: (each.running is None, each.running, each.name))
    steps.end(title, time.monotonic() - began)
    return sights, next(each.address for each in sights if each.name.startswith(objects.WEB))


def _why_not(settings: Settings, sights: list[Sight]) -> str:
    waiting = [each.name for each in sights if each.running is None and each.name != objects.TOO_BIG]
    lines = list(report.pods(sights))
    if waiting:
        lines.append(deployed.explain(ROOT, schedulers.leader(settings), f"{objects.NAMESPACE}/{waiting[0]}"))
    return "\n".join(lines)


def _is_enough(sights: Mapping[str, Sight]) -> bool:
    served = [each for each in sights.values() if each.name.startswith(objects.WEB) and each.running and each.address]
    summed = [each for each in sights.values() if each.name.startswith(objects.JOB) and each.ended]
    return len(served) >= objects.REPLICAS and bool(summed) and objects.TOO_BIG in sights


def _tell_the_rest(steps: Steps, settings: Settings, kubectl: Kubectl, sights: list[Sight]) -> None:
    say = steps.screen.line
    job = next(each for each in sights if each.name.startswith(objects.JOB))
    assert job.ended is not None
    printed = kubectl("logs", f"--namespace={objects.NAMESPACE}", job.name).strip()
    say("")
    say(f"Job {objects.JOB}: {job.phase} {report.since(job, job.ended)} after its creation; it printed: {printed}")
    waiting = next(each for each in sights if each.name == objects.TOO_BIG)
    message = cluster.failed_scheduling(kubectl, waiting.uid, EVENT_S)
    if not message:
        raise StepFailed(f"no FailedScheduling event on pod {objects.TOO_BIG} after {EVENT_S:.0f} s")
    say("")
    say(f"Pod {objects.TOO_BIG} asks for {objects.TOO_MANY_CPUS} cores and waits. Its event FailedScheduling says:")
    say(f"  {message}")
    say("km explain says:")
    explained = deployed.explain(ROOT, schedulers.leader(settings), f"{objects.NAMESPACE}/{objects.TOO_BIG}")
    for line in explained.splitlines():
        say(f"  {line}")


def _kill_the_leader(steps: Steps, settings: Settings, kubectl: Kubectl) -> None:
    """And let its successor place one pod more."""
    title, web = "SIGKILL for the scheduler that leads", objects.REPLICAS + 1
    schedulers.wait_ready(settings)
    steps.begin(title)
    before = cluster.containers(kubectl)
    succession = schedulers.kill_leader(settings)
    steps.end(title, succession.took_s)
    began = time.monotonic()
    kubectl("scale", f"--namespace={objects.NAMESPACE}", "deployment", objects.WEB, f"--replicas={web}")
    while len(after := cluster.containers(kubectl)) <= len(before):
        if time.monotonic() - began > RUNNING_S:
            raise StepFailed(f"a pod that was created after {succession.successor} led does not run")
        time.sleep(cluster.LOOK_EVERY_S)
    took_s = time.monotonic() - began
    if lost := sorted(before.items() - after.items()):
        raise StepFailed(f"containers changed when the scheduler was killed: {lost}")
    schedulers.wait_ready(settings)  # the killed one stands by again: a second run finds all of them so
    for line in report.succession(succession, len(before), took_s):
        steps.screen.line(line)


def _interrupt(number: int, _: FrameType | None) -> None:
    raise KeyboardInterrupt(signal.Signals(number).name)


def main() -> int:
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        settings = from_environment(os.environ)
        if os.geteuid() != 0:
            print("demo: hosts are made of namespaces and mounts: run it as root", file=sys.stderr)
            return EXIT_USAGE
        demo(settings, os.environ)
    except TestbedUsageError as error:
        print(f"demo: {error}", file=sys.stderr)
        return EXIT_USAGE
    except (StepFailed, LabError) as error:
        sys.stdout.flush()
        print(
            f"\ndemo: failed: {error}\n  when its cause is gone, run it again: it goes on from what is there",
            file=sys.stderr,
        )
        return EXIT_FAILED
    except KeyboardInterrupt:
        print("\ndemo: interrupted; run it again to go on, or end it with: python3 -m testbed down", file=sys.stderr)
        return EXIT_INTERRUPTED
    return 0


if __name__ == "__main__":
    sys.exit(main())
