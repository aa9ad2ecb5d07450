"""A CronJob has its Jobs run, which takes a minute of waiting."""

from __future__ import annotations

from tests.scenarios import kubernetes, workloads
from tests.scenarios.cluster import Cluster
from tests.scenarios.waiting import until

#: a minute, and as long as a Job takes
CRON_S = 90.0


def test_a_cron_job_has_its_jobs_run(cluster: Cluster) -> None:
    api = cluster.api
    with cluster.namespace("cron") as namespace:
        api.create(workloads.cron_job("each-minute", "echo done"), namespace)

        def finished() -> list[str]:
            pods = api.listed("Pod", namespace)
            return [kubernetes.name(pod) for pod in pods if kubernetes.phase(pod) == "Succeeded"]

        [pod, *_] = until(finished, CRON_S, "a Job of the CronJob has finished")
    assert pod.startswith("each-minute-")
