from __future__ import annotations

import base64
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from kmsched.errors import ConfigRefused
from kmsched.wire.exec_credential import EXTENSION, V1, V1BETA1, ExecPlugin
from kmsched.wire.kubeconfig import KubeSettings, parse_kubeconfig

Document = dict[str, Any]


def document(cluster: Document | None = None, user: Document | None = None) -> Document:
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "main",
        "contexts": [{"name": "main", "context": {"cluster": "c", "user": "u", "namespace": "ns"}}],
        "clusters": [{"name": "c", "cluster": {"server": "https://10.0.0.1:6443/", **(cluster or {})}}],
        "users": [{"name": "u", "user": user if user is not None else {"token": "t"}}],
    }


def parse(found: object, context: str | None = None) -> KubeSettings:
    return parse_kubeconfig(yaml.safe_dump(found), "/etc/km/kubeconfig", context)


def refusal(text: str, context: str | None = None) -> str:
    with pytest.raises(ConfigRefused) as caught:
        parse_kubeconfig(text, "/etc/km/kubeconfig", context)
    assert "/etc/km/kubeconfig" in str(caught.value)
    return str(caught.value)


def b64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def test_a_token() -> None:
    assert parse(document()) == KubeSettings("https://10.0.0.1:6443", "u", token="t", namespace="ns")


def test_inline_certificates() -> None:
    found = parse(
        document(
            {"certificate-authority-data": b64("CA")},
            {"client-certificate-data": b64("CERT"), "client-key-data": b64("KEY")},
        )
    )
    assert (found.ca_data, found.cert_data, found.key_data, found.token) == ("CA", "CERT", "KEY", None)


def test_files_come_back_as_they_stand() -> None:
    user = {"client-certificate": "c.crt", "client-key": "/k.key", "tokenFile": "token"}
    found = parse(document({"certificate-authority": "ca.crt", "insecure-skip-tls-verify": True}, user))
    assert (found.ca_file, found.cert_file, found.key_file) == ("ca.crt", "c.crt", "/k.key")
    assert (found.token_file, found.insecure) == ("token", True)


def test_another_context_can_be_named() -> None:
    found = document()
    found["contexts"].append({"name": "other", "context": {"cluster": "c", "user": "nobody"}})
    found["users"].append({"name": "nobody", "user": None})
    assert parse(found, "other").user == "nobody"


def changed(**changes: object) -> str:
    return yaml.safe_dump({**document(), **changes})


V1ALPHA1 = "client.authentication.k8s.io/v1alpha1"
EXEC: Document = {"apiVersion": V1, "command": "get-token", "interactiveMode": "Never"}


def executing(**changes: object) -> str:
    return yaml.safe_dump(document(user={"exec": {**EXEC, **changes}}))


def test_a_command_for_credentials() -> None:
    more = {
        "args": ["--cluster", "k"],
        "env": [{"name": "PROFILE", "value": "p"}, {"name": "EMPTY"}],
        "installHint": "get it there",
        "provideClusterInfo": True,
    }
    cluster = {
        "certificate-authority": "ca.crt",
        "tls-server-name": "k",
        "extensions": [{"name": "x"}, {"name": EXTENSION, "extension": {"audience": "a"}}],
    }
    assert parse(document(cluster, {"exec": EXEC | more})).exec == ExecPlugin(
        command="get-token",
        args=("--cluster", "k"),
        env=(("PROFILE", "p"), ("EMPTY", "")),
        api_version=V1,
        install_hint="get it there",
        cluster={"server": "https://10.0.0.1:6443/", "tls-server-name": "k", "config": {"audience": "a"}},
    )


def test_what_the_command_is_told_of_the_cluster_is_json() -> None:
    told = {"clusters": [{"name": "c", "cluster": {"server": "https://k", "extensions": [{"name": EXTENSION}]}}]}
    text = yaml.safe_dump({**document(user={"exec": {**EXEC, "provideClusterInfo": True}}), **told})
    found = parse_kubeconfig(text.replace(f"name: {EXTENSION}", f"name: {EXTENSION}\n      extension: 2026-01-01"), "f")
    assert found.exec is not None and found.exec.cluster == {"server": "https://k", "config": "2026-01-01"}
    refused = text.replace(f"name: {EXTENSION}", f"name: {EXTENSION}\n      extension: !!binary aGk=")
    assert "extensions[0].extension cannot be told as JSON: Object of type bytes" in refusal(refused)


def test_the_mode_may_be_missing_in_v1beta1() -> None:
    found = parse(document(user={"exec": {"apiVersion": V1BETA1, "command": "c", "interactiveMode": "IfAvailable"}}))
    assert found.exec == ExecPlugin("c", api_version=V1BETA1)
    assert parse(document(user={"exec": {"apiVersion": V1BETA1, "command": "c"}})).exec == found.exec


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is empty"),
        ("# nothing\n", "is empty"),
        ("a: [", "is no YAML"),
        ("- " * 100_000, "is no YAML: see line 1, column"),
        ("a: 1\n---\nb: 2\n", "holds 2 documents: a kubeconfig is needed"),
        ("\x00", "is no YAML"),
        ("- a", "it must be a mapping, not a list"),
        ("just text", "it must be a mapping, not text"),
        (changed(**{"current-context": None}), "current-context is not set"),
        (changed(**{"current-context": 5}), "current-context must be text, not a number"),
        (changed(**{"current-context": "x"}), "contexts has no 'x'; it has: main"),
        (changed(contexts=None), "contexts must be a list, not nothing"),
        (changed(contexts=[]), "contexts has no 'main'; it has: nothing"),
        (changed(contexts=[{"name": "main"}]), "contexts[main].context.cluster is missing"),
        (changed(contexts=[{"name": "main", "context": []}]), "contexts[main].context must be a mapping, not a list"),
        (changed(clusters={}), "clusters must be a list, not a mapping"),
        (changed(clusters=[5]), "clusters has no 'c'; it has: nothing"),
        (changed(clusters=[{"name": "c"}]), "clusters[c].cluster.server is missing"),
        (changed(users=[]), "users has no 'u'; it has: nothing"),
        (yaml.safe_dump(document({"server": "10.0.0.1"})), "server must be a URL like https://10.0.0.1:6443"),
        (yaml.safe_dump(document({"server": "https://h:x"})), "must be a URL like"),
        (
            yaml.safe_dump(document({"insecure-skip-tls-verify": "yes"})),
            "clusters[c].cluster.insecure-skip-tls-verify must be true or false, not text",
        ),
        (
            yaml.safe_dump(document({"certificate-authority-data": "%%"})),
            "clusters[c].cluster.certificate-authority-data is not base64 of a PEM text",
        ),
        (yaml.safe_dump(document(user={"token": 5})), "users[u].user.token must be text, not a number"),
        (yaml.safe_dump(document(user={"auth-provider": {}})), "auth-provider is not supported"),
        (yaml.safe_dump(document(user={"username": "x"})), "username is not supported"),
        (executing(apiVersion=None), "users[u].user.exec.apiVersion is missing"),
        (
            executing(apiVersion="v1"),
            "users[u].user.exec.apiVersion is 'v1'; known are client.authentication.k8s.io/v1",
        ),
        (executing(apiVersion=V1ALPHA1), "exec.apiVersion is 'client.authentication.k8s.io/v1alpha1'; known are"),
        (executing(command=None), "users[u].user.exec.command is missing"),
        (executing(interactiveMode=None), "exec.interactiveMode is missing: set Never"),
        (executing(interactiveMode="Always"), "exec.interactiveMode is Always: set Never, nobody sits at a terminal"),
        (executing(args="a"), "users[u].user.exec.args must be a list, not text"),
        (executing(args=["a", 5]), "users[u].user.exec.args[1] must be text, not a number"),
        (executing(env={"A": "b"}), "users[u].user.exec.env must be a list, not a mapping"),
        (executing(env=[{"value": "b"}]), "users[u].user.exec.env[0].name is missing"),
        (executing(env=["A=b"]), "users[u].user.exec.env[0] must be a mapping, not text"),
        (executing(env=[{"name": "A=B"}]), "users[u].user.exec.env: 'A=B' is no name of a variable: remove the ="),
        (executing(args=["a\0"]), "users[u].user.exec has a NUL character, which no command can be given: remove it"),
        (executing(env=[{"name": "A", "value": "\0"}]), "users[u].user.exec has a NUL character"),
        (executing(provideClusterInfo="yes"), "exec.provideClusterInfo must be true or false, not text"),
        (yaml.safe_dump(document(user={"exec": "x"})), "users[u].user.exec must be a mapping, not text"),
        (
            yaml.safe_dump(document(user={"exec": EXEC, "token": "t"})),
            "users[u].user.exec and /etc/km/kubeconfig: users[u].user.token are both set: remove one of them",
        ),
        (
            yaml.safe_dump(document(user={"client-key": "k"})),
            "users[u].user.client-key is set, but client-certificate is not",
        ),
        (
            yaml.safe_dump(document(user={"client-certificate": "k"})),
            "users[u].user.client-certificate is set, but client-key is not",
        ),
    ],
)
def test_what_cannot_work_is_named(text: str, words: str) -> None:
    assert words in refusal(text)


@given(st.text(max_size=60))
def test_any_text_is_settings_or_a_refusal(text: str) -> None:
    assert refusal(text)


@given(
    st.sampled_from(["current-context", "contexts", "clusters", "users"]),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.sampled_from(["name", "main", "c", "u"]),
        lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["name", "cluster", "user", "context"]), inner),
        max_leaves=8,
    ),
)
def test_any_shape_of_a_field_is_settings_or_a_refusal(field: str, value: object) -> None:
    try:
        found = parse({**document(), field: value})
    except ConfigRefused as error:
        assert "/etc/km/kubeconfig" in str(error)
    else:
        assert found.server == "https://10.0.0.1:6443"
