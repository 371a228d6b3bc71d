"""Which kinds a ModelDeployment owns, and applying or deleting one: only what differs, replies put back."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from penstock.cluster.client import Client, PatchType
from penstock.cluster.errors import Invalid, NotFound
from penstock.cluster.resources import (
    CONFIG_MAPS,
    CONTROLLER_REVISIONS,
    DEPLOYMENTS,
    JOBS,
    NETWORK_POLICIES,
    PERSISTENT_VOLUME_CLAIMS,
    POD_DISRUPTION_BUDGETS,
    SECRETS,
    SERVICES,
    ResourceType,
)
from penstock.reconcilers.revisions import RevisionRecord, slim_revision
from penstock.reconcilers.secrets import SecretRecord, slim_secret
from penstock.reconcilers.stored import Child, Workload, slim_child, slim_workload
from penstock.reconcilers.world import World

__all__ = ["CHILD_KINDS", "WATCHED_CHILDREN", "Changes", "Children"]

CHILD_KINDS: Mapping[str, ResourceType] = {
    kind.kind: kind for kind in (SERVICES, POD_DISRUPTION_BUDGETS, NETWORK_POLICIES, PERSISTENT_VOLUME_CLAIMS, JOBS)
}
"""Children of a ModelDeployment that are kept as a digest only; Deployments and ControllerRevisions have records of
their own."""

WATCHED_CHILDREN = (*CHILD_KINDS.values(), CONFIG_MAPS)
"""All kinds of which the children are kept as a digest only; a gateway has a ConfigMap beside those."""


@dataclass(slots=True)
class Changes:
    """What one pass wrote, for its one log line."""

    lines: list[str] = field(default_factory=list)

    def __bool__(self) -> bool:
        """True where anything was written."""
        return bool(self.lines)


@dataclass(frozen=True, slots=True)
class Children:
    """Writes children and keeps the stores in step with what the API server answered."""

    world: World
    client: Client

    async def apply(self, manifest: dict[str, Any], changes: Changes) -> None:
        """Server-side apply, then read your own write."""
        live = await self._applied(manifest)
        self._put(manifest["kind"], {**live, "kind": manifest["kind"]})
        changes.lines.append(f"applied {manifest['kind']} {manifest['metadata']['name']}")

    async def _applied(self, manifest: dict[str, Any]) -> dict[str, Any]:
        try:
            return await self.client.apply(manifest)
        except Invalid:
            if manifest["kind"] != SERVICES.kind:
                raise
        # Ports are merged by their number: beside one that somebody gave another number, ours has its name twice.
        metadata, ports = manifest["metadata"], {"spec": {"ports": manifest["spec"]["ports"]}}
        await self.client.patch(SERVICES, metadata["name"], metadata["namespace"], ports, content_type=PatchType.MERGE)
        return await self.client.apply(manifest)

    async def delete(
        self, kind: ResourceType, record: Child | Workload | RevisionRecord | SecretRecord, changes: Changes
    ) -> None:
        """Delete that very object (uid); one that is gone already is as good."""
        try:
            await self.client.delete(kind, record.name, record.namespace, uid=record.uid)
        except NotFound:
            self._drop(kind.kind, record)
        changes.lines.append(f"deleted {kind.kind} {record.name}")

    def _put(self, kind: str, live: dict[str, Any]) -> None:
        if kind == DEPLOYMENTS.kind:
            self.world.workloads.put(slim_workload(live))
        elif kind == CONTROLLER_REVISIONS.kind:
            record = slim_revision(live)
            if record is not None:
                self.world.revisions.put(record)
        elif kind == SECRETS.kind:
            self.world.secrets.put(slim_secret(live))
        else:
            self.world.children[kind].put(slim_child(live))

    def _drop(self, kind: str, record: Child | Workload | RevisionRecord | SecretRecord) -> None:
        stores: dict[str, Callable[[str, str, str], object]] = {
            DEPLOYMENTS.kind: self.world.workloads.remove,
            CONTROLLER_REVISIONS.kind: self.world.revisions.remove,
            SECRETS.kind: self.world.secrets.remove,
        }
        remove = stores.get(kind) or self.world.children[kind].remove
        remove(record.namespace, record.name, record.uid)
