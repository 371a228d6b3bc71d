"""What a replica is expected to do, and what its tokens cost: definitions that users pay by."""

from dataclasses import replace

import pytest

from builders.fleet import place_one, pool, tenant
from penstock.api.quantities import Money
from penstock.catalogue.accelerators import by_name
from penstock.planner.fleet import Tenant
from penstock.planner.outlook import Outlook, outlook, replicas_for_load, token_price
from penstock.planner.plan import Expectation, Plan
from penstock.planner.requirements import Load, requirements_of

LOAD = Load(None, prompt_tokens=900, output_tokens=100, stated=True, total_concurrency=8)
STATED = Expectation(8, 100.0, 20.0, requests_per_second=4.0, output_tokens_per_second=400.0)


def planned(asks: Tenant, price: str | None = "3.60") -> Plan:
    assignment = place_one([pool("p", price=price)], asks).assignment
    assert assignment is not None
    return assignment.plan


def test_a_million_tokens_cost_the_hour_over_the_hours_tokens() -> None:
    found = token_price(Money.parse("3.60", "USD"), 100.0, LOAD)
    assert found is not None
    # 100 answer tokens and 900 prompt tokens a second are 3.6 million tokens an hour.
    assert found.all_tokens == Money.parse("1", "USD")
    assert found.output_tokens == Money.parse("10", "USD")


def test_no_tokens_have_no_price() -> None:
    assert token_price(Money.parse("3.60", "USD"), 0.0, LOAD) is None


def test_what_the_plan_says_is_taken_at_its_word() -> None:
    asks = tenant(spec={"model": "org/small", "workload": {"promptTokens": 900, "outputTokens": 100}})
    found = outlook(replace(planned(asks), expected=STATED), requirements_of(asks).load)
    assert found.expected is STATED
    assert found.price == token_price(Money.parse("3.60", "USD"), 400.0, requirements_of(asks).load)


def test_without_a_price_there_is_no_price_per_token() -> None:
    asks = tenant(spec={"model": "org/small"})
    found = outlook(planned(asks, price=None), requirements_of(asks).load)
    assert found.expected is not None
    assert found.price is None


def test_a_plan_that_expects_nothing_promises_no_price() -> None:
    asks = tenant(spec={"model": "org/small"})
    assert outlook(replace(planned(asks), expected=None), requirements_of(asks).load) == Outlook(None, None)


SCALING = {"minReplicas": 1, "maxReplicas": 50}
ACCELERATOR = by_name("H100-SXM-80GB")


def test_the_load_takes_as_many_replicas_as_share_it() -> None:
    asks = tenant(spec={"model": "org/small", "workload": {"requestsPerSecond": "60"}, "scaling": SCALING})
    plan = planned(asks)
    needed = replicas_for_load(plan, requirements_of(asks), ACCELERATOR)
    assert needed is not None
    assert needed > 1
    assert plan.expected is not None
    assert plan.expected.requests_per_second == pytest.approx(60 / needed)


@pytest.mark.parametrize("workload", [{}, {"requestsPerSecond": "100000"}])
def test_of_a_load_that_nobody_states_or_carries_no_number_is_said(workload: dict[str, str]) -> None:
    plan = planned(tenant(spec={"model": "org/small"}))
    asks = tenant(spec={"model": "org/small", "workload": workload, "scaling": SCALING})
    assert replicas_for_load(plan, requirements_of(asks), ACCELERATOR) is None
