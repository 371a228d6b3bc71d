"""Which checkpoint, engine and size each pool gets, in which order, and what every filter says."""

from typing import Any

import pytest

from builders.fleet import CHECKPOINTS, facts, nodes, pool, tenant, variants
from penstock.api.formats import EngineName, Precision
from penstock.planner.candidates import Shortlist, enumerate_candidates
from penstock.planner.fleet import Pool, Tenant
from penstock.planner.losers import losers
from penstock.planner.offers import market_of
from penstock.planner.plan import Plan, RejectionReason
from penstock.planner.requirements import requirements_of

ALL = variants(Precision.FP8, Precision.NVFP4, Precision.INT4)


def shortlist(asked: Tenant, *pools: Pool) -> Shortlist:
    return enumerate_candidates(requirements_of(asked), market_of(pools))


def pools_of(found: Shortlist) -> list[str]:
    """The pools in the order in which they are tried."""
    return list(dict.fromkeys(each.plan.pool for each in found.candidates))


def best(asked: Tenant, *pools: Pool) -> Plan:
    return shortlist(asked, *pools).candidates[0].plan


PRECISIONS: dict[str, tuple[str, list[dict[str, str]], Precision]] = {
    "NVFP4 on Blackwell where a variant exists": ("B200-SXM-180GB", ALL, Precision.NVFP4),
    "FP8 on Blackwell without one": ("B200-SXM-180GB", variants(Precision.FP8), Precision.FP8),
    "FP8 on Hopper": ("H100-SXM-80GB", ALL, Precision.FP8),
    "FP8 on MI300X": ("MI300X", ALL, Precision.FP8),
    "the published BF16 on A100, whose FP8 is no faster": ("A100-SXM-80GB", ALL, Precision.BF16),
    "the published BF16 where there is no variant": ("H100-SXM-80GB", [], Precision.BF16),
    "BF16 rather than INT4": ("H100-SXM-80GB", variants(Precision.INT4), Precision.BF16),
}


@pytest.mark.parametrize(("accelerator", "listed", "want"), PRECISIONS.values(), ids=PRECISIONS)
def test_precision_by_accelerator(accelerator: str, listed: list[dict[str, str]], want: Precision) -> None:
    plan = best(tenant(spec={"model": "org/large", "variants": listed}), pool("p", accelerator=accelerator))
    assert plan.checkpoint.precision is want


TO_FIT: dict[str, tuple[list[dict[str, str]], int, Precision]] = {
    "weight-only FP8 where BF16 is too large": (variants(Precision.FP8), 2, Precision.FP8),
    "INT4 where BF16 is too large": (variants(Precision.INT4), 1, Precision.INT4),
    "INT4 where FP8 has no KV room for a batch": (variants(Precision.FP8, Precision.INT4), 1, Precision.INT4),
}


@pytest.mark.parametrize(("listed", "gpus", "want"), TO_FIT.values(), ids=TO_FIT)
def test_smaller_formats_only_to_fit(listed: list[dict[str, str]], gpus: int, want: Precision) -> None:
    a100 = pool("p", accelerator="A100-SXM-80GB", on=nodes("p", 1, gpus=gpus))
    assert best(tenant(spec={"model": "org/large", "variants": listed}), a100).checkpoint.precision is want


def test_a_published_mxfp4_runs_weight_only_rather_than_a_conversion() -> None:
    known = {"org/oss": facts("org/oss", 20, Precision.MXFP4), "org/oss-bf16": facts("org/oss-bf16", 20)}
    asked = tenant(spec={"model": "org/oss", "variants": [{"precision": "BF16", "model": "org/oss-bf16"}]}, facts=known)
    assert best(asked, pool("p", accelerator="H100-SXM-80GB")).checkpoint.precision is Precision.MXFP4


def test_the_fewest_gpus_that_hold_a_batch() -> None:
    found = shortlist(tenant(spec={"model": "org/large-fp8"}), pool("p"))
    assert found.candidates[0].plan.tensor_parallel == 2
    cramped = next(each for each in found.rejections if each.tensor_parallel == 1)
    assert cramped.reason is RejectionReason.NOT_PREFERRED
    assert "less than a batch" in cramped.message


def test_a_model_of_few_requests_needs_no_room_for_more() -> None:
    asked = tenant(spec={"model": "org/large-fp8", "workload": {"concurrency": 2}})
    assert best(asked, pool("p")).tensor_parallel == 1


def test_a_ceiling_takes_the_cramped_size_where_the_roomy_one_is_too_dear() -> None:
    placement = {"maxPricePerReplicaHour": {"amount": "2.00"}}
    asked = tenant(spec={"model": "org/large-fp8", "placement": placement})
    assert best(asked, pool("p", price="2.00")).tensor_parallel == 1


def test_the_cheapest_replica_first_and_unpriced_pools_last() -> None:
    found = shortlist(
        tenant(), pool("dear", price="3.00"), pool("cheap", price="1.00"), pool("free", price=None), pool("mid")
    )
    assert pools_of(found) == ["cheap", "mid", "dear", "free"]


def test_preferred_pools_in_their_order_whatever_they_cost() -> None:
    asked = tenant(spec={"placement": {"pools": ["dear", "absent", "cheap"]}})
    found = shortlist(asked, pool("cheap", price="1.00"), pool("dear", price="3.00"), pool("other"))
    assert pools_of(found) == ["dear", "cheap"]
    lost = {each.pool: each for each in found.rejections}
    assert lost["absent"].reason is RejectionReason.POOL_NOT_FOUND
    assert "cheap, dear, other" in lost["absent"].message
    assert lost["other"].reason is RejectionReason.NOT_PREFERRED


def test_the_pool_decides_on_image_and_version() -> None:
    image = {"engine": "vLLM", "image": "registry.example/vllm:ours", "version": "0.21.3"}
    plan = best(tenant(), pool("p", engineImages=[image]))
    assert (plan.image, plan.engine_version) == ("registry.example/vllm:ours", "0.21.3")


SPOT = {"perGPUHour": "2.00", "capacityType": "Spot"}
REFUSALS: dict[str, tuple[dict[str, Any], dict[str, Any], RejectionReason, str]] = {
    "a namespace that the pool does not admit": (
        {},
        {"allowedNamespaces": {"from": "Selector", "selector": {"matchLabels": {"tier": "gold"}}}},
        RejectionReason.NAMESPACE_NOT_ALLOWED,
        "tier=gold",
    ),
    "Same, which a cluster-wide pool has not": (
        {},
        {"allowedNamespaces": {"from": "Same"}},
        RejectionReason.NAMESPACE_NOT_ALLOWED,
        "has none",
    ),
    "a country outside": ({"placement": {"jurisdictions": ["US"]}}, {}, RejectionReason.JURISDICTION, "DE"),
    "one of two countries outside": (
        {"placement": {"jurisdictions": ["DE"]}},
        {"countries": ("DE", "FR")},
        RejectionReason.JURISDICTION,
        "DE, FR",
    ),
    "no country stated": (
        {"placement": {"jurisdictions": ["EU"]}},
        {"countries": ()},
        RejectionReason.JURISDICTION,
        "states no country",
    ),
    "a jurisdiction that nobody knows": (
        {"placement": {"jurisdictions": ["ZZZ"]}},
        {},
        RejectionReason.JURISDICTION,
        "ZZZ",
    ),
    "a price above the ceiling": (
        {"placement": {"maxPricePerReplicaHour": {"amount": "1.50"}}},
        {},
        RejectionReason.PRICE_CEILING,
        "would work: a ceiling of 2.00 USD",
    ),
    "a price in another currency": (
        {"placement": {"maxPricePerReplicaHour": {"amount": "9.00", "currency": "EUR"}}},
        {},
        RejectionReason.PRICE_CEILING,
        "cannot be compared",
    ),
    "no price under a ceiling": (
        {"placement": {"maxPricePerReplicaHour": {"amount": "9.00"}}},
        {"price": None},
        RejectionReason.PRICE_UNKNOWN,
        "states no price",
    ),
    "a GPU that nobody knows": ({}, {"accelerator": None}, RejectionReason.NO_ACCELERATOR, "spec.accelerator"),
    "no nodes": ({}, {"on": 0}, RejectionReason.NO_NODES, "nodeSelector"),
    "a node cache that the pool has not": ({"weights": {"cache": "Node"}}, {}, RejectionReason.NODE_CACHE, "nodeCache"),
    "weights larger than the node": (
        {"model": "org/huge"},
        {},
        RejectionReason.WEIGHTS_TOO_LARGE,
        "8 x H100-SXM-80GB: a GPU needs",
    ),
    "a context beyond the model": (
        {"workload": {"maxContextTokens": 100_000}},
        {},
        RejectionReason.CONTEXT_TOO_LARGE,
        "40,960 at most",
    ),
    "a context beyond the KV cache": (
        {"model": "org/large-fp8", "workload": {"maxContextTokens": 131_072}},
        {"on": nodes("p", 1, gpus=1)},
        RejectionReason.CONTEXT_TOO_LARGE,
        "the KV cache holds",
    ),
    "more requests than the KV cache holds": (
        {"workload": {"concurrency": 900_000, "promptTokens": 4000}},
        {},
        RejectionReason.NO_ROOM_FOR_LOAD,
        "900,000 requests at once",
    ),
    "a rate beyond every size": (
        {"workload": {"requestsPerSecond": "999999999999"}},
        {},
        RejectionReason.NO_ROOM_FOR_LOAD,
        "999,999,999,999.0 requests/s come to each replica",
    ),
    "a rate within a promise that more replicas would keep": (
        {"workload": {"requestsPerSecond": "60"}, "serviceLevel": {"timePerOutputTokenMilliseconds": 10}},
        {"on": nodes("p", 1, gpus=1)},
        RejectionReason.SERVICE_LEVEL,
        "replicas, a faster GPU, or a longer time",
    ),
    "a concurrency within a promise": (
        {"workload": {"concurrency": 120}, "serviceLevel": {"timePerOutputTokenMilliseconds": 12}},
        {"on": nodes("p", 1, gpus=1)},
        RejectionReason.SERVICE_LEVEL,
        "120 requests at once come to each replica",
    ),
    "capacity that is bought otherwise": (
        {"placement": {"capacityTypes": ["Reserved", "OnDemand"]}},
        {"price": SPOT},
        RejectionReason.CAPACITY_TYPE,
        "would work: Spot in that list",
    ),
    "faster than memory can be read": (
        {"model": "org/large", "serviceLevel": {"timePerOutputTokenMilliseconds": 1}},
        {},
        RejectionReason.SERVICE_LEVEL,
        "asks for 1 ms",
    ),
    "faster than a prompt can be multiplied": (
        {
            "model": "org/large",
            "workload": {"promptTokens": 100_000},
            "serviceLevel": {"timeToFirstTokenMilliseconds": 1},
        },
        {},
        RejectionReason.SERVICE_LEVEL,
        "timeToFirstToken",
    ),
    "a node too small": (
        {"model": "org/large"},
        {"on": nodes("p", 3, gpus=1)},
        RejectionReason.NO_WHOLE_NODE,
        "GPUs on one node, the largest has 1",
    ),
    "heads that nobody can share": (
        {"model": "org/odd"},
        {},
        RejectionReason.SHARDING,
        "heads",
    ),
    "a precision that the GPU has not": (
        {"model": "org/large-nvfp4"},
        {},
        RejectionReason.PRECISION_UNSUPPORTED,
        "cannot run NVFP4",
    ),
    "an engine that cannot": (
        {"model": "org/oss", "engine": "SGLang"},
        {"accelerator": "MI300X"},
        RejectionReason.ENGINE_UNSUPPORTED,
        "SGLang does not run MXFP4 on MI300X",
    ),
    "a variant that is something else": (
        {"model": "org/huge", "variants": [{"precision": "FP8", "model": "org/small"}]},
        {},
        RejectionReason.NO_CHECKPOINT,
        "its own config says BF16",
    ),
    "a model that nobody knows": ({"model": "org/unheard-of"}, {}, RejectionReason.MODEL_UNKNOWN, "metadata.config"),
}
KNOWN = {
    **CHECKPOINTS,
    "org/odd": facts("org/odd", 600, query_heads=25, kv_heads=5),
    "org/oss": facts("org/oss", 20, Precision.MXFP4),
}


@pytest.mark.parametrize(("spec", "offered", "reason", "says"), REFUSALS.values(), ids=REFUSALS)
def test_a_refusal_teaches(spec: dict[str, Any], offered: dict[str, Any], reason: RejectionReason, says: str) -> None:
    found = shortlist(tenant(spec=spec, facts=KNOWN), pool("p", **offered))
    assert not found.candidates
    assert any(each.reason is reason and says in each.message for each in found.rejections), found.rejections


POLICIES: dict[str, tuple[str, Precision, list[str], str]] = {
    "any of them": ("Auto", Precision.NVFP4, [], ""),
    "the makers' own": (
        "Published",
        Precision.BF16,
        ["FP8", "NVFP4"],
        "allows only the checkpoint of `spec.model`; would work: `precisionPolicy: Auto`",
    ),
    "none below 8 bits": ("EightBit", Precision.FP8, ["NVFP4"], "allows no weights below 8 bits"),
}


@pytest.mark.parametrize(("policy", "want", "refused", "says"), POLICIES.values(), ids=POLICIES)
def test_the_policy_of_quality(policy: str, want: Precision, refused: list[str], says: str) -> None:
    spec = {"model": "org/large", "variants": variants(Precision.FP8, Precision.NVFP4), "precisionPolicy": policy}
    found = shortlist(tenant(spec=spec), pool("p", accelerator="B200-SXM-180GB"))
    assert found.candidates[0].plan.checkpoint.precision is want
    told = {
        each.precision: each.message for each in found.rejections if each.reason is RejectionReason.PRECISION_POLICY
    }
    assert sorted(told) == refused
    assert all(says in message for message in told.values())


def test_a_smaller_format_that_gives_no_more_for_the_money_does_not_replace_the_published_one() -> None:
    """Decode of so small a model is bound by launches, which cost the same in 8 bits."""
    known = {
        "org/tiny": facts("org/tiny", 0.2, layers=60, full_attention_layers=60),
        "org/tiny-fp8": facts("org/tiny-fp8", 0.2, Precision.FP8, layers=60, full_attention_layers=60),
    }
    spec = {"model": "org/tiny", "variants": [{"precision": "FP8", "model": "org/tiny-fp8"}]}
    assert best(tenant(spec=spec, facts=known), pool("p")).checkpoint.precision is Precision.BF16
    assert (
        best(tenant(spec={"model": "org/large", "variants": variants(Precision.FP8)}), pool("p")).checkpoint.precision
        is Precision.FP8
    )


def test_more_gpus_where_fewer_do_not_carry_the_load() -> None:
    level = {"timePerOutputTokenMilliseconds": 25}
    sizes = [
        best(tenant(spec={"workload": {"requestsPerSecond": rate}, "serviceLevel": level}), pool("p")).tensor_parallel
        for rate in ("2", "12", "20")
    ]
    assert sizes == sorted(sizes)
    assert sizes[0] == 1
    assert sizes[-1] > 1


def test_a_whole_load_goes_where_it_costs_least_and_not_where_a_replica_does() -> None:
    """Few dear replicas beat many cheap ones: what counts is replicas times price."""
    spec = {
        "model": "org/large-fp8",
        "workload": {"requestsPerSecond": "20"},
        "serviceLevel": {"timePerOutputTokenMilliseconds": 40},
        "scaling": {"minReplicas": 1, "maxReplicas": 500},
    }
    found = shortlist(
        tenant(spec=spec), pool("dear", accelerator="B200-SXM-180GB", price="4.00"), pool("cheap", price="2.50")
    )
    first = {name: next(each for each in found.candidates if each.plan.pool == name) for name in ("dear", "cheap")}
    assert found.candidates[0].plan.pool == min(first, key=lambda name: first[name].cost)
    for each in found.candidates:
        assert each.replicas * each.requests_per_second >= 20
        assert (each.replicas - 1) * each.requests_per_second < 20


def test_sizes_are_judged_by_what_the_load_costs_with_them() -> None:
    """The smallest size is often not the cheapest: a cache that holds few requests starves it (sizing.md 2.5)."""
    spec = {
        "model": "org/large-fp8",
        "workload": {"requestsPerSecond": "20", "promptTokens": 6000},
        "scaling": {"minReplicas": 1, "maxReplicas": 500},
    }
    found = shortlist(tenant(spec=spec), pool("p")).candidates
    ours = [each for each in found if each.plan.engine is EngineName.VLLM]
    assert ours[0].cost == min(each.cost for each in ours)
    assert ours[0].plan.tensor_parallel > min(each.plan.tensor_parallel for each in ours)


def test_what_another_one_beats_in_everything_is_cut_and_counted() -> None:
    spec = {"model": "org/large", "variants": variants(Precision.FP8)}
    found = shortlist(tenant(spec=spec), pool("p", accelerator="MI300X"))
    beaten = [each for each in found.rejections if each.reason is RejectionReason.DOMINATED]
    assert {(each.precision, each.tensor_parallel) for each in beaten} == {("BF16", 1), ("BF16", 2)}
    assert all("with no more room for requests; FP8 on TP" in each.message for each in beaten)


ENGINES: dict[str, tuple[str, str, EngineName]] = {
    "measured to be faster there": ("Qwen3MoeForCausalLM", "H100-SXM-80GB", EngineName.SGLANG),
    "not compared there": ("Qwen3MoeForCausalLM", "MI300X", EngineName.VLLM),
    "not compared for that family": ("LlamaForCausalLM", "H100-SXM-80GB", EngineName.VLLM),
}


@pytest.mark.parametrize(("family", "accelerator", "engine"), ENGINES.values(), ids=ENGINES)
def test_the_engine_with_the_evidence_and_the_other_one_behind_it(
    family: str, accelerator: str, engine: EngineName
) -> None:
    known = {"org/model": facts("org/model", 8.2, architecture=family)}
    found = shortlist(tenant(spec={"model": "org/model"}, facts=known), pool("p", accelerator=accelerator))
    assert found.candidates[0].plan.engine is engine
    assert {each.plan.engine for each in found.candidates} == set(EngineName)
    assert found.candidates[-1].plan.engine is not engine


def test_many_ways_in_a_pool_do_not_crowd_the_other_engine_out() -> None:
    spec = {
        "model": "org/large",
        "variants": variants(Precision.FP8, Precision.INT4),
        "workload": {"requestsPerSecond": "4"},
        "scaling": {"minReplicas": 1, "maxReplicas": 9},
    }
    found = shortlist(tenant(spec=spec), pool("p"))
    assert {each.plan.engine for each in found.candidates} == set(EngineName)
    assert not any(each.reason is RejectionReason.ENGINE_UNSUPPORTED for each in found.rejections)


def test_of_a_format_that_is_used_only_to_fit_one_size_is_enough() -> None:
    spec = {
        "model": "org/large",
        "variants": variants(Precision.INT4),
        "workload": {"requestsPerSecond": "4"},
        "scaling": {"minReplicas": 1, "maxReplicas": 9},
    }
    found = shortlist(tenant(spec=spec), pool("p")).candidates
    sizes = [each.plan.tensor_parallel for each in found if each.plan.checkpoint.precision is Precision.INT4]
    assert len(sizes) == 1
    assert found[0].plan.checkpoint.precision is Precision.BF16


def test_an_engine_that_cannot_is_told_and_no_candidate() -> None:
    found = shortlist(tenant(spec={"model": "org/oss"}, facts=KNOWN), pool("p", accelerator="MI300X"))
    assert {each.plan.engine for each in found.candidates} == {EngineName.VLLM}
    assert any(
        each.reason is RejectionReason.ENGINE_UNSUPPORTED and "vLLM does" in each.message for each in found.rejections
    )


def test_at_the_same_price_reserved_comes_before_on_demand_before_spot() -> None:
    prices = {
        name: {"perGPUHour": "2.00", "capacityType": kind}
        for name, kind in (("a-spot", "Spot"), ("b-paid-by-the-hour", "OnDemand"), ("c-ours", "Reserved"))
    }
    offered = [pool(name, price=price) for name, price in prices.items()]
    assert pools_of(shortlist(tenant(), *offered)) == ["c-ours", "b-paid-by-the-hour", "a-spot"]


def test_spot_has_to_be_cheaper_by_what_its_interruptions_waste() -> None:
    steady = pool("steady", price="2.00")
    order = [
        pools_of(shortlist(tenant(), steady, pool("spot", price=SPOT | {"perGPUHour": price})))[0]
        for price in ("1.95", "1.85")
    ]
    assert order == ["steady", "spot"]


def test_the_lost_say_what_they_would_have_given() -> None:
    found = shortlist(tenant(), pool("p"), pool("q", price="3.00"))
    told = {
        (each.pool, each.engine, each.tensor_parallel): each.message for each in losers(found.candidates[0].plan, found)
    }
    assert "1.00 USD/h more than p" in told["q", "vLLM", 1]
    assert "output tokens/s at most for 4.00 USD/h per replica; TP1 carries the load" in told["p", "vLLM", 2]
    assert "`spec.engine: SGLang` asks for SGLang" in told["p", "SGLang", 1]


def test_a_load_is_compared_by_what_all_its_replicas_cost() -> None:
    spec = {"workload": {"requestsPerSecond": "60"}, "scaling": {"minReplicas": 1, "maxReplicas": 500}}
    found = shortlist(
        tenant(spec=spec), pool("p", accelerator="B200-SXM-180GB"), pool("q", accelerator="A100-SXM-80GB")
    )
    told = next(each for each in losers(found.candidates[0].plan, found) if each.pool == "q")
    assert "replicas that the load takes" in told.message


def test_an_equal_market_is_the_same_market() -> None:
    """Free GPUs come and go without a new market, so what was computed for it is remembered."""
    assert market_of([pool("p", on=nodes("p", 2))]) is market_of([pool("p", on=nodes("p", 2, used=(8, 3)))])
    assert market_of([pool("p", price="1.00")]) is not market_of([pool("p", price="2.00")])
