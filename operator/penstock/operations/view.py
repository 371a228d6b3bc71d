"""What was read of a cluster at one time: objects by kind, and for each kind that could not be read the reason."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from penstock.cluster.resources import ResourceType

__all__ = ["ClusterView", "Gap", "Listing", "conditions_of", "name_of", "namespace_of", "part"]

Object = dict[str, Any]


class Gap(StrEnum):
    """Why a kind was not read."""

    FORBIDDEN = "Forbidden"
    NOT_SERVED = "NotServed"
    """The API server does not have the kind: for ours, the CRD is missing."""
    FAILED = "Failed"
    NOT_ASKED = "NotAsked"


@dataclass(frozen=True, slots=True)
class Listing:
    """All objects of a kind; with a gap, none, and `message` says why."""

    items: tuple[Object, ...] = ()
    gap: Gap | None = None
    message: str = ""


_NOT_ASKED = Listing(gap=Gap.NOT_ASKED, message="it was not asked for")


@dataclass(frozen=True, slots=True)
class ClusterView:
    """Listings by kind."""

    listings: Mapping[ResourceType, Listing] = field(default_factory=dict)

    def listing(self, kind: ResourceType) -> Listing:
        """What was read of that kind."""
        return self.listings.get(kind, _NOT_ASKED)

    def items(self, kind: ResourceType) -> tuple[Object, ...]:
        """Its objects; none where they could not be read."""
        return self.listing(kind).items

    def find(self, kind: ResourceType, namespace: str, name: str) -> Object | None:
        """One object, None where it is not there or could not be read; the namespace is empty for cluster kinds."""
        named = (each for each in self.items(kind) if name_of(each) == name)
        return next((each for each in named if namespace_of(each) == namespace), None)

    def gaps(self) -> Iterator[tuple[ResourceType, Listing]]:
        """The kinds that could not be read."""
        return ((kind, listing) for kind, listing in self.listings.items() if listing.gap is not None)


def name_of(live: Object) -> str:
    """`metadata.name`."""
    return str(part(live, "metadata").get("name") or "")


def namespace_of(live: Object) -> str:
    """`metadata.namespace`, empty for cluster kinds."""
    return str(part(live, "metadata").get("namespace") or "")


def part(live: Any, *path: str) -> Object:
    """The mapping at that path; empty where there is none."""
    for step in path:
        live = live.get(step) if isinstance(live, dict) else None
    return live if isinstance(live, dict) else {}


def conditions_of(live: Object) -> dict[str, Object]:
    """The conditions by type."""
    found = part(live, "status").get("conditions")
    listed = found if isinstance(found, list) else []
    return {str(each.get("type")): each for each in listed if isinstance(each, dict)}
