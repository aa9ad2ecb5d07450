from __future__ import annotations

import re

import pytest

from docs import generate
from kmsched.errors import EXIT_CODES


def test_pages_are_what_the_tables_say() -> None:
    stale = [str(path.relative_to(generate.ROOT)) for path in generate.stale()]
    assert stale == [], f"{stale} are stale; run: make docs"


def test_every_exit_code_is_in_the_readme() -> None:
    readme = (generate.ROOT / "README.md").read_text(encoding="utf-8")
    for code, (meaning, _) in EXIT_CODES.items():
        assert f"| {code} | {meaning} |" in readme


def test_a_readme_without_the_marks_is_refused() -> None:
    with pytest.raises(ValueError, match="lacks the lines"):
        generate.with_exit_codes("no marks")


def test_links_between_pages_lead_somewhere() -> None:
    pages = [*generate.ROOT.glob("*.md"), *(generate.ROOT / "docs").rglob("*.md")]
    links = [
        (page.relative_to(generate.ROOT), target)
        for page in pages
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8"))
    ]
    assert len(links) > 20
    broken = [(str(page), target) for page, target in links if not (generate.ROOT / page.parent / target).exists()]
    assert broken == []
