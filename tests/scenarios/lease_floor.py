"""A lease beside the leader's, held as a leader holds its own, by somebody who ends at the same moment.

How long etcd then still keeps its key is what no successor can beat that goes by a lease. Knows etcd and durations;
nothing of schedulers.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from random import Random

from kmsched.clients.aiohttp_transport import AiohttpTransport, TlsSettings
from kmsched.clients.etcd import Credentials, EtcdClient
from kmsched.clock import SystemClock
from kmsched.errors import Unavailable
from kmsched.ha import SHARES
from kmsched.wire.etcd import Put
from testbed import network
from tests.scenarios.cluster import Cluster
from tests.scenarios.etcd import CLIENT_PORT

KEY, USER = "/kmsched/lease-floor", "kmsched"
LOOK_S = 0.02
HELD_S, GONE_S = 10.0, 60.0


@dataclass(slots=True)
class Floor:
    """`end` when the leader's host or process ends; `seconds` from then until the key was gone."""

    cluster: Cluster
    members: Sequence[str]
    ttl_s: int
    _is_held: threading.Event = field(default_factory=threading.Event)
    _is_over: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None
    _ended: float = 0.0
    _gone: float = 0.0

    def start(self) -> None:
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        assert self._is_held.wait(HELD_S), "etcd gives no lease"

    def end(self) -> None:
        self._ended = time.monotonic()
        self._is_over.set()

    def seconds(self) -> float:
        assert self._thread is not None
        self._thread.join(GONE_S)
        assert self._gone, f"etcd keeps a key without its holder for more than {GONE_S:g} s"
        return round(self._gone - self._ended, 3)

    def _run(self) -> None:
        network.inside(self.cluster.settings, lambda: asyncio.run(self._hold()))

    async def _hold(self) -> None:
        settings = self.cluster.settings
        secrets = settings.state / "km-etcd-secrets"
        files = [str(secrets / name) for name in ("ca.crt", "schedulers.crt", "schedulers.key")]
        transport = AiohttpTransport(TlsSettings(ca_file=files[0], cert_file=files[1], key_file=files[2]))
        try:
            etcd = EtcdClient(
                [f"https://{settings.address(host)}:{CLIENT_PORT}" for host in self.members],
                transport,
                SystemClock(),
                call_deadline_s=self.ttl_s * SHARES["ha-request-deadline"],
                credentials=Credentials(USER, (secrets / f"{USER}.password").read_text().strip()),
            )
            await self._until_gone(etcd)
        finally:
            await transport.close()

    async def _until_gone(self, etcd: EtcdClient) -> None:
        lease_id = Random().getrandbits(62) | 1
        await etcd.grant(lease_id, self.ttl_s)
        await etcd.txn([], [Put(KEY, b"", lease_id)])
        self._is_held.set()
        renewed = time.monotonic()
        while not self._is_over.is_set():
            if time.monotonic() >= renewed + self.ttl_s * SHARES["ha-renew-interval"]:
                renewed = time.monotonic()
                await etcd.keepalive(lease_id)
            await asyncio.sleep(LOOK_S)
        is_there = True
        while is_there:
            with contextlib.suppress(Unavailable):
                is_there = bool((await etcd.range(KEY)).kvs)
            await asyncio.sleep(LOOK_S)
        self._gone = time.monotonic()


@contextlib.contextmanager
def held(cluster: Cluster, members: Sequence[str], ttl_s: int) -> Iterator[Floor]:
    """`members`: hosts of the members of etcd that live on."""
    floor = Floor(cluster, members, ttl_s)
    floor.start()
    try:
        yield floor
    finally:
        floor.end()
