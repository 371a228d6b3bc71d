"""`penstock operator` as a process of its own: its metrics, its CPU time, its memory."""

import asyncio
import contextlib
import os
import re
import signal
import sys
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from bench.figures import progress
from penstock.simulation.network import free_port

__all__ = ["OperatorProcess", "Sample", "operator_process"]

_SAMPLE = re.compile(r"^(?P<name>[a-zA-Z_:]+)(\{(?P<labels>[^}]*)\})? (?P<value>\S+)$")
_WRITES = ("create", "update", "patch", "delete")
_READ = (
    "controller_runtime_reconcile_total",
    "workqueue_depth",
    "penstock_api_requests_total",
    "penstock_event_loop_lag_seconds_bucket",
)
_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Sample:
    """One scrape of `/metrics`."""

    values: dict[tuple[str, str], float]

    def total(self, name: str, *parts: str) -> float:
        """The sum over the samples of that name whose labels hold every part."""
        return sum(
            value
            for (sample, labels), value in self.values.items()
            if sample == name and all(part in labels for part in parts)
        )

    @property
    def writes(self) -> float:
        """Requests that changed something, Lease renewals apart."""
        return sum(
            self.total("penstock_api_requests_total", f'verb="{verb}"')
            - self.total("penstock_api_requests_total", f'verb="{verb}"', 'resource="leases"')
            for verb in _WRITES
        )

    def quantile(self, name: str, share: float) -> float:
        """The upper bound of the histogram's bucket that holds the share, in the metric's unit."""
        buckets = sorted(
            (float(match.group(1)), value)
            for (sample, labels), value in self.values.items()
            if sample == f"{name}_bucket" and (match := re.search(r'le="([^"]+)"', labels))
        )
        wanted = share * buckets[-1][1]
        return next(bound for bound, count in buckets if count >= wanted)


@dataclass
class OperatorProcess:
    """A running operator."""

    process: asyncio.subprocess.Process
    url: str
    session: aiohttp.ClientSession
    started: float

    async def sample(self) -> Sample:
        """Scrape what benchmarks read: all of a large fleet, again and again, would be most of what is measured."""
        async with self.session.get(f"{self.url}/metrics", params=[("name[]", name) for name in _READ]) as reply:
            text = await reply.text()
        matches = (_SAMPLE.match(line) for line in text.splitlines() if not line.startswith("#"))
        return Sample({(m["name"], m["labels"] or ""): float(m["value"]) for m in matches if m})

    async def until_ready(self, *, limit: float = 120) -> None:
        """Wait until its stores are filled; TimeoutError beyond the limit."""
        async with asyncio.timeout(limit):
            while not await self._ready():
                if self.process.returncode is not None:
                    message = f"the operator ended with {self.process.returncode}"
                    raise RuntimeError(message)
                await asyncio.sleep(0.05)

    async def _ready(self) -> bool:
        with contextlib.suppress(aiohttp.ClientError):
            async with self.session.get(f"{self.url}/readyz") as reply:
                return reply.status == 200
        return False

    @property
    def cpu_seconds(self) -> float:
        """User and system time so far."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS

    @property
    def rss_mib(self) -> float:
        """The most memory that it held."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        match = re.search(r"VmHWM:\s+(\d+) kB", status)
        return int(match.group(1)) / 1024 if match else 0.0

    @property
    def age(self) -> float:
        """Seconds since it was started."""
        return time.monotonic() - self.started


@contextlib.asynccontextmanager
async def operator_process(kubeconfig: Path, log: Path) -> AsyncIterator[OperatorProcess]:
    """Start an operator on a cluster and stop it by its id at the end."""
    port = free_port()
    command = ["-m", "penstock", "operator", "--kubeconfig", str(kubeconfig), "--health-port", str(port)]
    started = time.monotonic()
    with log.open("wb") as sink:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, *command, "--health-host", "127.0.0.1", "--no-hub"),
            stdout=sink,
            stderr=sink,
            env=_environment(folder=log.parent),
        )
        try:
            async with aiohttp.ClientSession() as session:
                yield OperatorProcess(process, f"http://127.0.0.1:{port}", session, started)
        except BaseException:
            progress(f"the operator's last lines ({process.returncode}):\n{log.read_text()[-4000:]}")
            raise
        finally:
            if process.returncode is None:
                process.send_signal(signal.SIGTERM)
                await asyncio.wait_for(process.wait(), 30)


def _environment(folder: Path) -> dict[str, str]:
    """With bytecode that the first start writes and the next ones read, as the image has it: never compiled anew."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return {**kept, "PYTHONPYCACHEPREFIX": str(folder / "bytecode")}
