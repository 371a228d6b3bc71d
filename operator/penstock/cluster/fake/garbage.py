"""Deletion: finalizers, the grace of pods, namespaces, and children that go with their owners.

The last two are the work of controllers in a real cluster; here they happen with the commit that calls for them.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from penstock.cluster.fake.storage import Change, KindKey, Object, Storage, place_of

__all__ = ["Collector", "Deletion", "Propagation", "stamp"]

_FOREGROUND = "foregroundDeletion"
_ORPHAN = "orphan"
_PODS: KindKey = ("", "pods")
_NAMESPACES: KindKey = ("", "namespaces")
_EVENTS: KindKey = ("", "events")
_EVENTS_KEPT = 5_000
_EVENT_LIFE = timedelta(hours=1)


class Propagation(StrEnum):
    """What becomes of the children."""

    FOREGROUND = "Foreground"
    BACKGROUND = "Background"
    ORPHAN = "Orphan"


@dataclass(frozen=True, slots=True)
class Deletion:
    """How to delete; `grace` in seconds, None for the pod's own."""

    propagation: Propagation = Propagation.BACKGROUND
    grace: int | None = None


_PLAIN = Deletion()


def stamp(time: datetime) -> str:
    """A time as the API server writes it."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ")


class Collector:
    """Ends objects, and then what they own."""

    def __init__(self, storage: Storage, now: Callable[[], datetime]) -> None:
        self._storage = storage
        self._now = now
        storage.listen(self._heard)

    def delete(self, kind: KindKey, live: Object, deletion: Deletion) -> tuple[Object, bool]:
        """Delete it, or mark it where finalizers or the grace of a pod say so; whether it is gone."""
        grace = _grace_of(kind, live, deletion.grace)
        if is_dying(live):
            return self._hurry(kind, live, grace)
        finalizers = _finalizers_after(live, deletion.propagation)
        if not finalizers and not grace and kind != _NAMESPACES:
            return self._storage.delete(kind, live), True
        return self._storage.write(kind, self._marked(kind, live, finalizers, grace)), False

    def ends(self, kind: KindKey, after: Object) -> bool:
        """True for a state that nothing holds any more: it is not written, the object ends instead."""
        held = after["metadata"].get("finalizers") or after["metadata"].get("deletionGracePeriodSeconds")
        return is_dying(after) and not held and kind != _NAMESPACES

    def _hurry(self, kind: KindKey, live: Object, grace: int) -> tuple[Object, bool]:
        """Deleted once more: only a shorter grace makes a difference."""
        if grace >= live["metadata"].get("deletionGracePeriodSeconds", 0):
            return live, False
        after = {**live, "metadata": {**live["metadata"], "deletionGracePeriodSeconds": grace}}
        if self.ends(kind, after):
            return self._storage.delete(kind, live), True
        return self._storage.write(kind, after), False

    def _marked(self, kind: KindKey, live: Object, finalizers: list[str], grace: int) -> Object:
        metadata = {
            **live["metadata"],
            "deletionTimestamp": stamp(self._now() + timedelta(seconds=grace)),
            "deletionGracePeriodSeconds": grace,
            **({"finalizers": finalizers} if finalizers else {}),
        }
        if "generation" in metadata:
            metadata["generation"] += 1
        if kind == _NAMESPACES:
            metadata.pop("deletionGracePeriodSeconds")
            return {**live, "metadata": metadata, "status": {"phase": "Terminating"}}
        return {**live, "metadata": metadata}

    def _heard(self, change: Change) -> None:
        if change.type == "DELETED":
            self._after_an_end(change.object)
            return
        live = self._storage.table(change.kind).get(place_of(change.object))
        if live is None or live["metadata"]["uid"] != change.object["metadata"]["uid"]:
            return
        if is_dying(live):
            self._go_on(change.kind, live)
        elif change.type == "ADDED":
            self._mind_the_new(change.kind, live)

    def _go_on(self, kind: KindKey, live: Object) -> None:
        """What the mark of deletion asks of the controllers."""
        finalizers = live["metadata"].get("finalizers") or ()
        if kind == _NAMESPACES:
            self._empty(live)
        elif _FOREGROUND in finalizers:
            self._collect(live["metadata"]["uid"])
            self._let_go_after_children(kind, live)
        elif _ORPHAN in finalizers:
            for child_kind, child in self._storage.owned_by(live["metadata"]["uid"]):
                self._storage.write(child_kind, _without_owner(child, live["metadata"]["uid"]))
            self._release(kind, live, _ORPHAN)

    def _mind_the_new(self, kind: KindKey, live: Object) -> None:
        """A child all of whose owners are gone goes too; old events make room."""
        owners = live["metadata"].get("ownerReferences") or ()
        if owners and not any(self._storage.has(owner["uid"]) for owner in owners):
            self.delete(kind, live, _PLAIN)
        if kind == _EVENTS:
            self._expire_events()

    def _after_an_end(self, gone: Object) -> None:
        self._collect(gone["metadata"]["uid"])
        for owner in gone["metadata"].get("ownerReferences") or ():
            found = self._storage.by_uid(owner["uid"])
            if found is not None and _FOREGROUND in (found[1]["metadata"].get("finalizers") or ()):
                self._let_go_after_children(*found)
        namespace = self._storage.table(_NAMESPACES).get(("", gone["metadata"].get("namespace", "")))
        if namespace is not None and is_dying(namespace):
            self._empty(namespace)

    def _empty(self, namespace: Object) -> None:
        """Delete what is in it; when nothing is left, itself."""
        name = namespace["metadata"]["name"]
        for kind, live in self._storage.inside(name):
            if not is_dying(live):
                self.delete(kind, live, _PLAIN)
        if not self._storage.inside(name) and place_of(namespace) in self._storage.table(_NAMESPACES):
            self._storage.delete(_NAMESPACES, namespace)

    def _collect(self, uid: str) -> None:
        """Delete children whose last owner this was; take the owner's name off the others."""
        for kind, child in self._storage.owned_by(uid):
            others = [owner["uid"] for owner in child["metadata"]["ownerReferences"] if owner["uid"] != uid]
            if not any(self._storage.has(other) for other in others):
                self.delete(kind, child, _PLAIN)
            elif not self._storage.has(uid):
                self._storage.write(kind, _without_owner(child, uid))

    def _let_go_after_children(self, kind: KindKey, live: Object) -> None:
        uid = live["metadata"]["uid"]
        if not any(_blocks(child, uid) for _, child in self._storage.owned_by(uid)):
            self._release(kind, live, _FOREGROUND)

    def _release(self, kind: KindKey, live: Object, finalizer: str) -> None:
        """Take off a finalizer of ours, and end what nothing holds any more."""
        rest = [each for each in live["metadata"].get("finalizers") or () if each != finalizer]
        metadata = {key: value for key, value in live["metadata"].items() if key != "finalizers"}
        after = {**live, "metadata": {**metadata, **({"finalizers": rest} if rest else {})}}
        if self.ends(kind, after):
            self._storage.delete(kind, live)
        else:
            self._storage.write(kind, after)

    def _expire_events(self) -> None:
        table = self._storage.table(_EVENTS)
        oldest = next(iter(table.values()))
        born = datetime.fromisoformat(oldest["metadata"]["creationTimestamp"])
        if len(table) > _EVENTS_KEPT or self._now() - born > _EVENT_LIFE:
            self._storage.delete(_EVENTS, oldest)


def is_dying(live: Object) -> bool:
    """True once it was deleted."""
    return "deletionTimestamp" in live["metadata"]


def _grace_of(kind: KindKey, live: Object, wanted: int | None) -> int:
    """Seconds; only a pod on a node that has not ended has any."""
    spec: dict[str, Any] = live.get("spec") or {}
    ended = (live.get("status") or {}).get("phase") in {"Succeeded", "Failed"}
    if kind != _PODS or not spec.get("nodeName") or ended:
        return 0
    own: int = spec.get("terminationGracePeriodSeconds", 30)
    return own if wanted is None else wanted


def _finalizers_after(live: Object, propagation: Propagation) -> list[str]:
    own = list(live["metadata"].get("finalizers") or ())
    added = {Propagation.FOREGROUND: [_FOREGROUND], Propagation.ORPHAN: [_ORPHAN]}.get(propagation, [])
    return list(dict.fromkeys([*own, *added]))


def _blocks(child: Object, uid: str) -> bool:
    owners = child["metadata"].get("ownerReferences") or ()
    return any(owner["uid"] == uid and owner.get("blockOwnerDeletion") for owner in owners)


def _without_owner(child: Object, uid: str) -> Object:
    rest = [owner for owner in child["metadata"]["ownerReferences"] if owner["uid"] != uid]
    metadata = {key: value for key, value in child["metadata"].items() if key != "ownerReferences"}
    return {**child, "metadata": {**metadata, **({"ownerReferences": rest} if rest else {})}}
