"""Filters of the roles: where artifacts lie, flags files, what differs on a host, and the plan of a deploy.

Makes values and words of what Ansible has gathered. Looks at nothing itself, and decides nothing but whether a change
of the executors' fingerprint may go on.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

Json = Mapping[str, Any]

REFUSE, MANUAL = "refuse", "manual"
DIGITS = 12


def placed(digests: Sequence[Json], folder: str) -> list[dict[str, str]]:
    """Where each file lies: {"path": `folder`/<sha256>/<name>, "sha256", and "name" and "flag" as they were given}.

    `digests`: of `km_look` at {"name", "flag" if it has one}.
    """
    found = []
    for each in digests:
        name, sha256 = each["item"]["name"], each["stat"]["checksum"]
        path = f"{folder.rstrip('/')}/{sha256}/{name}"
        found.append({"name": name, "flag": each["item"].get("flag", ""), "path": path, "sha256": sha256})
    return found


def prefixed(flags: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    return {f"{prefix}{name}": value for name, value in flags.items()}


def flag_lines(groups: Sequence[Mapping[str, Any]]) -> str:
    """Lines `--name=value`, sorted by name; a later mapping wins over an earlier. `_` in names becomes `-`.

    ValueError: a value that is no line of text.
    """
    merged = {str(name).replace("_", "-"): value for group in groups for name, value in group.items()}
    return "\n".join(f"--{name}={_text(name, value)}" for name, value in sorted(merged.items()))


def _text(name: str, value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Mapping):
        raise ValueError(f"{name}: {dict(value)!r} is a mapping, and a flag has one line of text, like A=true,B=false")
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ",".join(_text(name, item) for item in value)
    text = "" if value is None else str(value)
    if len(text.splitlines()) > 1 or text.endswith(("\n", "\r")):
        raise ValueError(f"{name}: {text!r} has a line break, and a flag has one line; take it out")
    return text


def flag_drift(found: str, wanted: str) -> list[str]:
    """Words for each flag that differs between the texts of two flags files; none if they are the same bytes."""
    there, here = _flags(found), _flags(wanted)
    drift = [
        f"--{name}: {_given(there, name)} there, {_given(here, name)} wanted"
        for name in sorted({*there, *here})
        if there.get(name) != here.get(name)
    ]
    return drift or ([] if found == wanted else ["its order or comments are others"])


def unequal_flags(texts: Mapping[str, str]) -> list[str]:
    """Words for each host and flag that is not as on the first host; `texts`: host -> its flags file."""
    found: list[str] = []
    first, *others = texts
    reference = _flags(texts[first])
    for host in others:
        flags = _flags(texts[host])
        found += [
            f"{host}: --{name}: {_given(flags, name)}, but {_given(reference, name)} on {first}"
            for name in sorted({*flags, *reference})
            if flags.get(name) != reference.get(name)
        ]
    return found


def _flags(text: str) -> dict[str, str]:
    lines = (line.strip() for line in text.removeprefix("\ufeff").splitlines())
    pairs = (_pair(line) for line in lines if line and not line.startswith("#") and line != "---")
    return {name.replace("_", "-"): value for name, value in pairs}


def _pair(line: str) -> tuple[str, str]:
    """Name and value of a line in each form that km reads: `--name=value`, `name=value`, `name: value`, `--name`."""
    line = line.removeprefix("--")
    name, separator, value = line.partition(":")
    if separator and "=" not in name and (value == "" or value[0].isspace()):
        value = value.strip()
        is_quoted = len(value) >= 2 and value[0] == value[-1] and value[0] in "\"'"
        return name.strip(), value[1:-1] if is_quoted else value
    name, separator, value = line.partition("=")
    return name, value if separator else "true"


def _given(flags: Mapping[str, str], name: str) -> str:
    return repr(flags[name]) if name in flags else "nothing"


def drift(stats: Sequence[Json], unit: str = "") -> list[str]:
    """What is not as it shall be on one host, in words that begin with the path.

    `stats`: of `km_look` at {"path", and "sha256", "text" or "target"}, as `km_place` takes them, with contents for
    flags files; `unit`: `ActiveState=` and `ExecMainStartTimestamp=@seconds` of the process, "" when none shall run.
    """
    found = [
        f"{each['item']['path']}: {words}"
        for each in stats
        for words in _file_drift(
            each["stat"], each["item"], base64.b64decode(each.get("content", "")).decode(errors="replace")
        )
    ]
    return [*found, *_process_drift(unit, [each["stat"] for each in stats])]


def words(placed: Mapping[str, Sequence[str]]) -> list[str]:
    """What is not as it shall be on one host, in words that begin with the path; `placed`: of `km_place`."""
    return [f"{path}: {each}" for path, found in placed.items() for each in found]


def findings(text: str) -> list[str]:
    """Words for each error in the answer of `km doctor --json`; none if it is no such answer."""
    try:
        found = json.loads(text)
    except ValueError:
        return []
    return [
        f"km doctor: {each['check']}: {each['message']}; {each['remedy']}"
        for each in found
        if each["severity"] == "error"
    ]


def all_drift(hosts: Mapping[str, Json], names: Iterable[str], is_limited: bool = False) -> list[str]:
    """Words for all hosts, each with the host's name before it. `hosts`: name -> its variables. `is_limited`: hosts
    were left out on purpose, and nothing is said of them; one that was not reached ends the play by itself."""
    return [f"{name}: {words}" for name in dict.fromkeys(names) for words in _all_of(hosts.get(name, {}), is_limited)]


def _all_of(host: Json, is_limited: bool) -> Iterable[str]:
    if not {"km_scheduler_drift", "km_agent_drift"} & host.keys():
        return [] if is_limited else ["not looked at: it was not reached"]
    return [
        words for fact in ("km_hadoop_drift", "km_scheduler_drift", "km_agent_drift") for words in host.get(fact, [])
    ]


def _file_drift(stat: Json, wanted: Json, text: str) -> Iterable[str]:
    if not stat["exists"]:
        return ["missing"]
    if "target" in wanted:
        there = stat.get("lnk_target") or "no link"
        return [] if there == wanted["target"] else [f"{there} there, {wanted['target']} wanted"]
    sha256 = wanted.get("sha256") or hashlib.sha256(wanted["text"].encode()).hexdigest()
    if stat.get("checksum") == sha256:
        return []
    if wanted["path"].endswith(".flags"):
        return flag_drift(text, wanted["text"])
    return [f"sha256 {str(stat.get('checksum'))[:DIGITS]} there, {sha256[:DIGITS]} wanted"]


def outdated(stats: Sequence[Json], shown: str) -> list[str]:
    """Names of the units that were started before their settings were changed.

    `stats`: of `km_look` at {"path", "unit"}, others are passed over; `shown`: of each unit `Id=` and
    `ExecMainStartTimestamp=@seconds`, an empty line between two.
    """
    states = [_properties(block) for block in shown.split("\n\n")]
    started = {state.get("Id", "").removesuffix(".service"): _started(state) for state in states}
    files = [(each["item"]["unit"], each["stat"]) for each in stats if "unit" in each["item"]]
    return [unit for unit, stat in files if (since := started.get(unit)) is not None and _is_newer(stat, since)]


def _properties(shown: str) -> dict[str, str]:
    return dict(line.partition("=")[::2] for line in shown.splitlines())


def _started(state: Mapping[str, str]) -> int | None:
    """When the main process was, in seconds; None: it never was, or nobody tells."""
    told = state.get("ExecMainStartTimestamp", "").removeprefix("@")
    return int(told) if told.isdigit() else None


def _is_newer(stat: Json, started: int) -> bool:
    return int(stat.get("mtime", 0)) > started


def _process_drift(unit: str, stats: Sequence[Json]) -> Iterator[str]:
    if not unit:
        return
    state = _properties(unit)
    if state.get("ActiveState") not in ("active", "reloading"):
        yield f"km-scheduler: the process is {state.get('ActiveState') or 'unknown'}"
        return
    started = _started(state)
    if started is None:
        yield "km-scheduler: nobody tells when the process has started"
    elif any(_is_newer(stat, started) for stat in stats):
        yield "km-scheduler: the process is older than its files"


def plan(hosts: Mapping[str, Json], policy: str) -> dict[str, Any]:
    """What a deploy is about to do: `lines` for people, `changes_executors`, and `refusal`, "" when it may go on.

    `hosts`: name -> {"fingerprint": with the new km and flags, "" if it could not be computed; "runs": that of the
    process or of the files that are there, "" for none; "differences": {"name", "ours", "theirs"} of each flag between
    the two, as far as it is known; "agents": as the process tells of them, None if it does not;
    "drift": words; "is_started": bool; "refused": why km takes the flags that are there no longer, "" if it does}.
    """
    new = _any(host["fingerprint"] for host in hosts.values())
    old = {host["runs"] for host in hosts.values() if host["runs"]}
    others = sorted(old - {new}) if new else []
    agents = next((host["agents"] for host in hosts.values() if host["agents"] is not None), None)
    lines = [*_fingerprints(new, others, bool(old)), *_agents(agents, new or _any(old))]
    if others:
        lines += _differences(hosts.values())
        lines.append(
            "executors change: an agent whose executor is of another fingerprint takes no new pods until it has left, "
            "which it does when it is idle or is ended by hand; its pods run on. New pods only go to agents without "
            "an old executor"
        )
    lost = {} if old else {name: host["refused"] for name, host in hosts.items() if host.get("refused")}
    for name, why in lost.items():
        lines.append(f"{name}: the flags that are there are refused now ({why}), so what executors run is not known")
    for name, host in hosts.items():
        lines += _host(name, host)
    refusal = ""
    if lost and policy == REFUSE:
        refusal = (
            f"nobody tells which fingerprint executors have: no scheduler answers, and {', '.join(lost)} has flags"
            f" that km refuses. Executors may run on with another one than {new}, and km_scheduler_rollout_policy is"
            f" {REFUSE!r}: start a scheduler with the km that was there, or allow it with"
            f" -e km_scheduler_rollout_policy={MANUAL}. Nothing was restarted"
        )
    if others and policy == REFUSE:
        refusal = (
            f"the executors' fingerprint would change from {', '.join(others)} to {new}, and "
            f"km_scheduler_rollout_policy is {REFUSE!r}: undo what changes it, or allow it with "
            f"-e km_scheduler_rollout_policy={MANUAL}: new pods then only go to agents without an old executor. "
            "Nothing was restarted"
        )
    return {"lines": lines, "changes_executors": bool(others), "refusal": refusal}


def _any(fingerprints: Iterable[str]) -> str:
    return min((each for each in fingerprints if each), default="")


def _fingerprints(new: str, others: Sequence[str], is_known: bool) -> Iterator[str]:
    if not new:
        yield "fingerprint: not computed, because the new km is not on the hosts yet"
    elif others:
        yield f"fingerprint: {new}, so far {', '.join(others)}"
    else:
        yield f"fingerprint: {new}, {'as before: executors stay' if is_known else 'the first on these hosts'}"


def _differences(hosts: Iterable[Json]) -> Iterator[str]:
    found = {each["name"]: each for host in hosts for each in host["differences"]}
    for name, each in sorted(found.items()):
        yield f"{name}: {_value(each['theirs'])} so far, {_value(each['ours'])} from now on"


def _value(value: Any) -> str:
    return "nothing" if value is None else repr(value) if isinstance(value, str) else str(value)


def _agents(agents: Sequence[Json] | None, wanted: str) -> Iterator[str]:
    if agents is None:
        yield "agents: no scheduler was there to ask"
        return
    counts = Counter(str(agent.get("fingerprint") or "") for agent in agents)
    names = {each: "this fingerprint" if wanted.startswith(each) else each[:DIGITS] for each in counts}
    parts = [f"{count} with {names[each] if each else 'no executor'}" for each, count in sorted(counts.items())]
    yield f"agents: {', '.join(parts) or 'none'}"


def _host(name: str, host: Json) -> Iterator[str]:
    what = "is not to run" if not host["is_started"] else "restarts" if host["drift"] else "goes on"
    yield f"{name}: {what}"
    yield from (f"{name}: {words}" for words in host["drift"])


class FilterModule:
    """What Ansible looks for in this file."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {
            "km_placed": placed,
            "km_prefixed": prefixed,
            "km_flag_lines": flag_lines,
            "km_unequal_flags": unequal_flags,
            "km_drift": drift,
            "km_outdated": outdated,
            "km_words": words,
            "km_findings": findings,
            "km_all_drift": all_drift,
            "km_plan": plan,
        }
