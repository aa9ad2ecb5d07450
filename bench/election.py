"""`python -m bench.election`: from the crash of a leader until another leads, ours and others' on the same etcd.

Three members on loopback, from the testbed's build; in each trial three candidates, of which the leader ends at a
random moment.  All trials of all kinds run at once, so they share whatever the machine does.  The floor is what no
election by a lease can beat: from a holder's end until etcd deletes its key.  That a process dies while its host lives,
which standbys notice at once, is measured with real processes: `make soak NAME=ha-kill`.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import logging
import os
import random
import socket
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Coroutine, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from bench.report import versions
from bench.rivals import ClientGo, K8sm, Make, Rival, crash
from kmsched.clients.aiohttp_transport import AiohttpTransport, TlsSettings
from kmsched.clients.etcd import EtcdClient
from kmsched.clock import Clock, SystemClock
from kmsched.core.leadership import Leadership
from kmsched.daemon.election import Election, Timing
from kmsched.errors import KmError
from kmsched.ha import SHARES
from kmsched.wire.etcd import Put
from kmsched.wire.members import Keys, Member
from testbed import kubernetes
from testbed.settings import from_environment

RESULT = Path(__file__).resolve().parent / "results" / "election.json"
TRIALS, CANDIDATES, MEMBERS = 20, 3, 3
#: a trial that takes longer than k8sm's worst case twice is a defect
LONGEST_S = 120.0
LOOK_S = 0.001
ETCD_STARTS_S = 60.0
CALL_S = 5.0

Endpoints = tuple[str, ...]
Trial = Callable[[Endpoints, str, random.Random], Coroutine[None, None, float]]


class Ours:
    """kmsched's election with a lease of `ttl_s`, and every duration the share of it that is the default."""

    def __init__(self, ttl_s: int, name: str, key: str, etcd: EtcdClient, clock: Clock, rng: random.Random) -> None:
        renew, request, deadline = (
            ttl_s * SHARES[f"ha-{each}"] for each in ("renew-interval", "request-deadline", "renew-deadline")
        )
        member = Member(
            instance=name, boot_id=name, url=f"http://{name}:1", home=name, role="standby", is_synced=True,
            fingerprint="f" * 64, version="1", lease_id="0",
        )  # fmt: skip
        self.election = Election(
            etcd, Keys(key), member, Timing(ttl_s, renew, request, deadline), may_campaign=lambda: "",
            highest_term=self._no_term, changed=self._changed, clock=clock, rng=rng,
        )  # fmt: skip
        self.leads = False

    async def run(self) -> None:
        await self.election.run()

    async def _no_term(self) -> int:
        return 0

    def _changed(self, _: Leadership, now: Leadership) -> None:
        self.leads = now.is_leading


async def failover(
    endpoints: Endpoints, key: str, rng: random.Random, *, make: Make, period_s: float, resigns: bool = False
) -> float:
    """Seconds from the end of the leader until another one leads. `period_s`: how often it renews."""
    clock = SystemClock()
    transport = AiohttpTransport(TlsSettings())
    try:
        rivals: list[Rival] = [
            make(f"{key}-{number}", key, EtcdClient(endpoints, transport, clock, call_deadline_s=CALL_S), clock, rng)
            for number in range(CANDIDATES)
        ]
        tasks = [asyncio.create_task(each.run()) for each in rivals]
        try:
            await _until(lambda: any(each.leads for each in rivals))
            await asyncio.sleep(period_s + rng.random() * period_s)
            place = next(place for place, each in enumerate(rivals) if each.leads)
            began = clock.monotonic()
            if resigns and isinstance(leader := rivals[place], Ours):
                await leader.election.resign("the trial wants it")
            await crash(tasks[place])
            await _until(lambda: any(each.leads for other, each in enumerate(rivals) if other != place))
            return clock.monotonic() - began
        finally:
            await asyncio.gather(*(crash(each) for each in tasks))
    finally:
        await transport.close()


async def floor(endpoints: Endpoints, key: str, rng: random.Random, *, ttl_s: int) -> float:
    """Seconds from the end of a holder that renews as ours does until its key is gone, at best."""
    clock = SystemClock()
    transport = AiohttpTransport(TlsSettings())
    try:
        etcd = EtcdClient(endpoints, transport, clock, call_deadline_s=CALL_S)
        lease_id, pause_s = rng.getrandbits(62), ttl_s * SHARES["ha-renew-interval"]
        await etcd.grant(lease_id, ttl_s)
        revision = (await etcd.txn([], [Put(key, b"", lease_id)])).header.revision
        for _ in range(5):
            await asyncio.sleep(pause_s)
            await etcd.keepalive(lease_id)
        await asyncio.sleep(rng.random() * pause_s)
        began = clock.monotonic()
        async with contextlib.aclosing(etcd.watch(key, revision + 1)) as watch:
            async for news in watch:
                if any(change.is_deletion for change in news.events):
                    return clock.monotonic() - began
        raise SystemExit("the watch ended")
    finally:
        await transport.close()


#: kind -> how one trial of it goes
KINDS: Mapping[str, Trial] = {
    "lease floor, TTL 2 s": partial(floor, ttl_s=2),
    "lease floor, TTL 5 s": partial(floor, ttl_s=5),
    "kmsched, host dies, TTL 2 s": partial(failover, make=partial(Ours, 2), period_s=2),
    "kmsched, host dies, TTL 5 s": partial(failover, make=partial(Ours, 5), period_s=5),
    "kmsched, resigns": partial(failover, make=partial(Ours, 5), period_s=5, resigns=True),
    "client-go 15/10/2": partial(failover, make=ClientGo, period_s=ClientGo.RETRY_S),
    "k8sm 30/24": partial(failover, make=K8sm, period_s=K8sm.PERIOD_S),
}


async def _until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(LONGEST_S):
        while not holds():  # noqa: ASYNC110
            await asyncio.sleep(LOOK_S)


@contextlib.contextmanager
def members(programs: Path) -> Iterator[Endpoints]:
    """URLs of an etcd cluster on loopback that ends with the block."""
    ports = _free_ports(2 * MEMBERS)
    clients = [f"http://127.0.0.1:{port}" for port in ports[:MEMBERS]]
    peers = [f"http://127.0.0.1:{port}" for port in ports[MEMBERS:]]
    cluster = ",".join(f"m{number}={url}" for number, url in enumerate(peers))
    running: list[subprocess.Popen[bytes]] = []
    with tempfile.TemporaryDirectory() as folder:
        try:
            for number, (client, peer) in enumerate(zip(clients, peers, strict=True)):
                flags = {
                    "name": f"m{number}",
                    "data-dir": f"{folder}/m{number}",
                    "listen-client-urls": client,
                    "advertise-client-urls": client,
                    "listen-peer-urls": peer,
                    "initial-advertise-peer-urls": peer,
                    "initial-cluster": cluster,
                    "log-level": "error",
                }
                running.append(
                    subprocess.Popen([programs / "etcd", *(f"--{name}={value}" for name, value in flags.items())])
                )
            yield tuple(clients)
        finally:
            for each in running:
                each.kill()
                each.wait()


async def served(endpoints: Endpoints) -> str:
    """etcd's version, once it answers."""
    transport = AiohttpTransport(TlsSettings())
    try:
        etcd = EtcdClient(endpoints, transport, SystemClock(), call_deadline_s=CALL_S)
        async with asyncio.timeout(ETCD_STARTS_S):
            while True:
                with contextlib.suppress(KmError):
                    await etcd.range("/")
                    return (await etcd.status()).version
                await asyncio.sleep(0.1)
    finally:
        await transport.close()


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


async def run(endpoints: Endpoints, trials: int, seed: int) -> dict[str, list[float]]:
    """Seconds of each trial of each kind, sorted."""
    work: dict[str, list[asyncio.Task[float]]] = {
        kind: [
            asyncio.create_task(trial(endpoints, f"/bench/{place}/{number}", random.Random(f"{seed} {kind} {number}")))
            for number in range(trials)
        ]
        for place, (kind, trial) in enumerate(KINDS.items())
    }
    return {kind: sorted(await asyncio.gather(*tasks)) for kind, tasks in work.items()}


def summary(seconds: list[float]) -> dict[str, Any]:
    """p50 and maximum (of so few trials no p99 can be told), and all, in seconds."""
    return {
        "p50_s": round(statistics.median(seconds), 3),
        "max_s": round(seconds[-1], 3),
        "all_s": [round(each, 3) for each in seconds],
    }


def main() -> int:
    parser = argparse.ArgumentParser(prog="bench.election", description=__doc__)
    parser.add_argument("--trials", type=int, default=TRIALS)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--output", type=Path, default=RESULT)
    given = parser.parse_args()
    logging.getLogger("kmsched").setLevel(logging.ERROR)  # what elections say of themselves is no result
    programs = kubernetes.build(from_environment(os.environ))
    with members(programs) as endpoints:
        version = asyncio.run(served(endpoints))
        measured = asyncio.run(run(endpoints, given.trials, given.seed))
    kinds = {kind: summary(seconds) for kind, seconds in measured.items()}
    result = {
        "versions": versions() | {"etcd": version},
        "load_average": os.getloadavg()[0],
        "trials": given.trials,
        "kinds": kinds,
        "over_floor_p50": {
            f"TTL {ttl} s": round(
                kinds[f"kmsched, host dies, TTL {ttl} s"]["p50_s"] / kinds[f"lease floor, TTL {ttl} s"]["p50_s"], 3
            )
            for ttl in (2, 5)
        },
    }
    given.output.parent.mkdir(parents=True, exist_ok=True)
    given.output.write_text(json.dumps(result, indent=2) + "\n")
    for kind, figures in kinds.items():
        print(f"{kind:30} p50 {figures['p50_s']:7.3f} s   max {figures['max_s']:7.3f} s")
    print(f"p50 over the lease's floor: {result['over_floor_p50']}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
