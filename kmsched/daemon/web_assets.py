"""Style and script of the page at /. The script knows no field: the page's own attributes tell it what goes where.

It writes text only, so nothing that is shown can become markup; what it fetches is on the same server.
"""

from __future__ import annotations

STYLE = """
:root { color-scheme: light dark; --line: #8884; --bad: #c33; --good: #2a7; }
body { font: 14px/1.45 system-ui, sans-serif; margin: 1.5rem auto; max-width: 76rem; padding: 0 1rem; }
h1 { font-size: 1.3rem; margin: 0 0 1rem; }
h2 { font-size: 1rem; margin: 1.6rem 0 .4rem; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .15rem 1.2rem; margin: 0; }
dt { opacity: .7; }
dd { margin: 0; overflow-wrap: anywhere; }
dd[data-field=role] { font-weight: 600; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; vertical-align: top; padding: .2rem .8rem .2rem 0; border-bottom: 1px solid var(--line); }
th { font-weight: 600; white-space: nowrap; }
td { overflow-wrap: anywhere; }
#stale { background: var(--bad); color: #fff; padding: .4rem .8rem; }
"""

SCRIPT = """
"use strict";
const NONE = "\\u2013", MAX = 50, PATIENCE_MS = 5000;
const at = (path, row) => path.split(".").reduce((r, name) => (r && typeof r === "object" ? r[name] : undefined), row);
function written(path, value) {
  if (value === null || value === undefined || value === "" || (Array.isArray(value) && !value.length)) return NONE;
  if (typeof value === "boolean") return value ? "yes" : "no";
  if (Array.isArray(value)) return value.map((each) => written("", each)).join(", ");
  if (typeof value === "number" && path.endsWith("_s")) {
    const date = new Date(Math.trunc(value) * 1000);
    return isNaN(date) ? NONE : date.toISOString().slice(0, 19).replace("T", " ");
  }
  return String(value);
}
function fill(cell, path, row) {
  const text = written(path, at(path, row));
  if (cell.textContent === text) return;
  if (path.split(".").pop() === "url" && /^https?:\\/\\//.test(text)) {
    const link = document.createElement("a");
    link.href = link.textContent = text;
    link.rel = "noreferrer";
    cell.replaceChildren(link);
  } else cell.textContent = text;
}
function rows(table, answer) {
  let found = at(table.dataset.key, answer);
  found = Array.isArray(found) ? found.slice() : [];
  if (table.dataset.newestFirst !== undefined) found.reverse();
  const columns = JSON.parse(table.dataset.columns), body = document.createElement("tbody");
  for (const row of found.slice(0, MAX)) {
    const line = body.insertRow();
    for (const path of columns) fill(line.insertCell(), path, row);
  }
  table.tBodies[0].replaceWith(body);
  const more = table.nextElementSibling, left = Math.max(0, found.length - MAX);
  more.textContent = "and " + left + " more";
  more.hidden = !left;
}
async function answers(urls) {
  const found = new Map();
  for (const url of urls) {
    // the page's own address may hold a password, which fetch refuses
    const reply = await fetch(location.origin + url, { signal: AbortSignal.timeout(PATIENCE_MS), cache: "no-store" });
    const answer = await reply.json();
    if (reply.status !== 200 && reply.status !== 503) throw new Error(answer.error || reply.status);
    found.set(url, answer);
  }
  return found;
}
async function refresh() {
  const stale = document.getElementById("stale"), parts = [...document.querySelectorAll("[data-url]")];
  try {
    const found = await answers(new Set(parts.map((part) => part.dataset.url)));
    for (const part of parts) {
      const answer = found.get(part.dataset.url);
      if (part.tagName === "TABLE") rows(part, answer);
      else for (const cell of part.querySelectorAll("[data-field]")) fill(cell, cell.dataset.field, answer);
    }
    stale.hidden = true;
    document.body.dataset.refreshed = Number(document.body.dataset.refreshed || 0) + 1;
  } catch (error) {
    const since = new Date().toISOString().slice(11, 19);
    if (stale.hidden) stale.textContent = "No answer since " + since + " UTC: " + error.message;
    stale.hidden = false;
  }
  setTimeout(refresh, 1000 * document.body.dataset.refreshS);
}
setTimeout(refresh, 1000 * document.body.dataset.refreshS);
"""
