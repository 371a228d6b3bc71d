"""A record as a store holds it, and live objects to make it from."""

from dataclasses import dataclass
from typing import Any

__all__ = ["Record", "pod", "slim"]


@dataclass(frozen=True, slots=True)
class Record:
    """The least that a store holds, and one field of its own."""

    namespace: str = "ns"
    name: str = "a"
    uid: str = "1"
    resource_version: str = "10"
    owner_uid: str = ""
    colour: str = "red"


def pod(name: str = "a", *, uid: str = "1", version: int = 10, colour: str = "red") -> dict[str, Any]:
    """A live object; `colour` is what a change changes."""
    metadata = {"namespace": "ns", "name": name, "uid": uid, "resourceVersion": str(version)}
    return {"metadata": metadata, "spec": {"colour": colour}}


def slim(live: dict[str, Any]) -> Record | None:
    """The record of a live object; a grey one is of no interest."""
    metadata, colour = live["metadata"], live["spec"]["colour"]
    if colour == "grey":
        return None
    return Record(metadata["namespace"], metadata["name"], metadata["uid"], metadata["resourceVersion"], colour=colour)
