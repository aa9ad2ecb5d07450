"""One trial: 50 pods are created, the scheduler is killed at a moment that the seed decides, and everything is counted.

Used by the scenario and, in larger numbers, by the soak. A trial never raises for what went wrong with the product: it
says so in `wrong`, so that a soak can go on and count.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from tests.scenarios import kubernetes, mesos, workloads
from tests.scenarios.cluster import Cluster
from tests.scenarios.hosts import SCHEDULER_UNIT
from tests.scenarios.outcome import Outcome
from tests.scenarios.waiting import TooLateError, until
from tests.scenarios.watching import PodWatch, watched

PODS = 50
#: the kill falls between the creation of the Deployment and about when its last pods are bound
WINDOW_S = 3.0
POLL_S = 0.05


@dataclass(slots=True)
class Trial(Outcome):
    """`moment_s`: from the creation to SIGKILL; the other times from the creation, too."""

    pods: int
    moment_s: float
    created_at_kill: int = 0
    bound_at_kill: int = 0
    running_at_kill: int = 0
    ready_again_s: float = 0.0
    all_running_s: float = 0.0
    bindings: int = 0


def kill_scheduler(cluster: Cluster, seed: int, pods: int = PODS) -> Trial:
    trial = Trial(seed, pods, round(Random(seed).uniform(0, WINDOW_S), 3))
    cluster.wait_ready()
    restarts = cluster.hosts.restarts(cluster.scheduler_host, SCHEDULER_UNIT)
    bindings = cluster.api.bindings()
    with cluster.namespace(f"kill-scheduler-{seed}-{bindings}") as namespace, watched(cluster.api, namespace) as watch:
        try:
            _kill_while_placing(cluster, namespace, watch, trial)
            cluster.wait_running(namespace, pods)
            cluster.wait_settled(namespace)
        except TooLateError as error:
            trial.wrong.append(str(error))
        trial.bindings = cluster.api.bindings() - bindings
        if cluster.hosts.restarts(cluster.scheduler_host, SCHEDULER_UNIT) != restarts + 1:
            trial.wrong.append("the scheduler was not started exactly once by systemd")
        trial.wrong += faults(cluster, namespace, watch, pods)
        # a Binding whose caller was killed is made, but not counted with its code
        if trial.bindings > pods:
            trial.wrong.append(f"{trial.bindings} Bindings for {pods} pods")
    return trial


def _kill_while_placing(cluster: Cluster, namespace: str, watch: PodWatch, trial: Trial) -> None:
    pid = cluster.hosts.main_pid(cluster.scheduler_host, SCHEDULER_UNIT)
    started = time.monotonic()
    cluster.api.create(workloads.deployment("many", trial.pods), namespace)
    # the fault's own moment, not a wait for something
    time.sleep(max(0.0, started + trial.moment_s - time.monotonic()))
    cluster.hosts.kill(cluster.scheduler_host, pid)
    trial.created_at_kill, trial.bound_at_kill, trial.running_at_kill = len(watch.lives), watch.bound(), watch.running()
    until(lambda: cluster.hosts.main_pid(cluster.scheduler_host, SCHEDULER_UNIT) not in (0, pid), 30, "it is restarted")
    trial.ready_again_s = _taken(started, cluster.is_ready, "the scheduler is ready again")
    trial.all_running_s = _taken(started, lambda: watch.running() >= trial.pods, f"{trial.pods} pods are Running")


def _taken(started: float, holds: Callable[[], bool], what: str) -> float:
    until(holds, 120, what, POLL_S)
    return round(time.monotonic() - started, 3)


def faults(cluster: Cluster, namespace: str, watch: PodWatch, pods: int) -> list[str]:
    """Everything that is not as it must be once all pods run."""
    lives = dict(watch.lives)
    containers = [each for each in cluster.containers(namespace) if each.kind == "container"]
    sandboxes = [each for each in cluster.containers(namespace) if each.kind == "sandbox"]
    tasks = sorted(mesos.pod_uid(task) for task in cluster.mesos.live_tasks())
    running = cluster.running(namespace)
    everywhere = [pod for pod in cluster.api.listed("Pod") if kubernetes.phase(pod) == "Running"]
    checks = {
        f"{len(lives)} pods were ever created, not {pods}": len(lives) == pods,
        f"{len(running)} pods are Running, not {pods}": len(running) == pods,
        f"{len(containers)} containers, not {pods}": len(containers) == pods,
        f"{len(sandboxes)} sandboxes, not {pods}": len(sandboxes) == pods,
        "a pod has two containers": len({each.pod_uid for each in containers}) == len(containers),
        "a container belongs to no pod": {each.pod_uid for each in containers} <= lives.keys(),
        f"Mesos holds {len(tasks)} tasks for {len(everywhere)} pods": tasks
        == sorted(kubernetes.uid(pod) for pod in everywhere),
        "a container was restarted": all(life.restarts == 0 for life in lives.values()),
    }
    wrong = [what for what, holds in checks.items() if not holds]
    wrong += [f"pod {life.name} was on {life.nodes}" for life in lives.values() if len(life.nodes) != 1]
    return wrong
