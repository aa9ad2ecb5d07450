"""What cannot work is refused: each with its message and its exit code, by the real km on the scheduler's host."""

from __future__ import annotations

import pytest

from testbed import controlplane, pki
from tests.scenarios import workloads
from tests.scenarios.cluster import PAGES, Cluster
from tests.scenarios.hosts import SCHEDULER_UNIT
from tests.scenarios.second import SECOND_PAGES, Second
from tests.scenarios.waiting import until

USAGE, CONFIG, REMOVED, ID_MISSING = 2, 10, 12, 13
ENDED_S = 60.0
NOBODY = "http://10.255.255.1:5050"


@pytest.mark.parametrize(
    ("flags", "code", "words"),
    [
        pytest.param(["--offer-tll=3s"], USAGE, "unknown flag --offer-tll; did you mean --offer-ttl?", id="unknown"),
        pytest.param(["--port=99999"], USAGE, "--port: '99999' is too large; give at most 65535", id="too-large"),
        pytest.param(["--offer-ttl=soon"], USAGE, "--offer-ttl: 'soon'", id="no-duration"),
        pytest.param(["--mesos-master=zk://m1:2181/mesos"], USAGE, "is ZooKeeper, which is not read", id="zookeeper"),
        pytest.param(
            ["--failover-timeout=1d"], CONFIG, "--failover-timeout=86400s is below one week", id="short-failover"
        ),
        pytest.param(
            ["--launch-timeout=10m"], CONFIG, "--launch-timeout=600s must be shorter than", id="contradiction"
        ),
        pytest.param(["--km-path=file:///opt/km"], CONFIG, "names no SHA-256", id="mutable-km"),
        pytest.param(["--kubeconfig=/nowhere"], CONFIG, "--kubeconfig: cannot read '/nowhere'", id="no-kubeconfig"),
        pytest.param(["--kubeconfig=/etc/hostname"], CONFIG, "/etc/hostname", id="garbage-kubeconfig"),
        pytest.param(["--state-dir=/root/km"], CONFIG, "--state-dir: cannot write to '/root/km'", id="state-folder"),
        pytest.param(["--port=10251"], CONFIG, "cannot listen on 127.0.0.1:10251", id="port-in-use"),
    ],
)
def test_wrong_flags_and_files(second: Second, flags: list[str], code: int, words: str) -> None:
    ended = second.run(*flags)
    assert ended.code == code, ended.text
    assert words in ended.text
    assert ended.text.splitlines()[-1].startswith("km: ")


def test_credentials_that_are_refused(cluster: Cluster, second: Second) -> None:
    """A user without any right: the API server may need a moment, then it is final."""
    path = pki.user(cluster.settings.kube, controlplane.server(cluster.settings), "nobody-in-particular", [])
    second.write("kubeconfig", path.read_text())
    ended = second.run(f"--kubeconfig={second.folder}/kubeconfig")
    assert ended.code == CONFIG, ended.text
    assert "the Kubernetes API does not let us list pods and nodes" in ended.text
    assert 'User "nobody-in-particular" cannot list resource "pods"' in ended.text


def test_state_that_cannot_be_read(second: Second) -> None:
    second.write("state/framework-id", "not a record\n")
    ended = second.run()
    assert ended.code == CONFIG, ended.text
    assert f"{second.state_dir}/framework-id: cannot be read: no record" in ended.text
    second.write("state/framework-id", '{"schema":1,"revision":1,"value":"x"}\n', mode="0000", owner="root")
    ended = second.run()
    assert ended.code == CONFIG, ended.text
    assert "framework-id: cannot be read: Permission denied" in ended.text


def test_two_schedulers_on_one_folder(cluster: Cluster, second: Second) -> None:
    pid = cluster.hosts.main_pid(cluster.scheduler_host, SCHEDULER_UNIT)
    ended = second.run("--state-dir=/var/lib/kmsched")
    assert ended.code == CONFIG, ended.text
    assert f"--state-dir /var/lib/kmsched: in use by another scheduler, pid {pid}" in ended.text
    assert cluster.is_ready()


def test_forgotten_framework_id(cluster: Cluster, namespace: str, second: Second) -> None:
    """The first scheduler's pods are bound; who takes its name with an empty folder must not leave them behind."""
    cluster.run_pod(namespace, "bound")
    ended = second.run("--framework-name=Kubernetes", "--scheduler-name=default-scheduler")
    assert ended.code == ID_MISSING, ended.text
    assert f"1 pods are bound by this scheduler ({namespace}/bound)" in ended.text
    assert "km framework reset" in ended.text


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        pytest.param(
            [f"--mesos-master={NOBODY}"], "not subscribed with a Mesos master: 10.255.255.1:5050", id="mesos-master"
        ),
        pytest.param(
            ["--api-servers=https://10.88.0.1:1"], "pods of the Kubernetes API are not listed yet", id="api-server"
        ),
    ],
)
def test_upstream_away(cluster: Cluster, second: Second, flags: list[str], words: str) -> None:
    """It stays up, is alive, and says what it waits for."""
    second.start(*flags)
    second.wait_told(words)
    assert cluster.page("/healthz", SECOND_PAGES).status == 200
    assert second.is_active()
    assert cluster.page("/readyz", PAGES).status == 200


def test_a_framework_id_that_mesos_has_not_heard_of(cluster: Cluster, second: Second) -> None:
    """As after a loss of the masters' memory: Mesos takes it, and it stays the framework's id."""
    unheard = "00000000-0000-4000-8000-000000000000-4242"
    second.write("state/framework-id", f'{{"schema":1,"revision":1,"value":"{unheard}"}}\n')
    second.start()
    second.wait_ready()
    assert cluster.page("/readyz", SECOND_PAGES).json()["framework_id"] == unheard
    assert cluster.mesos.framework(second.name)["id"] == unheard


def test_framework_removed_by_an_operator(cluster: Cluster, namespace: str, second: Second) -> None:
    second.start()
    second.wait_ready()
    framework_id = cluster.page("/readyz", SECOND_PAGES).json()["framework_id"]
    assert cluster.mesos.framework(second.name)["id"] == framework_id
    cluster.mesos.teardown(framework_id)
    until(lambda: not second.is_active(), ENDED_S, "it ends")
    assert second.exit_code() == REMOVED, second.log()
    assert "Framework has been removed" in second.log()
    again = second.run()
    assert again.code == REMOVED, again.text
    assert framework_id in again.text
    assert "km framework reset" in again.text
    reset = second.km("framework", "reset", f"--confirm={framework_id}", f"--state-dir={second.state_dir}")
    assert reset.code == 0, reset.text
    second.start()
    second.wait_ready()  # with a new framework id
    assert cluster.page("/readyz", SECOND_PAGES).json()["framework_id"] != framework_id
    # the first one has noticed nothing
    assert cluster.is_ready()
    cluster.api.create(workloads.pod("first-ones"), namespace)
    cluster.wait_phase(namespace, "first-ones", "Running")
