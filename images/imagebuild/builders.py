"""What turns a Dockerfile into an archive: BuildKit from the test bed's binaries, or Docker."""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Protocol

from imagebuild.base import Base, Progress
from imagebuild.errors import BuildFailedError, MissingToolError
from imagebuild.mounts import unmount_below
from imagebuild.request import ROOT, Request
from testbed import binaries
from testbed.processes import Group
from testbed.releases import BUILDKIT, CLUSTER

__all__ = ["Builder", "BuildkitBuilder", "DockerBuilder", "buildkit", "docker", "require_buildkit"]

_DOCKER_CURE = "or build with --docker where Docker is"
_READY_SECONDS = 60.0
_GRACE_SECONDS = 20.0
_LAST_LINES = 40
_PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy")
"""Arguments that every builder knows and none keeps in the image's history."""

_CONFIGURATION = """\
root = "{root}"
[grpc]
  address = ["unix://{socket}"]
[worker.oci]
  enabled = true
  gc = true
  maxUsedSpace = "8GB"
[worker.containerd]
  enabled = false
"""


class Builder(Protocol):
    """Builds an image into an archive."""

    kind: ClassVar[str]
    """What it is and its version: part of the cache's key."""

    def build(self, request: Request, secrets: Mapping[str, Path], target: Path, compression: str) -> None:
        """Write `target`; BuildFailedError with the last lines."""
        ...


@dataclass(slots=True)
class DockerBuilder:
    """`docker build`, then `docker save`: its layers are stored as Docker stores them."""

    kind: ClassVar[str] = "docker"
    progress: Progress

    def build(self, request: Request, secrets: Mapping[str, Path], target: Path, compression: str) -> None:
        del compression
        command = ["docker", "build", "--progress", "plain", "--file", str(request.dockerfile), "--tag", request.name]
        for name, value in (request.arguments | _proxies()).items():
            command += ["--build-arg", f"{name}={value}"]
        for name, path in secrets.items():
            command += ["--secret", f"id={name},src={path}"]
        _run([*command, str(ROOT)], self.progress, request.folder)
        _run(["docker", "save", "--output", str(target), request.name], self.progress, request.folder)


@dataclass(slots=True)
class BuildkitBuilder:
    """A BuildKit daemon of our own, over a base of our own."""

    kind: ClassVar[str] = f"buildkit {BUILDKIT.version}"
    buildctl: Path
    address: str
    base: Base
    progress: Progress

    def build(self, request: Request, secrets: Mapping[str, Path], target: Path, compression: str) -> None:
        output = f"type=docker,dest={target},name={request.name},compression={compression},force-compression=true"
        options = {
            "context:penstock-base": f"oci-layout://{self.base.reference}",
            "build-arg:BASE": "penstock-base",
            **{f"build-arg:{name}": value for name, value in (request.arguments | _proxies()).items()},
        }
        command = [str(self.buildctl), "--addr", self.address, "build", "--frontend", "dockerfile.v0"]
        command += ["--local", f"context={ROOT}", "--local", f"dockerfile={request.dockerfile.parent}"]
        command += ["--oci-layout", f"base={self.base.layout}", "--progress", "plain", "--output", output]
        for name, value in options.items():
            command += ["--opt", f"{name}={value}"]
        for name, path in secrets.items():
            command += ["--secret", f"id={name},src={path}"]
        _run(command, self.progress, request.folder)


def docker(progress: Progress) -> DockerBuilder:
    """MissingToolError where there is no Docker."""
    if shutil.which("docker") is None:
        message = "--docker: there is no docker command on the path; install Docker, or leave --docker out"
        raise MissingToolError(message)
    return DockerBuilder(progress)


def require_buildkit() -> tuple[Path, Path]:
    """Daemon and client; MissingToolError where this machine or this user cannot run them."""
    if sys.platform != "linux" or os.geteuid() != 0:
        message = f"BuildKit needs Linux and root here: run it with sudo on Linux, {_DOCKER_CURE}"
        raise MissingToolError(message)
    if shutil.which("runc") is None:
        message = f"runc is missing: install it, {_DOCKER_CURE}"
        raise MissingToolError(message)
    located = {program.name: binaries.locate(program) for program in CLUSTER}
    daemon, client = located["buildkitd"], located["buildctl"]
    if daemon is None or client is None:
        message = f"BuildKit is missing: run `python e2e/testbed/binaries.py buildkitd buildctl`, {_DOCKER_CURE}"
        raise MissingToolError(message)
    return daemon.path, client.path


@contextmanager
def buildkit(cache: Path, base: Base, progress: Progress) -> Iterator[BuildkitBuilder]:
    """A daemon with its own root below `cache`, ended and unmounted at the end."""
    daemon, client = require_buildkit()
    root = cache / "buildkit"
    root.mkdir(parents=True, exist_ok=True)
    ours = _strangers()
    with tempfile.TemporaryDirectory(prefix="penstock-images-") as folder:
        socket = Path(folder) / "buildkitd.sock"
        configuration = Path(folder) / "buildkitd.toml"
        configuration.write_text(_CONFIGURATION.format(root=root, socket=socket))
        group = Group(Path(folder))
        try:
            group.start("buildkitd", [str(daemon), "--config", str(configuration)])
            builder = BuildkitBuilder(client, f"unix://{socket}", base, progress)
            _wait(group, builder)
            yield builder
        finally:
            group.stop(_GRACE_SECONDS)
            unmount_below(root)
            _remove(_strangers() - ours)


def _strangers() -> set[Path]:
    """What the daemon leaves outside its root."""
    places = [
        Path("/run/buildkit"),
        *Path("/sys/fs/cgroup").glob("buildkit"),
        *Path("/sys/fs/cgroup").glob("*/buildkit"),
    ]
    return {place for place in places if place.exists()}


def _remove(places: set[Path]) -> None:
    for place in places:
        if place.is_relative_to("/run"):
            shutil.rmtree(place, ignore_errors=True)
            continue
        for folder in sorted((place, *(each for each in place.rglob("*") if each.is_dir())), reverse=True):
            # A group of control with a process in it cannot be removed, and must not be.
            with suppress(OSError):
                folder.rmdir()


def _wait(group: Group, builder: BuildkitBuilder) -> None:
    deadline = time.monotonic() + _READY_SECONDS
    command = [str(builder.buildctl), "--addr", builder.address, "debug", "workers"]
    while subprocess.run(command, capture_output=True, check=False).returncode:
        if group.dead() or time.monotonic() > deadline:
            message = f"buildkitd did not start:\n{group['buildkitd'].tail()}"
            raise BuildFailedError(message)
        time.sleep(0.2)


def _proxies() -> dict[str, str]:
    return {name: os.environ[name] for name in _PROXIES if os.environ.get(name)}


def _run(command: list[str], progress: Progress, subject: str) -> None:
    """Say which step it is at; fail with its last lines."""
    lines: list[str] = []
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
    ) as run:
        for line in run.stdout or ():
            lines = [*lines[-_LAST_LINES:], line.rstrip()]
            _, _, step = line.partition(" ")
            if step.startswith("["):
                progress(f"{subject}: {step.strip()[:110]}")
    if run.returncode:
        message = f"{subject}: {Path(command[0]).name} ended with status {run.returncode}:\n" + "\n".join(lines)
        raise BuildFailedError(message)
