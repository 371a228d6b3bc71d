"""Route: model names that clients call, and the rules that choose what answers."""

from enum import StrEnum
from typing import Annotated, Any, ClassVar

from pydantic import Field

from penstock.api import patterns
from penstock.api.backends import Backend, GatewayReference, WeightedBackend
from penstock.api.conditions import Status
from penstock.api.inferencegateway import BareModelName
from penstock.api.integers import Count
from penstock.api.markers import as_set, atomic, map_by
from penstock.api.meta import DNSLabel, Model, Resource
from penstock.api.references import Amount, ConfigMapKeyReference, Jurisdiction, SensitivityLevel
from penstock.api.rules import Rule, rules

__all__ = [
    "CacheMode",
    "Check",
    "CheckType",
    "Constraints",
    "FailureAction",
    "HeaderMatch",
    "ResponseCache",
    "Retries",
    "Route",
    "RouteMatch",
    "RouteRule",
    "RouteSpec",
    "RouteStatus",
    "RuleStatus",
    "Timeouts",
    "TokenRange",
    "Verification",
]

Tag = Annotated[str, Field(min_length=1, max_length=63, pattern=patterns.FREE_NAME.regex)]
Tags = Annotated[tuple[Tag, ...], Field(max_length=32), as_set()]
Milliseconds = Annotated[int, Field(ge=1, le=3_600_000)]


class HeaderMatch(Model):
    """A request header and the value that it must have."""

    name: Annotated[str, Field(min_length=1, max_length=128, pattern=patterns.HEADER_NAME.regex)]
    """The header's name; upper and lower case are the same."""
    value: Annotated[str, Field(min_length=1, max_length=256)]
    """The value, matched exactly."""


@rules(
    Rule(
        cel="!has(self.minimum) || !has(self.maximum) || self.minimum <= self.maximum",
        field="maximum",
        reason="must be at least `minimum`",
        cure="Raise `maximum`, or lower `minimum`",
        holds=lambda self: self.minimum is None or self.maximum is None or self.minimum <= self.maximum,
    )
)
class TokenRange(Model):
    """A range of tokens, both ends included."""

    minimum: Annotated[int, Field(ge=0, le=20_000_000)] | None = None
    """The fewest tokens; left out: no lower end."""
    maximum: Annotated[int, Field(ge=0, le=20_000_000)] | None = None
    """The most tokens; left out: no upper end."""


class RouteMatch(Model):
    """Which requests a rule takes; all that is stated must hold, and one entry of each list."""

    tasks: Tags = ()
    """Tasks as the client or the classifier names them."""
    sensitivities: Annotated[tuple[SensitivityLevel, ...], Field(max_length=16), as_set()] = ()
    """Levels of sensitivity; they choose among rules and never widen what a backend may see."""
    tiers: Tags = ()
    """Tiers of Consumers."""
    teams: Tags = ()
    """Values of the Consumers' label `team`."""
    headers: Annotated[tuple[HeaderMatch, ...], Field(max_length=16), map_by("name")] = ()
    """Request headers."""
    prompt_tokens: TokenRange | None = None
    """The size of the prompt; left out: any."""


class Constraints(Model):
    """What a backend must keep to be chosen; where none does, the request is refused."""

    time_to_first_token_milliseconds: Milliseconds | None = None
    """Until the first token, in milliseconds; left out: any."""
    total_latency_milliseconds: Milliseconds | None = None
    """Until the last token, in milliseconds; left out: any."""
    jurisdictions: Annotated[tuple[Jurisdiction, ...], Field(max_length=16), as_set()] = ()
    """Countries or blocs; all of a backend's countries must lie in one of them. Left out: anywhere."""
    max_price_per_million_tokens: Amount | None = None
    """The most that a million tokens may cost; left out: no ceiling."""


class CheckType(StrEnum):
    """What is checked in an answer; clients must tolerate new values."""

    CITATIONS_REQUIRED = "CitationsRequired"
    JSON_SCHEMA = "JSONSchema"
    PII_REDACTION = "PIIRedaction"
    POLICY_RULES = "PolicyRules"
    TOOL_CALL_SCHEMA = "ToolCallSchema"


@rules(
    Rule(
        cel="(self.type == 'JSONSchema') == has(self.schemaRef)",
        field="schemaRef",
        reason="must be given exactly when `type` is 'JSONSchema'",
        cure="Name the ConfigMap's key with the schema, or remove `schemaRef`",
        holds=lambda self: (self.type is CheckType.JSON_SCHEMA) == (self.schema_ref is not None),
    ),
    Rule(
        cel="(self.type == 'PolicyRules') == has(self.rulesRef)",
        field="rulesRef",
        reason="must be given exactly when `type` is 'PolicyRules'",
        cure="Name the ConfigMap's key with the rules, or remove `rulesRef`",
        holds=lambda self: (self.type is CheckType.POLICY_RULES) == (self.rules_ref is not None),
    ),
)
class Check(Model):
    """One check of an answer."""

    type: CheckType
    """What is checked."""
    schema_ref: ConfigMapKeyReference | None = None
    """The ConfigMap's key with the JSON schema, where `type` is JSONSchema."""
    rules_ref: ConfigMapKeyReference | None = None
    """The ConfigMap's key with the rules, where `type` is PolicyRules."""


class FailureAction(StrEnum):
    """What becomes of an answer that fails its checks."""

    REJECT = "Reject"
    ESCALATE = "Escalate"
    HUMAN_REVIEW = "HumanReview"


@rules(
    Rule(
        cel="(has(self.onFailure) && self.onFailure == 'HumanReview') == has(self.reviewQueue)",
        field="reviewQueue",
        reason="must be given exactly when `onFailure` is 'HumanReview'",
        cure="Name the queue, or remove `reviewQueue`",
        holds=lambda self: (self.on_failure is FailureAction.HUMAN_REVIEW) == (self.review_queue is not None),
    ),
    Rule(
        cel="!has(self.escalateTo) || (has(self.onFailure) && self.onFailure == 'Escalate')",
        field="escalateTo",
        reason="may not be given when `onFailure` is not 'Escalate'",
        cure="Set `onFailure: Escalate`, or remove `escalateTo`",
        holds=lambda self: self.escalate_to is None or self.on_failure is FailureAction.ESCALATE,
    ),
)
class Verification(Model):
    """What an answer must pass before the client gets it."""

    checks: Annotated[tuple[Check, ...], Field(min_length=1, max_length=16), atomic()]
    """The checks, in this order."""
    on_failure: FailureAction = FailureAction.REJECT
    """What becomes of an answer that fails."""
    escalate_to: Backend | None = None
    """Who answers instead, where `onFailure` is Escalate; left out: the rule's fallback."""
    review_queue: DNSLabel | None = None
    """The people's queue, where `onFailure` is HumanReview."""


class Timeouts(Model):
    """How long a request may take before it is given up."""

    request_seconds: Annotated[int, Field(ge=1, le=86_400)] | None = None
    """The whole request, in seconds; left out: the gateway's."""
    first_token_seconds: Annotated[int, Field(ge=1, le=3600)] | None = None
    """Until the first token, in seconds; left out: the gateway's."""


class Retries(Model):
    """How often a failed request is tried again."""

    attempts: Annotated[int, Field(ge=0, le=10)] = 1
    """Further attempts at the same backend, before the fallback."""


class CacheMode(StrEnum):
    """Which answers may be given again."""

    DISABLED = "Disabled"
    EXACT = "Exact"
    SEMANTIC = "Semantic"


class ResponseCache(Model):
    """Whether answers may be given again."""

    mode: CacheMode = CacheMode.DISABLED
    """For the same request (Exact), for a similar one (Semantic), or never (Disabled)."""
    ttl_seconds: Annotated[int, Field(ge=1, le=2_592_000)] = 3600
    """How long an answer is kept, in seconds."""


class RouteRule(Model):
    """Which requests, and what answers them."""

    name: DNSLabel
    """What it is called in logs and metrics."""
    match: RouteMatch | None = None
    """Which requests it takes; left out: all that reach it, so only the last rule may leave it out."""
    backends: Annotated[tuple[WeightedBackend, ...], Field(min_length=1, max_length=16), atomic()]
    """What answers, by weight."""
    fallback: Annotated[tuple[Backend, ...], Field(max_length=16), atomic()] = ()
    """What answers when those fail, in this order; left out: nothing."""
    constraints: Constraints | None = None
    """What a backend must keep to be chosen; left out: nothing."""
    verify: Verification | None = None
    """What an answer must pass; left out: nothing."""
    timeouts: Timeouts | None = None
    """How long a request may take; left out: the gateway's."""
    retries: Retries | None = None
    """How often a failed request is tried again; left out: the gateway's."""
    cache: ResponseCache | None = None
    """Whether answers may be given again; left out: never."""


def _names_are_unique(spec: Any) -> bool:
    return len({rule.name for rule in spec.rules}) == len(spec.rules)


@rules(
    Rule(
        cel="self.rules.all(rule, self.rules.exists_one(other, other.name == rule.name))",
        field="rules",
        reason="must not have two entries of the same `name`",
        cure="Name each rule differently",
        holds=_names_are_unique,
    ),
    Rule(
        cel="self.rules.filter(rule, !has(rule.match)).size() == 0"
        " || (self.rules.filter(rule, !has(rule.match)).size() == 1 && !has(self.rules[self.rules.size() - 1].match))",
        field="rules",
        reason="must have `match` in every entry but the last, because the first that matches wins",
        cure="Move the rule that takes everything to the end",
        holds=lambda self: all(rule.match is not None for rule in self.rules[:-1]),
    ),
)
class RouteSpec(Model):
    """What clients call, and what answers."""

    gateway_ref: GatewayReference
    """The gateway that it is attached to."""
    model_names: Annotated[tuple[BareModelName, ...], Field(min_length=1, max_length=64), as_set()]
    """What clients put into `model`; bare names need the gateway's grant outside its namespace."""
    rules: Annotated[tuple[RouteRule, ...], Field(min_length=1, max_length=32), atomic()]
    """The rules in order; the first that matches wins."""


class RuleStatus(Model):
    """What became of a rule."""

    name: DNSLabel
    """The rule's name."""
    live_backends: Annotated[tuple[Annotated[str, Field(max_length=253)], ...], Field(max_length=32), atomic()] = ()
    """Who answers, by shares first, then the fallback; empty: nobody."""
    message: Annotated[str, Field(max_length=1024)] = ""
    """Why it does not do all that it says; left out: it does."""


class RouteStatus(Status):
    """What the gateway's table has of it."""

    model_names: Annotated[tuple[Annotated[str, Field(max_length=164)], ...], Field(max_length=128), as_set()] = ()
    """What clients put into `model` to reach it."""
    answering_rules: Count = 0
    """Rules in which somebody answers."""
    rules: Annotated[tuple[RuleStatus, ...], Field(max_length=32), map_by("name")] = ()
    """The rules in their order."""


class Route(Resource):
    """Model names that clients call, and the rules that choose what answers."""

    kind_name: ClassVar[str] = "Route"

    spec: RouteSpec
    """What clients call, and what answers."""
    status: RouteStatus = RouteStatus()
    """What the gateway's table has of it."""
