"""The allocation problem: demands, the options that each may be served by, and the supplies that bound them.

Costs are integer micro-units of one currency per hour; rates and throughputs are requests per second. Nothing here
knows models, GPUs' names or Kubernetes: an option is a pool, a size and a price.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

__all__ = ["Allocation", "Budget", "Demand", "Option", "Problem", "Supply"]


@dataclass(frozen=True, slots=True)
class Option:
    """One way to serve a demand: replicas of `gpus` GPUs each in `pool`.

    `cost` is what a replica costs for an hour. `throughput` is the greatest request rate of one replica by bucket, for
    that bucket alone (0: it cannot serve the bucket); empty where the demand states its replicas instead of rates.
    `rank` is the user's order of preference (0 first): a lower rank wins at any price. `penalty` is added to the cost
    when options are compared (interruptions of spot capacity, growth that takes time), and is not money.
    """

    pool: str
    gpus: int
    cost: int
    throughput: tuple[float, ...] = ()
    rank: int = 0
    penalty: int = 0


@dataclass(frozen=True, slots=True)
class Demand:
    """What one deployment asks.

    Either `rates` (requests per second by bucket; replicas follow from the options' throughput) or `replicas`.
    `one_option`: all of its replicas must use the same option, as a deployment with one plan does. `running` counts the
    replicas that serve now by index of `options`: the churn term is paid for each that goes or comes, in the costs'
    unit. `priority`: greater is served first where not everything fits; of equals, as much of them as possible.
    `slices`: each bucket's rate is cut into as many equal parts, and a part never goes to two options (0: any share
    may). Spreading over zones is left to whoever picks the nodes.
    """

    name: str
    options: tuple[Option, ...]
    rates: tuple[float, ...] = ()
    replicas: int | None = None
    fewest_replicas: int = 0
    most_replicas: int | None = None
    one_option: bool = False
    priority: int = 0
    running: Mapping[int, int] = field(default_factory=dict)
    churn: int = 0
    slices: int = 0


@dataclass(frozen=True, slots=True)
class Supply:
    """One pool: the free GPUs of each of its nodes (those of running replicas that may move counted as free).

    A replica of at most a node's size stands on one node; a larger one takes whole nodes of `node_gpus` GPUs. No node
    has more than `node_gpus`; one with less than nothing free, as after GPUs were lost, has none free. `unpacked`: the
    GPUs are one number and nodes do not matter (the entries of `free` are added up).
    """

    pool: str
    free: tuple[int, ...]
    node_gpus: int = 8
    unpacked: bool = False


@dataclass(frozen=True, slots=True)
class Budget:
    """The most that the named demands together may cost for an hour, in micro-units."""

    name: str
    limit: int
    demands: frozenset[str]


@dataclass(frozen=True, slots=True)
class Problem:
    """Everything that is decided at once. The answer does not depend on the order of demands, supplies or budgets."""

    demands: tuple[Demand, ...]
    supplies: tuple[Supply, ...]
    budgets: tuple[Budget, ...] = ()


@dataclass(frozen=True, slots=True)
class Allocation:
    """The answer.

    `replicas`: by demand, replicas by index of its options (only those that are used). `shares`: by demand, what each
    of those options serves of every bucket (empty where the demand states no rates). `shed`: by demand, the share
    (0 to 1] of its rates or replicas that found no place, with what binds in `binding`: names of pools and budgets,
    `mostReplicas`, or `options` where none of its options can serve it anywhere.
    `cost` is micro-units per hour without penalties and churn, `bound` what no allocation of the same service can
    undercut (equal to `cost` plus penalties and churn where `proved`), `gap` their relative distance.
    """

    replicas: Mapping[str, Mapping[int, int]]
    shed: Mapping[str, float]
    binding: Mapping[str, tuple[str, ...]]
    cost: int
    bound: int
    gap: float
    proved: bool
    shares: Mapping[str, Mapping[int, tuple[float, ...]]] = field(default_factory=dict)
