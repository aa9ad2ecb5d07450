"""Filters for several schedulers: where they and etcd are, in which order they are changed, and whether all is well.

Makes values and words of what Ansible has gathered; looks at nothing itself.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

Json = Mapping[str, Any]

ETCD_PORT = 2379
INITIAL_CLUSTER = re.compile(r'^initial-cluster: "(.*)"$', re.MULTILINE)
CERTIFICATE = re.compile(r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", re.DOTALL)
PROGRAM_FLAGS = ("km-path", "kubelet-path", "proxy-path")
ACTIVE, STANDBY = "active", "standby"
#: addresses that a server binds to and nobody can call
EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}


def url(address: str, port: int | str, scheme: str = "http") -> str:
    """`scheme`://`address`:`port`, as it is called on the host itself when the address is "all of this host's"."""
    host = EVERYWHERE.get(address, address)
    return f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}"


def etcd_address(host: Json) -> str:
    """Of a member of etcd; `host`: its variables."""
    return str(host.get("etcd_address") or host.get("ansible_host") or host["inventory_hostname"])


def etcd_urls(hosts: Iterable[Json]) -> list[str]:
    """Where schedulers ask the members of etcd."""
    found = []
    for host in hosts:
        found.append(url(etcd_address(host), host.get("etcd_client_port", ETCD_PORT), "https"))
    return found


def etcd_members(hosts: Iterable[Json], port: int | str) -> str:
    """Names of the members and where they ask each other, as etcd wants it."""
    return ",".join(f"{host['inventory_hostname']}={url(etcd_address(host), port, 'https')}" for host in hosts)


def etcd_faults(hosts: Mapping[str, Mapping[str, str]], wanted: str, authority: str) -> list[str]:
    """Words for each reason for which the etcd that is there would not be the one that is wanted; with the host first.

    `hosts`: name -> {"settings": its etcd.yml, "authority": its ca.crt}, "" for a file that is not there. `wanted`: the
    members; `authority`: of the controller, "" for none.
    """
    return [words for name, there in hosts.items() for words in _of_another_etcd(name, there, wanted, authority)]


def _of_another_etcd(name: str, there: Mapping[str, str], wanted: str, authority: str) -> Iterator[str]:
    found = INITIAL_CLUSTER.search(there["settings"])
    if found is not None and found[1] != wanted:
        yield (
            f"{name}: its members are {found[1]}, and {wanted} in the inventory; members that are new would begin an"
            " etcd of their own beside it, with other records"
        )
    if there["authority"] and not set(CERTIFICATE.findall(there["authority"])) & set(CERTIFICATE.findall(authority)):
        which = "another than the one" if authority else "not"
        yield f"{name}: its authority is {which} on this controller; with other certificates nobody could talk to it"


def program_flags(text: str) -> dict[str, str]:
    """The files that agents run, by flag, as the text of a flags file names them."""
    pairs = (line.strip().partition("=") for line in text.splitlines())
    named = {name.removeprefix("--").replace("_", "-"): value for name, _, value in pairs if name.startswith("--")}
    return {name: named[name] for name in PROGRAM_FLAGS if name in named}


def placed_at(digests: Sequence[Json], folder: str, under_digest: bool = False) -> list[dict[str, str]]:
    """{"path", "sha256", "src"} of each file that `km_look` at {"name"} has found on the controller, for `km_place`.

    `under_digest`: in a folder that is called by its SHA-256.
    """
    found = []
    for each in digests:
        if each["stat"]["exists"]:
            sha256 = each["stat"]["checksum"]
            name = f"{sha256}/{each['item']['name']}" if under_digest else each["item"]["name"]
            found.append({"path": f"{folder}/{name}", "sha256": sha256, "src": each["stat"]["path"]})
    return found


def as_read(looks: Sequence[Json], contents: Mapping[str, str]) -> list[Json]:
    """`looks`, of `km_look` on the controller, with the SHA-256 of what Ansible reads, path -> content.

    That of the file is another when it is encrypted with ansible-vault.
    """
    return [{**each, "stat": {**each["stat"], **_digest(contents.get(each["stat"]["path"]))}} for each in looks]


def _digest(content: str | None) -> dict[str, str]:
    if content is None:
        return {}
    return {"checksum": hashlib.sha256(content.encode(errors="surrogateescape")).hexdigest()}


def file_in(src: str, folder: str) -> dict[str, str]:
    """For `km_place`: a file of the controller, under its own name."""
    return {"path": f"{folder}/{src.rpartition('/')[2]}", "src": src}


def folders(files: Sequence[Json]) -> list[dict[str, Any]]:
    """For `km_place`: the folders that have these files."""
    return [{"path": path, "folder": True} for path in dict.fromkeys(each["path"].rpartition("/")[0] for each in files)]


def leader_last(roles: Mapping[str, str]) -> list[str]:
    """Names of the hosts in the order in which they are changed; `roles`: name -> role, "" for one that is down."""
    return sorted(roles, key=lambda name: roles[name] not in ("", STANDBY))


def group_faults(hosts: Mapping[str, Json], wanted: Json | None = None, is_all: bool = True) -> list[str]:
    """Words for each reason for which a group of schedulers is not whole; they begin with the host.

    `hosts`: name -> its answer at /readyz, an empty mapping if nobody answered. `wanted`: what all answers must say
    besides, like {"framework_id": …}. `is_all`: there are no other schedulers that could lead.
    """
    found = [words for name, answer in hosts.items() for words in _unready(name, answer)]
    leaders = [name for name, answer in hosts.items() if answer.get("role") == ACTIVE]
    if len(leaders) > 1:
        found.append(f"{' and '.join(leaders)} lead at once")
    if not leaders and is_all:
        found.append("none of them leads")
    for key, value in (wanted or {}).items():
        found += [
            f"{name}: {key.replace('_', ' ')} {answer.get(key)!r} instead of {value!r}"
            for name, answer in hosts.items()
            if answer and answer.get(key) != value
        ]
    return found


def _unready(name: str, answer: Json) -> Iterator[str]:
    if not answer:
        yield f"{name}: no scheduler answers; look at journalctl -u km-scheduler there"
    elif not answer.get("ready"):
        yield f"{name}: {answer.get('role')}, not ready: {'; '.join(answer.get('reasons', ())) or 'no reason given'}"


class FilterModule:
    """What Ansible looks for in this file."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {
            "km_url": url,
            "km_etcd_address": etcd_address,
            "km_etcd_urls": etcd_urls,
            "km_etcd_members": etcd_members,
            "km_etcd_faults": etcd_faults,
            "km_program_flags": program_flags,
            "km_placed_at": placed_at,
            "km_as_read": as_read,
            "km_file_in": file_in,
            "km_folders": folders,
            "km_leader_last": leader_last,
            "km_group_faults": group_faults,
        }
