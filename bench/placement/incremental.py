"""What one placement pass takes when one deployment of many has changed: the planner alone."""

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from bench.figures import figure, progress
from penstock.api.formats import Precision
from penstock.api.inferencepool import InferencePoolSpec
from penstock.api.modeldeployment import ModelDeploymentSpec
from penstock.catalogue.accelerators import by_name
from penstock.catalogue.models import ModelFacts
from penstock.planner.fleet import DeploymentKey, FleetSnapshot, Node, Pool, Tenant
from penstock.planner.placement import place
from penstock.planner.plan import Decision

__all__ = ["processor", "wall"]

_NOW = datetime(2026, 11, 1, tzinfo=UTC)
_ACCELERATORS = ("H100-SXM-80GB", "A100-SXM-80GB", "B200-SXM-180GB", "MI300X", "H200-SXM-141GB")
_POOLS = 15
_GPUS_PER_NODE = 8


def wall(deployments: int, nodes: int, rounds: int) -> None:
    """`placement_ms_p99`: the time of a pass in which one deployment changed."""
    settled, details = _prepared(deployments, nodes)
    times = sorted(_round(settled, number, time.perf_counter) for number in range(rounds))
    _report("placement_ms_p99", _p99(times), times, details)


def processor(deployments: int, nodes: int, rounds: int) -> None:
    """`plan_cpu_ms`: the processor time of such a pass, whatever else the machine does."""
    settled, details = _prepared(deployments, nodes)
    times = sorted(_round(settled, number, time.process_time) for number in range(rounds))
    _report("plan_cpu_ms", times[len(times) // 2], times, details)


def _prepared(deployments: int, nodes: int) -> tuple[FleetSnapshot, dict[str, object]]:
    """A settled fleet that a pass has seen."""
    fleet = _fleet(deployments, nodes)
    started = time.perf_counter()
    decisions = place(fleet, _NOW)
    first_ms = round((time.perf_counter() - started) * 1000, 3)
    placed = sum(decision.assignment is not None for decision in decisions.values())
    progress(f"{placed} of {deployments} deployments placed at once in {first_ms:.0f} ms")
    settled = _settled(fleet, decisions)
    place(settled, _NOW)
    return settled, {"deployments": deployments, "nodes": nodes, "placed": placed, "first_pass_ms": first_ms}


def _report(name: str, value: float, times: list[float], details: dict[str, object]) -> None:
    median, p99 = round(times[len(times) // 2], 3), round(_p99(times), 3)
    figure(name, value, "ms", rounds=len(times), median_ms=median, p99_ms=p99, **details)


def _p99(times: list[float]) -> float:
    return times[max(0, -(-len(times) * 99 // 100) - 1)]


def _round(settled: FleetSnapshot, number: int, clock: Callable[[], float]) -> float:
    """Milliseconds of one pass in which one deployment asks for something that no pass has seen before."""
    index = number % len(settled.tenants)
    before = settled.tenants[index]
    spec = before.spec.model_copy(
        update={"workload": before.spec.workload.model_copy(update={"prompt_tokens": 500 + number})}
    )
    tenants = list(settled.tenants)
    tenants[index] = replace(before, spec=spec, outdated=True)
    fleet = FleetSnapshot(pools=settled.pools, tenants=tuple(tenants))
    started = clock()
    decisions = place(fleet, _NOW)
    elapsed = (clock() - started) * 1000
    if decisions[before.key].reason == "Kept":
        message = "the changed deployment was not decided anew"
        raise RuntimeError(message)
    return elapsed


def _fleet(deployments: int, nodes: int) -> FleetSnapshot:
    pools = tuple(_pool(index, nodes) for index in range(_POOLS))
    return FleetSnapshot(pools=pools, tenants=tuple(_tenant(index) for index in range(deployments)))


def _pool(index: int, nodes: int) -> Pool:
    count = nodes // _POOLS + (index < nodes % _POOLS)
    spec = {
        "nodeSelector": {"pool": f"pool-{index}"},
        "location": {"countries": ["DE" if index % 2 else "US"]},
        "price": {"perGPUHour": f"{1 + index / 10:.2f}"},
    }
    return Pool(
        name=f"pool-{index}",
        spec=InferencePoolSpec.model_validate(spec),
        accelerator=by_name(_ACCELERATORS[index % len(_ACCELERATORS)]),
        nodes=tuple(Node(f"pool-{index}-{number}", gpus=_GPUS_PER_NODE, used=0) for number in range(count)),
    )


def _tenant(index: int) -> Tenant:
    """Every deployment its own model, sizes from 7 to 70 billion parameters."""
    model = f"org/model-{index}"
    billions = (7, 8, 14, 32, 70)[index % 5]
    document = {
        "model": model,
        "variants": [{"precision": "FP8", "model": f"{model}-fp8"}],
        "workload": {"promptTokens": 1000 + index, "outputTokens": 300, "concurrency": 16},
        "placement": {"jurisdictions": ["EU"] if index % 4 == 1 else []},
    }
    return Tenant(
        key=(f"team-{index % 20}", f"chat-{index}"),
        created=_NOW - timedelta(days=1) + timedelta(seconds=index),
        spec=ModelDeploymentSpec.model_validate(document),
        replicas=1,
        namespace_labels={"team": str(index % 20)},
        facts={
            model: _facts(model, billions, Precision.BF16),
            f"{model}-fp8": _facts(f"{model}-fp8", billions, Precision.FP8),
        },
    )


def _facts(model: str, billions: int, precision: Precision) -> ModelFacts:
    large = billions > 40
    return ModelFacts(
        model=model,
        architecture="LlamaForCausalLM",
        precision=precision,
        weights_bytes=billions * 10**9 * (1 if precision is Precision.FP8 else 2),
        parameters=billions * 10**9,
        active_parameters=billions * 10**9,
        layers=80 if large else 40,
        hidden=8192 if large else 5120,
        query_heads=64 if large else 40,
        kv_heads=8,
        head_dim=128,
        vocabulary=128_256,
        intermediate=28_672 if large else 17_408,
        max_context_tokens=131_072 if large else 40_960,
        full_attention_layers=80 if large else 40,
    )


def _settled(fleet: FleetSnapshot, decisions: dict[DeploymentKey, Decision]) -> FleetSnapshot:
    """Every replica's pod runs on the node that it was meant for."""
    used: Counter[str] = Counter()
    tenants = []
    for tenant in fleet.tenants:
        assignment = decisions[tenant.key].assignment
        if assignment is not None:
            bound = Counter(assignment.nodes)
            held = {node: count * assignment.plan.gpus for node, count in bound.items()}
            used.update(held)
            tenant = replace(tenant, current=assignment, bound=bound, held=held)  # noqa: PLW2901 - the tenant, settled
        tenants.append(tenant)
    pools = tuple(
        replace(pool, nodes=tuple(replace(node, used=used[node.name]) for node in pool.nodes)) for pool in fleet.pools
    )
    return FleetSnapshot(pools=pools, tenants=tuple(tenants))
