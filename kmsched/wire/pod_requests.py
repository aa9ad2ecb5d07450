"""What a pod counts for: the requests that kube-scheduler and kubelet compute, in exact billionths.

Containers are summed.  An init container needs what it asks for together with the sidecars (restartable init
containers) before it, and the pod needs the largest such sum or that of all containers and sidecars.  Requests of
the pod as a whole take the place of that sum, overhead comes on top.  While kubelet resizes a pod in place, the
largest of what is asked for, allocated and in force counts, unless the resize was found infeasible.

Claims of dynamic resource allocation are not looked at: such pods are refused by `wire.kube`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from kmsched.core.resources import MIB
from kmsched.errors import ProtocolError
from kmsched.wire.kube_objects import Container, ContainerStatus, PodObject, Quantities
from kmsched.wire.quantity import NANOS_PER_MILLI, nanos

Amounts = dict[str, int]
CPU, MEMORY, STORAGE = "cpu", "memory", "ephemeral-storage"
HUGEPAGES_PREFIX = "hugepages-"
_NANOS_PER_MILLI_MIB = MIB * NANOS_PER_MILLI


@dataclass(frozen=True, slots=True)
class Defaults:
    """What a container counts for that requests none: thousandths of a core, thousandths of a MiB.

    Kubernetes counts such a container as nothing, but its Mesos task must hold something.  They are put into the one
    figure that both ledgers use, so that kubelet never admits less than we think: the error is on the safe side.
    """

    cpu_millis: int = 0
    mem_milli: int = 0

    def amounts(self) -> Amounts:
        return {CPU: self.cpu_millis * NANOS_PER_MILLI, MEMORY: self.mem_milli * _NANOS_PER_MILLI_MIB}


def amounts_of(quantities: Quantities | None, where: str) -> Amounts:
    """Billionths by name; ProtocolError tells `where` and the name of a bad quantity."""
    amounts = {}
    for name, text in (quantities or {}).items():
        try:
            amounts[name] = nanos(str(text))
        except ProtocolError as error:
            raise ProtocolError(f"{where}.{name}: {error}") from error
    return amounts


def pod_amounts(pod: PodObject, defaults: Amounts) -> Amounts:
    """Billionths by resource name; `defaults` fill what a container does not request."""
    total = _containers_amounts(pod, defaults)
    asked = pod.spec.resources.requests if pod.spec.resources else None
    if asked and any(_is_for_pods(name) for name in asked):
        whole = amounts_of(asked, "$.spec.resources.requests")
        status = pod.status
        if status.resources is not None:
            if _is_resize_infeasible(pod):
                whole = {}
            _raise_to(whole, amounts_of(status.resources.requests, "$.status.resources.requests"))
            _raise_to(whole, amounts_of(status.allocated_resources, "$.status.allocatedResources"))
        total |= {name: amount for name, amount in whole.items() if _is_for_pods(name)}
    _add(total, amounts_of(pod.spec.overhead, "$.spec.overhead"))
    return total


def _containers_amounts(pod: PodObject, defaults: Amounts) -> Amounts:
    specified = _aggregate(pod, lambda container: container.resources.requests, defaults)
    statuses = _statuses(pod)
    whole = pod.status
    is_infeasible = _is_resize_infeasible(pod)
    if not statuses and whole.allocated_resources is None and not is_infeasible:
        return specified
    total = {} if is_infeasible else specified
    if whole.allocated_resources is not None and whole.resources is not None and whole.resources.requests is not None:
        _raise_to(total, amounts_of(whole.allocated_resources, "$.status.allocatedResources"))
        _raise_to(total, amounts_of(whole.resources.requests, "$.status.resources.requests"))
        return total

    def allocated(container: Container) -> Quantities | None:
        status = statuses.get(container.name)
        if status is not None and status.allocated_resources is not None:
            return status.allocated_resources
        return None if is_infeasible else container.resources.requests

    def in_force(container: Container) -> Quantities | None:
        status = statuses.get(container.name)
        if status is not None and status.resources is not None and status.resources.requests is not None:
            return status.resources.requests
        return allocated(container)

    _raise_to(total, _aggregate(pod, allocated, defaults))
    _raise_to(total, _aggregate(pod, in_force, defaults))
    return total


def _aggregate(pod: PodObject, of: Callable[[Container], Quantities | None], defaults: Amounts) -> Amounts:
    total: Amounts = {}
    for container in pod.spec.containers or ():
        _add(total, _container_amounts(container, of(container), defaults))
    sidecars: Amounts = {}
    peak: Amounts = {}
    for container in pod.spec.init_containers or ():
        wanted = _container_amounts(container, of(container), defaults)
        if container.restart_policy == "Always":
            _add(total, wanted)
            _add(sidecars, wanted)
            _raise_to(peak, sidecars)
        else:
            _add(wanted, sidecars)
            _raise_to(peak, wanted)
    _raise_to(total, peak)
    return total


def _container_amounts(container: Container, quantities: Quantities | None, defaults: Amounts) -> Amounts:
    return {**defaults, **amounts_of(quantities, f"container {container.name}: resources.requests")}


def _statuses(pod: PodObject) -> Mapping[str, ContainerStatus]:
    found: dict[str, ContainerStatus] = {}
    for status in (*(pod.status.container_statuses or ()), *(pod.status.init_container_statuses or ())):
        if status.allocated_resources is not None or status.resources is not None:
            found.setdefault(status.name, status)
    return found


def _is_resize_infeasible(pod: PodObject) -> bool:
    return any(one.type == "PodResizePending" and one.reason == "Infeasible" for one in pod.status.conditions or ())


def _is_for_pods(name: str) -> bool:
    return name in (CPU, MEMORY) or name.startswith(HUGEPAGES_PREFIX)


def _add(total: Amounts, more: Mapping[str, int]) -> None:
    for name, amount in more.items():
        total[name] = total.get(name, 0) + amount


def _raise_to(total: Amounts, other: Mapping[str, int]) -> None:
    for name, amount in other.items():
        if amount > total.get(name, -1):
            total[name] = amount
