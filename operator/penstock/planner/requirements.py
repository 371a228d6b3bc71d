"""What one deployment asks of any place: its checkpoints, load, service level, borders and money.

Taken from the tenant once, as hashable values, so that everything which depends on them alone can be remembered
from one pass to the next. Nothing here knows pools, nodes or free GPUs.
"""

from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal

from penstock.api.formats import EngineName, Precision
from penstock.api.inferencepool import CapacityType
from penstock.api.modeldeployment import (
    DisaggregationMode,
    EngineChoice,
    ModelDeploymentSpec,
    PrecisionPolicy,
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
from penstock.planner.speed import Promise, Traffic

__all__ = [
    "KnownCheckpoint",
    "Load",
    "Requirements",
    "UnknownCheckpoint",
    "load_of",
    "requirements_of",
    "sequences_for",
]

_TYPICAL_PROMPT_TOKENS = 1536
_TYPICAL_OUTPUT_TOKENS = 512
_TYPICAL_FIRST_TOKEN_MILLISECONDS = 1000
_TYPICAL_OUTPUT_TOKEN_MILLISECONDS = 50
_HEADROOM = 1.5
_EIGHT_BIT_CACHES = {
    "fp8": (EngineName.VLLM,),
    "fp8_e4m3": (EngineName.VLLM, EngineName.SGLANG),
    "fp8_e5m2": (EngineName.VLLM, EngineName.SGLANG),
    "fp8_ds_mla": (EngineName.VLLM,),
}
"""What users may ask of the cache's format, and which engines know the word (engines.md A.1, B.1)."""
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
    """What the replicas must carry together, and between how many and how many of them share it.

    `max_context_tokens` None: as much of the model's own maximum as fits. At most one of `total_concurrency` (requests
    in flight) and `total_requests_per_second` is stated; None: nobody said. `likely_concurrency` is what the fewest
    replicas would have in flight each, of a rate by Little's law at the promised latency or a typical one.
    """

    max_context_tokens: int | None
    prompt_tokens: int
    output_tokens: int
    stated: bool
    total_concurrency: int | None = None
    total_requests_per_second: float | None = None
    likely_concurrency: int | None = None
    fewest_replicas: int = 1
    most_replicas: int = 1
    prefix_hit_rate: float = 0.0

    @property
    def traffic(self) -> Traffic:
        """A typical request."""
        return Traffic(self.prompt_tokens, self.output_tokens, prefix_hit_rate=self.prefix_hit_rate)

    @property
    def known(self) -> bool:
        """True where somebody said how much there is to carry."""
        return self.total_concurrency is not None or self.total_requests_per_second is not None

    @property
    def request_tokens(self) -> int:
        """Tokens of a mean request, prompt and output."""
        return self.prompt_tokens + self.output_tokens

    @property
    def concurrency(self) -> int | None:
        """The share of one replica where all share it; None where no concurrency is stated."""
        return None if self.total_concurrency is None else -(-self.total_concurrency // self.most_replicas)

    @property
    def kv_tokens(self) -> int:
        """Tokens that the KV cache must hold for the concurrent requests; 0 where no concurrency is stated."""
        return (self.concurrency or 0) * self.request_tokens

    @property
    def max_sequences(self) -> int:
        """How many requests the engine is told to run at once where there is room, with headroom."""
        if self.likely_concurrency is None:
            return _DEFAULT_SEQUENCES
        return sequences_for(self.likely_concurrency)

    @property
    def fewest_sequences(self) -> int:
        """How far the number of requests at once may be lowered to make room."""
        return min(max(self.concurrency or 0, _FEWEST_SEQUENCES), _MOST_SEQUENCES)


def sequences_for(concurrency: int) -> int:
    """How many requests at once an engine is told of so many that are expected: 1.5 times, within bounds."""
    return min(max(int(concurrency * _HEADROOM), _FEWEST_SEQUENCES), _MOST_SEQUENCES)


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
    promise: Promise
    needs_node_cache: bool
    learnt: Learnt = NOTHING_LEARNT
    failed: tuple[FailedPlan, ...] = ()
    precision_policy: PrecisionPolicy = PrecisionPolicy.AUTO
    capacity_types: tuple[CapacityType, ...] = ()
    disaggregation: DisaggregationMode = DisaggregationMode.AUTO
    kv_cache_dtype: str = "auto"


def requirements_of(tenant: Tenant) -> Requirements:
    """What the tenant asks, whatever the fleet looks like."""
    spec, ceiling = tenant.spec, tenant.spec.placement.max_price_per_replica_hour
    known, unknown = _checkpoints(tenant)
    level, dtype = spec.service_level, _kv_cache_dtype(spec.engine_args)
    return Requirements(
        namespace=tenant.key[0],
        namespace_labels=frozenset(tenant.namespace_labels.items()),
        known=known,
        unknown=unknown,
        engines=_engines(spec.engine, dtype),
        pools=spec.placement.pools,
        jurisdictions=spec.placement.jurisdictions,
        ceiling=ceiling.money if ceiling else None,
        load=load_of(spec, replicas=tenant.replicas),
        promise=Promise(
            _seconds(level.time_to_first_token_milliseconds), _seconds(level.time_per_output_token_milliseconds)
        ),
        needs_node_cache=spec.weights.cache is WeightCache.NODE,
        learnt=tenant.learnt,
        failed=tenant.failed,
        precision_policy=spec.precision_policy,
        capacity_types=tuple(sorted(spec.placement.capacity_types)),
        disaggregation=spec.disaggregation.mode,
        kv_cache_dtype=dtype,
    )


def _kv_cache_dtype(arguments: tuple[str, ...]) -> str:
    """An 8-bit KV cache only where the user's own arguments ask for one; the engine's flags refuse what is no such."""
    dtype = "auto"
    for argument, following in zip(arguments, (*arguments[1:], ""), strict=False):
        name, joined, value = argument.partition("=")
        if name.lstrip("-").replace("_", "-") == "kv-cache-dtype":
            dtype = value if joined else following
    return dtype if dtype in _EIGHT_BIT_CACHES else "auto"


def _engines(choice: EngineChoice, kv_cache_dtype: str) -> tuple[EngineName, ...]:
    if choice is not EngineChoice.AUTO:
        return (EngineName(choice.value),)
    speakers = _EIGHT_BIT_CACHES.get(kv_cache_dtype)
    return speakers or (EngineName.VLLM, EngineName.SGLANG)


def _seconds(milliseconds: int | None) -> float | None:
    return None if milliseconds is None else milliseconds / 1000


def load_of(spec: ModelDeploymentSpec, *, replicas: int) -> Load:
    """What so many replicas, or as many as scaling allows, must carry together."""
    work, rate = spec.workload, spec.workload.requests_per_second
    output = work.output_tokens or _TYPICAL_OUTPUT_TOKENS
    # Scaling adds replicas until the load is shared by all of them, so each must hold only its share of the peak.
    most = max(replicas, spec.scaling.max_replicas if spec.scaling else 1, 1)
    fewest = spec.scaling.min_replicas if spec.scaling else most
    in_flight = work.concurrency
    if in_flight is None:
        in_flight = _concurrency(work, spec.service_level, output_tokens=output)
    return Load(
        max_context_tokens=work.max_context_tokens,
        prompt_tokens=work.prompt_tokens or _TYPICAL_PROMPT_TOKENS,
        output_tokens=output,
        stated=work.prompt_tokens is not None or work.output_tokens is not None,
        total_concurrency=work.concurrency,
        # A rate of 0 says nothing that could be planned for.
        total_requests_per_second=float(rate) or None if rate is not None else None,
        likely_concurrency=None if in_flight is None else -(-in_flight // fewest),
        fewest_replicas=fewest,
        most_replicas=most,
        prefix_hit_rate=(work.prefix_hit_percent or 0) / 100,
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
