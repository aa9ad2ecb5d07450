"""km-upload as a process on the lab's network, with sight of how much it has sent and to which DataNode.

Knows /proc and the program's arguments; nothing of right and wrong. The moment of a fault is told by the process's own
position in the file, not by a clock.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path

from testbed import processes
from testbed.hdfs import Hdfs, entered
from testbed.hdfs_layout import NAMESERVICE, Part, http_port
from tests.scenarios import product

LIMIT_S = 240.0
LOOK_S = 0.002
ESTABLISHED = "01"


@dataclass(frozen=True, slots=True)
class Ended:
    """`text`: all that it wrote to stderr; `printed`: to stdout."""

    code: int
    printed: str
    text: str
    took_s: float

    @property
    def message(self) -> str:
        """The last line, which tells what was wrong."""
        lines = [line for line in self.text.splitlines() if line.strip()]
        return lines[-1] if lines else ""


@dataclass(slots=True)
class Uploader:
    """A running upload of `source`."""

    process: subprocess.Popen[str]
    source: Path
    started: float = field(default_factory=time.monotonic)

    def sent(self, storage: Hdfs) -> int:
        """Bytes of the file that were read for sending; 0 before, when it is read for its digest."""
        position = self._position()
        return position if position and self.datanode(storage) is not None else 0

    def _position(self) -> int:
        folder = processes.PROC / str(self.process.pid)
        try:
            for entry in (folder / "fd").iterdir():
                if entry.readlink() == self.source:
                    return int((folder / "fdinfo" / entry.name).read_text().split()[1])
        except OSError:  # it has closed the file, or ended
            return 0
        return 0

    def datanode(self, storage: Hdfs) -> Part | None:
        """The DataNode that it is connected to."""
        folder = processes.PROC / str(self.process.pid)
        try:
            links = [str(entry.readlink()) for entry in (folder / "fd").iterdir()]
            rows = [line.split() for line in (folder / "net/tcp").read_text().splitlines()[1:]]
        except OSError:
            return None
        own = {match[1] for link in links if (match := re.fullmatch(r"socket:\[(\d+)\]", link))}
        ports = {int(row[2].split(":")[1], 16) for row in rows if row[9] in own and row[3] == ESTABLISHED}
        return next((part for part in storage.layout.of("datanode") if http_port(part) in ports), None)

    def wait_sent(self, storage: Hdfs, share: float) -> bool:
        """Until this share of the file is sent; False: the upload has ended before."""
        wanted = share * self.source.stat().st_size
        deadline = self.started + LIMIT_S
        while self.process.poll() is None and time.monotonic() < deadline:
            if self.sent(storage) >= max(1.0, wanted):
                return True
            time.sleep(LOOK_S)
        return False

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)

    def end(self) -> Ended:
        """Waits for it. Raises subprocess.TimeoutExpired, after killing it."""
        try:
            printed, text = self.process.communicate(timeout=LIMIT_S)
        except subprocess.TimeoutExpired:
            self.kill()
            self.process.communicate()
            raise
        return Ended(self.process.returncode, printed, text, round(time.monotonic() - self.started, 3))


def start(storage: Hdfs, source: Path, folder: str, *more: str, user: str = "root") -> Uploader:
    """Starts km-upload, without waiting; `folder` is a path in HDFS, `more` are further options."""
    command = [
        *entered(storage.settings),
        str(program(source.parent)),
        *more,
        str(source),
        f"hdfs://{NAMESERVICE}{folder}",
    ]
    environ = {**os.environ, "HADOOP_CONF_DIR": str(storage.layout.client), "HADOOP_USER_NAME": user}
    process = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environ
    )
    return Uploader(process, source)


def run(storage: Hdfs, source: Path, folder: str, *more: str, user: str = "root") -> Ended:
    return start(storage, source, folder, *more, user=user).end()


def program(folder: Path) -> Path:
    """The km file under the name km-upload, in the folder."""
    link = folder / "km-upload"
    if not link.is_symlink():
        link.symlink_to(product.KM)
    return link
