"""What stands in the way of demands that are shed."""

from collections.abc import Collection, Mapping

from penstock.planner.allocation.needs import Need, Service
from penstock.planner.allocation.packing import Stock, rooms_of
from penstock.planner.allocation.problem import Problem

__all__ = ["bindings"]


def bindings(
    problem: Problem, needs: tuple[Need, ...], services: Mapping[str, Service], shed: Collection[str]
) -> dict[str, tuple[str, ...]]:
    """By name of what is shed: pools without room for another replica, budgets that do not pay one, its own bounds."""
    stock = Stock(rooms_of(problem), problem.budgets)
    for need in needs:
        for index, count in services[need.demand.name].replicas.items():
            stock.take(need.demand.name, need.demand.options[index], count)
    return {
        need.demand.name: _binding(need, services[need.demand.name], stock)
        for need in needs
        if need.demand.name in shed
    }


def _binding(need: Need, service: Service, stock: Stock) -> tuple[str, ...]:
    demand = need.demand
    if demand.most_replicas is not None and sum(service.replicas.values()) >= demand.most_replicas:
        return ("mostReplicas",)
    able = [option for option in demand.options if not demand.rates or any(option.throughput)]
    pools = {option.pool for option in able if stock.room(option) == 0}
    budgets = {name for option in able for name in stock.empty_budgets(demand.name, option)}
    return (*sorted(pools), *sorted(budgets)) or ("options",)
