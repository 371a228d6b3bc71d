"""In which ways a checkpoint is cut over the GPUs of a node, and when the less usual ones are tried."""

from dataclasses import replace
from typing import Any

import pytest

from builders.fleet import facts, nodes, pool, tenant
from penstock.api.formats import EngineName, Precision
from penstock.catalogue.accelerators import by_name
from penstock.catalogue.models import AttentionKind
from penstock.planner.checkpoints import rank_checkpoints
from penstock.planner.fitting import Fit, FitQuestion, Way, fit
from penstock.planner.layouts import Layouts, Site, find_layouts, runner_of
from penstock.planner.offers import market_of
from penstock.planner.requirements import requirements_of
from penstock.planner.speed import Promise

MIXTURE = {
    "experts": 256,
    "experts_per_token": 8,
    "expert_intermediate": 2048,
    "moe_layers": 58,
    "active_parameters": 37_000_000_000,
    "query_heads": 128,
    "layers": 61,
    "full_attention_layers": 61,
}
LATENT = {"attention": AttentionKind.MLA, "kv_lora_rank": 512, "rope_head_dim": 64}
KNOWN = {
    each.model: each
    for each in (
        facts("org/small", 8.2),
        facts("org/large-fp8", 70.6, Precision.FP8),
        facts("org/odd", 60, query_heads=25, kv_heads=5),
        facts("org/mixture", 300, Precision.FP8, **MIXTURE, kv_heads=8),
        facts("org/latent", 300, Precision.FP8, **MIXTURE, **LATENT, kv_heads=128),
    )
}
LONG_AND_MANY = {"promptTokens": 8000, "outputTokens": 500, "concurrency": 64}


def layouts(
    model: str, accelerator: str = "H200-SXM-141GB", *, gpus: int = 8, detailed: bool = False, **spec: Any
) -> Layouts:
    wants = requirements_of(tenant(spec={"model": model, **spec}, facts=KNOWN))
    (offer,) = market_of([pool("p", accelerator=accelerator, on=nodes("p", 1, gpus=gpus))]).offers
    assert offer.accelerator is not None
    (choice,) = rank_checkpoints(wants, offer.accelerator)[0]
    return find_layouts(
        Site(wants, offer, offer.accelerator, choice, runner_of(EngineName.VLLM, offer, offer.accelerator), detailed)
    )


def ways(found: Layouts) -> list[tuple[int, int, int, bool]]:
    plans = [each.plan for each in found.laid]
    return [(it.tensor_parallel, it.pipeline_parallel, it.attention_ranks, it.expert_parallel) for it in plans]


def test_the_first_size_that_carries_with_room_and_one_beyond_it_to_be_shown() -> None:
    assert ways(layouts("org/small")) == [(1, 1, 1, False)]
    assert ways(layouts("org/small", detailed=True)) == [(1, 1, 1, False), (2, 1, 1, False)]


def test_every_size_where_replicas_may_follow_the_load() -> None:
    scaling = {"minReplicas": 1, "maxReplicas": 50}
    found = layouts("org/small", workload={"requestsPerSecond": "20"}, scaling=scaling)
    assert [each.plan.gpus for each in found.laid] == [1, 2, 4, 8]
    needed = [each.judgement.replicas for each in found.laid]
    assert needed == sorted(needed, reverse=True)


def test_pipelines_of_two_where_slow_links_end_tensor_parallelism() -> None:
    """Llama-3.3-70B FP8 on L4 runs as TP2 x PP4 (sizing.md 2.4)."""
    found = layouts("org/large-fp8", "L4-24GB", workload={"maxContextTokens": 16_384, "concurrency": 4})
    assert ways(found) == [(2, 4, 1, False)]
    assert found.laid[0].plan.gpus == 8


def test_pipelines_where_heads_end_tensor_parallelism() -> None:
    assert ways(layouts("org/odd", "H100-SXM-80GB"))[0] == (1, 2, 1, False)


ATTENTION_RANKS: dict[str, tuple[str, dict[str, Any], bool]] = {
    "latent attention, long prompts, many requests": ("org/latent", LONG_AND_MANY, True),
    "short prompts": ("org/latent", {**LONG_AND_MANY, "promptTokens": 1000}, False),
    "few requests": ("org/latent", {**LONG_AND_MANY, "concurrency": 8}, False),
    "nobody says how many": ("org/latent", {"promptTokens": 8000}, False),
    "keys and values that are cut well": ("org/mixture", LONG_AND_MANY, False),
}


@pytest.mark.parametrize(("model", "workload", "offered"), ATTENTION_RANKS.values(), ids=ATTENTION_RANKS)
def test_attention_in_ranks_only_where_it_pays(model: str, workload: dict[str, Any], *, offered: bool) -> None:
    scaling = {"minReplicas": 1, "maxReplicas": 9}
    found = layouts(model, workload=workload, scaling=scaling)
    assert any(ranks > 1 for _, _, ranks, _ in ways(found)) is offered
    assert all(spread for _, _, ranks, spread in ways(found) if ranks > 1)


def test_the_engine_is_told_of_half_as_many_requests_again() -> None:
    (first, *_) = layouts("org/small", workload={"concurrency": 100}).laid
    assert first.plan.max_sequences == 150
    assert first.plan.expected is not None
    assert first.plan.expected.concurrency == 100


def test_a_rate_is_carried_at_the_planned_utilisation() -> None:
    (first, *_) = layouts("org/small", workload={"requestsPerSecond": "4"}).laid
    expected = first.plan.expected
    assert expected is not None
    assert expected.requests_per_second == 4
    assert expected.output_tokens_per_second == 4 * 512
    assert first.judgement.requests_per_second >= 4
    assert first.plan.max_sequences >= expected.concurrency


def test_an_eight_bit_cache_holds_twice_as_much() -> None:
    plain = layouts("org/small").laid[0].plan
    packed = layouts("org/small", engineArgs=["--kv-cache-dtype", "fp8"]).laid[0].plan
    assert packed.kv_cache_dtype == "fp8"
    assert packed.memory.kv_tokens == pytest.approx(2 * plain.memory.kv_tokens, rel=0.01)


def test_prefix_hits_make_room_for_more_requests_per_second() -> None:
    level = {"timePerOutputTokenMilliseconds": 30}
    carried = [
        layouts("org/small", serviceLevel=level, workload={"promptTokens": 8000, "prefixHitPercent": percent})
        .laid[0]
        .judgement.requests_per_second
        for percent in (0, 80)
    ]
    assert carried[1] > carried[0]


def test_what_engines_taught_of_the_speed_counts() -> None:
    question = FitQuestion(
        facts=KNOWN["org/small"],
        accelerator=by_name("H100-SXM-80GB"),
        engine=EngineName.VLLM,
        engine_version="0.33.0",
        way=Way(1),
        node_gpus=8,
        load=requirements_of(tenant()).load,
        promise=Promise(),
    )
    modelled, taught = fit(question), fit(replace(question, correction=1.5))
    assert isinstance(modelled, Fit)
    assert isinstance(taught, Fit)
    assert taught.judgement.tokens_per_second < modelled.judgement.tokens_per_second
