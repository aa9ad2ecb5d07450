"""What the filters for several schedulers say: addresses, the order of changes, and the words of a gate."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest

from plugins.filter import km_group


def answer(role: str = "standby", **more: Any) -> dict[str, Any]:
    return {"ready": True, "reasons": [], "role": role, "framework_id": "f", "fingerprint": "a"} | more


@pytest.mark.parametrize(
    ("address", "url"),
    [
        ("10.0.0.1", "http://10.0.0.1:1"),
        ("0.0.0.0", "http://127.0.0.1:1"),
        ("::", "http://[::1]:1"),
        ("fd00::2", "http://[fd00::2]:1"),
    ],
)
def test_a_host_can_call_itself(address: str, url: str) -> None:
    assert km_group.url(address, 1) == url
    assert km_group.url(address, 1, "https") == url.replace("http", "https")


def test_members_of_etcd_are_where_the_inventory_says() -> None:
    hosts: list[dict[str, Any]] = [
        {"inventory_hostname": "e1"},
        {"inventory_hostname": "e2", "ansible_host": "10.0.0.2"},
        {"inventory_hostname": "e3", "ansible_host": "10.0.0.3", "etcd_address": "fd00::3", "etcd_client_port": 99},
    ]
    assert km_group.etcd_urls(hosts) == ["https://e1:2379", "https://10.0.0.2:2379", "https://[fd00::3]:99"]


def test_files_of_agents_are_read_off_a_flags_file() -> None:
    text = "# x\n--kubelet_path=hdfs:///1/kubelet\n--km-path=hdfs:///2/km\n--kubelet-v=2\n--ha=true\n"
    assert km_group.program_flags(text) == {"km-path": "hdfs:///2/km", "kubelet-path": "hdfs:///1/kubelet"}


def test_files_that_are_not_made_yet_are_not_wanted() -> None:
    digests = [
        {"item": {"name": "ca.crt"}, "stat": {"path": "/here/a", "exists": True, "checksum": "1f"}},
        {"item": {"name": "password"}, "stat": {"path": "/here/b", "exists": False}},
    ]
    assert km_group.placed_at(digests, "/etc/x") == [{"path": "/etc/x/ca.crt", "sha256": "1f", "src": "/here/a"}]
    [under] = km_group.placed_at(digests, "/etc/x", under_digest=True)
    assert under == {"path": "/etc/x/1f/ca.crt", "sha256": "1f", "src": "/here/a"}
    assert km_group.folders([under, under, {"path": "/etc/y"}]) == [
        {"path": "/etc/x/1f", "folder": True},
        {"path": "/etc", "folder": True},
    ]
    assert km_group.file_in("/here/a.tar", "/there") == {"path": "/there/a.tar", "src": "/here/a.tar"}


def test_the_leader_is_changed_last() -> None:
    roles = {"s1": "active", "s2": "standby", "s3": "", "s4": "standby"}
    assert km_group.leader_last(roles) == ["s2", "s3", "s4", "s1"]
    assert km_group.leader_last({"s1": "reconciling", "s2": "standby"}) == ["s2", "s1"]


def test_a_whole_group_has_no_faults() -> None:
    hosts = {"s1": answer("active"), "s2": answer()}
    assert km_group.group_faults(hosts) == []
    assert km_group.group_faults(hosts, {"framework_id": "f", "fingerprint": "a"}) == []
    assert km_group.group_faults({"s1": answer("active")}) == []


def test_faults_name_the_host_and_the_reason() -> None:
    hosts = {"s1": answer("active"), "s2": answer(ready=False, reasons=["pods are not listed yet"]), "s3": {}}
    assert km_group.group_faults(hosts) == [
        "s2: standby, not ready: pods are not listed yet",
        "s3: no scheduler answers; look at journalctl -u km-scheduler there",
    ]


@pytest.mark.parametrize(
    ("roles", "words"),
    [(("standby", "standby"), "none of them leads"), (("active", "active"), "s1 and s2 lead at once")],
)
def test_one_leads(roles: tuple[str, str], words: str) -> None:
    assert km_group.group_faults({"s1": answer(roles[0]), "s2": answer(roles[1])}) == [words]


def test_another_host_may_lead_when_not_all_are_asked() -> None:
    assert km_group.group_faults({"s2": answer()}, is_all=False) == []
    assert km_group.group_faults({"s2": answer("active"), "s3": answer("active")}, is_all=False) != []


def test_what_must_stay_is_compared() -> None:
    hosts = {"s1": answer("active"), "s2": answer(framework_id="g")}
    assert km_group.group_faults(hosts, {"framework_id": "f"}) == ["s2: framework id 'g' instead of 'f'"]


E1: dict[str, Any] = {"inventory_hostname": "e1", "ansible_host": "10.0.0.1"}
E2: dict[str, Any] = {"inventory_hostname": "e2", "etcd_address": "fd00::2"}
PEM = "-----BEGIN CERTIFICATE-----\n%s\n-----END CERTIFICATE-----\n"


def test_members_know_each_other_by_name_and_address() -> None:
    assert km_group.etcd_members([E1, E2], 2380) == "e1=https://10.0.0.1:2380,e2=https://[fd00::2]:2380"


def there(members: str = "", authority: str = "") -> dict[str, str]:
    settings = f'name: "e1"\ninitial-cluster: "{members}"\ninitial-cluster-token: kmsched\n' if members else ""
    return {"settings": settings, "authority": authority}


def test_an_etcd_that_is_there_stays_the_one_that_it_is() -> None:
    wanted = km_group.etcd_members([E1], 2380)
    assert km_group.etcd_faults({"e1": there(), "e2": there()}, wanted, "") == []
    assert km_group.etcd_faults({"e1": there(wanted, PEM % "a"), "e2": there()}, wanted, PEM % "a") == []
    # an authority is changed by way of both
    both = PEM % "a" + PEM % "b"
    assert km_group.etcd_faults({"e1": there(wanted, PEM % "a")}, wanted, both) == []
    assert km_group.etcd_faults({"e1": there(wanted, both)}, wanted, PEM % "b") == []


def test_a_member_that_would_begin_an_etcd_of_its_own_is_refused() -> None:
    wanted = km_group.etcd_members([E1, E2], 2380)
    [fault] = km_group.etcd_faults({"e1": there("e1=https://10.0.0.1:2380"), "e2": there()}, wanted, "")
    assert fault.startswith("e1: its members are e1=https://10.0.0.1:2380, and e1=https://10.0.0.1:2380,e2=https")


@pytest.mark.parametrize(
    ("authority", "words"),
    [("", "e1: its authority is not on this controller"), (PEM % "b", "e1: its authority is another than the one")],
)
def test_another_authority_would_end_an_etcd_that_runs(authority: str, words: str) -> None:
    wanted = km_group.etcd_members([E1], 2380)
    [fault] = km_group.etcd_faults({"e1": there(wanted, PEM % "a")}, wanted, authority)
    assert fault.startswith(words)


def test_what_ansible_decrypts_has_the_digest_of_what_it_reads() -> None:
    looks: list[dict[str, Any]] = [
        {"item": {"name": "km"}, "stat": {"path": "/a/km", "exists": True, "checksum": "1f"}},
        {"item": {"name": "token"}, "stat": {"path": "/a/token", "exists": True, "checksum": "2f"}},
        {"item": {"name": "none"}, "stat": {"path": "/a/none", "exists": False}},
    ]
    read = km_group.as_read(looks, {"/a/token": "hush\n"})
    assert [each["stat"].get("checksum") for each in read] == ["1f", hashlib.sha256(b"hush\n").hexdigest(), None]
    assert looks[1]["stat"]["checksum"] == "2f"
