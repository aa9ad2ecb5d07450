"""Compiles Kubernetes and etcd from Go modules. Knows versions (files/kubernetes/go.mod) and linker flags, nothing of
how the programs are run."""

from __future__ import annotations

import os
import time
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
BINARIES_MIB, COMPILE_CACHE_MIB, MODULES_MIB = 500, 5000, 1000


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


def linker_flags(program: str, release: str) -> str:
    """-ldflags of one program: without symbols; Kubernetes' own also carry their version."""
    if not PROGRAMS[program].startswith("k8s.io/"):
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
    flags = {f"flags {name}": linker_flags(name, version(go_mod)) for name in PROGRAMS}
    return {"go.mod": go_mod, "go.sum": (SOURCE / "go.sum").read_bytes(), "go": go_version, **PROGRAMS, **flags}


def build(settings: Settings) -> Path:
    """Folder with the programs; 10 to 20 minutes on two cores when nothing is cached.

    The compile and module caches are Go's own settings GOCACHE and GOMODCACHE if the caller has set them; otherwise
    they lie in the build cache and are removed once the programs are built (not with KM_KEEP_GOCACHE=1).
    """
    go = golang.find(settings.cache)
    return cache.produce(
        settings.cache, PRODUCT, inputs(go.version), lambda part: _compile(part, go, settings), BINARIES_MIB
    )


def _compile(part: Path, go: golang.Go, settings: Settings) -> None:
    own: list[Path] = []
    environ = {**os.environ, "CGO_ENABLED": "0", "GOWORK": "off", "GOFLAGS": "-mod=readonly", "GOTOOLCHAIN": "local"}
    needs = []
    for name, mib, default in (
        ("GOCACHE", COMPILE_CACHE_MIB, "go-build"),
        ("GOMODCACHE", MODULES_MIB, "go-mod"),
    ):
        if not environ.get(name):
            environ[name] = str(settings.cache / default)
            own.append(settings.cache / default)
        # what is there already need not be written again
        needs.append((Path(environ[name]), max(mib - cache.size_mib(Path(environ[name])), mib // 5), name))
    cache.require_free_disk([(settings.cache, BINARIES_MIB, PRODUCT), *needs])
    release = version((SOURCE / "go.mod").read_text())
    started = time.monotonic()
    for number, name in enumerate(PROGRAMS, 1):
        label = f"{PRODUCT} {release}: {name} ({number} of {len(PROGRAMS)})"
        command = [str(go.program), "build", "-trimpath", "-ldflags", linker_flags(name, release)]
        command += ["-o", str(part / name), PROGRAMS[name]]
        log = settings.cache / f".{PRODUCT}.log"
        took = progress.run(command, log, label, "compiling", PROGRAM_LIMIT_S, environ, SOURCE)
        print(
            f"{label}: compiled in {progress.clock(took)}; {progress.clock(time.monotonic() - started)} in all",
            flush=True,
        )
    if not settings.keep_gocache:
        for folder in own:
            cache.remove_tree(folder)
