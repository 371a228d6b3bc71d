"""What one deployment asks of any place: its checkpoints, load, service level, borders and money.

Taken from the tenant once, as hashable values, so that everything which depends on them alone can be remembered
from one pass to the next. Nothing here knows pools, nodes or free GPUs.
"""

from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal

from penstock.api.formats import EngineName, Precision
from penstock.api.modeldeployment import (
    EngineChoice,
    ModelDeploymentSpec,
    ServiceLevel,
    Source,
    WeightCache,
    Workload,
)
from penstock.api.quantities import Money
from penstock.api.refusals import Refusal
from penstock.catalogue.models import ModelFacts
from penstock.planner.fleet import FailedPlan, Tenant
from penstock.planner.learnt import NOTHING_LEARNT, Learnt
from penstock.planner.plan import Checkpoint

__all__ = ["KnownCheckpoint", "Load", "Requirements", "UnknownCheckpoint", "requirements_of"]

_TYPICAL_PROMPT_TOKENS = 1536
_TYPICAL_OUTPUT_TOKENS = 512
_TYPICAL_FIRST_TOKEN_MILLISECONDS = 1000
_TYPICAL_OUTPUT_TOKEN_MILLISECONDS = 50
_HEADROOM = 1.5
_FEWEST_SEQUENCES, _MOST_SEQUENCES, _DEFAULT_SEQUENCES = 16, 1024, 256


@dataclass(frozen=True, slots=True)
class KnownCheckpoint:
    """A checkpoint and its facts; `own` is true for `spec.model` itself, false for a variant."""

    checkpoint: Checkpoint
    facts: ModelFacts
    own: bool


@dataclass(frozen=True, slots=True)
class UnknownCheckpoint:
    """A checkpoint of which nothing is known, and why; `precision` None: that of `spec.model`."""

    model: str
    precision: Precision | None
    refusal: Refusal


@dataclass(frozen=True, slots=True)
class Load:
    """What one replica must hold.

    `max_context_tokens` None: as much of the model's own maximum as fits. `concurrency` is the share of one replica,
    None where nobody said; `estimated` where it was derived from requests per second.
    """

    max_context_tokens: int | None
    prompt_tokens: int
    output_tokens: int
    stated: bool
    concurrency: int | None
    estimated: bool

    @property
    def request_tokens(self) -> int:
        """Tokens of a mean request, prompt and output."""
        return self.prompt_tokens + self.output_tokens

    @property
    def kv_tokens(self) -> int:
        """Tokens that the KV cache must hold for the concurrent requests; 0 where no concurrency is known."""
        return (self.concurrency or 0) * self.request_tokens

    @property
    def max_sequences(self) -> int:
        """How many requests the engine is told to run at once, with headroom over the concurrency."""
        if self.concurrency is None:
            return _DEFAULT_SEQUENCES
        return min(max(int(self.concurrency * _HEADROOM), _FEWEST_SEQUENCES), _MOST_SEQUENCES)

    @property
    def fewest_sequences(self) -> int:
        """How far the number of requests at once may be lowered to make room."""
        return min(max(self.concurrency or 0, _FEWEST_SEQUENCES), _MOST_SEQUENCES)


@dataclass(frozen=True, slots=True)
class Requirements:
    """Everything about a deployment that decides which places fit it."""

    namespace: str
    namespace_labels: frozenset[tuple[str, str]]
    known: tuple[KnownCheckpoint, ...]
    unknown: tuple[UnknownCheckpoint, ...]
    engines: tuple[EngineName, ...]
    pools: tuple[str, ...]
    jurisdictions: tuple[str, ...]
    ceiling: Money | None
    load: Load
    time_to_first_token_seconds: float | None
    time_per_output_token_seconds: float | None
    needs_node_cache: bool
    learnt: Learnt = NOTHING_LEARNT
    failed: tuple[FailedPlan, ...] = ()


def requirements_of(tenant: Tenant) -> Requirements:
    """What the tenant asks, whatever the fleet looks like."""
    spec, ceiling = tenant.spec, tenant.spec.placement.max_price_per_replica_hour
    known, unknown = _checkpoints(tenant)
    level = spec.service_level
    return Requirements(
        namespace=tenant.key[0],
        namespace_labels=frozenset(tenant.namespace_labels.items()),
        known=known,
        unknown=unknown,
        engines=_engines(spec.engine),
        pools=spec.placement.pools,
        jurisdictions=spec.placement.jurisdictions,
        ceiling=ceiling.money if ceiling else None,
        load=_load(spec, replicas=tenant.replicas),
        time_to_first_token_seconds=_seconds(level.time_to_first_token_milliseconds),
        time_per_output_token_seconds=_seconds(level.time_per_output_token_milliseconds),
        needs_node_cache=spec.weights.cache is WeightCache.NODE,
        learnt=tenant.learnt,
        failed=tenant.failed,
    )


def _engines(choice: EngineChoice) -> tuple[EngineName, ...]:
    if choice is EngineChoice.AUTO:
        return (EngineName.VLLM, EngineName.SGLANG)
    return (EngineName(choice.value),)


def _seconds(milliseconds: int | None) -> float | None:
    return None if milliseconds is None else milliseconds / 1000


def _load(spec: ModelDeploymentSpec, *, replicas: int) -> Load:
    work = spec.workload
    prompt = work.prompt_tokens or _TYPICAL_PROMPT_TOKENS
    output = work.output_tokens or _TYPICAL_OUTPUT_TOKENS
    total = work.concurrency
    if total is None:
        total = _concurrency(work, spec.service_level, output_tokens=output)
    # Scaling adds replicas until the load is shared by all of them, so each must hold only its share of the peak.
    sharing = max(replicas, spec.scaling.max_replicas if spec.scaling else 1, 1)
    return Load(
        max_context_tokens=work.max_context_tokens,
        prompt_tokens=prompt,
        output_tokens=output,
        stated=work.prompt_tokens is not None or work.output_tokens is not None,
        concurrency=None if total is None else -(-total // sharing),
        estimated=work.concurrency is None and total is not None,
    )


def _concurrency(work: Workload, level: ServiceLevel, *, output_tokens: int) -> int | None:
    """Requests in flight by Little's law, at the promised latency or a typical one."""
    if work.requests_per_second is None:
        return None
    first = level.time_to_first_token_milliseconds or _TYPICAL_FIRST_TOKEN_MILLISECONDS
    each = level.time_per_output_token_milliseconds or _TYPICAL_OUTPUT_TOKEN_MILLISECONDS
    in_flight = Decimal(work.requests_per_second) * (first + output_tokens * each) / 1000
    return max(1, int(in_flight.to_integral_value(ROUND_CEILING)))


def _checkpoints(tenant: Tenant) -> tuple[tuple[KnownCheckpoint, ...], tuple[UnknownCheckpoint, ...]]:
    spec = tenant.spec
    named: list[tuple[str, str | None, Source, Precision | None]] = [(spec.model, spec.revision, spec.source, None)]
    named += [(each.model, each.revision, each.source or Source(), each.precision) for each in spec.variants]
    known: list[KnownCheckpoint] = []
    unknown: list[UnknownCheckpoint] = []
    for model, revision, source, precision in named:
        name = f"{model}@{revision}" if revision else model
        facts = tenant.facts.get(name)
        if facts is None:
            unknown.append(UnknownCheckpoint(model, precision, tenant.unknown.get(name) or _nobody_knows(model)))
            continue
        checkpoint = Checkpoint(
            model=model,
            revision=facts.resolved_revision or revision,
            precision=precision or facts.precision,
            source=source,
            weights_bytes=facts.weights_bytes,
        )
        known.append(KnownCheckpoint(checkpoint, facts, own=precision is None))
    return tuple(known), tuple(unknown)


def _nobody_knows(model: str) -> Refusal:
    cure = "Give its config.json in `spec.metadata.config`"
    return Refusal("spec.model", model, "it is not in the catalogue and nobody asked the hub", cure)
