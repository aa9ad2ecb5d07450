"""Every flag of Kubernetes on Mesos' first scheduler is kept, an alias that says so, or refused with what to do."""

from __future__ import annotations

import re

import pytest

from kmsched import flags
from kmsched.errors import UsageError
from kmsched.flag import is_in_spec
from kmsched.flag_history import ALIASES, REFUSED, Alias
from kmsched.flag_table import BY_NAME
from kmsched.flags import SCHEDULER
from kmsched.values import LISTS, Kind

KEPT = """
port address profiling api-servers kubeconfig mesos-master mesos-user mesos-role mesos-authentication-principal
mesos-authentication-secret-file checkpoint failover-timeout framework-name framework-weburi hostname-override
reconcile-interval default-container-cpu-limit default-container-mem-limit km-path executor-path proxy-path
allow-privileged cluster-dns cluster-domain kubelet-api-servers kubelet-root-dir kubelet-kubeconfig proxy-mode
proxy-kubeconfig ha etcd-servers
"""
#: kubelet has flags of these names
PASSED_ON = "kubelet-sync-frequency kubelet-enable-debugging-handlers"
ALIASED = """
auth-path mesos-launch-grace-period mesos-executor-cpus mesos-executor-mem executor-logv executor-suicide-timeout v
"""
GONE = """
advertised-address kube-api-qps kube-api-burst etcd-config service-address node-monitor-period
scheduler-config vmodule logtostderr alsologtostderr stderrthreshold log-dir log-flush-frequency
log-backtrace-at version mesos-authentication-provider
framework-store-uri mesos-generate-task-discovery driver-port graceful ha-domain reconcile-cooldown
executor-bindall executor-cgroup-prefix mesos-cgroup-prefix mesos-sandbox-overlay dockercfg-path static-pods-config
contain-pod-resources kubelet-docker-endpoint kubelet-pod-infra-container-image kubelet-cadvisor-port
kubelet-host-network-sources kubelet-network-plugin run-proxy proxy-bindall proxy-logv conntrack-max
conntrack-max-per-core conntrack-tcp-timeout-established minion-path-override minion-max-log-size
minion-max-log-backups minion-max-log-age housekeeping_interval global_housekeeping_interval
"""
#: the executor gives these itself
OWNED = ("kubelet-config", "kubelet-hostname-override", "proxy-config", "proxy-hostname-override")
GOOD = {Kind.PATH: "/p", Kind.DURATION: "90s", Kind.CPUS: "1", Kind.MIB: "64", Kind.TEXT: "debug"}


@pytest.mark.parametrize("name", KEPT.split())
def test_kept(name: str) -> None:
    assert name in BY_NAME


@pytest.mark.parametrize("name", PASSED_ON.split())
def test_passed_on_to_kubelet(name: str) -> None:
    parsed = flags.parse([f"--{name}=1"], SCHEDULER, complete=False)
    assert parsed.kubelet_extra == ((name, "1"),)


def test_every_alias_and_refusal_is_known_and_of_use() -> None:
    ours = {"executor-idle-timeout", "executor-log-level", "allow-mutable-km-path", *OWNED}
    assert {alias.name for alias in ALIASES} - ours == set(ALIASED.split())
    assert set(REFUSED) - ours == {name.replace("_", "-") for name in GONE.split()}
    assert not ({alias.name for alias in ALIASES} | set(REFUSED)) & set(BY_NAME)
    for instead in REFUSED.values():
        for named in re.findall(r"(?<![\w-])--([a-z][a-z-]*)", instead):
            assert named in BY_NAME or named.startswith(("kubelet-", "proxy-"))


@pytest.mark.parametrize("name", [*GONE.split(), *OWNED])
@pytest.mark.parametrize("form", ["--{}=1", "--{}"])
def test_refused_with_what_to_do(name: str, form: str) -> None:
    canonical = name.replace("_", "-")
    with pytest.raises(UsageError) as refusal:
        flags.parse([form.format(name)], SCHEDULER, complete=False)
    assert str(refusal.value) == f"--{canonical} is not taken: {REFUSED[canonical]}"


@pytest.mark.parametrize("alias", ALIASES, ids=lambda alias: alias.name)
def test_aliases_set_their_target_and_say_so(alias: Alias) -> None:
    flag = BY_NAME[alias.target]
    text = "4" if alias.name in ("v", "executor-logv") else GOOD[flag.kind]
    parsed = flags.parse([f"--{alias.name.replace('-', '_')}={text}"], SCHEDULER, complete=False)
    same = flags.parse([f"--{alias.target}={alias.translate(text)}"], SCHEDULER, complete=False)
    assert parsed.values == same.values
    [warning] = parsed.warnings
    normal = flag.normal(parsed[alias.target])
    assert warning.startswith(f"--{alias.name} is an old name; write --{alias.target}={normal}")
    is_cold_by_its_old_name_only = is_in_spec(alias.name) and not flag.in_spec
    assert parsed.cold_aliases == ({alias.name: normal} if is_cold_by_its_old_name_only else {})
    assert warning.endswith(f"what stands under --{alias.name} does") == is_cold_by_its_old_name_only


@pytest.mark.parametrize("alias", ALIASES, ids=lambda alias: alias.name)
def test_wrong_values_of_aliases_are_refused_by_the_name_that_was_given(alias: Alias) -> None:
    assert BY_NAME[alias.target].kind not in LISTS
    with pytest.raises(UsageError, match=f"^--{alias.name}: .*'wrong'"):
        flags.parse([f"--{alias.name}=wrong"], SCHEDULER, complete=False)
