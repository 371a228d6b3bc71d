"""What holds for every deployment and every market: nothing crashes, and every candidate keeps what it was asked.

How many markets each property sees is the Hypothesis profile's matter (`make soak` asks for 100,000).
"""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from builders.fleet import CHECKPOINTS, facts, nodes, pool, tenant, variants
from penstock.api.formats import Precision
from penstock.catalogue.accelerators import by_name
from penstock.catalogue.models import AttentionKind
from penstock.planner.candidates import Candidate, enumerate_candidates
from penstock.planner.fleet import Pool, Tenant
from penstock.planner.memory import sequences_that_fit
from penstock.planner.offers import market_of
from penstock.planner.requirements import Requirements, requirements_of
from penstock.planner.sharding import shard_problem

pytestmark = pytest.mark.property
over_many = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])

ACCELERATORS = (
    "H100-SXM-80GB",
    "H200-SXM-141GB",
    "A100-SXM-40GB",
    "B200-SXM-180GB",
    "MI300X",
    "L4-24GB",
    "H100-NVL-94GB",
    "GB200-192GB",
)
MIXTURE = facts(
    "org/mixture",
    300,
    Precision.FP8,
    attention=AttentionKind.MLA,
    kv_lora_rank=512,
    rope_head_dim=64,
    experts=256,
    experts_per_token=8,
    expert_intermediate=2048,
    moe_layers=58,
    active_parameters=37_000_000_000,
    block_size=128,
)
MODELS = ("org/small", "org/large", "org/mixture", "org/odd") * 3 + ("org/huge", "org/unheard-of")
KNOWN = {**CHECKPOINTS, MIXTURE.model: MIXTURE, "org/odd": facts("org/odd", 30, query_heads=25, kv_heads=5)}

Draw = Callable[[st.SearchStrategy[Any]], Any]


@st.composite
def some_pools(draw: Draw) -> tuple[Pool, ...]:
    """Up to four pools of every kind, in two currencies or without a price, bought in every way."""
    built = []
    for index in range(draw(st.integers(1, 4))):
        amount = draw(st.sampled_from(("0.01", "1.00", "2.00", "2.95", "100.00", None)))
        price = {
            "perGPUHour": amount,
            "currency": draw(st.sampled_from(("USD", "USD", "EUR"))),
            "capacityType": draw(st.sampled_from(("OnDemand", "Reserved", "Spot"))),
        }
        name = f"pool-{index}"
        built.append(
            pool(
                name,
                accelerator=draw(st.sampled_from((*ACCELERATORS, *ACCELERATORS, None))),
                on=nodes(name, draw(st.sampled_from((1, 1, 1, 0))), gpus=draw(st.sampled_from((8, 8, 4, 2, 1)))),
                price=price if amount else None,
                **draw(st.sampled_from(({}, {"growth": {"maxNodes": 4}}, {"fabric": {"rdmaResource": "rdma/ib"}}))),
            )
        )
    return tuple(built)


@st.composite
def some_workload(draw: Draw) -> dict[str, Any]:
    """Nothing, little, or more than any hardware carries."""
    work: dict[str, Any] = draw(
        st.sampled_from(
            (
                {},
                {"requestsPerSecond": "0"},
                {"requestsPerSecond": "0.000001"},
                {"requestsPerSecond": "2.5"},
                {"requestsPerSecond": "25"},
                {"requestsPerSecond": "999999999999.999999"},
                {"concurrency": 1},
                {"concurrency": 30},
                {"concurrency": 200},
                {"concurrency": 1_000_000},
                {"concurrency": 400, "promptTokens": 5000, "outputTokens": 400},
            )
        )
    )
    work = dict(work)
    for name, values in {
        "promptTokens": (1, 900, 5000, 12_000, 30_000, 10_000_000),
        "outputTokens": (1, 100, 400, 900, 2000, 1_000_000),
        "prefixHitPercent": (0, 60, 100),
    }.items():
        value = draw(st.sampled_from((None, None, None, *values)))
        work |= {} if value is None else {name: value}
    return work


@st.composite
def some_tenant(draw: Draw) -> Tenant:
    """A deployment that asks for anything that the API lets through."""
    model = draw(st.sampled_from(MODELS))
    listed = draw(st.lists(st.sampled_from((Precision.FP8, Precision.NVFP4, Precision.INT4)), unique=True))
    spec: dict[str, Any] = {
        "model": model,
        "variants": variants(*listed) if model == "org/large" else [],
        "workload": draw(some_workload()),
        "precisionPolicy": draw(st.sampled_from(("Auto", "Auto", "Published", "EightBit"))),
        "engine": draw(st.sampled_from(("Auto", "vLLM", "SGLang"))),
        "disaggregation": {"mode": draw(st.sampled_from(("Auto", "Off", "Required")))},
        "serviceLevel": {
            name: draw(st.sampled_from(values))
            for name, values in {
                "timeToFirstTokenMilliseconds": (1, 900, 5000, 3_600_000),
                "timePerOutputTokenMilliseconds": (1, 30, 80, 60_000),
            }.items()
            if draw(st.booleans())
        },
        "placement": {"capacityTypes": draw(st.sampled_from(([], [], [], ["Spot"], ["Reserved", "OnDemand"])))},
    }
    if not draw(st.integers(0, 3)):
        spec["placement"]["maxPricePerReplicaHour"] = {"amount": draw(st.sampled_from(("0.05", "9.00", "40.00")))}
    if draw(st.booleans()):
        spec["scaling"] = {"minReplicas": 1, "maxReplicas": draw(st.sampled_from((2, 1000)))}
    return tenant(spec=spec, facts=KNOWN, replicas=draw(st.sampled_from((0, 1, 3))))


@given(some_tenant(), some_pools())
@over_many
def test_every_candidate_keeps_what_was_asked(asked: Tenant, pools: tuple[Pool, ...]) -> None:
    """One test, because a market is costly to make and cheap to ask again."""
    wants = requirements_of(asked)
    found = enumerate_candidates(wants, market_of(pools))
    assert found.candidates or found.rejections
    assert all(each.message for each in found.rejections)
    for candidate in found.candidates:
        _holds_in_memory(wants, candidate)
        _can_be_cut(candidate)
        _keeps_the_promise(wants, candidate)
        _stays_within_money(wants, candidate, pools)
    _depends_on_no_order(wants, pools)
    _loses_nothing_to_another_pool(wants, pools)


def _holds_in_memory(wants: Requirements, candidate: Candidate) -> None:
    plan, load = candidate.plan, wants.load
    assert plan.memory.kv_bytes > 0
    assert plan.memory.kv_tokens >= plan.max_context_tokens
    held = sequences_that_fit(plan.memory, tokens=load.request_tokens) * plan.attention_ranks
    assert held >= (load.concurrency or 0)


def _can_be_cut(candidate: Candidate) -> None:
    plan = candidate.plan
    problem = shard_problem(
        KNOWN[plan.checkpoint.model],
        by_name(plan.accelerator),
        plan.tensor_parallel,
        expert_parallel=plan.expert_parallel,
        attention_ranks=plan.attention_ranks,
        pipeline_parallel=plan.pipeline_parallel,
    )
    assert problem is None


def _keeps_the_promise(wants: Requirements, candidate: Candidate) -> None:
    expected, promise, load = candidate.plan.expected, wants.promise, wants.load
    assert expected is not None
    first, each = promise.time_to_first_token_seconds, promise.time_per_output_token_seconds
    assert first is None or expected.time_to_first_token_milliseconds <= first * 1000 * 1.0001
    assert each is None or expected.time_per_output_token_milliseconds <= each * 1000 * 1.0001
    assert 1 <= candidate.replicas <= max(1, load.most_replicas)
    if load.total_requests_per_second is not None:
        assert candidate.replicas * candidate.requests_per_second >= load.total_requests_per_second * 0.9999


def _stays_within_money(wants: Requirements, candidate: Candidate, pools: tuple[Pool, ...]) -> None:
    plan, ceiling = candidate.plan, wants.ceiling
    (offered,) = (each for each in pools if each.name == plan.pool)
    if ceiling is not None:
        assert plan.price_per_replica_hour is not None
        assert plan.price_per_replica_hour.currency == ceiling.currency
        assert plan.price_per_replica_hour.micro <= ceiling.micro
    if wants.capacity_types and offered.spec.price:
        assert offered.spec.price.capacity_type in wants.capacity_types


def _depends_on_no_order(wants: Requirements, pools: tuple[Pool, ...]) -> None:
    forwards, backwards = (enumerate_candidates(wants, market_of(each)) for each in (pools, pools[::-1]))
    assert forwards.candidates == backwards.candidates
    assert forwards.rejections == backwards.rejections


def _loses_nothing_to_another_pool(wants: Requirements, pools: tuple[Pool, ...]) -> None:
    """What only the best pool shows may differ; the first candidate of each pool does not."""
    whole, fewer = (
        {each.plan.pool: each for each in reversed(_candidates(wants, kept))} for kept in (pools, pools[1:])
    )
    assert fewer.items() <= whole.items()


def _candidates(wants: Requirements, pools: tuple[Pool, ...]) -> tuple[Candidate, ...]:
    return enumerate_candidates(wants, market_of(pools)).candidates
