"""Which pods of a deployment may get requests: what the routing tables are made from, and what draining waits for."""

from collections.abc import Iterable

from penstock.api.modeldeployment import ModelDeployment
from penstock.engines.contract import PORT
from penstock.reconcilers.custom import Custom
from penstock.reconcilers.stored import PodRecord
from penstock.reconcilers.view import View, gather
from penstock.reconcilers.world import World
from penstock.routing.inputs import Deployment, Revision

__all__ = ["DRAIN_FINALIZER", "backend_of", "endpoint_of", "endpoints_of"]

DRAIN_FINALIZER = "penstock.dev/drain"
"""Holds a deployment back until no gateway replica sends to it."""


def backend_of(world: World, custom: Custom[ModelDeployment]) -> Deployment | None:
    """The deployment as routing reads it; None where its spec cannot be read.

    Without the finalizer nothing is sent to it: a deletion would take the engines away under their requests.
    """
    if custom.parsed is None:
        return None
    view = gather(world, custom)
    spec, serving = custom.parsed.spec, view.revisions.get(view.serving)
    return Deployment(
        namespace=custom.namespace,
        name=custom.name,
        model=custom.name,
        revisions=tuple(_revision(world, view, name) for name in view.revisions),
        max_sensitivity=spec.max_sensitivity,
        allowed_routes=spec.allowed_routes,
        context_tokens=serving.assignment.plan.max_context_tokens if serving else None,
        draining=custom.deleting,
    )


def _revision(world: World, view: View, name: str) -> Revision:
    pool = world.pools.get("", view.revisions[name].assignment.plan.pool)
    location = pool.parsed.spec.location if pool and pool.parsed else None
    return Revision(
        name=name,
        pools=(frozenset(location.countries) if location else frozenset(),),
        endpoints=endpoints_of(view.pods_of(name)),
        serving=name == view.serving,
    )


def endpoints_of(pods: Iterable[PodRecord]) -> tuple[str, ...]:
    """Base URLs of those that may get new requests: ready, and not on their way out."""
    return tuple(
        sorted(endpoint_of(pod) for pod in pods if pod.ready and pod.address and not (pod.terminating or pod.leaving))
    )


def endpoint_of(pod: PodRecord) -> str:
    """The base URL of its engine, without `/v1`."""
    host = f"[{pod.address}]" if ":" in pod.address else pod.address
    return f"http://{host}:{PORT}"
