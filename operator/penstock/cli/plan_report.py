"""What `penstock plan` found, put together once for all of its forms, and as plain data for programs."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from penstock.api.quantities import Money
from penstock.cli.apart import apart_data
from penstock.cli.fleet_files import Assumed, NotActedOn
from penstock.cli.planning import Planned
from penstock.planner.changes import Change, ChangeKind, Footprint, compare, footprint_of
from penstock.planner.disaggregation.required import Apart
from penstock.planner.exchange import Rates
from penstock.planner.explain import counted
from penstock.planner.fleet import DeploymentKey, FleetSnapshot, Tenant
from penstock.planner.outlook import Outlook, outlook, replicas_for_load
from penstock.planner.plan import Decision, Expectation, MemoryPlan, Plan, Rejection
from penstock.planner.requirements import load_of, requirements_of
from penstock.planner.totals import (
    PoolTotal,
    by_currency,
    difference_in_words,
    differences,
    gpus_without_price,
    in_base,
    money_in_words,
    pool_totals,
)

__all__ = ["Placement", "PlanReport", "expected_data", "memory_data", "report"]

_FORMAT = 1
_DIGITS = 3


@dataclass(frozen=True, slots=True)
class Placement:
    """One deployment, what was decided for it, and what it is expected to do.

    `replicas_for_load` are those that carry the whole load where that is more than are asked for now, else 0.
    """

    tenant: Tenant
    decision: Decision
    footprint: Footprint | None
    outlook: Outlook
    replicas_for_load: int = 0

    @property
    def name(self) -> str:
        """`namespace/name`."""
        return "/".join(self.tenant.key)

    @property
    def placed(self) -> int:
        """Replicas that have a node."""
        return self.footprint.replicas if self.footprint else 0

    @property
    def price_at_load(self) -> Money | None:
        """What an hour of those that carry the whole load costs."""
        price = self.decision.assignment and self.decision.assignment.plan.price_per_replica_hour
        return price * self.replicas_for_load if price and self.replicas_for_load else None

    @property
    def short_of_load(self) -> str:
        """That more replicas are needed for the load than are asked for, and what they cost; empty where not."""
        if not self.replicas_for_load:
            return ""
        needed, now, price = self.replicas_for_load, self.tenant.replicas, self.price_at_load
        cost, are = f" ({price} per hour)" if price else "", "is" if now == 1 else "are"
        return (
            f"the load takes {needed} replicas{cost}, and {now} {are} asked for; would work: `spec.replicas: {needed}`"
        )

    @property
    def complete(self) -> bool:
        """True where every replica has one."""
        return self.decision.assignment is not None and self.placed >= self.tenant.replicas


@dataclass(frozen=True, slots=True)
class PlanReport:
    """Everything that was decided. `changes` is None where there was nothing to compare with.

    `apart` is what would be chosen for those of the refused that require prefill and decode apart.
    """

    placements: tuple[Placement, ...]
    refused: tuple[NotActedOn, ...]
    pools: tuple[PoolTotal, ...]
    assumed: tuple[Assumed, ...]
    changes: tuple[Change, ...] | None
    rates: Rates
    apart: Mapping[DeploymentKey, Apart] = field(default_factory=dict)

    @property
    def complete(self) -> bool:
        """True where everything has a place and nothing is refused."""
        return not self.refused and all(each.complete for each in self.placements)

    @property
    def after(self) -> tuple[Money, ...]:
        """What the plan costs for an hour."""
        spent = by_currency(each.footprint.price_per_hour for each in self.placements if each.footprint)
        return in_base(spent, self.rates)

    @property
    def before(self) -> tuple[Money, ...]:
        """What it is compared with costs for an hour."""
        spent = by_currency(each.before.price_per_hour for each in self.changes or () if each.before)
        return in_base(spent, self.rates)

    @property
    def unpriced_after(self) -> int:
        """GPUs of the plan that `after` leaves out."""
        return gpus_without_price(each.footprint for each in self.placements)

    @property
    def unpriced_before(self) -> int:
        """GPUs that `before` leaves out."""
        return gpus_without_price(each.before for each in self.changes or ())

    @property
    def summary(self) -> str:
        """The plan in one sentence."""
        placed, total = sum(each.complete for each in self.placements), len(self.placements) + len(self.refused)
        gpus = sum(each.footprint.gpus for each in self.placements if each.footprint)
        sentence = f"{placed} of {counted(total, 'deployment')} placed on {counted(gpus, 'GPU')}"
        spent = money_in_words(self.after, self.unpriced_after)
        return f"{sentence}{', ' if spent else ''}{spent}{self._compared()}{self._refused()}"

    def _compared(self) -> str:
        if self.changes is None:
            return ""
        before = money_in_words(self.before, self.unpriced_before) or "nothing"
        unpriced = self.unpriced_after - self.unpriced_before
        differ = difference_in_words(differences(self.before, self.after), unpriced)
        moved = sum(each.kind is not ChangeKind.SAME for each in self.changes)
        return f" (before: {before}; {differ}), {moved} changed"

    def _refused(self) -> str:
        return f", {len(self.refused)} refused" if self.refused else ""

    @property
    def data(self) -> dict[str, Any]:
        """Plain data: sizes in bytes per GPU, times in milliseconds, money as decimal strings with the currency."""
        return {
            "format": _FORMAT,
            "summary": self.summary,
            "complete": self.complete,
            "deployments": [_deployment(each) for each in self.placements],
            "refused": [_refused(each, self.apart.get(each.key)) for each in self.refused],
            "pools": [_pool(each) for each in self.pools],
            "pricePerHour": [str(each) for each in self.after],
            "gpusWithoutPrice": self.unpriced_after,
            "assumptions": [str(each) for each in self.assumed],
            **self._changes(),
        }

    def _changes(self) -> dict[str, Any]:
        if self.changes is None:
            return {}
        return {
            "changes": [_change(each) for each in self.changes],
            "pricePerHourBefore": [str(each) for each in self.before],
            "pricePerHourDifference": [str(each) for each in differences(self.before, self.after)],
            "gpusWithoutPriceBefore": self.unpriced_before,
        }


def report(planned: Planned, before: Mapping[DeploymentKey, Footprint] | None) -> PlanReport:
    """Everything that was decided, against what was there before."""
    fleet, decisions = planned.fleet, planned.decisions
    placements = tuple(_placement(tenant, decisions[tenant.key], fleet) for tenant in fleet.tenants)
    return PlanReport(
        placements=tuple(sorted(placements, key=lambda each: each.tenant.key)),
        refused=tuple(planned.documents.unsupported),
        pools=pool_totals(fleet, decisions),
        assumed=planned.assumed,
        changes=None if before is None else compare(_known(before, planned), decisions),
        rates=fleet.rates,
        apart=planned.apart,
    )


def _known(before: Mapping[DeploymentKey, Footprint], planned: Planned) -> dict[DeploymentKey, Footprint]:
    """Without those whose spec is refused: what serves goes on as it is."""
    refused = {each.key for each in planned.documents.unsupported}
    return {key: footprint for key, footprint in before.items() if key not in refused}


def _placement(tenant: Tenant, decision: Decision, fleet: FleetSnapshot) -> Placement:
    assignment, load = decision.assignment, load_of(tenant.spec, replicas=tenant.replicas)
    if assignment is None:
        return Placement(tenant, decision, None, Outlook(None, None))
    seen, needed = outlook(assignment.plan, load), _for_load(tenant, assignment.plan, fleet)
    return Placement(tenant, decision, footprint_of(decision), seen, needed if needed > tenant.replicas else 0)


def _for_load(tenant: Tenant, plan: Plan, fleet: FleetSnapshot) -> int:
    """Replicas that the load takes; 0 where nothing can be said."""
    accelerator = next((pool.accelerator for pool in fleet.pools if pool.name == plan.pool), None)
    return (accelerator and replicas_for_load(plan, requirements_of(tenant), accelerator)) or 0


def _deployment(each: Placement) -> dict[str, Any]:
    assignment = each.decision.assignment
    return {
        "namespace": each.tenant.key[0],
        "name": each.tenant.key[1],
        "model": each.tenant.spec.model,
        "replicas": each.tenant.replicas,
        "placedReplicas": each.placed,
        "placed": each.complete,
        "reason": str(each.decision.reason),
        "message": each.decision.message,
        "plan": _plan(assignment.plan, each.placed) | _at_load(each) if assignment else None,
        "expected": expected_data(each.outlook.expected),
        **_token_prices(each.outlook),
        "nodes": list(assignment.nodes) if assignment else [],
        "rejected": [_rejection(rejection) for rejection in each.decision.rejections],
    }


def _plan(plan: Plan, placed: int) -> dict[str, Any]:
    """The price of an hour is that of the replicas that have a place, as in the sums."""
    price, memory = plan.price_per_replica_hour, plan.memory
    return {
        "pool": plan.pool,
        "accelerator": plan.accelerator,
        "engine": str(plan.engine),
        "engineVersion": plan.engine_version,
        "image": plan.image,
        "model": plan.checkpoint.model,
        "revision": plan.checkpoint.revision,
        "precision": str(plan.checkpoint.precision),
        "tensorParallel": plan.tensor_parallel,
        "pipelineParallel": plan.pipeline_parallel,
        "attentionRanks": plan.attention_ranks,
        "expertParallel": plan.expert_parallel,
        "layout": plan.layout,
        "gpusPerReplica": plan.gpus,
        "maxContextTokens": plan.max_context_tokens,
        "maxSequences": plan.max_sequences,
        "maxBatchedTokens": plan.max_batched_tokens,
        "memoryPerGPU": memory_data(memory),
        "kvTokens": memory.kv_tokens,
        "pricePerReplicaHour": str(price) if price else None,
        "pricePerHour": str(price * placed) if price else None,
    }


def _at_load(each: Placement) -> dict[str, Any]:
    """Only where the load takes more replicas than are asked for."""
    price = each.price_at_load
    if not each.replicas_for_load:
        return {}
    return {"replicasForLoad": each.replicas_for_load, "pricePerHourAtLoad": str(price) if price else None}


def memory_data(memory: MemoryPlan) -> dict[str, int]:
    """Bytes of one GPU."""
    return {
        "total": memory.gpu_bytes,
        "utilizationPercent": memory.utilization_percent,
        "weights": memory.weights_bytes,
        "activations": memory.activation_bytes,
        "overhead": memory.overhead_bytes,
        "kvCache": memory.kv_bytes,
    }


def expected_data(expected: Expectation | None) -> dict[str, Any] | None:
    """What one replica does; None where nobody knows."""
    if expected is None:
        return None
    return {
        "concurrency": expected.concurrency,
        "timeToFirstTokenMilliseconds": round(expected.time_to_first_token_milliseconds, _DIGITS),
        "timePerOutputTokenMilliseconds": round(expected.time_per_output_token_milliseconds, _DIGITS),
        "requestsPerSecond": round(expected.requests_per_second, _DIGITS),
        "outputTokensPerSecond": round(expected.output_tokens_per_second, _DIGITS),
    }


def _token_prices(seen: Outlook) -> dict[str, Any]:
    return {
        "pricePerMillionTokens": str(seen.price.all_tokens) if seen.price else None,
        "pricePerMillionOutputTokens": str(seen.price.output_tokens) if seen.price else None,
    }


def _rejection(rejection: Rejection) -> dict[str, Any]:
    return {
        "pool": rejection.pool,
        "engine": str(rejection.engine),
        "precision": str(rejection.precision),
        "tensorParallel": rejection.tensor_parallel,
        "layout": rejection.layout,
        "reason": str(rejection.reason),
        "message": rejection.message,
    }


def _refused(each: NotActedOn, apart: Apart | None) -> dict[str, Any]:
    refusals = [
        {"field": refusal.field, "value": refusal.value, "reason": refusal.reason, "cure": refusal.cure}
        for refusal in each.refusals
    ]
    return {
        "namespace": each.namespace,
        "name": each.name,
        "reason": "NotSupported",
        "refusals": refusals,
        "prefillDecode": apart_data(apart) if apart else None,
    }


def _pool(total: PoolTotal) -> dict[str, Any]:
    return {
        "name": total.pool,
        "accelerator": total.accelerator or None,
        "nodes": total.nodes,
        "gpus": total.gpus,
        "gpusHeldByOthers": total.held,
        "gpusPlanned": total.planned,
        "pricePerGPUHour": str(total.price_per_gpu_hour) if total.price_per_gpu_hour else None,
        "pricePerHour": str(total.price_per_hour) if total.price_per_hour else None,
    }


def _change(change: Change) -> dict[str, Any]:
    return {
        "namespace": change.key[0],
        "name": change.key[1],
        "change": str(change.kind),
        "before": _footprint(change.before),
        "after": _footprint(change.after),
        "why": change.why,
    }


def _footprint(footprint: Footprint | None) -> dict[str, Any] | None:
    if footprint is None:
        return None
    return {
        "pool": footprint.pool,
        "accelerator": footprint.accelerator,
        "engine": str(footprint.engine),
        "precision": str(footprint.precision),
        "tensorParallel": footprint.tensor_parallel,
        "gpusPerReplica": footprint.gpus_per_replica,
        "replicas": footprint.replicas,
        "pricePerHour": str(footprint.price_per_hour) if footprint.price_per_hour else None,
    }
