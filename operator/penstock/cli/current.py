"""What runs, for a comparison: from a former plan, from what kubectl printed, or from a cluster."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from penstock.api.modeldeployment import ModelDeployment
from penstock.api.plan_status import ModelDeploymentStatus, PlanStatus
from penstock.api.quantities import Money
from penstock.api.refusals import Refused
from penstock.api.validation import parse
from penstock.cli.input_files import contents
from penstock.cli.refusing import InputRefused
from penstock.planner.changes import Footprint
from penstock.planner.fleet import DeploymentKey
from penstock.reconcilers.custom import wanted_replicas

__all__ = ["footprints_of_cluster", "read_current"]

_CURE = "Give what `penstock plan -o json` or `kubectl get modeldeployments -A -o yaml` printed"


def read_current(path: Path) -> dict[DeploymentKey, Footprint]:
    """What the file says that runs; InputRefused where it is neither of the two."""
    documents, problems = contents(path)
    if not problems and not documents and not path.read_bytes().strip():
        problems = [f"`--current` '{path}': it is empty. {_CURE}."]
    if problems:
        raise InputRefused(problems)
    try:
        return dict(pair for document in documents for pair in _footprints(document))
    except (ArithmeticError, AttributeError, KeyError, Refused, TypeError, ValueError) as error:
        raise InputRefused([f"`--current` '{path}': it is not what is compared with ({error!r}). {_CURE}."]) from error


def _footprints(document: Any) -> Iterable[tuple[DeploymentKey, Footprint]]:
    if document.get("kind") == "ModelDeployment":
        return footprints_of_cluster([document]).items()
    return [
        ((str(each["namespace"]), str(each["name"])), _planned(each["plan"], len(each["nodes"])))
        for each in document["deployments"]
        if each["plan"] is not None and each["nodes"]
    ]


def _planned(plan: Mapping[str, Any], replicas: int) -> Footprint:
    price = _money(plan["pricePerReplicaHour"] or "")
    return Footprint(
        pool=str(plan["pool"]),
        accelerator=str(plan["accelerator"]),
        engine=str(plan["engine"]),
        precision=str(plan["precision"]),
        tensor_parallel=int(plan["tensorParallel"]),
        gpus_per_replica=int(plan["gpusPerReplica"]),
        replicas=replicas,
        price_per_hour=price * replicas if price else None,
    )


def footprints_of_cluster(live: Iterable[Mapping[str, Any]]) -> dict[DeploymentKey, Footprint]:
    """By the plan in each status, the serving one first; what has none yet is not there."""
    found: dict[DeploymentKey, Footprint] = {}
    for each in live:
        metadata = each["metadata"]
        footprint = _reported(each)
        if footprint is not None:
            found[str(metadata.get("namespace") or "default"), str(metadata["name"])] = footprint
    return found


def _reported(live: Mapping[str, Any]) -> Footprint | None:
    try:
        status = ModelDeploymentStatus.model_validate(live.get("status") or {})
    except ValidationError:
        return None
    plan = status.plan or status.next_plan
    return _footprint(plan, _replicas(live, status)) if plan else None


def _replicas(live: Mapping[str, Any], status: ModelDeploymentStatus) -> int:
    """As many as the spec asks for: pods come and go."""
    try:
        resource = parse({**live, "apiVersion": "penstock.dev/v1alpha1", "kind": "ModelDeployment"}, strict=False)
    except Refused:
        return status.replicas
    return wanted_replicas(resource.spec) if isinstance(resource, ModelDeployment) else status.replicas


def _footprint(plan: PlanStatus, replicas: int) -> Footprint | None:
    price = _money(plan.cost_per_replica_hour)
    whole = price * replicas if price else _money(plan.cost_per_hour)
    if not replicas:
        return None
    return Footprint(
        pool=plan.pool,
        accelerator=plan.accelerator,
        engine=plan.engine,
        precision=plan.precision,
        tensor_parallel=plan.tensor_parallel,
        gpus_per_replica=plan.gpus_per_replica,
        replicas=replicas,
        price_per_hour=whole,
    )


def _money(text: str) -> Money | None:
    amount, _, currency = text.partition(" ")
    return Money.parse(amount, currency) if amount else None
