"""The disks that hosts start from, made by mmdebstrap with the machine's own package sources.

Two of them: `bare` (systemd, ssh, python3) for scheduler hosts, `mesos` with the libraries, Java and ZooKeeper that
Mesos needs. Hosts cannot reach a package mirror; each disk has a local one instead, with the packages that Ansible
installs later, so `apt-get update` and `apt-get install` work without a network. Keys and names are no part of it.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from pathlib import Path

from testbed import cache, processes
from testbed.errors import LabError

SUITE = "bookworm"
SOURCES = (Path("/etc/apt/sources.list.d/debian.sources"), Path("/etc/apt/sources.list"))
BARE = """
    systemd systemd-sysv dbus openssh-server python3 python3-apt iproute2 iputils-ping procps ca-certificates
""".split()  # noqa: SIM905
MESOS = """
    zookeeper default-jre-headless libsvn1 libapr1 libsasl2-2 libsasl2-modules libcurl4
""".split()  # noqa: SIM905
#: lie ready in the hosts' own mirror, not installed
MIRRORED = """
    containerd runc containernetworking-plugins etcd-server etcd-client iptables conntrack ebtables nftables socat
    curl jq rsync
""".split()  # noqa: SIM905
KINDS = {"bare": BARE, "mesos": [*BARE, *MESOS]}
MIRROR = "srv/apt"
#: no background apt, no console login, nothing that sets the shared clock
MASKED = (
    "apt-daily.timer",
    "apt-daily-upgrade.timer",
    "e2scrub_all.timer",
    "dpkg-db-backup.timer",
    "console-getty.service",
    "systemd-timesyncd.service",
)
MMDEBSTRAP = ("mmdebstrap", "--quiet", "--mode=root", "--variant=minbase", "--skip=cleanup/apt")
#: its mounts and processes end with it, and it ends with us: nothing is left in a folder that is going to be removed
CONTAINED = (
    *processes.TIED,
    *("unshare", "--mount", "--propagation", "private", "--pid", "--mount-proc", "--fork", "--kill-child"),
)
APT_OPTIONS = ('Acquire::Check-Valid-Until "false"', 'APT::Install-Recommends "false"')
TIMEOUT_S = 1200.0
NEEDS_MIB = {"bare": 900, "mesos": 2200}


def build(root: Path, kind: str) -> Path:
    """Folder of the disk `kind`; 20 to 90 seconds."""
    sources = _sources()
    inputs: dict[str, str | bytes] = {
        "packages": " ".join(KINDS[kind]),
        "module": Path(__file__).read_bytes(),
        "sources": sources.read_bytes(),
    }
    return cache.produce(root, f"rootfs-{kind}", inputs, lambda part: _make(part, kind, sources), NEEDS_MIB[kind])


def _sources() -> Path:
    for file in SOURCES:
        if file.is_file() and file.stat().st_size:
            return file
    raise LabError(f"no package sources of the machine in {' or '.join(map(str, SOURCES))}; a Debian 12 is wanted")


def _make(part: Path, kind: str, sources: Path) -> None:
    print(f"rootfs-{kind}: installing {len(KINDS[kind])} packages and what they need", flush=True)
    command = [*CONTAINED, *MMDEBSTRAP, f"--include={','.join(KINDS[kind])}"]
    command += [f"--aptopt={option}" for option in APT_OPTIONS]
    command += ['--customize-hook=chroot "$1" apt-get clean']  # or the mirror would hold what is installed, too
    command += [f'--customize-hook=chroot "$1" apt-get install -y --download-only {" ".join(MIRRORED)}']
    processes.output([*command, SUITE, str(part), str(sources)], timeout_s=TIMEOUT_S)
    _own_mirror(part)
    for file in ("etc/hostname", "etc/resolv.conf", "etc/machine-id"):
        (part / file).unlink(missing_ok=True)
    (part / "etc/resolv.conf").touch()
    (part / "etc/machine-id").touch()
    for key in (part / "etc/ssh").glob("ssh_host_*"):
        key.unlink()
    for unit in MASKED:
        link = part / "etc/systemd/system" / unit
        link.unlink(missing_ok=True)
        link.symlink_to("/dev/null")
    manager = part / "etc/systemd/system.conf.d"
    manager.mkdir(parents=True, exist_ok=True)
    (manager / "testbed.conf").write_text("[Manager]\nDefaultTimeoutStopSec=20s\n")


def _own_mirror(part: Path) -> None:
    """Turns apt's downloads into a mirror inside the disk, and makes it the only one that the hosts know."""
    mirror, archives = part / MIRROR, part / "var/cache/apt/archives"
    mirror.mkdir(parents=True)
    for deb in archives.glob("*.deb"):
        # apt escapes the colon of an epoch in file names; URIs would escape it once more
        shutil.move(deb, mirror / deb.name.replace("%3a", "."))
    entries = [package_entry(deb, _control(deb)) for deb in sorted(mirror.glob("*.deb"))]
    (mirror / "Packages").write_text("\n".join(entries))
    for file in (part / "etc/apt/sources.list.d").iterdir():
        file.unlink()
    (part / "etc/apt/sources.list").write_text(f"deb [trusted=yes] file:/{MIRROR} ./\n")
    lists = part / "var/lib/apt/lists"
    shutil.rmtree(lists)
    (lists / "partial").mkdir(parents=True)
    processes.output(["chroot", str(part), "apt-get", "update", "-q"])
    for file in (part / "var/cache/apt").glob("*.bin"):
        file.unlink()


def _control(deb: Path) -> str:
    done = subprocess.run(["dpkg-deb", "-f", str(deb)], check=True, capture_output=True, text=True)
    return done.stdout


def package_entry(deb: Path, control: str) -> str:
    """One entry of a mirror's index `Packages`: the package's own fields, where it lies, how to check it."""
    content = deb.read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    return f"{control.rstrip()}\nFilename: ./{deb.name}\nSize: {len(content)}\nSHA256: {digest}\n"
