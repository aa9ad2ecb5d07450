"""up, down and status of a whole testbed.

`up` makes what is missing and leaves the rest as it is, so it may be called at any time and after any interruption.
`down` ends and removes everything that bears the testbed's name, whether or not an `up` ever ended.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import time
from pathlib import Path

from testbed import (
    apt,
    cache,
    cgroups,
    controlplane,
    hadoop,
    hdfs_layout,
    hdfs_presence,
    hosts,
    image,
    inventory,
    kubernetes,
    limits,
    mesos,
    network,
    peers,
    pki,
    plans,
    probe,
    processes,
    rootfs,
    verdicts,
)
from testbed.errors import LabError
from testbed.hdfs import Hdfs
from testbed.plans import Plan
from testbed.probe import Machine
from testbed.settings import DATA, DEFAULT_HOSTS, DEFAULT_MASTERS, DEFAULT_SCHEDULERS, Settings

AGENTS_S = 90.0
GUESTS_S = 10.0
STATE_MIB = 500
SCHEDULER_USER, MASTERS_GROUP, PROXY_USER = "kmsched", "system:masters", "system:kube-proxy"


def build(settings: Settings) -> dict[str, str]:
    """What every testbed is made from, HDFS not among it; product -> path."""
    found = _build(settings)
    kubernetes.remove_caches(settings)
    return found


def _build(settings: Settings) -> dict[str, str]:
    apt.install()
    settings.cache.mkdir(parents=True, exist_ok=True)
    return {
        "image": str(image.build(settings.cache)),
        "mesos": str(mesos.build(settings.cache)),
        **{f"rootfs-{kind}": str(rootfs.build(settings.cache, kind)) for kind in rootfs.KINDS},
        "kubernetes": str(kubernetes.build(settings)),
    }


def build_all(settings: Settings) -> dict[str, str]:
    """Everything that is cached."""
    found = {**_build(settings), "verdicts": str(verdicts.build(settings))}
    kubernetes.remove_caches(settings)
    release = hadoop.build(settings.cache)
    return {**found, "hadoop": str(release.jars), "hadoop-classes": str(release.classes)}


def must_be_up(settings: Settings) -> None:
    """Raises LabError: there is not even a network."""
    if not (network.NETNS / network.lab(settings)).exists():
        plans.must_find(settings)
        raise LabError(f"testbed {settings.name!r} has lost its network; run: python3 -m testbed up")


def up(
    settings: Settings, agents: int | None, masters: int | None, schedulers: int | None, with_hdfs: bool = False
) -> None:
    """Brings the testbed up; a count of None means: as it is, or the default. HDFS stays once it was asked for."""
    started = time.monotonic()
    old = plans.find(settings)
    counts = (agents, masters, schedulers)
    plan = _first_plan(settings, *counts) if old is None else plans.grow(settings, old, *counts)
    machine = probe.machine()
    storage = hdfs_presence.prepare(settings, machine) if with_hdfs else hdfs_presence.find(settings, machine)
    if plan == old and not missing(settings, plan):
        print(f"testbed {settings.name!r} is up: {_summary(settings, plan)}", flush=True)
        return
    cache.require_free_disk([(settings.root, STATE_MIB, "the hosts' disks")])
    limits.raise_inotify()
    _make_state(settings, plan)
    network.make_lab(settings)
    _say(started, "network is there")
    _make_hosts(settings, machine, plan)
    for name in plan.hosts:
        hosts.start(settings, machine, name)
    if storage is not None:
        storage.up()
        hdfs_presence.make_launchers(storage, settings.state / "bin")
        _say(started, "HDFS takes files")
    programs = Path(plan.products["kubernetes"])
    for part in controlplane.PARTS[:2]:
        controlplane.start(settings, machine, programs, part)
    _say(started, "API server is ready")
    for name in plan.hosts:
        hosts.wait_booted(settings, machine, name)
    _say(started, "hosts are booted")
    for part in controlplane.PARTS[2:]:
        controlplane.start(settings, machine, programs, part)
    _say(started, "controller manager is ready")
    _write_inventory(settings, machine, plan, storage)
    _wait_for_agents(settings, plan)
    _say(started, f"up: {_summary(settings, plan)}")


def up_hdfs(settings: Settings) -> Hdfs:
    """Brings HDFS up, and nothing else but the network; the rest of the testbed may be there or not."""
    started = time.monotonic()
    machine = probe.machine()
    apt.install()
    settings.cache.mkdir(parents=True, exist_ok=True)
    storage = hdfs_presence.prepare(settings, machine)
    network.make_lab(settings)
    if absent := storage.missing():
        storage.up()
    hdfs_presence.make_launchers(storage, settings.state / "bin")
    if (plan := plans.find(settings)) is not None and inventory.path(settings).exists():
        _write_inventory(settings, machine, plan, storage)
    _say(started, f"HDFS is up{f'; {len(absent)} parts were missing' if absent else ''}: {_names(storage)}")
    return storage


def _say(started: float, what: str) -> None:
    print(f"{time.monotonic() - started:5.1f} s  {what}", flush=True)


def _first_plan(settings: Settings, agents: int | None, masters: int | None, schedulers: int | None) -> Plan:
    agents = DEFAULT_HOSTS if agents is None else agents
    masters = DEFAULT_MASTERS if masters is None else masters
    schedulers = DEFAULT_SCHEDULERS if schedulers is None else schedulers
    plans.check(agents, masters, schedulers)
    return Plan(agents, masters, schedulers, settings.net, build(settings))


def _make_state(settings: Settings, plan: Plan) -> None:
    """Folders, ssh keys, certificates; the plan first, so that `down` and the next `up` know what was begun."""
    settings.state.mkdir(parents=True, exist_ok=True)
    plans.write(settings, plan)
    folder = settings.key.parent
    for name in ("key", "host"):
        if not (folder / f"{name}.pub").exists():
            folder.mkdir(mode=0o700, exist_ok=True)
            (folder / name).unlink(missing_ok=True)
            processes.output(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "testbed", "-f", str(folder / name)])
    public = " ".join((folder / "host.pub").read_text().split()[:2])
    settings.known_hosts.write_text("".join(f"{settings.address(name)} {public}\n" for name in plan.hosts))
    settings.kube.mkdir(exist_ok=True)
    controlplane.make_certificates(settings)
    _make_wrappers(settings, plan)


def _make_wrappers(settings: Settings, plan: Plan) -> None:
    """STATE/bin: kubectl that works from the machine's own network."""
    folder = settings.state / "bin"
    folder.mkdir(exist_ok=True)
    enter = f"nsenter --net={network.NETNS / network.lab(settings)}"
    kubectl = Path(plan.products["kubernetes"]) / "kubectl"
    script = folder / "kubectl"
    script.write_text(
        f'#!/bin/sh\nexec {enter} {kubectl} --kubeconfig="${{KUBECONFIG:-{controlplane.admin(settings)}}}" "$@"\n'
    )
    script.chmod(0o755)


def _make_hosts(settings: Settings, machine: Machine, plan: Plan) -> None:
    wanted = plan.hosts
    disk, software = Path(plan.products["rootfs-mesos"]), Path(plan.products["mesos"])
    for name in wanted.schedulers:
        hosts.make(settings, peers.scheduler_host(name, Path(plan.products["rootfs-bare"])))
    for name in wanted.masters:
        hosts.make(settings, peers.master_host(settings, name, wanted.masters, disk, software))
    for name in wanted.agents:
        hosts.make(settings, peers.agent_host(settings, machine, name, wanted.masters, disk, software))


def _write_inventory(settings: Settings, machine: Machine, plan: Plan, storage: Hdfs | None) -> None:
    server = controlplane.server(settings)
    files = inventory.Files(
        scheduler_kubeconfig=pki.user(settings.kube, server, SCHEDULER_USER, [MASTERS_GROUP]),
        agents={
            name: pki.user(settings.kube, server, f"system:node:{name}", ["system:nodes"]) for name in plan.hosts.agents
        },
        proxy_kubeconfig=pki.user(settings.kube, server, PROXY_USER, []),
        kubelet=Path(plan.products["kubernetes"]) / "kubelet",
        proxy=Path(plan.products["kubernetes"]) / "kube-proxy",
        image=Path(plan.products["image"]),
    )
    layout = None if storage is None else storage.layout
    text = inventory.render(inventory.build(settings, machine, plan.hosts, files, layout))
    shutil.copyfile(DATA / "host/connect.py", settings.connector)
    scratch = inventory.path(settings).with_suffix(".new")
    scratch.write_text(text)
    scratch.replace(inventory.path(settings))


def _wait_for_agents(settings: Settings, plan: Plan) -> None:
    wanted = set(plan.hosts.agents)
    if not processes.wait_until(
        lambda: wanted <= set(peers.active_agents(settings, plan.hosts.masters)), AGENTS_S, 0.2
    ):
        absent = sorted(wanted - set(peers.active_agents(settings, plan.hosts.masters)))
        raise LabError(
            f"Mesos agents {', '.join(absent)} are not registered after {AGENTS_S:.0f} s; "
            f"look at: python3 -m testbed run {absent[0] if absent else 'm1'} journalctl -u mesos-agent"
        )


def missing(settings: Settings, plan: Plan) -> list[str]:
    """What of the plan is not there now."""
    absent = [name for name in plan.hosts if not hosts.is_on(settings, name)]
    absent += [part for part in controlplane.PARTS if not controlplane.is_on(settings, part)]
    if not inventory.path(settings).exists():
        absent.append("inventory")
    if not absent:
        active = peers.active_agents(settings, plan.hosts.masters)
        absent += [f"Mesos agent {name}" for name in plan.hosts.agents if name not in active]
    if (storage := hdfs_presence.find(settings, probe.machine())) is not None:
        absent += storage.missing()
    return absent


def _names(storage: Hdfs) -> str:
    return f"hdfs://{hdfs_layout.NAMESERVICE}, WebHDFS at {', '.join(storage.layout.namenode_urls())}"


def _summary(settings: Settings, plan: Plan) -> str:
    return (
        f"{plan.agents} agents, {plan.masters} Mesos masters at {peers.master_urls(settings, plan.hosts.masters)}, "
        f"{plan.schedulers} scheduler hosts, Kubernetes at {controlplane.server(settings)}"
    )


def down(settings: Settings) -> None:
    """Ends every process, removes every namespace, group and file of the testbed. Nothing is there: nothing happens."""
    machine = probe.machine()
    group = cgroups.top(machine, settings)
    there = settings.state.exists() or group.exists() or network.namespaces(settings)
    cgroups.end(group)
    _end_guests(settings)
    network.remove(settings)
    if settings.state.exists():
        cache.remove_tree(settings.state)
    print(f"testbed {settings.name!r} is {'now' if there else 'already'} down", flush=True)


def _end_guests(settings: Settings) -> None:
    """Ends what others run on the lab's networks (with `lab`), this process and those it was started by excepted."""
    spared = _ancestors(os.getpid())

    def guests() -> set[int]:
        return {pid for name in network.namespaces(settings) for pid in network.members(name)} - spared

    for pid in guests():
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    if not processes.wait_until(lambda: not guests(), GUESTS_S):
        raise LabError(f"pids {sorted(guests())} on the lab's networks survive SIGKILL")


def _ancestors(pid: int) -> set[int]:
    found = set()
    while pid > 0:
        found.add(pid)
        status = (processes.PROC / str(pid) / "status").read_text()
        pid = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("PPid:"))
    return found


def status(settings: Settings) -> bool:
    """Prints a line for each host and part; whether all is there."""
    machine = probe.machine()
    storage, plan = hdfs_presence.find(settings, machine), plans.find(settings)
    if storage is not None:
        print("\n".join(storage.lines()))
    absent = [] if storage is None else storage.missing()
    if plan is not None or storage is None:
        _host_lines(settings, machine, plans.must_find(settings))
        absent = missing(settings, plans.must_find(settings))
    print(f"missing: {', '.join(absent)}" if absent else "all is there")
    return not absent


def _host_lines(settings: Settings, machine: Machine, plan: Plan) -> None:
    active = peers.active_agents(settings, plan.hosts.masters)
    leader = peers.leading_master(settings, plan.hosts.masters)
    for name in plan.hosts:
        first = cgroups.first_process(cgroups.of(machine, settings, name))
        role = "leading" if name == leader else "registered" if name in active else ""
        print(f"{name:<4} {settings.address(name):<15} {f'on  pid={first}' if first else 'off'}  {role}".rstrip())
    for part in controlplane.PARTS:
        found = processes.noted(controlplane.pid_file(settings, part))
        print(f"{part:<24} {f'on  pid={found.pid}' if found else 'off'}")
