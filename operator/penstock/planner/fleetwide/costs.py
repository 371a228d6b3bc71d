"""What a move costs, and what growth puts on top of a price: money that is compared, not paid for its own sake."""

from penstock.api.quantities import MICRO
from penstock.planner.plan import Plan

__all__ = ["cold_start_seconds", "growth_penalty", "move_cost"]

_START_SECONDS = 240
"""Image, compilation, graphs and warm-up of a small model (sizing.md 6.3: 294 s with 16 GB of weights on an L40S)."""
_SECONDS_PER_GIGABYTE = 2
"""Weights that are fetched: with the above 9 minutes for 140 GB and 26 for 650 GB (sizing.md 6.3: 15 to 35)."""
_NEW_NODE_SECONDS = 420
"""A node that an autoscaler brings: 3 to 10 minutes (sizing.md 6.3)."""
_HOUR_SECONDS = 3600
_LEAST_PER_GPU = MICRO
"""Where nobody says what a GPU costs, or it costs nothing: a cold start is never for nothing."""


def cold_start_seconds(plan: Plan) -> int:
    """From a pod that has a node to a replica that serves, with nothing cached."""
    return _START_SECONDS + plan.checkpoint.weights_bytes * _SECONDS_PER_GIGABYTE // 10**9


def move_cost(plan: Plan, price_per_hour: int) -> int:
    """Of one replica: it is paid while it starts and does not serve yet, in the units of the price."""
    return (price_per_hour or plan.gpus * _LEAST_PER_GPU) * cold_start_seconds(plan) // _HOUR_SECONDS


def growth_penalty(plan: Plan, price_per_hour: int) -> int:
    """A node has to come first, and is paid meanwhile."""
    return price_per_hour * (_NEW_NODE_SECONDS + cold_start_seconds(plan)) // _HOUR_SECONDS
