"""Events of the played controllers, one object for each thing that is said again and again."""

from dataclasses import dataclass

from penstock.cluster.fake.player.objects import Object, digest, place_of, stamp
from penstock.cluster.fake.player.surroundings import Surroundings

__all__ = ["Reporter"]


@dataclass(frozen=True, slots=True)
class Reporter:
    """Says things about objects in a component's name."""

    surroundings: Surroundings
    component: str

    def say(self, about: Object, reason: str, message: str, *, warning: bool = False) -> None:
        """Record it, or count it once more."""
        server, now = self.surroundings.server, stamp(self.surroundings.clock.now())
        namespace, name = place_of(about)
        place = namespace or "default"
        if server.get("namespaces", "", place) is None:
            return
        event = f"{name}.{digest([about['metadata']['uid'], reason, message])}"
        if server.get("events", place, event) is not None:
            server.update(
                "events", place, event, lambda live: {**live, "count": live["count"] + 1, "lastTimestamp": now}
            )
            return
        reference = {"kind": about["kind"], "namespace": namespace, "name": name, "uid": about["metadata"]["uid"]}
        server.put(
            {
                "apiVersion": "v1",
                "kind": "Event",
                "metadata": {"name": event, "namespace": place},
                "involvedObject": {**reference, "apiVersion": about["apiVersion"]},
                "type": "Warning" if warning else "Normal",
                "reason": reason,
                "message": message,
                "source": {"component": self.component},
                "count": 1,
                "firstTimestamp": now,
                "lastTimestamp": now,
            }
        )
