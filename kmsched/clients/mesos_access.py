"""Certificates for Mesos as the scheduler's flags describe them.

Knows the flags' names, so that refusals can tell them.  Principal and secret are `daemon.settings`'.
"""

from __future__ import annotations

from kmsched.clients.aiohttp_transport import TlsSettings
from kmsched.clients.tls_refusals import TlsNames
from kmsched.config import SchedulerConfig

NAMES = TlsNames(server="--mesos-master", ca="--mesos-ca-file", cert="--mesos-cert-file", key="--mesos-key-file")


def mesos_tls(config: SchedulerConfig) -> TlsSettings:
    """For every transport to Mesos' masters."""
    return TlsSettings(
        ca_file=config.mesos_ca_file, cert_file=config.mesos_cert_file, key_file=config.mesos_key_file, names=NAMES
    )
