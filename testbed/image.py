"""The image that test pods run: busybox under the tags localhost/tiny:1 and localhost/pause:1.

Makes a docker-archive, byte for byte the same from the same busybox. Knows nothing of containerd.
"""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from pathlib import Path

from testbed import cache

BUSYBOX = Path("/usr/bin/busybox")
FILE = "tiny.tar"
APPLETS = ("sh", "ls", "echo", "sleep", "cat", "ps", "id", "hostname", "httpd", "wget", "true", "false", "date", "nc")
FOLDERS = ("bin", "dev", "etc", "proc", "sys", "tmp", "www")
#: tag -> entry point; nothing ends the pause container but a signal
TAGS = {"localhost/tiny:1": ["/bin/sh"], "localhost/pause:1": ["/bin/sleep", "1000000000"]}
RECIPE = "1"  # raise when the layout below changes
NEEDS_MIB = 20


def build(root: Path) -> Path:
    """Path of the archive in the build cache."""
    inputs: dict[str, str | bytes] = {
        "busybox": BUSYBOX.read_bytes(),
        "shape": json.dumps([APPLETS, FOLDERS, TAGS]),
        "recipe": RECIPE,
    }
    return cache.produce(root, "image", inputs, lambda part: write(part / FILE, BUSYBOX.read_bytes()), NEEDS_MIB) / FILE


def write(target: Path, busybox: bytes) -> None:
    """Writes the archive with this program as /bin/busybox."""
    layer = _layer(busybox)
    layer_id = hashlib.sha256(layer).hexdigest()
    files = {f"{layer_id}/layer.tar": layer}
    manifest = []
    for tag, entry_point in TAGS.items():
        config = {
            "architecture": "amd64",
            "os": "linux",
            "config": {"Env": ["PATH=/bin"], "Entrypoint": entry_point},
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{layer_id}"]},
            "history": [],
        }
        text = json.dumps(config, sort_keys=True).encode()
        name = f"{hashlib.sha256(text).hexdigest()}.json"
        files[name] = text
        manifest.append({"Config": name, "RepoTags": [tag], "Layers": [f"{layer_id}/layer.tar"]})
    files["manifest.json"] = json.dumps(manifest, sort_keys=True).encode()
    with tarfile.open(target, "w") as archive:
        for name, content in files.items():
            _add(archive, name, content, 0o644)


def _layer(busybox: bytes) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for folder in FOLDERS:
            entry = tarfile.TarInfo(folder)
            entry.type, entry.mode = tarfile.DIRTYPE, 0o1777 if folder == "tmp" else 0o755
            archive.addfile(entry)
        _add(archive, "bin/busybox", busybox, 0o755)
        _add(archive, "etc/passwd", b"root:x:0:0:root:/:/bin/sh\n", 0o644)
        for applet in APPLETS:
            entry = tarfile.TarInfo(f"bin/{applet}")
            entry.type, entry.linkname = tarfile.SYMTYPE, "busybox"
            archive.addfile(entry)
    return buffer.getvalue()


def _add(archive: tarfile.TarFile, name: str, content: bytes, mode: int) -> None:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = len(content), mode
    archive.addfile(entry, io.BytesIO(content))
