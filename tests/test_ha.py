from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from kmsched.errors import ConfigRefused, Fatal
from kmsched.ha import HaConfig, ha_config, read_password

NOTHING: dict[str, Any] = dict.fromkeys(
    (
        "etcd-user",
        "etcd-password-file",
        "etcd-ca-file",
        "etcd-cert-file",
        "etcd-key-file",
        "ha-renew-interval",
        "ha-request-deadline",
        "ha-renew-deadline",
        "ha-call-deadline",
        "ha-instance",
        "ha-url",
        "http-read-token-file",
        "http-act-token-file",
        "http-tls-cert-file",
        "http-tls-key-file",
        "http-tls-ca-file",
    )
)
GIVEN: dict[str, Any] = {
    **NOTHING,
    "ha": True,
    "etcd-servers": ("e1:2379", "https://e2:2379"),
    "ha-lease-ttl": 5.0,
    "address": "10.0.0.1",
    "port": 10251,
}


def made(**changes: Any) -> HaConfig:
    config = ha_config({**GIVEN, **{name.replace("_", "-"): value for name, value in changes.items()}}, "host-1")
    assert config is not None
    return config


def test_without_ha_there_is_nothing() -> None:
    assert ha_config({**GIVEN, "ha": False, "etcd-servers": ()}, "host-1") is None


def test_what_is_not_given_is_a_share_of_the_ttl() -> None:
    config = made()
    assert config.etcd_servers == ("http://e1:2379", "https://e2:2379")
    assert (config.instance, config.url) == ("host-1", "http://10.0.0.1:10251")
    durations = (config.renew_interval_s, config.request_deadline_s, config.renew_deadline_s, config.call_deadline_s)
    assert durations == pytest.approx((1.0, 1.6, 3.4, 1.0))
    assert made(ha_lease_ttl=2.0).renew_deadline_s == pytest.approx(1.36)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"etcd_servers": ()}, "--ha needs --etcd-servers"),
        ({"etcd_servers": ("e1",)}, "'e1' has no port"),
        ({"etcd_servers": ("e1:no",)}, "'e1:no' has no valid port"),
        ({"etcd_servers": ("http://e1",)}, "'http://e1' is no server"),
        ({"etcd_servers": ("[::1",)}, "'[::1' is no server"),
        ({"etcd_servers": ("http://[::1",)}, "'http://[::1'"),
        ({"etcd_servers": ("http://u:pw@e1:1",)}, "holds a user"),
        ({"etcd_servers": ("ftp://e1:1",)}, "'ftp://e1:1' is no server"),
        ({"ha_lease_ttl": 1.0}, "--ha-lease-ttl=1s: etcd counts whole seconds; give 2s or more"),
        ({"ha_lease_ttl": 2.5}, "--ha-lease-ttl=2500ms"),
        ({"ha_renew_interval": 3.0}, "--ha-renew-interval=3s + --ha-request-deadline=1600ms must be less than"),
        (
            {"ha_renew_deadline": 4.5},
            "--ha-renew-deadline=4500ms + --ha-call-deadline=1s must be less than --ha-lease-ttl=5s",
        ),
        ({"ha_call_deadline": 1.6}, "must be less than --ha-lease-ttl=5s"),
        ({"ha_request_deadline": 2.0, "ha_renew_interval": 0.1}, "at most a third"),
        ({"etcd_user": "km"}, "--etcd-user and --etcd-password-file go together"),
        ({"ha_instance": "a/b"}, "'a/b' is no name"),
        ({"address": "127.0.0.1"}, "peers cannot reach this scheduler at http://127.0.0.1:10251"),
        ({"address": "0.0.0.0"}, "peers cannot reach"),
        ({"ha_url": "http://localhost:1"}, "peers cannot reach"),
        ({"address": "::1"}, "peers cannot reach"),
    ],
)
def test_what_is_refused(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(Fatal) as refused:
        made(**changes)
    assert words in str(refused.value)


def test_the_password_is_read_without_its_line_break(tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text("s3cret\n")
    assert read_password(made(etcd_user="km", etcd_password_file=str(file))) == "s3cret"
    assert read_password(made()) is None
    file.write_text("\n")
    with pytest.raises(ConfigRefused, match="is empty"):
        read_password(made(etcd_user="km", etcd_password_file=str(file)))
    file.write_bytes(b"\xff")
    with pytest.raises(ConfigRefused, match="it is not UTF-8"):
        read_password(made(etcd_user="km", etcd_password_file=str(file)))
    file.unlink()
    with pytest.raises(ConfigRefused, match="cannot read"):
        read_password(made(etcd_user="km", etcd_password_file=str(file)))
