"""What a replica is expected to do at the planned load, what its tokens cost, and how many replicas the load takes."""

from dataclasses import dataclass

from penstock.api.quantities import MICRO, Money
from penstock.catalogue.accelerators import Accelerator
from penstock.planner.fitting import Fit, FitQuestion, Way, fit
from penstock.planner.plan import Expectation, Plan
from penstock.planner.requirements import Load, Requirements

__all__ = ["Outlook", "TokenPrice", "outlook", "replicas_for_load", "token_price"]

_SECONDS_PER_HOUR = 3600
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


def outlook(plan: Plan, load: Load) -> Outlook:
    """What one replica is expected to do, and its tokens' price; None where the plan does not say."""
    expected, price = plan.expected, plan.price_per_replica_hour
    if expected is None or price is None:
        return Outlook(expected, None)
    return Outlook(expected, token_price(price, expected.output_tokens_per_second, load))


def replicas_for_load(plan: Plan, wants: Requirements, accelerator: Accelerator) -> int | None:
    """How many such replicas the stated load takes, judged anew: a plan is of one, and says nothing of others.

    None where nobody states a load, or where as many as there may be would not carry it.
    """
    facts = next((each.facts for each in wants.known if each.checkpoint == plan.checkpoint), None)
    if facts is None or not wants.load.known:
        return None
    found = fit(
        FitQuestion(
            facts=facts,
            accelerator=accelerator,
            engine=plan.engine,
            engine_version=plan.engine_version,
            way=Way.of(plan),
            node_gpus=plan.gpus,
            load=wants.load,
            promise=wants.promise,
            kv_cache_dtype=plan.kv_cache_dtype,
            correction=plan.speed_correction,
        )
    )
    return found.judgement.replicas if isinstance(found, Fit) else None
