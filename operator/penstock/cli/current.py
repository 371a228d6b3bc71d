"""What runs, for a comparison: from a former plan, from what kubectl printed, or from a cluster."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, Field, ValidationError

from penstock.api.meta import Model
from penstock.api.modeldeployment import ModelDeployment
from penstock.api.plan_status import ModelDeploymentStatus, PlanStatus
from penstock.api.quantities import Money
from penstock.api.refusals import Refusal, Refused
from penstock.api.teaching import innermost, refusal_of, shown
from penstock.api.validation import parse
from penstock.cli.input_files import Unreadable, documents_in, items_of
from penstock.cli.refusing import InputRefused
from penstock.planner.changes import Footprint
from penstock.planner.fleet import DeploymentKey
from penstock.reconcilers.custom import wanted_replicas

__all__ = ["footprints_of_cluster", "read_current"]

_CURE = "Give what `penstock plan -o json` or `kubectl get modeldeployments -A -o yaml` printed"
_FORMAT = 1
_LETTERS = 3
_MOST_REFUSALS = 8

M = TypeVar("M", bound=Model)


def _money(text: str) -> Money | None:
    amount, _, currency = text.partition(" ")
    return Money.parse(amount, currency) if amount else None


def _checked_price(text: str | None) -> str | None:
    price = _money(text or "")
    if price is not None and len(price.currency) != _LETTERS:
        message = "a price is an amount and a currency, as in 2.50 USD"
        raise ValueError(message)
    return text


def _checked_format(number: int) -> int:
    if number != _FORMAT:
        message = f"this release reads format {_FORMAT}: plan with the same release as before"
        raise ValueError(message)
    return number


class _Plan(Model):
    """What a former plan says of a replica."""

    pool: str
    accelerator: str
    engine: str
    precision: str
    tensor_parallel: Annotated[int, Field(ge=1)]
    gpus_per_replica: Annotated[int, Field(ge=1)]
    price_per_replica_hour: Annotated[str | None, AfterValidator(_checked_price)]


class _Deployment(Model):
    """A deployment of a former plan; `plan` None: it had no place."""

    namespace: str
    name: str
    nodes: list[str]
    plan: _Plan | None


class _Former(Model):
    """What `penstock plan -o json` printed, as far as it is compared with."""

    format: Annotated[int, AfterValidator(_checked_format)]
    deployments: list[_Deployment]


class _Named(Model):
    name: Annotated[str, Field(min_length=1)]
    namespace: str | None = None


class _Live(Model):
    """A deployment that kubectl printed, as far as it is compared with."""

    metadata: _Named
    status: ModelDeploymentStatus | None = None


def read_current(path: Path) -> dict[DeploymentKey, Footprint]:
    """What the file says that runs; InputRefused where it is neither of the two, by its first fields that are not."""
    try:
        whole = documents_in(path)
        documents = [item for document in whole for item in items_of(document)]
    except Unreadable as reason:
        raise _refused(path, [f"{reason}"]) from reason
    if not whole:
        raise _refused(path, ["it is empty"])
    found: dict[DeploymentKey, Footprint] = {}
    for number, document in enumerate(documents):
        try:
            found |= _footprints(document)
        except Refused as refused:
            where = f"[{number}]" if len(documents) > 1 else ""
            lines = [f"{where} is not what is compared with: {refusal}".strip() for refusal in refused.refusals]
            raise _refused(path, [line.rstrip(".") for line in lines[:_MOST_REFUSALS]]) from refused
    return found


def _refused(path: Path, reasons: Iterable[str]) -> InputRefused:
    return InputRefused(f"`--current` '{path}': {reason}. {_CURE}." for reason in reasons)


def _footprints(document: Any) -> dict[DeploymentKey, Footprint]:
    """Of one document; Refused where it is neither."""
    if not isinstance(document, Mapping):
        raise Refused([Refusal("", shown(document), "must be an object with fields", "Give the whole output")])
    if document.get("kind") == "ModelDeployment":
        _read(_Live, document, strict=False)
        try:
            return footprints_of_cluster([document])
        except ValueError as error:
            raise Refused([Refusal("status.plan", "", str(error), "Read it with kubectl anew")]) from error
    if "kind" in document:
        cure = "Leave other kinds out"
        raise Refused([Refusal("kind", shown(document["kind"]), "is no ModelDeployment", cure)])
    former = _read(_Former, document, strict=True)
    return {
        (each.namespace, each.name): _planned(each.plan, len(each.nodes))
        for each in former.deployments
        if each.plan is not None and each.nodes
    }


def _read(model: type[M], document: Any, *, strict: bool) -> M:
    try:
        return model.model_validate(document, strict=strict)
    except ValidationError as error:
        details = innermost(error.errors(include_url=False))
        refusals = (refusal_of(detail, model, "") for detail in details)
        raise Refused(replace(each, field=each.field.removeprefix(".")) for each in refusals) from error


def _planned(plan: _Plan, replicas: int) -> Footprint:
    price = _money(plan.price_per_replica_hour or "")
    return _footprint(plan, replicas, price * replicas if price else None)


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
    plan, replicas = status.plan or status.next_plan, _replicas(live, status)
    if plan is None or not replicas:
        return None
    price = _money(plan.cost_per_replica_hour)
    return _footprint(plan, replicas, price * replicas if price else _money(plan.cost_per_hour))


def _replicas(live: Mapping[str, Any], status: ModelDeploymentStatus) -> int:
    """As many as the spec asks for: pods come and go."""
    try:
        resource = parse({**live, "apiVersion": "penstock.dev/v1alpha1", "kind": "ModelDeployment"}, strict=False)
    except Refused:
        return status.replicas
    return wanted_replicas(resource.spec) if isinstance(resource, ModelDeployment) else status.replicas


def _footprint(plan: _Plan | PlanStatus, replicas: int, price_per_hour: Money | None) -> Footprint:
    return Footprint(
        pool=plan.pool,
        accelerator=plan.accelerator,
        engine=plan.engine,
        precision=plan.precision,
        tensor_parallel=plan.tensor_parallel,
        gpus_per_replica=plan.gpus_per_replica,
        replicas=replicas,
        price_per_hour=price_per_hour,
    )
