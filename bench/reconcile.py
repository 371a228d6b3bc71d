"""`reconcile_ratio`: the operator against a bare writer that makes the same writes, on a real API server."""

import argparse
import asyncio
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.figures import figure, progress
from bench.fleet import GPUS_PER_NODE, deployments, nodes, pool
from bench.operator_process import OperatorProcess, operator_process
from bench.population import install_crds, make_namespace, populate
from penstock.cluster.client import Client
from penstock.cluster.resources import CONTROLLER_REVISIONS, MODEL_DEPLOYMENTS, resource_of
from penstock.reconcilers.revisions import pinned
from testbed.control_plane import ControlPlane

__all__ = ["main"]

_IN_FLIGHT = 16
_LIMIT_SECONDS = 600
_SERVER_FIELDS = ("uid", "resourceVersion", "generation", "creationTimestamp", "managedFields", "ownerReferences")


def main(arguments: Sequence[str]) -> None:
    """Run it: `--deployments N`."""
    parser = argparse.ArgumentParser(prog="bench reconcile", description=__doc__)
    parser.add_argument("--deployments", type=int, default=500)
    parser.add_argument("--data", type=Path, default=None, help="a folder to work in; a temporary one otherwise")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(dir=options.data) as folder, ControlPlane.start(controllers=False) as plane:
        asyncio.run(_run(Path(plane.kubeconfig), options.deployments, Path(folder)))


async def _run(kubeconfig: Path, count: int, folder: Path) -> None:
    async with await Client.connect(kubeconfig=str(kubeconfig)) as client:
        await install_crds(client)
        for namespace in ("measured", "bare", "penstock-system"):
            await make_namespace(client, namespace)
        await populate(client, [pool(), *nodes(-(-count // GPUS_PER_NODE))])
        progress(f"creating {count} deployments")
        await populate(client, deployments(count, "measured"))
        writes, seconds = await _measure_operator(kubeconfig, client, count, folder)
        progress(f"the operator made {writes:.0f} writes in {seconds:.1f} s; now the bare writer")
        bare_writes, bare_seconds = await _measure_bare(client, count)
    ratio = (writes / seconds) / (bare_writes / bare_seconds)
    figure("reconcile_ratio", ratio, "fraction", deployments=count, bare_writes_per_second=bare_writes / bare_seconds)
    figure("reconcile_per_second", count / seconds, "objects/s", deployments=count, writes_per_object=writes / count)


async def _measure_operator(kubeconfig: Path, client: Client, count: int, folder: Path) -> tuple[float, float]:
    async with operator_process(kubeconfig, folder / "operator.log") as operator:
        await operator.until_ready()
        started = time.monotonic()
        await _until_done(client, operator, count)
        return (await operator.sample()).writes, time.monotonic() - started


async def _until_done(client: Client, operator: OperatorProcess, count: int) -> None:
    """Until every deployment has a placed status, and the operator has stopped writing."""
    async with asyncio.timeout(_LIMIT_SECONDS):
        while await _placed(client) < count:
            await asyncio.sleep(0.5)
        before = -1.0
        while before != (writes := (await operator.sample()).writes):
            before = writes
            await asyncio.sleep(0.3)


async def _placed(client: Client) -> int:
    done = 0
    async for page in client.pages(MODEL_DEPLOYMENTS, "measured"):
        done += sum(bool(item.get("status", {}).get("plan")) for item in page.items)
    return done


async def _measure_bare(client: Client, count: int) -> tuple[int, float]:
    """The same manifests into another namespace: children by server-side apply, then the status."""
    await populate(client, deployments(count, "bare"))
    work = [await _writes_of(client, item) for item in await _all(client, MODEL_DEPLOYMENTS)]
    gate = asyncio.Semaphore(_IN_FLIGHT)

    async def write(manifests: list[tuple[dict[str, Any], str]]) -> None:
        async with gate:
            for manifest, subresource in manifests:
                await client.apply(manifest, subresource=subresource)

    started = time.monotonic()
    await asyncio.gather(*(write(manifests) for manifests in work))
    return sum(len(manifests) for manifests in work), time.monotonic() - started


async def _all(client: Client, kind: Any) -> list[dict[str, Any]]:
    return [item async for page in client.pages(kind, "measured") for item in page.items]


async def _writes_of(client: Client, deployment: dict[str, Any]) -> list[tuple[dict[str, Any], str]]:
    """What the operator wrote for one deployment, moved to the other namespace, without owners."""
    name, revision = deployment["metadata"]["name"], deployment["status"]["plan"]["revision"]
    live = await client.get(CONTROLLER_REVISIONS, f"{name}-{revision}", "measured")
    service = await client.get(resource_of({"apiVersion": "v1", "kind": "Service"}), name, "measured")
    kept = {"apiVersion": "apps/v1", "kind": "ControllerRevision", **live}
    ordinary = {"apiVersion": "v1", "kind": "Service", **service}
    ordinary["spec"] = {key: ordinary["spec"][key] for key in ("ports", "selector", "type")}
    status = {**deployment, "apiVersion": MODEL_DEPLOYMENTS.api_version, "kind": MODEL_DEPLOYMENTS.kind}
    status.pop("spec", None)
    children = [_moved(manifest) for manifest in (kept, *pinned(live).manifests, ordinary)]
    return [*((child, "") for child in children), (_moved(status), "status")]


def _moved(manifest: dict[str, Any]) -> dict[str, Any]:
    metadata = {key: value for key, value in manifest["metadata"].items() if key not in _SERVER_FIELDS}
    moved = {key: value for key, value in manifest.items() if key != "status" or manifest["kind"] == "ModelDeployment"}
    return {**moved, "metadata": {**metadata, "namespace": "bare"}}
