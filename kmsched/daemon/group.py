"""What `--ha` adds to a scheduler process: its membership of a group that shares one framework through etcd.

Knows which records say who may lead, and puts client, store, election and dead-man's connection together.  It does not
know pods, offers, or what a leader does.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Callable, Sequence
from random import Random
from typing import Any

import msgspec

from kmsched import __version__
from kmsched.clients.aiohttp_transport import TlsSettings
from kmsched.clients.backoff import Backoff
from kmsched.clients.etcd_access import EtcdAccess
from kmsched.clients.etcd_store import EtcdStore
from kmsched.clients.patient_store import PatientStore
from kmsched.clients.renewed_transport import RenewedTransport
from kmsched.clients.store import Store
from kmsched.core.leadership import Leadership, Role
from kmsched.daemon.deadman import DeadMan
from kmsched.daemon.election import Election, Timing
from kmsched.daemon.identity import TERM, term_of
from kmsched.daemon.lead import GroupLead
from kmsched.daemon.surroundings import Surroundings
from kmsched.errors import ConfigRefused, Conflict, Refused, Retryable
from kmsched.ha import MAX_INSTANCES, HaConfig
from kmsched.wire.members import NO_LEASE, Hello, Keys, Leader, Member

log = logging.getLogger(__name__)

#: the fingerprint that leaders of this framework have
FINGERPRINT = "fingerprint"
#: fingerprints that may lead besides, while executors are changed on purpose: their SHA-256s, separated by blanks
ROLLOUT = "rollout"
WAIT_BASE_S, WAIT_CAP_S = 0.2, 5.0
BOOT_ID_BYTES = 8
#: flags named in one reason
MAX_DIFFERENCES = 5


class Group:
    """Made once a process; `join` when it is known what this process would run, then `run` until cancelled.

    `home`, `lock_id`: of the state folder.
    """

    def __init__(
        self,
        config: HaConfig,
        framework_name: str,
        surroundings: Surroundings,
        home: str,
        lock_id: str,
        peers_ca_file: str | None = None,
    ) -> None:
        clock = self._clock = surroundings.clock
        self._config = config
        self._rng: Random = surroundings.rng
        self._home, self._lock_id = home, lock_id
        self.keys = Keys(framework_name)
        self._make_transport, self._peers_tls = surroundings.make_transport, TlsSettings(ca_file=peers_ca_file)
        self._peers = RenewedTransport(self._make_transport(self._peers_tls))
        self._access = EtcdAccess(config, self.keys.leader, self._make_transport, clock)
        self.etcd = self._access.client
        self.lead = GroupLead(self.keys, config.call_deadline_s, clock)
        records = EtcdStore(self.etcd, self.keys, self.lead.guard, clock, surroundings.rng)
        self.store: Store = PatientStore(records, clock, surroundings.rng)
        self.boot_id = secrets.token_hex(BOOT_ID_BYTES)
        self.ending = asyncio.Event()
        #: cleared in a replacement, until the process that it replaces has stepped aside
        self.may_stand = asyncio.Event()
        self.may_stand.set()
        self._allowed: frozenset[str] | None = None
        self._unreadable = "not asked"
        self._fingerprint = ""
        self._differences: Callable[[str], Sequence[str]] = lambda _: ()
        self.deadman = DeadMan(self._leader_besides_us, self.etcd.revoke, self._peers, clock)

    @property
    def election(self) -> Election:
        return self.lead.election

    @property
    def leads(self) -> bool:
        return self.lead.has_election and self.election.leadership.is_leading

    @property
    def call_deadline_s(self) -> float:
        """For each call with an effect."""
        return self._config.call_deadline_s

    async def await_etcd(self, told: Callable[[str], None]) -> None:
        """Until etcd answers; `told` is why it does not yet."""
        backoff = Backoff(WAIT_BASE_S, WAIT_CAP_S, self._rng)
        reason = ""
        while True:
            try:
                await self.etcd.range(self.keys.leader)
                return
            except (Retryable, Refused) as error:
                if str(error) != reason:
                    told(reason := str(error))
            await self._clock.sleep(backoff.next_s())

    def join(
        self,
        fingerprint: str,
        *,
        differences: Callable[[str], Sequence[str]],
        reasons_not_to_lead: Callable[[], Sequence[str]],
        highest_term: Callable[[], int],
        resumed: Callable[[], None],
    ) -> None:
        """Make the election, with what this process is. `highest_term`: of the tasks that pods name. `differences`: in
        what another fingerprint's executors differ from ours, in words, as far as it is known.

        `resumed` is called when this process may act again after it was suspended, and is still subscribed with Mesos.
        """
        config = self._config

        async def highest() -> int:
            record = await self.store.get(TERM)
            return max(term_of(record) if record else 0, highest_term())

        def changed(before: Leadership, now: Leadership) -> None:
            self.lead.changed(before, now)
            if (before.role, now.role) == (Role.SUSPENDED, Role.RECONCILING):
                resumed()

        def may_campaign() -> str:
            reasons = [*self.reasons_of_place(), *self.reasons_of_fingerprint(), *reasons_not_to_lead()]
            return reasons[0] if reasons else ""

        self._fingerprint, self._differences = fingerprint, differences
        election = Election(
            self.etcd,
            self.keys,
            Member(
                instance=config.instance,
                boot_id=self.boot_id,
                url=config.url,
                home=self._home,
                lock_id=self._lock_id,
                role=Role.STANDBY.value,
                is_synced=False,
                fingerprint=fingerprint,
                version=__version__,
                lease_id=NO_LEASE,
            ),
            Timing(config.lease_ttl_s, config.renew_interval_s, config.request_deadline_s, config.renew_deadline_s),
            may_campaign=may_campaign,
            highest_term=highest,
            changed=changed,
            clock=self._clock,
            rng=self._rng,
        )
        self.lead.attach(election)

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self._follow_allowed())
            group.create_task(self._stand())
            group.create_task(self.deadman.run())
            group.create_task(self._until_deposed())

    async def _stand(self) -> None:
        await self.may_stand.wait()
        await self.election.run()

    async def _until_deposed(self) -> None:
        await self.lead.deposed()

    async def led(self) -> None:
        """First thing of a term, after it was won: write down what successors go by. Deposed, Conflict: not ours."""
        await self._write(TERM, lambda old: str(max(self.election.leadership.term, int(old or 0))))
        await self._write(FINGERPRINT, lambda _: self._fingerprint)

    async def amend_leader(self, **changes: object) -> None:
        """Change what the leader key says, if it is ours."""
        await self.election.amend(**changes)

    def reaches_mesos(self, reaches: bool) -> None:
        """What others may count on, if this process should lead."""
        if self.lead.has_election:
            self.election.describe(reaches_mesos=reaches)

    @property
    def passed_on(self) -> int:
        """As `Leader.passed_on` says, of whoever leads."""
        return self.election.group.passed_on if self.lead.has_election else 0

    async def leave(self, reason: str) -> None:
        """Say goodbye to peers and give the lease back. What had been sent is settled before."""
        self.ending.set()
        if self.lead.has_election:
            await self.election.resign(reason)

    async def reload(self) -> list[str]:
        """Read the authority of peers, and what etcd asks for, anew; why the old ones stay."""
        kept = []
        try:
            self._peers.renew(self._make_transport(self._peers_tls))
        except ConfigRefused as error:
            kept.append(f"the authority of peers stays as it was: {error}")
        words = await self._access.renew()
        return [*kept, words] if words else kept

    async def step_aside(self, reason: str) -> None:
        """As `leave`, but `lead_on` takes it back, for a term of its own. The lead is held, and calls are settled."""
        self.ending.set()
        await self.election.step_aside(reason)

    def lead_on(self) -> None:
        self.ending.clear()
        self.election.stand_again()
        self.lead.lead_on()

    async def close(self) -> None:
        await self._access.close()
        await self._peers.close()

    def reasons_of_fingerprint(self) -> list[str]:
        """Why this process must not lead for what it would run, with the flags that differ."""
        if self._allowed is None:
            return [f"which fingerprint may lead is not read from etcd yet: {self._unreadable}"]
        if self._allowed and self._fingerprint not in self._allowed:
            named = [each[:16] for each in sorted(self._allowed)]
            differ = [words for each in sorted(self._allowed) for words in self._differences(each)]
            flags = ", ".join(differ[:MAX_DIFFERENCES]) or "km fingerprint diff names the flags"
            return [
                f"its fingerprint {self._fingerprint[:16]} is not that of the group, {' or '.join(named)}: {flags};"
                f" make them equal, or allow the change: km rollout allow {named[0]} {self._fingerprint}"
            ]
        return []

    def reasons_of_place(self) -> list[str]:
        """Why this process is one too many. Whoever came first has a place; who goes makes room for the next."""
        first = self.election.group.first_members(MAX_INSTANCES) if self.lead.has_election else []
        if len(first) < MAX_INSTANCES or any(each.boot_id == self.boot_id for each in first):
            return []
        names = ", ".join(each.instance for each in first)
        return [
            f"{MAX_INSTANCES} schedulers share this framework, and no more may: {names}; end this one, or one of"
            " them, whose place it takes then"
        ]

    def reasons_of_membership(self) -> list[str]:
        """A leader hands over to those that etcd shows as synced, and to no others."""
        if self.lead.has_election and self.election.is_known_as_synced:
            return []
        return ["the other schedulers are not told yet that this one could lead"]

    def hello(self) -> Hello:
        return Hello(
            instance=self._config.instance,
            boot_id=self.boot_id,
            term=self.election.leadership.term if self.lead.has_election else 0,
            lease_id=self.election.member.lease_id if self.lead.has_election else NO_LEASE,
        )

    def healthy_standbys(self) -> list[Member]:
        """Who could lead at once: synced, of a fingerprint that may, not one too many, and not this process."""
        if not self.lead.has_election:
            return []
        return [
            each
            for each in self.election.group.first_members(MAX_INSTANCES)
            if each.boot_id != self.boot_id
            and each.is_synced
            and each.role == Role.STANDBY.value
            and (not self._allowed or each.fingerprint in self._allowed)
        ]

    def _leader_besides_us(self) -> Leader | None:
        if not self.lead.has_election:
            return None
        leader = self.election.group.leader
        return None if leader is None or leader.boot_id == self.boot_id else leader

    def seen(self) -> dict[str, Any]:
        """Leader and members as etcd shows them, for people."""
        group = self.election.group
        return {
            "leader": msgspec.to_builtins(group.leader) if group.leader is not None else None,
            "leader_term": group.term,
            "members": [msgspec.to_builtins(each) for each in group.members.values()],
        }

    async def _follow_allowed(self) -> None:
        await self._read_allowed()
        async for key in self.store.watch(""):
            if key in (FINGERPRINT, ROLLOUT):
                await self._read_allowed()

    async def _read_allowed(self) -> None:
        """A record that cannot be read allows nothing more, and takes back nothing that was read before."""
        allowed: set[str] = set()
        for key in (FINGERPRINT, ROLLOUT):
            try:
                record = await self.store.get(key)
            except ConfigRefused as error:
                log.error("who may lead besides is not known: %s", error)
                self._unreadable = str(error)
                if key == FINGERPRINT:
                    return
            else:
                allowed.update(record.value.split() if record else ())
        self._allowed = frozenset(allowed)

    async def _write(self, key: str, value: Callable[[str], str]) -> None:
        """Under the guard of the leader key; not at all when it says that already."""
        while True:
            try:
                record = await self.store.get(key)
                wanted = value(record.value if record else "")
                if record is None or record.value != wanted:
                    await self.store.put(key, wanted, record.revision if record else 0)
                return
            except ConfigRefused as error:
                log.error("%s is not written over: %s", key, error)
                return
            except Conflict:
                # of a write of ours whose answer was lost, or the lead is lost: `term` says which
                log.debug("%s was written by somebody else", key)
            await self._clock.sleep(self._config.renew_interval_s / 4)
            await self.lead.term()
