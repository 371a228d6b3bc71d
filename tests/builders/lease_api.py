"""One Lease as an API server keeps it: versions, conflicts, and a switch for being away."""

import asyncio
from copy import deepcopy
from typing import Any

from penstock.cluster.errors import AlreadyExists, Conflict, NotFound, Unavailable
from penstock.cluster.resources import ResourceType

__all__ = ["LeaseAPI"]


class LeaseAPI:
    """The three calls of the client that an election makes."""

    def __init__(self) -> None:
        self.live: dict[str, Any] | None = None
        self.away = False
        self.hanging = False
        self._version = 0

    @property
    def spec(self) -> dict[str, Any]:
        """The Lease's spec."""
        assert self.live is not None
        found: dict[str, Any] = self.live["spec"]
        return found

    async def get(self, kind: ResourceType, name: str, namespace: str) -> dict[str, Any]:
        """The Lease."""
        await self._arrive()
        assert (kind.kind, name, namespace) == ("Lease", "penstock", "system")
        if self.live is None:
            message = "no lease"
            raise NotFound(message)
        return deepcopy(self.live)

    async def create(self, manifest: dict[str, Any]) -> dict[str, Any]:
        """The first one wins."""
        await self._arrive()
        if self.live is not None:
            message = "taken"
            raise AlreadyExists(message)
        return self._keep(manifest)

    async def replace(self, manifest: dict[str, Any]) -> dict[str, Any]:
        """Whoever has the newest version wins."""
        await self._arrive()
        assert self.live is not None
        if manifest["metadata"]["resourceVersion"] != self.live["metadata"]["resourceVersion"]:
            message = "changed meanwhile"
            raise Conflict(message)
        return self._keep(manifest)

    def _keep(self, manifest: dict[str, Any]) -> dict[str, Any]:
        self._version += 1
        self.live = deepcopy(manifest)
        self.live["metadata"]["resourceVersion"] = str(self._version)
        return deepcopy(self.live)

    async def _arrive(self) -> None:
        if self.hanging:
            await asyncio.Event().wait()
        await asyncio.sleep(0)
        if self.away:
            message = "no connection"
            raise Unavailable(message)
