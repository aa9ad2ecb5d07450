"""This agent's Node: its pods and its object watched, kubelet prepared and started, pods deleted.

The shell around Kubernetes, with the node's own credential only: it can read what is bound to this node, nothing
else.  What all this means for tasks is `executor.core`'s.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from random import Random

import msgspec

from kmsched.clients.http import Transport
from kmsched.clients.kube import MERGE_PATCH, KubeAccess, KubeClient
from kmsched.clients.kube_pods import delete_pod
from kmsched.clients.reflector import Changed, Interrupted, Listed, Reflector, Undecodable
from kmsched.clock import Clock
from kmsched.core.annotations import AGENT_ID, FRAMEWORK_ID
from kmsched.core.nodelabels import attribute_labels
from kmsched.core.resources import ZERO, Resources
from kmsched.errors import ConfigRefused, Conflict, Forbidden, KmError, NotFound, ProtocolError
from kmsched.executor import effects as do
from kmsched.executor import events as ev
from kmsched.executor.child import Child, Command, healthz
from kmsched.executor.environment import MesosEnvironment
from kmsched.executor.fetching import Fetching
from kmsched.executor.kubelet import NAME, telling
from kmsched.executor.kubelet_config import KubeletSetup, check_fits, command, render_config, settle_labels
from kmsched.executor.leaving import Leaving
from kmsched.executor.machine import (
    free_port,
    read_machine,
    remember_allocatable,
    remembered_allocatable,
)
from kmsched.executor.settings import ExecutorSettings
from kmsched.executor.views import node_seen, pod_seen
from kmsched.wire.kube import decode_pod

#: how long the pods of this node are asked for before kubelet starts without the answer
ASK_PODS_S = 20.0
ASK_PAUSE_S = 1.0

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the shell is given; `tell` takes events for the core."""

    settings: ExecutorSettings
    mesos: MesosEnvironment
    access: KubeAccess
    kube: KubeClient
    transport: Transport  # for health checks of children
    fetching: Fetching
    clock: Clock
    rng: Random
    tell: Callable[[ev.Event], None]


async def fetch_kubelet(around: Surroundings) -> Path:
    """The program, checked; tasks that wait are told how it goes. ConfigRefused, ArtifactError: it cannot be had."""
    return await around.fetching.obtain(
        NAME, around.settings.kubelet_path, lambda words: around.tell(ev.KubeletUnhealthy(words))
    )


async def prepare_kubelet(around: Surroundings, start: do.StartKubelet, program: Path, lock_fd: int) -> Child:
    """Configuration and command line of a kubelet that is not running yet; `lock_fd` stays the caller's.

    ConfigRefused: it cannot run here, and why.
    """
    settings, sandbox = around.settings, around.mesos.sandbox
    node_name = start.hostname.lower()
    bound = await _bound_requests(around, node_name)
    labels = await _settled_labels(around, start, has_pods=bound != ZERO)
    allocatable = _allocatable(around, start, bound)
    machine = read_machine()
    check_fits(allocatable, machine, start.allocatable)
    remember_allocatable(settings.kubelet_root_dir, allocatable)
    port = free_port()
    setup = KubeletSetup(
        machine=machine,
        allocatable=allocatable,
        client_ca_file=sandbox / "kubelet-client-ca.crt",
        healthz_port=port,
        containerd_endpoint=settings.containerd_endpoint,
        cluster_dns=settings.cluster_dns,
        cluster_domain=settings.cluster_domain,
    )
    config_file = sandbox / "kubelet-config.json"
    _write(setup.client_ca_file, _authority(around.access))
    _write(config_file, json.dumps(render_config(setup), indent=2))
    argv = command(
        program,
        config_file=config_file,
        kubeconfig=settings.kubelet_kubeconfig,
        root_dir=settings.kubelet_root_dir,
        node_name=node_name,
        node_ip=around.mesos.agent_ip,
        labels=labels,
        extra_args=settings.kubelet_extra_args,
    )
    log.info("kubelet is to have %dm cpu, %d MiB for pods: %s", allocatable.cpus, allocatable.mem // 1000, argv)
    return Child(
        Command(NAME, tuple(argv), sandbox / "kubelet.log", lock_fd),
        clock=around.clock,
        rng=around.rng,
        probe=healthz(NAME, around.transport, f"127.0.0.1:{port}"),
        tell=telling(around.tell),
    )


def _allocatable(around: Surroundings, start: do.StartKubelet, bound: Resources | None) -> Resources:
    """What the agent has for pods, but never less than bound pods request: kubelet would fail those."""
    if bound is None:
        bound = remembered_allocatable(around.settings.kubelet_root_dir) or ZERO
        log.warning("the API server does not tell this node's pods; allocatable is not below that of last time")
    return start.allocatable.at_least(Resources(cpus=bound.cpus, mem=bound.mem))


async def _settled_labels(around: Surroundings, start: do.StartKubelet, has_pods: bool) -> dict[str, str]:
    """The agent's attributes as labels, on a Node that exists already, too."""
    attributes = dict(start.attributes)
    wanted = attribute_labels(attributes)
    if len(wanted) != len(attributes):
        log.warning("attributes that are no valid labels are left out: %d labels of %s", len(wanted), attributes)
    path = f"/api/v1/nodes/{start.hostname.lower()}"
    try:
        node = await around.kube.get(path)
        labels, patch = settle_labels(wanted, node.get("metadata", {}).get("labels") or {}, has_pods)
        if patch:
            log.info("labels of the Node change: %s", patch)
            await around.kube.patch(path, {"metadata": {"labels": patch}}, MERGE_PATCH)
    except NotFound:
        return wanted
    except ConfigRefused:
        raise
    except KmError as error:
        log.warning("the labels of the Node stay as they are: %s", error)
        return wanted
    return labels


async def _bound_requests(around: Surroundings, node_name: str) -> Resources | None:
    """Sum over the non-terminal pods of this node; None: the API server did not say in time."""
    deadline_s = around.clock.monotonic() + ASK_PODS_S
    query = {"fieldSelector": f"spec.nodeName={node_name}"}
    while True:
        try:
            listed = await around.kube.get("/api/v1/pods", query)
        except ConfigRefused:
            raise
        except KmError as error:
            log.warning("cannot list the pods of this node: %s", error)
            if around.clock.monotonic() >= deadline_s:
                return None
            await around.clock.sleep(ASK_PAUSE_S)
            continue
        return requested(listed.get("items") or [])


def requested(items: list[object]) -> Resources:
    """What kubelet will count for these pods at admission."""
    total = ZERO
    for item in items:
        try:
            pod = decode_pod(msgspec.json.encode(item))
        except ProtocolError as error:
            log.warning("a pod is not counted: %s", error)
            continue
        if pod.holds_resources:
            total = total.plus(pod.requests)
    return total


def _authority(access: KubeAccess) -> str:
    """The CA that signed the API server's certificate: kubelet's callers must be signed by it."""
    tls = access.tls
    if tls.ca_data:
        return tls.ca_data
    if not tls.ca_file:
        raise ConfigRefused("the kubeconfig of the node has no certificate-authority: kubelet needs one to be asked")
    try:
        return Path(tls.ca_file).read_text(encoding="ascii")
    except (OSError, ValueError) as error:
        raise ConfigRefused(f"cannot read the CA certificate {tls.ca_file}: {error}") from error


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text)
    except OSError as error:
        raise ConfigRefused(f"cannot write {path}: {error.strerror}; is the sandbox full?") from error


async def watch_pods(around: Surroundings, node_name: str) -> None:
    """This node's pods as events, for ever."""
    reflector = Reflector(
        around.kube,
        "/api/v1/pods",
        decode=pod_seen,
        clock=around.clock,
        rng=around.rng,
        field_selector=f"spec.nodeName={node_name}",
    )
    async with asyncio.TaskGroup() as group, aclosing(reflector.changes()) as items:
        pods = Leaving(around.settings.kubelet_root_dir, around.clock, around.tell, group.create_task)
        async for item in items:
            match item:
                case Listed(listed):
                    pods.listed(tuple(listed))
                case Changed("DELETED", pod):
                    pods.deleted(pod)
                case Changed(_, pod):
                    pods.seen(pod)
                case Interrupted(reason) | Undecodable(reason):
                    log.warning("pods: %s", reason)


async def watch_node(around: Surroundings, node_name: str) -> None:
    """This node's own object as events, for ever."""
    reflector = Reflector(
        around.kube,
        "/api/v1/nodes",
        decode=node_seen,
        clock=around.clock,
        rng=around.rng,
        field_selector=f"metadata.name={node_name}",
    )
    async with aclosing(reflector.changes()) as items:
        async for item in items:
            match item:
                case Listed([(_, node), *_]):
                    await _introduce(around, node_name, node)
                    around.tell(node)
                case Listed():
                    around.tell(ev.NodeVanished())
                case Changed("DELETED"):
                    around.tell(ev.NodeVanished())
                case Changed(_, (_, node)):
                    await _introduce(around, node_name, node)
                    around.tell(node)
                case Interrupted(reason) | Undecodable(reason):
                    log.warning("node: %s", reason)


async def _introduce(around: Surroundings, node_name: str, node: ev.NodeSeen) -> None:
    """Let the Node name its agent: a scheduler that has just started learns so where a task of Mesos is.

    And its framework, whose scheduler takes the Node away when nobody needs it any more.

    Before the core hears of the Node, so that no task is STARTING on a Node without the name.  When it fails, that
    scheduler launches the pod anew; the next change of the Node tries again.
    """
    agent_id, framework_id = around.mesos.agent_id, around.mesos.framework_id
    if (node.agent_id, node.framework_id) == (agent_id, framework_id):
        return
    try:
        patch = {"metadata": {"annotations": {AGENT_ID: agent_id, FRAMEWORK_ID: framework_id}}}
        await around.kube.patch(f"/api/v1/nodes/{node_name}", patch, MERGE_PATCH)
        log.info("the Node names its agent %s now", agent_id)
    except ConfigRefused:
        raise
    except KmError as error:
        log.warning("the Node does not name its agent %s: %s", agent_id, error)


async def delete(around: Surroundings, effect: do.DeletePod) -> None:
    """Once: the core asks again while the pod shows no sign of it."""
    namespace, _, name = effect.key.partition("/")
    try:
        await delete_pod(around.kube, namespace, name, uid=effect.uid, grace_s=effect.grace_s)
        log.info("pod %s is being deleted: %s", effect.key, effect.reason)
    except (NotFound, Conflict) as error:
        log.info("pod %s is gone already: %s", effect.key, error)
    except Forbidden as error:
        remedy = "let nodes delete their pods, as `km manifests` says, or drain the Node with kubectl"
        log.error("pod %s may not be deleted, and the agent drains on: %s; %s", effect.key, error, remedy)
    except KmError as error:
        log.warning("pod %s could not be deleted, which is tried again: %s", effect.key, error)
