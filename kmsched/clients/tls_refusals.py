"""Why a connection with TLS did not come about, and what to do, in words.

Knows OpenSSL's reasons: those of ours, why the other side is not believed, and the alerts that tell why it does not
believe us.  Where a certificate is set is told to it, as names of flags; it reads no files.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from dataclasses import dataclass

#: verification errors of OpenSSL
NOT_YET_VALID, EXPIRED = 9, 10
UNKNOWN_AUTHORITIES = frozenset({2, 18, 19, 20, 21, 27})
OTHER_NAMES = frozenset({62, 64})

#: alerts, as parts of OpenSSL's reasons
WANTS_CERTIFICATE = ("CERTIFICATE_REQUIRED", "ALERT_NO_CERTIFICATE")
OURS_EXPIRED = ("ALERT_CERTIFICATE_EXPIRED",)
OURS_REFUSED = (
    "ALERT_UNKNOWN_CA",
    "ALERT_BAD_CERTIFICATE",
    "ALERT_UNSUPPORTED_CERTIFICATE",
    "ALERT_CERTIFICATE_REVOKED",
    "ALERT_CERTIFICATE_UNKNOWN",
    "ALERT_DECRYPT_ERROR",
    "ALERT_ACCESS_DENIED",
)
#: an old server says no more than this when it misses a certificate
HANDSHAKE = ("ALERT_HANDSHAKE_FAILURE",)
VERSIONS = ("ALERT_PROTOCOL_VERSION", "UNSUPPORTED_PROTOCOL", "VERSION_TOO_LOW")
#: what came back was no TLS
NO_TLS = ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "HTTPS_PROXY_REQUEST", "RECORD_LAYER_FAILURE", "UNEXPECTED_EOF")


MAX_CAUSES = 10


@dataclass(frozen=True, slots=True)
class TlsNames:
    """Where people set what one upstream is reached with; "" where they cannot."""

    server: str = ""
    ca: str = ""
    cert: str = ""
    key: str = ""

    def check(self, what: str, more: str = "") -> str:
        """ "; check --x-ca-file" and what to see to there."""
        return f"; check {what}{more}" if what else ""


NOWHERE = TlsNames()


def in_words(error: BaseException, names: TlsNames = NOWHERE) -> str | None:
    """What went wrong with TLS, and the remedy; None: it has nothing to do with it."""
    for each in _causes(error):
        if isinstance(each, ssl.SSLCertVerificationError):
            return _not_believed(each, names)
        if isinstance(each, ssl.SSLError):
            return _failed(each, names)
    return None


def broken_off(names: TlsNames, *, is_tls: bool) -> str:
    """What a connection that was closed without a word may mean: some servers tell their refusals to nobody."""
    if is_tls:
        return f"; if it asks for a client certificate, check {names.cert}" if names.cert else ""
    return f"; if it speaks TLS, write https:// in {names.server}" if names.server else ""


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """The error, and what caused it; a connector's own, which is an SSLError in name alone, keeps that in a field."""
    for _ in range(MAX_CAUSES):
        if error is None:
            return
        inner = getattr(error, "os_error", None) or getattr(error, "certificate_error", None)
        if inner is None:
            yield error
        error = inner or error.__cause__


def _not_believed(error: ssl.SSLCertVerificationError, names: TlsNames) -> str:
    why = " ".join(error.verify_message.split()).rstrip(".")
    said = f"its certificate is not accepted: {why}"
    if error.verify_code == EXPIRED:
        return f"{said}: the server needs a new one"
    if error.verify_code == NOT_YET_VALID:
        return f"{said}: compare the clocks of both hosts"
    if error.verify_code in OTHER_NAMES:
        return said + names.check(names.server, ", and write the server as its certificate names it")
    if error.verify_code in UNKNOWN_AUTHORITIES:
        return said + names.check(names.ca, ", which must hold the authority that signed it")
    return said


def _failed(error: ssl.SSLError, names: TlsNames) -> str:
    reason = error.reason or ""

    def says(parts: tuple[str, ...]) -> bool:
        return any(part in reason for part in parts)

    if says(OURS_EXPIRED):
        return "our client certificate has expired" + names.check(names.cert, ", and reload when there is a new one")
    if says(WANTS_CERTIFICATE):
        return f"it asks for a client certificate{_give(names)}"
    if says(OURS_REFUSED):
        alert = reason.partition("ALERT_")[2].replace("_", " ").lower()
        return f"it does not accept our client certificate ({alert})" + names.check(
            names.cert, ", which must be signed by an authority that it knows"
        )
    if says(HANDSHAKE):
        return f"it refuses TLS with us (handshake failure); if it asks for a client certificate{_give(names)}"
    if says(VERSIONS):
        return "it offers no version of TLS that is still safe: it must speak TLS 1.2 or newer"
    if says(NO_TLS):
        plain = f"; write http:// in {names.server}, or the port where it does" if names.server else ""
        return f"TLS failed: it does not speak TLS there ({reason.replace('_', ' ').lower()}){plain}"
    return f"TLS failed: {' '.join(str(error).split())}"


def _give(names: TlsNames) -> str:
    return f": give {names.cert} and {names.key}" if names.cert else ""
