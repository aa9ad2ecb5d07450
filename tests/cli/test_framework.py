"""`km framework reset`: only on purpose, only while no scheduler holds the folder."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from click.testing import CliRunner

from kmsched.cli.framework import framework
from kmsched.clients.store import FolderStore
from kmsched.errors import ConfigRefused


def test_it_forgets_the_id_and_keeps_the_term(tmp_path: Path) -> None:
    async def fill() -> None:
        store = FolderStore(tmp_path)
        await store.create("framework-id", "f-1")
        await store.create("term", "7")
        store.close()

    asyncio.run(fill())
    result = CliRunner().invoke(framework, ["reset", f"--state-dir={tmp_path}", "--yes"])
    assert result.exit_code == 0
    assert "framework id f-1 is forgotten" in result.output
    store = FolderStore(tmp_path)
    kept, forgotten = asyncio.run(store.get("term")), asyncio.run(store.get("framework-id"))
    store.close()
    assert kept is not None
    assert kept.value == "7"
    assert forgotten is not None
    assert forgotten.value == ""


def test_it_asks_first_and_needs_a_folder_that_exists(tmp_path: Path) -> None:
    refused = CliRunner().invoke(framework, ["reset", f"--state-dir={tmp_path}"], input="n\n")
    assert refused.exit_code == 1
    assert list(tmp_path.iterdir()) == []
    absent = CliRunner().invoke(framework, ["reset", f"--state-dir={tmp_path}/none", "--yes"])
    assert absent.exit_code == 2


def test_it_is_refused_while_a_scheduler_runs(tmp_path: Path) -> None:
    store = FolderStore(tmp_path)
    result = CliRunner().invoke(framework, ["reset", f"--state-dir={tmp_path}", "--yes"])
    store.close()
    assert isinstance(result.exception, ConfigRefused)
    with pytest.raises(FileNotFoundError):
        (tmp_path / "framework-id").read_bytes()
