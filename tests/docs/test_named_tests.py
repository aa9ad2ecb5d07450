"""A page that says which test shows something names one that exists."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
DEFINED = re.compile(r"^(?:async )?def (test_\w+)", re.MULTILINE)
NAMED = re.compile(r"`(?:[\w/.]+::)?(test_\w+)`")


def test_every_test_that_a_page_names_exists() -> None:
    defined = {
        name for path in (ROOT / "tests").rglob("test_*.py") for name in DEFINED.findall(path.read_text("utf-8"))
    }
    named = {page.name: NAMED.findall(page.read_text("utf-8")) for page in (ROOT / "docs").rglob("*.md")}
    assert len(named["ha-faults.md"]) > 50
    assert {page: missing for page, names in named.items() if (missing := set(names) - defined)} == {}
