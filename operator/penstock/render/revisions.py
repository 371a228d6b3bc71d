"""A revision: everything that is rendered for one assignment, its name, and the ControllerRevision that pins it."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from pydantic import TypeAdapter

from penstock.api.inferencepool import InferencePoolSpec
from penstock.api.modeldeployment import ModelDeployment
from penstock.catalogue.accelerators import by_name
from penstock.engines import ENGINES
from penstock.engines.contract import EngineContainer, EngineRequest
from penstock.planner.plan import Assignment
from penstock.render.deployment import DeploymentRequest, render_deployment
from penstock.render.names import SPEC_DIGEST_ANNOTATION, child_metadata, labels_of, revision_digest
from penstock.render.policies import render_disruption_budget, render_network_policy
from penstock.render.prefetch import render_prefetch_job
from penstock.render.services import render_headless_service
from penstock.render.weights import Storage, render_cache_claim, storage_of

__all__ = [
    "PinnedRevision",
    "RenderedRevision",
    "RevisionRequest",
    "decode",
    "render_controller_revision",
    "render_revision",
]

_ASSIGNMENTS = TypeAdapter(Assignment)


@dataclass(frozen=True, slots=True)
class RevisionRequest:
    """What a revision is rendered from."""

    deployment: ModelDeployment
    assignment: Assignment
    pool_spec: InferencePoolSpec
    operator_namespace: str


@dataclass(frozen=True, slots=True)
class RenderedRevision:
    """The revision's name and children; a Deployment among them is without `replicas`."""

    name: str
    manifests: tuple[dict[str, Any], ...]
    container: EngineContainer


@dataclass(frozen=True, slots=True)
class PinnedRevision:
    """What a ControllerRevision gives back."""

    assignment: Assignment
    manifests: tuple[dict[str, Any], ...]


def render_revision(request: RevisionRequest) -> RenderedRevision:
    """Render the children; raises `Refused` where the user's engine arguments cannot be honoured.

    The name is a hash of the pods' template: what is rendered alike has the same name, whatever was planned in between.
    """
    container = _container(request, _storage(request, "name"))
    name = _name(request, container)
    return RenderedRevision(name, tuple(_manifests(request, container, name)), container)


def render_controller_revision(
    deployment: ModelDeployment, rendered: RenderedRevision, assignment: Assignment, *, number: int, spec_digest: str
) -> dict[str, Any]:
    """Pins what was rendered; its data never changes, the digest of the spec that asks for it may."""
    metadata = child_metadata(
        deployment,
        f"{deployment.metadata.name}-{rendered.name}",
        labels_of(deployment, assignment.plan, rendered.name),
    )
    return {
        "apiVersion": "apps/v1",
        "kind": "ControllerRevision",
        "metadata": {**metadata, "annotations": {SPEC_DIGEST_ANNOTATION: spec_digest}},
        "revision": number,
        "data": {
            "assignment": _ASSIGNMENTS.dump_json(assignment).decode(),
            "manifests": list(rendered.manifests),
        },
    }


def decode(data: Mapping[str, Any]) -> PinnedRevision:
    """The assignment and the manifests; ValueError where somebody else wrote the data."""
    try:
        return PinnedRevision(_ASSIGNMENTS.validate_json(data["assignment"]), tuple(data["manifests"]))
    except (KeyError, TypeError) as error:
        message = f"no revision of Penstock's: {error!r}"
        raise ValueError(message) from error


def _storage(request: RevisionRequest, revision: str) -> Storage:
    checkpoint = request.assignment.plan.checkpoint
    return storage_of(request.deployment, checkpoint, request.pool_spec, revision)


def _container(request: RevisionRequest, storage: Storage) -> EngineContainer:
    plan, spec = request.assignment.plan, request.deployment.spec
    return ENGINES[plan.engine].container(
        EngineRequest(
            plan=plan,
            vendor=by_name(plan.accelerator).vendor,
            served_model_name=request.deployment.metadata.name,
            weights=storage.location,
            engine_args=spec.engine_args,
            remote_code=spec.remote_code == "Allow",
            drain_seconds=spec.rollout.drain_seconds,
        )
    )


def _name(request: RevisionRequest, container: EngineContainer) -> str:
    """Without the planned nodes: a replica that finds another node is no new revision."""
    nowhere = RevisionRequest(
        request.deployment, Assignment(request.assignment.plan, ()), request.pool_spec, request.operator_namespace
    )
    storage = _storage(nowhere, "name")
    pods = render_deployment(_deployment_request(nowhere, container, storage), "name")
    # What cannot be changed once it is there (a claim, a Job) is part of the name too.
    volume = [manifest["spec"] for manifest in _volume(nowhere, storage, "name")]
    plan = request.assignment.plan
    # Two versions may hide behind one image of a pool's own.
    return revision_digest([pods["spec"], plan.engine_version, asdict(plan.memory), *volume])


def _deployment_request(request: RevisionRequest, container: EngineContainer, storage: Storage) -> DeploymentRequest:
    return DeploymentRequest(request.deployment, request.assignment, request.pool_spec, container, storage)


def _manifests(request: RevisionRequest, container: EngineContainer, name: str) -> list[dict[str, Any]]:
    deployment, plan = request.deployment, request.assignment.plan
    storage = _storage(request, name)
    return [
        *_volume(request, storage, name),
        render_deployment(_deployment_request(request, container, storage), name),
        render_headless_service(deployment, name, plan),
        render_disruption_budget(deployment, name, plan),
        render_network_policy(deployment, name, plan, request.operator_namespace),
    ]


def _volume(request: RevisionRequest, storage: Storage, name: str) -> list[dict[str, Any]]:
    """The claim and the Job that fills it, where the weights are kept in a volume of the revision's own."""
    if not storage.claim:
        return []
    deployment, plan = request.deployment, request.assignment.plan
    return [
        render_cache_claim(deployment, plan, name),
        render_prefetch_job(deployment, plan, request.pool_spec, storage, name),
    ]
