"""`km resign`: have the lead given to another scheduler, and wait until that one leads.

Knows how to find the leader by asking any scheduler, and when another one leads: with a greater term.  Whether the lead
can be given away is the leader's own decision.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any
from urllib.parse import urlsplit

import click

from kmsched.cli.ask import DEFAULT_URL, Credentials, exchange, with_credentials, with_json
from kmsched.errors import EXIT_NOBODY_LEADS, EXIT_NOT_HANDED_OVER, EXIT_OK, ConfigRefused, Fatal, Unavailable

LEADER, RESIGN = "/leader", "/api/v1/resign"
ACTIVE = "active"
PAUSE_S = 0.1
LOOK_S, HAND_OVER_S = 3.0, 60.0
CONFLICT = 409
#: a group has at most five members; some may be named twice, by other names
MAX_ASKED = 20

Json = Mapping[str, Any]
#: method, url, path, body -> status and answer; Unavailable
Exchange = Callable[[str, str, str, Json | None], tuple[int, Json]]


class NobodyLeads(Fatal):
    exit_code = EXIT_NOBODY_LEADS


class Kept(Fatal):
    exit_code = EXIT_NOT_HANDED_OVER


@dataclass(frozen=True, slots=True)
class Leading:
    """Who leads, as it says of itself."""

    instance: str
    url: str
    term: int
    role: str


@dataclass(frozen=True, slots=True)
class Clock:
    now: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep


@click.command()
@click.option("--to", metavar="INSTANCE", help="Who shall lead; without it any that can at once.")
@click.option(
    "--scheduler",
    "--url",
    "urls",
    metavar="URL",
    multiple=True,
    help=f"Any scheduler of the group; may be given several times.  [default: {DEFAULT_URL}]",
)
@click.option(
    "--wait",
    "wait_s",
    metavar="SECONDS",
    type=click.FloatRange(0, 3600),
    default=60.0,
    show_default=True,
    help="How long to wait until another leads.",
)
@with_credentials
@with_json
def resign(to: str | None, urls: tuple[str, ...], wait_s: float, credentials: Credentials, as_json: bool) -> int:
    """Give the lead to another scheduler, and wait until that one leads.

    The token must have the right to act. Exit code 15: the leader leads on, and says why; 16: nobody leads, before or
    afterwards.
    """

    def ask(method: str, url: str, path: str, body: Json | None) -> tuple[int, Json]:
        if method == "POST":
            return exchange(method, url, path, credentials, body, timeout_s=HAND_OVER_S)
        return exchange(method, url, path, strangers, body, timeout_s=LOOK_S)

    # refused before anybody is asked
    credentials.headers()
    # where to ask next is what others say: they get no token, and need none to tell who leads
    strangers = replace(credentials, token_file=None)
    clock = Clock()
    started = clock.now()
    before, members = hand_over_to_leader(ask, urls or (DEFAULT_URL,), to)
    after = await_other(ask, [*members, before.url, *urls], before, wait_s, clock)
    took_s = round(clock.now() - started, 3)
    if as_json:
        click.echo(json.dumps({"before": asdict(before), "after": asdict(after), "took_s": took_s}, indent=2))
    else:
        click.echo(
            f"{after.instance} leads in term {after.term}, at {after.url};"
            f" before it did {before.instance} in term {before.term}; {took_s:g} s"
        )
    return EXIT_OK


def hand_over_to_leader(ask: Exchange, urls: Sequence[str], to: str | None) -> tuple[Leading, list[str]]:
    """Who led, and where the members of its group are; see `leader_of` and `hand_over`."""
    before, members = leader_of(ask, urls)
    if _is_tls(urls[0]) and not _is_tls(before.url):
        raise ConfigRefused(
            f"{before.instance} leads at {before.url}, and the token is for https alone, as --scheduler={urls[0]} is;"
            f" give that scheduler a certificate, or write --scheduler={before.url}"
        )
    hand_over(ask, before, to)
    return before, members


def leader_of(ask: Exchange, urls: Iterable[str]) -> tuple[Leading, list[str]]:
    """The leader that any of `urls` is or names, by its own answer, and where the members of its group are.

    Unavailable: nobody answers. NobodyLeads: those who do know of no leader.
    """
    silent, seen, waiting = [], set[str](), list(dict.fromkeys(urls))
    while waiting and len(seen) < MAX_ASKED:
        url = waiting.pop(0)
        seen.add(url.rstrip("/"))
        try:
            status, told = ask("GET", url, LEADER, None)
        except Unavailable as error:
            silent.append(str(error))
            continue
        if found := _leading(url, status, told):
            return found, _urls(told.get("members"))
        # who leads comes first, other members may know more
        named = [*_urls([told.get("leader")]), *_urls(told.get("members"))]
        waiting[:0] = [each for each in dict.fromkeys(named) if each.rstrip("/") not in seen and each not in waiting]
    if len(silent) == len(seen):
        raise Unavailable("; ".join(silent))
    raise NobodyLeads(f"no scheduler leads now, say {len(seen) - len(silent)} of {len(seen)}; km status tells why")


def hand_over(ask: Exchange, leader: Leading, to: str | None) -> None:
    """Kept: the leader refuses, and says why. ConfigRefused: it does not let us act."""
    try:
        status, told = ask("POST", leader.url, RESIGN, {} if to is None else {"to": to})
    except Unavailable as error:
        # the answer may have been lost, and who leads will show it
        click.echo(f"km: {leader.instance} did not answer: {error}", err=True)
        return
    if status == CONFLICT:
        raise Kept(f"{leader.instance}: {told.get('error')}")
    if status >= 300:
        raise ConfigRefused(f"{leader.url}{RESIGN} answers {status}: {told.get('error')}")


def await_other(ask: Exchange, urls: Sequence[str], before: Leading, wait_s: float, clock: Clock) -> Leading:
    """Who leads in a greater term. NobodyLeads, Kept: nobody, or still the same, after `wait_s` seconds."""
    until = clock.now() + wait_s
    while True:
        try:
            found, _ = leader_of(ask, urls)
        except (NobodyLeads, Unavailable):
            found = None
        if found is not None and found.term > before.term and found.role == ACTIVE:
            return found
        if clock.now() >= until:
            break
        clock.sleep(PAUSE_S)
    if found is None or found.term > before.term:
        raise NobodyLeads(
            f"{before.instance} has given the lead away, and nobody leads after {wait_s:g} s; km status tells why"
        )
    raise Kept(f"{before.instance} still leads, in term {found.term}, after {wait_s:g} s; its log tells why")


def _leading(url: str, status: int, told: Json) -> Leading | None:
    """The one that answers, if it leads: as an active leader, or on its way to it."""
    leader, instance = told.get("leader"), told.get("instance")
    if not isinstance(instance, str) or told.get("role") in ("standby", "deposed"):
        return None
    is_named = isinstance(leader, Mapping) and leader.get("boot_id") == told.get("boot_id")
    # without --ha it leads from the first moment, and has no boot id since there is nobody to tell it from
    if status != 200 and not is_named and "boot_id" in told:
        return None
    # its own term is told once it subscribes, that of its key from the first moment
    terms = [told.get("term"), told.get("leader_term") if is_named else 0]
    return Leading(instance, url, max(each if isinstance(each, int) else 0 for each in terms), str(told.get("role")))


def _is_tls(url: str) -> bool:
    return urlsplit(url).scheme == "https"


def _urls(records: Any) -> list[str]:
    found = records if isinstance(records, list) else []
    urls = [each.get("url") for each in found if isinstance(each, Mapping)]
    return [each for each in urls if isinstance(each, str) and each.startswith(("http://", "https://"))]
