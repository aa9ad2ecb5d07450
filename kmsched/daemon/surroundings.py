"""What a scheduler is surrounded by: time, chance, network, environment, and the fold itself.

Only values; the real ones are made in `main`, a simulation passes its own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from random import Random

from kmsched.artifacts.digests import Read
from kmsched.clients.aiohttp_transport import TlsSettings
from kmsched.clients.http import Transport
from kmsched.clock import Clock
from kmsched.daemon.core import StepState


@dataclass(frozen=True, slots=True)
class Surroundings:
    """Everything that a simulation replaces."""

    clock: Clock
    rng: Random
    make_transport: Callable[[TlsSettings], Transport]
    environment: Mapping[str, str]
    hostname: str
    step: StepState
    read_artifact: Read  # blocks
