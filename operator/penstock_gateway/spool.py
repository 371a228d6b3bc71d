"""Usage records on disk until the ledger collects them: a bounded queue, a writer beside the loop, files in turn."""

import asyncio
import logging
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from time import time_ns

from penstock_gateway.metrics import Metrics
from penstock_gateway.records import Record

__all__ = ["Spool"]

_log = logging.getLogger(__name__)

_PATTERN = "usage-*.jsonl"


@dataclass(slots=True)
class Spool:
    """`append` never waits; `run` writes until it is cancelled, `flush` writes what is left.

    Files are named by the time of their beginning; when they are too many, the oldest is lost, and counted.
    """

    folder: Path
    metrics: Metrics
    most_waiting: int = 20_000
    file_bytes: int = 32 * 2**20
    most_files: int = 16
    period: float = 0.2
    _waiting: deque[bytes] = field(default_factory=deque)
    _file: Path | None = None
    _size: int = 0
    _writing: asyncio.Lock = field(default_factory=asyncio.Lock)

    def append(self, record: Record) -> None:
        """Queue it, or count it as lost."""
        if len(self._waiting) >= self.most_waiting:
            self.metrics.spool_dropped.labels("QueueFull").inc()
            return
        # Made here and not in the thread, which would hold the interpreter against the requests for milliseconds.
        self._waiting.append(record.line())

    async def run(self) -> None:
        """Write every `period` seconds."""
        while True:
            await asyncio.sleep(self.period)
            await self.flush()

    async def flush(self) -> None:
        """Write what waits."""
        async with self._writing:
            lines, self._waiting = self._waiting, deque()
            if lines:
                await _to_its_end(asyncio.create_task(asyncio.to_thread(self._write, lines)))

    def _write(self, lines: deque[bytes]) -> None:
        try:
            self._append(b"".join(lines))
        except OSError as error:
            self.metrics.spool_dropped.labels("DiskFailed").inc(len(lines))
            _log.warning("%d usage records are lost: %s", len(lines), error)

    def _append(self, content: bytes) -> None:
        if self._file is None or self._size + len(content) > self.file_bytes:
            self._turn()
        assert self._file is not None  # noqa: S101 # _turn just named it
        with self._file.open("ab") as file:
            file.write(content)
        self._size += len(content)

    def _turn(self) -> None:
        """The next file; what a killed process left behind stays as it is."""
        self.folder.mkdir(parents=True, exist_ok=True)
        for old in sorted(self.folder.glob(_PATTERN))[: -self.most_files + 1 or None]:
            self._lose(old)
        self._file, self._size = self.folder / f"usage-{time_ns():020d}.jsonl", 0

    def _lose(self, file: Path) -> None:
        lines = file.read_bytes().count(b"\n")
        file.unlink()
        self.metrics.spool_dropped.labels("SpoolFull").inc(lines)
        _log.warning("%s was never collected: %d usage records are lost", file.name, lines)


async def _to_its_end(writing: "asyncio.Task[None]") -> None:
    """Nobody else has these lines any more: a write that has not begun when the process ends must not be cancelled."""
    try:
        await asyncio.shield(writing)
    except asyncio.CancelledError:
        await writing
        raise
