"""ModelDeployment: a model to serve, and what its users want of it."""

from enum import StrEnum
from typing import Annotated, ClassVar

from pydantic import Field

from penstock.api import patterns
from penstock.api.formats import EngineName
from penstock.api.inferencepool import CapacityType
from penstock.api.markers import as_set, atomic, map_by
from penstock.api.meta import DNSLabel, DNSSubdomain, Model, Resource
from penstock.api.plan_status import ModelDeploymentStatus, PlanStatus, RejectedAlternative
from penstock.api.pod_overrides import ENVIRONMENT_RULE, LABEL_RULE
from penstock.api.references import (
    AllowedRoutes,
    Amount,
    DecimalString,
    Jurisdiction,
    LabelKey,
    LabelValue,
    QuantityString,
    SecretKeyReference,
    SensitivityLevel,
    Toleration,
)
from penstock.api.rules import Rule, rules
from penstock.api.sources import (
    HubSource,
    ImageSource,
    ModelMetadata,
    ModelName,
    ObjectStoreSource,
    Revision,
    Source,
    SourceType,
    Variant,
    VolumeSource,
    WeightCache,
    Weights,
)

__all__ = [
    "Adapter",
    "AllowedRoutes",
    "Disaggregation",
    "DisaggregationMode",
    "EngineChoice",
    "EnvironmentVariable",
    "EvaluationReference",
    "HubSource",
    "ImageSource",
    "ModelDeployment",
    "ModelDeploymentSpec",
    "ModelDeploymentStatus",
    "ModelMetadata",
    "MovePolicy",
    "ObjectStoreSource",
    "Placement",
    "PlanStatus",
    "PodOverrides",
    "PrecisionPolicy",
    "Promotion",
    "RejectedAlternative",
    "RemoteCodePolicy",
    "Rollout",
    "Scaling",
    "ServiceLevel",
    "Source",
    "SourceType",
    "SurgePolicy",
    "Variant",
    "VolumeSource",
    "WeightCache",
    "Weights",
    "Workload",
]

PoolName = DNSLabel


class EngineChoice(StrEnum):
    """The engine, or Auto: the planner's choice."""

    AUTO = "Auto"
    VLLM = EngineName.VLLM.value
    SGLANG = EngineName.SGLANG.value


class PrecisionPolicy(StrEnum):
    """Which of the named checkpoints the planner may choose from."""

    AUTO = "Auto"
    PUBLISHED = "Published"
    EIGHT_BIT = "EightBit"


def _context_holds(work: "Workload") -> bool:
    stated = (work.prompt_tokens or 0) + (work.output_tokens or 0)
    return work.max_context_tokens is None or stated <= work.max_context_tokens


@rules(
    Rule(
        cel="!(has(self.requestsPerSecond) && has(self.concurrency))",
        field="concurrency",
        reason="may not be given when `requestsPerSecond` is: they say the same thing",
        cure="Keep the one that you measured",
        holds=lambda self: self.requests_per_second is None or self.concurrency is None,
    ),
    Rule(
        cel="!has(self.maxContextTokens) || (has(self.promptTokens) ? self.promptTokens : 0)"
        " + (has(self.outputTokens) ? self.outputTokens : 0) <= self.maxContextTokens",
        field="maxContextTokens",
        reason="must be at least `promptTokens` and `outputTokens` together",
        cure="Raise it, or lower the other two",
        holds=_context_holds,
    ),
)
class Workload(Model):
    """What clients will send."""

    prompt_tokens: Annotated[int, Field(ge=1, le=10_000_000)] | None = None
    """Tokens of a typical prompt; left out: 1536."""
    output_tokens: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    """Tokens of a typical answer; left out: 512."""
    requests_per_second: DecimalString | None = None
    """Requests per second over all replicas, a decimal string; left out: unknown."""
    concurrency: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    """Requests in flight over all replicas; left out: from `requestsPerSecond`, else unknown."""
    max_context_tokens: Annotated[int, Field(ge=256, le=20_000_000)] | None = None
    """The longest request, prompt and answer together; left out: as much of the model's own as fits."""
    prefix_hit_percent: Annotated[int, Field(ge=0, le=100)] | None = None
    """Share of prompt tokens that the engine's prefix cache finds, in percent, as measured; left out: 0."""


class ServiceLevel(Model):
    """What clients are promised, at the 95th percentile."""

    time_to_first_token_milliseconds: Annotated[int, Field(ge=1, le=3_600_000)] | None = None
    """Until the first token, in milliseconds; left out: no promise."""
    time_per_output_token_milliseconds: Annotated[int, Field(ge=1, le=60_000)] | None = None
    """Between tokens after the first, in milliseconds; left out: no promise."""


class MovePolicy(StrEnum):
    """What happens when a better plan is found for what serves."""

    PROPOSE = "Propose"
    AUTOMATIC = "Automatic"


class Placement(Model):
    """Where the model may stand."""

    pools: Annotated[tuple[PoolName, ...], Field(max_length=32), atomic()] = ()
    """Pools in order of preference; left out: any that fits, the cheapest first."""
    jurisdictions: Annotated[tuple[Jurisdiction, ...], Field(max_length=16), as_set()] = ()
    """Countries or blocs; all of a pool's countries must lie in one of them. Left out: anywhere."""
    fallback_after_seconds: Annotated[int, Field(ge=0, le=86_400)] = 300
    """How long to wait for room in the preferred pool, or in its own, before the next one is taken, in seconds."""
    max_price_per_replica_hour: Amount | None = None
    """The most that one replica may cost for an hour; left out: no ceiling."""
    capacity_types: Annotated[tuple[CapacityType, ...], Field(max_length=3), as_set()] = ()
    """How the capacity may be bought; a pool without a price is OnDemand. Left out: anyhow."""
    priority: Annotated[int, Field(ge=-1000, le=1000)] = 0
    """Who is placed first where not everything fits: the greater number, and of equals the older deployment."""
    move_policy: MovePolicy = MovePolicy.PROPOSE
    """Propose shows a better plan for what serves, Automatic moves to it, once it has been better for a while."""


@rules(
    Rule(
        cel="self.minReplicas <= self.maxReplicas",
        field="maxReplicas",
        reason="must be at least `minReplicas`",
        cure="Raise `maxReplicas`, or lower `minReplicas`",
        holds=lambda self: self.min_replicas <= self.max_replicas,
    )
)
class Scaling(Model):
    """The bounds within which replicas may move."""

    min_replicas: Annotated[int, Field(ge=1, le=1000)] = 1
    """The fewest replicas."""
    max_replicas: Annotated[int, Field(ge=1, le=1000)]
    """The most replicas."""


class DisaggregationMode(StrEnum):
    """Whether prefill and decode run apart."""

    AUTO = "Auto"
    OFF = "Off"
    REQUIRED = "Required"


class Disaggregation(Model):
    """Prefill and decode apart, or together."""

    mode: DisaggregationMode = DisaggregationMode.AUTO
    """Auto is the planner's choice, Off keeps them together, Required runs them apart."""


class Adapter(Model):
    """A LoRA adapter served beside the base model."""

    name: DNSLabel
    """The name that clients call it by."""
    source: Annotated[str, Field(min_length=1, max_length=512)]
    """Its name on the hub, or an s3:// or gs:// URL."""


class SurgePolicy(StrEnum):
    """What a new revision does when the GPUs do not allow both at once."""

    WAIT = "Wait"
    RECREATE = "Recreate"


class Promotion(StrEnum):
    """Who says that a canary is good."""

    AUTOMATIC = "Automatic"
    MANUAL = "Manual"


class EvaluationReference(Model):
    """An Evaluation of the same namespace."""

    name: DNSLabel
    """The Evaluation's name."""


class Rollout(Model):
    """How a new revision takes over."""

    surge_policy: SurgePolicy = SurgePolicy.WAIT
    """Where GPUs for both are lacking: Wait for them, or Recreate, which interrupts serving."""
    drain_seconds: Annotated[int, Field(ge=0, le=3600)] = 120
    """How long the old revision may finish its requests, in seconds."""
    progress_deadline_seconds: Annotated[int, Field(ge=60, le=86_400)] | None = None
    """When a roll-out counts as stuck, in seconds; left out: from the planned load time."""
    canary_percent: Annotated[int, Field(ge=1, le=99)] | None = None
    """Share of requests for a new revision while it is judged, in percent; left out: no canary."""
    evaluation_refs: Annotated[tuple[EvaluationReference, ...], Field(max_length=8), map_by("name")] = ()
    """Evaluations that a new revision must pass; left out: none."""
    promotion: Promotion | None = None
    """Whether passing promotes by itself; left out: Automatic."""


class RemoteCodePolicy(StrEnum):
    """Whether the model repository's own code may run in the engine."""

    DENY = "Deny"
    ALLOW = "Allow"


@rules(ENVIRONMENT_RULE)
class EnvironmentVariable(Model):
    """An environment variable; the loader's and the engine's control variables are refused."""

    name: Annotated[str, Field(max_length=128, pattern=patterns.ENVIRONMENT_NAME.regex)]
    """The variable's name."""
    value: Annotated[str, Field(max_length=4096)] = ""
    """Its value; readable by all who may read this resource."""


@rules(LABEL_RULE)
class PodOverrides(Model):
    """The allow-listed part of the pod that users may change."""

    cpu: Annotated[str, Field(max_length=16, pattern=patterns.CPU.regex)] | None = None
    """CPU request of the engine, in cores; only more than planned counts. Left out: planned."""
    memory: QuantityString | None = None
    """Memory request of the engine; only more than planned counts. Left out: planned."""
    tolerations: Annotated[tuple[Toleration, ...], Field(max_length=16), atomic()] = ()
    """Tolerations beside the pool's."""
    labels: Annotated[dict[LabelKey, LabelValue], Field(max_length=16)] = Field(default_factory=dict)
    """Labels beside Penstock's."""
    environment: Annotated[tuple[EnvironmentVariable, ...], Field(max_length=32), map_by("name")] = ()
    """Environment variables beside Penstock's."""
    priority_class_name: DNSSubdomain | None = None
    """The pods' PriorityClass; left out: the cluster's default."""


def _weights_land_somewhere(spec: "ModelDeploymentSpec") -> bool:
    stated = spec.weights.cache is not WeightCache.EPHEMERAL or spec.weights.size is not None
    return not stated or spec.downloads


@rules(
    Rule(
        cel="!has(self.weights) || (self.weights.cache == 'Ephemeral' && !has(self.weights.size))"
        " || !has(self.source) || self.source.type == 'Hub'"
        " || (has(self.variants)"
        " && self.variants.exists(variant, !has(variant.source) || variant.source.type == 'Hub'))",
        field="weights",
        reason="may not be given when no weights come from the hub: nothing is downloaded",
        cure="Remove it, or set `source.type: Hub`",
        holds=_weights_land_somewhere,
    )
)
class ModelDeploymentSpec(Model):
    """What the user wants; every field but `model` is derived or has a default."""

    model: ModelName
    """The model's name on the hub."""
    revision: Revision | None = None
    """Its commit, tag or branch; left out: the hub's default, pinned when first read."""
    source: Source = Source()
    """Where the weights come from; left out: the hub."""
    metadata: ModelMetadata | None = None
    """The model's config and size; left out: from the catalogue or the hub."""
    variants: Annotated[tuple[Variant, ...], Field(max_length=16), map_by("precision")] = ()
    """The same model in other precisions; the planner picks by accelerator."""
    precision_policy: PrecisionPolicy = PrecisionPolicy.AUTO
    """Auto: any of them; Published: only the model's own; EightBit: none with weights below 8 bits."""
    credentials_ref: SecretKeyReference | None = None
    """The Secret's key with the hub's token; left out: none is sent."""
    weights: Weights = Weights()
    """Where downloaded weights land."""
    engine: EngineChoice = EngineChoice.AUTO
    """The engine that serves it."""
    engine_args: Annotated[tuple[Annotated[str, Field(max_length=1024)], ...], Field(max_length=128), atomic()] = ()
    """Arguments for the engine; they win over planned ones."""
    remote_code: RemoteCodePolicy = RemoteCodePolicy.DENY
    """Whether the model repository's own code may run."""
    workload: Workload = Workload()
    """What clients will send."""
    service_level: ServiceLevel = ServiceLevel()
    """What clients are promised."""
    placement: Placement = Placement()
    """Where the model may stand."""
    replicas: Annotated[int, Field(ge=0, le=1000)] | None = 1
    """How many replicas serve, within `scaling`; 0 stops them all."""
    scaling: Scaling | None = None
    """Bounds for `replicas`, whoever sets it; left out: none."""
    disaggregation: Disaggregation = Disaggregation()
    """Prefill and decode apart, or together."""
    adapters: Annotated[tuple[Adapter, ...], Field(max_length=64), map_by("name")] = ()
    """LoRA adapters served beside the model."""
    rollout: Rollout = Rollout()
    """How a new revision takes over."""
    pod: PodOverrides = PodOverrides()
    """What users may change in the pods."""
    max_sensitivity: SensitivityLevel | None = None
    """The most sensitive requests that may come here; left out: the gateway's highest level."""
    allowed_routes: AllowedRoutes | None = None
    """Whose Routes may come here; left out: this namespace's."""

    @property
    def downloads(self) -> bool:
        """True where at least one checkpoint comes from the hub."""
        sources = (self.source, *(variant.source for variant in self.variants))
        return any(source is None or source.type is SourceType.HUB for source in sources)


class ModelDeployment(Resource):
    """A model to serve, and what its users want of it."""

    kind_name: ClassVar[str] = "ModelDeployment"

    spec: ModelDeploymentSpec
    """What the user wants."""
    status: ModelDeploymentStatus = ModelDeploymentStatus()
    """What the operator decided and saw."""
