"""client.authentication.k8s.io: a command that a kubeconfig names for its credentials; what it is told and answers.

Knows v1 and v1beta1, which differ in their name only.  Refuses to run anything: that is `clients.exec_plugin`'s.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from msgspec import Struct
from msgspec import json as msgspec_json

from kmsched.errors import ProtocolError
from kmsched.wire.typed import UNDECODABLE

GROUP = "client.authentication.k8s.io"
V1, V1BETA1 = f"{GROUP}/v1", f"{GROUP}/v1beta1"
VERSIONS = (V1, V1BETA1)
#: the name of a cluster's extension that is handed to the command
EXTENSION = f"{GROUP}/exec"
#: the variable in which the command is told whom it is asked for
INFO_VARIABLE = "KUBERNETES_EXEC_INFO"
KIND = "ExecCredential"
#: characters that messages show of what should be a short word
SHOWN = 100


@dataclass(frozen=True, slots=True)
class ExecPlugin:
    """`command` as the kubeconfig has it: a name, or a path that may be relative to the file's folder."""

    command: str
    args: tuple[str, ...] = ()
    env: tuple[tuple[str, str], ...] = ()
    api_version: str = V1
    install_hint: str = ""
    #: the cluster's part of what the command is told, but for the CA; None: it is not told
    cluster: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class ExecCredential:
    """A token, or certificate and key (PEM), or both. `expires_s`: seconds since the epoch."""

    token: str | None = field(default=None, repr=False)
    cert_data: str | None = field(default=None, repr=False)
    key_data: str | None = field(default=None, repr=False)
    expires_s: float | None = None


def question(plugin: ExecPlugin, ca_base64: str | None) -> str:
    """What the command finds in `INFO_VARIABLE`."""
    spec: dict[str, Any] = {"interactive": False}
    if plugin.cluster is not None:
        spec["cluster"] = {**plugin.cluster, **({"certificate-authority-data": ca_base64} if ca_base64 else {})}
    return json.dumps({"apiVersion": plugin.api_version, "kind": KIND, "spec": spec})


class _Status(Struct, rename="camel"):
    """null is what some commands write for nothing."""

    token: str | None = None
    client_certificate_data: str | None = None
    client_key_data: str | None = None
    expiration_timestamp: datetime | None = None


class _Answer(Struct, rename="camel"):
    api_version: str | None = None
    kind: str | None = None
    status: _Status | None = None


def decode_credential(output: bytes, api_version: str) -> ExecCredential:
    """ProtocolError: it is none; the words go on after the name of the command, and never hold a secret."""
    try:
        answer = msgspec_json.decode(output, type=_Answer)
    except UNDECODABLE as error:
        raise ProtocolError(f"printed no {KIND} in JSON: {error}") from None
    if (answer.api_version, answer.kind) != (api_version, KIND):
        kind, version = (answer.kind or "no kind")[:SHOWN], (answer.api_version or "")[:SHOWN]
        raise ProtocolError(
            f"printed {kind} of {version!r}, not {api_version}: the exec of the kubeconfig must name what it speaks"
        )
    status = answer.status
    if status is None:
        raise ProtocolError(f"printed an {KIND} without a status")
    token = (status.token or "").strip()
    if bool(status.client_certificate_data) != bool(status.client_key_data):
        lone = "clientCertificateData" if status.client_certificate_data else "clientKeyData"
        raise ProtocolError(f"printed {lone} alone: a certificate needs its key")
    if not (token or status.client_key_data):
        raise ProtocolError("printed neither a token nor a client certificate")
    if not (token.isascii() and token.isprintable()):
        raise ProtocolError("printed a token that is no single line of ASCII")
    until = status.expiration_timestamp
    return ExecCredential(
        token=token or None,
        cert_data=status.client_certificate_data or None,
        key_data=status.client_key_data or None,
        expires_s=None if until is None else (until if until.tzinfo else until.replace(tzinfo=UTC)).timestamp(),
    )
