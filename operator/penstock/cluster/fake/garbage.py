"""Deletion: finalizers, the grace of pods, and children that go with their owners."""

from typing import Any

from penstock.cluster.fake.storage import KindKey, Storage

__all__ = ["Collector"]

Object = dict[str, Any]

_FOREGROUND = "foregroundDeletion"
_PODS = ("", "pods")
_NAMESPACES = ("", "namespaces")


class Collector:
    """Ends objects, and then what they own."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    def delete(self, kind: KindKey, live: Object, *, propagation: str, grace: int | None, time: str) -> Object:
        """Delete now, or mark it: finalizers and a bound pod's grace period come first."""
        if propagation == "Foreground":
            live = self._with_finalizer(live)
        if self._waits(kind, live, grace):
            if "deletionTimestamp" in live["metadata"]:
                return live
            seconds = live.get("spec", {}).get("terminationGracePeriodSeconds", 30) if grace is None else grace
            metadata = {**live["metadata"], "deletionTimestamp": time, "deletionGracePeriodSeconds": seconds}
            marked = self._storage.write(kind, {**live, "metadata": metadata})
            if propagation == "Foreground":
                self._collect(live["metadata"]["uid"], time)
                return self._finish_foreground(kind, marked)
            return marked
        return self._end(kind, live, orphan=propagation == "Orphan", time=time)

    def finish(self, kind: KindKey, live: Object) -> Object:
        """An object that is being deleted lost a finalizer: end it with the last one."""
        if live["metadata"].get("finalizers") or kind == _PODS:
            return live
        return self._end(kind, live, orphan=False, time=live["metadata"]["deletionTimestamp"])

    def _waits(self, kind: KindKey, live: Object, grace: int | None) -> bool:
        if live["metadata"].get("finalizers"):
            return True
        return kind == _PODS and grace != 0 and bool(live["spec"].get("nodeName"))

    def _with_finalizer(self, live: Object) -> Object:
        finalizers = [*(live["metadata"].get("finalizers") or ()), _FOREGROUND]
        return {**live, "metadata": {**live["metadata"], "finalizers": list(dict.fromkeys(finalizers))}}

    def _finish_foreground(self, kind: KindKey, live: Object) -> Object:
        finalizers = [item for item in live["metadata"]["finalizers"] if item != _FOREGROUND]
        metadata = {**live["metadata"], "finalizers": finalizers}
        if finalizers:
            return self._storage.write(kind, {**live, "metadata": metadata})
        metadata.pop("finalizers")
        return self._end(kind, {**live, "metadata": metadata}, orphan=False, time=metadata["deletionTimestamp"])

    def _end(self, kind: KindKey, live: Object, *, orphan: bool, time: str) -> Object:
        ended = self._storage.delete(kind, live)
        if kind == _NAMESPACES:
            self._empty(live["metadata"]["name"], time)
        elif not orphan:
            self._collect(live["metadata"]["uid"], time)
        return ended

    def _empty(self, namespace: str, time: str) -> None:
        for kind, table in tuple(self._storage.everything().items()):
            for (place, _), live in tuple(table.items()):
                if place == namespace and live["metadata"]["name"] in {name for _, name in table}:
                    self.delete(kind, live, propagation="Background", grace=0, time=time)

    def _collect(self, uid: str, time: str) -> None:
        """Children whose last owner this was."""
        for kind, table in tuple(self._storage.everything().items()):
            for key, live in tuple(table.items()):
                owners = live["metadata"].get("ownerReferences") or ()
                if any(owner["uid"] == uid for owner in owners) and key in table:
                    self._disown(kind, table[key], uid, time)

    def _disown(self, kind: KindKey, live: Object, uid: str, time: str) -> None:
        rest = [owner for owner in live["metadata"]["ownerReferences"] if owner["uid"] != uid]
        if rest:
            self._storage.write(kind, {**live, "metadata": {**live["metadata"], "ownerReferences": rest}})
        elif "deletionTimestamp" not in live["metadata"]:
            self.delete(kind, live, propagation="Background", grace=None, time=time)
