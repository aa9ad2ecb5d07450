"""Certificates and kubeconfigs of the control plane and of its users, made with openssl.

Knows the authority's folder; nothing of processes. Files appear whole or not at all, and are kept and reused.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
import tempfile
from collections.abc import Sequence
from pathlib import Path

from testbed.errors import UsageError
from testbed.processes import output

DAYS = "3650"
CURVE = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
CLIENT = "extendedKeyUsage=clientAuth"
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9:._@-]{0,62}")


def make_authority(folder: Path) -> None:
    """The authority's key and certificate (ca), and the key for service account tokens (sa.key)."""
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)
    if not (folder / "ca.crt").exists():
        files = ["-keyout", str(folder / "ca.key"), "-out", str(folder / "ca.new")]
        usage = ["-addext", "keyUsage=critical,keyCertSign,digitalSignature"]
        output(["openssl", "req", "-x509", *CURVE, "-days", DAYS, "-subj", "/CN=testbed", *usage, *files])
        (folder / "ca.new").replace(folder / "ca.crt")
    if not (folder / "sa.key").exists():
        output(["openssl", "genrsa", "-out", str(folder / "sa.new"), "2048"])
        (folder / "sa.new").replace(folder / "sa.key")


def certify(folder: Path, name: str, common_name: str, groups: Sequence[str] = (), extensions: str = CLIENT) -> None:
    """Key and certificate `name` with this subject, signed by the authority, unless they are there.

    Raises:
        UsageError: a name that cannot stand in a subject.
    """
    if (folder / f"{name}.crt").exists():
        return
    for word in (common_name, *groups):
        if not NAME.fullmatch(word):
            raise UsageError(f"{word!r} cannot be a user or group here: letters, digits and :._@- are wanted")
    subject = "".join(f"/O={group}" for group in groups) + f"/CN={common_name}"
    key, request, new = (str(folder / f"{name}.{kind}") for kind in ("key", "csr", "new"))
    output(["openssl", "req", "-new", *CURVE, "-keyout", key, "-subj", subject, "-out", request])
    with tempfile.NamedTemporaryFile("w", suffix=".cnf", dir=folder) as settings:
        settings.write(f"keyUsage=critical,digitalSignature\n{extensions}\n")
        settings.flush()
        sign = [
            "openssl",
            "x509",
            "-req",
            "-in",
            request,
            "-CA",
            str(folder / "ca.crt"),
            "-CAkey",
            str(folder / "ca.key"),
        ]
        serial = f"0x{os.urandom(8).hex()}"
        output([*sign, "-set_serial", serial, "-days", DAYS, "-extfile", settings.name, "-out", new])
    Path(request).unlink()
    Path(new).replace(folder / f"{name}.crt")


def kubeconfig(folder: Path, name: str, server: str, target: Path) -> Path:
    """Writes the kubeconfig of certificate `name` to `target` (mode 0600); all inline, so it can be carried away."""

    def inline(file: str) -> str:
        return base64.b64encode((folder / file).read_bytes()).decode()

    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {"name": "testbed", "cluster": {"server": server, "certificate-authority-data": inline("ca.crt")}}
        ],
        "users": [
            {
                "name": name,
                "user": {
                    "client-certificate-data": inline(f"{name}.crt"),
                    "client-key-data": inline(f"{name}.key"),
                },
            }
        ],
        "contexts": [{"name": "testbed", "context": {"cluster": "testbed", "user": name}}],
        "current-context": "testbed",
    }
    scratch = target.with_suffix(".new")
    scratch.touch(mode=0o600)
    scratch.write_text(json.dumps(config, indent=1))  # JSON is YAML, too
    scratch.replace(target)
    return target


def user(kube: Path, server: str, name: str, groups: Sequence[str]) -> Path:
    """Path of the kubeconfig of a user in these groups; issued once, then reused."""
    identity = hashlib.sha256("\n".join([name, *groups]).encode()).hexdigest()[:8]
    file = f"user-{re.sub('[^A-Za-z0-9._-]', '_', name)}-{identity}"
    certify(kube / "pki", file, name, groups)
    return kubeconfig(kube / "pki", file, server, kube / f"{file}.kubeconfig")
