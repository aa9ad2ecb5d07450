"""`km rollout`: which fingerprints may lead a group of schedulers while its executors are changed on purpose.

Knows the record `rollout` in etcd: fingerprints that may lead beside the group's own.  Schedulers follow it while they
run.  It asks nobody whether the agents are ready for the change.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import click

from kmsched.cli.store_command import Group, Place, StoreCommand, opened, place_of
from kmsched.errors import EXIT_OK, ConfigRefused, Conflict, Mismatched, UsageError
from kmsched.flag import Flag
from kmsched.flags import Parsed
from kmsched.values import Kind

if TYPE_CHECKING:
    from kmsched.cli.store_command import MakeTransport
    from kmsched.clients.store import Store
    from kmsched.clock import Clock

FINGERPRINT, ROLLOUT, EXECUTORS = "fingerprint", "rollout", "executors/"
_WHOLE, _BEGINNING = re.compile(r"[0-9a-f]{64}"), re.compile(r"[0-9a-f]{8,64}")
#: somebody else wrote the record just then
MAX_TRIES = 5
JSON = Flag("json", Kind.BOOL, "false", "Print one JSON object.")


@dataclass(frozen=True, slots=True)
class Rollout:
    """`members`: instance -> fingerprint."""

    fingerprint: str | None
    allowed: tuple[str, ...]
    members: dict[str, str]


async def look(place: Place, make_transport: MakeTransport, clock: Clock) -> Rollout:
    async with opened(place, make_transport, clock) as (store, group):
        return await _read(store, group)


async def allow(place: Place, old: str, new: str, make_transport: MakeTransport, clock: Clock) -> Rollout:
    """Let both lead; nothing to do if they may. Mismatched: `old` is not the group's. UsageError: a beginning that
    means none or several.
    """
    async with opened(place, make_transport, clock) as (store, group):
        found = await _read(store, group)
        specs = (key.removeprefix(EXECUTORS) for key in await store.list(EXECUTORS))
        known = {*specs, *found.allowed, *found.members.values(), *filter(None, [found.fingerprint])}
        old, new = whole(old, known), whole(new, known)
        if {old, new} <= {found.fingerprint, *found.allowed}:
            return found
        if found.fingerprint is not None and old != found.fingerprint:
            raise Mismatched(f"the group's fingerprint is {found.fingerprint}, not {old}; nothing was changed")
        await _write(store, f"{old} {new}" if old != new else old)
        return await _read(store, group)


async def clear(place: Place, make_transport: MakeTransport, clock: Clock) -> Rollout:
    """Let only the group's own lead."""
    async with opened(place, make_transport, clock) as (store, group):
        await _write(store, "")
        return await _read(store, group)


def whole(text: str, known: Iterable[str]) -> str:
    """The fingerprint that begins so, among those that are known."""
    digits = text.removeprefix("km-")
    if _WHOLE.fullmatch(digits):
        return digits
    if not _BEGINNING.fullmatch(digits):
        raise UsageError(f"{text!r} is no fingerprint; give all 64 digits, or at least 8 of one that is stored")
    found = sorted(each for each in set(known) if each.startswith(digits))
    if len(found) != 1:
        raise UsageError(f"{text!r} is the beginning of {len(found)} fingerprints that are stored; give all 64 digits")
    return found[0]


async def _read(store: Store, group: Group) -> Rollout:
    fingerprint, allowed = [await store.get(key) for key in (FINGERPRINT, ROLLOUT)]
    return Rollout(
        fingerprint.value if fingerprint else None,
        tuple(allowed.value.split()) if allowed else (),
        {each.instance: each.fingerprint for each in group.members},
    )


async def _write(store: Store, value: str) -> None:
    for _ in range(MAX_TRIES):
        record = await store.get(ROLLOUT)
        if (record.value if record else "") == value:
            return
        try:
            await store.put(ROLLOUT, value, record.revision if record else 0)
            return
        except Conflict as error:
            last = error
    raise ConfigRefused(f"others write this record all the time: {last}; try again later")


def _run_look(parsed: Parsed, _: tuple[str, ...]) -> int:
    from kmsched.clients.aiohttp_transport import AiohttpTransport
    from kmsched.clock import SystemClock

    return _tell(parsed, asyncio.run(look(_shared(parsed), AiohttpTransport, SystemClock())))


def _run_allow(parsed: Parsed, words: tuple[str, ...]) -> int:
    from kmsched.clients.aiohttp_transport import AiohttpTransport
    from kmsched.clock import SystemClock

    old, new = words
    return _tell(parsed, asyncio.run(allow(_shared(parsed), old, new, AiohttpTransport, SystemClock())))


def _run_clear(parsed: Parsed, _: tuple[str, ...]) -> int:
    from kmsched.clients.aiohttp_transport import AiohttpTransport
    from kmsched.clock import SystemClock

    return _tell(parsed, asyncio.run(clear(_shared(parsed), AiohttpTransport, SystemClock())))


def _shared(parsed: Parsed) -> Place:
    place = place_of(parsed)
    if place.ha is None:
        raise ConfigRefused("a rollout is for schedulers with --ha; one alone leads with any fingerprint")
    return place


def _tell(parsed: Parsed, found: Rollout) -> int:
    if parsed["json"]:
        click.echo(json.dumps(asdict(found), indent=2))
        return EXIT_OK
    click.echo(f"fingerprint of the group: {found.fingerprint or 'none yet'}")
    click.echo(f"may lead besides: {', '.join(each for each in found.allowed if each != found.fingerprint) or 'none'}")
    may = {found.fingerprint, *found.allowed}
    for instance, fingerprint in sorted(found.members.items()):
        can = "may lead" if fingerprint in may or not found.fingerprint else "may not lead"
        click.echo(f"{instance}: {fingerprint}: {can}")
    return EXIT_OK


rollout = click.Group(
    "rollout",
    help="Which fingerprints may lead a group of schedulers. All take the scheduler's flags, to find its etcd.",
    commands=[
        StoreCommand("show", _run_look, "Print which fingerprints may lead, and which the members have.", also=(JSON,)),
        StoreCommand(
            "allow",
            _run_allow,
            "Let schedulers of both fingerprints lead; FROM is the group's. Whoever leads next with TO makes it the"
            " group's, and FROM may still follow, until `clear`.",
            words=("FROM", "TO"),
            also=(JSON,),
        ),
        StoreCommand("clear", _run_clear, "Let only the group's own fingerprint lead.", also=(JSON,)),
    ],
)
