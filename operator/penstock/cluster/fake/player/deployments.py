"""The Deployment controller: a ReplicaSet for each template, scaled within the roll-out's bounds, and the status.

Reads `maxSurge` and `maxUnavailable` as numbers or percentages; pausing, rolling back and minReadySeconds are not done.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from penstock.cluster.fake.player.deployment_status import Figures, Progress, deployment_status, share
from penstock.cluster.fake.player.inbox import Inbox
from penstock.cluster.fake.player.objects import (
    Object,
    controller_of,
    digest,
    is_terminating,
    name_of,
    owner_reference,
    place_of,
)
from penstock.cluster.fake.player.surroundings import Surroundings

__all__ = ["DeploymentController"]

_HASH = "pod-template-hash"
_REVISION = "deployment.kubernetes.io/revision"
_DEADLINE_SECONDS = 600
_HISTORY = 10

Key = tuple[str, str]


@dataclass(slots=True)
class DeploymentController:
    """Acts on one Deployment at a time, and remembers since when each makes no progress."""

    surroundings: Surroundings
    inbox: Inbox[Key] = field(default_factory=Inbox)
    _progress: dict[Key, Progress] = field(default_factory=dict)

    def heard(self, live: Object) -> None:
        """Something changed that may matter to a Deployment."""
        match live["kind"]:
            case "Deployment":
                self.inbox.add(place_of(live))
            case "ReplicaSet" if controller_of(live).get("kind") == "Deployment":
                self.inbox.add((place_of(live)[0], controller_of(live)["name"]))

    def act(self, key: Key) -> float | None:
        """Bring one Deployment a step further; in how many seconds to look again, where time alone decides."""
        live = self.surroundings.server.get("deployments", *key)
        if live is None or is_terminating(live):
            self._progress.pop(key, None)
            return None
        current = self._current(live)
        owned = self._owned(live)
        old = [each for each in owned if name_of(each) != name_of(current)]
        self._roll(live, current, old)
        self._forget(live, old)
        return self._report(live, name_of(current))

    def _owned(self, live: Object) -> list[Object]:
        namespace, uid = place_of(live)[0], live["metadata"]["uid"]
        sets = self.surroundings.server.objects("replicasets", namespace)
        return [each for each in sets if controller_of(each).get("uid") == uid and not is_terminating(each)]

    def _current(self, live: Object) -> Object:
        """The ReplicaSet of the template as it is now; made where there is none."""
        template = live["spec"]["template"]
        mark = digest(template)
        namespace, name = place_of(live)
        found = self.surroundings.server.get("replicasets", namespace, f"{name}-{mark}")
        if found is not None:
            return found
        labels = {**(template["metadata"].get("labels") or {}), _HASH: mark}
        number = 1 + max((_number(each) for each in self._owned(live)), default=0)
        selector = {**live["spec"]["selector"].get("matchLabels", {}), _HASH: mark}
        return self.surroundings.server.put(
            {
                "apiVersion": "apps/v1",
                "kind": "ReplicaSet",
                "metadata": {
                    "name": f"{name}-{mark}",
                    "namespace": namespace,
                    "labels": labels,
                    "annotations": {_REVISION: str(number)},
                    "ownerReferences": [owner_reference(live)],
                },
                "spec": {
                    "replicas": 0,
                    "selector": {"matchLabels": selector},
                    "template": {**template, "metadata": {**template["metadata"], "labels": labels}},
                },
            }
        )

    def _roll(self, live: Object, current: Object, old: Sequence[Object]) -> None:
        """Scale the new set up and the old ones down, as far as the strategy allows now."""
        wanted = live["spec"]["replicas"]
        strategy = live["spec"].get("strategy") or {}
        if strategy.get("type") == "Recreate":
            for each in old:
                self._scale(each, 0)
            if not any(_status(each, "replicas") for each in old):
                self._scale(current, wanted)
            return
        bounds = strategy.get("rollingUpdate") or {}
        surge = share(bounds.get("maxSurge", "25%"), wanted, up=True)
        unavailable = share(bounds.get("maxUnavailable", "25%"), wanted, up=False)
        if not surge and not unavailable:
            unavailable = 1
        spare = wanted + surge - sum(each["spec"]["replicas"] for each in old)
        grown = wanted if not old else max(current["spec"]["replicas"], min(wanted, spare))
        self._scale(current, min(grown, wanted))
        self._shrink(old, current, keep=wanted - unavailable)

    def _shrink(self, old: Sequence[Object], current: Object, *, keep: int) -> None:
        """Take from the old sets what is not available first, then what the new one makes up for."""
        available = sum(_available(each) for each in (*old, current))
        removable = max(0, available - max(0, keep))
        for each in sorted(old, key=_number):
            replicas = each["spec"]["replicas"]
            useless = replicas - _available(each)
            taken = min(replicas - useless, removable)
            removable -= taken
            self._scale(each, replicas - useless - taken)

    def _scale(self, each: Object, replicas: int) -> None:
        if each["spec"]["replicas"] != replicas:
            self.surroundings.server.update(
                "replicasets",
                *place_of(each),
                lambda live: {**live, "spec": {**live["spec"], "replicas": replicas}},
            )

    def _forget(self, live: Object, old: Sequence[Object]) -> None:
        limit = live["spec"].get("revisionHistoryLimit", _HISTORY)
        done = [each for each in sorted(old, key=_number) if not each["spec"]["replicas"] and not _pods(each)]
        for each in done[: max(0, len(done) - limit)]:
            self.surroundings.server.delete("replicasets", *place_of(each))

    def _report(self, live: Object, current: str) -> float | None:
        """Write the status where it differs; the seconds until the roll-out is late."""
        figures = Figures.of(live, self._owned(live), current)
        now = self.surroundings.clock.monotonic()
        progress = self._progress.get(place_of(live))
        if progress is None or progress.uid != live["metadata"]["uid"]:
            progress = self._progress[place_of(live)] = Progress(live["metadata"]["uid"], figures, now)
        progress.note(figures, now)
        late_in = live["spec"].get("progressDeadlineSeconds", _DEADLINE_SECONDS) - (now - progress.since)
        late = late_in <= 0 and not figures.complete
        status = deployment_status(live, figures, current=current, late=late, now=self.surroundings.clock.now())
        if status != live.get("status"):
            self.surroundings.server.update(
                "deployments", *place_of(live), lambda each: {**each, "status": status}, subresource="status"
            )
        return late_in if late_in > 0 and not figures.complete else None


def _number(replica_set: Object) -> int:
    annotations = replica_set["metadata"].get("annotations") or {}
    return int(annotations.get(_REVISION, "0"))


def _status(replica_set: Object, field_name: str) -> int:
    return int(replica_set.get("status", {}).get(field_name, 0))


def _available(replica_set: Object) -> int:
    """Never more than it is scaled to: its status lags behind, and what leaves must not be counted on."""
    return int(min(_status(replica_set, "availableReplicas"), replica_set["spec"]["replicas"]))


def _pods(replica_set: Object) -> int:
    return _status(replica_set, "replicas")
