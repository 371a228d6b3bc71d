"""Seconds of steps and prompts from amounts and fitted constants.

Arithmetic operators only, no branches: the fit runs these same lines over arrays of measured rows.
"""

from dataclasses import dataclass

from penstock.catalogue.roofline import Tuning
from penstock.planner.speed.amounts import Amounts

__all__ = ["Unloaded", "first_token_seconds", "interference_seconds", "step_seconds", "unloaded_seconds"]

_FEW = 9
"""Requests beyond which about as many steps pass before a first token as ever do. With it, and `steps_before` below
ten, time to the first token grows less than in proportion to the load: throughput never falls."""
_OVERLAP = 3
"""Memory traffic and arithmetic overlap: a step takes their 3-norm, near the greater of the two."""


@dataclass(frozen=True, slots=True)
class Unloaded:
    """Seconds that no load changes: the whole prompt of one request, nothing else running, and the start of a step."""

    prefill: float
    launch: float


def unloaded_seconds(amounts: Amounts, tuning: Tuning) -> Unloaded:
    """Worked out once for all loads."""
    return Unloaded(_prefill_seconds(amounts, tuning), _launch_seconds(amounts, tuning))


def step_seconds(amounts: Amounts, tuning: Tuning, unloaded: Unloaded, running: float) -> float:
    """One token for each of `running` requests, no prompt in between; pipeline stages work on their share in turn."""
    batch = (running + amounts.stages - 1) / amounts.stages
    tokens = batch * amounts.tokens_checked
    reading = _reading_seconds(amounts, tuning, batch, tokens)
    operations = (amounts.dense_operations + amounts.expert_operations) * tokens
    computing = operations / (amounts.peak_per_second * tuning.decode_arithmetic * tuning.arithmetic)
    moving = tokens / amounts.ranks * amounts.link_seconds / tuning.link_efficiency
    overlapped: float = (reading**_OVERLAP + computing**_OVERLAP) ** (1 / _OVERLAP)
    return overlapped + moving + unloaded.launch + tuning.step + batch * tuning.request


def _prefill_seconds(amounts: Amounts, tuning: Tuning) -> float:
    """Each pass of a prompt in pieces starts all layers."""
    peak = amounts.peak_per_second * tuning.arithmetic
    dense = amounts.dense_operations / (peak * tuning.prefill_arithmetic)
    experts = amounts.expert_operations / (peak * tuning.expert_prefill_arithmetic)
    moving = amounts.link_seconds / tuning.link_efficiency + _activation_seconds(amounts, tuning) / amounts.ranks
    attention = amounts.attention_operations / (amounts.plain_peak_per_second * tuning.attention_arithmetic)
    started = amounts.prompt_passes * amounts.layers * tuning.prefill_layer
    return amounts.prompt_tokens * (dense + experts + moving) + attention + started


def interference_seconds(amounts: Amounts, tuning: Tuning, unloaded: Unloaded, running: float) -> float:
    """What prompts of requests that follow others take from each step: one prompt per request and its output tokens."""
    steps = amounts.output_tokens / amounts.tokens_per_step
    return running / steps * unloaded.prefill / amounts.stages * tuning.interference


def first_token_seconds(
    tuning: Tuning, unloaded: Unloaded, running: float, *, step: float, interference: float
) -> float:
    """Admission, a step of its own and those of others, the own prompt, and prompts of others that stand before it.

    `step` is a whole one, with the `interference` of others' prompts.
    Others stand before it because requests start in waves, and because prompts fill a share of all time.
    """
    before = tuning.own_prompt + tuning.wave * (running - 1) + tuning.queue * (interference / step)
    steps = tuning.steps_before * (running - 1) / (running + _FEW)
    return tuning.admission + step + steps * (unloaded.launch + tuning.step) + unloaded.prefill * before


def _reading_seconds(amounts: Amounts, tuning: Tuning, batch: float, tokens: float) -> float:
    touched: float = 1 - amounts.expert_missed ** (tokens**tuning.routing)
    weights = amounts.dense_bytes / tuning.weights_efficiency
    experts = amounts.expert_bytes * touched / tuning.experts_efficiency
    cache = batch / amounts.ranks * amounts.cache_bytes / tuning.cache_efficiency
    activations = tokens / amounts.ranks * _activation_seconds(amounts, tuning)
    return (weights + experts + cache) / amounts.bytes_per_second + activations


def _activation_seconds(amounts: Amounts, tuning: Tuning) -> float:
    """One token's activations through memory."""
    moved = amounts.activations * tuning.activation + amounts.routed_activations * tuning.routed_activation
    return moved / amounts.bytes_per_second


def _launch_seconds(amounts: Amounts, tuning: Tuning) -> float:
    """Kernels and collectives start one after another in each layer, however little they do."""
    launched = (amounts.layers * tuning.layer + amounts.expert_layers * tuning.expert_layer) * tuning.launch
    kinds = (
        amounts.linear_layers * tuning.linear_layer
        + amounts.latent_layers * tuning.latent_layer
        + amounts.sparse_layers * tuning.sparse_layer
        + amounts.spread_expert_layers * tuning.expert_parallel_layer
    )
    return launched + kinds + amounts.linked_layers * (tuning.all_reduce + tuning.all_reduce_per_gpu * amounts.gpus)
