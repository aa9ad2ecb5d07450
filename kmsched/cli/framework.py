"""`km framework`: the framework id that is stored, what Mesos says of it, and the two ways to change it on purpose.

Knows options and output.  It changes nothing while a scheduler could act with the old id, and never guesses which id is
the right one: the operator names it.
"""

from __future__ import annotations

import asyncio
import json
import re
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import click

from kmsched import config
from kmsched.cli.store_command import Place, StoreCommand, opened, place_of
from kmsched.errors import EXIT_OK, ConfigRefused, Conflict, KmError, UsageError
from kmsched.flag import Flag
from kmsched.flags import Parsed
from kmsched.values import Kind

if TYPE_CHECKING:
    from kmsched.cli.store_command import MakeTransport
    from kmsched.clock import Clock

DEFAULT_STATE_DIR = "/var/lib/kmsched"
FRAMEWORK_ID, TERM = "framework-id", "term"
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,254}")

JSON = Flag("json", Kind.BOOL, "false", "Print one JSON object.")
CONFIRM = Flag(
    "confirm",
    Kind.TEXT,
    None,
    "The framework id that is to be forgotten, in full; none, if none is stored.",
    metavar="FRAMEWORK_ID",
)


@dataclass(frozen=True, slots=True)
class Shown:
    """`framework_id`: "" after a reset, None when there never was one. `mesos`: one of MESOS and words, or why not."""

    framework_id: str | None
    term: str | None
    stored_in: str
    leader: str | None
    mesos: str


def shown(parsed: Parsed, words: tuple[str, ...]) -> int:
    from kmsched.clients.aiohttp_transport import AiohttpTransport
    from kmsched.clock import SystemClock

    found = asyncio.run(look(parsed, AiohttpTransport, SystemClock()))
    if parsed["json"]:
        click.echo(json.dumps(asdict(found), indent=2))
        return EXIT_OK
    stored = {None: "none", "": "none: it was reset, the next start gets a new one"}
    click.echo(f"framework id: {stored.get(found.framework_id, found.framework_id)}")
    click.echo(f"term: {found.term or 'none'}")
    click.echo(f"stored in: {found.stored_in}")
    if found.leader is not None:
        click.echo(f"leader: {found.leader or 'nobody'}")
    click.echo(f"Mesos: {found.mesos}")
    return EXIT_OK


async def look(parsed: Parsed, make_transport: MakeTransport, clock: Clock) -> Shown:
    """What is stored, read without any lock, and what the Mesos master says of it."""
    place = place_of(parsed)
    leader = None
    if place.ha is None:
        framework_id, term = (_in_folder(place, key) for key in (FRAMEWORK_ID, TERM))
    else:
        async with opened(place, make_transport, clock) as (store, group):
            records = [await store.get(key) for key in (FRAMEWORK_ID, TERM)]
            framework_id, term = (record.value if record else None for record in records)
            leader = f"{group.leader.instance} at {group.leader.url}" if group.leader else "?" if group.is_led else ""
    try:
        mesos = await _asked_of_mesos(parsed, framework_id or "", make_transport)
    except KmError as error:
        mesos = f"not asked: {error}"
    return Shown(framework_id, term, place.where, leader, mesos)


def _in_folder(place: Place, key: str) -> str | None:
    from kmsched.cli.stored_records import FolderRecords

    try:
        (place.state_dir / key).open("rb").close()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ConfigRefused(
            f"{place.state_dir / key} cannot be read: {error.strerror}; run this as the scheduler's user"
        ) from None
    return FolderRecords(place.state_dir).get(key)


async def _asked_of_mesos(parsed: Parsed, framework_id: str, make_transport: MakeTransport) -> str:
    """KmError: why there is no answer."""
    from kmsched.clients.mesos_access import mesos_tls
    from kmsched.clients.mesos_operator import MesosOperator
    from kmsched.daemon.settings import credentials
    from kmsched.wire.mesos_operator import GetFrameworks

    if not parsed["mesos-master"]:
        raise UsageError("no --mesos-master is given; give the flags of the scheduler")
    settings = config.build(parsed)
    transport = make_transport(mesos_tls(settings))
    try:
        operator = MesosOperator(settings.mesos_masters, transport=transport, credentials=credentials(settings))
        answer = await operator.ask(GetFrameworks)
    finally:
        await transport.close()
    return verdict(answer, framework_id, settings.framework_name)


def verdict(answer: Any, framework_id: str, name: str) -> str:
    """What a master's GET_FRAMEWORKS says of an id, or, without one, of the frameworks of this name."""
    ids = {each.framework_info.id.value: each for each in answer.frameworks if each.framework_info.id}
    if not framework_id:
        named = sorted(key for key, each in ids.items() if each.framework_info.name == name)
        return f"registered with the name {name!r}: {', '.join(named) or 'none'}"
    if (found := ids.get(framework_id)) is not None:
        if found.active and found.connected:
            return "subscribed"
        waits = f"{found.framework_info.failover_timeout:.0f} s"
        return f"disconnected: its tasks run on, and end when nobody subscribes within {waits}"
    completed = (each.framework_info.id for each in answer.completed_frameworks)
    if any(each is not None and each.value == framework_id for each in completed):
        return "removed: it never can be subscribed again; km framework reset"
    return (
        "unknown: no agent has told the master of it, and no scheduler; the next start subscribes with it all the same"
    )


def adopted(parsed: Parsed, words: tuple[str, ...]) -> int:
    from kmsched.clients.aiohttp_transport import AiohttpTransport
    from kmsched.clock import SystemClock

    (framework_id,) = words
    if not _ID.fullmatch(framework_id):
        raise UsageError(f"{framework_id!r} is no framework id; take it from the Mesos master's page")
    place = place_of(parsed)
    is_new = asyncio.run(adopt(place, framework_id, AiohttpTransport, SystemClock()))
    click.echo(f"{place.where}: framework id {framework_id} {'is stored now' if is_new else 'was stored already'}")
    return EXIT_OK


async def adopt(place: Place, framework_id: str, make_transport: MakeTransport, clock: Clock) -> bool:
    """False: it was there already. Mismatched, ConfigRefused: nothing was changed."""
    from kmsched.daemon.identity import adopt_framework_id

    async with opened(place, make_transport, clock, idle=True) as (store, _):
        try:
            return await adopt_framework_id(store, framework_id)
        except Conflict as error:
            raise _began(place, error) from error


def forgotten(parsed: Parsed, words: tuple[str, ...]) -> int:
    from kmsched.clients.aiohttp_transport import AiohttpTransport
    from kmsched.clock import SystemClock

    if parsed["confirm"] is None:
        raise UsageError("give --confirm=FRAMEWORK_ID, the id that is to be forgotten; km framework show prints it")
    place = place_of(parsed)
    old = asyncio.run(reset(place, parsed["confirm"], AiohttpTransport, SystemClock()))
    click.echo(f"{place.where}: framework id {old} is forgotten; the next start gets a new one from Mesos")
    return EXIT_OK


async def reset(place: Place, confirmed: str, make_transport: MakeTransport, clock: Clock) -> str:
    """What is forgotten now. Mismatched, ConfigRefused: nothing was changed."""
    from kmsched.daemon.identity import reset_framework_id

    async with opened(place, make_transport, clock, idle=True) as (store, _):
        try:
            return await reset_framework_id(store, confirmed)
        except Conflict as error:
            raise _began(place, error) from error


def _began(place: Place, error: Conflict) -> ConfigRefused:
    return ConfigRefused(f"{place.where}: a scheduler began to lead meanwhile ({error}); stop all of them, then again")


framework = click.Group(
    "framework",
    help="The framework id that Mesos knows this scheduler by. All of these take the scheduler's flags, to find where"
    " it is stored: --flags-file and --host-flags-file, or --state-dir alone.",
    commands=[
        StoreCommand("show", shown, "Print id and term, where they are stored, and what Mesos says.", also=(JSON,)),
        StoreCommand(
            "adopt", adopted, "Store an id that Mesos knows, where none is stored. No scheduler may run.", words=("ID",)
        ),
        StoreCommand(
            "reset",
            forgotten,
            "Forget the id, so that the next start gets a new one. Tasks of the old framework are not adopted by the"
            " new one; the term is kept. No scheduler may run.",
            also=(CONFIRM,),
        ),
    ],
)
