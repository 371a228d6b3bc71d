"""Takes serving capacity away only when no gateway replica sends to it any more: marks, finalizer, events.

First what goes is taken out of what tables are made from, then it is judged, then it goes: in that order nothing is
judged by a table that is still being made with it.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from penstock.api.modeldeployment import ModelDeployment
from penstock.cluster.client import Client, PatchType
from penstock.cluster.errors import NotFound
from penstock.cluster.events import EventRecorder, Reference
from penstock.cluster.resources import MODEL_DEPLOYMENTS, PODS
from penstock.reconcilers.children import Changes
from penstock.reconcilers.custom import Custom
from penstock.reconcilers.endpoints import DRAIN_FINALIZER, addresses_of
from penstock.reconcilers.leaving import MARKS, NO_MARKS, surplus
from penstock.reconcilers.removal import Removal, drained_condition, judge
from penstock.reconcilers.replacing import withdrawn
from penstock.reconcilers.stored import PodRecord, slim_pod
from penstock.reconcilers.traffic import backend_name
from penstock.reconcilers.view import View, keep_reply
from penstock.reconcilers.world import World
from penstock.rollout.drain import Drain, Drained, drained
from penstock.workqueue.clock import Clock

__all__ = ["Draining"]

_EVER = float("inf")
_FINALIZER_MANAGER = "penstock-drain"


@dataclass(frozen=True, slots=True)
class Draining:
    """Of ModelDeployments."""

    world: World
    client: Client
    events: EventRecorder
    clock: Clock

    async def keep_finalizer(self, custom: Custom[ModelDeployment], changes: Changes) -> Custom[ModelDeployment]:
        """As long as a Route names it, or anything may still be sent to it, its deletion waits for us."""
        held = DRAIN_FINALIZER in custom.finalizers
        named = self.world.traffic.enabled and self.world.traffic.names(backend_name(custom.namespace, custom.name))
        if named and not held:
            return await self._hold_back(custom, changes)
        if held and not named and self._is_free(custom):
            await self.release(custom, changes)
            return self.world.deployments.get(custom.namespace, custom.name) or custom
        return custom

    async def hold(
        self, view: View, revision: str, replicas: int, *, serves: bool, changes: Changes
    ) -> tuple[int, Removal | None]:
        """How many replicas the revision is to have for now: fewer only when those that go are drained.

        `serves`: the Service selects it, so that its pods have to be marked to leave the tables.
        """
        workload, pods = view.workloads.get(revision), view.pods_of(revision)
        going, hurried = surplus(pods, replicas, view.leaving_nodes), withdrawn(view, revision)
        staying = [pod for pod in pods if pod.leaving and not pod.terminating and pod not in (*going, *hurried)]
        await self._mark(staying, NO_MARKS, changes)
        await self._mark((pod for pod in hurried if not pod.leaving), MARKS, changes)
        if workload is None or replicas >= workload.replicas or not self._is_guarded(view.custom):
            return replicas, None
        if serves:
            await self._mark((pod for pod in going if not pod.leaving), MARKS, changes)
        removal = self._judge(view, f"Revision {revision}", going if replicas else pods)
        return (workload.replicas, removal) if removal and not removal.may_go else (replicas, removal)

    def deletion(self, view: View) -> Removal | None:
        """Of all of it; None where nothing of it could be sent to."""
        pods = [pod for pod in view.pods if not pod.finished]
        return self._judge(view, "The deployment", pods) if self._is_guarded(view.custom) else None

    async def release(self, custom: Custom[ModelDeployment], changes: Changes) -> None:
        """Take the finalizer off; of one that is being deleted nothing is left after that.

        No apply: a finalizer that came back with a backup belongs to whoever restored it. The version stands for the
        others' finalizers.
        """
        metadata = {
            "uid": custom.uid,
            "resourceVersion": custom.resource_version,
            "finalizers": [name for name in custom.finalizers if name != DRAIN_FINALIZER],
        }
        place, body = (custom.name, custom.namespace), {"metadata": metadata}
        try:
            live = await self.client.patch(MODEL_DEPLOYMENTS, *place, body, content_type=PatchType.MERGE)
        except NotFound:
            return
        if not custom.deleting:
            keep_reply(self.world, custom, live)
        changes.lines.append(f"took {DRAIN_FINALIZER} off")

    def tell(self, custom: Custom[ModelDeployment], removals: Iterable[Removal]) -> None:
        """Once that something waits, and whatever goes before its requests have ended."""
        about = Reference(MODEL_DEPLOYMENTS, custom.namespace, custom.name, custom.uid)
        for removal in removals:
            if removal.verdict is Drained.FORCED:
                message = f"{removal.what}: {removal.message}; {removal.in_flight} requests were in flight"
                self.events.record(about, type="Warning", reason="ForcedDrain", message=message)
            elif not removal.may_go and not drained_condition(custom):
                message = f"{removal.what}: {removal.message}"
                self.events.record(about, type="Normal", reason="Draining", message=message)

    async def _hold_back(self, custom: Custom[ModelDeployment], changes: Changes) -> Custom[ModelDeployment]:
        metadata = {"name": custom.name, "namespace": custom.namespace, "uid": custom.uid}
        manifest = {
            "apiVersion": MODEL_DEPLOYMENTS.api_version,
            "kind": MODEL_DEPLOYMENTS.kind,
            "metadata": {**metadata, "finalizers": [DRAIN_FINALIZER]},
        }
        # Under a name of its own: whoever applies the resource as `penstock` owns all that we leave out here.
        live = await self.client.apply(manifest, field_manager=_FINALIZER_MANAGER)
        changes.lines.append(f"put {DRAIN_FINALIZER} on")
        return keep_reply(self.world, custom, live)

    def _is_guarded(self, custom: Custom[ModelDeployment]) -> bool:
        """Without the finalizer no table has anything of it."""
        return self.world.traffic.enabled and DRAIN_FINALIZER in custom.finalizers

    def _is_free(self, custom: Custom[ModelDeployment]) -> bool:
        traffic, key = self.world.traffic, (custom.namespace, custom.name)
        if not traffic.enabled:
            return True
        places = frozenset(addresses_of(self.world.pods.by_index("deployment", key)))
        free = not places or drained(traffic.departures(places), Drain(places, 0.0, _EVER))[0] is Drained.DRAINED
        if not (free and traffic.settled):
            traffic.asking.add(key)
        return free and traffic.settled

    def _judge(self, view: View, what: str, pods: Iterable[PodRecord]) -> Removal | None:
        """What has no address was never sent to."""
        custom, places = view.custom, addresses_of(pods)
        if not places:
            return None
        removal = judge(self.world.traffic, custom, what, places, self.clock.now())
        if not removal.may_go:
            # Before anything is awaited: the next word of a gateway must find us.
            self.world.traffic.asking.add((custom.namespace, custom.name))
        return removal

    async def _mark(self, pods: Iterable[PodRecord], annotations: Mapping[str, str | None], changes: Changes) -> None:
        for pod in pods:
            body = {"metadata": {"uid": pod.uid, "annotations": dict(annotations)}}
            try:
                live = await self.client.patch(PODS, pod.name, pod.namespace, body, content_type=PatchType.MERGE)
            except NotFound:
                continue
            self.world.pods.put(slim_pod(live))
            changes.lines.append(f"{'marked' if annotations is MARKS else 'unmarked'} Pod {pod.name}")
