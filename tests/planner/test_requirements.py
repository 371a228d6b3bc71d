"""What a deployment asks: its load by Little's law, its checkpoints, its engines."""

from typing import Any

import pytest

from builders.fleet import tenant, variants
from penstock.api.formats import EngineName, Precision
from penstock.api.refusals import Refusal
from penstock.planner.requirements import requirements_of

LOADS: dict[str, tuple[dict[str, Any], int, int | None, int | None]] = {
    "nothing stated": ({}, 1, None, None),
    "concurrency is taken as it is": ({"workload": {"concurrency": 40}}, 1, 40, 40),
    "replicas share the concurrency, rounded up": ({"workload": {"concurrency": 41}}, 4, 11, 11),
    "replicas that scaling may add share it, and may not be there": (
        {"workload": {"concurrency": 80}, "scaling": {"minReplicas": 2, "maxReplicas": 8}},
        1,
        10,
        40,
    ),
    "a rate at the promised latency": (
        # 4/s for 1 s + 300 tokens of 40 ms = 13 s: 52 in flight.
        {
            "workload": {"requestsPerSecond": "4", "outputTokens": 300},
            "serviceLevel": {"timeToFirstTokenMilliseconds": 1000, "timePerOutputTokenMilliseconds": 40},
        },
        1,
        None,
        52,
    ),
    "a slow trickle is one request": ({"workload": {"requestsPerSecond": "0.001", "outputTokens": 1}}, 1, None, 1),
}


@pytest.mark.parametrize(("spec", "replicas", "share", "likely"), LOADS.values(), ids=LOADS)
def test_concurrency_of_one_replica(spec: dict[str, Any], replicas: int, share: int | None, likely: int | None) -> None:
    """What each must hold where all share a stated concurrency, and what the engine may be told of."""
    load = requirements_of(tenant(spec=spec, replicas=replicas)).load
    assert (load.concurrency, load.likely_concurrency) == (share, likely)


KV_CACHES: dict[str, tuple[list[str], str, tuple[EngineName, ...]]] = {
    "nothing said": ([], "auto", (EngineName.VLLM, EngineName.SGLANG)),
    "8 bits": (["--kv-cache-dtype", "fp8_e4m3"], "fp8_e4m3", (EngineName.VLLM, EngineName.SGLANG)),
    "8 bits in one word": (["--kv_cache_dtype=fp8"], "fp8", (EngineName.VLLM,)),
    "what the plan does not know": (["--kv-cache-dtype", "int4"], "auto", (EngineName.VLLM, EngineName.SGLANG)),
    "no value": (["--kv-cache-dtype"], "auto", (EngineName.VLLM, EngineName.SGLANG)),
}


@pytest.mark.parametrize(("arguments", "dtype", "engines"), KV_CACHES.values(), ids=KV_CACHES)
def test_an_eight_bit_cache_only_where_the_user_says_so(
    arguments: list[str], dtype: str, engines: tuple[EngineName, ...]
) -> None:
    wants = requirements_of(tenant(spec={"engineArgs": arguments}))
    assert (wants.kv_cache_dtype, wants.engines) == (dtype, engines)


@pytest.mark.parametrize(
    ("concurrency", "want"), [(None, 256), (1, 16), (100, 150), (5000, 1024)], ids=["default", "least", "1.5x", "most"]
)
def test_requests_at_once_that_the_engine_is_told(concurrency: int | None, want: int) -> None:
    workload = {"concurrency": concurrency} if concurrency else {}
    assert requirements_of(tenant(spec={"workload": workload})).load.max_sequences == want


def test_an_unknown_checkpoint_says_why_and_the_known_ones_remain() -> None:
    refusal = Refusal("spec.variants[0].model", "org/large-fp8", "the hub is away", "Wait")
    facts = {model: known for model, known in tenant().facts.items() if model != "org/large-fp8"}
    asked = tenant(
        spec={"model": "org/large", "variants": variants(Precision.FP8)},
        facts=facts,
        unknown={"org/large-fp8": refusal},
    )
    wants = requirements_of(asked)
    assert [each.checkpoint.model for each in wants.known] == ["org/large"]
    assert [(each.precision, each.refusal) for each in wants.unknown] == [(Precision.FP8, refusal)]


def test_a_checkpoint_at_a_revision_is_another_one() -> None:
    asked = tenant(spec={"model": "org/small", "revision": "abc"})
    assert not requirements_of(asked).known
    assert "org/small" in str(requirements_of(asked).unknown[0].refusal)


def test_auto_tries_vllm_first_and_a_named_engine_is_the_only_one() -> None:
    assert requirements_of(tenant()).engines == (EngineName.VLLM, EngineName.SGLANG)
    assert requirements_of(tenant(spec={"engine": "SGLang"})).engines == (EngineName.SGLANG,)
