"""Every answer checked anew in whole numbers before anybody acts on it."""

from collections.abc import Iterator, Mapping

from penstock.planner.allocation.packing import Stock, rooms_of
from penstock.planner.allocation.problem import Allocation, Demand, Problem

__all__ = ["shed_of", "violations"]

# Shares come from floating point; throughputs carry a reserve that is larger by orders of magnitude.
_TOLERANCE = 1e-6
_WHOLE = 1e-4


def violations(problem: Problem, allocation: Allocation) -> tuple[str, ...]:
    """What the allocation breaks, in words; empty where it holds everything that the problem asks."""
    stock = Stock(rooms_of(problem), problem.budgets)
    found: list[str] = []
    for demand in sorted(problem.demands, key=lambda each: each.name):
        replicas = allocation.replicas.get(demand.name, {})
        for index, count in replicas.items():
            stock.take(demand.name, demand.options[index], count)
        found += (f"{demand.name}: {what}" for what in (*_counts(demand, allocation), *_service(demand, allocation)))
    return (*found, *(f"{name} is overdrawn" for name in stock.overdrawn()))


def _counts(demand: Demand, allocation: Allocation) -> Iterator[str]:
    replicas = allocation.replicas.get(demand.name, {})
    total = sum(replicas.values())
    if any(count < 1 for count in replicas.values()):
        yield "an option is listed that is not used"
    if demand.one_option and len(replicas) > 1:
        yield f"{len(replicas)} options are used, one may be"
    if demand.most_replicas is not None and total > demand.most_replicas:
        yield f"{total} replicas, {demand.most_replicas} may be"
    if demand.replicas is not None and total > demand.replicas:
        yield f"{total} replicas, {demand.replicas} are asked for"


def _service(demand: Demand, allocation: Allocation) -> Iterator[str]:
    """Replicas carry the shares that they are said to serve, and nothing is shed that is not said to be."""
    replicas = allocation.replicas.get(demand.name, {})
    shares = allocation.shares.get(demand.name, {})
    for index, served in shares.items():
        if _load(demand, index, served) > replicas.get(index, 0) * (1 + _TOLERANCE):
            yield f"{replicas.get(index, 0)} replicas of option {index} cannot carry their share"
        if demand.slices and any(
            abs(share * demand.slices - round(share * demand.slices)) > _WHOLE for share in served
        ):
            yield f"option {index} serves a part of a slice"
    if any(sum(served[bucket] for served in shares.values()) > 1 + _TOLERANCE for bucket in range(len(demand.rates))):
        yield "more is served than is asked for"
    shed, said = shed_of(demand, replicas, shares), allocation.shed.get(demand.name, 0.0)
    if shed > said + _TOLERANCE:
        yield f"{shed:.6f} of it is shed, and {said:.6f} is said to be"


def _load(demand: Demand, index: int, served: tuple[float, ...]) -> float:
    """Replicas that the shares keep busy."""
    throughput = demand.options[index].throughput
    total = 0.0
    for bucket, share in enumerate(served):
        if share > 0 and demand.rates[bucket] > 0:
            total += share * demand.rates[bucket] / throughput[bucket] if throughput[bucket] > 0 else float("inf")
    return total


def shed_of(demand: Demand, replicas: Mapping[int, int], shares: Mapping[int, tuple[float, ...]]) -> float:
    """The share of the demand's rate that nobody serves, or of its replicas that are missing: the greater one."""
    total = sum(demand.rates)
    served = sum(
        rate * sum(each[bucket] for each in shares.values()) / total
        for bucket, rate in enumerate(demand.rates)
        if total
    )
    wanted = demand.fewest_replicas if demand.replicas is None else demand.replicas
    missing = max(0, wanted - sum(replicas.values())) / wanted if wanted else 0.0
    return max(1.0 - served if total else 0.0, missing)
