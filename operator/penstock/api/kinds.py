"""The kinds of `penstock.dev`: one table that CRDs, validation, RBAC and the reference pages are made from."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from penstock.api.budget import Budget
from penstock.api.conditions import STALLED
from penstock.api.consumer import Consumer
from penstock.api.evaluation import Evaluation
from penstock.api.inferencegateway import InferenceGateway
from penstock.api.inferencepool import InferencePool
from penstock.api.meta import Resource
from penstock.api.modeldeployment import ModelDeployment
from penstock.api.modelprovider import ModelProvider
from penstock.api.patterns import DNS_LABEL, DNS_SERVICE_LABEL, Pattern
from penstock.api.route import Route

__all__ = ["KINDS", "KINDS_BY_NAME", "Column", "ConditionType", "Kind"]

_LONGEST_LABEL = 63
_LONGEST_PARENT = 52
"""Children are called after their parent: `<name>-<revision>` fits a Service's 63 characters with two to spare."""


@dataclass(frozen=True, slots=True)
class Column:
    """One column of `kubectl get`; `priority` 1 shows only with `-o wide`."""

    name: str
    path: str
    description: str
    type: str = "string"
    priority: int = 0


@dataclass(frozen=True, slots=True)
class ConditionType:
    """A condition that the kind reports, and what True means."""

    type: str
    meaning: str


_ACCEPTED = ConditionType(
    "Accepted", "the spec holds and all of it is acted on; else the reason is Invalid or NotSupported"
)
_NOT_READY = ConditionType("Ready", "never in this release: the reason is NotSupported")
_STALLED = ConditionType(STALLED, "waiting is of no use until somebody changes something; absent otherwise")


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind, with everything about it that its model cannot say."""

    model: type[Resource]
    plural: str
    short_name: str
    columns: tuple[Column, ...]
    conditions: tuple[ConditionType, ...] = (_ACCEPTED, _NOT_READY, _STALLED)
    namespaced: bool = True
    acted_on: bool = False
    scalable: bool = False
    selectable_fields: tuple[str, ...] = ()
    name_pattern: Pattern = DNS_LABEL
    longest_name: int = _LONGEST_LABEL

    @property
    def name(self) -> str:
        """As in `kind:` of a manifest."""
        return self.model.kind_name

    @property
    def singular(self) -> str:
        """In lower case, as kubectl takes it."""
        return self.name.lower()


def _condition(kind: str, part: str) -> str:
    return f'.status.conditions[?(@.type=="{kind}")].{part}'


def _verdict(kind: str) -> tuple[Column, Column]:
    return (
        Column(kind, _condition(kind, "status"), f"Whether it is {kind.lower()}."),
        Column("Reason", _condition(kind, "reason"), "Why, in one word."),
    )


def _last(kind: str) -> tuple[Column, Column]:
    return (
        Column("Age", ".metadata.creationTimestamp", "When it was made.", type="date"),
        Column("Message", _condition(kind, "message"), "Why, in words.", priority=1),
    )


_INFERENCE_POOL = Kind(
    model=InferencePool,
    plural="inferencepools",
    short_name="gpupool",
    namespaced=False,
    acted_on=True,
    conditions=(
        _ACCEPTED,
        ConditionType("Exclusive", "none of its nodes is selected by another pool"),
        ConditionType("Ready", "it has ready nodes with a known accelerator"),
        _STALLED,
    ),
    columns=(
        *_verdict("Ready"),
        Column("Accelerator", ".status.accelerator", "The accelerator that the nodes have."),
        Column("Nodes", ".status.nodes", "Nodes that belong to it.", type="integer"),
        Column("GPUs", ".status.gpus.total", "GPUs of all nodes.", type="integer"),
        Column("Free", ".status.gpus.free", "GPUs that a pod could get now.", type="integer"),
        Column("Cost/h", ".status.costPerHour", "What all its GPUs cost for an hour."),
        *_last("Ready"),
        Column("Region", ".spec.location.region", "Where the nodes stand.", priority=1),
        Column("Countries", ".spec.location.countries", "In which countries.", priority=1),
        Column("Capacity", ".spec.price.capacityType", "How the capacity is bought.", priority=1),
    ),
)

_MODEL_DEPLOYMENT = Kind(
    model=ModelDeployment,
    plural="modeldeployments",
    short_name="md",
    acted_on=True,
    scalable=True,
    conditions=(
        _ACCEPTED,
        ConditionType("Placed", "it has a place: pool, engine, precision and GPUs are decided"),
        ConditionType("Available", "at least one replica serves"),
        ConditionType(
            "Routable",
            "every gateway replica that may send to it has a table with all its serving pods; no part of Ready",
        ),
        ConditionType("Drained", "what is being taken away gets no requests any more; absent while nothing is"),
        ConditionType("Ready", "accepted, placed and available, and no roll-out is on its way"),
        _STALLED,
    ),
    selectable_fields=(".spec.model", ".spec.engine"),
    name_pattern=DNS_SERVICE_LABEL,
    longest_name=_LONGEST_PARENT,
    columns=(
        *_verdict("Ready"),
        Column("Pool", ".status.plan.pool", "Where it stands."),
        Column("Engine", ".status.plan.engine", "What serves it."),
        Column("Precision", ".status.plan.precision", "The number format of its weights."),
        Column("GPUs", ".status.plan.gpusPerReplica", "GPUs of one replica.", type="integer"),
        Column("Replicas", ".status.readyReplicas", "Replicas that serve.", type="integer"),
        Column("Cost/h", ".status.plan.costPerHour", "What all replicas cost for an hour."),
        *_last("Ready"),
        Column("Wanted", ".spec.replicas", "Replicas that are asked for.", type="integer", priority=1),
        Column("Model", ".spec.model", "What is served.", priority=1),
        Column("Accelerator", ".status.plan.accelerator", "The accelerator of its pool.", priority=1),
        Column("Address", ".status.address", "Where it serves, inside the cluster.", priority=1),
    ),
)

_MODEL_PROVIDER = Kind(
    model=ModelProvider,
    plural="modelproviders",
    short_name="mprov",
    acted_on=True,
    conditions=(
        _ACCEPTED,
        ConditionType("CredentialsResolved", "its API key is there"),
        ConditionType("Ready", "Routes that it admits may use it"),
        _STALLED,
    ),
    columns=(
        *_verdict("Ready"),
        Column("Type", ".spec.type", "Whose API it is."),
        Column("Countries", ".spec.countries", "Where it processes."),
        Column("Sensitivity", ".spec.maxSensitivity", "The most sensitive requests that may go there."),
        *_last("Ready"),
        Column("URL", ".spec.url", "The API's base URL, where it is stated.", priority=1),
    ),
)

_INFERENCE_GATEWAY = Kind(
    model=InferenceGateway,
    plural="inferencegateways",
    short_name="igw",
    acted_on=True,
    conditions=(
        _ACCEPTED,
        ConditionType("Programmed", "every live replica has applied the published table"),
        ConditionType("Available", "at least one replica serves"),
        ConditionType("Ready", "all of the above hold"),
        _STALLED,
    ),
    name_pattern=DNS_SERVICE_LABEL,
    longest_name=_LONGEST_PARENT,
    columns=(
        *_verdict("Ready"),
        Column("Address", ".status.address", "Where clients reach it, inside the cluster."),
        Column("Replicas", ".status.readyReplicas", "Gateway pods that serve.", type="integer"),
        Column("Routes", ".status.attachedRoutes", "Routes that take part.", type="integer"),
        *_last("Ready"),
        Column("Wanted", ".spec.replicas", "Gateway pods that are asked for.", type="integer", priority=1),
        Column("Table", ".status.table.generation", "The published table's generation.", type="integer", priority=1),
        Column("Consumers", ".status.attachedConsumers", "Consumers that take part.", type="integer", priority=1),
        Column(
            "Providers", ".status.attachedProviders", "ModelProviders that may be used.", type="integer", priority=1
        ),
        Column("Driver", ".spec.driver", "What carries the requests.", priority=1),
    ),
)

_ROUTE = Kind(
    model=Route,
    plural="routes",
    short_name="mroute",
    acted_on=True,
    selectable_fields=(".spec.gatewayRef.name",),
    conditions=(
        ConditionType("Accepted", "the gateway's table has it; parts that are left out are told in the message"),
        ConditionType("ResolvedRefs", "every backend that it names is there and admits it"),
        ConditionType("Programmed", "every live replica of the gateway has it as it is"),
        ConditionType("Ready", "it is accepted and programmed, and somebody answers in at least one rule"),
        _STALLED,
    ),
    columns=(
        *_verdict("Ready"),
        Column("Gateway", ".spec.gatewayRef.name", "The gateway that it is attached to."),
        Column("Models", ".spec.modelNames", "What clients put into `model`."),
        Column("Answering", ".status.answeringRules", "Rules in which somebody answers.", type="integer"),
        *_last("Ready"),
        Column("Reached by", ".status.modelNames", "The names that it got.", priority=1),
    ),
)

_CONSUMER = Kind(
    model=Consumer,
    plural="consumers",
    short_name="cons",
    acted_on=True,
    selectable_fields=(".spec.gatewayRef.name",),
    conditions=(
        ConditionType("Accepted", "the gateway admits it; parts that lead nowhere are told in the message"),
        ConditionType("KeyIssued", "its key is in its Secret and nobody else's"),
        ConditionType("Ready", "all of the above hold, and there is a Route that it may call"),
        _STALLED,
    ),
    columns=(
        *_verdict("Ready"),
        Column("Gateway", ".spec.gatewayRef.name", "The gateway that it calls."),
        Column("Tier", ".spec.tier", "Its tier."),
        Column("Floor", ".spec.sensitivityFloor", "Its requests are never less sensitive."),
        Column("Routes", ".status.routeCount", "How many Routes it may call.", type="integer"),
        *_last("Ready"),
        Column("Secret", ".spec.keySecretRef.name", "The Secret that holds its key.", priority=1),
    ),
)

_BUDGET = Kind(
    model=Budget,
    plural="budgets",
    short_name="bud",
    columns=(
        *_verdict("Accepted"),
        Column("Limit", ".spec.limit.amount", "How much may be spent in one window."),
        Column("Currency", ".spec.limit.currency", "The limit's currency."),
        Column("Window", ".spec.window.calendar", "Over which period spending adds up."),
        *_last("Accepted"),
        Column("Covers", ".spec.covers", "Which costs count.", priority=1),
    ),
)

_EVALUATION = Kind(
    model=Evaluation,
    plural="evaluations",
    short_name="evalu",
    columns=(
        *_verdict("Accepted"),
        Column("Score", ".spec.pass.minScore", "The lowest score that passes."),
        Column("Schedule", ".spec.schedule", "When it runs by itself."),
        *_last("Accepted"),
    ),
)

KINDS: tuple[Kind, ...] = (
    _INFERENCE_POOL,
    _MODEL_DEPLOYMENT,
    _MODEL_PROVIDER,
    _INFERENCE_GATEWAY,
    _ROUTE,
    _CONSUMER,
    _BUDGET,
    _EVALUATION,
)

KINDS_BY_NAME: Mapping[str, Kind] = MappingProxyType({kind.name: kind for kind in KINDS})
