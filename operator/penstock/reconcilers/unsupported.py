"""Kinds that are not acted on yet: they say so, and nothing else happens."""

from dataclasses import dataclass
from typing import Any

from penstock.api.conditions import Condition, ConditionStatus, merge_conditions
from penstock.api.meta import Resource
from penstock.cluster.client import Client
from penstock.cluster.resources import ResourceType
from penstock.reconcilers.custom import Custom
from penstock.reconcilers.keys import Key
from penstock.reconcilers.world import World
from penstock.workqueue.clock import Clock
from penstock.workqueue.workers import Result

__all__ = ["UnsupportedReconciler"]


@dataclass(slots=True)
class UnsupportedReconciler:
    """Writes `Accepted=False/NotSupported` once."""

    world: World
    client: Client
    clock: Clock
    types: dict[str, ResourceType]

    async def reconcile(self, key: Key) -> Result:
        """One status write per generation."""
        custom = self.world.others[key.kind].get(key.namespace, key.name)
        if custom is None or custom.deleting:
            return Result()
        status = self._status(custom, key.kind)
        if status != custom.status:
            await self._write(custom, self.types[key.kind], status)
        return Result()

    def _status(self, custom: Custom[Resource], kind: str) -> dict[str, Any]:
        old = tuple(Condition.model_validate(item) for item in custom.status.get("conditions", ()))
        verdict = Condition(
            type="Accepted",
            status=ConditionStatus.FALSE,
            reason="NotSupported",
            message=f"This release of Penstock does not act on {kind} yet; nothing was changed",
            observed_generation=custom.generation,
        )
        ready = verdict.model_copy(update={"type": "Ready"})
        conditions = merge_conditions(old, (verdict, ready), self.clock.now())
        return {
            "conditions": [item.model_dump(mode="json", by_alias=True, exclude_none=True) for item in conditions],
            "observedGeneration": custom.generation,
        }

    async def _write(self, custom: Custom[Resource], kind: ResourceType, status: dict[str, Any]) -> None:
        metadata = {"name": custom.name, "uid": custom.uid}
        if kind.namespaced:
            metadata["namespace"] = custom.namespace
        manifest = {"apiVersion": kind.api_version, "kind": kind.kind, "metadata": metadata, "status": status}
        live = await self.client.apply(manifest, subresource="status")
        self.world.others[kind.plural].put(Custom.of(live, Resource))
