"""Compiles Kubernetes and etcd from Go modules. Knows versions (files/kubernetes/go.mod) and linker flags, nothing of
how the programs are run."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path

from testbed import cache, golang, progress
from testbed.errors import LabError
from testbed.settings import DATA, Settings

#: program -> its Go package
PROGRAMS = {
    "kube-apiserver": "k8s.io/kubernetes/cmd/kube-apiserver",
    "etcd": "go.etcd.io/etcd/server/v3",
    "kubelet": "k8s.io/kubernetes/cmd/kubelet",
    "kubectl": "k8s.io/kubernetes/cmd/kubectl",
    "kube-controller-manager": "k8s.io/kubernetes/cmd/kube-controller-manager",
    "kube-proxy": "k8s.io/kubernetes/cmd/kube-proxy",
}
SOURCE = DATA / "kubernetes"
PRODUCT = "kubernetes"
VERSION_PACKAGES = ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version")
PROGRAM_LIMIT_S = 3600.0
BINARIES_MIB = 500
#: settings of Go
CACHES_MIB = {"GOCACHE": 5000, "GOMODCACHE": 1000}
CACHE_FOLDERS = {"GOCACHE": "go-build", "GOMODCACHE": "go-mod"}


def version(go_mod: str) -> str:
    """v1.X.Y of the module k8s.io/kubernetes.

    Raises:
        LabError: go.mod does not name it.
    """
    for line in go_mod.splitlines():
        words = line.split()
        if words[:1] == ["k8s.io/kubernetes"]:
            return words[1]
    raise LabError(f"{SOURCE / 'go.mod'}: no version of k8s.io/kubernetes")


def linker_flags(package: str, release: str) -> str:
    """-ldflags of one program: without symbols; what is made of Kubernetes also carries its version."""
    if package.startswith("go.etcd.io/"):
        return "-s -w"
    major, minor, _ = release.removeprefix("v").split(".", 2)
    values = {
        "gitVersion": release,
        "gitMajor": major,
        "gitMinor": minor,
        "gitTreeState": "archive",
        "gitCommit": "unknown",
    }
    return " ".join(
        ["-s -w", *(f"-X {package}.{name}={value}" for package in VERSION_PACKAGES for name, value in values.items())]
    )


def inputs(go_version: str) -> dict[str, str | bytes]:
    """All that decides what the compiler makes."""
    go_mod = (SOURCE / "go.mod").read_text()
    flags = {f"flags {name}": linker_flags(package, version(go_mod)) for name, package in PROGRAMS.items()}
    return {"go.mod": go_mod, "go.sum": (SOURCE / "go.sum").read_bytes(), "go": go_version, **PROGRAMS, **flags}


def build(settings: Settings) -> Path:
    """Folder with the programs; 10 to 20 minutes on two cores when nothing is cached."""
    go = golang.find(settings.cache)

    def make(part: Path) -> None:
        compiled(part, go, settings, PRODUCT, PROGRAMS, BINARIES_MIB)

    return cache.produce(settings.cache, PRODUCT, inputs(go.version), make, BINARIES_MIB)


def compiled(
    part: Path, go: golang.Go, settings: Settings, product: str, programs: Mapping[str, str], binaries_mib: int
) -> None:
    """Fills `part`. The caches stay, for more of the same modules: see `remove_caches`."""
    environ = {**os.environ, "CGO_ENABLED": "0", "GOWORK": "off", "GOFLAGS": "-mod=readonly", "GOTOOLCHAIN": "local"}
    environ |= {name: str(folder) for name, folder in own_caches(settings).items()}
    # what is there already need not be written again
    needs = [
        (Path(environ[name]), max(mib - cache.size_mib(Path(environ[name])), mib // 5), name)
        for name, mib in CACHES_MIB.items()
    ]
    cache.require_free_disk([(settings.cache, binaries_mib, product), *needs])
    release = version((SOURCE / "go.mod").read_text())
    started = time.monotonic()
    for number, (name, package) in enumerate(programs.items(), 1):
        label = f"{product} {release}: {name} ({number} of {len(programs)})"
        command = [str(go.program), "build", "-trimpath", "-ldflags", linker_flags(package, release)]
        command += ["-o", str(part / name), package]
        log = settings.cache / f".{product}.log"
        took = progress.run(command, log, label, "compiling", PROGRAM_LIMIT_S, environ, SOURCE)
        print(
            f"{label}: compiled in {progress.clock(took)}; {progress.clock(time.monotonic() - started)} in all",
            flush=True,
        )


def own_caches(settings: Settings) -> dict[str, Path]:
    """Go's compile and module caches, as its settings name them, where the caller has set none: in the build cache."""
    return {name: settings.cache / folder for name, folder in CACHE_FOLDERS.items() if not os.environ.get(name)}


def remove_caches(settings: Settings) -> None:
    """They are ten times as large as what is made with them; with KM_KEEP_GOCACHE=1 they stay."""
    if not settings.keep_gocache:
        for folder in own_caches(settings).values():
            if folder.exists():
                cache.remove_tree(folder)
