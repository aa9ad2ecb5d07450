"""Certificates by the real openssl: subjects, reuse, refusals."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from testbed import pki
from testbed.errors import UsageError

SERVER = "https://10.88.0.1:6443"


@pytest.fixture
def kube(tmp_path: Path) -> Path:
    pki.make_authority(tmp_path / "pki")
    return tmp_path


def subject(certificate: Path) -> str:
    command = ["openssl", "x509", "-noout", "-subject", "-nameopt", "RFC2253", "-in", str(certificate)]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def test_a_node_gets_its_user_and_group_and_the_authority_vouches(kube: Path) -> None:
    file = pki.user(kube, SERVER, "system:node:h1", ["system:nodes"])
    certificate = kube / "pki" / f"{file.stem}.crt"
    assert subject(certificate) == "subject=CN=system:node:h1,O=system:nodes"
    verify = ["openssl", "verify", "-purpose", "sslclient", "-CAfile", str(kube / "pki/ca.crt"), str(certificate)]
    assert subprocess.run(verify, check=False, capture_output=True).returncode == 0


def test_a_kubeconfig_holds_all_inline_and_is_private(kube: Path) -> None:
    file = pki.user(kube, SERVER, "kmsched", ["system:masters"])
    config = json.loads(file.read_text())
    assert config["clusters"][0]["cluster"]["server"] == SERVER
    assert set(config["users"][0]["user"]) == {"client-certificate-data", "client-key-data"}
    assert file.stat().st_mode & 0o777 == 0o600


def test_the_same_user_keeps_the_certificate_and_other_groups_make_another(kube: Path) -> None:
    first = pki.user(kube, SERVER, "ann", [])
    text = first.read_text()
    assert pki.user(kube, SERVER, "ann", []) == first
    assert first.read_text() == text
    assert pki.user(kube, SERVER, "ann", ["ops"]) != first


@pytest.mark.parametrize("name", ["", "a/b", "../x", "a\nb", "a b", "x" * 64, "/CN=admin"])
def test_names_that_could_change_the_subject_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match="cannot be a user or group"):
        pki.user(tmp_path, SERVER, name, [])
