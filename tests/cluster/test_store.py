"""The store believes newer versions and living uids only."""

from collections.abc import Hashable, Iterable
from dataclasses import dataclass, replace

from penstock.cluster.store import Store, is_newer


@dataclass(frozen=True)
class Record:
    """The least that a store holds."""

    namespace: str = "ns"
    name: str = "a"
    uid: str = "1"
    resource_version: str = "10"
    owner_uid: str = ""
    colour: str = "red"


def test_an_older_version_is_not_believed() -> None:
    """Reordered and duplicated events change nothing."""
    store: Store[Record] = Store()
    assert store.put(Record(resource_version="10"))
    assert not store.put(Record(resource_version="9", colour="old"))
    assert not store.put(Record(resource_version="10", colour="again"))
    assert store.get("ns", "a") == Record(resource_version="10")


def test_a_reused_name_is_another_life() -> None:
    """The delete of the first life does not remove the second."""
    store: Store[Record] = Store()
    store.put(Record(uid="first"))
    assert store.put(Record(uid="second", resource_version="12"))
    assert not store.remove("ns", "a", "first")
    assert store.get("ns", "a") is not None


def test_a_late_event_of_a_former_life_is_not_believed() -> None:
    """An old object does not replace the one that came after it."""
    store: Store[Record] = Store()
    store.put(Record(uid="second", resource_version="12"))
    assert not store.put(Record(uid="first", resource_version="11"))


def test_indices_follow_changes() -> None:
    """A record is found under its newest values only."""

    def colour(record: Record) -> Iterable[Hashable]:
        return (record.colour,)

    store: Store[Record] = Store(indices={"colour": colour})
    record = Record(owner_uid="parent")
    store.put(record)
    moved = replace(record, resource_version="11", colour="blue", owner_uid="other")
    store.put(moved)
    assert store.by_index("colour", "red") == ()
    assert store.by_index("colour", "blue") == (moved,)
    assert store.by_owner("parent") == ()
    assert store.by_owner("other") == (moved,)
    store.remove("ns", "a", "1")
    assert store.by_owner("other") == ()
    assert len(store) == 0


def test_versions_compare_as_numbers() -> None:
    """9 comes before 10; what is no number is only told apart."""
    assert is_newer("10", "9")
    assert not is_newer("9", "10")
    assert is_newer("abc", "10")
    assert not is_newer("abc", "abc")
