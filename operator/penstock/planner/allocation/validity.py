"""Problems that cannot be meant, refused at the door: which field, which value, why, and what would do."""

import math
from collections.abc import Iterable, Iterator

from penstock.api.refusals import Refusal, Refused
from penstock.planner.allocation.problem import Demand, Option, Problem, Supply

__all__ = ["validate"]

# Beyond these a number is a slip, and floating point would no longer tell one replica from the next.
_MOST_RATE = 1e9
_MOST_COST = 10**15
_MOST_COUNT = 10**6


def validate(problem: Problem) -> None:
    """Raise Refused with everything that is wrong."""
    refusals = tuple(_refusals(problem))
    if refusals:
        raise Refused(refusals)


def _refusals(problem: Problem) -> Iterator[Refusal]:
    yield from _twice("demands", (each.name for each in problem.demands))
    yield from _twice("supplies", (each.pool for each in problem.supplies))
    yield from _twice("budgets", (each.name for each in problem.budgets))
    pools, names = {each.pool for each in problem.supplies}, {each.name for each in problem.demands}
    for demand in problem.demands:
        yield from _of_demand(demand, pools)
    for supply in problem.supplies:
        yield from _of_supply(supply)
    for budget in problem.budgets:
        field = f"budgets[{budget.name}]"
        yield from _whole(f"{field}.limit", budget.limit, _MOST_COST)
        for unknown in sorted(budget.demands - names):
            yield Refusal(f"{field}.demands", unknown, "no demand has this name", "Name demands of the problem")


def _twice(field: str, names: Iterable[str]) -> Iterator[Refusal]:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            yield Refusal(field, name, "the name is there twice", "Give each its own name")
        seen.add(name)


def _of_demand(demand: Demand, pools: set[str]) -> Iterator[Refusal]:
    field = f"demands[{demand.name}]"
    for index, rate in enumerate(demand.rates):
        yield from _rate(f"{field}.rates[{index}]", rate)
    yield from _of_counts(demand, field)
    yield from _whole(f"{field}.churn", demand.churn, _MOST_COST)
    yield from _whole(f"{field}.slices", demand.slices, _MOST_COUNT)
    for index, option in enumerate(demand.options):
        yield from _of_option(option, f"{field}.options[{index}]", demand, pools)
    for index, count in sorted(demand.running.items()):
        if not 0 <= index < len(demand.options):
            yield Refusal(f"{field}.running", str(index), "no option has this index", "Count by index of `options`")
        yield from _whole(f"{field}.running[{index}]", count, _MOST_COUNT)


def _of_counts(demand: Demand, field: str) -> Iterator[Refusal]:
    yield from _whole(f"{field}.fewestReplicas", demand.fewest_replicas, _MOST_COUNT)
    most = demand.most_replicas
    if most is not None:
        yield from _whole(f"{field}.mostReplicas", most, _MOST_COUNT)
        if most < demand.fewest_replicas:
            yield Refusal(f"{field}.mostReplicas", str(most), "it is less than the fewest replicas", "Raise it")
    if demand.replicas is None:
        return
    yield from _whole(f"{field}.replicas", demand.replicas, _MOST_COUNT)
    if any(demand.rates):
        yield Refusal(f"{field}.replicas", str(demand.replicas), "rates decide on replicas", "State one of the two")
    if not demand.fewest_replicas <= demand.replicas <= (demand.replicas if most is None else most):
        reason = "it lies outside the fewest and the most replicas"
        yield Refusal(f"{field}.replicas", str(demand.replicas), reason, "State only `replicas`")


def _of_option(option: Option, field: str, demand: Demand, pools: set[str]) -> Iterator[Refusal]:
    if option.pool not in pools:
        yield Refusal(f"{field}.pool", option.pool, "no supply has this pool", "Name a pool of the supplies")
    if option.gpus < 1:
        yield Refusal(f"{field}.gpus", str(option.gpus), "a replica needs a GPU", "State 1 or more")
    yield from _whole(f"{field}.cost", option.cost, _MOST_COST)
    yield from _whole(f"{field}.penalty", option.penalty, _MOST_COST)
    for index, throughput in enumerate(option.throughput):
        yield from _rate(f"{field}.throughput[{index}]", throughput)
    if any(demand.rates) and len(option.throughput) != len(demand.rates):
        reason = f"the demand has {len(demand.rates)} buckets"
        yield Refusal(f"{field}.throughput", str(len(option.throughput)), reason, "State one throughput per bucket")


def _of_supply(supply: Supply) -> Iterator[Refusal]:
    field = f"supplies[{supply.pool}]"
    if supply.node_gpus < 1:
        yield Refusal(f"{field}.nodeGpus", str(supply.node_gpus), "a node has GPUs", "State 1 or more")
    if not supply.unpacked and any(free > supply.node_gpus for free in supply.free):
        reason = f"the pool's nodes have {supply.node_gpus} GPUs"
        yield Refusal(f"{field}.free", str(max(supply.free)), reason, "Set `node_gpus` to the largest node's")


def _rate(field: str, value: float) -> Iterator[Refusal]:
    if not math.isfinite(value):
        yield Refusal(field, str(value), "it is not a number", "State requests per second")
    elif value < 0:
        yield Refusal(field, str(value), "a rate is never negative", "State 0 or more requests per second")
    elif value > _MOST_RATE:
        yield Refusal(field, str(value), f"nothing serves more than {_MOST_RATE:.0e} per second", "Check the unit")


def _whole(field: str, value: int, most: int) -> Iterator[Refusal]:
    if value < 0:
        yield Refusal(field, str(value), "it is negative", "State 0 or more")
    elif value > most:
        yield Refusal(field, str(value), f"it is more than {most}", "Check the unit")
