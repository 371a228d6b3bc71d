"""What a contract case talks to: one of the two servers, and a namespace of its own there."""

import contextlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import yaml

from penstock.cluster.client import Client, WatchEvent
from penstock.cluster.fake import FakeAPIServer
from penstock.cluster.resources import CONFIG_MAPS, DEPLOYMENTS, EVENTS, LEASES, PODS, SERVICES, ResourceType

Object = dict[str, Any]

MERGE = "application/merge-patch+json"
JSON_PATCH = "application/json-patch+json"
APPLY = "application/apply-patch+yaml"

CRDS: tuple[Object, ...] = tuple(yaml.safe_load_all((Path(__file__).parent / "crds.yaml").read_text()))
WIDGETS = ResourceType("contract.test", "v1", "widgets", "Widget")
NOTES = ResourceType("contract.test", "v1", "notes", "Note")
_KINDS = {kind.kind: kind for kind in (WIDGETS, NOTES, CONFIG_MAPS, DEPLOYMENTS, EVENTS, LEASES, PODS, SERVICES)}


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer, its status unchecked."""

    status: int
    body: Object

    def expect(self, status: int) -> Object:
        """The body, where the status is the expected one."""
        assert self.status == status, self.body
        return self.body

    def refused(self, status: int, reason: str) -> Object:
        """The Status body, where it refuses with that code and reason."""
        body = self.expect(status)
        assert (body["kind"], body["apiVersion"], body["status"]) == ("Status", "v1", "Failure")
        assert (body["code"], body["reason"]) == (status, reason), body
        assert body["message"]
        return body

    def blamed(self) -> set[str]:
        """The fields of a refusal's causes."""
        return {cause.get("field", "") for cause in self.body.get("details", {}).get("causes", [])}


@dataclass(frozen=True, slots=True)
class Target:
    """One of the two servers; `server` is there for the one in memory."""

    name: str
    client: Client
    kubeconfig: Path
    server: FakeAPIServer | None

    async def ask(
        self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None, /, **query: str
    ) -> Reply:
        """Any request."""
        status, answer = await self.client.raw(method, path, query=query, body=body, headers=headers)
        return Reply(status, json.loads(answer))


@dataclass(frozen=True, slots=True)
class Space:
    """A namespace of a case's own, and who writes to it."""

    cluster: Target
    name: str
    writer: str = "writer"

    def path(self, kind: ResourceType, name: str = "", subresource: str = "") -> str:
        """Where such an object is."""
        return kind.path(self.name, name or None, subresource)

    def by(self, writer: str) -> Self:
        """The same namespace, written to by another field manager."""
        return type(self)(self.cluster, self.name, writer)

    async def create(self, manifest: Object, **query: str) -> Reply:
        """POST."""
        kind = _KINDS[manifest["kind"]]
        return await self.cluster.ask("POST", self.path(kind), manifest, **{"fieldManager": self.writer, **query})

    async def get(self, kind: ResourceType, name: str, subresource: str = "") -> Reply:
        """GET."""
        return await self.cluster.ask("GET", self.path(kind, name, subresource))

    async def listing(self, kind: ResourceType, **query: str) -> Reply:
        """GET of all."""
        return await self.cluster.ask("GET", self.path(kind), **query)

    async def replace(self, manifest: Object, subresource: str = "", **query: str) -> Reply:
        """PUT."""
        path = self.path(_KINDS[manifest["kind"]], manifest["metadata"]["name"], subresource)
        return await self.cluster.ask("PUT", path, manifest, **{"fieldManager": self.writer, **query})

    async def patch(self, kind: ResourceType, name: str, body: Any, subresource: str = "", **query: str) -> Reply:
        """PATCH: a list is a JSON patch, a map a merge patch."""
        headers = {"Content-Type": JSON_PATCH if isinstance(body, list) else MERGE}
        path = self.path(kind, name, subresource)
        return await self.cluster.ask("PATCH", path, body, headers, **{"fieldManager": self.writer, **query})

    async def apply(self, manifest: Object, subresource: str = "", *, force: bool = False, **query: str) -> Reply:
        """Server-side apply."""
        path = self.path(_KINDS[manifest["kind"]], manifest["metadata"]["name"], subresource)
        given = {"fieldManager": self.writer, "force": str(force).lower(), **query}
        return await self.cluster.ask("PATCH", path, manifest, {"Content-Type": APPLY}, **given)

    async def delete(self, kind: ResourceType, name: str, body: Object | None = None, **query: str) -> Reply:
        """DELETE."""
        return await self.cluster.ask("DELETE", self.path(kind, name), body, **query)

    async def watch(self, kind: ResourceType, version: str, count: int, *, labels: str = "") -> list[WatchEvent]:
        """The first so many events after that version, bookmarks left out."""
        seen: list[WatchEvent] = []
        stream = self.cluster.client.watch(
            kind, resource_version=version, namespace=self.name, labels=labels, inactivity=20
        )
        async with contextlib.aclosing(stream) as events:
            async for event in events:
                if event.type != "BOOKMARK":
                    seen.append(event)
                if len(seen) == count:
                    break
        return seen

    async def watched(self, kind: ResourceType, seconds: int = 1, /, **query: str) -> list[Object]:
        """Every event of a watch that the server ends after so many seconds."""
        given = {"watch": "true", "timeoutSeconds": str(seconds), **query}
        _, answer = await self.cluster.client.raw("GET", self.path(kind), query=given)
        return [json.loads(line) for line in answer.splitlines()]


def config_map(name: str, labels: dict[str, str] | None = None, **data: str) -> Object:
    """A ConfigMap."""
    metadata: Object = {"name": name, **({"labels": labels} if labels else {})}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}


def widget(name: str, **spec: Any) -> Object:
    """A Widget, red unless asked otherwise."""
    content = {"color": "Red", **spec}
    return {"apiVersion": "contract.test/v1", "kind": "Widget", "metadata": {"name": name}, "spec": content}


def note(name: str, **content: Any) -> Object:
    """A Note: a kind without subresources."""
    return {"apiVersion": "contract.test/v1", "kind": "Note", "metadata": {"name": name}, **content}


def container(name: str, **fields: Any) -> Object:
    """A container."""
    return {"name": name, "image": f"example.com/{name}:1", **fields}


def deployment(name: str, *containers: Object, **spec: Any) -> Object:
    """A Deployment of pods with these containers."""
    labels = {"app": name}
    template = {"metadata": {"labels": labels}, "spec": {"containers": list(containers) or [container("main")]}}
    content = {"selector": {"matchLabels": labels}, "template": template, **spec}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}, "spec": content}


def service(name: str, *ports: Object) -> Object:
    """A Service."""
    spec = {"selector": {"app": name}, "ports": list(ports) or [{"port": 80}]}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": spec}


def pod(name: str, **spec: Any) -> Object:
    """A Pod of one container."""
    content = {"containers": [container("main")], **spec}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": content}
