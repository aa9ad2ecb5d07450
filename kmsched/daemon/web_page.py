"""The page at /: what a scheduler does, for people with a browser. One document, made here whole, without anything
from elsewhere.

Knows one table of what is shown and from which JSON route; a script fills the same tables again from those routes, and
without scripts the page loads itself anew.  What is shown came from elsewhere, so it is text and never markup.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from html import escape
from typing import Any

from aiohttp import web

from kmsched.daemon.web_access import Right
from kmsched.daemon.web_assets import SCRIPT, STYLE
from kmsched.daemon.web_routes import GET, MAX_ON_PAGE, Json, Route, Views

NONE = "–"
REFRESH_S = 3


@dataclass(frozen=True, slots=True)
class Facts:
    """Single values of one answer. `fields`: (path into it, title)."""

    title: str
    url: str
    fields: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Rows:
    """A list of objects at `key` of one answer. `columns`: (path into each, title)."""

    title: str
    url: str
    key: str
    columns: tuple[tuple[str, str], ...]
    newest_first: bool = False


PARTS: tuple[Facts | Rows, ...] = (
    Facts(
        "This scheduler",
        "/leader",
        (
            ("role", "role"),
            ("ready", "ready"),
            ("reasons", "why not"),
            ("warnings", "warnings"),
            ("instance", "instance"),
            ("term", "term"),
            ("since_s", "leads since"),
            ("leader.instance", "leader"),
            ("leader.url", "leader's pages"),
            ("framework_id", "framework id"),
            ("fingerprint", "fingerprint"),
            ("version", "version"),
        ),
    ),
    Rows(
        "Members",
        "/leader",
        "members",
        (
            ("instance", "instance"),
            ("role", "role"),
            ("is_synced", "synced"),
            ("url", "pages"),
            ("fingerprint", "fingerprint"),
            ("version", "version"),
        ),
    ),
    Rows(
        "Agents",
        "/api/v1/agents",
        "agents",
        (
            ("hostname", "host"),
            ("compatible", "new pods"),
            ("pods", "pods"),
            ("tasks", "tasks"),
            ("resources.held.cpus", "CPUs held"),
            ("resources.held.mem_mib", "MiB held"),
            ("executor_ids", "executors"),
            ("reason", "why not"),
        ),
    ),
    Facts("Pods", "/api/v1/pending", (("pods", "pending"),)),
    Rows(
        "Why pods wait",
        "/api/v1/pending",
        "reasons",
        (("pods", "pods"), ("kind", "kind"), ("reason", "reason"), ("example", "one of them")),
    ),
    Rows(
        "Last decisions",
        f"/api/v1/decisions?limit={MAX_ON_PAGE}",
        "decisions",
        (("time_s", "time"), ("effect", "decision"), ("subject", "about"), ("reason", "reason"), ("cause", "cause")),
        newest_first=True,
    ),
)


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


HEADERS: Mapping[str, str] = {
    "Content-Security-Policy": (
        f"default-src 'none'; script-src {_hash(SCRIPT)}; style-src {_hash(STYLE)}; connect-src 'self';"
        " base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


def route(views: Views) -> Route:
    async def page(_: web.Request) -> web.Response:
        answers = {
            "/leader": views.leader(),
            "/api/v1/agents": views.agents(),
            "/api/v1/pending": views.pending(),
            PARTS[-1].url: {"decisions": views.decisions()[-MAX_ON_PAGE:]},
        }
        return web.Response(text=rendered(answers), content_type="text/html", charset="utf-8", headers=HEADERS)

    return Route(GET, "/", Right.READ, page)


def rendered(answers: Mapping[str, Json]) -> str:
    """The document. `answers`: by the URLs of `PARTS`."""
    return "\n".join(
        [
            "<!DOCTYPE html>",
            '<html lang="en"><head><meta charset="utf-8"><title>kmsched</title>',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f'<noscript><meta http-equiv="refresh" content="{REFRESH_S}"></noscript>',
            f"<style>{STYLE}</style></head>",
            f'<body data-refresh-s="{REFRESH_S}"><h1>kmsched</h1>',
            '<p id="stale" role="status" hidden></p>',
            *(line for part in PARTS for line in _part(part, answers[part.url])),
            f"<script>{SCRIPT}</script></body></html>",
            "",
        ]
    )


def _part(part: Facts | Rows, answer: Json) -> Iterator[str]:
    yield f"<section><h2>{escape(part.title)}</h2>"
    if isinstance(part, Facts):
        yield f'<dl data-url="{escape(part.url)}">'
        for path, title in part.fields:
            yield f'<dt>{escape(title)}</dt><dd data-field="{escape(path)}">{_cell(path, answer)}</dd>'
        yield "</dl></section>"
        return
    found = answer.get(part.key)
    rows = list(found) if isinstance(found, Sequence) else []
    columns = escape(json.dumps([path for path, _ in part.columns]))
    order = ' data-newest-first=""' if part.newest_first else ""
    yield f'<table data-url="{escape(part.url)}" data-key="{escape(part.key)}" data-columns="{columns}"{order}>'
    yield f"<thead><tr>{''.join(f'<th>{escape(title)}</th>' for _, title in part.columns)}</tr></thead><tbody>"
    for row in (rows[::-1] if part.newest_first else rows)[:MAX_ON_PAGE]:
        yield f"<tr>{''.join(f'<td>{_cell(path, row)}</td>' for path, _ in part.columns)}</tr>"
    yield "</tbody></table>"
    left_out = max(0, len(rows) - MAX_ON_PAGE)
    yield f'<p class="more"{"" if left_out else " hidden"}>and {left_out} more</p></section>'


def _cell(path: str, row: Any) -> str:
    text = written(path, at(path, row))
    shown = escape(text)
    is_link = path.rpartition(".")[2] == "url" and text.startswith(("http://", "https://"))
    return f'<a href="{shown}" rel="noreferrer">{shown}</a>' if is_link else shown


def at(path: str, row: Any) -> Any:
    """The value at a path like "leader.url", None where there is none."""
    for name in path.split("."):
        row = row.get(name) if isinstance(row, Mapping) else None
    return row


def written(path: str, value: Any) -> str:
    """As the script writes it, too: times in UTC, lists in a row."""
    if value is None or value in ("", []):
        return NONE
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(written("", each) for each in value)
    if isinstance(value, (int, float)):
        if path.endswith("_s"):
            return _time(value)
        return str(int(value)) if value == int(value) else repr(value)
    return str(value)


def _time(wall_s: float) -> str:
    try:
        return datetime.fromtimestamp(int(wall_s), UTC).strftime("%Y-%m-%d %H:%M:%S")
    except (ValueError, OverflowError, OSError):
        return NONE
