"""One profile for all property tests: no deadline, because how long an example takes says nothing on a busy machine."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("kmsched", deadline=None)
settings.load_profile("kmsched")
