"""InferenceGateway: the entry for clients, owned by the platform team."""

from enum import StrEnum
from typing import Annotated, ClassVar

from pydantic import Field

from penstock.api import patterns
from penstock.api.conditions import Status
from penstock.api.integers import Count, LargeCount
from penstock.api.markers import as_set, atomic, map_by
from penstock.api.meta import DNSLabel, DNSSubdomain, Model, Resource
from penstock.api.references import AllowedRoutes, ConfigMapKeyReference, SecretKeyReference, SensitivityLevel
from penstock.api.rules import Rule, rules

__all__ = [
    "BareModelName",
    "GatewayDriver",
    "GatewayStore",
    "Guardrail",
    "GuardrailType",
    "InferenceGateway",
    "InferenceGatewaySpec",
    "InferenceGatewayStatus",
    "Langfuse",
    "LiveReplicaStatus",
    "ModelNameGrant",
    "Observability",
    "OpenTelemetry",
    "PromptRecording",
    "TableStatus",
]

BareModelName = Annotated[str, Field(min_length=1, max_length=100, pattern=patterns.FREE_NAME.regex)]


class GatewayDriver(StrEnum):
    """What carries the requests."""

    LITELLM = "LiteLLM"
    GATEWAY_API = "GatewayAPI"


class GatewayStore(Model):
    """What the gateway's replicas share."""

    postgres_ref: SecretKeyReference | None = None
    """The Secret's key with a PostgreSQL URL; left out: no database."""
    redis_ref: SecretKeyReference | None = None
    """The Secret's key with a Redis URL; left out: no shared cache."""


class ModelNameGrant(Model):
    """Bare model names that a namespace may claim."""

    namespace: DNSLabel
    """The namespace."""
    names: Annotated[tuple[BareModelName, ...], Field(min_length=1, max_length=64), as_set()]
    """The names that its Routes may claim."""


class OpenTelemetry(Model):
    """Where traces and metrics go."""

    endpoint: Annotated[str, Field(min_length=1, max_length=255, pattern=patterns.HTTP_URL.regex)]
    """The OTLP endpoint's URL."""


class Langfuse(Model):
    """A Langfuse project."""

    url: Annotated[str, Field(min_length=1, max_length=255, pattern=patterns.HTTP_URL.regex)]
    """Its base URL."""
    public_key_ref: SecretKeyReference
    """The Secret's key with the project's public key."""
    secret_key_ref: SecretKeyReference
    """The Secret's key with the project's secret key."""


class PromptRecording(StrEnum):
    """Whether prompts and answers are recorded."""

    OMITTED = "Omitted"
    REDACTED = "Redacted"
    FULL = "Full"


class Observability(Model):
    """What is recorded, and where it goes."""

    open_telemetry: OpenTelemetry | None = None
    """Where traces and metrics go; left out: nowhere."""
    langfuse: Langfuse | None = None
    """A Langfuse project; left out: none."""
    prompts: PromptRecording = PromptRecording.OMITTED
    """Whether prompts and answers are recorded."""


class GuardrailType(StrEnum):
    """What a guardrail looks for; clients must tolerate new values."""

    PII_REDACTION = "PIIRedaction"
    PROMPT_INJECTION = "PromptInjection"
    POLICY_RULES = "PolicyRules"


@rules(
    Rule(
        cel="(self.type == 'PolicyRules') == has(self.rulesRef)",
        field="rulesRef",
        reason="must be given exactly when `type` is 'PolicyRules'",
        cure="Name the ConfigMap's key with the rules, or remove `rulesRef`",
        holds=lambda self: (self.type is GuardrailType.POLICY_RULES) == (self.rules_ref is not None),
    )
)
class Guardrail(Model):
    """A check that every request passes."""

    name: DNSLabel
    """What it is called in logs and refusals."""
    type: GuardrailType
    """What it looks for."""
    rules_ref: ConfigMapKeyReference | None = None
    """The ConfigMap's key with the rules, where `type` is PolicyRules."""


@rules(
    Rule(
        cel="self.driver == oldSelf.driver",
        field="driver",
        reason="must not change, because clients would lose the gateway that they call",
        cure="Make a second InferenceGateway, move the Routes, then delete this one",
        holds=None,
    )
)
class InferenceGatewaySpec(Model):
    """What the platform team says about the entry."""

    driver: GatewayDriver = GatewayDriver.LITELLM
    """What carries the requests; it cannot be changed later."""
    replicas: Annotated[int, Field(ge=1, le=100)] = 2
    """How many gateway pods run."""
    image_pull_secret_names: Annotated[tuple[DNSSubdomain, ...], Field(max_length=8), as_set()] = ()
    """Secrets with which the pods pull their image, by name in this namespace; left out: none."""
    store: GatewayStore | None = None
    """What the replicas share; left out: nothing."""
    sensitivity_levels: Annotated[tuple[SensitivityLevel, ...], Field(min_length=1, max_length=16), atomic()]
    """The levels of sensitivity, the lowest first."""
    allowed_routes: AllowedRoutes | None = None
    """Whose Routes, Consumers and ModelProviders may attach; left out: this namespace's."""
    model_name_grants: Annotated[tuple[ModelNameGrant, ...], Field(max_length=64), map_by("namespace")] = ()
    """Bare model names that other namespaces may claim; left out: none."""
    observability: Observability = Observability()
    """What is recorded, and where it goes."""
    guardrails: Annotated[tuple[Guardrail, ...], Field(max_length=16), map_by("name")] = ()
    """Checks that every request passes; left out: none."""


class TableStatus(Model):
    """The routing table that replicas are given."""

    generation: LargeCount
    """Its generation, which grows with every change of what it says."""
    hash: Annotated[str, Field(max_length=128)] = ""
    """The digest of what it says."""
    credential_version: Annotated[str, Field(max_length=253)] | None = None
    """The version of the providers' keys that it needs; left out: none."""


class LiveReplicaStatus(Model):
    """A replica that was heard of lately."""

    pod: Annotated[str, Field(max_length=253)]
    """The pod's name."""
    state: Annotated[str, Field(max_length=32)] | None = None
    """How it stands to new requests, such as Serving or Draining; left out: it was not heard of."""
    generation: LargeCount | None = None
    """The generation of the table that it has, 0 for none; left out: the published one."""
    credential_version: Annotated[str, Field(max_length=253)] | None = None
    """The version of the providers' keys that it has, empty for none; left out: the one that the table needs."""


class InferenceGatewayStatus(Status):
    """What the operator and the control-plane server saw."""

    address: Annotated[str, Field(max_length=512)] = ""
    """Where clients reach it inside the cluster, up to and with `/v1`."""
    replicas: Count = 0
    """Gateway pods that exist."""
    ready_replicas: Count = 0
    """Gateway pods that serve."""
    table: TableStatus | None = None
    """The published table; left out: none is."""
    live_replicas: Annotated[tuple[LiveReplicaStatus, ...], Field(max_length=100), map_by("pod")] = ()
    """The replicas by pod; those that lag behind say what they have."""
    attached_routes: Count = 0
    """Routes that take part."""
    attached_consumers: Count = 0
    """Consumers that take part."""
    attached_providers: Count = 0
    """ModelProviders that may be used."""


class InferenceGateway(Resource):
    """The entry for clients, owned by the platform team."""

    kind_name: ClassVar[str] = "InferenceGateway"

    spec: InferenceGatewaySpec
    """What the platform team says about the entry."""
    status: InferenceGatewayStatus = InferenceGatewayStatus()
    """What the operator and the control-plane server saw."""
