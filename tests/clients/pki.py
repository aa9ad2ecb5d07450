"""Certificates of the tests of TLS, made by openssl: an authority, who was signed by it, and who was not."""

from __future__ import annotations

import ssl
import subprocess
from dataclasses import dataclass
from pathlib import Path

from kmsched.clients.aiohttp_transport import TlsSettings

KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
OVER = "-1"


@dataclass(frozen=True)
class Pki:
    """PEM files NAME.crt and NAME.key. Signed by `ca`: server (of `host`), elsewhere (of another), client, old (over),
    oldserver (over); signed by `other`: stranger, imposter (of `host`)."""

    folder: Path

    def path(self, name: str) -> str:
        return str(self.folder / name)

    def text(self, name: str) -> str:
        return (self.folder / name).read_text(encoding="ascii")

    def server(self, name: str = "server", wants: ssl.VerifyMode = ssl.CERT_OPTIONAL) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.path(f"{name}.crt"), self.path(f"{name}.key"))
        context.load_verify_locations(self.path("ca.crt"))
        context.verify_mode = wants
        return context

    def client(self, name: str = "client", ca: str = "ca") -> TlsSettings:
        return TlsSettings(
            self.path(f"{ca}.crt"), cert_file=self.path(f"{name}.crt"), key_file=self.path(f"{name}.key")
        )


def make(folder: Path, host: str = "IP:127.0.0.1") -> Pki:
    for name in ("ca", "other"):
        _authority(folder, name)
    _signed(folder, "server", host)
    _signed(folder, "elsewhere", "DNS:elsewhere")
    _signed(folder, "client", "DNS:client")
    _signed(folder, "old", "DNS:old", days=OVER)
    _signed(folder, "oldserver", host, days=OVER)
    _signed(folder, "stranger", "DNS:stranger", by="other")
    _signed(folder, "imposter", host, by="other")
    (folder / "broken.crt").write_text("-----BEGIN CERTIFICATE-----\nnonsense\n-----END CERTIFICATE-----\n")
    return Pki(folder)


def _authority(folder: Path, name: str) -> None:
    usage = ("-addext", "keyUsage=critical,keyCertSign,cRLSign")
    files = ("-keyout", f"{name}.key", "-out", f"{name}.crt")
    _openssl(folder, "req", "-x509", *KEY, *usage, "-subj", f"/CN={name}", *files)


def _signed(folder: Path, name: str, alternative: str, *, by: str = "ca", days: str = "30") -> None:
    _openssl(folder, "req", *KEY, "-subj", f"/CN={name}", "-keyout", f"{name}.key", "-out", f"{name}.csr")
    (folder / f"{name}.ext").write_text(f"subjectAltName={alternative}\nauthorityKeyIdentifier=keyid\n")
    signer = ("-CA", f"{by}.crt", "-CAkey", f"{by}.key", "-CAcreateserial")
    files = ("-in", f"{name}.csr", "-extfile", f"{name}.ext", "-out", f"{name}.crt")
    _openssl(folder, "x509", "-req", *signer, *files, "-days", days)


def _openssl(folder: Path, *arguments: str) -> None:
    subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)
