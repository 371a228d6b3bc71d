"""What is refused at the door, by the name of the field."""

import pytest

from builders.allocations import budget, demand, option, problem, supply
from penstock.api.refusals import Refused
from penstock.planner.allocation.problem import Problem
from penstock.planner.allocation.solve import solve

POOL = supply("a", 8)
SERVES = option("a", 1, 10, 1.0)
REFUSED: dict[str, Problem] = {
    "demands[m].rates[0]": problem([demand("m", SERVES, rates=(-1.0,))], [POOL]),
    "demands[n].rates[0]": problem([demand("n", SERVES, rates=(1e12,))], [POOL]),
    "demands[o].rates[0]": problem([demand("o", SERVES, rates=(float("nan"),))], [POOL]),
    "demands[m].options[0].throughput[0]": problem(
        [demand("m", option("a", 1, 10, float("inf")), rates=(1.0,))], [POOL]
    ),
    "demands[m].options[0].throughput": problem([demand("m", SERVES, rates=(1.0, 1.0))], [POOL]),
    "demands[m].options[0].gpus": problem([demand("m", option("a", 0))], [POOL]),
    "demands[m].options[0].cost": problem([demand("m", option("a", 1, -1))], [POOL]),
    "demands[m].options[0].penalty": problem([demand("m", option("a", penalty=-1))], [POOL]),
    "demands[m].options[0].pool": problem([demand("m", option("gone"))], [POOL]),
    "demands[m].replicas": problem([demand("m", SERVES, replicas=-1)], [POOL]),
    "demands[n].replicas": problem([demand("n", SERVES, replicas=2, rates=(1.0,))], [POOL]),
    "demands[o].replicas": problem([demand("o", SERVES, replicas=2, most_replicas=1)], [POOL]),
    "demands[m].mostReplicas": problem([demand("m", SERVES, fewest_replicas=2, most_replicas=1)], [POOL]),
    "demands[m].churn": problem([demand("m", SERVES, churn=-1)], [POOL]),
    "demands[m].running": problem([demand("m", SERVES, running={1: 1})], [POOL]),
    "demands[m].running[0]": problem([demand("m", SERVES, running={0: -1})], [POOL]),
    "demands": problem([demand("m", SERVES), demand("m", SERVES)], [POOL]),
    "supplies": problem([demand("m", SERVES)], [POOL, POOL]),
    "supplies[a].free": problem([demand("m", SERVES)], [supply("a", 16)]),
    "supplies[a].nodeGpus": problem([demand("m", SERVES)], [supply("a", 0, node_gpus=0)]),
    "budgets": problem([demand("m", SERVES)], [POOL], budget("b", 1, "m"), budget("b", 2, "m")),
    "budgets[b].limit": problem([demand("m", SERVES)], [POOL], budget("b", -1, "m")),
    "budgets[b].demands": problem([demand("m", SERVES)], [POOL], budget("b", 1, "gone")),
}


@pytest.mark.parametrize("field", REFUSED)
def test_refused(field: str) -> None:
    with pytest.raises(Refused) as caught:
        solve(REFUSED[field])
    refusal = caught.value.refusals[0]
    assert refusal.field == field
    assert refusal.value
    assert refusal.reason
    assert refusal.cure
