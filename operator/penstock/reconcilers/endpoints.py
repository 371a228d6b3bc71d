"""Which pods of a deployment may get requests: what the routing tables are made from, and what draining waits for."""

from collections.abc import Iterable, Iterator

from penstock.api.modeldeployment import ModelDeployment
from penstock.engines.contract import PORT
from penstock.reconcilers.custom import Custom
from penstock.reconcilers.stored import PodRecord
from penstock.reconcilers.traffic import Traffic, backend_name
from penstock.reconcilers.view import View, gather
from penstock.reconcilers.world import World
from penstock.rollout.drain import GatewayState, Routed, routable
from penstock.routing.inputs import Deployment, Revision

__all__ = ["DRAIN_FINALIZER", "addresses_of", "backend_of", "endpoint_of", "endpoints_of", "routed"]

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
        endpoints=endpoints_of(view.pods_of(name)) if DRAIN_FINALIZER in view.custom.finalizers else (),
        serving=name == view.serving,
    )


def endpoints_of(pods: Iterable[PodRecord]) -> tuple[str, ...]:
    """Base URLs of those that may get new requests: ready, and not on their way out."""
    return tuple(sorted(endpoint_of(pod) for pod in pods if pod.ready and pod.address and not _is_going(pod)))


def _is_going(pod: PodRecord) -> bool:
    return bool(pod.terminating or pod.leaving or pod.disrupted)


def addresses_of(pods: Iterable[PodRecord]) -> tuple[str, ...]:
    """Base URLs of all that may be sent to, or may have been: whoever has an address."""
    return tuple(sorted(endpoint_of(pod) for pod in pods if pod.address and not pod.finished))


def routed(world: World, view: View) -> tuple[Routed, str] | None:
    """Whether every replica of every gateway whose Routes name it can send to one of its pods at least.

    None where nobody knows yet whether a Route names it: right after the start.
    """
    traffic, backend = world.traffic, backend_name(view.custom.namespace, view.custom.name)
    if not traffic.names(backend):
        return routable(()) if traffic.settled else None
    endpoints = endpoints_of(view.pods_of(view.serving))
    if not endpoints:
        return Routed.NOT_SERVING, "No replica is ready for requests"
    verdict = routable(_first_arrivals(traffic, backend, endpoints))
    if verdict[0] is not Routed.ROUTABLE:
        traffic.asking.add((view.custom.namespace, view.custom.name))
    return verdict


def _first_arrivals(traffic: Traffic, backend: str, endpoints: tuple[str, ...]) -> Iterator[GatewayState]:
    for key, gateway in traffic.gateways.items():
        if backend in gateway.named:
            entered = (gateway.entered[endpoint] for endpoint in endpoints if endpoint in gateway.entered)
            yield GatewayState("/".join(key), min(entered, default=0), gateway.replicas)


def endpoint_of(pod: PodRecord) -> str:
    """The base URL of its engine, without `/v1`."""
    host = f"[{pod.address}]" if ":" in pod.address else pod.address
    return f"http://{host}:{PORT}"
