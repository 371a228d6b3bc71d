"""Which namespaces are looked at, and what that makes of each list."""

import pytest

from builders.records import Record
from penstock.cluster.resources import (
    INFERENCE_POOLS,
    MODEL_DEPLOYMENTS,
    NAMESPACES,
    NODES,
    PODS,
    SECRETS,
    ResourceType,
)
from penstock.cluster.scope import Extent, Scope

EVERYTHING = (Extent(),)
EXTENTS: dict[str, tuple[Scope, ResourceType, tuple[Extent, ...]]] = {
    "all, pods": (Scope(), PODS, EVERYTHING),
    "all, secrets": (Scope(), SECRETS, EVERYTHING),
    "all, secrets in two": (Scope(secrets=("a", "b")), SECRETS, (Extent("a"), Extent("b"))),
    "all, secrets nowhere": (Scope(secrets=()), SECRETS, ()),
    "all, secrets in one, pods": (Scope(secrets=("a",)), PODS, EVERYTHING),
    "two, pods": (Scope(("a", "b")), PODS, (Extent("a"), Extent("b"))),
    "two, deployments": (Scope(("a", "b")), MODEL_DEPLOYMENTS, (Extent("a"), Extent("b"))),
    "two, secrets": (Scope(("a", "b")), SECRETS, (Extent("a"), Extent("b"))),
    "two, secrets in one": (Scope(("a", "b"), ("b",)), SECRETS, (Extent("b"),)),
    "two, secrets in one that is not looked at": (Scope(("a", "b"), ("c",)), SECRETS, ()),
    "two, nodes": (Scope(("a", "b")), NODES, EVERYTHING),
    "two, pools": (Scope(("a", "b")), INFERENCE_POOLS, EVERYTHING),
    "two, namespaces": (Scope(("a", "b")), NAMESPACES, (Extent(name="a"), Extent(name="b"))),
    "all, namespaces": (Scope(secrets=("a",)), NAMESPACES, EVERYTHING),
}


@pytest.mark.parametrize(("scope", "kind", "want"), EXTENTS.values(), ids=EXTENTS.keys())
def test_what_is_listed_of_a_kind(scope: Scope, kind: ResourceType, want: tuple[Extent, ...]) -> None:
    """The whole collection once, or once per namespace."""
    assert scope.extents(kind) == want


SECRETS_IN_A: dict[str, tuple[Scope, bool]] = {
    "all": (Scope(), True),
    "named": (Scope(secrets=("a",)), True),
    "another is named": (Scope(secrets=("b",)), False),
    "none is named": (Scope(secrets=()), False),
    "looked at": (Scope(("a",)), True),
    "looked at, none is named": (Scope(("a",), ()), False),
    "named, and not looked at": (Scope(("b",), ("a",)), False),
}


@pytest.mark.parametrize(("scope", "want"), SECRETS_IN_A.values(), ids=SECRETS_IN_A.keys())
def test_where_secrets_are_used(scope: Scope, want: bool) -> None:  # noqa: FBT001 - a table's column
    """Never beyond what is looked at."""
    assert scope.uses_secrets("a") is want


COVERED: dict[str, tuple[Extent, str, str, bool]] = {
    "everything": (Extent(), "a", "x", True),
    "its namespace": (Extent("a"), "a", "x", True),
    "another namespace": (Extent("a"), "b", "x", False),
    "something of the cluster": (Extent("a"), "", "a", False),
    "its name": (Extent(name="a"), "", "a", True),
    "another name": (Extent(name="a"), "", "b", False),
}


@pytest.mark.parametrize(("extent", "namespace", "name", "want"), COVERED.values(), ids=COVERED.keys())
def test_what_a_list_would_have_had(extent: Extent, namespace: str, name: str, want: bool) -> None:  # noqa: FBT001 - a table's column
    """What it does not cover it says nothing of."""
    assert extent.covers(Record(namespace, name)) is want


def test_an_extent_is_named_by_its_place() -> None:
    """As problems have it."""
    assert [Extent().of(PODS), Extent("a").of(SECRETS), Extent(name="a").of(NAMESPACES)] == [
        "pods",
        "secrets in a",
        "namespaces in a",
    ]
