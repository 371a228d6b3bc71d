"""One screen of a fleet: what needs attention, then pools, deployments, routes and gateways as rows."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from penstock.api.conditions import ConditionStatus
from penstock.api.inferencegateway import InferenceGatewayStatus
from penstock.api.inferencepool import InferencePoolStatus
from penstock.api.plan_status import ModelDeploymentStatus, PlanStatus
from penstock.api.route import RouteStatus
from penstock.cluster.resources import INFERENCE_GATEWAYS, INFERENCE_POOLS, MODEL_DEPLOYMENTS, OWN_KINDS, ROUTES
from penstock.operations.attention import Finding, findings, read_status
from penstock.operations.view import ClusterView, Gap, name_of, namespace_of, part

__all__ = ["DeploymentRow", "GatewayRow", "Overview", "PoolRow", "RouteRow", "is_missing", "overview"]

Object = dict[str, Any]
S = TypeVar("S", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class PoolRow:
    """A pool; the cost is that of all its GPUs, with the currency."""

    name: str
    accelerator: str
    nodes: int
    ready_nodes: int
    gpus: int
    allocated: int
    free: int
    cost_per_hour: str


@dataclass(frozen=True, slots=True)
class DeploymentRow:
    """A deployment and the plan that serves it; `wanted` is None where an autoscaler decides."""

    namespace: str
    name: str
    phase: str
    ready: int
    wanted: int | None
    pool: str
    engine: str
    precision: str
    gpus: int
    cost_per_hour: str


@dataclass(frozen=True, slots=True)
class RouteRow:
    """A route, who answers in its rules, and whether every gateway replica has it as it is."""

    namespace: str
    name: str
    gateway: str
    models: tuple[str, ...]
    answering_rules: int
    rules: int
    backends: tuple[str, ...]
    programmed: str


@dataclass(frozen=True, slots=True)
class GatewayRow:
    """A gateway; replicas in step have the published table and the newest keys."""

    namespace: str
    name: str
    address: str
    ready: int
    wanted: int
    in_step: int
    live: int
    generation: int | None


@dataclass(frozen=True, slots=True)
class Overview:
    """Everything on the screen; `unseen` says what could not be read, `next_steps` what an empty cluster needs."""

    attention: tuple[Finding, ...]
    pools: tuple[PoolRow, ...]
    deployments: tuple[DeploymentRow, ...]
    routes: tuple[RouteRow, ...]
    gateways: tuple[GatewayRow, ...]
    unseen: tuple[str, ...] = ()
    next_steps: tuple[str, ...] = ()


def overview(view: ClusterView, now: datetime) -> Overview:
    """The screen of what was read."""
    resources = [live for kind in OWN_KINDS for live in view.items(kind)]
    return Overview(
        attention=findings(resources, now),
        pools=tuple(map(_pool, view.items(INFERENCE_POOLS))),
        deployments=tuple(map(_deployment, view.items(MODEL_DEPLOYMENTS))),
        routes=tuple(map(_route, view.items(ROUTES))),
        gateways=tuple(map(_gateway, view.items(INFERENCE_GATEWAYS))),
        unseen=tuple(f"{kind}: {listing.message}" for kind, listing in view.gaps()),
        next_steps=tuple(_next_steps(view)),
    )


def _next_steps(view: ClusterView) -> Iterator[str]:
    """What is missing for a first answer; silent about kinds that nobody could read."""
    steps = (
        (INFERENCE_POOLS, "No InferencePool: describe your GPU nodes by one (docs/reference/inferencepool.md)"),
        (MODEL_DEPLOYMENTS, "No ModelDeployment: name a model to serve (docs/reference/modeldeployment.md)"),
        (INFERENCE_GATEWAYS, "No InferenceGateway: clients need one to call (docs/reference/inferencegateway.md)"),
    )
    for kind, words in steps:
        listing = view.listing(kind)
        if listing.gap is None and not listing.items:
            yield words
    if view.items(INFERENCE_GATEWAYS) and view.listing(ROUTES).gap is None and not view.items(ROUTES):
        yield "No Route: say which model names clients call, and what answers (docs/reference/route.md)"


def _status(live: Object, model: type[S]) -> S:
    """The status; an empty one where another version wrote what cannot be read."""
    try:
        return model.model_validate(part(live, "status"))
    except ValidationError:
        return model.model_validate({})


def _pool(live: Object) -> PoolRow:
    status = _status(live, InferencePoolStatus)
    accelerator = status.accelerator or str(part(live, "spec").get("accelerator") or "")
    gpus = status.gpus
    return PoolRow(
        name=name_of(live),
        accelerator=accelerator,
        nodes=status.nodes,
        ready_nodes=status.ready_nodes,
        gpus=gpus.total,
        allocated=gpus.allocated,
        free=gpus.free,
        cost_per_hour=status.cost_per_hour,
    )


def _deployment(live: Object) -> DeploymentRow:
    status, spec = _status(live, ModelDeploymentStatus), part(live, "spec")
    plan = status.plan or status.next_plan or PlanStatus()
    wanted = spec.get("replicas")
    return DeploymentRow(
        namespace=namespace_of(live),
        name=name_of(live),
        phase=_phase(live),
        ready=status.ready_replicas,
        wanted=wanted if isinstance(wanted, int) else None,
        pool=plan.pool,
        engine=plan.engine,
        precision=plan.precision,
        gpus=plan.gpus_per_replica,
        cost_per_hour=plan.cost_per_hour,
    )


def _phase(live: Object) -> str:
    """One word: Serving, or the reason of what keeps it from that."""
    if part(live, "metadata").get("deletionTimestamp"):
        return "Deleting"
    conditions = {each.type: each for each in read_status(live).conditions}
    for kind in ("Available", "Ready"):
        found = conditions.get(kind)
        if found is not None and found.status is not ConditionStatus.TRUE:
            placed = conditions.get("Placed")
            unplaced = kind == "Available" and placed is not None and placed.status is not ConditionStatus.TRUE
            return placed.reason if unplaced and placed else found.reason
    return "Serving" if "Available" in conditions else "Pending"


def _route(live: Object) -> RouteRow:
    status, spec = _status(live, RouteStatus), part(live, "spec")
    names = status.model_names or tuple(map(str, spec.get("modelNames") or ()))
    programmed = next((each for each in status.conditions if each.type == "Programmed"), None)
    return RouteRow(
        namespace=namespace_of(live),
        name=name_of(live),
        gateway=str(part(live, "spec", "gatewayRef").get("name") or ""),
        models=names,
        answering_rules=status.answering_rules,
        rules=len(status.rules) or len(spec.get("rules") or ()),
        backends=tuple(dict.fromkeys(backend for rule in status.rules for backend in rule.live_backends)),
        programmed=str(programmed.status) if programmed else "Unknown",
    )


def _gateway(live: Object) -> GatewayRow:
    status, spec = _status(live, InferenceGatewayStatus), part(live, "spec")
    # A replica that has what is published says nothing about it; one without a state was not heard of.
    heard = [each for each in status.live_replicas if each.state is not None]
    in_step = [each for each in heard if each.generation is None and each.credential_version is None]
    wanted = spec.get("replicas")
    return GatewayRow(
        namespace=namespace_of(live),
        name=name_of(live),
        address=status.address,
        ready=status.ready_replicas,
        wanted=wanted if isinstance(wanted, int) else status.replicas,
        in_step=len(in_step),
        live=len(status.live_replicas),
        generation=status.table.generation if status.table else None,
    )


def is_missing(view: ClusterView) -> bool:
    """True where not one of our kinds is served: the CRDs are not installed."""
    return all(view.listing(kind).gap is Gap.NOT_SERVED for kind in OWN_KINDS)
