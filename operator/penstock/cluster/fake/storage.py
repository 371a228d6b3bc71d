"""The objects, their versions and the log of changes; every commit has a number of its own, as in etcd.

Objects are never changed in place: who has got one may keep it.
"""

import json
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

__all__ = ["Change", "Storage"]

Object = dict[str, Any]
KindKey = tuple[str, str]

_LONGEST_LOG = 50_000


@dataclass(slots=True)
class Change:
    """One commit: ADDED, MODIFIED or DELETED; `before` is what stood there."""

    version: int
    kind: KindKey
    type: str
    object: Object
    before: Object | None
    _encoded: bytes | None = None

    @property
    def encoded(self) -> bytes:
        """The object as JSON, made once for all watches."""
        if self._encoded is None:
            self._encoded = json.dumps(self.object, separators=(",", ":")).encode()
        return self._encoded


class Storage:
    """Tables by kind, and the log that watches resume from."""

    def __init__(self) -> None:
        self.version = 1
        self.log: deque[Change] = deque(maxlen=_LONGEST_LOG)
        self.compacted = 1
        self._tables: dict[KindKey, dict[tuple[str, str], Object]] = {}
        self._listeners: list[Callable[[Change], None]] = []

    def table(self, kind: KindKey) -> dict[tuple[str, str], Object]:
        """The objects of a kind by namespace and name."""
        return self._tables.setdefault(kind, {})

    def everything(self) -> dict[KindKey, dict[tuple[str, str], Object]]:
        """All tables."""
        return self._tables

    def listen(self, listener: Callable[[Change], None]) -> Callable[[], None]:
        """Call `listener` after each commit; returns what ends that."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener) if listener in self._listeners else None

    def write(self, kind: KindKey, live: Object) -> Object:
        """Commit a new state; the version is put into the metadata."""
        key = _place(live)
        before = self.table(kind).get(key)
        committed = self._stamped(live)
        self.table(kind)[key] = committed
        self._commit(Change(self.version, kind, "MODIFIED" if before else "ADDED", committed, before))
        return committed

    def delete(self, kind: KindKey, live: Object) -> Object:
        """Commit the end of an object."""
        before = self.table(kind).pop(_place(live))
        committed = self._stamped(before)
        self._commit(Change(self.version, kind, "DELETED", committed, before))
        return committed

    def compact(self) -> None:
        """Forget the log: whoever resumes from before now gets 410."""
        self.log.clear()
        self.compacted = self.version

    def since(self, version: int) -> list[Change] | None:
        """The changes after that version; None where they are not known any more."""
        oldest = self.log[0].version - 1 if self.log else self.version
        if version < max(self.compacted, min(oldest, self.version)) and version < oldest:
            return None
        return [change for change in self.log if change.version > version]

    def _stamped(self, live: Object) -> Object:
        self.version += 1
        return {**live, "metadata": {**live["metadata"], "resourceVersion": str(self.version)}}

    def _commit(self, change: Change) -> None:
        self.log.append(change)
        for listener in tuple(self._listeners):
            listener(change)


def _place(live: Object) -> tuple[str, str]:
    metadata = live["metadata"]
    return metadata.get("namespace", ""), metadata["name"]
