"""`km explain`: why one pod waits, or where it runs and how it got there; or all pods that wait, each with its reason.

Knows the daemon's two pages of pods; fields that are missing are left out.  It decides nothing.
"""

from __future__ import annotations

import urllib.parse
from collections.abc import Iterator, Mapping
from typing import Any

import click

from kmsched.cli.ask import (
    NONE,
    Credentials,
    at_time,
    fetch,
    in_one_line,
    lasting,
    parts,
    print_answer,
    table,
    with_json,
    with_server,
)
from kmsched.errors import EXIT_OK, ConfigRefused, UsageError

WAIT = "pending,orphaned"
COLUMNS = ("POD", "STATE", "FOR", "REASON")
LIMIT = 100


@click.command()
@with_server
@with_json
@click.option("--all", "all_waiting", is_flag=True, help="Every pod that waits for a place, or for a task.")
@click.option("-n", "--namespace", default="", help="With --all: of this namespace alone.")
@click.option("--limit", type=click.IntRange(1), default=LIMIT, show_default=True, help="With --all: so many pods.")
@click.option("-v", "--verbose", is_flag=True, help="What each agent objects to, too.")
@click.argument("pod", metavar="[NAMESPACE/NAME]", default="")
def explain(
    url: str,
    credentials: Credentials,
    as_json: bool,
    all_waiting: bool,
    namespace: str,
    limit: int,
    verbose: bool,
    pod: str,
) -> int:
    """Tell why a pod waits, or where it runs; with --all, why each pod waits that does."""
    if bool(pod) == all_waiting:
        raise UsageError("name one pod, as NAMESPACE/NAME, or give --all for every pod that waits")
    if pod:
        answer = _asked(url, pod, credentials)
        print_answer(answer, as_json, describe_pod(pod, answer, verbose=verbose))
        return EXIT_OK
    query = {"state": WAIT, "namespace": namespace}
    answer = parts(url, "/api/v1/pods", "pods", limit, credentials, query)
    if verbose:
        answer = {**answer, "pods": [_in_full(url, each, credentials) for each in answer["pods"]]}
    print_answer(answer, as_json, describe_pods(answer, verbose=verbose))
    return EXIT_OK


def _in_full(url: str, brief: Mapping[str, Any], credentials: Credentials) -> Mapping[str, Any]:
    try:
        return _asked(url, str(brief.get("pod")), credentials)
    except ConfigRefused:
        return brief  # it was deleted meanwhile


def _asked(url: str, pod: str, credentials: Credentials) -> Mapping[str, Any]:
    namespace, slash, name = pod.partition("/")
    if not slash or not namespace or not name or "/" in name:
        raise UsageError(f"{pod!r} is no pod; write NAMESPACE/NAME, like default/web-1")
    quoted = f"{urllib.parse.quote(namespace, safe='')}/{urllib.parse.quote(name, safe='')}"
    return fetch(url, f"/api/v1/pods/{quoted}", credentials)


def describe_pods(answer: Mapping[str, Any], *, verbose: bool) -> Iterator[str]:
    listed = answer.get("pods")
    found = listed if isinstance(listed, list) else []
    if not found:
        yield "no pod waits"
        return
    if verbose:
        for each in found:
            yield from describe_pod(str(each.get("pod", NONE)), each, verbose=True)
    else:
        yield from table([COLUMNS, *(_row(each) for each in found)])
    if answer.get("next"):
        yield f"and more: these are the first {len(found)}; --limit says how many are told"


def _row(pod: Mapping[str, Any]) -> tuple[str, ...]:
    return (
        str(pod.get("pod", NONE)),
        str(pod.get("state", NONE)),
        lasting(pod.get("for_s")),
        str(pod.get("reason", NONE)),
    )


def describe_pod(pod: str, answer: Mapping[str, Any], *, verbose: bool = False) -> Iterator[str]:
    state = in_one_line(answer.get("state", "unknown"))
    reason = answer.get("reason")
    yield f"{pod}: {state}" + (f": {in_one_line(reason)}" if reason else "")
    for name in ("node", "task_id"):
        if answer.get(name):
            yield f"  {name}: {in_one_line(answer[name])}"
    vetoes = answer.get("vetoes")
    if verbose and isinstance(vetoes, Mapping) and vetoes:
        yield "  agents:"
        yield from (f"    {host}: {in_one_line(why)}" for host, why in vetoes.items())
        if answer.get("vetoes_left_out"):
            yield f"    and {answer['vetoes_left_out']} more"
    history = answer.get("history")
    for entry in history if isinstance(history, list) else ():
        yield f"  {_transition(entry)}"


def _transition(entry: Any) -> str:
    """When, how long ago, what and why; an entry of another release as it is."""
    if not isinstance(entry, Mapping) or "time_s" not in entry:
        return in_one_line(entry)
    ago = f"{lasting(entry.get('ago_s'))} ago"
    return f"{at_time(entry['time_s'])}  {ago:>10}  {entry.get('state', NONE)}: {entry.get('reason', NONE)}"
