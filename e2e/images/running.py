"""Runs an image's containers as the kubelet would: uid 65532, read-only root, no capability, a network of their own.

By runc over the unpacked archive; nothing is mounted but what the test says. The network is a loopback device only,
so a container is asked from inside itself, by its own interpreter.
"""

import json
import os
import shutil
import subprocess
import sys
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from imagebuild.archive import Archive
from imagebuild.mounts import unmount_below

__all__ = ["Answer", "Container", "Unpacked", "cannot_run"]

_USER = 65532
_SCRATCH = "/tmp"  # noqa: S108 - of the container, an emptyDir in pods
_SHARED_MEMORY = "/dev/shm"  # noqa: S108 - the same
_ASK = """
import sys, urllib.request, urllib.error
request = urllib.request.Request(sys.argv[1], data=sys.argv[2].encode() or None)
request.add_header("Content-Type", "application/json")
try:
    with urllib.request.urlopen(request, timeout=20) as answer:
        print(answer.status, answer.read().decode())
except urllib.error.HTTPError as refused:
    print(refused.code, refused.read().decode())
except OSError as problem:
    print(0, problem)
"""


def cannot_run() -> str:
    """Why containers cannot be run here; empty where they can."""
    if sys.platform != "linux" or os.geteuid() != 0:
        return "running containers needs Linux and root"
    return "" if shutil.which("runc") else "running containers needs runc on the path"


@dataclass(frozen=True, slots=True)
class Answer:
    """Of an HTTP server in the container; status 0 where none answered."""

    status: int
    text: str


@dataclass(slots=True)
class Unpacked:
    """An image's files on disk; `folder` is removed by `close`."""

    folder: Path
    config: dict[str, Any]

    @classmethod
    def of(cls, archive: Archive, folder: Path) -> "Unpacked":
        """All layers over each other."""
        root = folder / "rootfs"
        root.mkdir(parents=True)
        for layer in archive.layers:
            layer.extract(root)
        return cls(folder, archive.config["config"])

    def close(self) -> None:
        """Remove it."""
        unmount_below(self.folder)
        shutil.rmtree(self.folder)

    def start(
        self, argv: Sequence[str], *, env: Mapping[str, str] | None = None, mounts: Mapping[str, Path] | None = None
    ) -> "Container":
        """A container with this command line, as a pod's `command` and `args`; a tmpfs is at /tmp."""
        name = f"penstock-{uuid.uuid4().hex[:12]}"
        bundle = self.folder / name
        bundle.mkdir()
        (bundle / "config.json").write_text(json.dumps(self._specification(argv, env or {}, mounts or {})))
        log = bundle / "log"
        with log.open("wb") as output:
            command = ["runc", "--root", str(self.folder / "runc"), "run", "--bundle", str(bundle), name]
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
        return Container(name, process, log, self.folder / "runc")

    def _specification(self, argv: Sequence[str], env: Mapping[str, str], mounts: Mapping[str, Path]) -> dict[str, Any]:
        given = dict(each.partition("=")[::2] for each in self.config["Env"]) | dict(env)
        private = ["nosuid", "nodev"]
        return {
            "ociVersion": "1.0.2",
            "hostname": "chat-0",
            "root": {"path": str(self.folder / "rootfs"), "readonly": True},
            "process": {
                "user": {"uid": _USER, "gid": _USER},
                "args": list(argv),
                "env": [f"{name}={value}" for name, value in given.items()],
                "cwd": self.config.get("WorkingDir") or "/",
                "noNewPrivileges": True,
                "capabilities": {},
            },
            "mounts": [
                {"destination": "/proc", "type": "proc", "source": "proc"},
                {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "mode=755"]},
                {"destination": _SHARED_MEMORY, "type": "tmpfs", "source": "shm", "options": [*private, "mode=1777"]},
                {"destination": _SCRATCH, "type": "tmpfs", "source": "tmpfs", "options": [*private, "mode=1777"]},
                *(
                    {"destination": place, "type": "bind", "source": str(path), "options": ["rbind", "rw"]}
                    for place, path in mounts.items()
                ),
            ],
            "linux": {
                "namespaces": [{"type": each} for each in ("pid", "mount", "ipc", "uts", "network")],
                "cgroupsPath": "/penstock-images-test",
            },
        }


@dataclass(slots=True)
class Container:
    """One container that was started."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path
    state: Path
    _done: bool = field(default=False)

    def output(self) -> str:
        """What it printed so far."""
        return self.log.read_text(errors="replace")

    def wait(self, seconds: float = 60) -> int:
        """Its exit status; TimeoutExpired where it still runs."""
        status = self.process.wait(seconds)
        self._done = True
        return status

    def signal(self, name: str) -> None:
        """Send its first process a signal, as in TERM."""
        self._runc("kill", self.name, name)

    def execute(self, *argv: str) -> subprocess.CompletedProcess[bytes]:
        """One more process in it, until that ends."""
        return self._runc("exec", self.name, *argv)

    def ask(self, url: str, body: object = None) -> Answer:
        """GET, or POST where there is a body."""
        text = "" if body is None else json.dumps(body)
        answer = self.execute("python3", "-c", _ASK, url, text)
        status, _, content = answer.stdout.decode().partition(" ")
        return Answer(int(status), content) if status.isdecimal() else Answer(0, answer.stderr.decode())

    def until(self, url: str, status: int, patience: float = 60) -> Answer:
        """Ask until it answers with that status; AssertionError with what it printed where it does not."""
        deadline = time.monotonic() + patience
        while (answer := self.ask(url)).status != status:
            assert self.process.poll() is None, f"it ended with {self.process.returncode}:\n{self.output()}"
            assert time.monotonic() < deadline, f"{url}: {answer} after {patience} s:\n{self.output()}"
            time.sleep(0.2)
        return answer

    def close(self) -> None:
        """End it if it still runs."""
        if not self._done:
            self._runc("delete", "--force", self.name)
            self.process.wait(20)

    def _runc(self, *words: str) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(["runc", "--root", str(self.state), *words], capture_output=True, check=False, timeout=60)
