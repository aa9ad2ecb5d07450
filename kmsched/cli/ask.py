"""`km status` and `km explain`: ask a running scheduler and say its answer in lines. `cli.agents` asks in the same way.

Knows two of the daemon's JSON pages and prints what is there; fields that are missing are left out, unknown ones of
the status are shown.  It decides nothing.
"""

from __future__ import annotations

import json
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping
from typing import Any

import click

from kmsched.errors import EXIT_OK, ConfigRefused, Unavailable, UsageError

DEFAULT_URL = "http://127.0.0.1:10251"
ANSWER_TIMEOUT_S = 10.0
MAX_ANSWER_BYTES = 16 * 1024 * 1024

with_url = click.option("--url", default=DEFAULT_URL, show_default=True, help="Where the scheduler's HTTP server is.")
with_json = click.option("--json", "as_json", is_flag=True, help="Print the answer as JSON.")


@click.command()
@with_url
@with_json
def status(url: str, as_json: bool) -> int:
    """Show what the scheduler does."""
    answer = fetch(url, "/api/v1/status")
    print_answer(answer, as_json, describe(answer))
    return EXIT_OK


@click.command()
@with_url
@with_json
@click.argument("pod", metavar="NAMESPACE/NAME")
def explain(url: str, as_json: bool, pod: str) -> int:
    """Tell why a pod waits, or where it runs."""
    namespace, slash, name = pod.partition("/")
    if not slash or not namespace or not name or "/" in name:
        raise UsageError(f"{pod!r} is no pod; write NAMESPACE/NAME, like default/web-1")
    quoted = f"{urllib.parse.quote(namespace, safe='')}/{urllib.parse.quote(name, safe='')}"
    answer = fetch(url, f"/api/v1/pods/{quoted}")
    print_answer(answer, as_json, describe_pod(pod, answer))
    return EXIT_OK


def fetch(url: str, path: str) -> Mapping[str, Any]:
    """The JSON object at url + path, without any proxy. Raises Unavailable, or ConfigRefused on 4xx."""
    if urllib.parse.urlsplit(url).scheme not in ("http", "https"):
        raise UsageError(f"--url: {url!r} is no http(s) URL; write it like {DEFAULT_URL}")
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url.rstrip("/") + path, timeout=ANSWER_TIMEOUT_S) as response:
            answer = json.loads(response.read(MAX_ANSWER_BYTES))
    except urllib.error.HTTPError as error:
        with error:
            message = error.read(1000).decode("utf-8", "replace").strip()
        kind = ConfigRefused if error.code < 500 else Unavailable
        raise kind(f"{url}{path} answers {error.code}: {message or error.reason}") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        raise Unavailable(f"no scheduler answers at {url}: {reason}; give its address with --url") from None
    if not isinstance(answer, dict):
        raise Unavailable(f"{url}{path} answers no JSON object; is this a km scheduler?")
    return answer


def describe(answer: Mapping[str, Any]) -> Iterator[str]:
    """`name: value` lines; objects are indented, lists take a line for each item."""
    for name, value in answer.items():
        if isinstance(value, Mapping):
            yield f"{name}:"
            yield from (f"  {line}" for line in describe(value))
        elif isinstance(value, list):
            yield f"{name}: {'' if value else 'none'}".rstrip()
            yield from (f"  {_in_one_line(item)}" for item in value)
        else:
            yield f"{name}: {_in_one_line(value)}"


def describe_pod(pod: str, answer: Mapping[str, Any]) -> Iterator[str]:
    state = _in_one_line(answer.get("state", "unknown"))
    reason = answer.get("reason")
    yield f"{pod}: {state}" + (f": {_in_one_line(reason)}" if reason else "")
    for name in ("node", "task_id"):
        if answer.get(name):
            yield f"  {name}: {_in_one_line(answer[name])}"
    history = answer.get("history")
    for entry in history if isinstance(history, list) else ():
        yield f"  {_in_one_line(entry)}"


def _in_one_line(value: Any) -> str:
    if isinstance(value, Mapping):
        return " ".join(f"{name}={_in_one_line(item)}" for name, item in value.items())
    if isinstance(value, list):
        return ", ".join(_in_one_line(item) for item in value)
    return "-" if value is None else str(value)


def print_answer(answer: Mapping[str, Any], as_json: bool, lines: Iterator[str]) -> None:
    """The answer itself, or what it says in lines."""
    click.echo(json.dumps(answer, indent=2) if as_json else "\n".join(lines))
