"""The whole table of flags against the fingerprint: each listed flag changes it, no other does, nor anything else."""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kmsched import fingerprint, flags, values
from kmsched.flag_history import ALIASES, Alias
from kmsched.flag_table import BY_NAME, FLAGS
from kmsched.flags import Flag
from kmsched.values import Kind
from tests.spec_lines import FULL, REQUIRED, SHA, spec_of

ROOT = Path(__file__).resolve().parent.parent
GOLDEN = Path(__file__).parent / "golden"
#: what the others need, so that any flag may have any of its values
BASE = (
    "--mesos-master=m:5050",
    "--kubeconfig=/k",
    "--api-servers=k:6443",
    "--mesos-authentication-principal=p",
    "--mesos-authentication-secret-file=/s",
    "--allow-short-failover-timeout",
    "--executor-launch-grace-period=10000s",
    "--agent-idle-timeout=10000s",
    "--offer-ttl=1s",
    "--launch-timeout=100s",
)
WORD = st.from_regex(r"[a-z][a-z0-9]{0,9}", fullmatch=True)
PATHS = WORD.map("/{}".format)
#: bounds that keep settings from contradicting each other, in milliseconds
DURATIONS = {
    "offer-ttl": (100, 90_000),
    "launch-timeout": (2_000, 9_000_000),
    "executor-launch-grace-period": (200_000, 10**9),
    "agent-idle-timeout": (200_000, 10**9),
    "reconcile-interval": (10_000, 10**9),
}
#: with what else a flag may be given
WITH = {
    "ha": ("--etcd-servers=e:2379", "--address=10.0.0.1"),
    "mesos-default-pod-roles": ("--mesos-framework-roles=*,web,db",),
    "http-tls-cert-file": ("--http-tls-key-file=/k",),
    "http-tls-key-file": ("--http-tls-cert-file=/c",),
    "mesos-ca-file": ("--mesos-master=https://m:5050",),
    "mesos-cert-file": ("--mesos-master=https://m:5050", "--mesos-key-file=/k"),
    "mesos-key-file": ("--mesos-master=https://m:5050", "--mesos-cert-file=/c"),
}
TEXTS = {
    "mesos-framework-roles": WORD.map("*,{}".format),
    "mesos-default-pod-roles": st.sampled_from(["*", "web", "db", "web,db", "db,web"]),
    "kubelet-container-runtime-endpoint": WORD.map("unix:///{}".format),
}
BY_KIND: dict[Kind, st.SearchStrategy[str]] = {
    Kind.TEXT: WORD,
    Kind.BOOL: st.sampled_from(["true", "false"]),
    Kind.CPUS: st.integers(10, 9999).map(lambda milli: f"{milli}m"),
    Kind.MIB: st.integers(32, 9999).map(str),
    Kind.INT: st.integers(0, 65535).map(str),
    Kind.LIST: st.lists(WORD.map("{}:1".format), min_size=1, max_size=3, unique=True).map(",".join),
    Kind.ADDRESSES: st.lists(st.ip_addresses(v=4).map(str), min_size=1, max_size=3, unique=True).map(",".join),
    Kind.PATH: PATHS,
    Kind.URI: WORD.map("http://h/{}".format),
    Kind.ARTIFACT: st.tuples(st.sampled_from(["hdfs://nn", "http://h", "file://"]), WORD).map(
        lambda parts: f"{parts[0]}/{hashlib.sha256(parts[1].encode()).hexdigest()}/km"
    ),
}


def texts(flag: Flag) -> st.SearchStrategy[str]:
    if flag.choices:
        return st.sampled_from(flag.choices)
    if flag.kind is Kind.DURATION:
        low, high = DURATIONS.get(flag.name, (round((flag.at_least or 1) * 1000), 10**9))
        return st.integers(low, high).map("{}ms".format)
    return TEXTS.get(flag.name, BY_KIND[flag.kind])


def line(*tokens: str) -> list[str]:
    """`tokens` after what is needed; the flag that names km is added, if it is not there."""
    km = () if any(token.startswith("--executor-path=") for token in tokens) else (f"--km-path=/{SHA}/km",)
    return [*BASE, *km, *tokens]


def digest(*tokens: str) -> str:
    return fingerprint.fingerprint(spec_of(line(*tokens)))


@pytest.mark.parametrize("flag", FLAGS, ids=lambda flag: flag.name)
@settings(max_examples=5, deadline=None, database=None)
@given(data=st.data())
def test_another_value_is_another_fingerprint_for_listed_flags_and_for_no_other(
    flag: Flag, data: st.DataObject
) -> None:
    def normal(text: str) -> str:
        return flag.normal(flags.value_of(flag, text))

    one = data.draw(texts(flag))
    other = data.draw(texts(flag).filter(lambda text: normal(text) != normal(one)))
    more = WITH.get(flag.name, ())
    changed = digest(f"--{flag.name}={one}", *more) != digest(f"--{flag.name}={other}", *more)
    assert changed == flag.changes_executors


@pytest.mark.parametrize("flag", FLAGS, ids=lambda flag: flag.name)
def test_giving_a_flag_its_default_is_as_not_giving_it(flag: Flag) -> None:
    if flag.default is not None:
        bare = [token for token in BASE if not token.startswith(f"--{flag.name}=")]
        tokens = [*bare, f"--km-path=/{SHA}/km", "--launch-timeout=100s"]
        assert spec_of([*tokens, f"--{flag.name}={flag.default}"]) == spec_of(tokens)
    else:
        assert flag.name not in spec_of(REQUIRED)["flags"] or f"--{flag.name}=" in " ".join(REQUIRED)


@pytest.mark.parametrize("alias", ALIASES, ids=lambda alias: alias.name)
def test_old_names_that_are_listed_are_cold_and_the_others_are_what_they_set(alias: Alias) -> None:
    one, other = ("0", "1") if alias.translate("0" if alias.translate is not str else "x") == "info" else ("3h", "4h")
    kind = BY_NAME[alias.target].kind
    if kind is not Kind.DURATION and alias.translate is str:
        one, other = {Kind.PATH: ("/a", "/b"), Kind.TEXT: ("info", "debug")}.get(kind, ("100", "200"))
    alone = [token for token in line() if not token.startswith(f"--{alias.target}=")]
    changed = spec_of([*alone, f"--{alias.name}={one}"]) != spec_of([*alone, f"--{alias.name}={other}"])
    assert changed == (alias.in_spec or BY_NAME[alias.target].changes_executors)


@settings(max_examples=10, deadline=None, database=None)
@given(prefix=st.sampled_from(["kubelet", "proxy"]), name=WORD, one=WORD, other=WORD)
def test_what_is_passed_on_changes_it(prefix: str, name: str, one: str, other: str) -> None:
    flag = f"--{prefix}-x{name}"
    assert (digest(f"{flag}={one}") == digest(f"{flag}={other}")) == (one == other)
    assert digest(f"{flag}={one}") != digest()


def test_order_counts_only_where_it_means_something() -> None:
    assert digest("--api-servers=a:1,b:1") == digest("--api-servers=b:1,a:1,b:1")
    assert digest("--kubelet-api-servers=a:1,b:1") == digest("--kubelet-api-servers=b:1,a:1")
    assert digest("--cluster-dns=10.0.0.1,10.0.0.2") != digest("--cluster-dns=10.0.0.2,10.0.0.1")
    assert digest("--kubelet-x=a,b") != digest("--kubelet-x=b,a")


@settings(max_examples=10, deadline=None, database=None)
@given(random_=st.randoms(use_true_random=False), underscored=st.lists(st.booleans(), min_size=30, max_size=30))
def test_order_and_spelling_of_flags_mean_nothing(random_: random.Random, underscored: list[bool]) -> None:
    tokens = []
    for token, with_underscores in zip(FULL, underscored, strict=False):
        name, mark, value = token.partition("=")
        tokens.append(("--" + name[2:].replace("-", "_") if with_underscores else name) + mark + value)
    random_.shuffle(tokens)
    assert spec_of(tokens) == spec_of(FULL)


def test_normal_forms_give_the_same_spec() -> None:
    """Each flag written again in the normal form of its value."""
    parsed = flags.parse(FULL, flags.SCHEDULER)
    again = [
        f"--{name}={BY_NAME[name].normal(value)}"
        for name, value in parsed.values.items()
        if name in parsed.given and value is not None
    ]
    old = [f"--{name}={text}" for name, text in parsed.cold_aliases.items()]
    passed = [f"--{name}={text}" for name, text in (*parsed.kubelet_extra, *parsed.proxy_extra)]
    assert spec_of([*old, *again, *passed]) == spec_of(FULL)


def test_a_flags_file_gives_the_same_spec(tmp_path: Path) -> None:
    (tmp_path / "flags").write_text("\n".join(FULL))
    assert spec_of([f"--flags-file={tmp_path}/flags"]) == spec_of(FULL)


@pytest.mark.parametrize(("name", "line"), [("required", REQUIRED), ("full", FULL)])
def test_specs_are_those_of_earlier_versions(name: str, line: tuple[str, ...]) -> None:
    """Executors that run carry this id: whatever changes it here keeps new pods from every agent until a rollout."""
    kept = (GOLDEN / f"executor_spec_{name}.json").read_bytes()
    assert fingerprint.canonical(spec_of(line)) + b"\n" == kept
    assert fingerprint.fingerprint(json.loads(kept)) == (GOLDEN / f"executor_spec_{name}.sha256").read_text().strip()


def interpreters() -> list[str]:
    """This one, and one of each other version here that could run a scheduler."""
    found = {sys.version_info.minor: sys.executable}
    folder = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    for minor in range(11, 20):
        installed = [str(path) for path in folder.glob(f"3.{minor}.*/bin/python3")]
        path = shutil.which(f"python3.{minor}", path="/usr/local/bin:/usr/bin") or next(iter(installed), None)
        if path is not None:
            found.setdefault(minor, path)
    return list(found.values())


# the names of the runs tell which versions were there to be compared
@pytest.mark.parametrize(("seed", "program"), list(enumerate([sys.executable, *interpreters()])))
def test_every_python_and_hash_seed_and_host_gives_the_same(seed: int, program: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [program, "-m", "tests.spec_lines", *FULL],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
        env={"PYTHONHASHSEED": str(seed), "LC_ALL": "C", "HOME": str(tmp_path), "PATH": os.environ["PATH"]},
    )
    assert done.stdout == (GOLDEN / "executor_spec_full.sha256").read_text()


@settings(max_examples=10, deadline=None, database=None)
@given(milliseconds=st.integers(1000, 10**9))
def test_durations_have_one_form_in_the_spec(milliseconds: int) -> None:
    flag = "--executor-shutdown-grace-period"
    seconds, rest = divmod(milliseconds, 1000)
    split = f"{seconds}s{rest}ms" if rest else f"{seconds}"
    assert digest(f"{flag}={milliseconds}ms") == digest(f"{flag}={split}")
    assert spec_of([*REQUIRED, f"{flag}={split}"])["flags"][flag[2:]] == values.write(
        Kind.DURATION, milliseconds / 1000
    )
