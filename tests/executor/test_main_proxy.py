"""The executor as a whole, where kube-proxy runs beside kubelet."""

from __future__ import annotations

import hashlib
import os
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from kmsched.errors import EXIT_OK, UsageError
from tests.executor.runs import Run, one_running, play, serve
from tests.executor.world import until


def proxied(run: Run, script: str) -> None:
    kubeconfig = run.folder / "proxy.kubeconfig"
    kubeconfig.write_text("")
    uri = serve(run, "hdfs://ns1/kube-proxy", f"#!/bin/sh\necho start $$ $*\n{script}\n".encode())
    run.settings = replace(
        run.settings, proxy_path=uri, proxy_kubeconfig=kubeconfig, proxy_extra_args=("--cluster-cidr=10.0.0.0/8",)
    )


def proxy_starts(run: Run) -> list[str]:
    log = run.folder / "kube-proxy.log"
    return log.read_text().splitlines() if log.exists() else []


def test_kube_proxy_runs_beside_kubelet_and_ends_with_it(run: Run) -> None:
    proxied(run, "exec sleep 1000")

    async def story() -> None:
        await one_running(run)
        await until(lambda: proxy_starts(run))
        words = proxy_starts(run)[0]
        assert f"--kubeconfig={run.folder}/proxy.kubeconfig --hostname-override=h1 --proxy-mode=nftables" in words
        assert words.endswith("--cluster-cidr=10.0.0.0/8")
        os.kill(int(words.split()[1]), signal.SIGKILL)
        await until(lambda: len(proxy_starts(run)) == 2)
        assert run.world.states("t1") == ["STARTING", "RUNNING"]
        assert not await run.lock_is_free()
        run.world.event("SHUTDOWN")

    assert play(run, story) == EXIT_OK
    for line in proxy_starts(run):
        assert not Path("/proc", line.split()[1]).exists()


def proxy_dies(run: Run) -> str:
    proxied(run, "echo no such flag >&2; exit 1")
    return "no such flag"


def proxy_is_silent(run: Run) -> str:
    proxied(run, "exec sleep 1000")
    run.settings = replace(
        run.settings, proxy_extra_args=("--healthz-bind-address=127.0.0.1:7", "--proxy-mode=iptables")
    )
    run.world.dumb = "127.0.0.1:7"
    return "does not answer its health check: silence"


def proxy_is_another(run: Run) -> str:
    proxied(run, "exec sleep 1000")
    run.files["hdfs://ns1/kube-proxy"] = b"wrong"
    return f"sha256 {hashlib.sha256(b'wrong').hexdigest()} fetched"


def proxy_has_no_scheme(run: Run) -> str:
    proxied(run, "exec sleep 1000")
    run.files["hdfs://ns1/kube-proxy"] = UsageError("only file:, http:, https:, hdfs: can be read")
    return "only file:"


def proxy_is_no_program(run: Run) -> str:
    run.settings = replace(run.settings, proxy_path=serve(run, "http://f/kube-proxy", b"\x7fELF"))
    run.settings = replace(run.settings, proxy_kubeconfig=run.folder / "kubeconfig")
    return "cannot run"


def proxy_has_no_kubeconfig(run: Run) -> str:
    proxied(run, "exec sleep 1000")
    run.settings.proxy_kubeconfig.unlink()
    return "system:node-proxier"


def kernel_lacks_all(run: Run) -> str:
    proxied(run, "exec sleep 1000")
    run.lacks = {"nftables": "no nf_tables", "iptables": "no nat"}
    return "CONFIG_NFT_NAT) and the program nft: no nf_tables; iptables needs"


@pytest.mark.parametrize(
    "breakage",
    [
        proxy_dies,
        proxy_is_silent,
        proxy_is_another,
        proxy_has_no_scheme,
        proxy_is_no_program,
        proxy_has_no_kubeconfig,
        kernel_lacks_all,
    ],
)
def test_whatever_is_wrong_with_kube_proxy_is_told_on_the_node_and_fails_no_pod(
    run: Run, breakage: Callable[[Run], str]
) -> None:
    words = breakage(run)

    async def story() -> None:
        run.world.kubelet_answer = 200
        await one_running(run)
        await until(lambda: any(words in event["message"] for event in run.world.node_events))
        event = next(event for event in run.world.node_events if words in event["message"])
        assert (event["type"], event["reason"]) == ("Warning", "KubeProxyFailing")
        assert (event["involvedObject"]["kind"], event["involvedObject"]["uid"]) == ("Node", "h1")
        run.world.launch("t2", "ns/q", "uid-q")
        await until(lambda: run.world.states("t2") == ["STARTING"])
        assert run.world.states("t1") == ["STARTING", "RUNNING"]
        run.world.event("SHUTDOWN")

    assert play(run, story) == EXIT_OK
