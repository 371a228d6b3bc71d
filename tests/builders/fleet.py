"""Builders of fleets: pools with nodes, deployments as tenants, and decisions fed back as pods that run."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from penstock.api.formats import Precision
from penstock.api.inferencepool import InferencePoolSpec
from penstock.api.modeldeployment import ModelDeploymentSpec
from penstock.catalogue.accelerators import by_name
from penstock.catalogue.models import ModelFacts
from penstock.planner.fleet import DeploymentKey, FleetSnapshot, Node, Pool, Tenant
from penstock.planner.placement import place
from penstock.planner.plan import Decision

__all__ = ["CHECKPOINTS", "NOW", "facts", "fleet", "nodes", "place_one", "pool", "settled", "tenant"]

NOW = datetime(2026, 11, 1, 12, tzinfo=UTC)

_BYTES = {Precision.BF16: 2.0, Precision.FP8: 1.0, Precision.NVFP4: 0.5625, Precision.INT4: 0.52, Precision.MXFP4: 0.55}


def facts(model: str, billions: float, precision: Precision = Precision.BF16, **changes: Any) -> ModelFacts:
    """A dense model with plausible numbers; `changes` override any field."""
    parameters = round(billions * 1e9)
    known = ModelFacts(
        model=model,
        architecture="LlamaForCausalLM",
        precision=precision,
        weights_bytes=round(parameters * _BYTES[precision]),
        parameters=parameters,
        active_parameters=parameters,
        layers=80 if billions > 40 else 36,
        hidden=8192 if billions > 40 else 4096,
        query_heads=64 if billions > 40 else 32,
        kv_heads=8,
        head_dim=128,
        vocabulary=128_256,
        intermediate=28_672 if billions > 40 else 12_288,
        max_context_tokens=131_072 if billions > 40 else 40_960,
        full_attention_layers=80 if billions > 40 else 36,
    )
    return replace(known, **changes)


CHECKPOINTS: Mapping[str, ModelFacts] = {
    each.model: each
    for each in (
        facts("org/small", 8.2),
        facts("org/large", 70.6),
        facts("org/large-fp8", 70.6, Precision.FP8),
        facts("org/large-nvfp4", 70.6, Precision.NVFP4),
        facts("org/large-int4", 70.6, Precision.INT4, group_size=128),
        facts("org/huge", 400, layers=126, query_heads=128, hidden=16_384, full_attention_layers=126),
    )
}

VARIANTS = {
    Precision.FP8: "org/large-fp8",
    Precision.NVFP4: "org/large-nvfp4",
    Precision.INT4: "org/large-int4",
}


def variants(*precisions: Precision) -> list[dict[str, str]]:
    """Variants of `org/large` as a spec lists them."""
    return [{"precision": precision.value, "model": VARIANTS[precision]} for precision in precisions]


def nodes(pool_name: str, count: int, *, gpus: int = 8, used: Sequence[int] = ()) -> tuple[Node, ...]:
    """Ready nodes `<pool>-0`, `<pool>-1`, ...; `used` for the first of them."""
    return tuple(
        Node(f"{pool_name}-{index}", gpus=gpus, used=used[index] if index < len(used) else 0) for index in range(count)
    )


def pool(
    name: str,
    *,
    accelerator: str | None = "H100-SXM-80GB",
    on: tuple[Node, ...] | int = 1,
    price: str | dict[str, str] | None = "2.00",
    countries: Sequence[str] = ("DE",),
    **spec: Any,
) -> Pool:
    """A pool of full 8-GPU nodes unless `on` gives them; `spec` takes further fields in camelCase."""
    document: dict[str, Any] = {"nodeSelector": {"pool": name}, "location": {"countries": list(countries)}, **spec}
    if price is not None and "price" not in document:
        document["price"] = price if isinstance(price, dict) else {"perGPUHour": price}
    return Pool(
        name=name,
        spec=InferencePoolSpec.model_validate(document),
        accelerator=by_name(accelerator) if accelerator else None,
        nodes=nodes(name, on) if isinstance(on, int) else on,
    )


def tenant(name: str = "chat", *, namespace: str = "team", age: int = 0, **changes: Any) -> Tenant:
    """A deployment of `org/small`, `age` seconds younger than the oldest; `spec` is merged over the defaults."""
    document = {"model": "org/small"} | changes.pop("spec", {})
    known = Tenant(
        key=(namespace, name),
        created=datetime(2026, 11, 1, tzinfo=UTC) + timedelta(seconds=age),
        spec=ModelDeploymentSpec.model_validate(document),
        replicas=changes.pop("replicas", 1),
        namespace_labels=changes.pop("namespace_labels", {}),
        facts=changes.pop("facts", CHECKPOINTS),
    )
    return replace(known, **changes)


def fleet(pools: Sequence[Pool], *tenants: Tenant) -> FleetSnapshot:
    """A snapshot of pools and tenants."""
    return FleetSnapshot(pools=tuple(pools), tenants=tenants)


def place_one(pools: Sequence[Pool], one: Tenant, *others: Tenant, now: datetime = NOW) -> Decision:
    """The decision for `one`."""
    return place(fleet(pools, one, *others), now)[one.key]


def settled(before: FleetSnapshot, decisions: Mapping[DeploymentKey, Decision]) -> FleetSnapshot:
    """The fleet after every decision was carried out: each replica's pod runs on its node, and counts in its quota."""
    used: Counter[str] = Counter()
    spent: Counter[tuple[str, str]] = Counter()
    tenants = []
    for each in before.tenants:
        assignment = decisions[each.key].assignment
        if assignment is None:
            tenants.append(each)
            continue
        bound = Counter(assignment.nodes)
        held = {node: count * assignment.plan.gpus for node, count in bound.items()}
        used.update(held)
        used.subtract(each.held)
        spent[each.key[0], assignment.plan.gpu_resource] += sum(held.values()) - sum(each.held.values())
        tenants.append(replace(each, current=assignment, outdated=False, bound=bound, held=held, pending=0))
    pools = tuple(
        replace(each, nodes=tuple(replace(node, used=node.used + used[node.name]) for node in each.nodes))
        for each in before.pools
    )
    return FleetSnapshot(pools=pools, tenants=tuple(_charged(each, spent) for each in tenants))


def _charged(tenant: Tenant, spent: Mapping[tuple[str, str], int]) -> Tenant:
    left = {resource: left - spent[tenant.key[0], resource] for resource, left in tenant.gpu_quota.items()}
    return replace(tenant, gpu_quota=left)
