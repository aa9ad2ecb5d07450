from __future__ import annotations

from pathlib import Path

import pytest

from kmsched.http_settings import HttpSettings
from tests.daemon.web_servers import ACT, READ


@pytest.fixture
def files(tmp_path: Path) -> HttpSettings:
    (tmp_path / "read").write_text(READ + "\n")
    (tmp_path / "act").write_text(ACT + "\n")
    return HttpSettings(str(tmp_path / "read"), str(tmp_path / "act"))
