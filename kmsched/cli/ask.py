"""`km status`: ask a running scheduler and say its answer in lines. Other commands ask like this, too.

Knows how a scheduler is asked and refuses, and prints what is there; fields that are missing are left out, unknown ones
of the status are shown.  It decides nothing.
"""

from __future__ import annotations

import functools
import http.client
import json
import os
import ssl
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar, cast

import click

from kmsched.errors import EXIT_OK, ConfigRefused, Unavailable, UsageError
from kmsched.http_settings import read_token

#: environment variables
TOKEN_FILE, CA_FILE = "KM_TOKEN_FILE", "KM_CA_FILE"
DEFAULT_URL = "http://127.0.0.1:10251"
ANSWER_TIMEOUT_S = 10.0
MAX_ANSWER_BYTES = 16 * 1024 * 1024

MAX_TEXT = 1000
#: objects of a list in one answer
MAX_PART = 1000

NONE = "-"
UNITS = (("d", 86400), ("h", 3600), ("m", 60), ("s", 1))

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a scheduler is shown, and what its certificate is checked against."""

    token_file: Path | None = None
    ca_file: Path | None = None

    def headers(self) -> dict[str, str]:
        """ConfigRefused: the file holds no token."""
        if self.token_file is None:
            return {}
        return {"Authorization": f"Bearer {read_token(self.token_file, '--token-file')}"}

    def tls(self) -> ssl.SSLContext:
        """ConfigRefused: the file holds no certificate."""
        try:
            return ssl.create_default_context(cafile=self.ca_file)
        except (OSError, ssl.SSLError) as error:
            raise ConfigRefused(f"--ca-file: cannot use {str(self.ca_file)!r}: {error}; put PEM there") from None


def of_environment() -> Credentials:
    """For commands that have no options for it."""
    token_file, ca_file = (os.environ.get(name) for name in (TOKEN_FILE, CA_FILE))
    return Credentials(Path(token_file) if token_file else None, Path(ca_file) if ca_file else None)


def with_credentials(command: F) -> F:
    """--token-file and --ca-file, as `credentials`."""

    @functools.wraps(command)
    def called(*args: Any, token_file: Path | None, ca_file: Path | None, **others: Any) -> Any:
        return command(*args, credentials=Credentials(token_file, ca_file), **others)

    path = click.Path(dir_okay=False, path_type=Path)
    for name, variable, words in (
        ("--ca-file", CA_FILE, "Authority that signed the scheduler's certificate."),
        ("--token-file", TOKEN_FILE, "File with the token that the scheduler asks for."),
    ):
        called = click.option(name, type=path, envvar=variable, show_envvar=True, help=words)(called)
    return cast(F, called)


def with_server(command: F) -> F:
    """--url, as `url`, and `with_credentials`."""
    return with_url(with_credentials(command))


with_url = click.option("--url", default=DEFAULT_URL, show_default=True, help="Where the scheduler's HTTP server is.")
with_json = click.option("--json", "as_json", is_flag=True, help="Print the answer as JSON.")


@click.command()
@with_server
@with_json
def status(url: str, credentials: Credentials, as_json: bool) -> int:
    """Show what the scheduler does."""
    answer = fetch(url, "/api/v1/status", credentials)
    print_answer(answer, as_json, describe(answer))
    return EXIT_OK


def parts(
    url: str, path: str, key: str, limit: int, credentials: Credentials, query: Mapping[str, str] | None = None
) -> Mapping[str, Any]:
    """A list that is told in parts, up to `limit` of the objects at `key`; `next` is there if there are more.

    Raises as `fetch` does.
    """
    found: list[Any] = []
    after = ""
    while True:
        wanted = {**(query or {}), "limit": min(limit - len(found), MAX_PART), "after": after}
        answer = fetch(url, f"{path}?{urllib.parse.urlencode(wanted)}", credentials)
        listed = answer.get(key)
        found += listed if isinstance(listed, list) else []
        after = str(answer.get("next") or "")
        if not after or not listed or len(found) >= limit:
            return {**answer, key: found}


def fetch(url: str, path: str, credentials: Credentials | None = None) -> Mapping[str, Any]:
    """The JSON object at url + path, without any proxy. Raises Unavailable, or ConfigRefused on 4xx.

    Without `credentials` those that the environment names.
    """
    status, answer = exchange("GET", url, path, credentials or of_environment())
    if status < 300:
        return answer
    kind = ConfigRefused if 400 <= status < 500 else Unavailable
    raise kind(f"{url}{path} answers {status}: {answer['error']}")


def exchange(
    method: str,
    url: str,
    path: str,
    credentials: Credentials,
    body: Mapping[str, Any] | None = None,
    timeout_s: float = ANSWER_TIMEOUT_S,
) -> tuple[int, Mapping[str, Any]]:
    """Status and JSON object; a refusal always has "error". Raises Unavailable when there is no answer at all."""
    if urllib.parse.urlsplit(url).scheme not in ("http", "https"):
        raise UsageError(f"{url!r} is no http(s) URL; write it like {DEFAULT_URL}")
    request = urllib.request.Request(
        url.rstrip("/") + path,
        data=None if body is None else json.dumps(body).encode(),
        headers=credentials.headers(),
        method=method,
    )
    https = urllib.request.HTTPSHandler(context=credentials.tls())
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), https, _NoRedirects)
    try:
        try:
            response = opener.open(request, timeout=timeout_s)
        except urllib.error.HTTPError as refusal:
            with refusal:
                return refusal.code, _refusal(refusal)
        with response:
            answer = json.loads(response.read(MAX_ANSWER_BYTES))
            status: int = response.status
    except (OSError, ValueError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", error)
        raise Unavailable(f"no scheduler answers at {url}: {reason}; give its address with --url") from None
    if not isinstance(answer, dict):
        raise Unavailable(f"{url}{path} answers no JSON object; is this a km scheduler?")
    return status, answer


def _refusal(refusal: urllib.error.HTTPError) -> Mapping[str, Any]:
    text = refusal.read(MAX_ANSWER_BYTES).decode("utf-8", "replace").strip()
    try:
        told = json.loads(text)
    except ValueError:
        told = None
    if isinstance(told, dict):
        reasons = "; ".join(str(each) for each in told.get("reasons") or ())
        return {"error": reasons or refusal.reason, **told}
    return {"error": text[:MAX_TEXT] or refusal.reason}


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """A scheduler redirects nobody, and a token is for the one that was named."""

    def redirect_request(self, *_: object) -> None:
        return None


def describe(answer: Mapping[str, Any]) -> Iterator[str]:
    """`name: value` lines; objects are indented, lists take a line for each item."""
    for name, value in answer.items():
        if isinstance(value, Mapping):
            yield f"{name}:"
            yield from (f"  {line}" for line in describe(value))
        elif isinstance(value, list):
            yield f"{name}: {'' if value else 'none'}".rstrip()
            yield from (f"  {in_one_line(item)}" for item in value)
        else:
            yield f"{name}: {in_one_line(value)}"


def in_one_line(value: Any) -> str:
    if isinstance(value, Mapping):
        return " ".join(f"{name}={in_one_line(item)}" for name, item in value.items())
    if isinstance(value, list):
        return ", ".join(in_one_line(item) for item in value)
    return "-" if value is None else str(value)


def lasting(seconds: Any) -> str:
    """A length of time in its two largest units: 12s, 3m12s, 5h3m, 2d4h."""
    if not isinstance(seconds, (int, float)):
        return NONE
    left = max(0, round(seconds))
    amounts = []
    for name, length_s in UNITS:
        amounts.append((left // length_s, name))
        left %= length_s
    first = next((i for i, (amount, _) in enumerate(amounts) if amount), len(UNITS) - 1)
    return "".join(f"{amount}{name}" for amount, name in amounts[first : first + 2] if amount) or "0s"


def at_time(wall_s: Any) -> str:
    """In UTC, as log lines have it."""
    try:
        return datetime.fromtimestamp(wall_s, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
    except (ValueError, TypeError, OverflowError, OSError):
        return NONE


def table(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Columns as wide as their widest cell."""
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    for row in rows:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()


def print_answer(answer: Mapping[str, Any], as_json: bool, lines: Iterator[str]) -> None:
    """The answer itself, or what it says in lines."""
    click.echo(json.dumps(answer, indent=2) if as_json else "\n".join(map(_shown, lines)))


def _shown(line: str) -> str:
    """Users' words are in it, and must do nothing to a terminal."""
    if line.isprintable():
        return line
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in line)
