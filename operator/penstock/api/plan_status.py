"""What a ModelDeployment reports: the plan that serves, the next one, and the alternatives that lost."""

from typing import Annotated

from pydantic import Field

from penstock.api.conditions import Status
from penstock.api.integers import Count, LargeCount
from penstock.api.markers import atomic
from penstock.api.meta import Model

__all__ = ["ModelDeploymentStatus", "PlanStatus", "RejectedAlternative"]


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
    reason: Annotated[str, Field(max_length=64)] = ""
    """Why it lost, one CamelCase word for programs."""
    message: Annotated[str, Field(max_length=1024)] = ""
    """Why it lost, in words for people."""


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
    address: Annotated[str, Field(max_length=512)] = ""
    """Where it serves, inside the cluster."""
