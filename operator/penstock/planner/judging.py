"""Whether a replica keeps its promise under the load asked of it, what it is expected to do, and how many it takes.

By the performance model alone; memory comes in as the number of requests that there is room for at once.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import ceil

from penstock.planner.plan import Expectation, RejectionReason
from penstock.planner.requirements import Load
from penstock.planner.speed import PLANNED_UTILISATION, Bound, Promise, Replica, Speed, speeds

__all__ = ["Judgement", "Misfit", "counted_requests", "judge", "more_gpus", "most_at_once", "would_work"]

_PLANNED = f"{PLANNED_UTILISATION:.0%}".replace("%", " %")
_FIELDS = {
    Bound.TIME_TO_FIRST_TOKEN: "timeToFirstToken",
    Bound.TIME_PER_OUTPUT_TOKEN: "timePerOutputToken",
}
_FASTER = "a faster GPU"
_MOST_REPLICAS = 1000
_MOST_STEPS = 32


@dataclass(frozen=True, slots=True)
class Misfit:
    """Why it does not fit."""

    reason: RejectionReason
    message: str


@dataclass(frozen=True, slots=True)
class Judgement:
    """A replica that carries its share within the promise.

    `requests_per_second` is what it may be planned for, `expected` what it does at the planned load: the stated one
    over `replicas`, else that rate. `tokens_per_second` is the output at the greatest load within promise and room,
    and `bound` what keeps it from more.
    """

    expected: Expectation
    replicas: int
    requests_per_second: float
    tokens_per_second: float
    bound: Bound


@dataclass(frozen=True, slots=True)
class _Question:
    """One replica, how fast it is with so many in flight, and the most that it carries; `bound` keeps it there."""

    replica: Replica
    load: Load
    promise: Promise
    may_grow: bool
    at: Callable[[int], Speed]
    greatest: Speed
    bound: Bound

    @property
    def rate(self) -> float:
        """Requests per second that a plan counts on."""
        return self.greatest.requests_per_second * PLANNED_UTILISATION

    @property
    def in_flight(self) -> int:
        """Requests in flight that a plan counts on: room is a hard bound, a promise needs the headroom of bursts."""
        if self.bound is Bound.CONCURRENCY:
            return self.greatest.concurrency
        return max(1, int(self.greatest.concurrency * PLANNED_UTILISATION))

    @property
    def needed(self) -> int:
        """Replicas that carry the whole load, whatever the deployment's bounds."""
        load, needed = self.load, 1
        if load.total_requests_per_second is not None:
            needed = ceil(load.total_requests_per_second / self.rate)
        elif load.total_concurrency is not None:
            needed = ceil(load.total_concurrency / self.in_flight)
        return max(needed, load.fewest_replicas)


def judge(replica: Replica, load: Load, promise: Promise, room: int, *, may_grow: bool) -> Judgement | Misfit:
    """What it does under its share of the load with room for `room` requests at once, or which number is wrong.

    `may_grow`: a replica could have more GPUs of its node.
    """
    at = speeds(replica, load.traffic)
    alone = at(1)
    if _strain(alone, promise) > 1:
        return _out_of_reach(replica, promise, alone, may_grow=may_grow)
    question = _Question(replica, load, promise, may_grow, at, *_greatest(at, promise, max(1, room)))
    if question.needed > load.most_replicas:
        return _overloaded(question)
    return Judgement(
        expected=_expected(question),
        replicas=question.needed,
        requests_per_second=question.rate,
        tokens_per_second=question.greatest.output_tokens_per_second,
        bound=question.bound,
    )


def most_at_once(replica: Replica, load: Load, promise: Promise, room: int) -> int:
    """Requests in flight that a plan may count on where there is room for `room`; 0 where one alone is too slow."""
    at = speeds(replica, load.traffic)
    if _strain(at(1), promise) > 1:
        return 0
    return _Question(replica, load, promise, False, at, *_greatest(at, promise, max(1, room))).in_flight


def _strain(found: Speed, promise: Promise) -> float:
    """The worse of the two times, as a share of what is promised; more than 1 breaks the promise."""
    first, each = promise.time_to_first_token_seconds, promise.time_per_output_token_seconds
    return max(
        found.time_to_first_token_seconds / first if first else 0.0,
        found.time_per_output_token_seconds / each if each else 0.0,
    )


def _greatest(at: Callable[[int], Speed], promise: Promise, room: int) -> tuple[Speed, Bound]:
    """The most requests at once that keep the promise, as `capacity` finds them; one alone keeps it.

    Times grow almost evenly with the load, so a straight line finds the place in a few steps; every other step halves.
    """
    kept, broken = at(1), at(room)
    if _strain(broken, promise) <= 1:
        return broken, Bound.CONCURRENCY
    straight = True
    while broken.concurrency - kept.concurrency > 1:
        low, high = _strain(kept, promise), _strain(broken, promise)
        share = (1 - low) / (high - low) if straight and high > low else 0.5
        guess = kept.concurrency + int(share * (broken.concurrency - kept.concurrency))
        found = at(min(max(guess, kept.concurrency + 1), broken.concurrency - 1))
        kept, broken = (kept, found) if _strain(found, promise) > 1 else (found, broken)
        straight = not straight
    each = promise.time_per_output_token_seconds
    late = each is not None and broken.time_per_output_token_seconds > each
    return kept, Bound.TIME_PER_OUTPUT_TOKEN if late else Bound.TIME_TO_FIRST_TOKEN


def _expected(question: _Question) -> Expectation:
    load, replicas = question.load, question.needed
    if load.total_requests_per_second is not None:
        rate = load.total_requests_per_second / replicas
        found = _at_rate(question, rate)
    elif load.total_concurrency is not None:
        found = question.at(ceil(load.total_concurrency / replicas))
        rate = found.requests_per_second
    else:
        rate = question.rate
        found = _at_rate(question, rate)
    return Expectation(
        concurrency=found.concurrency,
        time_to_first_token_milliseconds=found.time_to_first_token_seconds * 1000,
        time_per_output_token_milliseconds=found.time_per_output_token_seconds * 1000,
        requests_per_second=rate,
        output_tokens_per_second=rate * load.output_tokens,
    )


def _at_rate(question: _Question, rate: float) -> Speed:
    """With the fewest requests in flight that make the rate: Little's law, from below, step by step."""
    found = question.at(1)
    for _ in range(_MOST_STEPS):
        wanted = ceil(rate * found.concurrency / found.requests_per_second)
        if wanted <= found.concurrency:
            return found
        if wanted >= question.greatest.concurrency:
            return question.greatest
        found = question.at(wanted)
    return found


def _out_of_reach(replica: Replica, promise: Promise, alone: Speed, *, may_grow: bool) -> Misfit:
    """Even one request at a time breaks the promise."""
    each = promise.time_per_output_token_seconds
    if each is not None and alone.time_per_output_token_seconds > each:
        bound, wanted, found = Bound.TIME_PER_OUTPUT_TOKEN, each, alone.time_per_output_token_seconds
    else:
        wanted = promise.time_to_first_token_seconds or 0.0
        bound, found = Bound.TIME_TO_FIRST_TOKEN, alone.time_to_first_token_seconds
    message = (
        f"`spec.serviceLevel.{_FIELDS[bound]}Milliseconds` asks for {wanted * 1000:.10g} ms, and {_gpus(replica)} are"
        f" predicted to take {found * 1000:.1f} ms with one request at a time;"
        f" {would_work(*more_gpus(may_grow=may_grow), _FASTER, f'{ceil(found * 1000)} ms')}"
    )
    return Misfit(RejectionReason.SERVICE_LEVEL, message)


def _overloaded(question: _Question) -> Misfit:
    """It carries something, and less than its share."""
    load = question.load
    if question.bound is Bound.CONCURRENCY:
        message = (
            f"{_share(load)}; with the {counted_requests(question.greatest.concurrency)} at once that there is room"
            f" for, {_gpus(question.replica)} are predicted to do {_counted_on(question)};"
            f" {would_work(*_cures(question))}"
        )
        return Misfit(RejectionReason.NO_ROOM_FOR_LOAD, message)
    wanted, found = _broken(question)
    message = (
        f"`spec.serviceLevel.{_FIELDS[question.bound]}Milliseconds` asks for {wanted * 1000:.10g} ms, and"
        f" {_gpus(question.replica)} are predicted to take {found * 1000:.1f} ms with"
        f" {counted_requests(question.greatest.concurrency + 1)} at once: they do {_counted_on(question)},"
        f" and {_share(load)};"
        f" {would_work(*_cures(question), 'a longer time')}"
    )
    return Misfit(RejectionReason.SERVICE_LEVEL, message)


def _broken(question: _Question) -> tuple[float, float]:
    """The promise that the next request would break, and what is predicted then, in seconds."""
    beyond, promise = question.at(question.greatest.concurrency + 1), question.promise
    if question.bound is Bound.TIME_PER_OUTPUT_TOKEN:
        return promise.time_per_output_token_seconds or 0.0, beyond.time_per_output_token_seconds
    return promise.time_to_first_token_seconds or 0.0, beyond.time_to_first_token_seconds


def _share(load: Load) -> str:
    of = f" (of {load.most_replicas:,})" if load.most_replicas > 1 else ""
    if load.total_requests_per_second is not None:
        return f"{_figure(load.total_requests_per_second / load.most_replicas)} requests/s come to each replica{of}"
    return f"{counted_requests(load.concurrency or 0)} at once come to each replica{of}"


def _counted_on(question: _Question) -> str:
    if question.load.total_requests_per_second is not None:
        return f"{_figure(question.rate)} requests/s when planned at {_PLANNED}"
    return f"{counted_requests(question.in_flight)} at once when planned at {_PLANNED}"


def _cures(question: _Question) -> tuple[str, ...]:
    replicas = (f"{question.needed:,} replicas",) if question.needed <= _MOST_REPLICAS else ()
    return (*replicas, *more_gpus(may_grow=question.may_grow), _FASTER)


def more_gpus(*, may_grow: bool) -> tuple[str, ...]:
    """A cure, but for a replica that has all GPUs of its node."""
    return ("more GPUs per replica",) if may_grow else ()


def would_work(*cures: str) -> str:
    """`would work: this, that, or the other`."""
    return f"would work: {', '.join(cures[:-1])}{', or ' if cures[1:] else ''}{cures[-1]}"


def _gpus(replica: Replica) -> str:
    return f"{replica.gpus} x {replica.accelerator.name}"


def counted_requests(count: int) -> str:
    """`1 request`, `1,234 requests`."""
    return f"{count:,} request" if count == 1 else f"{count:,} requests"


def _figure(value: float) -> str:
    return f"{value:,.1f}" if value >= 1 else f"{value:.3g}"
