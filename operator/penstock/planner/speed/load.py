"""A replica under load: latency and throughput at a concurrency or a rate, and the greatest load within promises."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from penstock.catalogue.roofline import Residual, Tuning, derates, residual, tuning, under_load
from penstock.planner.speed.amounts import Amounts, amounts_of
from penstock.planner.speed.replica import PLANNED_UTILISATION, Bound, Capacity, Promise, Replica, Speed, Traffic
from penstock.planner.speed.steps import (
    Unloaded,
    first_token_seconds,
    interference_seconds,
    step_seconds,
    unloaded_seconds,
)

__all__ = ["capacity", "decode_speed", "prefill_tokens_per_second", "speed", "speed_at_rate", "speeds", "unvalidated"]

_MOST_CONCURRENT = 65_536
_HALVINGS = 40
_RANDOM_ARRIVALS = 0.5
"""Mean wait of a single server with even service times, per busy share over idle share and service time."""


@dataclass(frozen=True, slots=True)
class _Model:
    """All that does not depend on the load; `time` is how much slower the replica is than formula and constants."""

    amounts: Amounts
    tuning: Tuning
    unloaded: Unloaded
    residual: Residual
    time: float
    resident: float

    def step(self, running: float) -> float:
        """Seconds of one step."""
        return step_seconds(self.amounts, self.tuning, self.unloaded, running) * self.time * self.residual.step

    def prefill(self) -> float:
        """Seconds of one prompt alone."""
        return self.unloaded.prefill * self.time * self.residual.step

    def each(self, running: float) -> float:
        """Seconds per output token, with what prompts of others add to each step."""
        return self._each(*self._steps(running))

    def first_and_each(self, running: float) -> tuple[float, float]:
        """Seconds to the first token of a request that finds room, and those of each token after it."""
        step, interference = self._steps(running)
        taken = first_token_seconds(
            self.tuning, self.unloaded, running, step=step + interference, interference=interference
        )
        return taken * self.time * self.residual.first_token, self._each(step, interference)

    def _steps(self, running: float) -> tuple[float, float]:
        """A step and what prompts of others add to it, by formula and constants alone."""
        amounts, tuning, unloaded = self.amounts, self.tuning, self.unloaded
        return (
            step_seconds(amounts, tuning, unloaded, running),
            interference_seconds(amounts, tuning, unloaded, running),
        )

    def _each(self, step: float, interference: float) -> float:
        # Each factor by itself: the same bits whichever of the two is asked for.
        slower, residual = self.time, self.residual.step
        return (step * slower * residual + interference * slower * residual) / self.amounts.tokens_per_step


def speed(replica: Replica, traffic: Traffic, concurrency: int) -> Speed:
    """Latency and throughput with `concurrency` requests in flight (at least 1)."""
    return _closed_loop(_model(replica, traffic), concurrency)


def speeds(replica: Replica, traffic: Traffic) -> Callable[[int], Speed]:
    """`speed` for any number of requests in flight; nothing is worked out twice."""
    model, known = _model(replica, traffic), dict[int, Speed]()

    def at(concurrency: int) -> Speed:
        found = known.get(concurrency)
        if found is None:
            found = known[concurrency] = _closed_loop(model, concurrency)
        return found

    return at


def decode_speed(replica: Replica, traffic: Traffic, concurrency: int) -> Speed:
    """A worker that only decodes: no prompt ever takes time from its steps; TTFT is one step."""
    model = _model(replica, traffic)
    running = min(float(max(1, concurrency)), model.resident)
    step = model.step(running)
    each = step / model.amounts.tokens_per_step
    whole = step + each * (model.amounts.output_tokens - 1)
    return _counted(model, concurrency, running, first=step, each=each, whole=whole)


def prefill_tokens_per_second(replica: Replica, prompt_tokens: int) -> float:
    """Prompt tokens that a worker which only prefills gets through, with prompts of this length waiting."""
    model = _model(replica, Traffic(prompt_tokens, 1))
    return max(1, prompt_tokens) / model.prefill() * model.amounts.stages


def speed_at_rate(replica: Replica, traffic: Traffic, requests_per_second: float) -> Speed | None:
    """With requests that arrive at random at this rate; None where the replica cannot keep up.

    The concurrency is what builds up (Little's law); TTFT waits for prompts that arrived before, not in waves.
    """
    model = _model(replica, traffic)
    most = min(model.resident, float(_MOST_CONCURRENT))
    if _open_loop_rate(model, most) < requests_per_second:
        return None
    low, high = 0.0, most
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (low, middle) if _open_loop_rate(model, middle) >= requests_per_second else (middle, high)
    running = max(1.0, high)
    first, each = _open_loop_first(model, running, requests_per_second), model.each(running)
    tokens = requests_per_second * model.amounts.output_tokens
    return Speed(max(1, round(high)), first, each, requests_per_second, tokens)


def capacity(replica: Replica, traffic: Traffic, promise: Promise, *, most_concurrent: int) -> Capacity | None:
    """The greatest load that keeps the promise with at most `most_concurrent` in flight; None where one breaks it."""
    model = _model(replica, traffic)
    if most_concurrent < 1 or _broken(_closed_loop(model, 1), promise):
        return None
    kept, broken = 1, most_concurrent + 1
    while broken - kept > 1:
        middle = (kept + broken) // 2
        if _broken(_closed_loop(model, middle), promise):
            broken = middle
        else:
            kept = middle
    found = _closed_loop(model, kept)
    bound = Bound.CONCURRENCY
    if broken <= most_concurrent:
        bound = _broken(_closed_loop(model, broken), promise) or bound
    return Capacity(found.requests_per_second * PLANNED_UTILISATION, found, bound)


def unvalidated(replica: Replica) -> tuple[str, ...]:
    """Why figures of this replica rest on less than measured rows of its kind: name and evidence of each derate."""
    found = derates(replica.engine, replica.engine_version, replica.accelerator)
    return tuple(f"{derate.name}: {derate.evidence}" for derate in found)


def _model(replica: Replica, traffic: Traffic) -> _Model:
    facts, engine, version = replica.facts, replica.engine, replica.engine_version
    time, saturation = replica.correction, 1.0
    for derate in derates(engine, version, replica.accelerator):
        time, saturation = time * derate.time, saturation * derate.saturation
    amounts = amounts_of(replica, traffic)
    tuned = under_load(tuning(engine, replica.accelerator, facts.precision), saturation)
    return _Model(
        amounts=amounts,
        tuning=tuned,
        unloaded=unloaded_seconds(amounts, tuned),
        residual=residual(facts.architecture, engine, version, replica.accelerator, facts.precision),
        time=time,
        resident=float(max(1, replica.most_resident)) if replica.most_resident is not None else float("inf"),
    )


def _closed_loop(model: _Model, concurrency: int) -> Speed:
    running = min(float(max(1, concurrency)), model.resident)
    first, each = model.first_and_each(running)
    whole = first + each * (model.amounts.output_tokens - 1)
    return _counted(model, concurrency, running, first=first, each=each, whole=whole)


def _counted(model: _Model, concurrency: int, running: float, *, first: float, each: float, whole: float) -> Speed:
    """Requests beyond those that the cache holds wait until others end (Little's law)."""
    rate = running / whole
    waiting = (max(1, concurrency) - running) / rate
    return Speed(max(1, concurrency), first + waiting, each, rate, rate * model.amounts.output_tokens)


def _open_loop_rate(model: _Model, running: float) -> float:
    """Requests per second that keep so many running, had none to wait for its prompt."""
    at_least = max(1.0, running)
    whole = model.step(at_least) + model.prefill() + model.each(at_least) * (model.amounts.output_tokens - 1)
    return running / whole


def _open_loop_first(model: _Model, running: float, rate: float) -> float:
    prefill = model.prefill()
    busy = min(0.99, rate * prefill / model.amounts.stages)
    alone = (model.tuning.admission + model.step(running)) * model.residual.first_token
    return alone + prefill * (1 + _RANDOM_ARRIVALS * busy / (1 - busy))


def _broken(found: Speed, promise: Promise) -> Bound | None:
    return next(_breaches(found, promise), None)


def _breaches(found: Speed, promise: Promise) -> Iterator[Bound]:
    first, each = promise.time_to_first_token_seconds, promise.time_per_output_token_seconds
    if each is not None and found.time_per_output_token_seconds > each:
        yield Bound.TIME_PER_OUTPUT_TOKEN
    if first is not None and found.time_to_first_token_seconds > first:
        yield Bound.TIME_TO_FIRST_TOKEN
