"""Reading and changing live objects: owners, labels, conditions. Objects of the server are never changed in place."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

__all__ = [
    "Object",
    "controller_of",
    "digest",
    "find_condition",
    "is_active",
    "is_ready",
    "is_terminating",
    "name_of",
    "owner_reference",
    "place_of",
    "selects",
    "stamp",
    "with_condition",
]

Object = dict[str, Any]

_ALPHABET = "bcdfghjklmnpqrstvwxz2456789"
_ENDED = frozenset({"Succeeded", "Failed"})


def stamp(time: datetime) -> str:
    """A time as the API server writes it."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ")


def name_of(live: Object) -> str:
    """Its name."""
    return str(live["metadata"]["name"])


def place_of(live: Object) -> tuple[str, str]:
    """Namespace and name."""
    return live["metadata"].get("namespace", ""), name_of(live)


def is_terminating(live: Object) -> bool:
    """True once it was deleted."""
    return "deletionTimestamp" in live["metadata"]


def is_active(pod: Object) -> bool:
    """True for a pod that counts as a replica: neither deleted nor ended."""
    return not is_terminating(pod) and pod.get("status", {}).get("phase") not in _ENDED


def is_ready(pod: Object) -> bool:
    """True where its Ready condition says so."""
    return find_condition(pod, "Ready").get("status") == "True"


def controller_of(live: Object) -> Object:
    """The controller's owner reference, empty where there is none."""
    owners = live["metadata"].get("ownerReferences") or ()
    return next((owner for owner in owners if owner.get("controller")), {})


def owner_reference(owner: Object) -> Object:
    """What a child of it carries."""
    return {
        "apiVersion": owner["apiVersion"],
        "kind": owner["kind"],
        "name": name_of(owner),
        "uid": owner["metadata"]["uid"],
        "controller": True,
        "blockOwnerDeletion": True,
    }


def selects(selector: Mapping[str, str], live: Object) -> bool:
    """Whether it carries all of these labels; an empty selector selects nothing."""
    labels = live["metadata"].get("labels") or {}
    return bool(selector) and all(labels.get(key) == value for key, value in selector.items())


def find_condition(live: Object, kind: str) -> Object:
    """The condition of that type, empty where there is none."""
    conditions: Iterable[Object] = live.get("status", {}).get("conditions") or ()
    return next((condition for condition in conditions if condition.get("type") == kind), {})


def with_condition(conditions: Iterable[Object], condition: Object, *, now: datetime) -> list[Object]:
    """The conditions with this one in its place; its transition time moves only with its status."""
    kept = list(conditions)
    at = next((index for index, each in enumerate(kept) if each["type"] == condition["type"]), len(kept))
    before = kept[at] if at < len(kept) else {}
    same = before.get("status") == condition["status"]
    time = before["lastTransitionTime"] if same else stamp(now)
    kept[at : at + 1] = [{**condition, "lastTransitionTime": time}]
    return kept


def digest(content: Any, *, length: int = 10) -> str:
    """A short hash in the characters that Kubernetes uses for generated names."""
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    number = int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest())
    characters = []
    for _ in range(length):
        number, rest = divmod(number, len(_ALPHABET))
        characters.append(_ALPHABET[rest])
    return "".join(characters)
