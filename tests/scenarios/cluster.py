"""A testbed with kmsched on it, and what scenarios ask of both.

Joins Kubernetes, Mesos and the hosts; brings killed parts back. It decides nothing about right and wrong, but for one
sentence that holds after everything: what Kubernetes runs, Mesos holds and containerd has are the same pods.
"""

from __future__ import annotations

import contextlib
import json
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from testbed import controlplane, lifecycle, plans, probe
from testbed.plans import Plan
from testbed.settings import Settings
from tests.scenarios import kubernetes, lab, mesos, product, workloads
from tests.scenarios.hosts import SCHEDULER_UNIT, Container, Hosts
from tests.scenarios.kubernetes import Kubernetes, Object
from tests.scenarios.mesos import Mesos
from tests.scenarios.waiting import until

READY_S = 60.0
GONE_S = 120.0
SETTLED_S = 60.0
RUNNING_S = 120.0
PAGES = "http://127.0.0.1:10251"


@dataclass(frozen=True, slots=True)
class Cluster:
    settings: Settings
    machine: probe.Machine
    plan: Plan
    api: Kubernetes
    mesos: Mesos
    hosts: Hosts
    scheduler_host: str = "s1"

    @property
    def agents(self) -> list[str]:
        """Names of the hosts of Mesos agents."""
        return list(self.plan.hosts.agents)

    # --- the scheduler's pages

    def page(self, path: str, url: str = PAGES) -> lab.Reply:
        """A page of the scheduler, as its own host sees it."""
        return lab.ask(self.settings, url + path, inside=self.scheduler_host)

    def is_ready(self) -> bool:
        return self.page("/readyz").status == 200

    def wait_ready(self) -> None:
        until(self.is_ready, READY_S, "the scheduler is ready")

    def metric(self, name: str) -> float:
        """The sum of all samples of that name."""
        text = self.page("/metrics").body.decode()
        return sum(float(value) for value in re.findall(rf"^{name}(?:{{[^}}]*}})? (\S+)$", text, re.MULTILINE))

    def explained(self, pod: str) -> dict[str, Any]:
        """What `km explain` on the scheduler's host says of the pod "namespace/name"."""
        found: dict[str, Any] = json.loads(self.hosts.must(self.scheduler_host, "km", "explain", "--json", pod))
        return found

    def decisions(self, effect: str) -> list[dict[str, Any]]:
        listed = self.page("/api/v1/decisions").json()["decisions"]
        return [each for each in listed if each["effect"] == effect]

    def kill_scheduler(self) -> None:
        self.hosts.kill(self.scheduler_host, self.hosts.main_pid(self.scheduler_host, SCHEDULER_UNIT))

    def systemctl(self, verb: str, unit: str = SCHEDULER_UNIT) -> None:
        self.hosts.must(self.scheduler_host, "systemctl", verb, unit)

    # --- pods

    def running(self, namespace: str) -> list[Object]:
        pods = self.api.listed("Pod", namespace)
        return [pod for pod in pods if kubernetes.phase(pod) == "Running" and not kubernetes.is_terminating(pod)]

    def wait_running(self, namespace: str, count: int, limit_s: float = RUNNING_S) -> list[Object]:
        """The pods of the namespace, once exactly `count` are Running and there is no other."""

        def asked() -> list[Object]:
            pods = self.running(namespace)
            there = len(self.api.listed("Pod", namespace))
            if len(pods) == count == there:
                return pods
            raise ValueError(f"{len(pods)} of {there} pods are Running")

        return until(asked, limit_s, f"{count} pods of {namespace} are Running", 0.5)

    def wait_phase(self, namespace: str, name: str, wanted: str, limit_s: float = RUNNING_S) -> Object:
        def asked() -> Object | None:
            found = self.api.get("Pod", namespace, name)
            return found if found is not None and kubernetes.phase(found) == wanted else None

        found = until(asked, limit_s, f"pod {namespace}/{name} is {wanted}")
        assert found is not None
        return found

    def run_pod(self, namespace: str, name: str, **more: Any) -> Object:
        """Creates a pod and waits until it runs."""
        self.api.create(workloads.pod(name, workloads.spec(**more)), namespace)
        return self.wait_phase(namespace, name, "Running")

    def clear_pod(self, namespace: str, name: str) -> None:
        """Deletes the pod; returns when it and its task are gone."""
        pod = self.api.get("Pod", namespace, name)
        assert pod is not None, f"there is no pod {namespace}/{name}"
        self.api.delete("Pod", namespace, name)

        def is_gone() -> bool:
            tasks = [task for task in self.mesos.live_tasks() if mesos.pod_uid(task) == kubernetes.uid(pod)]
            return self.api.get("Pod", namespace, name) is None and not tasks

        until(is_gone, GONE_S, f"pod {namespace}/{name} and its task are gone")

    def containers(self, namespace: str = "") -> list[Container]:
        return self.hosts.containers(self.agents, namespace)

    def app_containers(self, namespace: str) -> dict[str, str]:
        """Container id -> pod uid of what runs for the namespace, sandboxes left out."""
        found = self.containers(namespace)
        return {each.id: each.pod_uid for each in found if each.kind == "container" and each.status == "RUNNING"}

    def wait_settled(self, namespace: str, limit_s: float = SETTLED_S) -> None:
        """Until pods, Mesos' tasks and containers are the same: one task and one container for each running pod."""

        def differences() -> list[str]:
            pods = {kubernetes.uid(pod) for pod in self.running(namespace)}
            everywhere = {kubernetes.uid(pod) for pod in self.api.listed("Pod") if kubernetes.phase(pod) == "Running"}
            tasks = sorted(mesos.pod_uid(task) for task in self.mesos.live_tasks())
            # asked last and only then: every look at containers costs a second of processor
            if tasks != sorted(everywhere):
                return [f"Mesos holds {len(tasks)} tasks for {len(everywhere)} running pods"]
            containers = sorted(self.app_containers(namespace).values())
            found = []
            if containers != sorted(pods):
                found.append(f"containerd runs {len(containers)} containers for {len(pods)} running pods")
            return found

        def agree() -> bool:
            if wrong := differences():
                raise ValueError("; ".join(wrong))
            return True

        until(agree, limit_s, "pods, tasks and containers agree", 0.5)

    # --- coming and going

    @contextlib.contextmanager
    def namespace(self, name: str) -> Iterator[str]:
        """A Kubernetes namespace that is there for this block; afterwards nothing of it is left anywhere."""
        self.api.create(workloads.namespace(name))
        try:
            until(lambda: self.api.get("ServiceAccount", name, "default"), READY_S, "service account", 0.1)
            yield name
        finally:
            self.clear(name)

    def clear(self, name: str) -> None:
        """Deletes all that is in the namespace; waits until pods, tasks and containers are gone."""
        uids = {kubernetes.uid(pod) for pod in self.api.listed("Pod", name)}
        for kind in kubernetes.WORKLOADS:
            self.api.delete_all(kind, name)

        def is_free() -> bool:
            pods = self.api.listed("Pod", name)
            tasks = [task for task in self.mesos.live_tasks() if mesos.pod_uid(task) in uids]
            if pods or tasks:
                raise ValueError(f"{len(pods)} pods and {len(tasks)} tasks")
            containers = self.containers(name)
            if containers:
                raise ValueError(f"{len(containers)} containers")
            return True

        until(is_free, GONE_S, f"nothing of namespace {name} is left", 0.5)
        self.api.delete("Namespace", "", name)

    def clear_leftovers(self) -> None:
        """What a scenario that was killed has left."""
        for each in self.api.listed("Namespace", query=f"labelSelector={workloads.OURS}"):
            if not kubernetes.is_terminating(each):
                self.clear(kubernetes.name(each))

    def heal(self) -> None:
        """Brings back what a scenario has ended."""
        lifecycle.up(self.settings, None, None, None)
        for host in self.plan.hosts.schedulers:
            self.hosts.run(host, "systemctl", "reset-failed", SCHEDULER_UNIT)
            self.hosts.must(host, "systemctl", "start", SCHEDULER_UNIT)
        self.wait_ready()

    def start_part(self, part: str) -> None:
        controlplane.start(self.settings, self.machine, Path(self.plan.products["kubernetes"]), part)

    def kill_part(self, part: str) -> None:
        controlplane.kill(self.settings, part)


def bring_up(settings: Settings, schedulers: int = 1, with_hdfs: bool = False) -> Cluster:
    """The testbed, up and with this very bin/km on it; `schedulers`: hosts that have one.

    `with_hdfs`: agents fetch from it what executors run; else they do if the testbed has an HDFS.
    """
    wanted = product.sha256()
    plan = plans.find(settings)
    if plan is not None and plan.schedulers < schedulers:
        _end_the_only_scheduler(settings)
    elif plan is not None and plan.schedulers > schedulers:
        print(f"the testbed has {plan.schedulers} schedulers, not {schedulers}", flush=True)
        lifecycle.down(settings)
        plan = None
    elif plan is not None:
        lifecycle.up(settings, None, None, None)
        cluster = _connected(settings)
        found = product.installed(cluster.hosts, list(plan.hosts.schedulers), list(plan.hosts.agents))
        if found == {wanted} and not (with_hdfs and product.copied(cluster.hosts, cluster.scheduler_host)):
            cluster.heal()
            cluster.clear_leftovers()
            return cluster
        if found != {""}:
            print(f"the testbed has another km than bin/km, or from elsewhere: {sorted(found)}", flush=True)
            lifecycle.down(settings)
    lifecycle.up(settings, None, None, schedulers, with_hdfs)
    started = time.monotonic()
    product.playbook(settings)
    print(f"deployed in {time.monotonic() - started:.0f} s", flush=True)
    return _connected(settings)


def _end_the_only_scheduler(settings: Settings) -> None:
    """Its framework, too: several of them share another one, whose id is in etcd."""
    lifecycle.up(settings, None, None, None)
    cluster = _connected(settings)
    cluster.heal()
    cluster.clear_leftovers()
    framework_id = cluster.mesos.framework()["id"]
    cluster.systemctl("stop")
    cluster.mesos.teardown(framework_id)
    until(lambda: not any(map(cluster.hosts.kubelet_pid, cluster.agents)), GONE_S, "no agent has an executor")


def _connected(settings: Settings) -> Cluster:
    plan = plans.must_find(settings)
    machine = probe.machine()
    return Cluster(
        settings,
        machine,
        plan,
        kubernetes.connect(settings),
        mesos.connect(settings, list(plan.hosts.masters)),
        Hosts(settings, machine),
    )
