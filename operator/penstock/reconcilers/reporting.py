"""Writing a status: server-side apply of all of it, only where it says something else, the reply put back."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from penstock.api.meta import Resource
from penstock.cluster.client import Client
from penstock.cluster.resources import ResourceType
from penstock.cluster.store import Store
from penstock.reconcilers.custom import Custom

__all__ = ["Reporter"]

R = TypeVar("R", bound=Resource)


@dataclass(frozen=True, slots=True)
class Reporter(Generic[R]):
    """Of one kind."""

    client: Client
    kind: ResourceType
    model: type[R]
    store: Store[Custom[R]]
    changed: Callable[[Custom[R] | None, Custom[R] | None], None]

    async def report(self, custom: Custom[R], status: dict[str, Any]) -> bool:
        """Whether anything was written."""
        if status == custom.status:
            return False
        metadata = {"name": custom.name, "namespace": custom.namespace, "uid": custom.uid}
        manifest = {"apiVersion": self.kind.api_version, "kind": self.kind.kind, "metadata": metadata}
        live = await self.client.apply({**manifest, "status": status}, subresource="status")
        record = Custom.of(live, self.model)
        # It may hold what somebody else changed meanwhile, of which the watch's event is no news any more.
        if self.store.put(record) and record.asks != custom.asks:
            self.changed(custom, record)
        return True
