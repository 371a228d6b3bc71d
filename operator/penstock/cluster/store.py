"""Objects by namespace and name, with indices; a version or a uid that is older than what is held is not believed.

What was removed is remembered for a while by its uid and version, so that a late event, or the reply to our own
write, does not bring the dead back. Nothing here talks to the API server.
"""

from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from typing import Generic, Protocol, TypeVar

__all__ = ["Store", "Stored", "is_newer", "is_surely_newer"]

_MOST_GRAVES = 4096


class Stored(Protocol):
    """What every record carries; `owner_uid` is the controller's, empty where there is none."""

    @property
    def namespace(self) -> str: ...

    @property
    def name(self) -> str: ...

    @property
    def uid(self) -> str: ...

    @property
    def resource_version(self) -> str: ...

    @property
    def owner_uid(self) -> str: ...


T = TypeVar("T", bound=Stored)
Index = Callable[[T], Iterable[Hashable]]
Name = tuple[str, str]


def is_newer(version: str, held: str) -> bool:
    """Compare resource versions: as numbers where both are (allowed since Kubernetes 1.35), else by difference."""
    if version.isdecimal() and held.isdecimal():
        return int(version) > int(held)
    return version != held


def is_surely_newer(version: str, held: str) -> bool:
    """True only where both are numbers and say so: what cannot be compared gives no reason to spare a ghost."""
    return version.isdecimal() and held.isdecimal() and int(version) > int(held)


class Store(Generic[T]):
    """The newest known state of one kind."""

    def __init__(self, *, indices: Mapping[str, Index[T]] | None = None) -> None:
        self._records: dict[Name, T] = {}
        self._owned: _Buckets[T] = _Buckets(_owner)
        self._indices = {name: _Buckets(function) for name, function in (indices or {}).items()}
        self._graves: OrderedDict[str, str] = OrderedDict()

    def put(self, record: T, *, certain: bool = False) -> bool:
        """Keep it unless what is held is as new; another uid under the same name is another life and replaces it.

        What is `certain` is believed whatever its version: the API server was set back to a backup.
        """
        key = (record.namespace, record.name)
        held = self._records.get(key)
        if certain:
            self._graves.pop(record.uid, None)
        elif self._is_stale(record, held):
            return False
        if held is not None:
            self._unlink(key, held)
        self._records[key] = record
        self._owned.link(key, record)
        for index in self._indices.values():
            index.link(key, record)
        return True

    def remove(self, namespace: str, name: str, uid: str, *, version: str = "") -> bool:
        """Forget it, if it is that very life; `version` is the one at which it was gone, if that is known."""
        key = (namespace, name)
        held = self._records.get(key)
        if held is None or held.uid != uid:
            self._bury(uid, version)
            return False
        self._bury(uid, version or held.resource_version)
        del self._records[key]
        self._unlink(key, held)
        return True

    def get(self, namespace: str, name: str) -> T | None:
        """The record, or None."""
        return self._records.get((namespace, name))

    def by_owner(self, uid: str) -> tuple[T, ...]:
        """What that controller owns."""
        return self._owned.find(uid)

    def by_index(self, index: str, value: Hashable) -> tuple[T, ...]:
        """What the index gives for the value; KeyError where there is no such index."""
        return self._indices[index].find(value)

    def __iter__(self) -> Iterator[T]:
        """All records, as they were when the iteration began."""
        return iter(tuple(self._records.values()))

    def __len__(self) -> int:
        """How many."""
        return len(self._records)

    def _is_stale(self, record: T, held: T | None) -> bool:
        gone_at = self._graves.get(record.uid)
        if gone_at is not None and not is_newer(record.resource_version, gone_at):
            return True
        if held is None:
            return False
        if held.uid == record.uid:
            return not is_newer(record.resource_version, held.resource_version)
        return is_newer(held.resource_version, record.resource_version)

    def _bury(self, uid: str, version: str) -> None:
        """A uid may come back only at a later version: when it matches the watch's selector again."""
        if not version:
            return
        self._graves[uid] = version
        if len(self._graves) > _MOST_GRAVES:
            self._graves.popitem(last=False)

    def _unlink(self, key: Name, record: T) -> None:
        self._owned.unlink(key, record)
        for index in self._indices.values():
            index.unlink(key, record)


class _Buckets(Generic[T]):
    """One index: the records by each value that the function gives for them."""

    def __init__(self, values: Index[T]) -> None:
        self._values = values
        self._found: dict[Hashable, dict[Name, T]] = {}

    def find(self, value: Hashable) -> tuple[T, ...]:
        return tuple(self._found.get(value, {}).values())

    def link(self, key: Name, record: T) -> None:
        for value in self._values(record):
            self._found.setdefault(value, {})[key] = record

    def unlink(self, key: Name, record: T) -> None:
        for value in self._values(record):
            bucket = self._found.get(value, {})
            bucket.pop(key, None)
            if not bucket:
                self._found.pop(value, None)


def _owner(record: Stored) -> Iterable[Hashable]:
    return (record.owner_uid,) if record.owner_uid else ()
