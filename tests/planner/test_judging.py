"""What a replica carries within its promise, and what is said where that is less than its share."""

from typing import Any

import pytest

from builders.fleet import CHECKPOINTS, tenant
from penstock.api.formats import EngineName
from penstock.catalogue.accelerators import by_name
from penstock.planner.judging import Judgement, Misfit, judge
from penstock.planner.requirements import Load, requirements_of
from penstock.planner.speed import PLANNED_UTILISATION, Promise, Replica, capacity, speed

REPLICA = Replica(
    facts=CHECKPOINTS["org/small"],
    accelerator=by_name("H100-SXM-80GB"),
    engine=EngineName.VLLM,
    engine_version="0.33.0",
    tensor_parallel=1,
)
ALONE = speed(REPLICA, requirements_of(tenant()).load.traffic, 1)


def load(*, replicas: int = 1, **spec: Any) -> Load:
    return requirements_of(tenant(spec=spec, replicas=replicas)).load


@pytest.mark.parametrize("first", [None, 1.3, 4, 50])
@pytest.mark.parametrize("each", [None, 1.05, 1.5, 3, 20])
def test_the_greatest_load_is_that_of_the_performance_model(first: float | None, each: float | None) -> None:
    """The search by straight lines ends where the plain one does; promises are multiples of what one request takes."""
    promise = Promise(
        first and first * ALONE.time_to_first_token_seconds, each and each * ALONE.time_per_output_token_seconds
    )
    asked = load()
    for room in (1, 2, 7, 100, 1024):
        want = capacity(REPLICA, asked.traffic, promise, most_concurrent=room)
        found = judge(REPLICA, asked, promise, room, may_grow=True)
        assert want is not None
        assert isinstance(found, Judgement)
        assert found.requests_per_second == pytest.approx(want.requests_per_second)
        assert found.tokens_per_second == pytest.approx(want.speed.output_tokens_per_second)


@pytest.mark.parametrize("each", [None, 1.05, 3])
@pytest.mark.parametrize("room", [1, 2, 100])
def test_without_a_stated_load_what_it_may_be_planned_for_is_expected(room: int, each: float | None) -> None:
    """Not three quarters of the requests in flight: those make more than three quarters of the rate."""
    asked, promise = load(), Promise(None, each and each * ALONE.time_per_output_token_seconds)
    found = judge(REPLICA, asked, promise, room, may_grow=True)
    assert isinstance(found, Judgement)
    assert (found.replicas, found.expected.requests_per_second) == (1, found.requests_per_second)
    assert found.expected.output_tokens_per_second == found.requests_per_second * asked.output_tokens
    in_flight = found.expected.concurrency
    assert speed(REPLICA, asked.traffic, in_flight).requests_per_second >= found.requests_per_second
    assert (
        in_flight == 1 or speed(REPLICA, asked.traffic, in_flight - 1).requests_per_second < found.requests_per_second
    )


def test_replicas_follow_the_load_within_their_bounds() -> None:
    scaling = {"minReplicas": 2, "maxReplicas": 40}
    needed = []
    for rate in ("0.1", "50", "100"):
        found = judge(
            REPLICA, load(workload={"requestsPerSecond": rate}, scaling=scaling), Promise(), 100, may_grow=True
        )
        assert isinstance(found, Judgement)
        assert found.replicas * found.requests_per_second >= float(rate)
        assert found.expected.requests_per_second == pytest.approx(float(rate) / found.replicas)
        needed.append(found.replicas)
    assert needed[0] == 2
    assert needed == sorted(set(needed))


def test_what_is_expected_at_a_rate_makes_the_rate() -> None:
    asked = load(workload={"requestsPerSecond": "5"})
    found = judge(REPLICA, asked, Promise(), 256, may_grow=True)
    assert isinstance(found, Judgement)
    in_flight = found.expected.concurrency
    assert speed(REPLICA, asked.traffic, in_flight).requests_per_second >= 5
    assert in_flight == 1 or speed(REPLICA, asked.traffic, in_flight - 1).requests_per_second < 5


def test_a_promise_leaves_a_quarter_of_its_requests_free() -> None:
    promise = Promise(time_per_output_token_seconds=1.5 * ALONE.time_per_output_token_seconds)
    most = capacity(REPLICA, load().traffic, promise, most_concurrent=1024)
    assert most is not None
    carried = int(most.speed.concurrency * PLANNED_UTILISATION)
    for concurrency, fits in ((carried, True), (carried + 1, False)):
        found = judge(REPLICA, load(workload={"concurrency": concurrency}), promise, 1024, may_grow=True)
        assert isinstance(found, Judgement) is fits


MISFITS: dict[str, tuple[dict[str, Any], Promise, int, str]] = {
    "too slow alone": ({}, Promise(time_to_first_token_seconds=0.001), 100, "with one request at a time"),
    "too slow for its share": (
        {"workload": {"concurrency": 500}},
        Promise(time_per_output_token_seconds=0.01),
        500,
        "500 requests at once come to each replica; would work: ",
    ),
    "no room for its share": (
        {"workload": {"requestsPerSecond": "40"}},
        Promise(),
        10,
        "40.0 requests/s come to each replica; with the 10 requests at once that there is room for",
    ),
    "more than any number of replicas": (
        {"workload": {"requestsPerSecond": "999999999999"}},
        Promise(),
        10,
        "would work: more GPUs per replica, or a faster GPU",
    ),
}


@pytest.mark.parametrize(("spec", "promise", "room", "says"), MISFITS.values(), ids=MISFITS)
def test_a_misfit_has_the_numbers_and_a_cure(spec: dict[str, Any], promise: Promise, room: int, says: str) -> None:
    found = judge(REPLICA, load(**spec), promise, room, may_grow=True)
    assert isinstance(found, Misfit)
    assert says in found.message
    whole_node = judge(REPLICA, load(**spec), promise, room, may_grow=False)
    assert isinstance(whole_node, Misfit)
    cures, fewer = (each.message.split("would work: ")[1] for each in (found, whole_node))
    assert "more GPUs per replica" in cures
    assert "more GPUs per replica" not in fewer
    assert "a faster GPU" in fewer


def test_as_many_replicas_as_the_misfit_names_do_carry_it() -> None:
    spec = {"workload": {"requestsPerSecond": "40"}}
    lost = judge(REPLICA, load(**spec), Promise(), 10, may_grow=True)
    assert isinstance(lost, Misfit)
    count = int(lost.message.split("would work: ")[1].split(" replicas")[0])
    assert isinstance(judge(REPLICA, load(replicas=count, **spec), Promise(), 10, may_grow=True), Judgement)
    assert isinstance(judge(REPLICA, load(replicas=count - 1, **spec), Promise(), 10, may_grow=True), Misfit)
