"""What a replica is expected to do at the load that is planned for it, and what a million tokens then cost.

A plan that brings its own expectation is taken at its word; for others the model of speed is asked.
"""

from dataclasses import dataclass

from penstock.api.quantities import MICRO, Money
from penstock.catalogue.accelerators import by_name
from penstock.catalogue.models import ModelFacts
from penstock.planner.fleet import Tenant
from penstock.planner.memory import sequences_that_fit
from penstock.planner.plan import Expectation, Plan
from penstock.planner.requirements import Load, Requirements, requirements_of
from penstock.planner.speed import Promise, Replica, Speed, Traffic, capacity, speed

__all__ = ["Outlook", "TokenPrice", "expectation", "outlook", "token_price"]

_SECONDS_PER_HOUR = 3600
_MILLISECONDS = 1000
_SHOWN_MICRO = 100
"""Prices of tokens are estimates: a hundredth of a cent is as fine as they are said."""


@dataclass(frozen=True, slots=True)
class TokenPrice:
    """What a million tokens cost: over prompt and output tokens together, and over output tokens alone."""

    all_tokens: Money
    output_tokens: Money


@dataclass(frozen=True, slots=True)
class Outlook:
    """One replica at its load; None where nothing can be said."""

    expected: Expectation | None
    price: TokenPrice | None


def token_price(price_per_hour: Money, output_tokens_per_second: float, load: Load) -> TokenPrice | None:
    """The hour's price over the hour's tokens, to a hundredth of a cent; None where there are none."""
    if output_tokens_per_second <= 0:
        return None
    whole = output_tokens_per_second * load.request_tokens / load.output_tokens
    return TokenPrice(_per_million(price_per_hour, whole), _per_million(price_per_hour, output_tokens_per_second))


def _per_million(price: Money, tokens_per_second: float) -> Money:
    micro = price.micro * MICRO / (tokens_per_second * _SECONDS_PER_HOUR)
    return Money(price.currency, round(micro / _SHOWN_MICRO) * _SHOWN_MICRO)


def expectation(found: Speed, *, requests_per_second: float, output_tokens: int) -> Expectation:
    """A speed as plans state it, at a request rate that may be below what the speed allows."""
    return Expectation(
        concurrency=found.concurrency,
        time_to_first_token_milliseconds=found.time_to_first_token_seconds * _MILLISECONDS,
        time_per_output_token_milliseconds=found.time_per_output_token_seconds * _MILLISECONDS,
        requests_per_second=requests_per_second,
        output_tokens_per_second=requests_per_second * output_tokens,
    )


def outlook(tenant: Tenant, plan: Plan) -> Outlook:
    """What one replica of the deployment does at its load; nothing is said where its checkpoint is not known."""
    wants = requirements_of(tenant)
    facts = next((known.facts for known in wants.known if known.checkpoint == plan.checkpoint), None)
    expected = plan.expected or (_expected(plan, facts, wants) if facts else None)
    price = plan.price_per_replica_hour
    if expected is None or price is None:
        return Outlook(expected, None)
    return Outlook(expected, token_price(price, expected.output_tokens_per_second, wants.load))


def _expected(plan: Plan, facts: ModelFacts, wants: Requirements) -> Expectation | None:
    """At the stated concurrency, else at what the replica carries within the promise; None where it keeps none."""
    load, replica = wants.load, _replica(plan, facts)
    traffic = Traffic(load.prompt_tokens, load.output_tokens)
    most = max(1, min(plan.max_sequences, sequences_that_fit(plan.memory, tokens=load.request_tokens)))
    if load.concurrency is not None:
        found = speed(replica, traffic, min(load.concurrency, most))
        return expectation(found, requests_per_second=found.requests_per_second, output_tokens=load.output_tokens)
    promise = Promise(wants.time_to_first_token_seconds, wants.time_per_output_token_seconds)
    carried = capacity(replica, traffic, promise, most_concurrent=most)
    if carried is None:
        return None
    rate = carried.requests_per_second
    return expectation(carried.speed, requests_per_second=rate, output_tokens=load.output_tokens)


def _replica(plan: Plan, facts: ModelFacts) -> Replica:
    """The plan as the model of speed reads it."""
    return Replica(
        facts=facts,
        accelerator=by_name(plan.accelerator),
        engine=plan.engine,
        engine_version=plan.engine_version,
        tensor_parallel=plan.tensor_parallel,
        pipeline_parallel=plan.pipeline_parallel,
        expert_parallel=plan.expert_parallel,
        attention_ranks=plan.attention_ranks,
        kv_cache_dtype=plan.kv_cache_dtype,
        max_batched_tokens=plan.max_batched_tokens,
    )
