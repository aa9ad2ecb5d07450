"""Agents and pods to place, made from a seed, and the check that a placement breaks no ledger and no rule.

The check counts for itself: it shares only the values with those that place.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from msgspec import structs

from kmsched.core.model import Node, Offer, Phase, Pod, Taint, Toleration
from kmsched.core.resources import Resources, whole_counts

EXECUTOR = Resources(cpus=250, mem=256_000)
EXECUTOR_ID = "km-bench"
ZONES = ("a", "b", "c")
TAINT = Taint("dedicated", "batch", "NoSchedule")
TOLERATION = Toleration("dedicated", "Equal", "batch", "NoSchedule")
#: thousandths of cores, MiB
AGENT_SIZES = ((4000, 16_384), (8000, 32_768), (16_000, 65_536))
POD_SIZES = ((100, 128), (250, 256), (500, 1024), (1000, 2048), (2000, 4096))
PODS_PER_NODE = 110
REPLICAS = 40  # pods of one owner are alike


@dataclass(frozen=True, slots=True)
class Workload:
    """`offers`: one of each agent; `nodes`: by name, one of each agent."""

    offers: tuple[Offer, ...]
    nodes: Mapping[str, Node]
    pods: tuple[Pod, ...]


def make(agents: int, pods: int, seed: int) -> Workload:
    rng = random.Random(seed)
    nodes, offers = {}, []
    for number in range(agents):
        name = f"agent-{number}"
        cpus, mem_mib = rng.choice(AGENT_SIZES)
        whole = whole_counts(Resources(cpus, mem_mib * 1000, pods=PODS_PER_NODE))
        # other frameworks have a share of the agent; kubelet's ledger is the shorter one on some
        offered = Resources(cpus * rng.randint(40, 100) // 100, mem_mib * 10 * rng.randint(40, 100))
        allocatable = structs.replace(whole, cpu=cpus * rng.randint(50, 95) // 100)
        labels = {"zone": rng.choice(ZONES), "kubernetes.io/hostname": name}
        taints = (TAINT,) if rng.random() < 0.1 else ()
        nodes[name] = Node(name, allocatable, labels, taints, is_ready=True, agent_id=f"A{number}")
        offers.append(Offer(f"o{number}", f"A{number}", name, offered))
    return Workload(tuple(offers), nodes, tuple(_pods(pods, rng)))


def _pods(count: int, rng: random.Random) -> Iterable[Pod]:
    for first in range(0, count, REPLICAS):
        cpus, mem_mib = rng.choice(POD_SIZES)
        wanted = Resources(cpus, mem_mib * 1000, pods=1)
        selector = {"zone": rng.choice(ZONES)} if rng.random() < 0.3 else {}
        tolerations = (TOLERATION,) if rng.random() < 0.2 else ()
        for number in range(first, min(first + REPLICAS, count)):
            yield Pod(
                key=f"bench/pod-{number}",
                uid=f"uid-{number}",
                resource_version="1",
                scheduler_name="default-scheduler",
                node_name="",
                phase=Phase.PENDING,
                is_terminating=False,
                is_static=False,
                is_gated=False,
                priority=0,
                created_s=float(number),
                requests=wanted,
                counts=whole_counts(wanted),
                node_selector=selector,
                tolerations=tolerations,
                owner_uid=f"owner-{first}",
            )


def faults(workload: Workload, placed: Mapping[str, str]) -> list[str]:
    """What is wrong with `placed` (pod uid -> agent id), in words; nothing: all is right."""
    pods = {pod.uid: pod for pod in workload.pods}
    on_agent: dict[str, list[Pod]] = defaultdict(list)
    found = []
    for uid, agent_id in placed.items():
        if uid in pods:
            on_agent[agent_id].append(pods[uid])
        else:
            found.append(f"{uid} is no pod of the workload")
    offers = {offer.agent_id: offer for offer in workload.offers}
    for agent_id, there in on_agent.items():
        if agent_id not in offers:
            found.append(f"{agent_id} has offered nothing")
            continue
        offer = offers[agent_id]
        found += _agent_faults(offer, workload.nodes[offer.hostname], there)
    return found


def _agent_faults(offer: Offer, node: Node, pods: list[Pod]) -> Iterable[str]:
    cpus = sum(pod.requests.cpus for pod in pods)
    mem = sum(pod.requests.mem for pod in pods)
    if cpus + EXECUTOR.cpus > offer.resources.cpus or mem + EXECUTOR.mem > offer.resources.mem:
        yield f"{offer.agent_id}: {cpus} cpus and {mem} mem with the executor's are more than {offer.resources}"
    there, memory = node.allocatable, sum(pod.counts.memory for pod in pods)
    if cpus > there.cpu or memory > there.memory or len(pods) > there.pods:
        yield f"{node.name}: {cpus} cpus, {memory} bytes, {len(pods)} pods are more than {there}"
    for pod in pods:
        if any(node.labels.get(key) != value for key, value in pod.node_selector.items()):
            yield f"{pod.key} is on {node.name} against its nodeSelector"
        if node.taints and TOLERATION not in pod.tolerations:
            yield f"{pod.key} is on {node.name} against its taint"
