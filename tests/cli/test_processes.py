"""From the executor's command line to its settings."""

from __future__ import annotations

from pathlib import Path

from kmsched import flags
from kmsched.cli.processes import executor_settings
from kmsched.executor.settings import ExecutorSettings


def test_bare_executor_has_the_defaults_of_its_settings() -> None:
    bare = executor_settings(flags.parse(["--kubelet-path=/usr/local/lib/kmsched/kubelet"], flags.EXECUTOR))
    assert bare.kubelet_path.removeprefix("file://") == ExecutorSettings().kubelet_path
    assert (bare.launch_grace_s, bare.idle_timeout_s) == (300.0, 1200.0)
    assert bare.proxy_kubeconfig == ExecutorSettings().proxy_kubeconfig
    assert bare.containerd_endpoint == ExecutorSettings().containerd_endpoint
    assert (bare.api_servers, bare.cluster_dns, bare.cluster_domain) == ((), (), "")


def test_every_flag_reaches_its_setting() -> None:
    settings = executor_settings(
        flags.parse(
            [
                "--api-servers=k:6443,http://l:1",
                "--kubelet-path=https://h/kubelet",
                "--kubelet-kubeconfig=/k",
                "--kubelet-root-dir=/r",
                "--kubelet-v=4",
                "--kubelet-enforce-node-allocatable=",
                "--kubelet-container-runtime-endpoint=unix:///x",
                "--cluster-dns=10.0.0.10",
                "--cluster-domain=cluster.local",
                "--executor-launch-grace-period=1m",
                "--agent-idle-timeout=0",
                "--proxy-path=hdfs:///proxy",
                "--proxy-mode=nftables",
                "--proxy-v=2",
            ],
            flags.EXECUTOR,
        )
    )
    assert settings == ExecutorSettings(
        api_servers=("https://k:6443", "http://l:1"),
        kubelet_path="https://h/kubelet",
        kubelet_kubeconfig=Path("/k"),
        kubelet_root_dir=Path("/r"),
        kubelet_extra_args=("--enforce-node-allocatable=", "--v=4"),
        proxy_path="hdfs:///proxy",
        proxy_extra_args=("--proxy-mode=nftables", "--v=2"),
        containerd_endpoint="unix:///x",
        cluster_dns=("10.0.0.10",),
        cluster_domain="cluster.local",
        launch_grace_s=60.0,
        idle_timeout_s=0.0,
    )


def test_agents_may_have_servers_and_credentials_of_their_own() -> None:
    tokens = ["--api-servers=k:1", "--kubelet-api-servers=l:1", "--kubelet-kubeconfig=/k", "--proxy-kubeconfig=/p"]
    settings = executor_settings(flags.parse(tokens, flags.EXECUTOR))
    assert settings.api_servers == ("https://l:1",)
    assert (settings.kubelet_kubeconfig, settings.proxy_kubeconfig) == (Path("/k"), Path("/p"))
