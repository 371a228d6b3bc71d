"""Programs built by Go from their published modules, where nothing can be downloaded.

The first build of all of them takes ten minutes and more on two cores; Go's own cache makes the next one short.
"""

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from testbed.errors import BuildError
from testbed.releases import KUBERNETES, Program

HEARTBEAT = 30.0
_SHOWN_LINES = 15
_VERSION_PACKAGES = ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version")

Progress = Callable[[str], None]


def build(program: Program, target: Path, progress: Progress) -> None:
    """Build one program into a file; on interruption the compilers end too."""
    if shutil.which("go") is None:
        message = "Go is not installed"
        raise BuildError(message)
    with tempfile.TemporaryFile("w+") as log:
        go = subprocess.Popen(
            _command(program, target),
            cwd=program.release.directory,
            # Go leaves its work folder behind when it is interrupted: let it lie where the caller tidies up.
            env=os.environ | {"CGO_ENABLED": "0", "GOWORK": "off", "GOTMPDIR": str(target.parent)},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            process_group=0,
        )
        try:
            _be_patient(go, program, progress)
        finally:
            _end(go)
        if go.returncode:
            log.seek(0)
            raise BuildError(_reason(program, go.returncode, log.read()))


def _command(program: Program, target: Path) -> list[str]:
    flags = ["-mod=readonly", "-buildvcs=false", "-trimpath", f"-ldflags={_linker_flags(program)}"]
    return ["go", "build", *flags, "-o", str(target), program.package]


def _linker_flags(program: Program) -> str:
    """Strip symbols; tell Kubernetes programs their version, which they do not know from their module."""
    flags = ["-s", "-w"]
    if program.release is KUBERNETES:
        version = program.release.version
        major, minor, _ = version.removeprefix("v").split(".", 2)
        values = {"gitVersion": version, "gitMajor": major, "gitMinor": minor, "gitTreeState": "clean"}
        flags += [f"-X {package}.{key}={value}" for package in _VERSION_PACKAGES for key, value in values.items()]
    return " ".join(flags)


def _be_patient(go: subprocess.Popen[bytes], program: Program, progress: Progress) -> None:
    # A machine that is worked on should stay pleasant to work on; compilers inherit the priority.
    with suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, go.pid, 19)
    started = time.monotonic()
    while True:
        try:
            go.wait(HEARTBEAT)
        except subprocess.TimeoutExpired:
            progress(f"{program.name}: still building, {time.monotonic() - started:.0f} s")
        else:
            return


def _end(go: subprocess.Popen[bytes]) -> None:
    if go.poll() is None:
        with suppress(ProcessLookupError):
            os.killpg(go.pid, signal.SIGTERM)
        go.wait()


def _reason(program: Program, code: int, output: str) -> str:
    tail = "\n".join(output.strip().splitlines()[-_SHOWN_LINES:])
    if "no space left on device" in output:
        return f"the disk is full:\n{tail}"
    return f"`go build {program.package}` in {program.release.directory} exited with {code}:\n{tail}"
