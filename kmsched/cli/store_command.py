"""Commands about what schedulers have stored: they take the scheduler's flags, and open the store that those name.

Knows where records are, and how to be sure that no scheduler uses them while they are changed: the lock of the folder,
or no leader in etcd.  What records mean is not known here.
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

import click

from kmsched import flags
from kmsched.cli.command import FlagCommand
from kmsched.errors import ConfigRefused, UsageError
from kmsched.flags import SCHEDULER, Flag, Parsed
from kmsched.ha import HaConfig, ha_config

if TYPE_CHECKING:
    from kmsched.clients.aiohttp_transport import TlsSettings
    from kmsched.clients.http import Transport
    from kmsched.clients.store import Store
    from kmsched.clock import Clock
    from kmsched.wire.etcd import Compare
    from kmsched.wire.members import Leader, Member

    MakeTransport = Callable[[TlsSettings], Transport]

#: for each answer of etcd; somebody waits at a terminal
CALL_S = 5.0


class StoreCommand(FlagCommand):
    """`run` gets the line, of which required flags may be missing, and the words that stand first."""

    def __init__(
        self,
        name: str,
        run: Callable[[Parsed, tuple[str, ...]], int],
        summary: str,
        *,
        words: tuple[str, ...] = (),
        also: tuple[Flag, ...] = (),
    ) -> None:
        super().__init__(name, lambda _: None, summary, SCHEDULER, also)
        self._names = words
        self._run_with = run
        self.params[:0] = [click.Argument([each.lower()], metavar=each) for each in words]

    def collect_usage_pieces(self, ctx: click.Context) -> list[str]:
        return [*self._names, self.options_metavar or ""]

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if ctx.resilient_parsing or self.wants_help(args):
            return super().parse_args(ctx, args)
        count = len(self._names)
        words = tuple(args[:count])
        if len(words) < count or any(each.startswith("-") for each in words):
            raise UsageError(f"write {ctx.command_path} {' '.join(self._names)} [flags of the scheduler]")
        ctx.params = {"parsed": flags.parse(args[count:], SCHEDULER, complete=False, also=self.also), "words": words}
        return []

    def invoke(self, ctx: click.Context) -> Any:
        return self._run_with(ctx.params["parsed"], ctx.params["words"])


@dataclass(frozen=True, slots=True)
class Place:
    """Where a scheduler keeps its records. `ha`: in etcd."""

    state_dir: Path
    framework_name: str
    ha: HaConfig | None

    @property
    def where(self) -> str:
        """Words for messages."""
        if self.ha is None:
            return str(self.state_dir)
        from kmsched.wire.members import Keys

        return f"etcd under {Keys(self.framework_name).prefix}"


def place_of(parsed: Parsed) -> Place:
    """UsageError, ConfigRefused: the flags of --ha contradict each other."""
    hostname = parsed["hostname-override"] or socket.gethostname()
    return Place(Path(parsed["state-dir"]), parsed["framework-name"], ha_config(parsed, hostname))


@dataclass(frozen=True, slots=True)
class Group:
    """What etcd says of the schedulers that run now."""

    leader: Leader | None = None
    #: somebody leads, though it cannot be read who
    is_led: bool = False
    members: tuple[Member, ...] = ()


@asynccontextmanager
async def opened(
    place: Place, make_transport: MakeTransport, clock: Clock, *, idle: bool = False
) -> AsyncIterator[tuple[Store, Group]]:
    """The store for changes, and who uses it. ConfigRefused: with `idle`, a scheduler does; or it cannot be opened."""
    from kmsched.clients.store import FolderStore

    if place.ha is not None:
        async with _opened_etcd(place, place.ha, make_transport, clock, idle=idle) as found:
            yield found
        return
    if not place.state_dir.is_dir():
        raise ConfigRefused(f"--state-dir={place.state_dir}: there is no such folder; give the flags of the scheduler")
    with contextlib.closing(FolderStore(place.state_dir)) as store:
        yield store, Group()


@asynccontextmanager
async def _opened_etcd(
    place: Place, ha: HaConfig, make_transport: MakeTransport, clock: Clock, *, idle: bool
) -> AsyncIterator[tuple[Store, Group]]:
    from kmsched.clients.etcd_access import etcd_client, etcd_tls
    from kmsched.clients.etcd_store import EtcdStore
    from kmsched.wire.etcd import Created
    from kmsched.wire.members import Keys

    keys = Keys(place.framework_name)
    transport = make_transport(etcd_tls(ha))

    def nobody_leads() -> Compare | None:
        return Created(keys.leader, 0) if idle else None

    try:
        client = etcd_client(ha, transport, clock, call_deadline_s=CALL_S)
        group = _read((await client.range(keys.prefix, is_prefix=True)).kvs, keys)
        if idle and group.is_led:
            who = f"{group.leader.instance} at {group.leader.url}" if group.leader else "somebody"
            raise ConfigRefused(f"{place.where}: {who} leads; stop all schedulers of this framework first")
        # somebody may begin to lead just now: then a write is refused
        yield EtcdStore(client, keys, nobody_leads, clock, Random()), group
    finally:
        await transport.close()


def _read(kvs: Any, keys: Any) -> Group:
    from kmsched.errors import ProtocolError
    from kmsched.wire import members as records

    leader, is_led, found = None, False, []
    for kv in kvs:
        with contextlib.suppress(ProtocolError):
            if kv.name == keys.leader:
                is_led = True
                leader = records.decode_leader(kv)
            elif kv.name.startswith(keys.members):
                found.append(records.decode_member(kv))
    return Group(leader, is_led, tuple(found))
