"""`placement_seconds_MODELSxPOOLS`: a whole fleet allocated at once, with replicas of it running already.

Pools are of six kinds of accelerator, which differ in speed, by a third in which bucket of request sizes they serve
best, and by a tenth from model to model; prices differ by seller. Every model may run in every pool, on 1 to 8 GPUs of
nodes of 8. It runs today in one pool, sized for a rate 30 % off at most, and each replica that comes or goes costs 0.3
of its price for an hour. All together need about 80 % of the GPUs. The seed decides everything.
"""

import random
import resource
import time
from dataclasses import dataclass

from bench.figures import figure
from penstock.planner.allocation.problem import Demand, Option, Problem, Supply
from penstock.planner.allocation.solve import solve

__all__ = ["fleet", "run"]

_NODE_GPUS = 8
_LOAD = 0.8
_MICRO = 10**6
_SPEEDS = (0.3, 0.6, 1.0, 1.5, 2.2, 1.2)
_SMALL = 0.5


def run(models: int, pools: int, buckets: int, *, gap: float, seconds: float, seed: int) -> None:
    """Allocate one fleet."""
    problem = fleet(models, pools, buckets, random.Random(seed))
    # The library loads once per process and is not what is measured.
    solve(fleet(2, 2, 1, random.Random(seed)))
    started, processor = time.perf_counter(), time.process_time()
    found = solve(problem, time_limit_seconds=seconds, gap=gap)
    figure(
        f"placement_seconds_{models}x{pools}" + (f"_buckets{buckets}" if buckets > 1 else ""),
        time.perf_counter() - started,
        "s",
        cpu_seconds=round(time.process_time() - processor, 3),
        gap=round(found.gap, 6),
        proved=found.proved,
        cost_per_hour=round(found.cost / _MICRO, 2),
        shed=len(found.shed),
        peak_memory_mib=round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
        buckets=buckets,
        seed=seed,
    )


@dataclass(frozen=True, slots=True)
class _Pool:
    """One pool: throughput by bucket relative to the mean, GPUs relative to the model's fewest, price of a GPU."""

    name: str
    speeds: tuple[float, ...]
    factor: int
    price: int


def fleet(models: int, pools: int, buckets: int, chance: random.Random) -> Problem:
    """The models' demands and the pools' nodes."""
    kinds = [(speed, [chance.uniform(0.75, 1.33) for _ in range(buckets)]) for speed in _SPEEDS]
    market = [_pool(f"pool-{index}", *kinds[index % len(kinds)], chance) for index in range(pools)]
    demands = tuple(_demand(f"model-{index}", market, chance) for index in range(models))
    used = sum(demand.options[index].gpus * count for demand in demands for index, count in demand.running.items())
    nodes = used / _LOAD / pools / _NODE_GPUS
    shapes = [(_NODE_GPUS,) * max(1, round(nodes * chance.uniform(0.6, 1.4))) for _ in market]
    return Problem(demands, tuple(Supply(pool.name, free) for pool, free in zip(market, shapes, strict=True)))


def _pool(name: str, speed: float, buckets: list[float], chance: random.Random) -> _Pool:
    price = round(_MICRO * speed * chance.uniform(1.6, 3.0))
    return _Pool(name, tuple(speed * bucket for bucket in buckets), 2 if speed < _SMALL else 1, price)


def _demand(name: str, market: list[_Pool], chance: random.Random) -> Demand:
    fewest = chance.choice((1, 1, 2, 4, 8))
    base = chance.uniform(0.5, 4)
    rate = base * chance.lognormvariate(1.0, 1.0)
    mix = [chance.uniform(0.2, 1) for _ in market[0].speeds]
    rates = tuple(rate * share / sum(mix) for share in mix)
    options = tuple(_option(pool, fewest, base, chance) for pool in market)
    today = chance.randrange(len(options))
    needed = sum(rate / throughput for rate, throughput in zip(rates, options[today].throughput, strict=True))
    running = max(1, round(needed * chance.uniform(0.7, 1.3)))
    churn = round(options[today].cost * 0.3)
    return Demand(name, options, rates, running={today: running}, churn=churn)


def _option(pool: _Pool, fewest: int, base: float, chance: random.Random) -> Option:
    gpus = min(_NODE_GPUS, fewest * pool.factor)
    scale = base * (gpus / fewest) ** 0.9
    throughput = tuple(scale * speed * chance.uniform(0.9, 1.1) for speed in pool.speeds)
    return Option(pool.name, gpus, pool.price * gpus, throughput)
