"""Who we are to the API server: the token of each call, and the transport that shows our certificate.

Knows that a command may give another credential at any time, that a kubeconfig may be read anew, and that another
certificate needs other connections.  It does not know where a credential comes from.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from kmsched.clients.aiohttp_transport import TlsSettings
from kmsched.clients.exec_plugin import ExecCredentials
from kmsched.clients.http import Transport
from kmsched.clients.renewed_transport import RenewedTransport
from kmsched.errors import ConfigRefused, Unavailable
from kmsched.wire.exec_credential import ExecCredential


@dataclass(frozen=True, slots=True)
class Shown:
    """What one call goes out with. `credential`: of a command."""

    token: str | None
    credential: ExecCredential | None = None


class Identity:
    """`token` is asked for each call; with `commanded` the credentials are a command's."""

    def __init__(
        self,
        token: Callable[[], str | None],
        tls: TlsSettings,
        make_transport: Callable[[TlsSettings], Transport],
        commanded: ExecCredentials | None = None,
    ) -> None:
        self._token = token
        self._tls = tls
        self._make_transport = make_transport
        self._commanded = commanded
        self._certificate: tuple[str | None, str | None] = (None, None)
        self.transport = RenewedTransport(make_transport(tls))

    async def shown(self) -> Shown:
        """For a call by `transport`.

        Unavailable: the command gives no credential. ConfigRefused: the token file never gave one.
        """
        if self._commanded is None:
            return Shown(self._token())
        credential = await self._commanded.current()
        try:
            self._certify(credential)
        except Unavailable:
            # it may hold for a long time still, so its end is not waited for
            if not await self._commanded.replaced(credential):
                raise
            credential = await self._commanded.current()
            self._certify(credential)
        return Shown(credential.token, credential)

    async def replaced(self, refused: Shown) -> bool:
        """After a 401: whether it is worth another try. Unavailable: the command gives no credential."""
        if self._commanded is None or refused.credential is None:
            return False
        return await self._commanded.replaced(refused.credential)

    def candidate(self, token: Callable[[], str | None], tls: TlsSettings) -> Identity:
        """Who we would be with these, and the same command. ConfigRefused: a file is no good."""
        return Identity(token, tls, self._make_transport, self._commanded)

    def become(self, candidate: Identity) -> None:
        """What is under way goes on as who we were."""
        self._token, self._tls, self._certificate = candidate._token, candidate._tls, candidate._certificate
        self.transport.renew(candidate.transport)

    async def close(self) -> None:
        if self._commanded is not None:
            await self._commanded.close()
        await self.transport.close()

    def _certify(self, credential: ExecCredential) -> None:
        certificate = (credential.cert_data, credential.key_data)
        if certificate == self._certificate:
            return
        tls = replace(self._tls, cert_data=credential.cert_data, key_data=credential.key_data)
        try:
            self.transport.renew(self._make_transport(tls))
        except ConfigRefused as error:
            # the command's fault, which may be over with its next answer
            raise Unavailable(f"the certificate that the command for credentials gave: {error}") from error
        self._certificate = certificate
