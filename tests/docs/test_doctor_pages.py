from __future__ import annotations

import pytest

from docs import doctor_pages, generate
from kmsched.compatibility import SUPPORT
from kmsched.doctor.checks import CHECKS


def test_every_check_and_every_version_has_its_row() -> None:
    page = (generate.ROOT / doctor_pages.DOCTOR).read_text(encoding="utf-8")
    assert all(f"| `{check.name}` | {check.looks_at} |" in page for check in CHECKS)
    versions = (generate.ROOT / doctor_pages.COMPATIBILITY).read_text(encoding="utf-8")
    assert all(f"| {each.name} | {', '.join(each.tested)} |" in versions for each in SUPPORT.values())


def test_a_page_without_its_marks_is_refused() -> None:
    with pytest.raises(ValueError, match="lacks the lines '<!-- checks"):
        doctor_pages.doctor("no marks")
