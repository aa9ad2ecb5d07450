"""What a kubeconfig says about one context: where the API server is and how to prove who we are.

Knows the YAML's shape.  Refuses to read files: paths in it come back as paths, relative ones as they stand.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import yaml

from kmsched.errors import ConfigRefused
from kmsched.wire import kube_yaml
from kmsched.wire.exec_credential import EXTENSION, V1, VERSIONS, ExecPlugin


@dataclass(frozen=True, slots=True)
class KubeSettings:
    """One context of a kubeconfig; PEM data are text, files are paths."""

    server: str
    user: str
    ca_data: str | None = None
    ca_file: str | None = None
    cert_data: str | None = None
    cert_file: str | None = None
    key_data: str | None = None
    key_file: str | None = None
    token: str | None = None
    token_file: str | None = None
    insecure: bool = False
    namespace: str | None = None
    exec: ExecPlugin | None = None


_UNSUPPORTED = ("auth-provider", "username", "password", "as", "as-uid", "as-groups")


def parse_kubeconfig(text: str, path: str, context: str | None = None) -> KubeSettings:
    """The settings of `context` (default: the current one).

    ConfigRefused names `path` and the field that is missing, of a wrong type or not supported.
    """
    try:
        found = kube_yaml.documents(text)
    except yaml.YAMLError as error:
        # its own words quote the lines around the place, and those may hold a token or a key
        mark = getattr(error, "problem_mark", None)
        where = f"see line {mark.line + 1}, column {mark.column + 1}" if mark else "it has characters that YAML has not"
        raise ConfigRefused(f"{path} is no YAML: {where}") from None
    if len(found) != 1:
        raise ConfigRefused(
            f"{path} {f'holds {len(found)} documents' if found else 'is empty'}: a kubeconfig is needed"
        )
    root = _Node(path, "", found[0])
    chosen = context or root.text("current-context")
    if not chosen:
        raise ConfigRefused(f"{path}: current-context is not set and no context is named")
    pair = root.named("contexts", chosen, "context")
    cluster = root.named("clusters", pair.required("cluster"), "cluster")
    user_name = pair.required("user")
    user = root.named("users", user_name, "user")
    for field in _UNSUPPORTED:
        if user.has(field):
            raise ConfigRefused(
                f"{user.where(field)} is not supported: use a token, a token file, a client certificate or exec"
            )
    settings = KubeSettings(
        server=_server(cluster),
        user=user_name,
        ca_data=cluster.pem("certificate-authority-data"),
        ca_file=cluster.text("certificate-authority"),
        cert_data=user.pem("client-certificate-data"),
        cert_file=user.text("client-certificate"),
        key_data=user.pem("client-key-data"),
        key_file=user.text("client-key"),
        token=user.text("token"),
        token_file=user.text("tokenFile"),
        insecure=cluster.flag("insecure-skip-tls-verify"),
        namespace=pair.text("namespace"),
        exec=_exec(user, cluster),
    )
    _check_pair(user, settings)
    return settings


def _exec(user: _Node, cluster: _Node) -> ExecPlugin | None:
    """The command that gives the credentials, if there is one."""
    if not user.has("exec"):
        return None
    for field in ("token", "tokenFile", "client-certificate", "client-certificate-data"):
        if user.has(field):
            raise ConfigRefused(f"{user.where('exec')} and {user.where(field)} are both set: remove one of them")
    asked = user.within("exec")
    version = asked.required("apiVersion")
    if version not in VERSIONS:
        raise ConfigRefused(f"{asked.where('apiVersion')} is {version!r}; known are {', '.join(VERSIONS)}")
    mode = asked.text("interactiveMode")
    if mode is None and version == V1:
        raise ConfigRefused(f"{asked.where('interactiveMode')} is missing: set Never, nobody sits at a terminal here")
    if mode not in (None, "Never", "IfAvailable"):
        raise ConfigRefused(f"{asked.where('interactiveMode')} is {mode}: set Never, nobody sits at a terminal here")
    command, args = asked.required("command"), tuple(asked.texts("args"))
    env = tuple((entry.required("name"), entry.text("value") or "") for entry in asked.each("env"))
    if any("\0" in text for text in (command, *args, *(text for pair in env for text in pair))):
        raise ConfigRefused(f"{user.where('exec')} has a NUL character, which no command can be given: remove it")
    for name, _ in env:
        if "=" in name:
            raise ConfigRefused(f"{asked.where('env')}: {name!r} is no name of a variable: remove the =")
    return ExecPlugin(
        command=command,
        args=args,
        env=env,
        api_version=version,
        install_hint=asked.text("installHint") or "",
        cluster=_cluster_info(cluster) if asked.flag("provideClusterInfo") else None,
    )


def _cluster_info(cluster: _Node) -> Mapping[str, Any]:
    """What the command is told of the cluster, but for the CA, which may be a file."""
    info: dict[str, Any] = {"server": cluster.required("server")}
    for field in ("tls-server-name", "proxy-url"):
        if text := cluster.text(field):
            info[field] = text
    if cluster.flag("insecure-skip-tls-verify"):
        info["insecure-skip-tls-verify"] = True
    named = [each for each in cluster.each("extensions") if each.text("name") == EXTENSION]
    if not named:
        return info
    config = named[0].value.get("extension")
    try:
        json.dumps(config)
    except TypeError as error:
        raise ConfigRefused(f"{named[0].where('extension')} cannot be told as JSON: {error}") from error
    return {**info, "config": config}


def _server(cluster: _Node) -> str:
    server = cluster.required("server")
    return check_server(server, cluster.where("server"))


def check_server(url: str, where: str) -> str:
    """`url` without a closing slash.  ConfigRefused, naming `where`, if it is no http(s) URL with a host."""
    try:
        split = urlsplit(url)
        usable = split.scheme in ("http", "https") and bool(split.hostname) and (split.port or 1) > 0
    except ValueError:
        usable = False
    if not usable:
        raise ConfigRefused(f"{where} must be a URL like https://10.0.0.1:6443, not {url!r}")
    return url.rstrip("/")


def _check_pair(user: _Node, settings: KubeSettings) -> None:
    has_cert = bool(settings.cert_data or settings.cert_file)
    has_key = bool(settings.key_data or settings.key_file)
    if has_cert != has_key:
        lone, other = ("client-certificate", "client-key") if has_cert else ("client-key", "client-certificate")
        raise ConfigRefused(f"{user.where(lone)} is set, but {other} is not: set both")


@dataclass(frozen=True, slots=True)
class _Node:
    """A mapping inside the file, with the way to it for messages."""

    path: str
    way: str
    value: Any

    def where(self, field: str) -> str:
        return f"{self.path}: {self.way}.{field}" if self.way else f"{self.path}: {field}"

    def has(self, field: str) -> bool:
        return self._get(field) is not None

    def text(self, field: str) -> str | None:
        found = self._get(field)
        if found is None or found == "":
            return None
        if not isinstance(found, str):
            raise ConfigRefused(f"{self.where(field)} must be text, not {_kind(found)}")
        return found

    def required(self, field: str) -> str:
        found = self.text(field)
        if found is None:
            raise ConfigRefused(f"{self.where(field)} is missing")
        return found

    def flag(self, field: str) -> bool:
        found = self._get(field)
        if found is None:
            return False
        if not isinstance(found, bool):
            raise ConfigRefused(f"{self.where(field)} must be true or false, not {_kind(found)}")
        return found

    def pem(self, field: str) -> str | None:
        found = self.text(field)
        if found is None:
            return None
        try:
            return base64.b64decode("".join(found.split()), validate=True).decode("ascii")
        except (binascii.Error, ValueError) as error:
            raise ConfigRefused(f"{self.where(field)} is not base64 of a PEM text: {error}") from error

    def within(self, field: str) -> _Node:
        return _Node(self.path, f"{self.way}.{field}", self._get(field))

    def each(self, field: str) -> list[_Node]:
        """The items of a list that may be missing."""
        return [_Node(self.path, f"{self.way}.{field}[{at}]", item) for at, item in enumerate(self._list(field))]

    def texts(self, field: str) -> list[str]:
        for at, item in enumerate(self._list(field)):
            if not isinstance(item, str):
                raise ConfigRefused(f"{self.where(field)}[{at}] must be text, not {_kind(item)}")
        return self._list(field)

    def _list(self, field: str) -> list[Any]:
        found = self._get(field)
        if found is None:
            return []
        if not isinstance(found, list):
            raise ConfigRefused(f"{self.where(field)} must be a list, not {_kind(found)}")
        return found

    def named(self, list_field: str, name: str, item_field: str) -> _Node:
        """The mapping `item_field` of the entry called `name` in the list `list_field`."""
        entries = self._get(list_field)
        if not isinstance(entries, list):
            raise ConfigRefused(f"{self.where(list_field)} must be a list, not {_kind(entries)}")
        for entry in entries:
            if isinstance(entry, dict) and entry.get("name") == name:
                way = f"{list_field}[{name}].{item_field}"
                # `user: null` and `user: {}` both mean no credentials.
                return _Node(self.path, way, {} if entry.get(item_field) is None else entry[item_field])
        known = ", ".join(sorted(str(entry.get("name")) for entry in entries if isinstance(entry, dict)))
        raise ConfigRefused(f"{self.where(list_field)} has no {name!r}; it has: {known or 'nothing'}")

    def _get(self, field: str) -> Any:
        if not isinstance(self.value, dict):
            raise ConfigRefused(f"{self.path}: {self.way or 'it'} must be a mapping, not {_kind(self.value)}")
        return self.value.get(field)


def _kind(value: object) -> str:
    """In words: the value itself may be a secret."""
    kinds = {dict: "a mapping", list: "a list", str: "text", bool: "true or false", type(None): "nothing"}
    return kinds.get(type(value), "a number" if isinstance(value, int | float) else "binary")
