"""What a ModelDeployment reports: plans, what lost, what failed, what engines say, and what would be better."""

from datetime import datetime
from typing import Annotated

from pydantic import Field

from penstock.api.conditions import Status
from penstock.api.integers import Count, LargeCount
from penstock.api.markers import atomic
from penstock.api.meta import Model

__all__ = [
    "FailedStart",
    "ModelDeploymentStatus",
    "PlanStatus",
    "ProposalStatus",
    "RejectedAlternative",
    "ReportedStatus",
    "WaitingStatus",
]


class PlanStatus(Model):
    """What serves, or will: one replica's plan and what it costs."""

    revision: Annotated[str, Field(max_length=16)] = ""
    """The revision that was made of this plan."""
    pool: Annotated[str, Field(max_length=63)] = ""
    """The pool."""
    accelerator: Annotated[str, Field(max_length=63)] = ""
    """The accelerator there."""
    engine: Annotated[str, Field(max_length=32)] = ""
    """The engine."""
    engine_version: Annotated[str, Field(max_length=32)] = ""
    """The engine's version."""
    precision: Annotated[str, Field(max_length=16)] = ""
    """The number format of the weights."""
    model: Annotated[str, Field(max_length=200)] = ""
    """The checkpoint, which may be a variant."""
    model_revision: Annotated[str, Field(max_length=100)] = ""
    """The checkpoint's revision."""
    tensor_parallel: Count = 0
    """Over how many GPUs each layer is split."""
    layout: Annotated[str, Field(max_length=32)] = ""
    """How a replica is cut over its GPUs: TP8, TP2xPP4 (a pipeline), TP8 EP8 (experts), TP8 DP8 (attention ranks)."""
    gpus_per_replica: Count = 0
    """GPUs of one replica."""
    max_context_tokens: LargeCount = 0
    """The longest request, prompt and answer together."""
    kv_tokens: LargeCount = 0
    """Tokens that the KV cache of one replica is planned to hold."""
    weights_size: Annotated[str, Field(max_length=40)] = ""
    """The size of the weights."""
    cost_per_replica_hour: Annotated[str, Field(max_length=40)] = ""
    """What one replica costs for an hour, with the currency."""
    cost_per_hour: Annotated[str, Field(max_length=40)] = ""
    """What all replicas cost for an hour, with the currency."""
    cost_per_million_tokens: Annotated[str, Field(max_length=40)] = ""
    """What a million tokens cost, prompt and output together, at the load that is planned for, with the currency."""
    first_ready_time: datetime | None = None
    """When a replica of this revision was ready for the first time."""


class RejectedAlternative(Model):
    """A candidate that lost, and why."""

    pool: Annotated[str, Field(max_length=63)] = ""
    """The pool."""
    engine: Annotated[str, Field(max_length=32)] = ""
    """The engine."""
    precision: Annotated[str, Field(max_length=16)] = ""
    """The number format of the weights."""
    tensor_parallel: Count = 0
    """Over how many GPUs each layer would be split."""
    layout: Annotated[str, Field(max_length=32)] = ""
    """How a replica would be cut over its GPUs, as in the plan; empty where all ways lost."""
    reason: Annotated[str, Field(max_length=64)] = ""
    """Why it lost, one CamelCase word for programs."""
    message: Annotated[str, Field(max_length=1024)] = ""
    """Why it lost, in words for people."""


class FailedStart(Model):
    """A way to run the model whose engine never became ready; not tried again while the spec is what it is."""

    pool: Annotated[str, Field(max_length=63)] = ""
    """The pool."""
    accelerator: Annotated[str, Field(max_length=63)] = ""
    """The accelerator there."""
    engine: Annotated[str, Field(max_length=32)] = ""
    """The engine."""
    engine_version: Annotated[str, Field(max_length=32)] = ""
    """The engine's version."""
    precision: Annotated[str, Field(max_length=16)] = ""
    """The number format of the weights."""
    layout: Annotated[str, Field(max_length=32)] = ""
    """How a replica was cut over its GPUs, as in the plan."""
    gpus_per_replica: Count = 0
    """GPUs of one replica."""
    reason: Annotated[str, Field(max_length=64)] = ""
    """Why it failed, one CamelCase word for programs: CrashLoop or OutOfMemory."""
    message: Annotated[str, Field(max_length=1024)] = ""
    """Why it failed, in words for people."""
    given_up_time: datetime | None = None
    """When it was given up."""
    spec_digest: Annotated[str, Field(max_length=32)] = ""
    """The digest of the spec that it failed for; another spec is tried anew."""


class WaitingStatus(Model):
    """A wait for room: one and the same while the pool and the spec are."""

    pool: Annotated[str, Field(max_length=63)] = ""
    """The pool in which room for replicas is lacking."""
    since_time: datetime | None = None
    """Since when it has been lacking without a break; `placement.fallbackAfterSeconds` counts from here."""
    spec_digest: Annotated[str, Field(max_length=32)] = ""
    """The digest of the spec that waits; another spec waits anew."""


class ReportedStatus(Model):
    """What the engines of the serving revision say of themselves; coarse, and as it was while none can be asked."""

    revision: Annotated[str, Field(max_length=16)] = ""
    """The revision that was asked."""
    kv_tokens: LargeCount | None = None
    """Tokens that the KV cache holds, of the replica with the smallest one."""
    load_seconds: Count | None = None
    """From the start of the engine until it was ready, of the slowest replica, in seconds."""
    output_tokens_per_second: Count | None = None
    """The most that one replica was seen to generate over some minutes, in tokens per second."""
    step_time_percent: Count | None = None
    """Measured over modelled time per output token at the same load, in percent: 100 as planned, 200 half as fast."""


class ProposalStatus(Model):
    """A plan that would be better than the one that serves; nothing moves by itself, unless the spec says so."""

    pool: Annotated[str, Field(max_length=63)] = ""
    """The pool."""
    accelerator: Annotated[str, Field(max_length=63)] = ""
    """The accelerator there."""
    engine: Annotated[str, Field(max_length=32)] = ""
    """The engine."""
    precision: Annotated[str, Field(max_length=16)] = ""
    """The number format of the weights."""
    layout: Annotated[str, Field(max_length=32)] = ""
    """How a replica would be cut over its GPUs, as in the plan."""
    saving_per_hour: Annotated[str, Field(max_length=40)] = ""
    """What all replicas together would cost less for an hour, with the currency."""
    better_since_time: datetime | None = None
    """Since when it has been better without a break."""
    state: Annotated[str, Field(max_length=32)] = ""
    """Considered, or Offered once it has been better for long enough to be worth a move."""
    message: Annotated[str, Field(max_length=1024)] = ""
    """What would change, in words for people."""


class ModelDeploymentStatus(Status):
    """What the operator decided and saw."""

    replicas: Count = 0
    """Engine pods that exist."""
    ready_replicas: Count = 0
    """Engine pods that serve."""
    selector: Annotated[str, Field(max_length=512)] = ""
    """The label selector of the engine pods, for autoscalers."""
    plan: PlanStatus | None = None
    """The plan that serves."""
    next_plan: PlanStatus | None = None
    """The plan that is to take over."""
    rejected: Annotated[tuple[RejectedAlternative, ...], Field(max_length=64), atomic()] = ()
    """Alternatives that lost when the plan was made."""
    failed: Annotated[tuple[FailedStart, ...], Field(max_length=8), atomic()] = ()
    """Ways to run it whose engines never became ready, the oldest first."""
    waiting: WaitingStatus | None = None
    """The room that it waits for; absent while it waits for none."""
    reported: ReportedStatus | None = None
    """What the engines say of themselves."""
    proposal: ProposalStatus | None = None
    """A plan that would be better than the one that serves."""
    address: Annotated[str, Field(max_length=512)] = ""
    """Where it serves, inside the cluster."""
