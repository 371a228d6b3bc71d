"""Prefill and decode apart: rates that match, gates that say why not, and what it would cost."""

from itertools import product
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders.fleet import CHECKPOINTS, pool, tenant
from penstock.catalogue.models import built_in
from penstock.planner.candidates import enumerate_candidates
from penstock.planner.disaggregation.advice import Advice, advise
from penstock.planner.disaggregation.matching import MOST_WORKERS, PrefillDecode, best_layout, layout_for_rate
from penstock.planner.disaggregation.required import Apart, apart_anyhow
from penstock.planner.disaggregation.workers import Worker
from penstock.planner.fleet import Pool
from penstock.planner.offers import market_of
from penstock.planner.plan import RejectionReason
from penstock.planner.requirements import requirements_of

R1 = "deepseek-ai/DeepSeek-R1"
BUSY: dict[str, Any] = {
    "model": R1,
    "workload": {"requestsPerSecond": "40", "promptTokens": 8000, "outputTokens": 1000},
    "serviceLevel": {"timePerOutputTokenMilliseconds": 50, "timeToFirstTokenMilliseconds": 3000},
    "scaling": {"minReplicas": 1, "maxReplicas": 200},
}
RDMA = {"fabric": {"rdmaResource": "rdma/ib"}}


def advice(*, required: bool = False, spec: dict[str, Any] | None = None, **offered: Any) -> Advice:
    """On H200 at 3 dollars an hour; parts of `spec` are merged into the busy one."""
    merged = {
        name: {**value, **(spec or {}).get(name, {})} if isinstance(value, dict) else value
        for name, value in BUSY.items()
    }
    merged |= {name: value for name, value in (spec or {}).items() if not isinstance(value, dict)}
    known = built_in(R1)
    assert known is not None
    wants = requirements_of(tenant(spec=merged, facts={**CHECKPOINTS, R1: known}))
    market = market_of(
        [pool("p", accelerator=offered.pop("accelerator", "H200-SXM-141GB"), price="3.00", **(RDMA | offered))]
    )
    best = enumerate_candidates(wants, market).candidates[0].plan
    return advise(wants, market.offers[0], best, required=required)


def test_apart_where_it_is_predicted_to_pay() -> None:
    found = advice()
    assert found.layout is not None, found.reason
    assert found.gain is not None
    assert found.gain >= 0.15
    assert found.cost is not None
    assert found.cost_together is not None
    assert found.cost.micro == found.layout.gpus * found.units * 3_000_000
    assert found.cost.micro < found.cost_together.micro
    assert found.layout.requests_per_second * found.units >= 40 / 0.75


GATES: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "short prompts": ({"workload": {"promptTokens": 1000}}, {}, "prompts have 1,000 tokens"),
    "a small model": ({"model": "org/small"}, {}, "8 billion of its 8 billion parameters work on a token"),
    "prefixes that are cached": ({"workload": {"prefixHitPercent": 70}}, {}, "70% of the prompts"),
    "little load": ({"workload": {"requestsPerSecond": "0.5"}}, {}, "the load takes 8 GPUs together"),
    "slow networks": ({}, {"fabric": None}, "would work: `spec.fabric.rdmaResource`"),
}


@pytest.mark.parametrize(("spec", "offered", "says"), GATES.values(), ids=GATES)
def test_a_gate_says_why_not(spec: dict[str, Any], offered: dict[str, Any], says: str) -> None:
    found = advice(spec=spec, **offered)
    assert found.layout is None
    assert says in found.reason


def test_no_stated_load_is_no_load() -> None:
    asked = tenant(spec={"model": "org/large", "workload": {"promptTokens": 8000}})
    market = market_of([pool("p", **RDMA)])
    shortlist = enumerate_candidates(requirements_of(asked), market)
    assert (
        "nobody states the load"
        in advise(requirements_of(asked), market.offers[0], shortlist.candidates[0].plan).reason
    )


def test_a_gain_decides_where_the_gates_are_open() -> None:
    """Tight and loose promises, on two GPUs: some pay and some do not, and each answer agrees with its own figure."""
    found = [
        advice(accelerator=accelerator, spec={"serviceLevel": {"timePerOutputTokenMilliseconds": milliseconds}})
        for accelerator in ("H200-SXM-141GB", "B200-SXM-180GB")
        for milliseconds in (20, 50, 200, 1000)
    ]
    assert {each.layout is not None for each in found} == {True, False}
    for each in found:
        assert each.gain is not None
        assert (each.layout is not None) == (each.gain >= 0.15)
        assert ("pays from 15% more on" in each.reason) == (each.layout is None)


def test_required_offers_it_whatever_it_costs_and_says_what_speaks_against_it() -> None:
    found = advice(required=True, fabric=None)
    assert found.layout is not None
    assert "by itself it would not be chosen: pool p states no network" in found.reason
    assert f"requests per GPU at {found.cost}/h against {found.cost_together}/h together" in found.reason


def test_a_scale_up_domain_beyond_the_node_is_a_fast_network() -> None:
    assert "network" not in advice(accelerator="GB200-192GB", fabric=None).reason


def required(*pools: Pool, **spec: Any) -> Apart:
    known = built_in(R1)
    assert known is not None
    asked = tenant(spec={**BUSY, "scaling": None, **spec}, facts={**CHECKPOINTS, R1: known})
    return apart_anyhow(requirements_of(asked), market_of(pools))


def test_required_goes_where_least_speaks_against_it_whatever_the_replicas() -> None:
    """One replica cannot carry 40 requests/s: the load decides, and a pool with a network goes before a cheaper one."""
    cheap = pool("cheap", accelerator="H200-SXM-141GB", price="2.00")
    linked = pool("linked", accelerator="H200-SXM-141GB", price="3.00", **RDMA)
    small = pool("small", accelerator="L4-24GB", price="0.50")
    found = required(cheap, linked, small)
    assert [each.plan.pool for each in found.pools] == ["linked", "cheap"]
    assert found.chosen is found.pools[0]
    advice, other = (each.advice for each in found.pools)
    assert advice.against == ""
    assert other.against.startswith("pool cheap states no network")
    assert advice.gpus == advice.layout.gpus * advice.units
    assert advice.output_tokens_per_second >= 40 * 1000
    assert advice.gpus_together > advice.gpus
    assert {each.pool for each in found.rejections} == {"small"}


def test_without_a_load_only_what_each_gpu_gives_is_compared() -> None:
    found = required(pool("p", accelerator="H200-SXM-141GB", price="3.00"), workload={"promptTokens": 8000}).chosen
    assert found is not None
    assert found.advice.cost is not None
    assert (found.advice.gpus_together, found.advice.cost_together) == (0, None)
    assert "requests per GPU; by itself" in found.advice.reason


def test_required_says_why_there_is_no_layout() -> None:
    nowhere = required(pool("small", accelerator="L4-24GB"))
    assert nowhere.chosen is None
    assert "small: " in nowhere.why_not
    slow = required(
        pool("p", accelerator="H200-SXM-141GB"), serviceLevel={"timePerOutputTokenMilliseconds": 1}, workload={}
    )
    assert slow.chosen is None
    assert "timePerOutputTokenMilliseconds" in slow.why_not


MODES = {"Auto": "prefill and decode run together: prompts have", "Required": "renders no such workers yet", "Off": ""}


@pytest.mark.parametrize(("mode", "says"), MODES.items(), ids=MODES)
def test_it_is_an_alternative_unless_it_is_off(mode: str, says: str) -> None:
    asked = tenant(spec={"model": "org/large", "disaggregation": {"mode": mode}})
    lost = enumerate_candidates(requirements_of(asked), market_of([pool("p", **RDMA)])).rejections
    told = [each.message for each in lost if each.reason is RejectionReason.PREFILL_DECODE]
    assert [says in each for each in told] == ([True] if says else [])


workers = st.builds(
    Worker,
    tensor_parallel=st.sampled_from((1, 2, 4, 8)),
    gpus=st.sampled_from((1, 2, 4, 8)),
    requests_per_second=st.floats(0.01, 500),
    latency_seconds=st.just(0.1),
)


@given(workers, workers, st.sampled_from((4, 16, 64)))
def test_no_ratio_within_the_gpus_does_better_than_the_matched_one(prefill: Worker, decode: Worker, most: int) -> None:
    def per_gpu(layout: PrefillDecode) -> float:
        return layout.requests_per_second / layout.gpus

    counts = [range(1, min(MOST_WORKERS, most // each.gpus) + 1) for each in (prefill, decode)]
    every = [PrefillDecode(prefill, x, decode, y) for x, y in product(*counts)]
    within = [per_gpu(each) for each in every if each.gpus <= most]
    found = best_layout([prefill], [decode], most_gpus=most)
    assert (found is None) == (not within)
    if found is not None:
        assert found.gpus <= most
        assert per_gpu(found) == pytest.approx(max(within))


@given(st.lists(workers, min_size=1, max_size=3), st.lists(workers, min_size=1, max_size=3), st.floats(0.001, 1e6))
def test_a_layout_for_a_rate_carries_it_and_stays_within_bounds(
    prefills: list[Worker], decodes: list[Worker], rate: float
) -> None:
    found = layout_for_rate(prefills, decodes, requests_per_second=rate)
    assert found is not None
    layout, units = found
    assert layout.requests_per_second * units >= rate * (1 - 1e-9)
    assert max(layout.prefills, layout.decodes) <= MOST_WORKERS


def test_a_side_without_workers_has_no_layout() -> None:
    worker = Worker(1, 1, 5.0, 0.1)
    assert layout_for_rate([], [worker], requests_per_second=1) is None
    assert best_layout([worker], [], most_gpus=8) is None
