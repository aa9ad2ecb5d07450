"""Records that commands read: the same answers from a folder and from etcd, and what they say when it is away."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from kmsched import config, flags
from kmsched import fingerprint as specs
from kmsched.cli import km
from kmsched.cli.stored_records import stored_records
from kmsched.flag import SCHEDULER
from tests.cli.servers import serving
from tests.clients.webhdfs import running

SHA = "0123456789abcdef" * 4
PREFIX = "/kmsched/Kubernetes/"
NEEDED = (
    "--mesos-master=m:5050",
    f"--km-path=/opt/{SHA}/km",
    f"--kubelet-path=/opt/{SHA}/kubelet",
    "--api-servers=k:6443",
    "--address=10.0.0.5",
)


def coded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def record(value: str) -> str:
    return json.dumps({"schema": 1, "revision": 1, "value": value})


@pytest.fixture
def etcd() -> Iterator[tuple[str, dict[str, str]]]:
    """URL of a gateway that answers ranges from the mapping, key -> value."""
    kept: dict[str, str] = {}

    def answer(path: str, body: bytes) -> tuple[int, bytes]:
        asked = json.loads(body)
        start = base64.b64decode(asked["key"])
        end = base64.b64decode(asked.get("range_end", ""))
        found = [key for key in sorted(kept) if (start <= key.encode() < end if end else key.encode() == start)]
        kvs = [{"key": coded(k), "value": coded(kept[k]), "create_revision": "2", "mod_revision": "2"} for k in found]
        return (200 if path == "/v3/kv/range" else 404), json.dumps({"header": {"revision": "7"}, "kvs": kvs}).encode()

    with serving(answer) as url:
        yield url, kept


def shared(url: str) -> tuple[str, ...]:
    return ("--ha", f"--etcd-servers={url}")


def test_both_places_give_the_same(tmp_path: Path, etcd: tuple[str, dict[str, str]]) -> None:
    url, kept = etcd
    (tmp_path / "executors").mkdir()
    for key in (f"executors/{SHA}", "executors/ffff", "term"):
        (tmp_path / key).write_text(record(key))
        kept[PREFIX + key] = record(key)
    for more in ((f"--state-dir={tmp_path}",), shared(url)):
        found = stored_records(config.build(flags.parse([*NEEDED, *more], SCHEDULER)))
        assert found.keys("executors/0123") == (f"executors/{SHA}",)
        assert found.keys("executors/") == (f"executors/{SHA}", "executors/ffff")
        assert found.get("term") == "term"
        assert found.get("framework-id") is None


def test_what_schedulers_keep_in_etcd_is_believed(
    etcd: tuple[str, dict[str, str]], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    url, kept = etcd
    mutable = tmp_path / "km"
    mutable.write_bytes(b"another file by now")
    kept[f"{PREFIX}artifacts"] = record(json.dumps({"schema": 1, "digests": {f"file://{mutable}": SHA}}))
    line = ["fingerprint", "--json", "--explain", *NEEDED, *shared(url), f"--km-path={mutable}"]
    assert km.run(line) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["spec"]["artifacts"]["km-path"] == SHA

    text = specs.canonical(answer["spec"]).decode()
    kept[f"{PREFIX}executors/{hashlib.sha256(text.encode()).hexdigest()}"] = record(text)
    expected = f"--expect={answer['fingerprint']}"
    assert km.run([*line, expected]) == 0
    capsys.readouterr()
    assert km.run([*line, expected, "--cluster-domain=other.local"]) == 14
    assert [each["name"] for each in json.loads(capsys.readouterr().out)["differences"]] == ["--cluster-domain"]


def flags_file(folder: Path, *lines: str) -> str:
    (folder / "flags").write_text("\n".join(lines))
    return f"--flags-file={folder}/flags"


def test_hashes_are_looked_for_where_the_flags_say(
    etcd: tuple[str, dict[str, str]], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    url, kept = etcd
    assert km.run(["fingerprint", "--json", "--explain", *NEEDED]) == 0
    spec = json.loads(capsys.readouterr().out)["spec"]
    text = specs.canonical(spec).decode()
    found = hashlib.sha256(text.encode()).hexdigest()
    kept[f"{PREFIX}executors/{found}"] = record(text)
    file = flags_file(tmp_path, *NEEDED[:-1], *shared(url))
    host = tmp_path / "host"
    host.write_text(NEEDED[-1])
    assert km.run(["fingerprint", "diff", file, f"--host-flags-file={host}", found, found[:12]]) == 0
    assert km.run(["fingerprint", "diff", f"--state-dir={tmp_path}", found, found]) == 10
    assert "its --flags-file (with --ha, specs are in etcd)" in capsys.readouterr().err


def test_what_specs_in_etcd_have_is_not_pruned(
    etcd: tuple[str, dict[str, str]], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    url, kept = etcd
    file = flags_file(tmp_path, *NEEDED, *shared(url))
    with running() as cluster:
        for digest in (SHA, "f" * 64):
            cluster.keep(f"/art/{digest}/km", b"km")
        cluster.modified_ms = dict.fromkeys(cluster.modified_ms, 1)
        line = ["artifacts", "prune", "hdfs://nn/art", f"--namenode={cluster.url}", "--user=alice", "--keep=0"]
        assert km.run([*line, file]) == 10
        assert "etcd under /kmsched/Kubernetes/ has no executor specs" in capsys.readouterr().err
        kept[f"{PREFIX}executors/{SHA}"] = record(json.dumps({"artifacts": {"km-path": SHA}}))
        assert km.run([*line, file]) == 0
        assert [path for path in cluster.files if path.endswith("/km")] == [f"/art/{SHA}/km"]
    capsys.readouterr()


def test_an_etcd_that_is_away_matters_only_where_it_is_needed(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    away = shared("http://127.0.0.1:1")
    assert km.run(["fingerprint", *NEEDED, *away]) == 0
    assert km.run(["fingerprint", *NEEDED, *away, f"--expect={SHA}"]) == 14
    said = capsys.readouterr().err
    assert "etcd: 127.0.0.1:1: no connection" in said and "what it was made of is known neither" in said
    (tmp_path / "km").write_bytes(b"km")
    assert km.run(["fingerprint", *NEEDED, *away, f"--km-path={tmp_path}/km"]) == 69
    assert "etcd: 127.0.0.1:1: no connection" in capsys.readouterr().err
