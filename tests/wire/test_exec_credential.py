from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kmsched.errors import ProtocolError
from kmsched.wire.exec_credential import V1, V1BETA1, ExecCredential, ExecPlugin, decode_credential, question


def answer(version: str = V1, **status: Any) -> bytes:
    return json.dumps({"apiVersion": version, "kind": "ExecCredential", "status": status}).encode()


@pytest.mark.parametrize("version", [V1, V1BETA1])
def test_the_command_is_told_whom_it_is_asked_for(version: str) -> None:
    plugin = ExecPlugin("c", api_version=version, cluster={"server": "https://k:6443", "config": {"audience": "a"}})
    assert json.loads(question(plugin, "Q0E=")) == {
        "apiVersion": version,
        "kind": "ExecCredential",
        "spec": {
            "interactive": False,
            "cluster": {
                "server": "https://k:6443",
                "config": {"audience": "a"},
                "certificate-authority-data": "Q0E=",
            },
        },
    }


def test_without_provide_cluster_info_nothing_is_told_of_the_cluster() -> None:
    assert json.loads(question(ExecPlugin("c"), "Q0E="))["spec"] == {"interactive": False}


def test_a_token_with_its_end() -> None:
    found = decode_credential(answer(token="t\n", expirationTimestamp="1970-01-01T01:00:00+01:00"), V1)
    assert found == ExecCredential(token="t", expires_s=0.0)
    assert decode_credential(answer(token="t", expirationTimestamp="1970-01-01T00:01:00Z"), V1).expires_s == 60.0


def test_a_certificate_with_its_key() -> None:
    found = decode_credential(answer(V1BETA1, clientCertificateData="C", clientKeyData="K"), V1BETA1)
    assert found == ExecCredential(cert_data="C", key_data="K")


def test_null_is_nothing() -> None:
    nothing = answer(token="t", clientCertificateData=None, clientKeyData=None, expirationTimestamp=None)
    assert decode_credential(nothing, V1) == ExecCredential(token="t")
    found = decode_credential(answer(token=None, clientCertificateData="C", clientKeyData="K"), V1)
    assert found == ExecCredential(cert_data="C", key_data="K")


def test_secrets_are_not_in_its_words() -> None:
    assert "hush" not in repr(ExecCredential(token="hush", cert_data="hush", key_data="hush"))


@pytest.mark.parametrize(
    ("output", "words"),
    [
        (b"", "printed no ExecCredential in JSON"),
        (b"token", "printed no ExecCredential in JSON"),
        (b"\xff", "printed no ExecCredential in JSON"),
        (b"[" * 100_000, "printed no ExecCredential in JSON"),
        (b"{}", "printed no kind of '', not client.authentication.k8s.io/v1"),
        (answer(V1BETA1, token="t"), "printed ExecCredential of 'client.authentication.k8s.io/v1beta1', not "),
        (
            json.dumps({"apiVersion": V1, "kind": "ExecCredential"}).encode(),
            "printed an ExecCredential without a status",
        ),
        (answer(), "neither a token nor a client certificate"),
        (answer(clientKeyData="K"), "printed clientKeyData alone"),
        (answer(clientCertificateData="C", token="t"), "printed clientCertificateData alone"),
        (answer(token="a\nb"), "printed a token that is no single line of ASCII"),
        (answer(token="\u00e4"), "printed a token that is no single line of ASCII"),
        (answer(token="a\rb"), "printed a token that is no single line of ASCII"),
        (answer(token="a\x00b"), "printed a token that is no single line of ASCII"),
        (answer(token=" \n"), "neither a token nor a client certificate"),
        (answer("x" * 1000, token="t"), f"printed ExecCredential of '{'x' * 100}', not "),
        (answer(token=5), "Expected `str | null`, got `int` - at `$.status.token`"),
        (answer(token="t", expirationTimestamp="tomorrow"), "Invalid RFC3339 encoded datetime"),
    ],
)
def test_what_is_no_credential_is_named(output: bytes, words: str) -> None:
    with pytest.raises(ProtocolError) as caught:
        decode_credential(output, V1)
    assert words in str(caught.value)


@given(st.binary(max_size=200))
def test_any_output_is_a_credential_or_a_protocol_error(output: bytes) -> None:
    with pytest.raises(ProtocolError):
        decode_credential(output, V1)
