"""Allocation problems that say only what matters in a test."""

from penstock.planner.allocation.problem import Budget, Demand, Option, Problem, Supply

__all__ = ["budget", "demand", "option", "problem", "supply"]


def option(
    pool: str = "a", gpus: int = 1, cost: int = 10, *throughput: float, rank: int = 0, penalty: int = 0
) -> Option:
    """A replica in pool a on one GPU, for 10 an hour."""
    return Option(pool, gpus, cost, throughput, rank, penalty)


def demand(name: str, *options: Option, **fields: object) -> Demand:
    """One replica of any of the options, unless rates or replicas are given."""
    if "rates" not in fields and "replicas" not in fields and "fewest_replicas" not in fields:
        fields["replicas"] = 1
    return Demand(name, options, **fields)  # type: ignore[arg-type]


def supply(pool: str = "a", *free: int, node_gpus: int = 8, unpacked: bool = False) -> Supply:
    """Nodes of 8 GPUs, with so many free."""
    return Supply(pool, free, node_gpus, unpacked)


def budget(name: str, limit: int, *demands: str) -> Budget:
    """So much an hour for these demands."""
    return Budget(name, limit, frozenset(demands))


def problem(demands: list[Demand], supplies: list[Supply], *budgets: Budget) -> Problem:
    """All of it."""
    return Problem(tuple(demands), tuple(supplies), budgets)
