"""The pure parts of the builds: versions, flags, symbol tables, image, mirror."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path

import pytest

from testbed import golang, image, kubernetes, mesos, rootfs
from testbed.errors import LabError


def test_kubernetes_version_and_flags() -> None:
    assert kubernetes.version("require (\n\tk8s.io/kubernetes v1.37.2 // indirect\n)") == "v1.37.2"
    flags = kubernetes.linker_flags("k8s.io/kubernetes/cmd/kubelet", "v1.37.2")
    assert "-X k8s.io/component-base/version.gitVersion=v1.37.2" in flags
    assert "-X k8s.io/client-go/pkg/version.gitMinor=37" in flags
    assert kubernetes.linker_flags("go.etcd.io/etcd/server/v3", "v1.37.2") == "-s -w"


def test_a_go_mod_without_kubernetes_is_refused() -> None:
    with pytest.raises(LabError, match="no version of k8s"):
        kubernetes.version("module x\n")


def test_another_go_makes_another_product() -> None:
    assert kubernetes.inputs("go1.26.6") != kubernetes.inputs("go1.27.0")
    assert kubernetes.inputs("go1.26.6")["kubelet"] == "k8s.io/kubernetes/cmd/kubelet"


@pytest.mark.parametrize(
    ("text", "version"),
    [("go1.26.6\n", (1, 26)), ("go1.19", (1, 19)), ("go1.27rc1", (1, 27)), ("devel +abc", None), ("", None)],
)
def test_go_versions(text: str, version: tuple[int, int] | None) -> None:
    assert golang.parse_version(text) == version


def test_elf_hash_is_that_of_the_specification() -> None:
    assert mesos.elf_hash(b"") == 0
    assert mesos.elf_hash(b"GLIBC_2.2.5") == 0x09691A75


def test_openssl_symbols_are_split_by_library_and_version() -> None:
    listing = """
                 U SSL_read@OPENSSL_1.0.0
                 U EVP_sha256@@OPENSSL_1.0.0
                 U TLSv1_2_method@OPENSSL_1.0.1
                 U malloc@GLIBC_2.2.5
    """
    assert mesos.openssl_symbols("\n".join(line for line in listing.splitlines() if line.strip())) == {
        "libssl.so.1.0.0": {"OPENSSL_1.0.0": ["SSL_read"], "OPENSSL_1.0.1": ["TLSv1_2_method"]},
        "libcrypto.so.1.0.0": {"OPENSSL_1.0.0": ["EVP_sha256"]},
    }


def test_version_script_names_every_version_once() -> None:
    assert mesos.version_script({"OPENSSL_1.0.1": ["b", "a"]}) == (
        "OPENSSL_1.0.0 { local: *; };\nOPENSSL_1.0.1 { global: a; b; };\nOPENSSL_1.0.2 { };\n"
    )


def test_curl_symbols_move_to_the_current_version_in_libcurls_entry_only() -> None:
    old = mesos.elf_hash(b"CURL_OPENSSL_3").to_bytes(4, "little")
    new = mesos.elf_hash(b"CURL_OPENSSL_4").to_bytes(4, "little")
    wanted, other = b"\0\0\x06\0", b"\0\0\x07\0"
    library = b"CURL_OPENSSL_3\0" + old + wanted + old + other
    assert mesos.use_current_curl(library) == b"CURL_OPENSSL_4\0" + new + wanted + old + other


def test_image_has_both_tags_on_one_layer_and_is_reproducible(tmp_path: Path) -> None:
    for name in ("one", "two"):
        image.write(tmp_path / name, b"busybox")
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
    with tarfile.open(tmp_path / "one") as archive:
        file = archive.extractfile("manifest.json")
        assert file is not None
        manifest = json.load(file)
        names = archive.getnames()
    assert [entry["RepoTags"] for entry in manifest] == [["localhost/tiny:1"], ["localhost/pause:1"]]
    assert len({entry["Layers"][0] for entry in manifest}) == 1
    assert all(entry["Config"] in names and entry["Layers"][0] in names for entry in manifest)


def test_mirror_entry_tells_where_and_what(tmp_path: Path) -> None:
    deb = tmp_path / "runc_1_amd64.deb"
    deb.write_bytes(b"abc")
    entry = rootfs.package_entry(deb, "Package: runc\nVersion: 1\n\n")
    assert entry.splitlines()[:4] == ["Package: runc", "Version: 1", "Filename: ./runc_1_amd64.deb", "Size: 3"]
    assert entry.endswith("SHA256: ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad\n")
