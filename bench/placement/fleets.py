"""`placement_seconds_MODELSxPOOLS`: a whole fleet allocated at once, with replicas of it running already.

Every model may run in every pool, on 1 to 8 GPUs of nodes of 8; its rate falls into three buckets of request sizes, on
which pools differ. A model runs today in one pool, sized for a rate 30 % off at most, and each replica that comes or
goes costs 0.3 of its price for an hour. All together need about 80 % of the GPUs. The seed decides everything.
"""

import random
import resource
import time

from bench.figures import figure

from penstock.planner.allocation.problem import Demand, Option, Problem, Supply
from penstock.planner.allocation.solve import solve

__all__ = ["fleet", "run"]

_BUCKETS = 3
_NODE_GPUS = 8
_LOAD = 0.8
_MICRO = 10**6


def run(models: int, pools: int, *, gap: float, seconds: float, seed: int) -> None:
    """Allocate one fleet."""
    problem = fleet(models, pools, random.Random(seed))
    # The library loads once per process and is not what is measured.
    solve(fleet(2, 2, random.Random(seed)))
    started, processor = time.perf_counter(), time.process_time()
    found = solve(problem, time_limit_seconds=seconds, gap=gap)
    figure(
        f"placement_seconds_{models}x{pools}",
        time.perf_counter() - started,
        "s",
        cpu_seconds=round(time.process_time() - processor, 3),
        gap=round(found.gap, 6),
        proved=found.proved,
        cost_per_hour=round(found.cost / _MICRO, 2),
        shed=len(found.shed),
        peak_memory_mib=round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
        seed=seed,
    )


def fleet(models: int, pools: int, chance: random.Random) -> Problem:
    """The models' demands and the pools' nodes."""
    speeds = [chance.choice((0.3, 0.6, 1.0, 1.5, 2.2)) for _ in range(pools)]
    prices = [round(_MICRO * speed * chance.uniform(1.6, 3.0)) for speed in speeds]
    demands = tuple(_demand(f"model-{index}", speeds, prices, chance) for index in range(models))
    used = sum(demand.options[index].gpus * count for demand in demands for index, count in demand.running.items())
    nodes = used / _LOAD / pools / _NODE_GPUS
    shapes = [(_NODE_GPUS,) * max(1, round(nodes * chance.uniform(0.6, 1.4))) for _ in range(pools)]
    return Problem(demands, tuple(Supply(f"pool-{index}", free) for index, free in enumerate(shapes)))


def _demand(name: str, speeds: list[float], prices: list[int], chance: random.Random) -> Demand:
    smallest = chance.choice((1, 1, 2, 4, 8))
    base = chance.uniform(0.5, 4)
    rate = base * chance.lognormvariate(1.0, 1.0)
    mix = [chance.uniform(0.2, 1) for _ in range(_BUCKETS)]
    rates = tuple(rate * share / sum(mix) for share in mix)
    sizes = [min(_NODE_GPUS, smallest * (2 if speed < 0.5 else 1)) for speed in speeds]
    options = tuple(
        _option(pool, gpus, base * speed * (gpus / smallest) ** 0.9, price, chance)
        for pool, (gpus, speed, price) in enumerate(zip(sizes, speeds, prices, strict=True))
    )
    today = chance.randrange(len(options))
    needed = sum(rate / throughput for rate, throughput in zip(rates, options[today].throughput, strict=True))
    running = max(1, round(needed * chance.uniform(0.7, 1.3)))
    churn = round(options[today].cost * 0.3)
    return Demand(name, options, rates, running={today: running}, churn=churn)


def _option(pool: int, gpus: int, throughput: float, price: int, chance: random.Random) -> Option:
    per_bucket = tuple(throughput * chance.uniform(0.6, 1.4) for _ in range(_BUCKETS))
    return Option(f"pool-{pool}", gpus, price * gpus, per_bucket)
