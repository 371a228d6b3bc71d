"""What the contract is checked against: one API server, a namespace of the test's own, and requests as plain as they come."""

import json
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

from penstock.cluster.client import Client, WatchEvent
from penstock.cluster.fake import FakeAPIServer
from penstock.cluster.resources import (
    CONFIG_MAPS,
    CONTROLLER_REVISIONS,
    DEPLOYMENTS,
    LEASES,
    NETWORK_POLICIES,
    PERSISTENT_VOLUME_CLAIMS,
    POD_DISRUPTION_BUDGETS,
    SERVICES,
    ResourceType,
)
from contract.widgets import WIDGETS

__all__ = ["Reply", "Target", "config_map"]

Object = dict[str, Any]

_APPLY = "application/apply-patch+yaml"
_KINDS = {
    kind.kind: kind
    for kind in (
        *(CONFIG_MAPS, CONTROLLER_REVISIONS, DEPLOYMENTS, LEASES, NETWORK_POLICIES, PERSISTENT_VOLUME_CLAIMS),
        *(POD_DISRUPTION_BUDGETS, SERVICES, WIDGETS),
    )
}
_SILENCE_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Reply:
    """A status code and a JSON body."""

    code: int
    body: Object

    @property
    def version(self) -> str:
        """The resourceVersion of an object or a list."""
        return str(self.body["metadata"]["resourceVersion"])

    @property
    def generation(self) -> int:
        """The generation of an object."""
        return int(self.body["metadata"]["generation"])

    @property
    def fields(self) -> set[str]:
        """The fields that a refusal blames."""
        return {cause["field"] for cause in self.body["details"]["causes"]}


@dataclass(frozen=True, slots=True)
class Target:
    """One API server; `memory` is the in-memory one, or None where it is a real one."""

    client: Client
    namespace: str
    memory: FakeAPIServer | None

    def placed(self, manifest: Object) -> Object:
        """The manifest, in the test's namespace."""
        return {**manifest, "metadata": {**manifest["metadata"], "namespace": self.namespace}}

    def path(self, kind: ResourceType, name: str = "", subresource: str = "") -> str:
        """A path in the test's namespace."""
        return kind.path(self.namespace, name or None, subresource)

    async def ask(self, method: str, path: str, body: Any = None, *, kind: str = "", **query: str) -> Reply:
        """One request; `kind` is the body's content type, JSON if left out."""
        headers = {"Content-Type": kind} if kind else {}
        code, raw = await self.client.raw(method, path, query=query, body=body, headers=headers)
        try:
            return Reply(code, json.loads(raw))
        except ValueError:  # outside of the API proper the real server answers in plain text
            return Reply(code, {"message": raw.decode()})

    async def create(self, manifest: Object, **query: str) -> Reply:
        """POST."""
        return await self.ask("POST", self.path(_KINDS[manifest["kind"]]), self.placed(manifest), **query)

    async def get(self, kind: ResourceType, name: str, subresource: str = "") -> Reply:
        """GET of one object."""
        return await self.ask("GET", self.path(kind, name, subresource))

    async def replace(self, manifest: Object, subresource: str = "", **query: str) -> Reply:
        """PUT."""
        path = self.path(_KINDS[manifest["kind"]], manifest["metadata"]["name"], subresource)
        return await self.ask("PUT", path, manifest, **query)

    async def apply(self, manifest: Object, manager: str = "ours", subresource: str = "", **query: str) -> Reply:
        """Server-side apply, not forced unless `force="true"` is given."""
        path = self.path(_KINDS[manifest["kind"]], manifest["metadata"]["name"], subresource)
        return await self.ask("PATCH", path, self.placed(manifest), kind=_APPLY, fieldManager=manager, **query)

    async def patch(self, kind: ResourceType, name: str, body: Any, subresource: str = "", **query: str) -> Reply:
        """A JSON patch where the body is a list, else a merge patch."""
        form = "application/json-patch+json" if isinstance(body, list) else "application/merge-patch+json"
        return await self.ask("PATCH", self.path(kind, name, subresource), body, kind=form, **query)

    async def delete(self, kind: ResourceType, name: str, **options: Any) -> Reply:
        """DELETE with DeleteOptions."""
        body = {"apiVersion": "v1", "kind": "DeleteOptions", **options}
        return await self.ask("DELETE", self.path(kind, name), body)

    async def watched(
        self, kind: ResourceType, since: str, until: Callable[[WatchEvent], bool], *, labels: str = ""
    ) -> list[tuple[str, str]]:
        """Types and names of events after that version, up to the first that `until` holds for; bookmarks left out."""
        stream = self.client.watch(
            kind, resource_version=since, namespace=self.namespace, labels=labels, inactivity=_SILENCE_SECONDS
        )
        found: list[tuple[str, str]] = []
        async with aclosing(stream) as events:
            async for event in events:
                if event.type != "BOOKMARK":
                    found.append((event.type, event.object["metadata"]["name"]))
                if until(event):
                    break
        return found


def config_map(name: str = "one", *, labels: dict[str, str] | None = None, **data: str) -> Object:
    """A ConfigMap without a namespace."""
    metadata: Object = {"name": name, **({"labels": labels} if labels else {})}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}
