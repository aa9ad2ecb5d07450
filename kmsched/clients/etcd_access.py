"""A client of etcd as the scheduler's flags describe it: certificates, user and password.

Knows the flags' files, and when what they hold now takes the place of what they held.  It does not know what is stored
there.
"""

from __future__ import annotations

from collections.abc import Callable

from kmsched.clients.aiohttp_transport import TlsSettings
from kmsched.clients.etcd import Credentials, EtcdClient
from kmsched.clients.http import Transport
from kmsched.clients.renewed_transport import RenewedTransport
from kmsched.clients.tls_refusals import TlsNames
from kmsched.clock import Clock
from kmsched.errors import ConfigRefused, Refused, Retryable
from kmsched.ha import HaConfig, read_password

NAMES = TlsNames(server="--etcd-servers", ca="--etcd-ca-file", cert="--etcd-cert-file", key="--etcd-key-file")
KEPT = "certificates and password for etcd stay as they were"


class EtcdAccess:
    """`client` goes on while its files are read anew. `key`: one that it may read. ConfigRefused: a file is no good."""

    def __init__(
        self, ha: HaConfig, key: str, make_transport: Callable[[TlsSettings], Transport], clock: Clock
    ) -> None:
        self._ha = ha
        self._key = key
        self._make_transport = make_transport
        self._clock = clock
        self._transport = RenewedTransport(make_transport(etcd_tls(ha)))
        self.client = etcd_client(ha, self._transport, clock)

    async def renew(self) -> str:
        """Use what the files hold now; why not, or "".

        A leader must not lose its lease by a file that etcd does not take: what works is given up only for what works.
        """
        try:
            made = self._make_transport(etcd_tls(self._ha))
        except ConfigRefused as error:
            return f"{KEPT}: {error}"
        try:
            credentials = etcd_credentials(self._ha)
            await etcd_client(self._ha, made, self._clock).range(self._key)
        except ConfigRefused as error:
            await made.close()
            return f"{KEPT}: {error}"
        except (Retryable, Refused) as error:
            if await self._works():
                await made.close()
                return f"{KEPT}: the new ones are not taken: {error}"
        self._transport.renew(made)
        self.client.renew(credentials)
        return ""

    async def close(self) -> None:
        await self._transport.close()

    async def _works(self) -> bool:
        try:
            await self.client.range(self._key)
        except (ConfigRefused, Retryable, Refused):
            return False
        return True


def etcd_tls(ha: HaConfig) -> TlsSettings:
    """For the transport of `etcd_client`."""
    return TlsSettings(ca_file=ha.etcd_ca_file, cert_file=ha.etcd_cert_file, key_file=ha.etcd_key_file, names=NAMES)


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
    return EtcdClient(
        endpoints or ha.etcd_servers,
        transport,
        clock,
        call_deadline_s=ha.request_deadline_s if call_deadline_s is None else call_deadline_s,
        credentials=etcd_credentials(ha),
    )


def etcd_credentials(ha: HaConfig) -> Credentials | None:
    """None: etcd asks for no user. ConfigRefused: the password cannot be read."""
    password = read_password(ha)
    return Credentials(ha.etcd_user, password) if ha.etcd_user and password else None
