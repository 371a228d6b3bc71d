"""The providers' keys: files of a mounted Secret, read anew when they change."""

import asyncio
import contextlib
from dataclasses import dataclass, field
from pathlib import Path

__all__ = ["Credentials"]

_VERSION = "version"
"""The file that says which version of the merged credentials this is."""


@dataclass(slots=True)
class Credentials:
    """Keys by the name of their file; `version` is what the operator wrote beside them."""

    folder: Path | None
    period: float = 1.0
    version: str = ""
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    _keys: dict[str, str] = field(default_factory=dict, repr=False)
    _seen: tuple[tuple[str, int, int], ...] | None = None
    _told: str = ""

    def of(self, name: str) -> str | None:
        """The key; None where there is none."""
        return self._keys.get(name)

    async def run(self) -> None:
        """Look every `period` seconds."""
        while True:
            await asyncio.sleep(self.period)
            await asyncio.to_thread(self.refresh)
            if self._told != self.version:
                self._told = self.version
                self.changed.set()

    def refresh(self) -> None:
        """Read the files where one of them changed; an unreadable folder leaves what was read before."""
        if self.folder is None:
            return
        with contextlib.suppress(OSError):
            seen = _stamps(self.folder)
            if seen != self._seen:
                # One assignment each: the loop may look at any moment.
                keys = {name: (self.folder / name).read_text().strip() for name, _, _ in seen}
                self.version = keys.pop(_VERSION, "")
                self._keys, self._seen = keys, seen


def _stamps(folder: Path) -> tuple[tuple[str, int, int], ...]:
    """Name, inode and time of each file. A mounted Secret is links to a folder that is swapped whole."""
    found = []
    for path in sorted(folder.iterdir()):
        if not path.name.startswith("..") and path.is_file():
            status = path.stat()
            found.append((path.name, status.st_ino, status.st_mtime_ns))
    return tuple(found)
