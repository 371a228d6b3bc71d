"""Decisions in words."""

import re

from builders.fleet import nodes, place_one, pool, tenant
from penstock.planner.explain import headline, nearest_misses, table, why_nothing_fits
from penstock.planner.plan import Rejection, RejectionReason


def test_the_headline_says_where_and_what_it_costs() -> None:
    said = headline(place_one([pool("p", price="2.50")], tenant(replicas=2)))
    assert said == (
        "Placed: 2 replicas in pool p, each vLLM BF16 on 1 x H100-SXM-80GB at 2.50 USD/h, requests up to 40,960 tokens"
    )


def test_a_lowered_context_and_the_predicted_speed_are_said() -> None:
    spec = {"model": "org/large", "workload": {"requestsPerSecond": "0.2"}}
    pools = [pool("p", accelerator="A100-SXM-80GB", on=nodes("p", 1, gpus=2))]
    said = headline(place_one(pools, tenant(spec=spec)))
    assert "requests up to 16,384 tokens (the KV cache holds no more of the model's 131,072)" in said
    assert re.search(r"for \d+ requests at once per replica with a first token after [\d,]+ ms and one each", said)


def test_the_table_starts_with_the_choice() -> None:
    rows = table(place_one([pool("p"), pool("q", price="5.00")], tenant()))
    assert [row.chosen for row in rows[:2]] == [True, False]
    assert (rows[0].pool, rows[0].price_per_replica_hour) == ("p", "2.00 USD")
    assert (rows[1].pool, rows[1].reason) == ("q", "CostsMore")


def test_the_nearest_miss_of_each_pool_is_told_first() -> None:
    lost = (
        Rejection(RejectionReason.WEIGHTS_TOO_LARGE, "small", pool="a", tensor_parallel=1),
        Rejection(RejectionReason.CONTEXT_TOO_LARGE, "nearly", pool="a", tensor_parallel=2),
        Rejection(RejectionReason.JURISDICTION, "abroad", pool="b"),
        Rejection(RejectionReason.NOT_PREFERRED, "other engine", engine="SGLang"),
    )
    assert [each.message for each in nearest_misses(lost)] == ["nearly", "abroad"]
    assert why_nothing_fits(lost) == ("ContextDoesNotFit", "it fits nowhere: a: nearly | b: abroad")


def test_many_misses_are_counted_not_listed() -> None:
    lost = tuple(Rejection(RejectionReason.NO_FREE_GPUS, "full", pool=f"p{index}") for index in range(9))
    assert why_nothing_fits(lost)[1].endswith("| and 3 more")
