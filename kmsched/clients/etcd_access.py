"""A client of etcd as the scheduler's flags describe it: certificates, user and password.

Knows the flags' files.  It does not know what is stored there.
"""

from __future__ import annotations

from kmsched.clients.aiohttp_transport import TlsSettings
from kmsched.clients.etcd import Credentials, EtcdClient
from kmsched.clients.http import Transport
from kmsched.clock import Clock
from kmsched.ha import HaConfig, read_password


def etcd_tls(ha: HaConfig) -> TlsSettings:
    """For the transport of `etcd_client`."""
    return TlsSettings(ca_file=ha.etcd_ca_file, cert_file=ha.etcd_cert_file, key_file=ha.etcd_key_file)


def etcd_client(
    ha: HaConfig,
    transport: Transport,
    clock: Clock,
    *,
    call_deadline_s: float | None = None,
    endpoints: tuple[str, ...] = (),
) -> EtcdClient:
    """Of the endpoints given, or of all; each call within `call_deadline_s` or what the flags say.

    ConfigRefused: the password cannot be read.
    """
    password = read_password(ha)
    return EtcdClient(
        endpoints or ha.etcd_servers,
        transport,
        clock,
        call_deadline_s=ha.request_deadline_s if call_deadline_s is None else call_deadline_s,
        credentials=Credentials(ha.etcd_user, password) if ha.etcd_user and password else None,
    )
