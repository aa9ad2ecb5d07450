"""What a pod requests, as kube-scheduler counts it: init containers, sidecars, overhead, resizes."""

from __future__ import annotations

from typing import Any

import pytest

from kmsched.core.resources import Resources
from kmsched.wire.kube import Defaults
from tests.wire.objects import DEFAULTS, Json, container, decoded, pod


def sidecar(cpu: str = "", memory: str = "", **more: Any) -> Json:
    return container(cpu, memory, restartPolicy="Always", **more)


def cpu_mem(spec: Json, status: Json | None = None, defaults: Defaults | None = None) -> tuple[int, int]:
    """Thousandths of a core, and MiB."""
    requests = decoded(pod(spec, status), defaults).requests
    assert requests.pods == 1
    return requests.cpus, requests.mem // 1000


def test_containers_are_summed() -> None:
    assert cpu_mem({"containers": [container("100m", "64Mi"), container("0.4", "32Mi")]}) == (500, 96)


def test_the_sum_is_rounded_once() -> None:
    spec = {"containers": [container("100u", "1"), container("100u", "1"), container("100u", "1")]}
    assert decoded(pod(spec)).requests == Resources(cpus=1, mem=1, pods=1)


def test_the_largest_init_container_counts_not_their_sum() -> None:
    spec = {
        "initContainers": [container("2", "10Mi"), container("1", "300Mi")],
        "containers": [container("1", "100Mi"), container("500m", "100Mi")],
    }
    assert cpu_mem(spec) == (2000, 300)


def test_small_init_containers_change_nothing() -> None:
    spec = {"initContainers": [container("100m")], "containers": [container("1", "1Mi")]}
    assert cpu_mem(spec) == (1000, 1)


def test_sidecars_are_added_to_the_containers() -> None:
    assert cpu_mem({"initContainers": [sidecar("200m", "20Mi")], "containers": [container("1", "100Mi")]}) == (
        1200,
        120,
    )


def test_an_init_container_runs_beside_the_sidecars_before_it() -> None:
    before = {"initContainers": [sidecar("1"), container("2")], "containers": [container("500m")]}
    assert cpu_mem(before)[0] == 3000
    after = {"initContainers": [container("2"), sidecar("1")], "containers": [container("500m")]}
    assert cpu_mem(after)[0] == 2000
    both = {"initContainers": [sidecar("1"), container("2"), sidecar("1")], "containers": [container("2")]}
    assert cpu_mem(both)[0] == 4000


def test_overhead_comes_on_top() -> None:
    spec = {
        "overhead": {"cpu": "250m", "memory": "120Mi"},
        "initContainers": [container("2")],
        "containers": [container("1", "1Mi")],
    }
    assert cpu_mem(spec) == (2250, 121)


def test_requests_of_the_whole_pod_take_the_place_of_the_sum() -> None:
    containers = [container("1", "100Mi")]
    assert cpu_mem({"resources": {"requests": {"cpu": "3"}}, "containers": containers}) == (3000, 100)
    assert cpu_mem({"resources": {"requests": {"cpu": "2", "memory": "50Mi"}}, "containers": containers}) == (2000, 50)
    on_top = {"resources": {"requests": {"cpu": "2"}}, "overhead": {"cpu": "1"}, "containers": containers}
    assert cpu_mem(on_top) == (3000, 100)


def test_only_cpu_memory_and_hugepages_can_be_asked_for_by_the_whole_pod() -> None:
    requests = {"cpu": "2", "ephemeral-storage": "1Gi", "hugepages-2Mi": "2Mi"}
    found = decoded(pod({"resources": {"requests": requests}}))
    assert found.requests == Resources(cpus=2000, pods=1)
    assert found.extended == (("hugepages-2Mi", 2 * 2**20),)


def test_what_a_container_does_not_request_gets_the_default() -> None:
    one = {"containers": [{"name": "c"}]}
    assert cpu_mem(one, defaults=DEFAULTS) == (250, 64)
    assert cpu_mem({"containers": [container("1"), container("", "1Gi")]}, defaults=DEFAULTS) == (1250, 1088)
    zero = {"containers": [container("0", "0"), container("1m")]}
    assert cpu_mem(zero, defaults=DEFAULTS) == (1, 64)


def test_a_pod_that_asks_for_nothing_at_all_still_takes_a_thousandth_of_a_core() -> None:
    assert decoded(pod({"containers": [container("0", "0")]})).requests == Resources(cpus=1, pods=1)


# --- resized in place


def in_status(allocated: Json | None = None, in_force: Json | None = None, **more: Any) -> Json:
    one: Json = {"name": "c"}
    if allocated is not None:
        one["allocatedResources"] = allocated
    if in_force is not None:
        one["resources"] = {"requests": in_force}
    return {"phase": "Running", "containerStatuses": [one], **more}


INFEASIBLE = [{"type": "PodResizePending", "status": "True", "reason": "Infeasible"}]


@pytest.mark.parametrize(
    ("status", "cpus"),
    [
        (in_status(), 1000),
        (in_status({"cpu": "1"}, {"cpu": "1"}), 1000),
        (in_status({"cpu": "2"}), 2000),
        (in_status({"cpu": "500m"}, {"cpu": "3"}), 3000),
        (in_status({"cpu": "500m"}, {"cpu": "500m"}), 1000),
        (in_status({"cpu": "500m"}, {"cpu": "600m"}, conditions=INFEASIBLE), 600),
        (in_status({"cpu": "500m"}, conditions=INFEASIBLE), 500),
        (in_status({"cpu": "5"}, allocatedResources={"cpu": "2"}, resources={"requests": {"cpu": "1"}}), 2000),
    ],
)
def test_a_resize_counts_the_largest_unless_it_is_infeasible(status: Json, cpus: int) -> None:
    assert cpu_mem({"containers": [container("1", "1Mi")]}, status)[0] == cpus


def test_a_resize_of_the_whole_pod() -> None:
    spec = {"resources": {"requests": {"cpu": "2"}}, "containers": [container("1", "1Mi")]}
    status = {"resources": {"requests": {"cpu": "3"}}, "allocatedResources": {"cpu": "4"}}
    assert cpu_mem(spec, status)[0] == 4000
    shrinks = {"resources": {"requests": {"cpu": "1"}}, "allocatedResources": {"cpu": "1"}}
    assert cpu_mem(spec, shrinks)[0] == 2000
    assert cpu_mem(spec, {**shrinks, "conditions": INFEASIBLE})[0] == 1000


def test_a_sidecar_is_resized_too() -> None:
    spec = {"initContainers": [sidecar("1", name="s")], "containers": [container("1")]}
    status = {"initContainerStatuses": [{"name": "s", "allocatedResources": {"cpu": "3"}}]}
    assert cpu_mem(spec, status)[0] == 4000
