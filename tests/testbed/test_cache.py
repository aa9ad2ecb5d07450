"""The build cache: keys, atomic folders, two at once, full disks."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from testbed import cache
from testbed.errors import LabError

INPUTS: dict[str, str | bytes] = {"flags": "-O1", "source": b"int main;"}


@given(st.dictionaries(st.text(), st.text()), st.dictionaries(st.text(), st.text()))
def test_keys_are_equal_only_for_equal_inputs(one: dict[str, str], two: dict[str, str]) -> None:
    assert (cache.key(one) == cache.key(two)) == (one == two)


def test_the_order_of_inputs_does_not_matter_and_bytes_are_text() -> None:
    assert cache.key({"a": "1", "b": "2"}) == cache.key({"b": b"2", "a": "1"})


def test_a_product_is_made_once(tmp_path: Path) -> None:
    made: list[Path] = []

    def make(part: Path) -> None:
        made.append(part)
        (part / "file").write_text("x")

    first = cache.produce(tmp_path, "thing", INPUTS, make, 1)
    second = cache.produce(tmp_path, "thing", INPUTS, make, 1)
    assert first == second == cache.folder(tmp_path, "thing", INPUTS)
    assert (first / "file").read_text() == "x"
    assert len(made) == 1
    assert cache.produce(tmp_path, "thing", {**INPUTS, "flags": "-O2"}, make, 1) != first


def test_a_failed_build_leaves_nothing_and_the_next_one_goes_on(tmp_path: Path) -> None:
    def fail(part: Path) -> None:
        (part / "half").write_text("x")
        raise LabError("no compiler")

    with pytest.raises(LabError, match="no compiler"):
        cache.produce(tmp_path, "thing", INPUTS, fail, 1)
    assert [path.name for path in tmp_path.iterdir()] == [".thing.lock"]
    assert cache.produce(tmp_path, "thing", INPUTS, lambda part: None, 1).is_dir()


def test_what_a_killed_build_left_is_removed_by_the_next(tmp_path: Path) -> None:
    left = tmp_path / ".thing-0123456789abcdef.part"
    (left / "deep").mkdir(parents=True)
    (left / "deep/file").write_text("x")
    (left / "deep").chmod(0o500)  # as Go's module cache is
    cache.produce(tmp_path, "thing", INPUTS, lambda part: None, 1)
    assert not left.exists()


def test_of_two_builds_at_once_one_works_and_both_get_the_result(tmp_path: Path) -> None:
    made: list[Path] = []
    begun = threading.Event()

    def make(part: Path) -> None:
        begun.set()
        other.join(0.3)  # long enough for the other one to come to the lock
        made.append(part)

    found: list[Path] = []

    def build() -> None:
        found.append(cache.produce(tmp_path, "thing", INPUTS, make, 1))

    def build_second() -> None:
        begun.wait()
        build()

    other = threading.Thread(target=build_second)
    other.start()
    build()
    other.join()
    assert len(made) == 1
    assert len(set(found)) == 1
    assert len(found) == 2


def test_a_full_disk_is_refused_before_the_build_with_path_need_and_rest(tmp_path: Path) -> None:
    def make(part: Path) -> None:
        raise AssertionError("must not be built")

    with pytest.raises(LabError) as refused:
        cache.produce(tmp_path, "thing", INPUTS, make, 1 << 40)
    message = str(refused.value)
    assert str(tmp_path) in message
    assert f"{1 << 40} MiB of free disk are needed for thing" in message
    assert "MiB are available" in message


def test_needs_on_one_disk_are_added_up(tmp_path: Path) -> None:
    half = 1 << 39
    with pytest.raises(LabError, match=f"{2 * half} MiB of free disk are needed for one, two"):
        cache.require_free_disk([(tmp_path, half, "one"), (tmp_path / "not/there/yet", half, "two")])
