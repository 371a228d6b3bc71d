"""The store believes newer versions and living uids only."""

from collections.abc import Hashable, Iterable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders.records import Record
from penstock.cluster.store import Store, is_newer, is_surely_newer


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
    assert not is_surely_newer("abc", "10")
    assert is_surely_newer("10", "9")


def test_what_was_removed_does_not_come_back_by_a_late_event() -> None:
    """Nor by the reply to a write of ours that was overtaken by the delete."""
    store: Store[Record] = Store()
    store.put(Record(resource_version="10"))
    assert store.remove("ns", "a", "1", version="20")
    assert not store.put(Record(resource_version="19"))
    assert len(store) == 0


def test_what_matches_the_selector_again_comes_back() -> None:
    """The same uid at a later version: it was never dead, only out of sight."""
    store: Store[Record] = Store()
    store.put(Record(resource_version="10"))
    store.remove("ns", "a", "1", version="20")
    assert store.put(Record(resource_version="21"))


def test_a_delete_that_overtakes_the_create_counts() -> None:
    """Even of an object that was never held."""
    store: Store[Record] = Store()
    assert not store.remove("ns", "a", "1", version="20")
    assert not store.put(Record(resource_version="10"))


def test_the_dead_are_forgotten_after_some_thousands() -> None:
    """Memory is bounded."""
    store: Store[Record] = Store()
    for number in range(10_000):
        store.remove("ns", "a", str(number), version="20")
    assert len(store._graves) == 4096


def test_what_is_certain_is_believed() -> None:
    """The API server was set back to a backup."""
    store: Store[Record] = Store()
    store.put(Record(resource_version="900", colour="blue"))
    assert store.put(Record(resource_version="400"), certain=True)
    assert [record.colour for record in store] == ["red"]


def test_iterating_survives_changes() -> None:
    """What was there when it began is given."""
    store: Store[Record] = Store()
    for name in "abc":
        store.put(Record(name=name, uid=name))
    for record in store:
        store.remove(record.namespace, record.name, record.uid)
    assert len(store) == 0


def test_an_unknown_index_is_an_error() -> None:
    """A typing mistake must not look like an empty answer."""
    with pytest.raises(KeyError):
        Store[Record]().by_index("colour", "red")


OPERATIONS = st.lists(
    st.tuples(
        st.sampled_from(["put", "remove"]),
        st.sampled_from("ab"),
        st.sampled_from(["1", "2"]),
        st.integers(1, 9),
        st.sampled_from(["", "parent", "other"]),
    ),
    max_size=60,
)


@pytest.mark.property
@given(OPERATIONS)
def test_indices_always_agree_with_what_is_held(operations: list[tuple[str, str, str, int, str]]) -> None:
    """Whatever comes in whatever order."""
    store: Store[Record] = Store(indices={"uid": lambda record: (record.uid,)})
    for what, name, uid, version, owner in operations:
        if what == "put":
            store.put(Record(name=name, uid=uid, resource_version=str(version), owner_uid=owner))
        else:
            store.remove("ns", name, uid, version=str(version))
        held = list(store)
        for parent in ("parent", "other"):
            assert set(store.by_owner(parent)) == {record for record in held if record.owner_uid == parent}
        for value in ("1", "2"):
            assert set(store.by_index("uid", value)) == {record for record in held if record.uid == value}


@pytest.mark.property
@given(st.permutations(range(1, 8)))
def test_the_newest_wins_in_any_order(versions: list[int]) -> None:
    """Events may be duplicated and reordered as they like."""
    store: Store[Record] = Store()
    for version in (*versions, *versions):
        store.put(Record(resource_version=str(version)))
    assert [record.resource_version for record in store] == ["7"]
