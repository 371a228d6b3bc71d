"""The table that this replica decides with: swapped by one assignment, kept on disk, never replaced by a worse one."""

import asyncio
import contextlib
import json
import logging
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from penstock_gateway.errors import TableRefused
from penstock_gateway.metrics import Metrics
from penstock_policy.decision import Index
from penstock_policy.wire import FORMAT, decode

__all__ = ["LiveTable"]

_log = logging.getLogger(__name__)

_OTHER = "OtherGateway"
_OLDER = "OlderGeneration"


@dataclass(frozen=True, slots=True)
class Applied:
    """A table that decides, and its hash."""

    index: Index
    hash: str


@dataclass(slots=True)
class LiveTable:
    """`index` is None until a first table is there; `gateway` is the one that it must be for, `namespace/name`."""

    gateway: str
    path: Path
    metrics: Metrics
    index: Index | None = None
    hash: str = ""
    follow: Callable[[Index], None] = lambda _: None
    """Told each table at the moment in which it begins to decide."""
    _applying: asyncio.Lock = field(default_factory=asyncio.Lock)

    @property
    def generation(self) -> int:
        """0 while there is none."""
        return self.index.table.generation if self.index else 0

    def load(self) -> bool:
        """Take the one on disk; False where there is none that can be used."""
        try:
            document = self.path.read_bytes()
        except FileNotFoundError:
            return False
        except OSError as error:
            _log.warning("the table on disk cannot be read: %s", error)
            return False
        try:
            self._swap(self._read(document))
        except TableRefused as refusal:
            self._tell(refusal)
            return False
        return True

    async def offer(self, document: bytes) -> bool:
        """Take it, or keep the last one and say why; on disk before it decides, so that a restart goes not back."""
        async with self._applying:
            try:
                # A thread, because ten thousand keys take longer to read than a request may wait.
                applied = await asyncio.to_thread(self._read, document)
            except TableRefused as refusal:
                self._tell(refusal)
                return False
            await asyncio.to_thread(self._keep, document)
            self._swap(applied)
            return True

    def _read(self, document: bytes) -> Applied:
        try:
            table = decode(document)
        except (ValueError, RecursionError) as error:
            raise TableRefused(_reason(document), str(error)) from error
        if table.gateway != self.gateway:
            message = f"it is for the gateway {table.gateway!r}, and this is {self.gateway!r}"
            raise TableRefused(_OTHER, message)
        if table.generation < self.generation:
            message = f"generation {table.generation} is older than {self.generation}"
            raise TableRefused(_OLDER, message)
        return Applied(Index.of(table), json.loads(document)["hash"])

    def _swap(self, applied: Applied) -> None:
        self.index, self.hash = applied.index, applied.hash
        self.follow(applied.index)
        self.metrics.generation.set(self.generation)
        _log.info("table %d applied (%s)", self.generation, self.hash[:12])

    def _tell(self, refusal: TableRefused) -> None:
        self.metrics.table_refusals.labels(refusal.reason).inc()
        _log.warning("a table was refused, %d goes on: %s", self.generation, refusal)

    def _keep(self, document: bytes) -> None:
        """A disk that fails costs the next start its table, and nothing now."""
        try:
            _replace(self.path, document)
        except OSError as error:
            self.metrics.table_refusals.labels("NotKept").inc()
            _log.warning("the table could not be kept on disk: %s", error)


def _reason(document: bytes) -> str:
    """Of a later format, or malformed."""
    with contextlib.suppress(ValueError, RecursionError):
        content = json.loads(document)
        stated = content.get("format") if isinstance(content, dict) else None
        if isinstance(stated, int) and stated > FORMAT:
            return "LaterFormat"
    return "Malformed"


def _replace(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f"{path.name}.draft")
    with draft.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
