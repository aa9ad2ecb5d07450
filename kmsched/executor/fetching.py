"""Getting the program that a flag names, without holding up the event loop: tries, pauses, words for how it goes.

Knows which failures may pass, and how often they are tried again.  Where programs are kept and how they are checked
is `executor.programs`'.  A fetch is not ended by the launch grace of tasks: those fail by it, with what is told here,
and the next ones find the program there.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random

from kmsched.artifact_uri import sha256_of
from kmsched.clients.backoff import Backoff
from kmsched.clients.fetch import without_secrets
from kmsched.clock import Clock
from kmsched.errors import ArtifactError, ConfigRefused, KmError, NoSpace, SafeMode, StorageUnreachable
from kmsched.executor.programs import Programs, Progress
from kmsched.threads import in_thread

#: a NameNode that fails over takes half a minute; with the pauses below this is a whole one
ATTEMPTS = 6
PAUSE_FIRST_S = 2.0
PAUSE_MAX_S = 30.0
#: how often it is told how far a fetch is
TELL_S = 5.0
MIB = 1 << 20
_PASSING = (StorageUnreachable, SafeMode, NoSpace)

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Fetching:
    programs: Programs
    sandbox: Path
    clock: Clock
    rng: Random

    async def obtain(self, name: str, uri: str, tell: Callable[[str], None]) -> Path:
        """The program, checked. `tell` takes words for what is going on, for those who wait.

        ConfigRefused, ArtifactError and its kinds: it cannot be had, with the remedy; what may pass was tried again.
        """
        try:
            has_digest = sha256_of(uri) is not None
        except ValueError as error:
            raise ConfigRefused(f"--{name}-path: {without_secrets(uri)!r} {error}") from error
        if not has_digest:
            return find_program(name, uri, self.sandbox)
        backoff = Backoff(PAUSE_FIRST_S, PAUSE_MAX_S, self.rng)
        before = ""
        for attempt in range(1, ATTEMPTS):
            try:
                return await self._once(name, uri, tell, before)
            except _PASSING as error:
                words = f"{name} cannot be fetched (attempt {attempt} of {ATTEMPTS}): {error}"
                log.warning("%s", words)
                tell(words)
                before = f"; before: {error}"
            await self.clock.sleep(backoff.next_s())
        return await self._once(name, uri, tell, before)

    async def _once(self, name: str, uri: str, tell: Callable[[str], None], before: str) -> Path:
        progress = Progress()

        def words() -> str:
            return f"{name} is being fetched: {without_secrets(uri)}, {progress.done_bytes // MIB} MiB so far{before}"

        telling = asyncio.create_task(self._tell_on(words, tell))
        try:
            path = await in_thread(lambda: self.programs.keep(uri, progress))
        except KmError:
            raise
        except Exception as error:  # pods run here, and no answer of a server is worth them
            log.exception("%s: what came from there is not understood", without_secrets(uri))
            raise ArtifactError(
                f"{name}: {without_secrets(uri)} cannot be fetched: {type(error).__name__}: {error}; look at what"
                " answers there, and at this executor's log"
            ) from error
        finally:
            progress.is_unwanted.set()
            telling.cancel()
            await asyncio.gather(telling, return_exceptions=True)
        how = f"{progress.done_bytes / MIB:.1f} MiB fetched" if progress.done_bytes else "it was there"
        log.info("%s is %s: %s, and its SHA-256 is right", name, path, how)
        return path

    async def _tell_on(self, words: Callable[[], str], tell: Callable[[str], None]) -> None:
        while True:
            tell(words())
            await self.clock.sleep(TELL_S)
            log.info("%s", words())


def find_program(name: str, uri: str, sandbox: Path) -> Path:
    """What a URI without a digest names: a path, file:///path, or what Mesos fetched into the sandbox.

    So it is where the scheduler is older than this executor. ConfigRefused: there is no program.
    """
    if uri.startswith("file://"):
        path = Path(uri.removeprefix("file://"))
    elif "://" in uri:
        path = sandbox / uri.rpartition("/")[2]
    else:
        path = Path(uri)
    if not path.is_file() or not os.access(path, os.X_OK):
        raise ConfigRefused(f"--{name}-path: there is no program at {path}: put {name} there, executable")
    return path
