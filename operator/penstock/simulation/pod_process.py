"""Pods that are processes of this machine: a gateway's command runs as its manifest says, on an address of its own.

Knows Secrets and ConfigMaps by a look-up, no API server: the simulated cluster uses it, and so does any other kubelet.
"""

import asyncio
import contextlib
import logging
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

from penstock.cluster.fake.player.runtime import Container
from penstock.errors import PenstockError
from penstock.simulation.http_probe import http_probe
from penstock.simulation.idle_container import IdleContainer
from penstock.simulation.last_words import last_words
from penstock.simulation.network import AddressBook
from penstock.simulation.pod_words import Environment, expand, listening, relocated
from penstock.simulation.volumes import CannotStart, LookUp, Volumes
from penstock.workqueue.clock import Clock, SystemClock

__all__ = ["EXIT_NOT_STARTED", "PodProcess", "ProcessPods", "ProcessSandbox", "ProcessSettings"]

_log = logging.getLogger(__name__)

Object = dict[str, Any]

EXIT_NOT_STARTED = 128
_SIGNALLED = 128
_SOURCE_ROOT = Path(__file__).parents[2]
_ANY_PORT = 8000


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessSettings:
    """What processes of pods run with; volumes and logs are below `folder`.

    `python` stands in for the image's interpreter and imports from `source_root`; changed Secrets and ConfigMaps are
    looked for every `refresh_seconds` of the machine's time.
    """

    folder: Path
    python: Path = _SOURCE_ROOT.parent / ".venv-gateway" / "bin" / "python"
    source_root: Path = _SOURCE_ROOT
    refresh_seconds: float = 0.5


class PodProcess:
    """One life of a pod's main container as a child process."""

    def __init__(
        self, process: asyncio.subprocess.Process, log: Path, probe: Callable[[str, int, float], Awaitable[bool]]
    ) -> None:
        self.message = ""
        self._process = process
        self._log = log
        self._probe = probe

    @property
    def identity(self) -> int:
        """Its process id."""
        return self._process.pid

    async def wait(self) -> int:
        """Its exit status, 128 and the signal's number where one ended it; cancelling the wait does not end it."""
        code = await self._process.wait()
        self.message = last_words(self._log) if code else ""
        return code if code >= 0 else _SIGNALLED - code

    async def probe(self, path: str, port: int, within: float) -> bool:
        """A real HTTP GET."""
        return await self._probe(path, port, within)

    def terminate(self) -> None:
        """SIGTERM."""
        if self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.terminate()

    def kill(self) -> None:
        """SIGKILL, for its children too: it leads a session of its own."""
        if self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)


@dataclass(slots=True)
class ProcessPods:
    """Makes room for pods whose containers are processes; `clock` is the machine's, `running` by namespace and name.

    `report(pod, message)` hears what a pod waits for, once for each reason.
    """

    settings: ProcessSettings
    book: AddressBook
    session: aiohttp.ClientSession
    look_up: LookUp
    clock: Clock = field(default_factory=SystemClock)
    report: Callable[[Object, str], None] | None = None
    running: dict[tuple[str, str], "ProcessSandbox"] = field(default_factory=dict)

    def sandbox(self, pod: Object) -> "ProcessSandbox":
        """An address and a folder of its own; OSError where there is none left."""
        metadata = pod["metadata"]
        self.settings.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        folder = Path(tempfile.mkdtemp(prefix=f"{metadata['name']}-", dir=self.settings.folder))
        volumes = Volumes(pod, folder / "volumes", self.look_up)
        log = self.settings.folder / f"{metadata['namespace']}.{metadata['name']}.log"
        sandbox = ProcessSandbox(self, pod, self.book.new_pod(_first_port(pod)), folder, volumes, log)
        self.running[metadata["namespace"], metadata["name"]] = sandbox
        return sandbox

    def forget(self, sandbox: "ProcessSandbox") -> None:
        """It is closed; a namesake that came after it stays."""
        self.book.release_pod(sandbox.address)
        self.running = {place: each for place, each in self.running.items() if each is not sandbox}


@dataclass(slots=True)
class ProcessSandbox:
    """One pod: `waits_for` says what it lacks, nothing once it was started; what it prints is in `log`."""

    pods: ProcessPods
    pod: Object
    address: str
    folder: Path
    volumes: Volumes
    log: Path
    waits_for: str = ""
    process: PodProcess | None = None
    _refreshing: asyncio.Task[None] | None = None

    async def start(self) -> Container:
        """Wait for what the pod refers to, then run it; a container that exited where that is not possible."""
        while True:
            try:
                process = await self._launch()
            except (CannotStart, OSError) as problem:
                return IdleContainer(status=EXIT_NOT_STARTED, message=str(problem))
            except PenstockError as problem:
                self._waits(str(problem))
            else:
                self.waits_for = ""
                return process
            await self.pods.clock.sleep(self.pods.settings.refresh_seconds)

    async def close(self) -> None:
        """End what runs, remove the folders, give the address back."""
        if self._refreshing is not None:
            self._refreshing.cancel()
            await asyncio.gather(self._refreshing, return_exceptions=True)
        if self.process is not None:
            self.process.kill()
            await self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)
        self.pods.forget(self)

    def _waits(self, reason: str) -> None:
        if reason != self.waits_for:
            self.waits_for = reason
            _log.info("%s waits: %s", self.log.stem, reason)
            if self.pods.report is not None:
                self.pods.report(self.pod, reason)

    async def _launch(self) -> PodProcess:
        container = self.pod["spec"]["containers"][0]
        await self.volumes.refresh()
        environment = await Environment(self.pod, self.address, self.pods.look_up).of(container)
        mounts = self.volumes.mounts(container)
        words = [*(container.get("command") or ()), *(container.get("args") or ())]
        command = self._command([relocated(expand(word, environment), mounts) for word in words])
        values = {name: relocated(value, mounts) for name, value in environment.items()}
        self.process = await self._run(command, self._surroundings() | values | self._imports())
        if self._refreshing is None:
            self._refreshing = asyncio.create_task(self._keep_fresh(), name=f"volumes of {self.log.stem}")
        return self.process

    def _command(self, words: Sequence[str]) -> list[str]:
        """With this machine's interpreter and the pod's own address."""
        words = listening(words, lambda port: self.pods.book.listen_at(self.address, port))
        if not Path(words[0]).name.startswith("python"):
            return words
        python = self.pods.settings.python
        if not python.exists():
            message = f"the gateway's environment is missing ({python}): `make gateway` makes it"
            raise CannotStart(message)
        return [str(python), *words[1:]]

    def _surroundings(self) -> dict[str, str]:
        """What an image and the kubelet would set, unless the manifest does."""
        return {
            "PATH": os.defpath,
            "HOME": str(self.folder),
            "TMPDIR": str(self.folder),
            "HOSTNAME": self.pod["metadata"]["name"],
            "PYTHONUNBUFFERED": "1",
        }

    def _imports(self) -> dict[str, str]:
        """Where the gateway's code is here, whatever the manifest says of its image."""
        return {"PYTHONPATH": str(self.pods.settings.source_root), "PYTHONDONTWRITEBYTECODE": "1"}

    async def _run(self, command: Sequence[str], environment: dict[str, str]) -> PodProcess:
        with _opened(self.log) as log:
            process = await asyncio.create_subprocess_exec(
                *command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=environment,
                cwd=self.folder,
                start_new_session=True,
            )
        return PodProcess(process, self.log, self._probe)

    async def _probe(self, path: str, port: int, within: float) -> bool:
        return await http_probe(self.pods.session, self.pods.book.find(self.address, port), path, within)

    async def _keep_fresh(self) -> None:
        """A look-up that fails leaves what is there; the next one is soon."""
        while True:
            await self.pods.clock.sleep(self.pods.settings.refresh_seconds)
            try:
                await self.volumes.refresh()
            except (PenstockError, OSError) as problem:
                _log.info("volumes of %s: %s", self.log.stem, problem)


def _opened(log: Path) -> "contextlib.AbstractContextManager[Any]":
    """The log of a new life; that of the one before is kept beside it, as `kubectl logs --previous` has it."""
    if log.exists():
        log.replace(log.with_suffix(".previous.log"))
    log.touch(mode=0o600)
    return log.open("ab")


def _first_port(pod: Object) -> int:
    ports = pod["spec"]["containers"][0].get("ports") or ()
    return int(ports[0]["containerPort"]) if ports else _ANY_PORT
