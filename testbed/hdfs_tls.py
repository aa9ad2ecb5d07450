"""The certificate with which HDFS's daemons speak TLS beside plain HTTP, and how they are told of it.

Knows files and properties; starts nothing. Daemons that were made before it was there have plain HTTP only.
"""

from __future__ import annotations

from pathlib import Path

from testbed import pki
from testbed.processes import output

#: nothing is secret here
PASSWORD = "testbed"


def authority(folder: Path) -> Path:
    """What clients must believe."""
    return folder / "ca.crt"


def keystore(folder: Path) -> Path:
    return folder / "hdfs.p12"


def make(folder: Path, address: str) -> None:
    """Authority, certificate and keystore, unless they are there."""
    if keystore(folder).exists():
        return
    pki.make_authority(folder)
    pki.certify(folder, "hdfs", "hdfs", extensions=f"extendedKeyUsage=serverAuth\nsubjectAltName=IP:{address}")
    new = folder / "hdfs.new"
    files = ["-in", str(folder / "hdfs.crt"), "-inkey", str(folder / "hdfs.key"), "-out", str(new)]
    output(["openssl", "pkcs12", "-export", "-name", "hdfs", "-passout", f"pass:{PASSWORD}", *files])
    new.replace(keystore(folder))


def server(folder: Path) -> dict[str, str]:
    """ssl-server.xml of daemons."""
    return {
        "ssl.server.keystore.location": str(keystore(folder)),
        "ssl.server.keystore.type": "pkcs12",
        "ssl.server.keystore.password": PASSWORD,
        "ssl.server.keystore.keypassword": PASSWORD,
    }
