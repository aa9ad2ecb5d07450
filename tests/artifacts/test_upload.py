"""An upload ends with the whole file under its final name, or with nothing there."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from kmsched.artifacts.hdfs_checksum import crcs_of
from kmsched.artifacts.storage import LEFT_AFTER_MS
from kmsched.artifacts.upload import CHUNK_BYTES, Plan, Uploaded, exact_plan_of, plan_of, upload
from kmsched.clients.hdfs import HdfsStorage
from kmsched.errors import (
    ArtifactError,
    LocalFileUnreadable,
    NoPermission,
    NoSpace,
    SafeMode,
    StorageUnreachable,
    UsageError,
    VerificationFailed,
)
from tests.clients.webhdfs import Cluster, Cut, Refused, running

CONTENT = b"km" * CHUNK_BYTES + b"!"
SHA256 = hashlib.sha256(CONTENT).hexdigest()
TARGET = f"/art/{SHA256}/km"
TOKEN, OTHER = "0" * 16, "f" * 16
NOW_MS = LEFT_AFTER_MS + 2_000_000


def silent(stage: str, done: int, total: int) -> None:
    pass


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    with running() as cluster:
        yield cluster


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    (tmp_path / "km").write_bytes(CONTENT)
    return plan_of(tmp_path / "km", "/art/", silent)


def publish(cluster: Cluster, plan: Plan, token: str = TOKEN) -> Uploaded:
    return upload(HdfsStorage([cluster.url], user="alice"), plan, token, NOW_MS, silent)


def test_the_plan_is_made_of_the_content(plan: Plan) -> None:
    assert (plan.target, plan.content.sha256, plan.content.size_bytes) == (TARGET, SHA256, len(CONTENT))
    assert plan.temporary(TOKEN) == f"/art/.km.{SHA256}.{TOKEN}.tmp"


def test_stages_are_told(cluster: Cluster, plan: Plan) -> None:
    told: list[tuple[str, int, int]] = []
    upload(HdfsStorage([cluster.url]), plan, TOKEN, NOW_MS, lambda *step: told.append(step))
    ends = [stage for stage, done, total in told if done == total == len(CONTENT)]
    assert ends == ["sending", "verifying"]


@pytest.mark.parametrize("name", ["a b", ".km", "-km", "k#LATEST", "kä"])
def test_a_name_that_a_uri_cannot_carry_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"x")
    with pytest.raises(UsageError, match="rename the file"):
        plan_of(tmp_path / name, "/art", silent)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(LocalFileUnreadable, match="No such file"):
        plan_of(tmp_path / "km", "/art", silent)


def test_sent_once(cluster: Cluster, plan: Plan) -> None:
    assert publish(cluster, plan) == Uploaded(plan, sent=True)
    assert cluster.files == {TARGET: CONTENT}
    assert publish(cluster, plan, OTHER) == Uploaded(plan, sent=False)
    assert cluster.sent() == 1


def test_it_is_not_under_its_name_before_it_is_verified(cluster: Cluster, plan: Plan) -> None:
    seen: list[tuple[str, bool]] = []
    cluster.before = lambda operation, path: seen.append((operation, TARGET in cluster.files))
    publish(cluster, plan)
    assert ("OPEN-DATA", False) in seen
    assert [there for operation, there in seen if operation == "RENAME"] == [False]


def test_what_a_killed_upload_left_goes_with_the_next(cluster: Cluster, plan: Plan) -> None:
    stay = [f"/art/.other.{SHA256}.{OTHER}.tmp", f"/art/.km.{OTHER * 4}.{OTHER}.tmp", "/art/x"]
    for path in [plan.temporary(OTHER), *stay]:
        cluster.keep(path, b"")
        cluster.modified_ms[path] = NOW_MS - LEFT_AFTER_MS
    done = publish(cluster, plan)
    assert done.removed == (f".km.{SHA256}.{OTHER}.tmp",)
    assert sorted(cluster.files) == sorted([TARGET, *stay])


def test_what_killed_uploads_of_other_files_left_goes_when_it_is_old(cluster: Cluster, plan: Plan) -> None:
    left = [f"/art/.km.{OTHER * 4}.{OTHER}.tmp", f"/art/.manifest.json.{SHA256}.{OTHER}.new"]
    for path in left:
        cluster.keep(path, b"")
        cluster.modified_ms[path] = NOW_MS - LEFT_AFTER_MS - 1
    assert [f"/art/{name}" for name in publish(cluster, plan).removed] == left
    assert list(cluster.files) == [TARGET]


def test_what_is_wanted_again_is_young_again(cluster: Cluster, plan: Plan) -> None:
    cluster.keep(TARGET, CONTENT)
    publish(cluster, plan)
    assert cluster.modified_ms[TARGET] == NOW_MS


@pytest.mark.parametrize("kept", [0, 5, len(CONTENT) - 1])
def test_a_short_file_never_gets_the_name(cluster: Cluster, plan: Plan, kept: int) -> None:
    cluster.kept_bytes = kept
    with pytest.raises(VerificationFailed, match=f"{kept} bytes stored, {len(CONTENT)} bytes expected"):
        publish(cluster, plan)
    assert cluster.files == {}


def test_a_file_that_changed_after_its_digest(cluster: Cluster, plan: Plan) -> None:
    plan.source.write_bytes(b"KM" + CONTENT[2:])
    with pytest.raises(VerificationFailed, match=f"{SHA256} expected"):
        publish(cluster, plan)
    assert cluster.files == {}


def test_a_file_that_cannot_be_read_any_more(cluster: Cluster, plan: Plan) -> None:
    plan.source.unlink()
    with pytest.raises(LocalFileUnreadable, match="No such file"):
        publish(cluster, plan)
    assert cluster.files == {}


def test_a_wrong_file_under_the_name_is_left_alone(cluster: Cluster, plan: Plan) -> None:
    cluster.files[TARGET] = CONTENT[:-1] + b"?"
    with pytest.raises(VerificationFailed, match="remove it, then upload again"):
        publish(cluster, plan)
    assert cluster.files == {TARGET: CONTENT[:-1] + b"?"}
    assert cluster.sent() == 0


@pytest.mark.parametrize("at", ["GETFILESTATUS", "MKDIRS", "CREATE", "CREATE-DATA", "OPEN", "OPEN-DATA", "RENAME"])
def test_a_refusal_at_any_step_leaves_nothing(cluster: Cluster, plan: Plan, at: str) -> None:
    def refuse(operation: str, path: str) -> None:
        if operation == at:
            raise Refused("AccessControlException")

    cluster.before = refuse
    with pytest.raises(NoPermission):
        publish(cluster, plan)
    assert cluster.files == {}


def test_a_reason_that_was_lost_in_the_body_is_asked_for_again(cluster: Cluster, plan: Plan) -> None:
    reasons: Iterator[Exception] = iter([Cut(), Refused("DSQuotaExceededException")])

    def refuse(operation: str, path: str) -> None:
        if operation == "CREATE-DATA":
            raise next(reasons)

    cluster.before = refuse
    with pytest.raises(NoSpace):
        publish(cluster, plan)
    assert cluster.files == {}


def cut_bodies(cluster: Cluster, count: int) -> None:
    """The first `count` bodies of more than the one byte that asks for a reason."""
    left = [count]

    def cut(operation: str, path: str) -> None:
        if operation == "CREATE-DATA" and cluster.body_bytes > 1 and left[0]:
            left[0] -= 1
            raise Cut

    cluster.before = cut


def test_a_body_that_broke_once_is_sent_again(cluster: Cluster, plan: Plan) -> None:
    cut_bodies(cluster, 1)
    told: list[str] = []
    done = upload(HdfsStorage([cluster.url]), plan, TOKEN, NOW_MS, lambda stage, *_: told.append(stage))
    assert done == Uploaded(plan, sent=True)
    assert cluster.files == {TARGET: CONTENT}
    assert list(dict.fromkeys(told)) == ["sending", "sending again", "verifying"]


def test_a_body_that_broke_twice_is_given_up(cluster: Cluster, plan: Plan) -> None:
    cut_bodies(cluster, 2)
    with pytest.raises(StorageUnreachable, match="without response"):
        publish(cluster, plan)
    assert cluster.files == {}


def test_another_upload_that_was_first(cluster: Cluster, plan: Plan) -> None:
    def be_first(operation: str, path: str) -> None:
        if operation == "RENAME":
            cluster.files[TARGET] = CONTENT

    cluster.before = be_first
    assert publish(cluster, plan) == Uploaded(plan, sent=False)
    assert cluster.files == {TARGET: CONTENT}


def test_another_upload_that_swept_ours_away(cluster: Cluster, plan: Plan) -> None:
    def sweep(operation: str, path: str) -> None:
        if operation == "OPEN" and path == plan.temporary(TOKEN):
            del cluster.files[path]
            cluster.files[TARGET] = CONTENT

    cluster.before = sweep
    assert publish(cluster, plan) == Uploaded(plan, sent=False)
    assert cluster.files == {TARGET: CONTENT}


def test_two_at_once(cluster: Cluster, plan: Plan) -> None:
    both = threading.Barrier(2, timeout=10)

    def together(operation: str, path: str) -> None:
        if operation == "RENAME":
            both.wait()

    cluster.before = together
    with ThreadPoolExecutor(2) as pool:
        done = list(pool.map(lambda token: publish(cluster, plan, token), [TOKEN, OTHER]))
    assert sorted(one.sent for one in done) == [False, True]
    assert cluster.files == {TARGET: CONTENT}


@pytest.fixture
def exact(tmp_path: Path) -> Plan:
    (tmp_path / "km").write_bytes(CONTENT)
    return exact_plan_of(tmp_path / "km", "/km", silent)


@pytest.mark.parametrize("before", [None, b"old", b"?" * len(CONTENT)])
def test_exact_takes_the_place_of_what_is_there(cluster: Cluster, exact: Plan, before: bytes | None) -> None:
    if before is not None:
        cluster.keep("/km", before)
    seen: list[bytes | None] = []
    cluster.before = lambda operation, path: seen.append(cluster.files.get("/km"))
    assert publish(cluster, exact).sent
    assert cluster.files == {"/km": CONTENT}
    assert set(seen) <= {before, CONTENT}


@pytest.mark.parametrize("at", ["CREATE-DATA", "OPEN-DATA", "RENAME"])
def test_exact_leaves_what_was_there_when_it_fails(cluster: Cluster, exact: Plan, at: str) -> None:
    cluster.keep("/km", b"old")

    def refuse(operation: str, path: str) -> None:
        if operation == at and path.startswith("/."):
            raise Refused("SafeModeException")

    cluster.before = refuse
    with pytest.raises(SafeMode):
        publish(cluster, exact)
    assert cluster.files == {"/km": b"old"}


def test_exact_on_a_server_that_cannot_replace(cluster: Cluster, exact: Plan) -> None:
    cluster.can_replace = False
    assert publish(cluster, exact).sent
    cluster.keep("/km", b"old")
    with pytest.raises(ArtifactError, match="HttpFS"):
        publish(cluster, exact)
    assert cluster.files == {"/km": b"old"}


def test_exact_onto_a_folder(cluster: Cluster, exact: Plan) -> None:
    cluster.folders.add("/km")
    with pytest.raises(ArtifactError, match="/km is a folder"):
        publish(cluster, exact)
    assert cluster.sent() == 0


def test_exact_that_lost_its_answer(cluster: Cluster, exact: Plan) -> None:
    """The rename was done, and the NameNode that did it is gone: asked again, its source is not there."""

    def done_before(operation: str, path: str) -> None:
        if operation == "RENAME":
            cluster.files["/km"] = cluster.files.pop(path)

    cluster.before = done_before
    assert publish(cluster, exact) == Uploaded(exact, sent=False)
    assert cluster.files == {"/km": CONTENT}


def crc_digits(content: bytes) -> str:
    """Of a file with one block."""
    md5 = hashlib.md5(hashlib.md5(crcs_of(content)).digest().ljust(32, b"\0")).hexdigest()
    return f"{512:08x}{0:016x}{md5}{0:08x}"


def reads(cluster: Cluster) -> int:
    return sum(operation == "OPEN-DATA" for operation, _ in cluster.calls)


def test_hdfss_own_checksum_proves_it_without_reading_it_back(cluster: Cluster, plan: Plan) -> None:
    cluster.checksum_of = crc_digits
    assert publish(cluster, plan).sent
    assert not publish(cluster, plan, OTHER).sent
    assert (cluster.sent(), reads(cluster)) == (1, 0)


def test_another_checksum_proves_nothing_so_it_is_read_back(cluster: Cluster, plan: Plan) -> None:
    cluster.checksum_of = lambda content: crc_digits(b"encrypted")
    assert publish(cluster, plan).sent
    assert reads(cluster) == 1
    cluster.files[TARGET] = CONTENT[:-1] + b"?"
    with pytest.raises(VerificationFailed, match=f"{SHA256} expected"):
        publish(cluster, plan)
