"""The command that a kubeconfig names for its credentials: run when one is needed, and what it gave kept.

Knows deadlines, expiry and that many callers need one run only.  A command that fails is tried again with the next
call: what it asks may be away.  What it is told and answers is `wire.exec_credential`'s.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import logging
import os
import shutil
import signal
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from kmsched.clients.aiohttp_transport import TlsSettings
from kmsched.clients.http import excerpt
from kmsched.clock import Clock
from kmsched.errors import ConfigRefused, ProtocolError, Unavailable
from kmsched.wire.exec_credential import INFO_VARIABLE, ExecCredential, ExecPlugin, decode_credential, question

COMMAND_S = 20.0
#: before a credential expires the next one is fetched, or at half its life if that is shorter
EARLY_S = 10.0
#: pause after a run that failed, or whose credential was refused
PAUSE_S = 1.0
MAX_OUTPUT_BYTES = 1024 * 1024
MAX_WORDS_BYTES = 2000
#: a killed command's pipes are closed by then, unless something that it started has left its session
ENDED_S = 1.0
PIECE_BYTES = 64 * 1024

log = logging.getLogger(__name__)


def found_plugin(plugin: ExecPlugin, folder: Path) -> ExecPlugin:
    """With the path of its command: of a kubeconfig in `folder`. ConfigRefused: there is none, and how to get it."""
    command = str(folder / plugin.command) if "/" in plugin.command else plugin.command
    path = shutil.which(command)
    if path is None:
        hint = f"; {plugin.install_hint}" if plugin.install_hint else "; install it, or put its path there"
        raise ConfigRefused(f"the command {plugin.command!r} for credentials is not there, or cannot be run{hint}")
    return replace(plugin, command=path)


@dataclass(slots=True)
class _Held:
    credential: ExecCredential
    obtained_s: float
    renew_at_s: float | None  # wall time


class ExecCredentials:
    """`user` of the kubeconfig, for messages. Close it when done."""

    def __init__(
        self,
        plugin: ExecPlugin,
        user: str,
        tls: TlsSettings,
        clock: Clock,
        *,
        environment: Mapping[str, str] | None = None,
        command_s: float = COMMAND_S,
    ) -> None:
        self._plugin = plugin
        self._user = user
        self._tls = tls
        self._clock = clock
        self._environment = os.environ if environment is None else environment
        self._command_s = command_s
        self._held: _Held | None = None
        self._running: asyncio.Task[None] | None = None
        self._failed: tuple[float, str] | None = None  # when, and why

    async def current(self) -> ExecCredential:
        """What to show now. Unavailable: the command gives nothing, and nothing that it gave is valid still."""
        now, held = self._clock.wall(), self._held
        if held is not None and (held.renew_at_s is None or now < held.renew_at_s):
            return held.credential
        try:
            await self._renew()
        except Unavailable:
            if held is None or not _is_valid(held.credential, now):
                raise
            return held.credential
        assert self._held is not None
        return self._held.credential

    async def replaced(self, refused: ExecCredential) -> bool:
        """After a 401: whether there is another credential than that now. Unavailable: the command gives nothing."""
        held = self._held
        if held is not None and held.credential == refused:
            if self._clock.monotonic() - held.obtained_s < PAUSE_S:
                return False
            await self._renew()
        return self._held is not None and self._held.credential != refused

    async def close(self) -> None:
        if self._running is not None:
            self._running.cancel()
            await asyncio.gather(self._running, return_exceptions=True)

    async def _renew(self) -> None:
        """One run for all that wait."""
        now = self._clock.monotonic()
        if self._running is None:
            if self._failed is not None and now - self._failed[0] < PAUSE_S:
                raise Unavailable(self._failed[1])
            self._running = asyncio.create_task(self._obtain())
            # those who wait may all have gone
            self._running.add_done_callback(lambda task: task.cancelled() or task.exception())
        await asyncio.shield(self._running)

    async def _obtain(self) -> None:
        try:
            credential = decode_credential(await self._run(), self._plugin.api_version)
            now = self._clock.wall()
            if credential.expires_s is not None and credential.expires_s <= now:
                ago_s = now - credential.expires_s
                raise Unavailable(f"gave a credential that expired {ago_s:.0f} s ago: check the clocks")
            self._held = _Held(credential, self._clock.monotonic(), _renew_at(credential, now))
            self._failed = None
        except (Unavailable, ProtocolError) as error:
            words = f"user {self._user!r} of the kubeconfig: the command {self._plugin.command} {error}"
            self._failed = (self._clock.monotonic(), words)
            if self._held is not None and _is_valid(self._held.credential, self._clock.wall()):
                log.warning("%s; the credential before it serves on", words)
            raise Unavailable(words) from error
        finally:
            self._running = None

    async def _run(self) -> bytes:
        """What it printed. Unavailable: it failed, or took too long."""
        plugin = self._plugin
        environment = {**self._environment, **dict(plugin.env), INFO_VARIABLE: question(plugin, self._authority())}
        try:
            process = await asyncio.create_subprocess_exec(
                plugin.command,
                *plugin.args,
                env=environment,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                start_new_session=True,
            )
        except OSError as error:
            hint = f"; {plugin.install_hint}" if plugin.install_hint else ""
            raise Unavailable(f"cannot be started: {error.strerror}{hint}") from error
        assert process.stdout is not None and process.stderr is not None
        try:
            async with asyncio.timeout(self._command_s):
                output, words, code = await asyncio.gather(
                    _read(process.stdout, MAX_OUTPUT_BYTES + 1), _read(process.stderr, MAX_WORDS_BYTES), process.wait()
                )
        except BaseException as error:
            # with all that it has started, which may hold its pipes
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(ENDED_S):
                    # it is not told to have ended before its pipes are read to their end
                    await asyncio.gather(_read(process.stdout, 0), _read(process.stderr, 0), process.wait())
            if isinstance(error, TimeoutError):
                raise Unavailable(f"did not end within {self._command_s:g} s") from None
            raise
        if code != 0:
            how = f"exit code {code}" if code > 0 else f"signal {-code}"
            hint = f"; {plugin.install_hint}" if plugin.install_hint else ""
            raise Unavailable(f"failed with {how}: {excerpt(words)}{hint}")
        if len(output) > MAX_OUTPUT_BYTES:
            raise Unavailable(f"printed more than {MAX_OUTPUT_BYTES >> 20} MiB, which is no credential")
        return output

    def _authority(self) -> str | None:
        """The cluster's CA in base64, if the command is to know it."""
        if self._plugin.cluster is None:
            return None
        text = self._tls.ca_data
        if text is None and self._tls.ca_file is not None:
            try:
                text = Path(self._tls.ca_file).read_text(encoding="ascii")
            except (OSError, ValueError) as error:
                raise Unavailable(f"cannot be told the CA {self._tls.ca_file}: {error}") from error
        return None if text is None else base64.b64encode(text.encode()).decode()


def _is_valid(credential: ExecCredential, now: float) -> bool:
    return credential.expires_s is None or now < credential.expires_s


def _renew_at(credential: ExecCredential, now: float) -> float | None:
    if credential.expires_s is None:
        return None
    return credential.expires_s - min(EARLY_S, (credential.expires_s - now) / 2)


async def _read(stream: asyncio.StreamReader, limit: int) -> bytes:
    """To its end, of which what is beyond `limit` is dropped: a writer must not stand still."""
    found = bytearray()
    while piece := await stream.read(PIECE_BYTES):
        found += piece[: limit - len(found)]
    return bytes(found)
