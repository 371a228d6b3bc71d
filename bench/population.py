"""Filling a cluster: CRDs, namespaces, many objects with some in flight."""

import asyncio
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml

from penstock.cluster.client import Client, PatchType
from penstock.cluster.errors import AlreadyExists, NotFound
from penstock.cluster.resources import CUSTOM_RESOURCE_DEFINITIONS, MODEL_DEPLOYMENTS, NODES

__all__ = ["install_crds", "make_namespace", "populate"]

_CRDS = Path(__file__).resolve().parent.parent / "crds"
_IN_FLIGHT = 32


async def install_crds(client: Client) -> None:
    """Apply `crds/` and wait until the API server serves them."""
    for path in sorted(_CRDS.glob("*.yaml")):
        await client.apply(yaml.safe_load(path.read_text()))
    names = [yaml.safe_load(path.read_text())["metadata"]["name"] for path in sorted(_CRDS.glob("*.yaml"))]
    async with asyncio.timeout(60):
        for name in names:
            while not _established(await client.get(CUSTOM_RESOURCE_DEFINITIONS, name)):
                await asyncio.sleep(0.1)
        while not await _served(client):
            await asyncio.sleep(0.1)


def _established(crd: dict[str, Any]) -> bool:
    conditions = crd.get("status", {}).get("conditions", ())
    return any(item["type"] == "Established" and item["status"] == "True" for item in conditions)


async def _served(client: Client) -> bool:
    try:
        await client.list(MODEL_DEPLOYMENTS, limit=1)
    except NotFound:
        return False
    return True


async def make_namespace(client: Client, name: str) -> None:
    """Create it; one that is there is as good."""
    try:
        await client.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    except AlreadyExists:
        return


async def populate(client: Client, manifests: Iterable[dict[str, Any]]) -> None:
    """Create them all; a `status` is written after its object."""
    gate = asyncio.Semaphore(_IN_FLIGHT)

    async def create(manifest: dict[str, Any]) -> None:
        async with gate:
            live = await client.create(manifest)
            if "status" in manifest:
                await client.replace({**live, **_typed(manifest), "status": manifest["status"]}, subresource="status")
            if manifest["kind"] == NODES.kind:
                # Without a node controller nobody takes away the taint that a new node gets by admission.
                body = {"spec": {"taints": None}}
                await client.patch(NODES, live["metadata"]["name"], None, body, content_type=PatchType.MERGE)

    await asyncio.gather(*(create(manifest) for manifest in manifests))


def _typed(manifest: dict[str, Any]) -> dict[str, Any]:
    return {"apiVersion": manifest["apiVersion"], "kind": manifest["kind"]}
