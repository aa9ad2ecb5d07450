"""What schedulers have stored, for commands that only read: in a state folder, or in etcd where several share it.

Knows both places.  It takes no lock and writes nothing: a scheduler may be at work there.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Protocol, TypeVar

from kmsched import config, flags
from kmsched.config import SchedulerConfig
from kmsched.errors import ConfigRefused
from kmsched.flag import SCHEDULER
from kmsched.ha import HaConfig

T = TypeVar("T")

#: for each answer of etcd; somebody waits at a terminal
CALL_S = 5.0


class StoredRecords(Protocol):
    @property
    def where(self) -> str:
        """Words for messages."""
        ...

    def get(self, key: str) -> str | None:
        """The value; None where there is none. ConfigRefused: it cannot be read. Unavailable: etcd is away."""
        ...

    def keys(self, prefix: str) -> tuple[str, ...]: ...


def stored_records(built: SchedulerConfig) -> StoredRecords:
    return FolderRecords(built.state_dir) if built.ha is None else EtcdRecords(built.ha, built.framework_name)


def records_of_flags(flags_file: Path, host_flags_file: Path | None) -> StoredRecords:
    """Of the schedulers with these flags. UsageError, ConfigRefused: they cannot be theirs."""
    tokens = [f"--{flags.FLAGS_FILE}={flags_file}"]
    if host_flags_file is not None:
        tokens.append(f"--{flags.HOST_FLAGS_FILE}={host_flags_file}")
    return stored_records(config.build(flags.parse(tokens, SCHEDULER)))


@dataclass(frozen=True, slots=True)
class FolderRecords:
    """What cannot be opened counts as missing: the folder may be for the scheduler's user alone."""

    folder: Path

    @property
    def where(self) -> str:
        return str(self.folder)

    def get(self, key: str) -> str | None:
        path = self.folder / key
        try:
            record = json.loads(path.read_bytes())
        except OSError:
            return None
        except (ValueError, RecursionError) as error:
            raise ConfigRefused(f"{path}: no record of a store: {error}; restore it from a backup") from None
        value = record.get("value") if isinstance(record, dict) else None
        if not isinstance(value, str):
            raise ConfigRefused(f"{path}: no record of a store; restore it from a backup")
        return value

    def keys(self, prefix: str) -> tuple[str, ...]:
        folder, _, name = prefix.rpartition("/")
        try:
            found = sorted(path.name for path in (self.folder / folder).iterdir() if path.name.startswith(name))
        except OSError:
            return ()
        return tuple(f"{folder}/{each}" if folder else each for each in found)


@dataclass(frozen=True, slots=True)
class EtcdRecords:
    ha: HaConfig
    framework_name: str

    @property
    def where(self) -> str:
        from kmsched.wire.members import Keys

        return f"etcd under {Keys(self.framework_name).prefix}"

    def get(self, key: str) -> str | None:
        from kmsched.clients.etcd_store import EtcdStore

        async def read(store: EtcdStore) -> str | None:
            record = await store.get(key)
            return record.value if record is not None else None

        return self._asked(read)

    def keys(self, prefix: str) -> tuple[str, ...]:
        return self._asked(lambda store: store.list(prefix))

    def _asked(self, ask: Callable[..., Awaitable[T]]) -> T:
        # not before it is needed: most commands start without a network
        from kmsched.clients.aiohttp_transport import AiohttpTransport
        from kmsched.clients.etcd_access import etcd_client, etcd_tls
        from kmsched.clients.etcd_store import EtcdStore
        from kmsched.clock import SystemClock
        from kmsched.wire.members import Keys

        async def asked() -> T:
            transport, clock = AiohttpTransport(etcd_tls(self.ha)), SystemClock()
            try:
                client = etcd_client(self.ha, transport, clock, call_deadline_s=CALL_S)
                return await ask(EtcdStore(client, Keys(self.framework_name), lambda: None, clock, Random()))
            finally:
                await transport.close()

        return asyncio.run(asked())
