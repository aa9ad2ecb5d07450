"""What the roles' filters say: the words an operator reads before a deploy and after a check."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from typing import Any

import pytest

from plugins.filter import km

NEW, OLD = "a" * 64, "b" * 64


def sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def stat(path: str, found_text: str | None, mtime: float = 50.0, **item: str) -> dict[str, Any]:
    if found_text is None:
        return {"item": {"path": path, **item}, "stat": {"exists": False}}
    return {"item": {"path": path, **item}, "stat": {"exists": True, "checksum": sha(found_text), "mtime": mtime}}


def with_content(seen: dict[str, Any], content: bytes) -> dict[str, Any]:
    return {**seen, "content": base64.b64encode(content).decode()}


def host(fingerprint: str = NEW, runs: str = "", **more: Any) -> dict[str, Any]:
    facts: dict[str, Any] = {"fingerprint": fingerprint, "runs": runs, "differences": [], "agents": None, "drift": []}
    return facts | {"is_started": True} | more


def test_artifacts_lie_under_their_digest() -> None:
    digests = [
        {"item": {"name": "km", "flag": "km-path"}, "stat": {"checksum": "1f"}},
        {"item": {"name": "kubelet"}, "stat": {"checksum": "2f"}},
    ]
    assert km.placed(digests, "hdfs://ns/dir/") == [
        {"name": "km", "flag": "km-path", "path": "hdfs://ns/dir/1f/km", "sha256": "1f"},
        {"name": "kubelet", "flag": "", "path": "hdfs://ns/dir/2f/kubelet", "sha256": "2f"},
    ]


def test_flags_are_lines_sorted_by_name_and_the_later_wins() -> None:
    groups: list[dict[str, Any]] = [
        {"state-dir": "/s", "km-path": "file:///km"},
        {"km_path": "hdfs:///km", "checkpoint": False, "mesos_master": ["a:1", "b:2"], "executor_mem": 512},
        km.prefixed({"enforce-node-allocatable": ""}, "kubelet-"),
    ]
    assert km.flag_lines(groups).splitlines() == [
        "--checkpoint=false",
        "--executor-mem=512",
        "--km-path=hdfs:///km",
        "--kubelet-enforce-node-allocatable=",
        "--mesos-master=a:1,b:2",
        "--state-dir=/s",
    ]


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ({"A": True}, "x: {'A': True} is a mapping"),
        ([{"A": True}], "is a mapping"),
        ("a\nproxy-y=1", "has a line break"),
        ("a\n", "has a line break"),
    ],
)
def test_what_is_no_line_is_refused(value: object, words: str) -> None:
    with pytest.raises(ValueError, match=re.escape(words)):
        km.flag_lines([{"x": value}])


def test_every_form_of_a_flags_file_is_read() -> None:
    forms = "\ufeff---\nport: 5\nframework-name=x\n--agent_x: 'a b'\n--checkpoint\n# no: flag\nkm-path=hdfs://h:1/km\n"
    same = "--port=5\n--framework-name=x\n--agent-x=a b\n--checkpoint=true\n--km-path=hdfs://h:1/km\n"
    assert km.flag_drift(forms, same) == ["its order or comments are others"]
    assert km.flag_drift("--a=1\nport: 5\n", "--a=1\n") == ["--port: '5' there, nothing wanted"]


def test_flags_that_differ_are_named_with_both_values() -> None:
    assert km.flag_drift("--a=1\n--b=2\n", "# new\n--a=1\n--b=3\n--c=4\n") == [
        "--b: '2' there, '3' wanted",
        "--c: nothing there, '4' wanted",
    ]
    assert km.flag_drift("--a=1\n", "--a=1\n") == []
    assert km.flag_drift("--a=1\n# by hand\n", "--a=1\n") == ["its order or comments are others"]


def test_hosts_with_other_flags_are_named() -> None:
    texts = {"s1": "--a=1\n", "s2": "--a=1\n", "s3": "--a=2\n--b=x\n"}
    assert km.unequal_flags(texts) == ["s3: --a: '2', but '1' on s1", "s3: --b: 'x', but nothing on s1"]
    assert km.unequal_flags({"s1": "--a=1\n"}) == []


def test_drift_names_path_and_what_differs() -> None:
    flags, unit, key = "/etc/f.flags", "/etc/u", "/etc/k"
    stats = [
        with_content(stat(flags, "--a=1\n", text="--a=2\n"), b"--a=1\n"),
        stat(unit, "old", text="new"),
        stat(key, None, sha256=sha("key")),
        {"item": {"path": "/bin/km", "target": "/lib/2/km"}, "stat": {"exists": True, "lnk_target": "/lib/1/km"}},
        {"item": {"path": "/bin/other", "target": "/lib/2/km"}, "stat": {"exists": True}},
        stat("/etc/same", "same", sha256=sha("same")),
    ]
    assert km.drift(stats) == [
        "/etc/f.flags: --a: '1' there, '2' wanted",
        f"/etc/u: sha256 {sha('old')[:12]} there, {sha('new')[:12]} wanted",
        "/etc/k: missing",
        "/bin/km: /lib/1/km there, /lib/2/km wanted",
        "/bin/other: no link there, /lib/2/km wanted",
    ]


def test_a_flags_file_that_is_no_text_differs() -> None:
    flags = "/etc/f.flags"
    [words] = km.drift([with_content(stat(flags, "x", text="--a=2\n"), b"--a=\xff")])
    assert words == "/etc/f.flags: --a: '\ufffd' there, '2' wanted"


def test_a_process_that_is_down_or_older_than_its_files_is_drift() -> None:
    stats = [stat("/etc/x", "x", mtime=100.7, sha256=sha("x"))]
    running = "ActiveState=active\nExecMainStartTimestamp=@{}\n"
    assert km.drift(stats, running.format(100)) == []
    assert km.drift(stats, running.format(99)) == ["km-scheduler: the process is older than its files"]
    untold = "ActiveState=active\nExecMainStartTimestamp=\n"
    assert km.drift(stats, untold) == ["km-scheduler: nobody tells when the process has started"]
    assert km.drift(stats, "ActiveState=failed\n") == ["km-scheduler: the process is failed"]
    assert km.drift(stats, "") == []


def test_errors_of_the_doctor_are_drift_and_warnings_are_not() -> None:
    error = {"check": "mesos-role", "severity": "error", "message": "no quota", "remedy": "give one"}
    answer = json.dumps([error, error | {"severity": "warning"}])
    assert km.findings(answer) == ["km doctor: mesos-role: no quota; give one"]
    assert km.findings("") == []


def test_drift_of_all_hosts_begins_with_the_host() -> None:
    facts = {"s1": {"km_scheduler_drift": ["/x: missing"]}, "h1": {"km_hadoop_drift": [], "km_agent_drift": ["/y: z"]}}
    assert km.all_drift(facts, ["s1", "h1", "s1"]) == ["s1: /x: missing", "h1: /y: z"]


def test_a_host_that_was_not_reached_is_drift() -> None:
    facts: dict[str, Any] = {"s1": {"km_scheduler_drift": []}, "s2": {"km_hadoop_drift": []}}
    words = "not looked at: it was not reached"
    assert km.all_drift(facts, ["s1", "s2", "s3"]) == [f"s2: {words}", f"s3: {words}"]
    assert km.all_drift(facts, ["s1", "s2", "s3"], is_limited=True) == []


def test_the_plan_of_a_first_deploy() -> None:
    plan = km.plan({"s1": host(drift=["/x: missing"]), "s2": host(is_started=False)}, "refuse")
    assert plan == {
        "lines": [
            f"fingerprint: {NEW}, the first on these hosts",
            "agents: no scheduler was there to ask",
            "s1: restarts",
            "s1: /x: missing",
            "s2: is not to run",
        ],
        "changes_executors": False,
        "refusal": "",
    }


def test_the_plan_of_a_deploy_that_changes_nothing() -> None:
    agents = [{"fingerprint": NEW[:16]}, {"fingerprint": NEW[:16]}, {"fingerprint": ""}, {"fingerprint": OLD[:16]}]
    plan = km.plan({"s1": host(runs=NEW, agents=agents)}, "refuse")
    assert plan["lines"] == [
        f"fingerprint: {NEW}, as before: executors stay",
        "agents: 1 with no executor, 2 with this fingerprint, 1 with bbbbbbbbbbbb",
        "s1: goes on",
    ]
    assert plan["refusal"] == ""


def test_another_fingerprint_is_refused_unless_the_policy_allows_it() -> None:
    differences = [
        {"name": "--executor-mem", "ours": "512", "theirs": "256"},
        {"name": "--proxy-path", "ours": "hdfs:///p", "theirs": None},
    ]
    hosts = {"s1": host(runs=OLD, agents=[{"fingerprint": OLD[:16]}], differences=differences)}
    refused, allowed = km.plan(hosts, "refuse"), km.plan(hosts, "manual")
    assert f"would change from {OLD} to {NEW}" in refused["refusal"]
    assert "-e km_scheduler_rollout_policy=manual" in refused["refusal"]
    assert "Nothing was restarted" in refused["refusal"]
    assert allowed["refusal"] == "" and allowed["changes_executors"] is True
    assert refused["lines"] == allowed["lines"]
    assert "--executor-mem: '256' so far, '512' from now on" in allowed["lines"]
    assert "--proxy-path: nothing so far, 'hdfs:///p' from now on" in allowed["lines"]
    assert any(line.startswith("executors change: ") for line in allowed["lines"])


def test_a_host_that_runs_another_fingerprint_than_the_others_is_a_change() -> None:
    plan = km.plan({"s1": host(runs=NEW), "s2": host(runs=OLD)}, "refuse")
    assert OLD in plan["refusal"]


def test_flags_that_are_refused_now_hide_what_executors_run() -> None:
    hosts = {"s1": host(refused="km: unknown flag --x"), "s2": host()}
    plan = km.plan(hosts, km.REFUSE)
    assert (
        "s1: the flags that are there are refused now (km: unknown flag --x), so what executors run is not known"
        in (plan["lines"])
    )
    assert "nobody tells which fingerprint executors have" in plan["refusal"]
    assert km.plan(hosts, km.MANUAL)["refusal"] == ""
    assert km.plan(hosts | {"s2": host(runs=NEW)}, km.REFUSE)["refusal"] == ""


def test_check_mode_on_bare_hosts_has_no_fingerprint() -> None:
    plan = km.plan({"s1": host(fingerprint="", runs="")}, "refuse")
    assert plan["lines"][0] == "fingerprint: not computed, because the new km is not on the hosts yet"
    assert plan["refusal"] == ""


def test_units_that_were_started_before_their_settings_came() -> None:
    def look(unit: str, mtime: float | None) -> dict[str, Any]:
        stat = {"exists": False} if mtime is None else {"exists": True, "mtime": mtime}
        return {"item": {"path": "/x", "unit": unit}, "stat": stat}

    shown = """Id=older.service
ExecMainStartTimestamp=@100

Id=younger.service
ExecMainStartTimestamp=@102

Id=down.service
ExecMainStartTimestamp=
"""
    looks = [look(name, 101.5) for name in ("older", "younger", "down", "unknown")]
    others = [{"item": {"path": "/proc/x"}, "stat": {"exists": True, "mtime": 200.0}}, look("older", None)]
    assert km.outdated([*looks, *others], shown) == ["older"]
