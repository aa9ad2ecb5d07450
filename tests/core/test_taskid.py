"""Task ids round-trip exactly, and nothing else is taken for one."""

from __future__ import annotations

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kmsched.core.taskid import TaskId, parse_task_id

UID = "0e1c2b7e-2a43-4f7c-9b51-3f1e1c2d3e4f"


def test_the_term_is_in_base_36() -> None:
    assert str(TaskId(UID, 35, 0)) == f"{UID}.z.0"
    assert str(TaskId(UID, 36 * 36 + 1, 12)) == f"{UID}.101.12"
    assert str(TaskId(UID, 0, 7)) == f"{UID}.0.7"


@given(uid=st.uuids(), term=st.integers(0, 2**63), n=st.integers(0, 10**18 - 1))
def test_round_trip(uid: UUID, term: int, n: int) -> None:
    task_id = TaskId(str(uid), term, n)
    assert parse_task_id(str(task_id)) == task_id


@given(st.text("0123456789abz.-AZ _", max_size=40))
def test_what_is_read_is_what_would_be_written(text: str) -> None:
    parsed = parse_task_id(text)
    assert parsed is None or str(parsed) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        UID,
        f"{UID}.1",
        f"{UID}.1.2.3",
        f".{UID}.1",
        ".1.2",
        f"{UID}.Z.0",
        f"{UID}.01.0",
        f"{UID}.1.01",
        f"{UID}.1.a",
        f"{UID}.-1.0",
        f"{UID}..0",
        f"{UID}.1.",
        f"{UID}.1.0\n",
        f"ns/{UID}.1.0",
        f"{UID}.1.{'9' * 5000}",
        f"{'a' * 129}.1.0",
    ],
)
def test_other_texts_are_no_task_id(text: str) -> None:
    assert parse_task_id(text) is None
