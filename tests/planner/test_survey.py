"""One model over GPUs and sizes: what fits, which is best, and what the figures mean."""

import re
from collections.abc import Mapping
from typing import Any

import pytest

from penstock.api.formats import EngineName
from penstock.api.quantities import Money
from penstock.catalogue.accelerators import by_name
from penstock.catalogue.models import built_in
from penstock.planner.fitting import FitQuestion, Way, fit
from penstock.planner.outlook import token_price
from penstock.planner.plan import RejectionReason
from penstock.planner.requirements import Load
from penstock.planner.speed import Promise
from penstock.planner.survey import Limit, SurveyQuestion, SurveyRow, survey

MODEL = built_in("Qwen/Qwen3-32B")
assert MODEL is not None
LOAD = Load(None, prompt_tokens=1000, output_tokens=250, stated=True)
PRICES = {"H100-SXM-80GB": Money.parse("2.50", "USD"), "A100-SXM-80GB": Money.parse("1.20", "USD")}


def asked(*gpus: str, **changes: Any) -> tuple[SurveyRow, ...]:
    accelerators = tuple(by_name(name) for name in gpus or ("H100-SXM-80GB",))
    question = {"checkpoints": (MODEL,), "accelerators": accelerators, "load": LOAD, "promise": Promise(), **changes}
    return survey(SurveyQuestion(**question))


def load(**changes: Any) -> Load:
    return Load(**{"max_context_tokens": None, "prompt_tokens": 1000, "output_tokens": 250, "stated": True, **changes})


def in_flight(count: int) -> Load:
    return load(total_concurrency=count, likely_concurrency=count)


def test_there_is_a_row_for_every_size_in_the_order_asked_and_one_of_them_is_the_best() -> None:
    rows = asked("A100-SXM-80GB", "H100-SXM-80GB")
    assert [(row.accelerator[:4], row.tensor_parallel) for row in rows] == [
        (gpu, size) for gpu in ("A100", "H100") for size in (1, 2, 4, 8)
    ]
    assert sum(row.best for row in rows) == 1


def test_it_fits_where_the_planner_fits_it_with_the_same_memory() -> None:
    for row in asked():
        found = fit(
            FitQuestion(
                facts=MODEL,
                accelerator=by_name(row.accelerator),
                engine=EngineName.VLLM,
                engine_version=row.engine_version,
                way=Way(row.tensor_parallel),
                node_gpus=8,
                load=LOAD,
                promise=Promise(),
            )
        )
        assert row.memory == found.memory
        assert row.longest_context_tokens <= min(found.memory.kv_tokens, MODEL.max_context_tokens)


def test_attention_ranks_and_whole_experts_are_surveyed_where_planning_would_try_them() -> None:
    known = built_in("deepseek-ai/DeepSeek-R1")
    long = load(prompt_tokens=8192, output_tokens=1024)
    rows = {row.layout: row for row in asked("H200-SXM-141GB", checkpoints=(known,), load=long)}
    assert set(rows) == {"TP1", "TP2", "TP4", "TP8", "TP8 EP8", "TP8 DP8"}
    plain, ranks = rows["TP8"], rows["TP8 DP8"]
    assert ranks.memory is not None
    assert (ranks.kv_tokens, ranks.gpus) == (ranks.memory.kv_tokens * 8, 8)
    assert ranks.kv_tokens > plain.kv_tokens
    short = asked("H200-SXM-141GB", checkpoints=(known,))
    assert "TP8 DP8" not in {row.layout for row in short}


def test_a_pipeline_stands_only_where_no_group_of_as_many_gpus_fits_and_is_the_best_only_where_none_does() -> None:
    rows = asked("L40S-48GB", load=in_flight(16))
    assert [(row.layout, row.fits) for row in rows if row.gpus > 2] == [
        ("TP4", True),
        ("TP8", False),
        ("TP2xPP4", True),
    ]
    (best,) = [row for row in rows if row.best]
    assert best.pipeline_parallel == 1
    only = [row for row in asked("L40S-48GB", sizes=(2,)) if row.fits]
    assert {row.layout for row in only} >= {"TP2xPP2", "TP2xPP4"}


LIMITS: Mapping[Limit, dict[str, Any]] = {
    Limit.TIME_TO_FIRST_TOKEN: {"promise": Promise(0.2, None)},
    Limit.TIME_PER_OUTPUT_TOKEN: {"promise": Promise(None, 0.03)},
    Limit.CACHE: {"load": load(prompt_tokens=8000, output_tokens=1000)},
    Limit.SEQUENCES: {"load": load(prompt_tokens=100, output_tokens=50)},
}


@pytest.mark.parametrize(("limit", "changes"), LIMITS.items(), ids=map(str, LIMITS))
def test_a_row_says_what_binds(limit: Limit, changes: dict[str, Any]) -> None:
    (row,) = asked("H100-SXM-80GB", sizes=(4,), **changes)
    assert row.limit is limit


def test_a_replica_across_nodes_is_named_and_not_offered() -> None:
    known = built_in("deepseek-ai/DeepSeek-R1")
    *within, across = asked("H100-SXM-80GB", checkpoints=(known,))
    assert {row.reason for row in within} == {RejectionReason.WEIGHTS_TOO_LARGE}
    assert (across.layout, across.gpus, across.reason) == ("TP8xPP2", 16, RejectionReason.NO_WHOLE_NODE)
    assert not [row for row in asked("H100-SXM-80GB", checkpoints=(known,), sizes=(1, 2)) if row.gpus > 8]


MISFITS: Mapping[str, tuple[dict[str, Any], RejectionReason, str]] = {
    "weights": ({"accelerators": (by_name("L4-24GB"),)}, RejectionReason.WEIGHTS_TOO_LARGE, "of weights"),
    "context": ({"load": load(max_context_tokens=40_000)}, RejectionReason.CONTEXT_TOO_LARGE, "40,000 tokens"),
    "load": ({"load": in_flight(900)}, RejectionReason.NO_ROOM_FOR_LOAD, "900 requests at once"),
    "heads": ({"sizes": (3,)}, RejectionReason.SHARDING, "64 attention heads cannot be shared by 3 GPUs"),
    "promise": ({"promise": Promise(None, 0.001)}, RejectionReason.SERVICE_LEVEL, "1 ms"),
    "format": (
        {"checkpoints": (built_in("nvidia/Qwen3-32B-NVFP4"),)},
        RejectionReason.PRECISION_UNSUPPORTED,
        "it cannot run NVFP4",
    ),
    "engine": (
        {
            "checkpoints": (built_in("openai/gpt-oss-20b"),),
            "accelerators": (by_name("MI300X"),),
            "engines": (EngineName.SGLANG,),
        },
        RejectionReason.ENGINE_UNSUPPORTED,
        "SGLang does not run MXFP4",
    ),
}


@pytest.mark.parametrize(("changes", "reason", "says"), MISFITS.values(), ids=MISFITS)
def test_what_does_not_fit_says_what_binds(changes: dict[str, Any], reason: RejectionReason, says: str) -> None:
    row = asked(**changes)[0]
    assert not row.fits
    assert row.reason == reason
    assert says in row.message
    assert "would work" in row.message or "use tensor parallel" in row.message


def test_a_promise_that_the_load_breaks_says_so_with_numbers() -> None:
    free = asked(sizes=(2,), load=in_flight(48))[0].expected
    assert free is not None
    promise = Promise(None, free.time_per_output_token_milliseconds * 0.9 / 1000)
    (row,) = asked(sizes=(2,), load=in_flight(48), promise=promise)
    assert row.reason == RejectionReason.SERVICE_LEVEL
    assert re.search(r"predicted to take [0-9.]+ ms with \d+ requests? at once", row.message)


def test_the_best_is_the_cheapest_per_token_of_those_with_a_price() -> None:
    rows = asked("A100-SXM-80GB", "H100-SXM-80GB", "H200-SXM-141GB", prices=PRICES)
    priced = [row for row in rows if row.fits and row.token_price]
    best = next(row for row in rows if row.best)
    assert best.token_price is not None
    assert all(best.token_price.all_tokens <= row.token_price.all_tokens for row in priced if row.token_price)
    assert all(row.price_per_hour is None for row in rows if row.accelerator.startswith("H200"))


def test_without_prices_the_best_has_most_tokens_per_gpu() -> None:
    rows = [row for row in asked() if row.expected]
    rates = [row.expected.output_tokens_per_second / row.tensor_parallel for row in rows if row.expected]
    assert next(row for row in rows if row.best) is rows[rates.index(max(rates))]


def test_a_request_rate_takes_as_many_replicas_as_carry_it_within_what_one_is_planned_for() -> None:
    alone = asked(sizes=(2,), prices=PRICES)[0]
    rate = alone.requests_per_second * 2.5
    (row,) = asked(sizes=(2,), prices=PRICES, load=load(total_requests_per_second=rate, most_replicas=1000))
    assert row.replicas == 3
    assert row.expected is not None
    assert row.expected.requests_per_second == pytest.approx(rate / 3)
    assert str(row.price_per_hour) == "15.00 USD"
    assert row.token_price == token_price(Money.parse("15", "USD"), rate * 250, LOAD)


def test_a_concurrency_is_what_it_is_timed_at() -> None:
    few, many = (asked(sizes=(2,), load=in_flight(count))[0].expected for count in (4, 64))
    assert few is not None
    assert many is not None
    assert (few.concurrency, many.concurrency) == (4, 64)
    assert few.time_per_output_token_milliseconds < many.time_per_output_token_milliseconds
    assert few.output_tokens_per_second < many.output_tokens_per_second


@pytest.mark.parametrize(("gpu", "marked"), [("MI300X", True), ("A100-SXM-80GB", True), ("H100-SXM-80GB", False)])
def test_speed_that_was_not_checked_says_so(gpu: str, *, marked: bool) -> None:
    assert all(bool(row.unvalidated) is marked for row in asked(gpu))
