"""What the km file runs first: unpack the payload once, then hand over to it.

Knows only the standard library and the km file itself, whose `__main__.py` it is.  It parses on old interpreters,
so that they can be told what is wrong.  A folder that is there under the payload's SHA-256 is used as it is, if each
file has its size; anything else is unpacked beside it and renamed, so that a killed run leaves nothing half done.
"""

import os
import sys

PYTHONS = ((3, 11), (3, 12), (3, 13), (3, 14))
EXIT_ARTIFACT = 20
MANIFEST = "MANIFEST"


def refuse(message: str) -> "SystemExit":
    sys.stderr.write(f"km: {message}\n")
    return SystemExit(EXIT_ARTIFACT)


def caches(environ: "dict[str, str]") -> "list[str]":
    """Folders to unpack in, best first; those that cannot be written to are passed over."""
    home = os.path.expanduser("~")
    found = [environ.get("KM_CACHE"), environ.get("MESOS_SANDBOX"), environ.get("MESOS_DIRECTORY")]
    if environ.get("XDG_CACHE_HOME"):
        found.append(os.path.join(environ["XDG_CACHE_HOME"], "km"))
    if os.path.isabs(home):
        found.append(os.path.join(home, ".cache", "km"))
    found.append(f"/var/tmp/km-{os.getuid()}")
    return [folder for folder in found if folder and os.path.isabs(folder)]


def is_trusted(folder: str) -> bool:
    """Nobody but root and this user could have put files there, or another folder in its place."""
    status, around = os.lstat(folder), os.stat(os.path.dirname(folder))
    owners = (0, os.getuid())
    is_ours = status.st_uid in owners and not status.st_mode & 0o022
    # as in /tmp, where nobody can move what is not his
    is_sticky = around.st_mode & 0o1000
    return is_ours and around.st_uid in owners and bool(is_sticky or not around.st_mode & 0o022)


def is_whole(folder: str) -> bool:
    """Every file of the manifest has its size: a power cut or a cleaner of old files may have taken some."""
    try:
        if not is_trusted(folder):
            return False
        with open(os.path.join(folder, MANIFEST), encoding="utf-8") as manifest:
            for line in manifest:
                size, name = line.rstrip("\n").split(" ", 1)
                if os.stat(os.path.join(folder, name)).st_size != int(size):
                    return False
    except (OSError, ValueError):
        return False
    return True


def is_foreign(name: str, own: str) -> bool:
    """An extension module of another interpreter or machine; `own` is the ending of ours."""
    return ".cpython-" in name and name.endswith(".so") and not name.endswith(own)


def unpack(payload: bytes, folder: str) -> None:
    """Write the files for this interpreter to `folder`, which appears at once and whole, or not at all."""
    import io
    import shutil
    import tempfile
    import zipfile
    from importlib.machinery import EXTENSION_SUFFIXES

    parent = os.path.dirname(folder)
    os.makedirs(parent, mode=0o700, exist_ok=True)
    beside = tempfile.mkdtemp(prefix=".unpack-", dir=parent)
    try:
        new, old = os.path.join(beside, "new"), os.path.join(beside, "old")
        os.mkdir(new)
        lines = []
        with zipfile.ZipFile(io.BytesIO(payload)) as archive:
            for entry in archive.infolist():
                if is_foreign(entry.filename, EXTENSION_SUFFIXES[0]):
                    continue
                archive.extract(entry, new)
                lines.append(f"{entry.file_size} {entry.filename}\n")
        with open(os.path.join(new, MANIFEST), "w", encoding="utf-8") as manifest:
            manifest.writelines(lines)
        if os.path.lexists(folder) and not is_whole(folder):
            os.rename(folder, old)
        try:
            os.rename(new, folder)
        except OSError:
            if not is_whole(folder):  # else another process was first
                raise
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def place(payload: bytes, digest: str, environ: "dict[str, str]") -> str:
    """Unpack into the first cache that takes it; the folder."""
    import hashlib

    if hashlib.sha256(payload).hexdigest() != digest:
        raise refuse(f"{sys.argv[0]} is damaged: its payload does not have the SHA-256 {digest}; fetch it again")
    reasons = []
    mask = os.umask(0o022)
    try:
        for cache in caches(environ):
            folder = os.path.join(cache, folder_name(digest))
            try:
                unpack(payload, folder)
            except OSError as error:
                reasons.append(f"{cache}: {error.strerror or error}")
                continue
            if is_whole(folder):
                return folder
            reasons.append(f"{cache}: others can write to it")
    finally:
        os.umask(mask)
    raise refuse(f"cannot unpack anywhere ({'; '.join(reasons)}); set KM_CACHE to a folder of this user")


def folder_name(digest: str) -> str:
    return f"km-{digest}-{sys.implementation.cache_tag}-{os.uname().machine}"


def unpacked(digest: str, environ: "dict[str, str]") -> "str | None":
    """The folder of an earlier run."""
    for cache in caches(environ):
        folder = os.path.join(cache, folder_name(digest))
        if is_whole(folder):
            return folder
    return None


def main(km_file: str) -> None:
    from zipimport import zipimporter

    read = zipimporter(km_file).get_data
    if sys.version_info[:2] not in PYTHONS or sys.implementation.name != "cpython":
        wanted = ", ".join(f"{major}.{minor}" for major, minor in PYTHONS)
        raise refuse(f"needs CPython {wanted}, and this is {sys.implementation.name} {sys.version.split()[0]}")
    if sys.platform != "linux":
        raise refuse(f"runs on Linux only, and this is {sys.platform}")
    digest = read(os.path.join(km_file, "payload.sha256")).decode().strip()
    environ = dict(os.environ)
    folder = unpacked(digest, environ)
    if folder is None:
        folder = place(read(os.path.join(km_file, "payload.zip")), digest, environ)
    sys.path[0] = folder  # instead of the km file
    sys.dont_write_bytecode = False  # the folder is ours, and without it a start takes twice as long
    name = os.path.basename(sys.argv[0])
    if name in ("hadoop", "hdfs"):
        from kmsched.artifacts.hadoop import main as hadoop

        hadoop(name)
    elif name == "km-upload":
        from kmsched.cli.km_upload import main as km_upload

        km_upload()
    else:
        from kmsched.cli.km import main as km

        km()


if __name__ == "__main__":
    main(os.path.dirname(__file__))
