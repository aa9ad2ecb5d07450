"""kube-proxy's command line, and how it is chosen which of the kernel's tables it writes to.

Knows kube-proxy's flags and the two ways of asking the kernel.  It runs nothing: `executor.proxy` does.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

HEALTHZ_PORT = 10256


@dataclass(frozen=True, slots=True)
class Mode:
    """A mode of kube-proxy and a command that succeeds where the kernel has what it needs, changing nothing."""

    name: str
    needs: str
    asks: tuple[str, ...]
    told: str = ""


#: best first
MODES = (
    Mode(
        "nftables",
        "nf_tables with NAT (CONFIG_NF_TABLES, CONFIG_NFT_NAT) and the program nft",
        ("nft", "--check", "--file", "-"),
        # a transaction that is checked by the kernel and not made; a hook of the kind that is needed loads its module
        "add table ip kmsched-asks\n"
        "add chain ip kmsched-asks nat { type nat hook prerouting priority -100 ; }\n"
        "add rule ip kmsched-asks nat ip protocol tcp dnat to 127.0.0.1:1 \n",
    ),
    Mode(
        "iptables",
        "iptables with NAT (CONFIG_IP_NF_NAT or nft_compat) and the program iptables",
        ("iptables", "--wait", "5", "--table", "nat", "--list-rules", "PREROUTING"),
    ),
)


def command(
    proxy: Path, *, kubeconfig: Path, node_name: str, mode: str, extra_args: Iterable[str] = ()
) -> tuple[str, ...]:
    """kube-proxy's argv; extra arguments come last, so that they win. `mode` "" leaves it to them.

    No configuration file: with one kube-proxy would ignore its flags.  The host's connection tracking is left as it
    is (0): the host is not ours alone, and in containers it cannot be changed.
    """
    return (
        str(proxy),
        f"--kubeconfig={kubeconfig}",
        f"--hostname-override={node_name}",
        *((f"--proxy-mode={mode}",) if mode else ()),
        "--conntrack-max-per-core=0",
        "--conntrack-min=0",
        "--conntrack-tcp-timeout-established=0s",
        "--conntrack-tcp-timeout-close-wait=0s",
        *extra_args,
    )


def given(name: str, args: Sequence[str]) -> str | None:
    """The value of the last --name=value."""
    found = [arg.partition("=")[2] for arg in args if arg.startswith(f"--{name}=")]
    return found[-1] if found else None


def healthz_address(args: Sequence[str]) -> str:
    """host:port that this host reaches kube-proxy's health check at; "" when its flags turn that off."""
    port = given("healthz-port", args) or str(HEALTHZ_PORT)
    address = given("healthz-bind-address", args)
    if address == "" or port == "0":
        return ""
    host, colon, own_port = (address or "").rpartition(":")
    if colon and own_port.isdigit():
        port = own_port
    else:
        host = address or ""
    return f"{'127.0.0.1' if host in ('', '0.0.0.0', '[::]', '::') else host}:{port}"
