"""What the doctor is given of a scheduler: the daemon's own ways to its upstreams.

Knows where each comes from, so that the doctor sees what the daemon would see.  It looks at nothing.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager

from kmsched.artifacts.digests import Read
from kmsched.clients.aiohttp_transport import TlsSettings
from kmsched.clients.hadoop_conf import load_hadoop_conf
from kmsched.clients.http import Transport
from kmsched.clock import Clock
from kmsched.config import SchedulerConfig
from kmsched.daemon import settings
from kmsched.doctor.subject import Here, Reached, Subject, is_local, systemd_version


@asynccontextmanager
async def subject(
    config: SchedulerConfig,
    *,
    clock: Clock,
    make_transport: Callable[[TlsSettings], Transport],
    environment: Mapping[str, str],
    read: Read,
) -> AsyncIterator[Subject]:
    """What `kmsched.doctor` examines; `read` blocks."""
    made = Subject(
        config,
        Reached(
            kube_access=lambda: settings.kube_access(config),
            credentials=lambda: settings.credentials(config),
            make_transport=make_transport,
        ),
        Here(
            read=read,
            namenodes=lambda uri: namenodes(uri, environment),
            is_local=is_local,
            systemd_version=systemd_version,
        ),
        clock,
    )
    try:
        yield made
    finally:
        await made.close()


def namenodes(uri: str, environment: Mapping[str, str]) -> tuple[str, ...]:
    """HTTP addresses of the NameNodes of an hdfs: URI. ConfigRefused: Hadoop's files name none."""
    conf = load_hadoop_conf(environment)
    return conf.http_addresses(conf.authority(uri))
