"""The objects, their versions and the log of changes; every commit has a number of its own, as in etcd.

Objects are never changed in place: who has got one may keep it. Each state is encoded once, for the answer and for all
watches.
"""

import json
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from penstock.cluster.fake.answers import too_large

__all__ = ["Change", "KindKey", "Object", "Place", "Storage", "encoded", "place_of"]

Object = dict[str, Any]
KindKey = tuple[str, str]
Place = tuple[str, str]

_LONGEST_LOG = 50_000
_LARGEST_OBJECT = 1_500_000


@dataclass(frozen=True, slots=True)
class Change:
    """One commit: ADDED, MODIFIED or DELETED; `before` is what stood there, `encoded` the object as JSON."""

    version: int
    kind: KindKey
    type: str
    object: Object
    before: Object | None
    encoded: bytes


class Storage:
    """Tables by kind, who owns what, and the log that watches resume from."""

    def __init__(self) -> None:
        self.version = 1
        self._log: deque[Change] = deque(maxlen=_LONGEST_LOG)
        self._compacted = 1
        self._tables: dict[KindKey, dict[Place, Object]] = {}
        self._uids: dict[str, tuple[KindKey, Place]] = {}
        self._owned: dict[str, dict[tuple[KindKey, Place], None]] = {}
        self._listeners: list[Callable[[Change], None]] = []
        self._untold: deque[Change] = deque()
        self._telling = False

    def table(self, kind: KindKey) -> dict[Place, Object]:
        """The objects of a kind by namespace and name."""
        return self._tables.setdefault(kind, {})

    def inside(self, namespace: str) -> list[tuple[KindKey, Object]]:
        """Everything in a namespace."""
        tables = self._tables.items()
        return [(kind, live) for kind, table in tables for (place, _), live in table.items() if place == namespace]

    def has(self, uid: str) -> bool:
        """Whether an object of that uid lives."""
        return uid in self._uids

    def by_uid(self, uid: str) -> tuple[KindKey, Object] | None:
        """The live object of that uid and its kind."""
        if uid not in self._uids:
            return None
        kind, place = self._uids[uid]
        return kind, self._tables[kind][place]

    def owned_by(self, uid: str) -> Iterator[tuple[KindKey, Object]]:
        """The live objects that name it as an owner."""
        for kind, place in tuple(self._owned.get(uid, ())):
            live = self.table(kind).get(place)
            if live is not None:
                yield kind, live

    def listen(self, listener: Callable[[Change], None]) -> Callable[[], None]:
        """Call `listener` after each commit; returns what ends that."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener) if listener in self._listeners else None

    def write(self, kind: KindKey, live: Object) -> Object:
        """Commit a new state, its version in the metadata; 413 where etcd would not take it."""
        place = place_of(live)
        before = self.table(kind).get(place)
        change = self._change(kind, "MODIFIED" if before else "ADDED", live, before)
        if len(change.encoded) > _LARGEST_OBJECT:
            message = "etcdserver: request is too large"
            raise too_large(message)
        self.table(kind)[place] = change.object
        self._index(kind, place, before, change.object)
        self._commit(change)
        return change.object

    def delete(self, kind: KindKey, live: Object) -> Object:
        """Commit the end of an object, in the state that it was last stored in."""
        place = place_of(live)
        before = self.table(kind).pop(place)
        self._index(kind, place, before, None)
        change = self._change(kind, "DELETED", before, before)
        self._commit(change)
        return change.object

    def compact(self) -> None:
        """Forget the log: whoever resumes from a version from before now gets 410, be it the last one."""
        self._log.clear()
        self.version += 1
        self._compacted = self.version

    def since(self, version: int) -> list[Change] | None:
        """The changes after that version; None where they are not known any more."""
        if version < self._oldest():
            return None
        recent: list[Change] = []
        for change in reversed(self._log):
            if change.version <= version:
                break
            recent.append(change)
        return recent[::-1]

    def encoded(self, live: Object) -> bytes:
        """The object as JSON; at no cost right after its commit."""
        if self._log and self._log[-1].object is live:
            return self._log[-1].encoded
        return encoded(live)

    def _oldest(self) -> int:
        """The oldest version that a watch may resume from."""
        return max(self._compacted, self._log[0].version - 1) if len(self._log) == _LONGEST_LOG else self._compacted

    def _change(self, kind: KindKey, what: str, live: Object, before: Object | None) -> Change:
        version = self.version + 1
        stamped = {**live, "metadata": {**live["metadata"], "resourceVersion": str(version)}}
        return Change(version, kind, what, stamped, before, encoded(stamped))

    def _index(self, kind: KindKey, place: Place, before: Object | None, after: Object | None) -> None:
        owners, new_owners = _owners(before), _owners(after)
        for uid in owners - new_owners:
            self._owned.get(uid, {}).pop((kind, place), None)
            if not self._owned.get(uid, True):
                del self._owned[uid]
        for uid in new_owners - owners:
            self._owned.setdefault(uid, {})[kind, place] = None
        if before is not None and after is None:
            self._uids.pop(before["metadata"]["uid"], None)
        elif after is not None:
            self._uids[after["metadata"]["uid"]] = kind, place

    def _commit(self, change: Change) -> None:
        """A listener may commit too: everybody still hears of all commits in their order."""
        self.version = change.version
        self._log.append(change)
        self._untold.append(change)
        if self._telling:
            return
        self._telling = True
        try:
            while self._untold:
                told = self._untold.popleft()
                for listener in tuple(self._listeners):
                    listener(told)
        finally:
            self._telling = False


def encoded(value: Any) -> bytes:
    """Compact JSON."""
    return json.dumps(value, separators=(",", ":")).encode()


def place_of(live: Object) -> Place:
    """Namespace, empty where there is none, and name."""
    metadata = live["metadata"]
    return metadata.get("namespace", ""), metadata["name"]


def _owners(live: Object | None) -> set[str]:
    return {owner["uid"] for owner in live["metadata"].get("ownerReferences") or ()} if live else set()
