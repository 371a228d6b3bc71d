"""Marks on list fields that the API server's merging needs: `Annotated[tuple[X, ...], atomic()]`."""

from dataclasses import dataclass
from typing import Any

from pydantic import GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

__all__ = ["ListType", "as_set", "atomic", "map_by"]


@dataclass(frozen=True, slots=True)
class ListType:
    """How server-side apply merges a list; `keys` only where `kind` is `map`."""

    kind: str
    keys: tuple[str, ...] = ()

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """The two extension fields of a structural schema."""
        marked: dict[str, Any] = {**handler(schema), "x-kubernetes-list-type": self.kind}
        return {**marked, "x-kubernetes-list-map-keys": list(self.keys)} if self.keys else marked


def map_by(*keys: str) -> ListType:
    """Items are told apart by these fields and merged one by one."""
    return ListType("map", keys)


def as_set() -> ListType:
    """Scalars without an order; each at most once."""
    return ListType("set")


def atomic() -> ListType:
    """One value as a whole: order matters, or items have no identity."""
    return ListType("atomic")
